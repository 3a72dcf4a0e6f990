"""Data sets, real and drawn, and a model that knows their answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from posekit.datasets.pose_samples import PoseDataset
from posekit.datasets.source_skeletons import source_skeleton
from posekit.datasets.sources import Source
from posekit.skeleton import Skeleton
from posekit.spec import PoseSpec, load_spec
from posekit.stages.estimate import PoseEstimator
from tests.datasets.sets import coco, save

SPEC = load_spec("rtmpose-t_body8-256x192")
assert isinstance(SPEC, PoseSpec)
WIDTH, HEIGHT = SPEC.input_size


class Oracle(nn.Module):
    """Knows the labels of a data set's crops; gives them as SimCC, moved by some pixels."""

    def __init__(self, shifts: Sequence[float] = (0.0,)) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.shifts = shifts
        self.answers: dict[bytes, np.ndarray] = {}
        self.was_training: list[bool] = []

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        self.was_training.append(self.training)
        points = np.stack([self.answers[crop.numpy().tobytes()] for crop in batch])
        return tuple(  # type: ignore[return-value]
            self._simcc(points[..., axis], size) for axis, size in ((0, WIDTH), (1, HEIGHT))
        )

    def _simcc(self, places: np.ndarray, size: int) -> Tensor:
        bins = np.clip(np.rint(places * 2), 0, 2 * size - 1).astype(np.int64)
        return nn.functional.one_hot(torch.from_numpy(bins), 2 * size).float()


def oracle(
    dataset: PoseDataset,
    model: Skeleton | None = None,
    *,
    shifts: Sequence[float] = (0.0,),
) -> PoseEstimator:
    """An estimator that knows the answers; person i is off by `shifts[i % len(shifts)]` pixels."""
    model = model or dataset.skeleton
    net = Oracle()
    estimator = PoseEstimator(net, replace(SPEC, flip_test=False), model)
    for i in range(len(dataset)):
        sample = dataset[i]
        places = {name: k for k, name in enumerate(dataset.skeleton.names)}
        points = np.full((model.num_keypoints, 2), 7.0)
        for k, name in enumerate(model.names):
            if name in places:
                points[k] = sample["keypoints"][places[name]] + shifts[i % len(shifts)]
        key = estimator.normalize(sample["crop"][None])[0].numpy().tobytes()
        net.answers[key] = points
    return estimator


def samples(skeleton: Skeleton, *sources: Source, **options: Any) -> PoseDataset:
    return PoseDataset(list(sources), skeleton, **{"input_size": (WIDTH, HEIGHT), **options})


def real(shared: Path, name: str, **more: Any) -> Source:
    path = shared / "annotations" / f"test_{name}.json"
    return Source(annotations=str(path), images=str(shared / "images"), **more)


def drawn(folder: Path, **options: Any) -> tuple[Source, Skeleton]:
    data = coco(**options)
    source = Source(annotations=save(folder, data))
    return source, source_skeleton(source, data)


def change_ids(data: dict[str, Any]) -> None:
    for i, annotation in enumerate(data["annotations"]):
        annotation["id"] = i


def change_text_ids(data: dict[str, Any]) -> None:
    for image in data["images"]:
        image["id"] = f"image {image['id']}"
    for annotation in data["annotations"]:
        annotation["image_id"] = f"image {annotation['image_id']}"


def put(**values: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for annotation in data["annotations"]:
            annotation.update(values)

    return change


def no_boxes(data: dict[str, Any]) -> None:
    for annotation in data["annotations"]:
        del annotation["bbox"], annotation["area"]


def text_boxes(data: dict[str, Any]) -> None:
    for annotation in data["annotations"]:
        annotation["bbox"] = [str(side) for side in annotation["bbox"]]
        annotation["iscrowd"] = "0"
        del annotation["area"]
