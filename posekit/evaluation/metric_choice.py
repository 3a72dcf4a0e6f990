"""Which metrics there are, and which a data set's published tables have."""

from __future__ import annotations

from collections.abc import Sequence

from posekit.config import nearest
from posekit.errors import InputError
from posekit.evaluation.keypoints import AUC, EPE, INTEROCULAR, NME, PCK
from posekit.skeleton import Skeleton

__all__ = ["POSE_METRICS", "checked_metrics", "default_metrics", "distance_metrics"]

POSE_METRICS = ("ap", "pck", "pckh", "auc", "epe", "nme")

# What a skeleton's data sets publish, where it is not AP.
_HAND = ("pck", "auc", "epe")


_PUBLISHED_METRICS = {
    **dict.fromkeys(INTEROCULAR, ("nme",)),
    "aflw": ("nme",),
    "coco_wholebody_hand": _HAND,
    "interhand2d": _HAND,
    "jhmdb": ("pck",),
    "mpii": ("pckh",),
    "onehand10k": _HAND,
    "rhd2d": _HAND,
}


# MPII's mean is without the pelvis and the thorax.
_MPII_JOINTS = [i for i in range(16) if i not in (6, 7)]


def default_metrics(skeleton: Skeleton) -> tuple[str, ...]:
    """The metrics usually published for such keypoints; AP if they have sigmas."""
    if skeleton.name in _PUBLISHED_METRICS:
        return _PUBLISHED_METRICS[skeleton.name]
    return ("ap",) if skeleton.sigmas else ("pck", "epe")


def checked_metrics(metrics: Sequence[str]) -> list[str]:
    """The names, each once.

    Raises:
        InputError: an unknown one, or none.
    """
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    for name in names:
        if name not in POSE_METRICS:
            close = nearest(str(name), POSE_METRICS)
            hint = f"did you mean {', '.join(close)}?" if close else ""
            raise InputError(f"unknown metric '{name}'; {hint} known are {', '.join(POSE_METRICS)}")
    if not names:
        raise InputError(f"no metric to measure: choose from {', '.join(POSE_METRICS)}")
    return list(dict.fromkeys(names))


def distance_metrics(names: Sequence[str], skeleton: Skeleton) -> dict[str, PCK | AUC | EPE | NME]:
    """New metrics for names of `POSE_METRICS` other than "ap", by the names of their values."""
    metrics: dict[str, PCK | AUC | EPE | NME] = {}
    for name in names:
        if name == "pck":
            metrics["PCK@0.2"] = PCK()
        elif name == "pckh":
            joints = _MPII_JOINTS if skeleton.name == "mpii" else None
            for threshold in (0.5, 0.1):
                metrics[f"PCKh@{threshold}"] = PCK(
                    threshold=threshold, at_threshold=True, average="keypoints", joints=joints
                )
        else:
            kinds: dict[str, type[AUC] | type[EPE] | type[NME]] = {
                "auc": AUC,
                "epe": EPE,
                "nme": NME,
            }
            metrics[name.upper()] = kinds[name]()
    return metrics
