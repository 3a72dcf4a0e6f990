"""Models on labelled data sets: crops, networks and decoding are those of prediction.

The network sees one batch after the other; what is kept are predictions and sums.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from posekit.config import nearest
from posekit.datasets.annotations import PoseLabels, Source, read_pose_labels
from posekit.datasets.plain_coco import plain_coco
from posekit.datasets.samples import (
    DetectionDataset,
    LiftingDataset,
    PoseDataset,
    batches,
    collate,
    init_worker,
    raise_errors,
    read_factors,
)
from posekit.datasets.sources import is_used
from posekit.errors import InputError
from posekit.evaluation.coco import WHOLEBODY_PARTS, BoxAP, KeypointAP, rescored
from posekit.evaluation.keypoints import (
    AUC,
    EPE,
    INTEROCULAR,
    NME,
    PCK,
    box_norms,
    head_norms,
    keypoint_norms,
)
from posekit.evaluation.merged import Merged, merged_boxes
from posekit.evaluation.pose3d import MPJPE
from posekit.io import decode_image
from posekit.names import match_names
from posekit.skeleton import Skeleton, load_skeleton
from posekit.stages.detect import Detector
from posekit.stages.estimate import Crops, PoseEstimator
from posekit.stages.lift import Lifter

__all__ = [
    "POSE_METRICS",
    "PoseBatch",
    "PoseMetrics",
    "box_metric",
    "coco_results",
    "common_skeleton",
    "default_metrics",
    "detect_boxes",
    "evaluate_detector",
    "evaluate_lifter",
    "evaluate_pose",
    "predict_boxes",
    "predict_dataset",
]

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
# Of mean average precision: lower ones hardly change it.
_LOWEST_SCORE = 0.001


@dataclass(frozen=True, eq=False)
class PoseBatch:
    """n people of a data set and what the model says of them.

    Attributes:
        samples: those of `PoseDataset`, without the crops, stacked: (n, ...) each.
        keypoints: (n, K, 2), float32, in pixels of the images.
        scores: (n, K), float32.
    """

    samples: Mapping[str, np.ndarray]
    keypoints: np.ndarray
    scores: np.ndarray


def evaluate_pose(
    estimator: PoseEstimator,
    dataset: PoseDataset,
    *,
    batch_size: int = 64,
    flip_test: bool | None = None,
    metrics: Sequence[str] | PoseMetrics,
    nms_threshold: float | None = 0.9,
    keypoint_threshold: float | None = 0.2,
    workers: int = 0,
) -> dict[str, float]:
    """Metrics of a pose model on the boxes of a data set, labelled or detected.

    Args:
        estimator: the model; its network is in eval mode meanwhile.
        dataset: evaluation samples (no augmentation) in the model's input size.
        batch_size: most crops that go through the network at once.
        flip_test: average with the mirrored crop; None does as the model's configuration says.
        metrics: any of `POSE_METRICS`; or those of this data set and model, which have read it
            before, and forget what they measured then.
        nms_threshold: of AP: people of an image that resemble a better one by more go; None keeps
            all.
        keypoint_threshold: of AP: a person's score is the box's times the mean of the keypoints'
            scores above it; None takes the box's.
        workers: processes that read images; 0 reads them in this one.

    Returns:
        As `PoseMetrics.compute`.

    Raises:
        InputError: an unknown metric, or a data set that does not fit the metrics or the model.
    """
    if isinstance(metrics, PoseMetrics):
        found = metrics
        found.clear()
    else:
        found = PoseMetrics(
            dataset,
            estimator.skeleton,
            metrics,
            nms_threshold=nms_threshold,
            keypoint_threshold=keypoint_threshold,
        )
    for batch in predict_dataset(
        estimator, dataset, batch_size=batch_size, flip_test=flip_test, workers=workers
    ):
        found.update(batch)
    return found.compute()


def evaluate_detector(
    detector: Detector, dataset: DetectionDataset, *, score_threshold: float = _LOWEST_SCORE
) -> dict[str, float]:
    """Box mAP, as `BoxAP.compute`, of a detector's classes on all images of a data set.

    Args:
        detector: its network is in eval mode meanwhile.
        dataset: names the images and their labels; they are read whole, as for prediction.
        score_threshold: boxes of a lower score are left out.

    Raises:
        InputError: an image that cannot be read, or no pycocotools.
    """
    metric = box_metric(dataset)
    for ids, boxes, scores, categories in predict_boxes(
        detector, dataset, score_threshold=score_threshold
    ):
        metric.update(ids, boxes, scores, categories)
    return metric.compute()


def evaluate_lifter(
    lifter: Lifter,
    paths: Sequence[str],
    *,
    flip_test: bool | None = None,
    batch_size: int = 4,
) -> dict[str, float]:
    """N-MPJPE and P-MPJPE of a lifter, and MPJPE where the files have a `factor`.

    Sequences are cut into windows of as many frames as the network takes, each frame once, and are
    compared relative to the root joint, in camera axes.

    Args:
        lifter: its network is in eval mode meanwhile.
        paths: NPZ files as `LiftingDataset` describes them, of the lifter's joints; optionally with
            `factor` (N,) or (N, T): units of `keypoints_3d` (mm for Human3.6M) per pixel, since
            the network gives pixels.
        flip_test: average with the mirrored sequence; None does as the configuration says.
        batch_size: most windows that go through the network at once.

    Raises:
        InputError: a file that is not as described; some files with a factor, some without.
    """
    dataset = LiftingDataset(
        paths, lifter.skeleton, window=lifter.max_frames, stride=lifter.max_frames, scaled=False
    )
    factors = [
        read_factors(path, part[3], part[0].shape[1])
        for path, part in zip(paths, dataset.sequences, strict=True)
    ]
    with_factor = [path for path, factor in zip(paths, factors, strict=True) if factor is not None]
    if with_factor and len(with_factor) < len(paths):
        missing = sorted(set(map(str, paths)) - set(map(str, with_factor)))
        raise InputError(f"'factor' is in some of the files, but not in {', '.join(missing)}")
    if with_factor and getattr(lifter.codec, "metric", False):
        raise InputError(
            f"'factor' is for networks that give pixels, but {lifter.spec.name} gives metres; "
            f"leave it out of {', '.join(map(str, with_factor))} for N-MPJPE and P-MPJPE"
        )
    metric = MPJPE(("none", "scale", "procrustes") if with_factor else ("scale", "procrustes"))
    with _in_eval_mode(lifter.net):
        for start in range(0, len(dataset), batch_size):
            rows = range(start, min(start + batch_size, len(dataset)))
            samples = [dataset[row] for row in rows]
            lifted = _lift(lifter, samples, flip_test)
            for row, sample, poses in zip(rows, samples, lifted, strict=True):
                part, n, first = (int(value) for value in dataset.windows[row])
                used = sample["valid"] > 0
                factor = factors[part]
                if factor is not None:
                    frames = slice(first, first + int(used.sum()))
                    poses[used] *= factor[n, frames, None, None]
                targets = sample["keypoints_3d"]
                metric.update(poses[used], (targets - targets[:, :1])[used])
    return metric.compute()


def default_metrics(skeleton: Skeleton) -> tuple[str, ...]:
    """What is published for a data set of these keypoints; AP where they have sigmas."""
    if skeleton.name in _PUBLISHED_METRICS:
        return _PUBLISHED_METRICS[skeleton.name]
    return ("ap",) if skeleton.sigmas else ("pck", "epe")


def common_skeleton(model: Skeleton, labelled: Skeleton) -> Skeleton:
    """The keypoints that are evaluated: those of the skeleton whose the other one has too.

    They are told by name, in any spelling: "Left Eye" is `left_eye`.

    Raises:
        InputError: neither has all of the other's, by name.
    """
    found = match_names(labelled.names, model.names).indices
    if min(found) >= 0:
        smaller, larger = labelled, model
        if len(labelled.names) == len(model.names) and not labelled.sigmas:
            smaller, larger = model, labelled  # the same keypoints, better known
    elif min(match_names(model.names, labelled.names).indices) >= 0:
        smaller, larger = model, labelled
    else:
        only = [name for name, index in zip(labelled.names, found, strict=True) if index < 0]
        raise InputError(
            f"the model finds the {model.num_keypoints} keypoints of '{model.name}', the data set "
            f"has the {labelled.num_keypoints} of '{labelled.name}', and neither has all of the "
            f"other's: the model does not find {', '.join(only[:4])}. Choose a model for this data "
            "set; if the names alone differ, say what the data set's are, in its order: "
            f"'dataset.val={{annotations: FILE, skeleton: {model.name}}}', or with a mapping: "
            f"dataset.skeleton={model.name} 'dataset.val={{annotations: FILE, mapping: "
            f"{{{model.names[0]}: {labelled.names[0]}, ...}}}}'"
        )
    if smaller.sigmas or not larger.sigmas:
        return smaller
    indices = match_names(smaller.names, larger.names).indices
    return dataclasses.replace(smaller, sigmas=tuple(larger.sigmas[i] for i in indices))


def predict_dataset(
    estimator: PoseEstimator,
    dataset: PoseDataset,
    *,
    batch_size: int = 64,
    flip_test: bool | None = None,
    workers: int = 0,
) -> Iterator[PoseBatch]:
    """What the model says of every box of a data set, image by image; see `evaluate_pose`."""
    _check_fits(estimator, dataset)
    # An image's people follow each other, so that it is decoded once.
    sizes = [len(labels) for labels in dataset.labels]
    starts = np.cumsum([0, *sizes[:-1]])
    order = np.concatenate(
        [
            start + np.argsort(labels.image_rows, kind="stable")
            for start, labels in zip(starts, dataset.labels, strict=True)
        ]
    )
    loader: DataLoader[dict[str, Any]] = DataLoader(
        dataset,
        batch_size,
        sampler=order.tolist(),
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=init_worker,
        # A loader draws a seed, and the numbers of training must not depend on it.
        generator=torch.Generator(),
    )
    with _in_eval_mode(estimator.net):
        for tensors in batches(loader):
            samples = {key: value.numpy() for key, value in tensors.items()}
            crops = Crops(samples.pop("crop"), samples["center"], samples["scale"])
            in_crop, scores = estimator.codec.decode(
                estimator.forward(crops.pixels, flip_test=flip_test)
            )
            yield PoseBatch(samples, crops.to_image(in_crop), scores)


class PoseMetrics:
    """The metrics of a data set, one batch after the other.

    Where the model's keypoints contain the data set's, or the other way round, those that both have
    are evaluated, by name.

    Args:
        dataset: evaluation samples.
        skeleton: the model's.
        metrics: any of `POSE_METRICS`. "ap" follows COCO; COCO-WholeBody's where the keypoints are
            its 133, CrowdPose's where they are its 14 and the images have their crowd index.
            "pck" takes 0.2 of the box's longer side, "pckh" 0.5 and 0.1 of the head, whose box
            each annotation has as `head_box` [x, y, w, h]. "nme" takes the distance of the eyes'
            outer corners, AFLW's annotated `box_size`, and else the box's longer side.
        nms_threshold: as in `evaluate_pose`.
        keypoint_threshold: as in `evaluate_pose`.

    Raises:
        InputError: as `evaluate_pose`.

    Attributes:
        skeleton: the keypoints that are evaluated.
        protocol: of AP: "coco", "crowdpose" or "wholebody"; None where it is not measured.
        people: how many came.
        labelled: how many of its keypoints have a label anywhere.
    """

    def __init__(
        self,
        dataset: PoseDataset,
        skeleton: Skeleton,
        metrics: Sequence[str],
        *,
        nms_threshold: float | None = 0.9,
        keypoint_threshold: float | None = 0.2,
    ) -> None:
        names = _checked_metrics(metrics)
        self.skeleton = common_skeleton(skeleton, dataset.skeleton)
        self._columns, self._truth_columns = (
            match_names(self.skeleton.names, names).indices
            for names in (skeleton.names, dataset.skeleton.names)
        )
        self.protocol: str | None = None
        self._ap: KeypointAP | None = None
        self._several = len(dataset.sources) > 1
        labelled = [name for name in names if name != "ap"]
        detected = [source.boxes for source in dataset.sources if source.boxes is not None]
        if labelled and detected:
            raise InputError(
                f"{', '.join(labelled)}: measured on labelled boxes, whose keypoints are known; "
                f"found the detected boxes {detected[0]}: leave them out, or choose metrics=[ap]"
            )
        contents = [plain_coco(source) for source in dataset.sources]
        self._extras: dict[tuple[int, int], Mapping[str, Any]] = {}
        if "pckh" in names or ("nme" in names and self.skeleton.name == "aflw"):
            self._extras = {
                (part, annotation["id"]): annotation
                for part, content in enumerate(contents)
                for annotation in content.annotations
            }
        self._distances = labelled
        self._has_label = np.zeros(self.skeleton.num_keypoints, bool)
        for labels in dataset.labels:
            self._note_labels(labels)
        if "ap" in names:
            self._merged = Merged(contents, dataset.sources)
            self._ap = self._average_precision(dataset, nms_threshold, keypoint_threshold)
        self.labelled = int(self._has_label.sum())
        self.clear()

    def clear(self) -> None:
        """Forgets all people that came."""
        self.people = 0
        self._metrics = _distance_metrics(self._distances, self.skeleton)
        if self._ap is not None:
            self._ap.clear()

    def update(self, batch: PoseBatch) -> None:
        """Takes people of the data set, each once.

        Raises:
            InputError: an annotation that lacks what a metric needs.
        """
        samples = batch.samples
        keypoints, scores = batch.keypoints[:, self._columns], batch.scores[:, self._columns]
        truth = samples["image_keypoints"][:, self._truth_columns]
        visible = samples["image_visible"][:, self._truth_columns]
        self.people += len(keypoints)
        for name, found in self._metrics.items():
            if isinstance(found, AUC | EPE):
                found.update(keypoints, truth, visible)
            else:
                found.update(keypoints, truth, visible, self._norms(name, samples, truth))
        if self._ap is not None:
            self._ap.update(
                self._merged.image_ids(samples["source"], samples["image_id"]),
                keypoints,
                scores,
                samples["bbox_score"],
                # Published tables measure similarity by the crops' areas.
                samples["scale"].prod(axis=1),
                self._merged.category_ids(samples["source"], samples["category_id"]),
            )

    def compute(self) -> dict[str, float]:
        """AP and its kin as in `KeypointAP.compute`, PCK@0.2, PCKh@0.5, PCKh@0.1, AUC, EPE, NME.

        All are 0 to 1 but EPE, in pixels; NaN where nothing counts.
        """
        computed = {} if self._ap is None else self._ap.compute()
        for name, found in self._metrics.items():
            computed[name] = next(iter(found.compute().values()))
        return computed

    def results(self) -> list[dict[str, Any]]:
        """COCO results of the people that AP counts: after suppression, with their final scores.

        Raises:
            InputError: AP is not measured, or on several files whose ids may be the same.
        """
        if self._ap is None or self._several:
            raise InputError("results are those of 'ap', of one annotation file at a time")
        return self._ap.results()

    def _average_precision(
        self,
        dataset: PoseDataset,
        nms_threshold: float | None,
        keypoint_threshold: float | None,
    ) -> KeypointAP:
        names = self.skeleton.names
        if not self.skeleton.sigmas:
            raise InputError(
                f"'ap' needs the keypoints' sigmas, which '{self.skeleton.name}' has not: choose "
                "others of " + ", ".join(POSE_METRICS[1:])
            )
        images = self._merged.content["images"]
        self.protocol = "coco"
        if names == load_skeleton("coco_wholebody").names:
            self.protocol = "wholebody"
        elif names == load_skeleton("crowdpose").names and all("crowdIndex" in i for i in images):
            self.protocol = "crowdpose"
        for part, (source, labels) in enumerate(zip(dataset.sources, dataset.labels, strict=True)):
            if source.boxes is not None:
                labels, problems = read_pose_labels(
                    dataclasses.replace(source, boxes=None), dataset.skeleton
                )
                raise_errors(problems)
                self._note_labels(labels)
            self._write_keypoints(part, labels)
        return KeypointAP(
            self._merged.content,
            sigmas=self.skeleton.sigmas,
            protocol=self.protocol,
            nms_threshold=nms_threshold,
            keypoint_threshold=keypoint_threshold,
        )

    def _note_labels(self, labels: PoseLabels) -> None:
        self._has_label |= labels.visible[:, self._truth_columns].any(axis=0)

    def _write_keypoints(self, part: int, labels: PoseLabels) -> None:
        """Into each annotation of a file, as they were read; none where they cannot be used."""
        k = self.skeleton.num_keypoints
        rows = {int(number): row for row, number in enumerate(labels.annotation_ids)}
        for number, annotation in self._merged.annotations[part].items():
            points = np.zeros((k, 3))
            if number in rows:
                row = rows[number]
                points[:, :2] = labels.keypoints[row, self._truth_columns]
                points[:, 2] = 2 * labels.visible[row, self._truth_columns]
            if self.protocol == "wholebody":
                for field, start, stop in _wholebody_fields():
                    annotation[field] = points[start:stop].ravel().tolist()
            else:
                annotation["keypoints"] = points.ravel().tolist()

    def _norms(self, name: str, samples: Mapping[str, np.ndarray], truth: np.ndarray) -> np.ndarray:
        """(n,), the length that a metric divides by."""
        if name.startswith("PCKh"):
            heads = np.array(self._annotated("head_box", 4, samples), np.float64)
            return head_norms(np.hstack([heads[:, :2], heads[:, :2] + heads[:, 2:]]))
        if name == "NME" and self.skeleton.name in INTEROCULAR:
            return keypoint_norms(truth, *INTEROCULAR[self.skeleton.name])
        if name == "NME" and self.skeleton.name == "aflw":
            return np.array(self._annotated("box_size", 1, samples), np.float64)[:, 0]
        return box_norms(samples["bbox"])

    def _annotated(
        self, field: str, count: int, samples: Mapping[str, np.ndarray]
    ) -> list[list[float]]:
        values = []
        for part, number in zip(samples["source"], samples["annotation_id"], strict=True):
            value = self._extras[int(part), int(number)].get(field)
            numbers: list[Any] = value if isinstance(value, list) else [value]
            if len(numbers) != count or not all(isinstance(v, int | float) for v in numbers):
                expected = "[x, y, w, h]" if count == 4 else "a number"
                raise InputError(
                    f"annotation {number}: expected {expected} as '{field}', found {value!r}: the "
                    "metric divides by it; choose another with metrics=[pck]"
                )
            values.append(numbers)
        return values


def coco_results(
    batch: PoseBatch, *, keypoint_threshold: float | None = 0.2
) -> list[dict[str, Any]]:
    """COCO results of all people of a batch, with all keypoints of the model."""
    scores = batch.samples["bbox_score"]
    if keypoint_threshold is not None:
        scores = rescored(scores, batch.scores, threshold=keypoint_threshold)
    rows = np.concatenate([batch.keypoints, batch.scores[..., None]], axis=-1)
    return [
        {
            "image_id": int(image),
            "category_id": int(category),
            "keypoints": row.ravel().tolist(),
            "score": float(score),
        }
        for image, category, row, score in zip(
            batch.samples["image_id"], batch.samples["category_id"], rows, scores, strict=True
        )
    ]


def detect_boxes(
    detector: Detector,
    source: Source,
    skeleton: Skeleton,
    *,
    classes: Sequence[int],
    score_threshold: float,
    nms_threshold: float | None = None,
    on_image: Callable[[], object] = lambda: None,
) -> list[dict[str, Any]]:
    """A detector's boxes on all images of a file, as COCO results for `Source.boxes`.

    Args:
        detector: its network is in eval mode meanwhile.
        source: the annotations; of one category, which the boxes get.
        skeleton: of its keypoints.
        classes: those of the detector to take.
        score_threshold: lower ones are left out.
        nms_threshold: of two boxes with a larger IoU the worse is left out; None leaves it at the
            detector's own suppression.
        on_image: called after each image.

    Raises:
        InputError: several categories, or an image that cannot be read.
    """
    source = dataclasses.replace(source, boxes=None)
    used = [c["id"] for c in plain_coco(source).categories if is_used(source, c)]
    if len(used) != 1:
        raise InputError(
            f"{source.annotations}: expected one category to give to a detector's boxes, found "
            f"{len(used)}; evaluate on the labelled boxes, or on a file of detections"
        )
    labels, problems = read_pose_labels(source, skeleton)
    raise_errors([problem for problem in problems if problem.fatal])
    found: list[dict[str, Any]] = []
    with _in_eval_mode(detector.net):
        for path, number in zip(labels.image_paths, labels.image_ids, strict=True):
            detections = detector([_read_image(path, number)], score_threshold=score_threshold)[0]
            chosen = detections.select(
                classes,
                score_threshold=score_threshold,
                nms_threshold=1.0 if nms_threshold is None else nms_threshold,
            )
            # Doubles, so that the corners come out of the file as they were.
            boxes = chosen.boxes_xyxy.astype(np.float64)
            boxes[:, 2:] -= boxes[:, :2]
            found += [
                {"image_id": int(number), "category_id": used[0], "bbox": box, "score": score}
                for box, score in zip(boxes.tolist(), chosen.scores.tolist(), strict=True)
            ]
            on_image()
    return found


def box_metric(dataset: DetectionDataset) -> BoxAP:
    """mAP of a data set's classes; its predictions come from `predict_boxes`.

    Raises:
        InputError: no pycocotools.
    """
    merged, category_ids = merged_boxes(dataset)
    return BoxAP(merged.content, category_ids=sorted(set(category_ids[category_ids >= 0].tolist())))


def predict_boxes(
    detector: Detector, dataset: DetectionDataset, *, score_threshold: float = _LOWEST_SCORE
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Image ids (n,), boxes (n, 4), scores (n,) and category ids (n,) of each image in turn."""
    if tuple(dataset.classes) != detector.classes:
        raise InputError(
            f"the data set was read with the classes {', '.join(dataset.classes[:5])}; expected "
            f"the detector's: {', '.join(detector.classes[:5])}"
        )
    merged, category_ids = merged_boxes(dataset)
    with _in_eval_mode(detector.net):
        for part, labels in enumerate(dataset.labels):
            for path, number in zip(labels.image_paths, labels.image_ids, strict=True):
                image = _read_image(path, number)
                found = detector([image], score_threshold=score_threshold)[0]
                found = found[category_ids[found.labels] >= 0]  # of classes that are labelled here
                numbers = np.full(len(found), number)
                yield (
                    merged.image_ids(np.full(len(found), part), numbers),
                    found.boxes_xyxy,
                    found.scores,
                    category_ids[found.labels],
                )


def _wholebody_fields() -> Iterable[tuple[str, int, int]]:
    return [(part.fields[0], part.start, part.stop) for part in WHOLEBODY_PARTS if part.name]


def _distance_metrics(names: Sequence[str], skeleton: Skeleton) -> dict[str, PCK | AUC | EPE | NME]:
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


def _checked_metrics(metrics: Sequence[str]) -> list[str]:
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    for name in names:
        if name not in POSE_METRICS:
            close = nearest(str(name), POSE_METRICS)
            hint = f"did you mean {', '.join(close)}?" if close else ""
            raise InputError(f"unknown metric '{name}'; {hint} known are {', '.join(POSE_METRICS)}")
    if not names:
        raise InputError(f"no metric to measure: choose from {', '.join(POSE_METRICS)}")
    return list(dict.fromkeys(names))


def _check_fits(estimator: PoseEstimator, dataset: PoseDataset) -> None:
    if dataset.augment is not None or dataset.final_augment is not None:
        raise InputError("expected evaluation samples, found augmented ones: give augment=None")
    if len(dataset) != sum(len(labels) for labels in dataset.labels):
        raise InputError("expected every instance once: leave out 'repeat' to evaluate")
    for what in ("input_size", "padding", "udp"):
        wanted, found = getattr(estimator, what), getattr(dataset, what)
        if wanted != found:
            raise InputError(
                f"the data set's crops do not fit the model: expected {what} {wanted}, found "
                f"{found}"
            )


def _read_image(path: str, number: int) -> np.ndarray:
    name = f"image {path} (id {number})"
    try:
        return decode_image(np.fromfile(path, np.uint8), name)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}") from None


@torch.inference_mode()
def _lift(
    lifter: Lifter, samples: Sequence[Mapping[str, Any]], flip_test: bool | None
) -> np.ndarray:
    """(N, T, K, 3), float64, in pixels, relative to the root joint, camera axes."""
    codec, order = lifter.codec, lifter.skeleton.flip_indices
    inputs = torch.cat(
        [
            codec.encode(sample["keypoints_2d"][None], image_size=sample["image_size"])
            for sample in samples
        ]
    ).to(lifter.device, lifter.dtype)
    outputs = lifter.net(inputs)
    if lifter.flip_test if flip_test is None else flip_test:
        mirrored = lifter.net(codec.flip(inputs, order))
        outputs = (outputs + codec.flip(mirrored, order)) * 0.5
    keypoints, _ = codec.decode(outputs)  # in halves of the images' widths
    widths = np.array([sample["image_size"][0] for sample in samples], np.float64)
    return np.asarray(keypoints * (widths / 2)[:, None, None, None])


@contextlib.contextmanager
def _in_eval_mode(net: nn.Module) -> Iterator[None]:
    """Batch normalisation neither learns from the data set nor depends on the batch."""
    training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(training)
