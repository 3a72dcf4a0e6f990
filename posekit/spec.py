"""What a model is: its YAML as a checked, frozen description.

A YAML says what is special about a model; the rest follows from its network's `FAMILY`, from its
skeleton, and from what one part tells another: `input_size` stands once, and the network has as
many keypoints as the skeleton, as many classes as `classes`. Whatever is unknown, missing or
contradicts itself is one `InputError`, which names the key.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posekit import spec_values as check
from posekit.component import Component, plain
from posekit.config import config_path, read_config, resolve_name
from posekit.errors import InputError
from posekit.skeleton import load_skeleton
from posekit.spec_reader import PREPROCESS, SpecReader

__all__ = [
    "DetectorSpec",
    "LifterSpec",
    "OneStageSpec",
    "PoseSpec",
    "Spec",
    "load_spec",
    "read_spec",
]

PADDING = 1.25  # MMPose's, around a box
THREE_D = frozenset({"root_depth", "simcc_z"})  # outputs of networks that give 3D keypoints
HEATMAP_STRIDE = 4  # pixels of the input in a cell of a heat map, where the YAML does not say


@dataclass(frozen=True, kw_only=True)
class _ImageSpec:
    """What models that see an image have in common.

    Attributes:
        name: the public name.
        net: the network.
        codec: its outputs <-> coordinates.
        input_size: (w, h) of the network's input, in pixels.
        mean: subtracted from each channel, in the order of `color`, 0 to 255.
        std: divides each channel then.
        color: the order of the channels that the network takes: "rgb" or "bgr".
    """

    name: str
    net: Component
    codec: Component
    input_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    color: str

    @property
    def normalization(self) -> dict[str, Any]:
        """`mean`, `std` and `color`, as `transforms.image.Normalize` takes them."""
        return {"mean": self.mean, "std": self.std, "color": self.color}

    def to_config(self) -> dict[str, Any]:
        """The YAML's values including what it leaves open, as `read_spec` takes them."""
        values = {
            field.name: plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name not in ("name", "net", "codec", *PREPROCESS)
        }
        preprocess = {key: plain(getattr(self, key)) for key in PREPROCESS if hasattr(self, key)}
        size = values.pop("input_size")
        if not values.get("loss", True):
            del values["loss"]
        return {
            "net": self.net.to_config(),
            "input_size": size,
            "preprocess": preprocess,
            "codec": self.codec.to_config(),
            **values,
        }


@dataclass(frozen=True, kw_only=True)
class PoseSpec(_ImageSpec):
    """A top-down pose model.

    Attributes:
        padding: sides of a crop, in multiples of its box's.
        udp: whether pixels are points of a grid (UDP) or cells of it.
        keypoints: name of the skeleton.
        flip_test: whether the mirrored crop is estimated and averaged too.
        detector: name of the detector that goes with it; None or "whole_image" for none.
        detector_categories: the detector's classes that the model is for.
        loss: what it is trained with; None takes the usual one of its codec.
        keypoint_weights: weights of keypoints in the loss, by patterns of their names.
        keypoints_3d: whether it gives 3D keypoints beside the 2D ones.
        note: what a user should know before relying on it.
        sample: a packaged picture to show it on.
    """

    padding: float = PADDING
    udp: bool = False
    keypoints: str
    flip_test: bool = True
    detector: str | None = None
    detector_categories: tuple[int, ...] = (0,)
    loss: Component | None = None
    keypoint_weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    keypoints_3d: bool = False
    note: str | None = None
    sample: str | None = None


@dataclass(frozen=True, kw_only=True)
class OneStageSpec(_ImageSpec):
    """A model that finds all people of an image and their keypoints in one pass.

    Attributes:
        pad_value: what fills the input around the image, 0 to 255.
        keypoints: name of the skeleton.
        score_threshold: people of a lower score are left out.
        nms_threshold: IoU above which the lower of two boxes goes.
        note: what a user should know before relying on it.
        sample: a packaged picture to show it on.
    """

    pad_value: int = 114
    keypoints: str
    score_threshold: float
    nms_threshold: float
    note: str | None = None
    sample: str | None = None


@dataclass(frozen=True, kw_only=True)
class DetectorSpec(_ImageSpec):
    """A detector.

    Attributes:
        pad_value: what fills the input around the image, 0 to 255.
        keep_ratio: whether the image keeps its shape in the input.
        clip_boxes: whether boxes end at the border of the input.
        nms_threshold: IoU above which the lower of two boxes of a class goes.
        max_detections: most boxes of an image.
        classes: names, in the order of the network's outputs.
        note: what a user should know before relying on it.
    """

    pad_value: int = 114
    keep_ratio: bool = True
    clip_boxes: bool = True
    nms_threshold: float
    max_detections: int
    classes: tuple[str, ...]
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class LifterSpec:
    """A model that lifts 2D keypoints over time to 3D.

    Attributes:
        name: the public name.
        net: the network.
        codec: its outputs <-> coordinates.
        center: the place of people in the training data, (x, y) in pixels.
        scale: the size of these people, in pixels.
        keypoints: name of the skeleton.
        flip_test: whether the mirrored sequence is lifted and averaged too.
        pose2d: name of the model that finds the 2D keypoints.
        note: what a user should know before relying on it.
    """

    name: str
    net: Component
    codec: Component
    center: tuple[float, float]
    scale: float
    keypoints: str
    flip_test: bool = True
    pose2d: str
    note: str | None = None

    def to_config(self) -> dict[str, Any]:
        """The YAML's values including what it leaves open, as `read_spec` takes them."""
        rest = ("keypoints", "flip_test", "pose2d", "note")
        return {
            "net": self.net.to_config(),
            "codec": self.codec.to_config(),
            "normalize": {"center": list(self.center), "scale": self.scale},
            **{key: getattr(self, key) for key in rest},
        }

    @property
    def max_frames(self) -> int:
        """The longest sequence that the network takes, in frames."""
        frames: int = self.net.arguments["max_frames"]
        return frames


Spec = PoseSpec | OneStageSpec | DetectorSpec | LifterSpec


def load_spec(name: str, search: Sequence[Path] = (), *, trust: bool = False) -> Spec:
    """The description of a model that has a YAML.

    Args:
        name: any name of it.
        search: folders of configurations that come before the packaged ones.
        trust: allow classes that are not posekit's.

    Raises:
        UnknownModelError: no such model.
        InputError: as `read_spec`.
    """
    name = resolve_name(name, search)
    where = str(config_path(name, search))
    return read_spec(read_config(name, search), name, search=search, trust=trust, where=where)


def read_spec(
    config: Mapping[str, Any],
    name: str,
    *,
    search: Sequence[Path] = (),
    trust: bool = False,
    where: str | None = None,
) -> Spec:
    """Checks the values of a YAML and fills in what they leave open.

    Args:
        config: plain Python values; docs/adding-a-checkpoint.md has each key.
        name: the model's public name.
        search: folders of skeletons that come before the packaged ones.
        trust: allow classes that are not posekit's.
        where: the place that errors name, such as the file; None takes `name`. With a dot at its
            end it is a prefix of the keys, such as "model." in a command's configuration.

    Raises:
        InputError: an unknown, missing or wrong value, or two that contradict each other.
    """
    reader = SpecReader(config, where or name, trust)
    if not isinstance(config, Mapping) or "net" not in config:
        raise reader.error("", "expected a mapping with 'net'", config)
    if "classes" in config:
        reader.refuse_beside("classes", ("keypoints", "pose2d"))
        return _read_detector(reader, name)
    if "keypoints" not in config:
        raise InputError(f"{reader.where}keypoints is missing (or, for a detector, classes)")
    if "pose2d" in config:
        reader.refuse_beside("pose2d", ("input_size", "preprocess"))
        return _read_lifter(reader, name, search)
    if reader.network()[0].one_stage:
        return _read_one_stage(reader, name, search)
    return _read_pose(reader, name, search)


def _read_pose(reader: SpecReader, name: str, search: Sequence[Path]) -> PoseSpec:
    reader.refuse_unknown(PoseSpec)
    config = reader.config
    keypoints = reader.text("keypoints")
    skeleton = load_skeleton(keypoints, search=search)
    network, target = reader.network()
    size = reader.input_size(network)
    shared = {"input_size": size, "num_keypoints": reader.keypoints(skeleton)}
    quarter = tuple(side // HEATMAP_STRIDE for side in size)
    codec = reader.codec(network, shared, {"heatmap_size": quarter})
    if "split_ratio" in codec.arguments:
        shared["split_ratio"] = codec.arguments["split_ratio"]
    keypoints_3d = reader.value("keypoints_3d", False, check.boolean)
    if keypoints_3d and network.outputs and not THREE_D.intersection(network.outputs):
        raise reader.error("keypoints_3d", "expected false: the network gives none", True)
    return PoseSpec(
        name=name,
        net=reader.component("net", target, shared),
        codec=codec,
        input_size=size,
        **reader.normalization(network),
        padding=reader.value("preprocess.padding", PADDING, check.positive),
        udp=reader.value("preprocess.udp", False, check.boolean),
        keypoints=keypoints,
        flip_test=reader.value("flip_test", True, check.boolean),
        detector=reader.value("detector", None, check.text_or_none),
        detector_categories=reader.value("detector_categories", (0,), check.indices),
        loss=reader.component("loss", reader.target("loss"), {}) if "loss" in config else None,
        keypoint_weights=reader.value("keypoint_weights", {}, check.weights),
        keypoints_3d=keypoints_3d,
        note=reader.value("note", None, check.sentence),
        sample=reader.value("sample", None, check.file_name),
    )


def _read_one_stage(reader: SpecReader, name: str, search: Sequence[Path]) -> OneStageSpec:
    if "detector" in reader.config:
        raise InputError(
            f"{reader.where}detector: leave it out, {reader.network()[1].rpartition('.')[2]} finds "
            "the people itself"
        )
    reader.refuse_unknown(OneStageSpec)
    keypoints = reader.text("keypoints")
    skeleton = load_skeleton(keypoints, search=search)
    network, target = reader.network()
    size = reader.input_size(network)
    shared = {"input_size": size, "num_keypoints": reader.keypoints(skeleton)}
    return OneStageSpec(
        name=name,
        net=reader.component("net", target, shared),
        codec=reader.codec(network, shared),
        input_size=size,
        **reader.normalization(network),
        pad_value=reader.value("preprocess.pad_value", network.pad_value, check.byte),
        keypoints=keypoints,
        score_threshold=reader.value("score_threshold", ..., check.part),
        nms_threshold=reader.value("nms_threshold", ..., check.part),
        note=reader.value("note", None, check.sentence),
        sample=reader.value("sample", None, check.file_name),
    )


def _read_detector(reader: SpecReader, name: str) -> DetectorSpec:
    reader.refuse_unknown(DetectorSpec)
    network, target = reader.network()
    size = reader.input_size(network)
    classes = reader.value("classes", ..., check.texts)
    count = reader.value("net.num_classes", len(classes), check.count)
    if count != len(classes):
        raise reader.error(
            "classes", f"expected {count} names, as many as net.num_classes", classes
        )
    shared = {"input_size": size, "num_classes": count}
    return DetectorSpec(
        name=name,
        net=reader.component("net", target, shared),
        codec=reader.codec(network, shared),
        input_size=size,
        **reader.normalization(network),
        pad_value=reader.value("preprocess.pad_value", network.pad_value, check.byte),
        keep_ratio=reader.value("preprocess.keep_ratio", network.keep_ratio, check.boolean),
        clip_boxes=reader.value("clip_boxes", network.clip_boxes, check.boolean),
        nms_threshold=reader.value("nms_threshold", ..., check.part),
        max_detections=reader.value("max_detections", ..., check.count),
        classes=classes,
        note=reader.value("note", None, check.sentence),
    )


def _read_lifter(reader: SpecReader, name: str, search: Sequence[Path]) -> LifterSpec:
    reader.refuse_unknown(LifterSpec, "normalize", ("center", "scale"))
    keypoints = reader.text("keypoints")
    network, target = reader.network()
    skeleton = load_skeleton(keypoints, search=search)
    shared = {"num_keypoints": reader.keypoints(skeleton)}
    net = reader.component("net", target, shared)
    frames = net.arguments.get("max_frames")
    if not isinstance(frames, int) or frames < 1:
        raise reader.error("net.max_frames", "expected a number of frames", frames)
    return LifterSpec(
        name=name,
        net=net,
        codec=reader.codec(network, {}),
        center=reader.value("normalize.center", ..., check.two_numbers),
        scale=reader.value("normalize.scale", ..., check.positive),
        keypoints=keypoints,
        flip_test=reader.value("flip_test", True, check.boolean),
        pose2d=reader.text("pose2d"),
        note=reader.value("note", None, check.sentence),
    )
