"""What differs between training a pose network, a detector and a lifter: data, loss, metric.

Each of the three tasks has
    model: the model's YAML as the trained model has it, with its keypoints and classes;
    skeleton: the keypoints, None for a detector;
    known_names: the keypoints of the model that training starts from;
    train_set, val_set: samples of (epoch, index); `val_set` is None where there is none;
    metric, higher_is_better: which metric tells the best weights, and how;
    loss(net, batch, device): the mean over the samples, so that it does not depend on their number;
    names(batch): what the samples are called, for an error;
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
from posekit.compose import read_part
from posekit.config import NO_DETECTOR, locate, read_config
from posekit.datasets.annotations import Dataset as DatasetConfig
from posekit.datasets.annotations import Source, dataset_skeleton, parse_dataset
from posekit.datasets.augment import DetectionAugment, PoseAugment
from posekit.datasets.plain_coco import named_content
from posekit.datasets.samples import (
    DetectionDataset,
    LiftingDataset,
    PoseDataset,
    collate,
    init_worker,
)
from posekit.datasets.validate import validate
from posekit.errors import InputError
from posekit.evaluation.evaluate import PoseMetrics, evaluate_detector, evaluate_pose
from posekit.evaluation.pose3d import MPJPE
from posekit.names import match_names
from posekit.skeleton import Skeleton, load_skeleton
from posekit.spec import Component, DetectorSpec, LifterSpec, PoseSpec, find_class
from posekit.stages.detect import Detector
from posekit.stages.estimate import PoseEstimator
from posekit.training.losses import (
    MotionLoss,
    RTMDetLoss,
    SimCCLoss,
    keypoint_weights,
    pose_loss,
)
from posekit.transforms.image import Normalize

__all__ = ["DetectionTask", "LiftingTask", "PoseTask", "Task", "make_task"]

log = logging.getLogger(__name__)

# Where nobody measured how far annotators differ; near the mean of COCO's seventeen.
UNKNOWN_SIGMA = 0.06


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
    if isinstance(spec, PoseSpec) and hasattr(codec, "encode"):
        return PoseTask(config, spec)
    raise InputError(f"{spec.name} cannot be trained: {type(codec).__name__} makes no targets")


class PoseTask:
    """Top-down pose estimation: SimCC or heat maps.

    Args:
        config: of `train`.
        spec: what is trained.

    Raises:
        InputError: data that cannot be trained on.
    """

    metric = "AP"
    higher_is_better = True

    def __init__(self, config: Mapping[str, Any], spec: PoseSpec) -> None:
        search = [Path(folder) for folder in config["search"]]
        dataset = _dataset(config, search)
        known = load_skeleton(spec.keypoints, search)
        self.skeleton: Skeleton = _skeleton(dataset, known)
        if not self.skeleton.sigmas:  # AP needs them
            sigmas = (UNKNOWN_SIGMA,) * self.skeleton.num_keypoints
            self.skeleton = dataclasses.replace(self.skeleton, sigmas=sigmas)
        _check(dataset, skeleton=self.skeleton)
        self.known_names: Sequence[str] = known.names
        detector = spec.detector
        base = read_config(spec.name, search).get("detector")
        if detector is not None and detector not in NO_DETECTOR:
            if detector != base:
                detector = _chosen_detector(detector, search)
            elif not _are_same(self.skeleton, known):
                detector = _detector_of_unknown(dataset, detector)
        weights = spec.keypoint_weights
        if self.skeleton.names != known.names and weights:
            log.warning("keypoint_weights are for the model's own keypoints: all count the same")
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
            augment=_augment(config, "augment", PoseAugment),
            final_augment=_augment(config, "final_augment", PoseAugment),
            final_epoch=_final_epoch(config),
            seed=config["seed"],
            **same,
        )
        self.val_set: PoseDataset | None = None
        if dataset.val:
            self.val_set = PoseDataset(_once(dataset.val), self.skeleton, **same)
            # Read once, so that what is wrong is said once, and before the first epoch.
            self.metrics = PoseMetrics(self.val_set, self.skeleton, ("ap",))

    def loss(self, net: nn.Module, batch: Mapping[str, Any], device: torch.device) -> Tensor:
        """The mean over the samples of a batch, a scalar."""
        images = _normalize(self.spec, device)(batch["crop"].numpy())
        targets, weights = self.codec.encode(
            batch["keypoints"].to(device), batch["visible"].to(device)
        )
        weights = weights * self.weights.to(weights)
        loss: Tensor = self.criterion(net(images), targets, weights)
        # The published KL loss is a sum over the samples.
        return loss / len(images) if isinstance(self.criterion, SimCCLoss) else loss

    def names(self, batch: Mapping[str, Any]) -> list[str]:
        """What the samples of a batch are called."""
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
        config: of `train`.
        spec: what is trained; its classes are the categories to learn.

    Raises:
        InputError: data that cannot be trained on.
    """

    metric = "AP"
    higher_is_better = True
    known_names: Sequence[str] = ()
    skeleton = None

    def __init__(self, config: Mapping[str, Any], spec: DetectorSpec) -> None:
        dataset = _dataset(config, [])
        classes = spec.classes
        _check(dataset, classes=classes)
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
            augment=_augment(config, "augment", DetectionAugment),
            final_augment=_augment(config, "final_augment", DetectionAugment),
            final_epoch=_final_epoch(config),
            seed=config["seed"],
            **same,
        )
        self.val_set = (
            DetectionDataset(_once(dataset.val), classes, **same) if dataset.val else None
        )

    def loss(self, net: nn.Module, batch: Mapping[str, Any], device: torch.device) -> Tensor:
        """The mean over the samples of a batch, a scalar."""
        images = _normalize(self.spec, device)(batch["image"].numpy())
        losses = self.criterion(net(images), batch["boxes"], batch["labels"])
        return losses.total

    def names(self, batch: Mapping[str, Any]) -> list[str]:
        """What the samples of a batch are called."""
        return [f"image {image}" for image in batch["image_id"].tolist()]

    def evaluate(self, net: nn.Module) -> dict[str, float]:
        """COCO's AP and AR, as `posekit evaluate` gives them."""
        assert self.val_set is not None
        return evaluate_detector(Detector(net, self.spec), self.val_set)


class LiftingTask:
    """MotionBERT: sequences of 2D keypoints to 3D ones.

    Args:
        config: of `train`; `dataset.train` and `dataset.val` are NPZ files, see `LiftingDataset`,
            whose 3D keypoints are in the network's units: half the image's width.
        spec: what is trained.

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
        """What the samples of a batch are called."""
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


Task = PoseTask | DetectionTask | LiftingTask


def _once(sources: Sequence[Source]) -> list[Source]:
    """`repeat` is of training."""
    return [dataclasses.replace(source, repeat=1.0) for source in sources]


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


def _normalize(spec: PoseSpec | DetectorSpec, device: torch.device) -> Normalize:
    return Normalize(**spec.normalization, device=device, dtype=torch.float32)


def _dataset(config: Mapping[str, Any], search: Sequence[Path]) -> DatasetConfig:
    # A skeleton may lie beside the user's own models.
    return parse_dataset(config["dataset"], search)


def _skeleton(dataset: DatasetConfig, known: Skeleton) -> Skeleton:
    """The data set's; with the model's sigmas, pairs and colours where the names agree."""
    found = dataset_skeleton(dataset)
    if dataset.skeleton is not None or not _are_same(found, known):
        return found
    if found.names == known.names:
        return known
    return dataclasses.replace(known, name=found.name, names=found.names)


def _are_same(one: Skeleton, other: Skeleton) -> bool:
    """The same keypoints in the same order, in any spelling."""
    return match_names(one.names, other.names).indices == list(range(other.num_keypoints))


def _check(
    dataset: DatasetConfig,
    *,
    skeleton: Skeleton | None = None,
    classes: Sequence[str] | None = None,
) -> None:
    report = validate(dataset, skeleton=skeleton, classes=classes)
    for problem in report.warnings:
        log.warning("warning: %s", problem)
    report.raise_errors()


def _chosen_detector(detector: str, search: Sequence[Path]) -> str:
    """The public name of a detector that was asked for."""
    found = locate(detector, search, detector=True)
    if found.weights is not None:
        raise InputError(
            f"model.detector={detector} is a folder, which would not be part of the trained model: "
            "leave it out, and say detector=FOLDER where the model is used"
        )
    return found.name


def _detector_of_unknown(dataset: DatasetConfig, detector: str) -> str:
    """The model's detector finds what the model was for; other things need another one."""
    names = set(dataset.train[0].categories or ())
    if not names:
        categories = named_content(dataset.train[0])["categories"]
        names = {str(category.get("name")) for category in categories}
    if "person" in names and re.search("person|coco|drawn", detector):
        return detector
    log.warning(
        "%s may not find what these keypoints are of: the trained model takes each image as one "
        "box; model.detector=NAME chooses another",
        detector,
    )
    return "whole_image"


def _augment(config: Mapping[str, Any], key: str, kind: type[Any]) -> Any:
    """What a group's YAML describes; None for an empty one."""
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


def _final_epoch(config: Mapping[str, Any]) -> int | None:
    last = round(config["final_part"] * config["epochs"])
    return config["epochs"] - last if last else None


def _paths(config: Mapping[str, Any], key: str) -> list[str]:
    value = config["dataset"].get(key) or []
    values = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(path, str) and path.endswith(".npz") for path in values):
        raise InputError(f"dataset.{key}: a lifter learns from NPZ files, found {value!r}")
    return [str(Path(config["dataset"].get("root") or "", path)) for path in values]
