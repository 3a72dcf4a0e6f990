"""What a model is: its YAML as a checked, frozen description.

A YAML says what is special about a model; the rest follows from its network's `FAMILY`, from its
skeleton, and from what one part tells another: `input_size` stands once, and the network has as
many keypoints as the skeleton, as many classes as `classes`. Whatever is unknown, missing or
contradicts itself is one `InputError`, which names the key.

Only posekit's own classes are built from a configuration, unless it is trusted: a class of a file
that somebody else wrote would run whatever that person likes.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from posekit import spec_values as check
from posekit.config import config_path, nearest_keys, read_config, resolve_name
from posekit.errors import InputError, first_line
from posekit.models.family import Family, family_of
from posekit.skeleton import Skeleton, load_skeleton

__all__ = [
    "Component",
    "DetectorSpec",
    "LifterSpec",
    "OneStageSpec",
    "PoseSpec",
    "Spec",
    "find_class",
    "load_spec",
    "plain",
    "read_spec",
]

OWN_PACKAGES = ("posekit.models.", "posekit.codecs.", "posekit.training.losses.")
PADDING = 1.25  # MMPose's, around a box
# What a YAML has under `preprocess`.
PREPROCESS = ("mean", "std", "color", "padding", "udp", "pad_value", "keep_ratio")
THREE_D = frozenset({"root_depth", "simcc_z"})  # outputs of networks that give 3D keypoints
HEATMAP_STRIDE = 4  # pixels of the input in a cell of a heat map, where the YAML does not say


@dataclass(frozen=True)
class Component:
    """A class and the arguments that make an object of it.

    Attributes:
        target: the class, as `package.module.Class`.
        arguments: its keyword arguments, checked against its signature.
    """

    target: str
    arguments: Mapping[str, Any]

    @property
    def family(self) -> Family:
        """What the module of a network says about its kind."""
        return family_of(find_class(self.target))

    @property
    def name(self) -> str:
        """The class's own name."""
        return self.target.rpartition(".")[2]

    def make(self, **more: Any) -> Any:
        """A new object.

        Raises:
            InputError: the class does not take the values.
        """
        try:
            return find_class(self.target)(**{**self.arguments, **more})
        except Exception as error:  # whatever a constructor says to values that it does not know
            raise InputError(f"{self.name} cannot be made: {first_line(error)}") from error

    def having(self, **arguments: Any) -> Component:
        """The same with some arguments replaced."""
        return Component(self.target, {**self.arguments, **arguments})

    def to_config(self) -> dict[str, Any]:
        """As it stands in a YAML, without what stands elsewhere in it."""
        arguments = {k: plain(v) for k, v in self.arguments.items() if k != "input_size"}
        return {"_target_": self.target, **arguments}


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
        """The YAML's values with all that it leaves open, which `read_spec` takes."""
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
        flip_test: whether the mirrored crop is looked at too.
        detector: name of the detector that goes with it; None or "whole_image" for none.
        detector_categories: the detector's classes that the model is for.
        loss: what it is trained with; None takes the usual one of its codec.
        keypoint_weights: what keypoints count in the loss, by pattern of their names.
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
        center: where the training data had people, (x, y) in pixels.
        scale: how large these were, in pixels.
        keypoints: name of the skeleton.
        flip_test: whether the mirrored sequence is looked at too.
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
        """The YAML's values with all that it leaves open, which `read_spec` takes."""
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
        where: what errors call the place, such as the file; None takes the name. With a dot at its
            end it is where the keys stand: "model." of a command's configuration.

    Raises:
        InputError: an unknown, missing or wrong value, or two that contradict each other.
    """
    reader = _Reader(config, where or name, trust)
    if not isinstance(config, Mapping) or "net" not in config:
        raise reader.error("", "expected a mapping with 'net'", config)
    if "classes" in config:
        reader.refuse_beside("classes", ("keypoints", "pose2d"))
        return _read_detector(reader, name)
    if "keypoints" not in config:
        raise InputError(f"{reader.where}keypoints is missing, or classes for a detector")
    if "pose2d" in config:
        reader.refuse_beside("pose2d", ("input_size", "preprocess"))
        return _read_lifter(reader, name, search)
    if reader.network()[0].one_stage:
        return _read_one_stage(reader, name, search)
    return _read_pose(reader, name, search)


def _read_pose(reader: _Reader, name: str, search: Sequence[Path]) -> PoseSpec:
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


def _read_one_stage(reader: _Reader, name: str, search: Sequence[Path]) -> OneStageSpec:
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


def _read_detector(reader: _Reader, name: str) -> DetectorSpec:
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


def _read_lifter(reader: _Reader, name: str, search: Sequence[Path]) -> LifterSpec:
    reader.refuse_unknown(LifterSpec)
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


class _Reader:
    """Takes values out of a configuration; every complaint names the place and the key."""

    def __init__(self, config: Mapping[str, Any], where: str, trust: bool) -> None:
        self.config = config
        self.keys = where if where.endswith(".") else ""  # what stands before each key
        self.where = where if self.keys else f"{where}: "
        self.trust = trust

    def error(self, key: str, what: str, found: Any) -> InputError:
        at = f"{self.where}{key}: " if key else self.where.replace(".", ": ")
        return InputError(f"{at}{what}, found {_shown(found)}")

    def unknown(self, key: str, known: Collection[str]) -> InputError:
        """With the nearest keys, be it misspelt, in the wrong place, or both."""
        hint = " or ".join(f"{self.keys}{name}" for name in nearest_keys(key, known))
        at = "" if self.keys else self.where
        return InputError(
            f"{at}unknown key {self.keys}{key}" + (f"; did you mean {hint}?" if hint else "")
        )

    def value(self, key: str, default: Any, read: Callable[[Any], Any]) -> Any:
        """What a function of `spec_values` makes of a value; `...` makes the key necessary."""
        found: Any = self.config
        for part in key.split("."):
            found = found.get(part, default) if isinstance(found, Mapping) else default
        if found is default and default is not ...:
            return default
        if found is ...:
            raise InputError(f"{self.where}{key} is missing")
        try:
            return read(found)
        except ValueError as error:
            raise self.error(key, f"expected {error}", found) from None

    def text(self, key: str) -> str:
        text: str = self.value(key, ..., check.text)
        return text

    def refuse_beside(self, key: str, others: Sequence[str]) -> None:
        """Names a key of another kind of model than the one that `key` makes it."""
        for other in others:
            if other in self.config:
                raise InputError(
                    f"{self.where}{key} stands beside {self.keys}{other}; leave one out: "
                    "detectors have classes, lifters pose2d, pose models keypoints and input_size"
                )

    def refuse_unknown(self, kind: type[Spec]) -> None:
        """Names the first key that nothing reads, with the nearest that is read."""
        fields = {field.name for field in dataclasses.fields(kind)} - {"name"}
        group, inside = "preprocess", tuple(fields.intersection(PREPROCESS))
        if kind is LifterSpec:
            group, inside = "normalize", ("center", "scale")
        values = self.config.get(group, {})
        if not isinstance(values, Mapping):
            raise self.error(group, "expected a mapping", values)
        known = {*fields.difference(inside), group, *(f"{group}.{name}" for name in inside)}
        accepted = known | ({"preprocess.input_size"} if group == "preprocess" else set())
        for key in (*self.config, *(f"{group}.{name}" for name in values)):
            if key not in accepted:
                raise self.unknown(str(key), known)

    def network(self) -> tuple[Family, str]:
        """The network's family and class."""
        target = self.target("net")
        return family_of(find_class(target)), target

    def input_size(self, network: Family) -> tuple[int, int]:
        """The one size that is given, wherever it stands."""
        places = ("input_size", "preprocess.input_size", "net.input_size", "codec.input_size")
        sizes = {key: self.value(key, None, check.size) for key in places}
        given = {key: size for key, size in sizes.items() if size is not None}
        if not given:
            raise InputError(f"{self.where}input_size is missing: expected [width, height]")
        first, *others = given
        for other in others:
            if given[other] != given[first]:
                raise InputError(
                    f"{self.where}{first} is {list(given[first])}, but {self.keys}{other} is "
                    f"{list(given[other])}; set {self.keys}input_size alone, all others follow"
                )
        width, height = given[first]
        if width % network.stride or height % network.stride:
            what = f"multiples of {network.stride} for this network"
            raise self.error(first, f"expected {what}", [width, height])
        return width, height

    def keypoints(self, skeleton: Skeleton) -> int:
        """The number of keypoints, which network and skeleton must agree on."""
        count = skeleton.num_keypoints
        given: int = self.value("net.num_keypoints", count, check.count)
        if given != count:
            raise InputError(
                f"{self.where}net.num_keypoints is {given}, but the skeleton "
                f"'{skeleton.name}' has {count} keypoints"
            )
        return given

    def normalization(self, network: Family) -> dict[str, Any]:
        """`mean`, `std` and `color`."""
        return {
            "mean": self.value("preprocess.mean", network.mean, check.three_numbers),
            "std": self.value("preprocess.std", network.std, check.three_positive),
            "color": self.value("preprocess.color", network.color, check.color),
        }

    def codec(
        self, network: Family, shared: Mapping[str, Any], otherwise: Mapping[str, Any] | None = None
    ) -> Component:
        """The codec, of the network's family unless the YAML names another.

        Args:
            network: the family.
            shared: as in `component`.
            otherwise: arguments for a codec that needs them and is not given them.
        """
        target = self.target("codec", network.codec)
        reads = getattr(find_class(target), "reads", ())
        if network.outputs and reads and reads != network.outputs:
            raise InputError(
                f"{self.where}codec reads {', '.join(reads)}, but the network gives "
                f"{', '.join(network.outputs)}; leave codec out, or name {network.codec}"
            )
        defaults = dict(network.codec_defaults) if target == network.codec else {}
        return self.component("codec", target, shared, {**(otherwise or {}), **defaults})

    def component(
        self,
        key: str,
        target: str,
        shared: Mapping[str, Any],
        defaults: Mapping[str, Any] | None = None,
    ) -> Component:
        """A class with its arguments.

        Args:
            key: where the YAML has them.
            target: the class.
            shared: arguments that have one value in the whole model; a given one must not differ.
            defaults: for arguments that are not given.
        """
        given = {k: _frozen(v) for k, v in (self.config.get(key) or {}).items() if k != "_target_"}
        made = find_class(target)
        parameters = inspect.signature(made).parameters
        hints = _hints(made)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            for argument in given:
                if argument not in parameters:
                    known = [f"{key}.{name}" for name in parameters]
                    raise self.unknown(f"{key}.{argument}", known)
        arguments: dict[str, Any] = {}
        for argument, parameter in parameters.items():
            if argument in given:
                value = self._agreeing(key, argument, given[argument], shared)
                if (read := check.argument(hints.get(argument))) is not None:
                    value = self.value(f"{key}.{argument}", ..., read)
                arguments[argument] = value
            elif argument in shared:
                arguments[argument] = shared[argument]
            elif defaults and argument in defaults:
                arguments[argument] = defaults[argument]
            elif parameter.default is not parameter.empty:
                arguments[argument] = _frozen(parameter.default)
            elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise InputError(f"{self.where}{key}.{argument} is missing")
        return Component(target, {**given, **arguments})

    def _agreeing(self, key: str, argument: str, value: Any, shared: Mapping[str, Any]) -> Any:
        """The value, which must be plain, and that of the whole model where there is one."""
        if _holds_target(value):
            raise self.error(
                f"{key}.{argument}", "expected a plain value: nothing nested is built", value
            )
        if argument in shared and value != shared[argument]:
            raise InputError(
                f"{self.where}{key}.{argument} is {_shown(value)}, but the rest of the model has "
                f"{_shown(shared[argument])}"
            )
        return value

    def target(self, key: str, default: str | None = None) -> str:
        values = self.config.get(key)
        if values is None and default is None:
            raise InputError(f"{self.where}{key} is missing")
        if values is not None and not isinstance(values, Mapping):
            raise self.error(key, "expected a mapping with '_target_'", values)
        target = (values or {}).get("_target_", default)
        if target is None:
            raise InputError(f"{self.where}{key}._target_ is missing: name the class")
        words = target.split(".") if isinstance(target, str) else []
        if len(words) < 2 or not all(word.isidentifier() for word in words):
            raise self.error(f"{key}._target_", "expected a class as package.module.Class", target)
        if not self.trust and not _is_own(target):
            raise InputError(
                f"{self.where}{key}._target_ is {target}, which is not one of posekit's networks "
                "and codecs and could run anything; if you know who wrote it, pass trust=true, or "
                "name the folder as your own with --config-dir (config_dir= in Python)"
            )
        try:
            found = find_class(target)
        except InputError as error:
            raise InputError(f"{self.where}{key}.{error}") from None
        if not (hasattr(found, "decode") if key == "codec" else issubclass(found, nn.Module)):
            what = "a class with 'decode'" if key == "codec" else "a torch.nn.Module"
            raise self.error(f"{key}._target_", f"expected {what}", target)
        return target


def _is_own(target: str) -> bool:
    """Whether it is a class that a module of posekit's networks or codecs defines."""
    if not target.startswith(OWN_PACKAGES):
        return False
    try:
        found = find_class(target)
    except InputError:
        return True  # which the reader will say
    return found.__module__ == target.rpartition(".")[0]


def find_class(target: str) -> type[Any]:
    """The class of a `_target_`, `package.module.Class`; importing it may run code.

    Raises:
        InputError: there is none.
    """
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # a user's module may fail in any way
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"_target_ {target} cannot be imported: {reason}") from error
    if not inspect.isclass(found):
        raise InputError(f"_target_ {target}: the module {module} has no such class")
    return found


def _hints(made: type[Any]) -> dict[str, Any]:
    """Types of a class's arguments; none of those that cannot be looked up."""
    try:
        return typing.get_type_hints(made.__init__)
    except (AttributeError, NameError, TypeError):
        return {}


def _frozen(value: Any) -> Any:
    """Lists as tuples, so that descriptions can be compared and do not change."""
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    return value


def plain(value: Any) -> Any:
    """Tuples as lists, as YAML has them, and components as they stand in it."""
    if isinstance(value, Component):
        return value.to_config()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _holds_target(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(_holds_target(item) for item in value.values())
    return isinstance(value, tuple) and any(_holds_target(item) for item in value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
