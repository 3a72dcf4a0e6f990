"""A detector's boxes on the images of a data set, and their metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from posekit.datasets.detection_samples import DetectionDataset
from posekit.datasets.plain_coco import plain_coco
from posekit.datasets.pose_labels import read_pose_labels
from posekit.datasets.problems import raise_errors
from posekit.datasets.sources import Source, is_used
from posekit.errors import InputError
from posekit.evaluation.box_ap import BoxAP
from posekit.evaluation.merged import merged_boxes
from posekit.evaluation.networks import in_eval_mode, read_images
from posekit.skeleton import Skeleton
from posekit.stages.detect import Detector

__all__ = ["LOWEST_SCORE", "box_metric", "detect_boxes", "evaluate_detector", "predict_boxes"]

# Of mean average precision: lower ones hardly change it.
LOWEST_SCORE = 0.001


def evaluate_detector(
    detector: Detector, dataset: DetectionDataset, *, score_threshold: float = LOWEST_SCORE
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


def box_metric(dataset: DetectionDataset) -> BoxAP:
    """mAP of a data set's classes; its predictions come from `predict_boxes`.

    Raises:
        InputError: no pycocotools.
    """
    merged, category_ids = merged_boxes(dataset)
    return BoxAP(merged.content, category_ids=sorted(set(category_ids[category_ids >= 0].tolist())))


def predict_boxes(
    detector: Detector, dataset: DetectionDataset, *, score_threshold: float = LOWEST_SCORE
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Image ids (n,), boxes (n, 4), scores (n,) and category ids (n,) of each image in turn."""
    if tuple(dataset.classes) != detector.classes:
        raise InputError(
            f"the data set was read with the classes {', '.join(dataset.classes[:5])}; expected "
            f"the detector's: {', '.join(detector.classes[:5])}"
        )
    merged, category_ids = merged_boxes(dataset)
    with in_eval_mode(detector.net):
        for part, labels in enumerate(dataset.labels):
            images = read_images(labels.image_paths.tolist(), labels.image_ids.tolist())
            for image, number in zip(images, labels.image_ids, strict=True):
                found = detector([image], score_threshold=score_threshold)[0]
                found = found[category_ids[found.labels] >= 0]  # of classes that are labelled here
                numbers = np.full(len(found), number)
                yield (
                    merged.image_ids(np.full(len(found), part), numbers),
                    found.boxes_xyxy,
                    found.scores,
                    category_ids[found.labels],
                )


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
        source: the annotations, of one category, which the boxes get.
        skeleton: the skeleton of its keypoints.
        classes: the detector's classes to take.
        score_threshold: boxes of a lower score are left out.
        nms_threshold: of two boxes with an IoU above this, the one with the lower score is left
            out; None: only the detector's own suppression applies.
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
    with in_eval_mode(detector.net):
        images = read_images(labels.image_paths.tolist(), labels.image_ids.tolist())
        for image, number in zip(images, labels.image_ids, strict=True):
            detections = detector([image], score_threshold=score_threshold)[0]
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
