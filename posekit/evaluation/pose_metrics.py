"""The metrics of people's keypoints on a data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from posekit.datasets.labels import PoseLabels
from posekit.datasets.people_samples import PeopleDataset
from posekit.datasets.plain_coco import plain_coco
from posekit.datasets.pose_labels import read_pose_labels
from posekit.datasets.pose_samples import PoseDataset
from posekit.datasets.problems import raise_errors
from posekit.errors import InputError
from posekit.evaluation.common_skeleton import common_skeleton
from posekit.evaluation.keypoint_ap import WHOLEBODY_PARTS, KeypointAP
from posekit.evaluation.keypoints import (
    AUC,
    EPE,
    INTEROCULAR,
    box_norms,
    head_norms,
    keypoint_norms,
)
from posekit.evaluation.merged import Merged
from posekit.evaluation.metric_choice import POSE_METRICS, checked_metrics, distance_metrics
from posekit.names import match_names
from posekit.skeleton import Skeleton, load_skeleton

__all__ = ["PoseBatch", "PoseMetrics"]


@dataclass(frozen=True, eq=False)
class PoseBatch:
    """n people of a data set, and the keypoints that the model predicts for them.

    Attributes:
        samples: samples of `PoseDataset` without the crops, stacked: (n, ...) each.
        keypoints: (n, K, 2), float32, in pixels of the images.
        scores: (n, K), float32.
    """

    samples: Mapping[str, np.ndarray]
    keypoints: np.ndarray
    scores: np.ndarray


class PoseMetrics:
    """The metrics of a data set, one batch after the other.

    If the model's keypoints contain the data set's, or the other way round, the common ones are
    evaluated, matched by name.

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
        protocol: protocol of AP: "coco", "crowdpose" or "wholebody"; None if AP is not measured.
        people: number of people so far.
        labelled: number of its keypoints that are labelled in at least one person.
    """

    def __init__(
        self,
        dataset: PoseDataset | PeopleDataset,
        skeleton: Skeleton,
        metrics: Sequence[str],
        *,
        nms_threshold: float | None = 0.9,
        keypoint_threshold: float | None = 0.2,
    ) -> None:
        names = checked_metrics(metrics)
        self.nms_threshold = nms_threshold
        self.keypoint_threshold = keypoint_threshold
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
            self._ap = self._average_precision(dataset)
        self.labelled = int(self._has_label.sum())
        self.clear()

    def clear(self) -> None:
        """Forgets all people that came."""
        self.people = 0
        self._metrics = distance_metrics(self._distances, self.skeleton)
        if self._ap is not None:
            self._ap.clear()

    def update(self, batch: PoseBatch) -> None:
        """Takes people of the data set, each once.

        Raises:
            InputError: an annotation that lacks what a metric needs.
        """
        samples = batch.samples
        keypoints = batch.keypoints[:, self._columns]
        truth = samples["image_keypoints"][:, self._truth_columns]
        visible = samples["image_visible"][:, self._truth_columns]
        self.people += len(keypoints)
        for name, found in self._metrics.items():
            if isinstance(found, AUC | EPE):
                found.update(keypoints, truth, visible)
            else:
                found.update(keypoints, truth, visible, self._norms(name, samples, truth))
        if self._ap is not None:
            self.add_people(
                *(samples[key] for key in ("source", "image_id", "category_id")),
                keypoints=batch.keypoints,
                keypoint_scores=batch.scores,
                box_scores=samples["bbox_score"],
                # Published tables measure similarity by the crops' areas.
                areas=samples["scale"].prod(axis=1),
            )

    def add_people(
        self,
        parts: np.ndarray,
        image_ids: np.ndarray,
        category_ids: np.ndarray,
        *,
        keypoints: np.ndarray,
        keypoint_scores: np.ndarray,
        box_scores: np.ndarray,
        areas: np.ndarray,
    ) -> None:
        """Adds n people to AP only; they need not be labelled ones.

        Args:
            parts: (n,), the numbers of their files.
            image_ids, category_ids: (n,), as the files have them.
            keypoints, keypoint_scores, box_scores, areas: as `KeypointAP.update`, with all
                keypoints of the model.
        """
        assert self._ap is not None
        self._ap.update(
            self._merged.image_ids(parts, image_ids),
            keypoints[:, self._columns],
            keypoint_scores[:, self._columns],
            box_scores,
            areas,
            self._merged.category_ids(parts, category_ids),
        )

    def compute(self) -> dict[str, float]:
        """AP and its variants (`KeypointAP.compute`), PCK@0.2, PCKh@0.5, PCKh@0.1, AUC, EPE, NME.

        All are 0 to 1, except EPE in pixels; NaN where nothing counts.
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
            raise InputError("results need 'ap' among the metrics, and only one annotation file")
        return self._ap.results()

    def _average_precision(self, dataset: PoseDataset | PeopleDataset) -> KeypointAP:
        names = self.skeleton.names
        if not self.skeleton.sigmas:
            raise InputError(
                f"'ap' needs the keypoints' sigmas, which '{self.skeleton.name}' does not have: "
                "choose others of " + ", ".join(POSE_METRICS[1:])
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
            nms_threshold=self.nms_threshold,
            keypoint_threshold=self.keypoint_threshold,
        )

    def _note_labels(self, labels: PoseLabels) -> None:
        self._has_label |= labels.visible[:, self._truth_columns].any(axis=0)

    def _write_keypoints(self, part: int, labels: PoseLabels) -> None:
        """Writes keypoints as read into each annotation of a file; none where they are unusable."""
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


def _wholebody_fields() -> Iterable[tuple[str, int, int]]:
    return [(part.fields[0], part.start, part.stop) for part in WHOLEBODY_PARTS if part.name]
