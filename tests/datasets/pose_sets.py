"""Pose data sets of the drawn files, for several test modules."""

from __future__ import annotations

from typing import Any

from posekit.datasets.pose_samples import PoseDataset
from posekit.datasets.source_skeletons import dataset_skeleton
from posekit.datasets.sources import parse_dataset, parse_sources
from posekit.skeleton import Skeleton

SIZE = (96, 128)  # (w, h)


def skeleton_of(path: str) -> Skeleton:
    return dataset_skeleton(parse_dataset(path))


def pose_set(path: str, **options: Any) -> PoseDataset:
    return PoseDataset(parse_sources(path), skeleton_of(path), input_size=SIZE, **options)
