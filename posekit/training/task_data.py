"""What tasks share: the labels and the augmentation that a configuration of `train` names."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from posekit.component import Component, find_class
from posekit.datasets.source_skeletons import dataset_skeleton
from posekit.datasets.sources import Dataset, Source, parse_dataset
from posekit.datasets.validate import validate
from posekit.errors import InputError
from posekit.names import match_names
from posekit.skeleton import Skeleton
from posekit.spec import DetectorSpec, OneStageSpec, PoseSpec
from posekit.transforms.image import Normalize

__all__ = [
    "are_same_keypoints",
    "check_dataset",
    "final_epoch",
    "make_augment",
    "normalizer",
    "parsed_dataset",
    "trained_skeleton",
    "without_repeat",
]

log = logging.getLogger(__name__)

# Where nobody measured how far annotators differ; near the mean of COCO's seventeen.
UNKNOWN_SIGMA = 0.06


def without_repeat(sources: Sequence[Source]) -> list[Source]:
    """The sources without `repeat`, which is for training only."""
    return [dataclasses.replace(source, repeat=1.0) for source in sources]


def normalizer(spec: PoseSpec | OneStageSpec | DetectorSpec, device: torch.device) -> Normalize:
    """What normalises images as the network takes them."""
    return Normalize(**spec.normalization, device=device, dtype=torch.float32)


def parsed_dataset(config: Mapping[str, Any], search: Sequence[Path]) -> Dataset:
    """The configuration's `dataset`; a skeleton may be beside the user's models, in `search`."""
    return parse_dataset(config["dataset"], search)


def trained_skeleton(dataset: Dataset, known: Skeleton) -> Skeleton:
    """The data set's skeleton, with the model's sigmas, pairs and colours where names agree.

    AP needs sigmas: where there are none, all are `UNKNOWN_SIGMA`.
    """
    found = dataset_skeleton(dataset)
    if dataset.skeleton is None and are_same_keypoints(found, known):
        found = dataclasses.replace(known, name=found.name, names=found.names)
        if found.names == known.names:
            found = known
    if not found.sigmas:
        found = dataclasses.replace(found, sigmas=(UNKNOWN_SIGMA,) * found.num_keypoints)
    return found


def are_same_keypoints(one: Skeleton, other: Skeleton) -> bool:
    """The same keypoints in the same order, in any spelling."""
    return match_names(one.names, other.names).indices == list(range(other.num_keypoints))


def check_dataset(
    dataset: Dataset,
    *,
    skeleton: Skeleton | None = None,
    classes: Sequence[str] | None = None,
) -> None:
    """Checks the data, with warnings about what is odd.

    Raises:
        InputError: data that cannot be trained on, with every problem.
    """
    report = validate(dataset, skeleton=skeleton, classes=classes)
    for problem in report.warnings:
        log.warning("warning: %s", problem)
    report.raise_errors()


def make_augment(config: Mapping[str, Any], key: str, kind: type[Any]) -> Any:
    """The augmentation that a group's YAML describes; None for an empty one."""
    if not config.get(key):
        return None
    arguments = dict(config[key])
    target = arguments.pop("_target_", None)
    if not isinstance(target, str):
        raise InputError(f"{key}._target_ is missing: name the class, a {kind.__name__}")
    if not issubclass(found := find_class(target), kind):
        raise InputError(
            f"{key}: expected a {kind.__name__} for this model, found {found.__name__}"
        )
    return Component(target, arguments).make()


def final_epoch(config: Mapping[str, Any]) -> int | None:
    """The first epoch of the last stage; None if there is none."""
    last = round(config["final_part"] * config["epochs"])
    return config["epochs"] - last if last else None
