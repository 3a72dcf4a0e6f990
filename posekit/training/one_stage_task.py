"""Training a network that finds all people and their keypoints in one pass: RTMO."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from posekit.datasets.people_augment import PeopleAugment
from posekit.datasets.people_samples import PeopleDataset
from posekit.evaluation.people import evaluate_people
from posekit.evaluation.pose_metrics import PoseMetrics
from posekit.skeleton import Skeleton, load_skeleton
from posekit.spec import OneStageSpec
from posekit.stages.one_stage import OneStageEstimator
from posekit.training.one_stage_loss import LabelledPeople, RTMOLoss
from posekit.training.task_data import (
    check_dataset,
    final_epoch,
    make_augment,
    normalizer,
    parsed_dataset,
    trained_skeleton,
    without_repeat,
)

__all__ = ["OneStageTask"]

# The part of a run after which the classified keypoints are better than the regressed ones: 280 of
# the published 600 epochs.
CLASSIFIES_WELL = 0.4667
STRIDE = 32  # inputs are multiples of it


class OneStageTask:
    """RTMO: the people of whole images.

    Args:
        config: configuration of `train`.
        spec: the model that is trained.

    Raises:
        InputError: data that cannot be trained on.
    """

    metric = "AP"
    higher_is_better = True

    def __init__(self, config: Mapping[str, Any], spec: OneStageSpec) -> None:
        search = [Path(folder) for folder in config["search"]]
        dataset = parsed_dataset(config, search)
        known = load_skeleton(spec.keypoints, search)
        self.skeleton: Skeleton = trained_skeleton(dataset, known)
        check_dataset(dataset, skeleton=self.skeleton)
        self.known_names: Sequence[str] = known.names
        self.spec = dataclasses.replace(
            spec,
            net=spec.net.having(num_keypoints=self.skeleton.num_keypoints),
            keypoints=self.skeleton.name,
            note=None,  # said of the weights that training starts from
            sample=None,
        )
        self.criterion = RTMOLoss(self.skeleton.sigmas, strides=spec.codec.arguments["strides"])
        self.epochs: int = config["epochs"]
        self.batch_size: int = config["val_batch_size"]
        same = {
            "input_size": spec.input_size,
            "pad_value": spec.pad_value,
            "cache_mb": config["cache_mb"],
        }
        self.train_set = PeopleDataset(
            dataset.train,
            self.skeleton,
            augment=make_augment(config, "augment", PeopleAugment),
            final_augment=make_augment(config, "final_augment", PeopleAugment),
            final_epoch=final_epoch(config),
            seed=config["seed"],
            **same,
        )
        self.val_set: PeopleDataset | None = None
        if dataset.val:
            self.val_set = PeopleDataset(without_repeat(dataset.val), self.skeleton, **same)
            # Read once, so that what is wrong is said once, and before the first epoch.
            self.metrics = PoseMetrics(
                self.val_set, self.skeleton, ("ap",), nms_threshold=None, keypoint_threshold=None
            )

    def loss(self, net: nn.Module, batch: Mapping[str, Any], device: torch.device) -> Tensor:
        """The mean over the people of a batch, a scalar."""
        epoch = int(batch["epoch"][0])
        images = normalizer(self.spec, device)(batch["image"].numpy())
        width, height = self.spec.input_size
        factor = images.new_ones(2)
        size = self._drawn_size(epoch)
        if size != (width, height):
            images = functional.interpolate(images, size[::-1], mode="bilinear")
            factor = images.new_tensor([size[0] / width, size[1] / height])
        outputs = net(images)
        people = [
            LabelledPeople(
                boxes * factor.repeat(2),
                points[..., :2] * factor,
                points[..., 2],
                areas * factor.prod(),
                ignored * factor.repeat(2),
            )
            for boxes, points, areas, ignored in zip(
                *(
                    [values.to(device) for values in batch[key]]
                    for key in ("boxes", "people", "areas", "ignored")
                ),
                strict=True,
            )
        ]
        bare = net.module if isinstance(net, DistributedDataParallel) else net
        classifier: Any = bare.classifier
        # Places in pixels need more digits than half precision has.
        with torch.autocast(device.type, enabled=False):
            losses = self.criterion.to(device)(
                outputs,
                classifier,
                people,
                later=epoch >= CLASSIFIES_WELL * self.epochs,
                last=self.train_set.is_final(epoch),
            )
        total: Tensor = losses.total
        return total

    def _drawn_size(self, epoch: int) -> tuple[int, int]:
        """The (w, h) that a batch is trained in, drawn anew at each call."""
        width, height = self.spec.input_size
        augment = self.train_set.stage(epoch)
        if augment is None:
            return width, height
        least, most = (round(width * factor / STRIDE) for factor in augment.input_resize)
        steps = int(torch.randint(max(least, 1), max(most, least, 1) + 1, ()))
        return steps * STRIDE, max(round(steps * height / width), 1) * STRIDE

    def names(self, batch: Mapping[str, Any]) -> list[str]:
        """The names of a batch's samples, for errors."""
        return [f"image {image}" for image in batch["image_id"].tolist()]

    def evaluate(self, net: nn.Module) -> dict[str, float]:
        """COCO's AP and AR, as `posekit evaluate` gives them."""
        assert self.val_set is not None
        estimator = OneStageEstimator(net, self.spec, self.skeleton)
        return evaluate_people(
            estimator, self.val_set, batch_size=self.batch_size, metrics=self.metrics
        )
