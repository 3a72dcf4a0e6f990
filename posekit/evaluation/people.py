"""The people that a one-stage model finds in the images of a data set, and their AP."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from posekit.datasets.people_samples import PeopleDataset
from posekit.datasets.plain_coco import plain_coco
from posekit.datasets.sources import is_used
from posekit.errors import InputError
from posekit.evaluation.networks import in_eval_mode, read_images
from posekit.evaluation.pose_metrics import PoseMetrics
from posekit.stages.one_stage import OneStageEstimator, People

__all__ = ["FoundPeople", "evaluate_people", "predict_people"]


class FoundPeople(NamedTuple):
    """The people of one image of a data set.

    Attributes:
        source: number of the file of labels.
        image_id: the image's id in that file.
        category_id: id in that file of everybody's category.
        people: the people, in pixels of the image.
    """

    source: int
    image_id: int
    category_id: int
    people: People

    def add_to(self, metrics: PoseMetrics) -> None:
        """Adds them to AP."""
        poses = self.people.poses
        count = len(self.people.scores)
        sizes = self.people.boxes_xyxy[:, 2:] - self.people.boxes_xyxy[:, :2]
        metrics.add_people(
            np.full(count, self.source),
            np.full(count, self.image_id),
            np.full(count, self.category_id),
            keypoints=poses.keypoints,
            keypoint_scores=poses.scores,
            box_scores=self.people.scores,
            areas=sizes.prod(axis=1),
        )


def evaluate_people(
    estimator: OneStageEstimator,
    dataset: PeopleDataset,
    *,
    metrics: PoseMetrics,
    batch_size: int = 8,
) -> dict[str, float]:
    """AP and its variants for all people that a model finds in the images of a data set.

    Args:
        estimator: the model; its network is in eval mode meanwhile.
        dataset: names the images and their labels; they are read whole, as for prediction.
        metrics: "ap" of this data set and model; what it measured before is forgotten.
        batch_size: most images that go through the network at once.

    Raises:
        InputError: an image that cannot be read, or several categories.
    """
    metrics.clear()
    for found in predict_people(estimator, dataset, batch_size=batch_size):
        found.add_to(metrics)
    return metrics.compute()


def predict_people(
    estimator: OneStageEstimator,
    dataset: PeopleDataset,
    *,
    batch_size: int = 8,
    score_threshold: float | None = None,
    nms_threshold: float | None = None,
) -> Iterator[FoundPeople]:
    """What the model finds on each image, labelled or not; see `evaluate_people`.

    Args:
        score_threshold, nms_threshold: as `OneStageEstimator` takes them.
    """
    categories = [_category(dataset, part) for part in range(len(dataset.sources))]
    with in_eval_mode(estimator.net):
        for part, labels in enumerate(dataset.labels):
            numbers = labels.image_ids.tolist()
            images = read_images(labels.image_paths.tolist(), numbers)
            for start in range(0, len(numbers), batch_size):
                found = estimator(
                    list(itertools.islice(images, batch_size)),
                    score_threshold=score_threshold,
                    nms_threshold=nms_threshold,
                )
                for number, people in zip(numbers[start : start + batch_size], found, strict=True):
                    yield FoundPeople(part, number, categories[part], people)


def _category(dataset: PeopleDataset, part: int) -> int:
    source = dataset.sources[part]
    used = [c["id"] for c in plain_coco(source).categories if is_used(source, c)]
    if len(used) != 1:
        raise InputError(
            f"{source.annotations}: expected one category, whose people the model finds, found "
            f"{len(used)}; choose it with 'categories'"
        )
    number: int = used[0]
    return number
