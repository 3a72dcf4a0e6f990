"""What differs between training a pose network, a detector and a lifter: data, loss, metric.

Each of the tasks has
    spec: the model's YAML as the trained model has it, with its keypoints and classes;
    skeleton: the keypoints, None for a detector;
    known_names: the keypoints of the model that training starts from;
    train_set, val_set: samples of (epoch, index); `val_set` is None where there is none;
    metric, higher_is_better: the metric that chooses the best weights, and its direction;
    loss(net, batch, device): the mean over the samples, so that it does not depend on their number;
    names(batch): the names of the samples, for errors;
    evaluate(net): metrics on `val_set` of a network in eval mode.
A task knows nothing of optimisers and files; `posekit.training.loop` knows nothing of poses.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from posekit.codecs.boxes import DistanceBoxes
from posekit.codecs.lifting import MotionBERTLift
from posekit.codecs.one_stage import PersonCells
from posekit.compose import read_part
from posekit.config import NO_DETECTOR, read_config
from posekit.datasets.augment import DetectionAugment, PoseAugment
from posekit.datasets.batches import collate, init_worker
from posekit.datasets.detection_samples import DetectionDataset
from posekit.datasets.lifting_samples import LiftingDataset
from posekit.datasets.plain_coco import named_content
from posekit.datasets.pose_samples import PoseDataset
from posekit.datasets.sources import Dataset as DatasetConfig
from posekit.errors import InputError
from posekit.evaluation.detectors import evaluate_detector
from posekit.evaluation.pose3d import MPJPE
from posekit.evaluation.pose_metrics import PoseMetrics
from posekit.evaluation.poses import evaluate_pose
from posekit.locate import locate
from posekit.skeleton import Skeleton, load_skeleton
from posekit.spec import DetectorSpec, LifterSpec, OneStageSpec, PoseSpec
from posekit.stages.detect import Detector
from posekit.stages.estimate import PoseEstimator
from posekit.training.losses import (
    MotionLoss,
    RTMDetLoss,
    SimCCLoss,
    keypoint_weights,
    pose_loss,
)
from posekit.training.one_stage_task import OneStageTask
from posekit.training.task_data import (
    are_same_keypoints,
    check_dataset,
    final_epoch,
    make_augment,
    normalizer,
    parsed_dataset,
    trained_skeleton,
    without_repeat,
)

__all__ = ["DetectionTask", "LiftingTask", "OneStageTask", "PoseTask", "Task", "make_task"]

log = logging.getLogger(__name__)


def make_task(config: Mapping[str, Any]) -> Task:
    """The task of a composed `train` configuration, its data checked.

    Raises:
        InputError: data that cannot be trained on, with every problem; an unknown codec.
    """
    spec = read_part(config, "model")
    assert spec is not None
    codec = spec.codec.make()
    if isinstance(spec, LifterSpec) and isinstance(codec, MotionBERTLift):
        return LiftingTask(config, spec)
    if isinstance(spec, DetectorSpec) and isinstance(codec, DistanceBoxes):
        return DetectionTask(config, spec)
    if isinstance(spec, OneStageSpec) and isinstance(codec, PersonCells):
        return OneStageTask(config, spec)
    if isinstance(spec, PoseSpec) and hasattr(codec, "encode"):
        return PoseTask(config, spec)
    raise InputError(f"{spec.name} cannot be trained: {type(codec).__name__} makes no targets")


class PoseTask:
    """Top-down pose estimation: SimCC or heat maps.

    Args:
        config: configuration of `train`.
        spec: the model that is trained.

    Raises:
        InputError: data that cannot be trained on.
    """

    metric = "AP"
    higher_is_better = True

    def __init__(self, config: Mapping[str, Any], spec: PoseSpec) -> None:
        search = [Path(folder) for folder in config["search"]]
        dataset = parsed_dataset(config, search)
        known = load_skeleton(spec.keypoints, search)
        self.skeleton: Skeleton = trained_skeleton(dataset, known)
        check_dataset(dataset, skeleton=self.skeleton)
        self.known_names: Sequence[str] = known.names
        detector = spec.detector
        base = read_config(spec.name, search).get("detector")
        if detector is not None and detector not in NO_DETECTOR:
            if detector != base:
                detector = _chosen_detector(detector, search)
            elif not are_same_keypoints(self.skeleton, known):
                detector = _detector_of_unknown(dataset, detector)
        weights = spec.keypoint_weights
        if self.skeleton.names != known.names and weights:
            log.warning(
                "keypoint_weights are for the model's own keypoints: here all count the same"
            )
            weights = {}
        self.spec = dataclasses.replace(
            spec,
            net=spec.net.having(num_keypoints=self.skeleton.num_keypoints),
            keypoints=self.skeleton.name,
            detector=detector,
            keypoint_weights=weights,
            note=None,  # said of the weights that training starts from
            sample=None,
        )
        self.codec = spec.codec.make()
        self.criterion = pose_loss(spec, self.codec)
        self.weights = keypoint_weights(weights, self.skeleton.names)
        self.batch_size = config["val_batch_size"]
        same = {
            "input_size": spec.input_size,
            "padding": spec.padding,
            "udp": spec.udp,
            "cache_mb": config["cache_mb"],
        }
        self.train_set = PoseDataset(
            dataset.train,
            self.skeleton,
            augment=make_augment(config, "augment", PoseAugment),
            final_augment=make_augment(config, "final_augment", PoseAugment),
            final_epoch=final_epoch(config),
            seed=config["seed"],
            **same,
        )
        self.val_set: PoseDataset | None = None
        if dataset.val:
            self.val_set = PoseDataset(without_repeat(dataset.val), self.skeleton, **same)
            # Read once, so that what is wrong is said once, and before the first epoch.
            self.metrics = PoseMetrics(self.val_set, self.skeleton, ("ap",))

    def loss(self, net: nn.Module, batch: Mapping[str, Any], device: torch.device) -> Tensor:
        """The mean over the samples of a batch, a scalar."""
        images = normalizer(self.spec, device)(batch["crop"].numpy())
        targets, weights = self.codec.encode(
            batch["keypoints"].to(device), batch["visible"].to(device)
        )
        weights = weights * self.weights.to(weights)
        loss: Tensor = self.criterion(net(images), targets, weights)
        # The published KL loss is a sum over the samples.
        return loss / len(images) if isinstance(self.criterion, SimCCLoss) else loss

    def names(self, batch: Mapping[str, Any]) -> list[str]:
        """The names of a batch's samples, for errors."""
        ids = zip(batch["annotation_id"].tolist(), batch["image_id"].tolist(), strict=True)
        return [f"annotation {annotation} (image {image})" for annotation, image in ids]

    def evaluate(self, net: nn.Module) -> dict[str, float]:
        """COCO's AP and AR, as `posekit evaluate` gives them."""
        assert self.val_set is not None
        estimator = PoseEstimator(net, self.spec, self.skeleton)
        return evaluate_pose(
            estimator, self.val_set, batch_size=self.batch_size, metrics=self.metrics
        )


class DetectionTask:
    """RTMDet: boxes.

    Args:
        config: configuration of `train`.
        spec: the model that is trained; its classes are the categories to learn.

    Raises:
        InputError: data that cannot be trained on.
    """

    metric = "AP"
    higher_is_better = True
    known_names: Sequence[str] = ()
    skeleton = None

    def __init__(self, config: Mapping[str, Any], spec: DetectorSpec) -> None:
        dataset = parsed_dataset(config, [])
        classes = spec.classes
        check_dataset(dataset, classes=classes)
        self.spec = dataclasses.replace(spec, note=None)
        self.criterion = RTMDetLoss(strides=spec.codec.arguments["strides"])
        same = {
            "input_size": spec.input_size,
            "pad_value": spec.pad_value,
            "cache_mb": config["cache_mb"],
        }
        self.train_set = DetectionDataset(
            dataset.train,
            classes,
            augment=make_augment(config, "augment", DetectionAugment),
            final_augment=make_augment(config, "final_augment", DetectionAugment),
            final_epoch=final_epoch(config),
            seed=config["seed"],
            **same,
        )
        self.val_set = (
            DetectionDataset(without_repeat(dataset.val), classes, **same) if dataset.val else None
        )

    def loss(self, net: nn.Module, batch: Mapping[str, Any], device: torch.device) -> Tensor:
        """The mean over the samples of a batch, a scalar."""
        images = normalizer(self.spec, device)(batch["image"].numpy())
        losses = self.criterion(net(images), batch["boxes"], batch["labels"])
        return losses.total

    def names(self, batch: Mapping[str, Any]) -> list[str]:
        """The names of a batch's samples, for errors."""
        return [f"image {image}" for image in batch["image_id"].tolist()]

    def evaluate(self, net: nn.Module) -> dict[str, float]:
        """COCO's AP and AR, as `posekit evaluate` gives them."""
        assert self.val_set is not None
        return evaluate_detector(Detector(net, self.spec), self.val_set)


class LiftingTask:
    """MotionBERT: sequences of 2D keypoints to 3D ones.

    Args:
        config: configuration of `train`; `dataset.train` and `dataset.val` are NPZ files (see
            `LiftingDataset`) whose 3D keypoints are in the network's units: half the image's width.
        spec: the model that is trained.

    Raises:
        InputError: data that cannot be trained on.
    """

    metric = "MPJPE"
    higher_is_better = False
    known_names: Sequence[str] = ()

    def __init__(self, config: Mapping[str, Any], spec: LifterSpec) -> None:
        self.spec = dataclasses.replace(spec, note=None)
        self.skeleton = load_skeleton(spec.keypoints, [Path(folder) for folder in config["search"]])
        self.codec: MotionBERTLift = spec.codec.make()
        self.criterion = MotionLoss()
        self.batch_size = config["val_batch_size"]
        window = min(config["window"], spec.max_frames)
        self.train_set = LiftingDataset(
            _paths(config, "train"),
            self.skeleton,
            window=window,
            stride=config["stride"],
            flip=config["flip"],
            seed=config["seed"],
        )
        val = _paths(config, "val")
        self.val_set = (
            LiftingDataset(val, self.skeleton, window=window, stride=window) if val else None
        )

    def loss(self, net: nn.Module, batch: Mapping[str, Any], device: torch.device) -> Tensor:
        """The mean over the samples of a batch, a scalar."""
        inputs, targets = self._inputs(batch).to(device), self._targets(batch).to(device)
        weights = batch["valid"].to(device)[..., None].expand(targets.shape[:-1])
        loss: Tensor = self.criterion(net(inputs), targets, weights)
        return loss

    def names(self, batch: Mapping[str, Any]) -> list[str]:
        """The names of a batch's samples, for errors."""
        places = zip(batch["sequence"].tolist(), batch["start"].tolist(), strict=True)
        return [f"sequence {sequence} from frame {start}" for sequence, start in places]

    @torch.inference_mode()
    def evaluate(self, net: nn.Module) -> dict[str, float]:
        """MPJPE and its aligned forms, in the network's units."""
        assert self.val_set is not None
        device = next(net.parameters()).device
        metric = MPJPE()
        for batch in _in_order(self.val_set, self.batch_size):
            found, _ = self.codec.decode(net(self._inputs(batch).to(device)))
            seen = batch["valid"].numpy() > 0
            truth = self._targets(batch).numpy()
            truth = truth - truth[..., :1, :]  # as it is decoded
            metric.update(found[seen], truth[seen])
        return metric.compute()

    def _inputs(self, batch: Mapping[str, Any]) -> Tensor:
        """(N, T, K, 3)."""
        arrays = (batch[key].numpy() for key in ("keypoints_2d", "scores", "image_size"))
        rows = [
            self.codec.encode(points[None], scores[None], image_size=size.tolist())
            for points, scores, size in zip(*arrays, strict=True)
        ]
        return torch.cat(rows)

    def _targets(self, batch: Mapping[str, Any]) -> Tensor:
        """(N, T, K, 3): relative to the root joint, or with the root's depth as origin."""
        poses: Tensor = batch["keypoints_3d"].clone()
        root = poses[..., :1, :].clone()
        if not self.codec.root_relative:
            root[..., :2] = 0
        return poses - root


Task = PoseTask | OneStageTask | DetectionTask | LiftingTask


def _in_order(dataset: Dataset[dict[str, Any]], batch_size: int) -> Iterator[dict[str, Any]]:
    # A generator of its own: a loader draws a seed, and training's numbers must not depend on it.
    loader: DataLoader[dict[str, Any]] = DataLoader(
        dataset,
        batch_size,
        collate_fn=collate,
        worker_init_fn=init_worker,
        generator=torch.Generator(),
    )
    yield from loader


def _chosen_detector(detector: str, search: Sequence[Path]) -> str:
    """The public name of a detector that was asked for."""
    found = locate(detector, search, detector=True)
    if found.weights is not None:
        raise InputError(
            f"model.detector={detector} is a folder, which would not be part of the trained model: "
            "leave it out, and name detector=FOLDER when you use the model"
        )
    return found.name


def _detector_of_unknown(dataset: DatasetConfig, detector: str) -> str:
    """The model's detector if it finds the data's objects; otherwise none, with a warning."""
    names = set(dataset.train[0].categories or ())
    if not names:
        categories = named_content(dataset.train[0])["categories"]
        names = {str(category.get("name")) for category in categories}
    if "person" in names and re.search("person|coco|drawn", detector):
        return detector
    log.warning(
        "%s may not find what these keypoints belong to: the trained model uses each image as "
        "one box; model.detector=NAME sets a detector",
        detector,
    )
    return "whole_image"


def _paths(config: Mapping[str, Any], key: str) -> list[str]:
    value = config["dataset"].get(key) or []
    values = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(path, str) and path.endswith(".npz") for path in values):
        raise InputError(f"dataset.{key}: a lifter learns from NPZ files, found {value!r}")
    return [str(Path(config["dataset"].get("root") or "", path)) for path in values]
