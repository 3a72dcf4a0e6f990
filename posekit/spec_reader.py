"""Reads the values of a model's YAML, each checked; every error names place and key.

Only posekit's own classes are found, unless the configuration is trusted: a class of a file that
somebody else wrote would run whatever that person likes.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from torch import nn

from posekit import spec_values as check
from posekit.component import Component, find_class
from posekit.config import nearest_keys
from posekit.errors import InputError
from posekit.models.family import Family, family_of
from posekit.skeleton import Skeleton

__all__ = ["PREPROCESS", "SpecReader"]

# What a YAML has under `preprocess`.
PREPROCESS = ("mean", "std", "color", "padding", "udp", "pad_value", "keep_ratio")
OWN_PACKAGES = ("posekit.models.", "posekit.codecs.", "posekit.training.losses.")


class SpecReader:
    """Reads values from a configuration; every error names the place and the key."""

    def __init__(self, config: Mapping[str, Any], where: str, trust: bool) -> None:
        self.config = config
        self.keys = where if where.endswith(".") else ""  # what stands before each key
        self.where = where if self.keys else f"{where}: "
        self.trust = trust

    def error(self, key: str, what: str, found: Any) -> InputError:
        at = f"{self.where}{key}: " if key else self.where.replace(".", ": ")
        return InputError(f"{at}{what}, found {_short_repr(found)}")

    def unknown(self, key: str, known: Collection[str]) -> InputError:
        """The error for an unknown key, with the nearest keys, for one misspelt or misplaced."""
        hint = " or ".join(f"{self.keys}{name}" for name in nearest_keys(key, known))
        at = "" if self.keys else self.where
        return InputError(
            f"{at}unknown key {self.keys}{key}" + (f"; did you mean {hint}?" if hint else "")
        )

    def value(self, key: str, default: Any, read: Callable[[Any], Any]) -> Any:
        """A value, read by a function of `spec_values`; the default `...` requires the key."""
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
        """Refuses keys of another kind of model than the one that `key` implies."""
        for other in others:
            if other in self.config:
                raise InputError(
                    f"{self.where}{key} cannot be combined with {self.keys}{other}; leave one "
                    "out: detectors have classes, lifters pose2d, pose models keypoints and "
                    "input_size"
                )

    def refuse_unknown(
        self, kind: type[Any], group: str = "preprocess", within: Sequence[str] = PREPROCESS
    ) -> None:
        """Refuses the first key that nothing reads, and names the nearest that is read.

        Args:
            kind: the description's class, whose fields are the keys.
            group: a mapping of the YAML that holds some of the fields.
            within: which fields these are, as far as the class has them.
        """
        fields = {field.name for field in dataclasses.fields(kind)} - {"name"}
        inside = tuple(fields.intersection(within))
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
        """The one input size that is given, wherever it stands."""
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
        given = {
            k: _as_tuples(v) for k, v in (self.config.get(key) or {}).items() if k != "_target_"
        }
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
                value = self._agreed_value(key, argument, given[argument], shared)
                if (read := check.argument(hints.get(argument))) is not None:
                    value = self.value(f"{key}.{argument}", ..., read)
                arguments[argument] = value
            elif argument in shared:
                arguments[argument] = shared[argument]
            elif defaults and argument in defaults:
                arguments[argument] = defaults[argument]
            elif parameter.default is not parameter.empty:
                arguments[argument] = _as_tuples(parameter.default)
            elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise InputError(f"{self.where}{key}.{argument} is missing")
        return Component(target, {**given, **arguments})

    def _agreed_value(self, key: str, argument: str, value: Any, shared: Mapping[str, Any]) -> Any:
        """The value, which must be plain, and that of the whole model where there is one."""
        if _holds_target(value):
            raise self.error(
                f"{key}.{argument}", "expected a plain value: nothing nested is built", value
            )
        if argument in shared and value != shared[argument]:
            raise InputError(
                f"{self.where}{key}.{argument} is {_short_repr(value)}, but the rest of the model "
                f"has {_short_repr(shared[argument])}"
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


def _hints(made: type[Any]) -> dict[str, Any]:
    """Types of a class's arguments; none of those that cannot be looked up."""
    try:
        return typing.get_type_hints(made.__init__)
    except (AttributeError, NameError, TypeError):
        return {}


def _as_tuples(value: Any) -> Any:
    """Lists as tuples, so that descriptions can be compared and do not change."""
    if isinstance(value, list | tuple):
        return tuple(_as_tuples(item) for item in value)
    return value


def _holds_target(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(_holds_target(item) for item in value.values())
    return isinstance(value, tuple) and any(_holds_target(item) for item in value)


def _short_repr(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
