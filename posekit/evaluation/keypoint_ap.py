"""Average precision of people's keypoints (OKS), as COCO measures it.

Source: COCO (arXiv 1405.0312) through its own pycocotools; CrowdPose (arXiv 1812.00324) and
COCO-WholeBody (arXiv 2007.11858) as the published tables have them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from posekit.coco_form import rescored
from posekit.datasets.label_values import whole_number
from posekit.errors import InputError
from posekit.evaluation.cocoeval import check_ids, cocoeval, pycocotools, summary
from posekit.evaluation.truth import (
    area_of,
    box_of,
    extent_of,
    points_of,
    read_truth,
    whole_numbers,
)
from posekit.transforms.nms import oks_nms

__all__ = ["WHOLEBODY_PARTS", "KeypointAP", "Part"]

log = logging.getLogger(__name__)

# Of a box, where nobody measured the person in it: MMPose's figure for data sets without areas.
AREA_OF_BOX = 0.53


class Part(NamedTuple):
    """Keypoints that are evaluated by themselves, such as those of a body part.

    Attributes:
        name: prefix of the metrics' names.
        fields: an annotation's fields with these keypoints, in order.
        start: the first of them among a person's keypoints.
        stop: one past the last.
    """

    name: str
    fields: tuple[str, ...]
    start: int
    stop: int


WHOLEBODY_PARTS = (
    Part("body/", ("keypoints",), 0, 17),
    Part("foot/", ("foot_kpts",), 17, 23),
    Part("face/", ("face_kpts",), 23, 91),
    Part("lefthand/", ("lefthand_kpts",), 91, 112),
    Part("righthand/", ("righthand_kpts",), 112, 133),
    Part("", ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"), 0, 133),
)


# CrowdPose's published splits by crowd index are not the paper's own 0.1 and 0.8, but these.
CROWD_LEVELS = (("AP(E)", -np.inf, 0.2), ("AP(M)", 0.2, 0.8), ("AP(H)", 0.8, np.inf))


class KeypointAP:
    """AP and AR over object keypoint similarity; it keeps the predictions.

    Args:
        annotations: COCO-style, a file or its content.
        sigmas: (K,), the keypoints' sigmas as COCO defines them.
        protocol: "coco"; "crowdpose", which takes areas from boxes, reports by the images' crowd
            index instead of by area, and trusts the annotations' `num_keypoints`; or "wholebody",
            which evaluates `WHOLEBODY_PARTS`.
        box_area: take 0.53 of the box's area for every person, as published for AIC, whose
            annotations have no areas. Otherwise only people without a usable area (some tools write
            0 or 1) get it, with a warning.
        nms_threshold: of two people in an image with an OKS above this, the one with the lower
            score is dropped; None keeps all.
        keypoint_threshold: as in `rescored`; None takes the boxes' scores.

    Raises:
        InputError: annotations that lack what the protocol needs, or whose ids are not unique whole
            numbers.
    """

    def __init__(
        self,
        annotations: str | Path | Mapping[str, Any],
        *,
        sigmas: Sequence[float] | np.ndarray,
        protocol: str = "coco",
        box_area: bool = False,
        nms_threshold: float | None = 0.9,
        keypoint_threshold: float | None = 0.2,
    ) -> None:
        if protocol not in ("coco", "crowdpose", "wholebody"):
            raise InputError(
                f"protocol must be 'coco', 'crowdpose' or 'wholebody', found '{protocol}'"
            )
        self.sigmas = np.asarray(sigmas, np.float64)
        self.protocol = protocol
        self.nms_threshold = nms_threshold
        self.keypoint_threshold = keypoint_threshold
        self.parts: tuple[Part, ...] = (Part("", ("keypoints",), 0, len(self.sigmas)),)
        if protocol == "wholebody":
            self.parts = WHOLEBODY_PARTS
        if len(self.sigmas) != max(part.stop for part in self.parts):
            raise InputError(f"expected 133 sigmas for wholebody, found {len(self.sigmas)}")
        pycocotools()  # not when all predictions are there
        self._dataset = read_truth(annotations)
        self._box_area = box_area or protocol == "crowdpose"
        self._images = {image["id"] for image in self._dataset["images"]}
        self._categories = [category["id"] for category in self._dataset["categories"]]
        if protocol == "crowdpose" and not all("crowdIndex" in i for i in self._dataset["images"]):
            raise InputError("CrowdPose's protocol needs every image's 'crowdIndex'")
        self._truths = [self._truth(part) for part in self.parts]
        self._measure_areas()
        self.clear()

    def clear(self) -> None:
        """Forgets all predictions."""
        self._batches: list[tuple[np.ndarray, ...]] = []

    def update(
        self,
        image_ids: Sequence[int] | np.ndarray,
        keypoints: np.ndarray,
        keypoint_scores: np.ndarray,
        box_scores: np.ndarray,
        areas: np.ndarray,
        category_ids: np.ndarray | None = None,
    ) -> None:
        """Takes people, of one image or of several, each once.

        Args:
            image_ids: (n,), as in the annotations.
            keypoints: (n, K, 2), in pixels of the image.
            keypoint_scores: (n, K).
            box_scores: (n,).
            areas: (n,), in pixels squared, for the NMS; published tables take those of the
                crops, which are larger than the boxes.
            category_ids: (n,), as in the annotations; None if they have only one category.

        Raises:
            InputError: shapes that do not fit each other, or ids that the annotations lack.
        """
        ids = whole_numbers(image_ids, "image ids")
        check_ids(ids, self._images, "image ids")
        if category_ids is None:
            if len(self._categories) != 1:
                raise InputError(
                    f"the annotations have {len(self._categories)} categories: give category_ids"
                )
            category_ids = np.full(len(ids), self._categories[0])
        category_ids = whole_numbers(category_ids, "category ids")
        check_ids(category_ids, set(self._categories), "category ids")
        batch = (ids, keypoints, keypoint_scores, box_scores, areas, category_ids)
        count, joints = len(ids), len(self.sigmas)
        shapes = ((count,), (count, joints, 2), (count, joints), *[(count,)] * 3)
        for values, shape in zip(batch, shapes, strict=True):
            if np.shape(values) != shape:
                raise InputError(
                    f"expected {count} people of {joints} keypoints: image_ids (n,), keypoints "
                    "(n, K, 2), keypoint_scores (n, K), box_scores, areas, category_ids (n,), "
                    f"found a {np.shape(values)} where {shape} belongs"
                )
        self._batches.append(tuple(np.array(values) for values in batch))

    def compute(self) -> dict[str, float]:
        """AP, AP50, AP75, AP(M), AP(L) and AR likewise, 0 to 1, NaN where nothing counts.

        "crowdpose" has AP(E), AP(M), AP(H) for easy, medium and hard images instead of the ranges
        of areas; "wholebody" has all of these for all keypoints, and for each part with the prefix
        "body/", "foot/", "face/", "lefthand/" or "righthand/".
        """
        people = self._people()
        metrics = {}
        for part, truth in zip(self.parts, self._truths, strict=True):
            # As in the reference, who has no score at any of these keypoints was not found.
            found = [
                self._detection(person, part)
                for person in people
                if (person[2][part.start : part.stop] > 0).any()
            ]
            sigmas = self.sigmas[part.start : part.stop]
            if self.protocol == "crowdpose":
                metrics.update(_crowd_metrics(truth, found, sigmas))
                continue
            evaluation = cocoeval(truth, found, "keypoints", sigmas=sigmas)
            for name, value in summary(evaluation, ("M", "L")).items():
                metrics[part.name + name] = value
        return metrics

    def results(self) -> list[dict[str, Any]]:
        """All people that NMS keeps, as COCO results with the fields of each part's keypoints."""
        found = []
        for image_id, keypoints, keypoint_scores, score, category_id in self._people():
            rows = np.column_stack([keypoints, keypoint_scores])
            result = {"image_id": image_id, "category_id": category_id, "score": score}
            for part in self.parts:
                if len(part.fields) == 1:
                    result[part.fields[0]] = rows[part.start : part.stop].ravel().tolist()
            found.append(result)
        return found

    def _truth(self, part: Part) -> dict[str, Any]:
        """The annotations as COCO's evaluation wants them for one part."""
        annotations = []
        for source in self._dataset["annotations"]:
            points = points_of(source, part.fields, part.stop - part.start)
            labelled = int(np.count_nonzero(points[:, 2] > 0))
            if self.protocol == "crowdpose":
                stated = whole_number(source.get("num_keypoints"))
                labelled = labelled if stated is None else stated
            annotations.append(
                {
                    **{key: source[key] for key in ("id", "image_id", "category_id", "iscrowd")},
                    "bbox": box_of(source) if _has_box(source) else extent_of(points),
                    "keypoints": points.ravel().tolist(),
                    "num_keypoints": labelled,
                }
            )
        return {**self._dataset, "annotations": annotations}

    def _measure_areas(self) -> None:
        """Gives each annotation its area, the same for all parts."""
        images = {image["id"]: image for image in self._dataset["images"]}
        without_area, without_box = [], []
        parts = zip(*(truth["annotations"] for truth in self._truths), strict=True)
        for source, rows in zip(self._dataset["annotations"], parts, strict=True):
            box = rows[-1]["bbox"]
            measured = area_of(source, box, images.get(source["image_id"]))
            area = AREA_OF_BOX * box[2] * box[3]
            if measured is not None and not self._box_area:
                area = measured
            for row in rows:
                row.update(area=area, bbox=box)
            if source["iscrowd"] or not any(row["num_keypoints"] for row in rows):
                continue  # neither found nor missed
            if not area > 0:
                raise InputError(
                    f"annotation {source['id']} has neither an area nor a box, which set the "
                    "scale of OKS: give it a 'bbox'"
                )
            if not _has_box(source):
                without_box.append(source["id"])
            if measured is None and not self._box_area:
                without_area.append(source["id"])
        _say(without_box, "bbox", "the extent of the keypoints")
        _say(without_area, "area", f"{AREA_OF_BOX} of the box's area")

    def _people(self) -> list[tuple[Any, ...]]:
        """(image id, keypoints, keypoint scores, score, category id) of those that NMS keeps."""
        if not self._batches:
            return []
        columns = [np.concatenate(column) for column in zip(*self._batches, strict=True)]
        ids, keypoints, keypoint_scores, scores, areas, categories = columns
        if self.keypoint_threshold is not None:
            scores = rescored(scores, keypoint_scores, threshold=self.keypoint_threshold)
        order = np.argsort(ids, kind="stable")
        kept = []
        for people in np.split(order, np.flatnonzero(np.diff(ids[order])) + 1):
            if self.nms_threshold is not None:
                best = oks_nms(
                    keypoints[people],
                    scores[people],
                    areas[people],
                    self.nms_threshold,
                    sigmas=self.sigmas,
                )
                people = people[best]
            kept.extend(people.tolist())
        return [
            (int(ids[i]), keypoints[i], keypoint_scores[i], float(scores[i]), int(categories[i]))
            for i in kept
        ]

    def _detection(self, person: tuple[Any, ...], part: Part) -> dict[str, Any]:
        image_id, keypoints, keypoint_scores, score, category_id = person
        # The body's extent, whichever part it is, tells which range of areas a person is of.
        body = keypoints[: self.parts[0].stop]
        low, size = body.min(axis=0), np.ptp(body, axis=0)
        rows = np.column_stack([keypoints, keypoint_scores])[part.start : part.stop]
        return {
            "image_id": image_id,
            "category_id": category_id,
            "score": score,
            "keypoints": rows.ravel().tolist(),
            "bbox": [*low.tolist(), *size.tolist()],
            "area": float(size.prod()),
        }


def _crowd_metrics(
    truth: dict[str, Any], found: list[dict[str, Any]], sigmas: np.ndarray
) -> dict[str, float]:
    metrics = summary(cocoeval(truth, found, "keypoints", sigmas=sigmas), ())
    for name, low, high in CROWD_LEVELS:
        ids = [i["id"] for i in truth["images"] if low <= i["crowdIndex"] < high]
        metrics[name] = float("nan")
        if ids:
            level = cocoeval(truth, found, "keypoints", sigmas=sigmas, image_ids=ids)
            metrics[name] = summary(level, ())["AP"]
    return metrics


def _has_box(annotation: Mapping[str, Any]) -> bool:
    box = box_of(annotation)
    return box is not None and box[2] > 0 and box[3] > 0


def _say(ids: Sequence[int], field: str, instead: str) -> None:
    if ids:
        shown = ", ".join(map(str, ids[:5])) + (", ..." if len(ids) > 5 else "")
        log.warning(
            "%d annotations without a usable '%s' (%s): AP uses %s",
            *(len(ids), field, shown, instead),
        )
