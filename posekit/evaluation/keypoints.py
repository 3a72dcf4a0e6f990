"""Metrics of 2D keypoints of known instances: PCK, AUC, EPE and NME.

Source: PCK (Yang and Ramanan, PAMI 2013), PCKh (MPII, CVPR 2014), AUC and EPE as hand benchmarks
use them (arXiv 1705.01389), NME as facial landmark benchmarks use it (300W, ICCV-W 2013).

Each metric has `update`, for one batch, and `compute`, for all so far. They keep only sums.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from posekit.errors import InputError

__all__ = [
    "AUC",
    "EPE",
    "INTEROCULAR",
    "NME",
    "PCK",
    "box_norms",
    "head_norms",
    "joint_distances",
    "keypoint_norms",
]

# Keypoints at the outer corners of the eyes: what each data set's published NME divides by. AFLW
# divides by the annotated size of the box.
INTEROCULAR = MappingProxyType(
    {
        "300w": (36, 45),
        "300wlp": (36, 45),
        "coco_wholebody_face": (36, 45),
        "cofw": (8, 9),
        "lapa": (66, 79),
        "wflw": (60, 72),
    }
)

# A distance that is farther than any, but not infinite: that one means "does not count".
FAR = 1e30


class PCK:
    """Percentage of correct keypoints: those closer to the truth than a fraction of a length.

    The length is the caller's: `box_norms` (PCK), `head_norms` (PCKh), `keypoint_norms` of a
    shoulder and a hip (torso) ...

    Args:
        threshold: fraction of the length.
        at_threshold: whether a keypoint exactly that far off is correct, as in MPII.
        average: "joints" gives each joint the same weight, "keypoints" each labelled keypoint, as
            in MPII.
        joints: indices of the joints to average over; None takes all.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.2,
        at_threshold: bool = False,
        average: str = "joints",
        joints: list[int] | None = None,
    ) -> None:
        if average not in ("joints", "keypoints"):
            raise InputError(f"average must be 'joints' or 'keypoints', found '{average}'")
        self.threshold = threshold
        self.at_threshold = at_threshold
        self.average = average
        self.joints = joints
        self.hits: np.ndarray | None = None  # (K,)
        self.counts: np.ndarray | None = None  # (K,)

    def update(
        self, keypoints: np.ndarray, truth: np.ndarray, visible: np.ndarray, norms: np.ndarray
    ) -> None:
        """Takes a batch; arguments as in `joint_distances`."""
        distances = joint_distances(keypoints, truth, visible, norms)
        near = distances <= self.threshold if self.at_threshold else distances < self.threshold
        self.hits = _added(self.hits, near.sum(axis=0))
        self.counts = _added(self.counts, np.isfinite(distances).sum(axis=0))

    def compute(self) -> dict[str, float]:
        """PCK, 0 to 1; NaN where no keypoint was labelled."""
        per_joint = self.per_joint()
        counts = np.zeros(0) if self.counts is None else self.counts
        if self.joints is not None:
            per_joint, counts = per_joint[self.joints], counts[self.joints]
        labelled = counts > 0
        if not labelled.any():
            return {"PCK": float("nan")}
        weights = counts[labelled] if self.average == "keypoints" else None
        return {"PCK": float(np.average(per_joint[labelled], weights=weights))}

    def per_joint(self) -> np.ndarray:
        """PCK of each joint, (K,); NaN for a joint that was never labelled."""
        if self.hits is None or self.counts is None:
            return np.zeros(0)
        return _quotient(self.hits, self.counts)


class AUC:
    """Area under the curve of PCK over thresholds 0, 1 / steps, ... (steps - 1) / steps.

    Args:
        norm: pixels that the threshold 1 stands for; published hand results take 30.
        steps: thresholds.
    """

    def __init__(self, *, norm: float = 30.0, steps: int = 20) -> None:
        self.norm = norm
        self.thresholds = np.arange(steps) / steps
        self.hits: np.ndarray | None = None  # (steps, K)
        self.counts: np.ndarray | None = None  # (K,)

    def update(self, keypoints: np.ndarray, truth: np.ndarray, visible: np.ndarray) -> None:
        """Takes a batch; arguments as in `joint_distances`."""
        norms = np.full(len(keypoints), self.norm)
        distances = joint_distances(keypoints, truth, visible, norms)
        # How many thresholds each keypoint misses: it hits all those after.
        missed = np.searchsorted(self.thresholds, distances, side="right")  # (n, K)
        hits = np.stack([(missed <= step).sum(axis=0) for step in range(len(self.thresholds))])
        self.hits = _added(self.hits, hits)
        self.counts = _added(self.counts, np.isfinite(distances).sum(axis=0))

    def compute(self) -> dict[str, float]:
        """AUC, 0 to 1, the mean over joints; NaN where no keypoint was labelled."""
        if self.hits is None or self.counts is None or not self.counts.any():
            return {"AUC": float("nan")}
        return {"AUC": float(np.nanmean(_quotient(self.hits, self.counts)))}


class NME:
    """Normalised mean error: the mean distance of keypoints, in multiples of a length.

    The length is the caller's: `keypoint_norms` of the pair in `INTEROCULAR`, `box_norms`, or a
    length from the annotations.
    """

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0

    def update(
        self, keypoints: np.ndarray, truth: np.ndarray, visible: np.ndarray, norms: np.ndarray
    ) -> None:
        """Takes a batch; arguments as in `joint_distances`."""
        distances = joint_distances(keypoints, truth, visible, norms)
        self.total += float(distances[np.isfinite(distances)].sum())
        self.count += int(np.isfinite(distances).sum())

    def compute(self) -> dict[str, float]:
        """NME; NaN where no keypoint was labelled."""
        return {"NME": self.total / self.count if self.count else float("nan")}


class EPE:
    """End-point error: the mean distance of labelled keypoints, in their own unit."""

    def __init__(self) -> None:
        self._error = NME()

    def update(self, keypoints: np.ndarray, truth: np.ndarray, visible: np.ndarray) -> None:
        """Takes a batch; arguments as in `joint_distances`."""
        self._error.update(keypoints, truth, visible, np.ones(len(keypoints)))

    def compute(self) -> dict[str, float]:
        """EPE; NaN where no keypoint was labelled."""
        return {"EPE": self._error.compute()["NME"]}


def joint_distances(
    keypoints: np.ndarray, truth: np.ndarray, visible: np.ndarray, norms: np.ndarray
) -> np.ndarray:
    """Distances of keypoints from the truth in multiples of a length per instance.

    Args:
        keypoints: (n, K, D).
        truth: (n, K, D).
        visible: (n, K); where it is 0 a keypoint does not count.
        norms: (n,); an instance whose length is not positive does not count.

    Returns:
        (n, K), infinite where a keypoint does not count. A keypoint that was predicted at NaN
        counts as very far off.

    Raises:
        InputError: shapes that do not fit each other.
    """
    keypoints, truth = np.asarray(keypoints, np.float64), np.asarray(truth, np.float64)
    visible, norms = np.asarray(visible), np.asarray(norms, np.float64)
    shape = truth.shape[:2]
    if (
        truth.ndim != 3
        or keypoints.shape != truth.shape
        or visible.shape != shape
        or norms.shape != shape[:1]
    ):
        raise InputError(
            "expected keypoints and truth (n, K, D), visible (n, K) and norms (n,), found "
            f"{keypoints.shape}, {truth.shape}, {visible.shape} and {norms.shape}"
        )
    counts = (visible > 0) & (norms > 0)[:, None]
    distances = np.linalg.norm(keypoints - truth, axis=-1)
    distances = np.fmin(distances, FAR)  # of NaN and a number, fmin takes the number
    lengths = np.where(norms > 0, norms, 1)
    return np.where(counts, distances / lengths[:, None], np.inf)


def box_norms(boxes_xyxy: np.ndarray) -> np.ndarray:
    """The longer sides of boxes, (n, 4) -> (n,): the length of PCK."""
    return np.max(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], axis=1)


def head_norms(heads_xyxy: np.ndarray) -> np.ndarray:
    """0.6 of the diagonals of head boxes, (n, 4) -> (n,): the length of MPII's PCKh."""
    return 0.6 * np.linalg.norm(heads_xyxy[:, 2:] - heads_xyxy[:, :2], axis=1)


def keypoint_norms(truth: np.ndarray, first: int, second: int) -> np.ndarray:
    """Distances of two keypoints of each instance, (n, K, D) -> (n,)."""
    return np.linalg.norm(truth[:, first] - truth[:, second], axis=-1)


def _added(total: np.ndarray | None, part: np.ndarray) -> np.ndarray:
    if total is None:
        return part
    if total.shape != part.shape:
        raise InputError(
            f"expected {total.shape[-1]} keypoints as in the batches before, found {part.shape[-1]}"
        )
    return total + part


def _quotient(hits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.divide(hits, counts, out=np.full(hits.shape, np.nan), where=counts > 0)
