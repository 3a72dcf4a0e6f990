"""Options, each declared once. Light: no torch.

A group of options is a frozen dataclass over `Options`; its fields are made by `option`, which
holds what there is to say of each: meaning, unit, range. The check of a value, the default in
`conf/`, the tables in `docs/`, `--help`, completions of a shell and the keywords of a Python
function that `takes` the group all follow from the declaration.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import numbers
import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, Union

import numpy as np

from posekit.config import nearest
from posekit.errors import InputError

__all__ = ["Declared", "Option", "Options", "function_takes", "is_number", "option", "takes"]


@dataclass(frozen=True, kw_only=True)
class Option:
    """What is known of an option besides its name, its type and its default.

    Attributes:
        meaning: for users, in Markdown: what it does; what None means, where it may be None.
        unit: such as "pixels" or "seconds".
        least, most: the ends of its range, both allowed.
        above: its range begins above this.
        below: its range ends below this.
        choices: values that it may have, where its type does not say so.
        only: the models that it has an effect with: "2D", "3D", "lifted", or "" for all.
        python: it means something in Python only, and is no key of a command.
    """

    meaning: str
    unit: str = ""
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[Any, ...] = ()
    only: Literal["", "2D", "3D", "lifted"] = ""
    python: bool = False


def option(default: Any, meaning: str, **known: Any) -> Any:
    """A field of a group of options.

    Args:
        default: its value where nothing is said; a list or a mapping is copied for each group.
        meaning, known: see `Option`.
    """
    metadata = {"option": Option(meaning=meaning, **known)}
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Declared:
    """An option of a group.

    Attributes:
        name: as it is said in Python and on the command line.
        kinds: the types that it may have, None's left out: `bool`, `int`, `float`, `str`,
            `os.PathLike`, `list`, ...; empty where it takes anything or checks itself.
        choices: the values that it may have; empty for all of its type.
        optional: whether it may be None.
        default: its value where nothing is said.
        about: all else.
        group: the dataclass that declares it.
    """

    name: str
    kinds: tuple[Any, ...]
    choices: tuple[Any, ...]
    optional: bool
    default: Any
    about: Option
    group: type[Options]

    def check(self, value: Any) -> None:
        """Refuses a value of another type, beyond the range or not among the choices.

        Raises:
            InputError: names the option, what was expected and what was found.
        """
        if (value is None and self.optional) or not (self.kinds or self.choices):
            return
        if not self._takes(value):
            left_out = ", or left out" if self.optional else ""
            close = nearest(value, self.choices, 1) if isinstance(value, str) else []
            hint = f"; did you mean {close[0]}?" if close else ""
            raise InputError(
                f"{self.name} must be {self.expected}{left_out}, found {value!r}{hint}"
            )

    def _takes(self, value: Any) -> bool:
        if self.choices:
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        return any(_is_a(value, kind) for kind in self.kinds) and self._in_range(value)

    def _in_range(self, value: Any) -> bool:
        about = self.about
        if not is_number(value):
            return True
        return (
            (about.least is None or value >= about.least)
            and (about.most is None or value <= about.most)
            and (about.above is None or value > about.above)
            and (about.below is None or value < about.below)
        )

    @property
    def expected(self) -> str:
        """What it may be, in words: "a whole number of at least 1"."""
        if self.choices:
            several = "one of " if len(self.choices) > 1 else ""
            return f"{several}{', '.join(map(str, self.choices))}"
        return " or ".join(dict.fromkeys(_in_words(kind) for kind in self.kinds)) + self._range

    @property
    def _range(self) -> str:
        about = self.about
        if about.least is not None and about.most is not None:
            return f" from {about.least:g} to {about.most:g}"
        if about.least is not None:
            return f" of at least {about.least:g}"
        if about.above is not None:
            most = "" if about.most is None else f" and at most {about.most:g}"
            most = most if about.below is None else f" and below {about.below:g}"
            return f" above {about.above:g}{most}"
        return "" if about.most is None else f" of at most {about.most:g}"


@dataclass(frozen=True, kw_only=True)
class Options:
    """A group of options; groups of groups inherit from several.

    Raises:
        InputError: a value that an option cannot have.
    """

    def __post_init__(self) -> None:
        for declared in self.declared().values():
            declared.check(getattr(self, declared.name))
        self.check()

    def check(self) -> None:
        """Refuses what single values do not show, such as options that contradict each other."""

    @classmethod
    def declared(cls) -> Mapping[str, Declared]:
        """Its options by name, those of each group in the order of their declaration."""
        known: Any = cls  # which is hashable, whatever its instances are
        return _declared(known)

    @classmethod
    def from_keywords(cls: type[O], keywords: Mapping[str, Any]) -> O:
        """The options that a caller named.

        Raises:
            InputError: an option that does not exist, with the nearest ones, or a wrong value.
        """
        known = list(cls.declared())
        for name in keywords:
            if name not in known:
                close = nearest(name, known)
                hint = f"did you mean {' or '.join(close)}?" if close else f"known: {known}"
                raise InputError(f"unknown option '{name}'; {hint}")
        found = cls(**keywords)
        object.__setattr__(found, "_named", tuple(keywords))
        return found

    @property
    def named(self) -> dict[str, Any]:
        """The options that a caller of `from_keywords` named; all others have their defaults."""
        return {name: getattr(self, name) for name in self.__dict__.get("_named", ())}

    @classmethod
    def from_config(cls: type[O], config: Mapping[str, Any]) -> O:
        """The options among a composed configuration's keys; those of Python only are no keys.

        Raises:
            InputError: a wrong value.
        """
        keys = [name for name, option in cls.declared().items() if not option.about.python]
        return cls(**{name: config[name] for name in keys if name in config})


O = TypeVar("O", bound=Options)  # noqa: E741
P = ParamSpec("P")
S = TypeVar("S")
X = TypeVar("X")
R = TypeVar("R")


def takes(
    group: Callable[P, O],
) -> Callable[[Callable[[S, X, O], R]], Callable[Concatenate[S, X, P], R]]:
    """Lets a method `(self, inputs, options)` be called with the options as keywords.

    Editors and type checkers see each keyword with its type.
    """
    kind: Any = group

    def decorate(method: Callable[[S, X, O], R]) -> Callable[Concatenate[S, X, P], R]:
        @functools.wraps(method)
        def call(self: S, inputs: X, /, *more: P.args, **keywords: P.kwargs) -> R:
            return method(self, inputs, kind.from_keywords(_by_name(kind, more, keywords)))

        call.__signature__ = _with_keywords(method, kind)  # type: ignore[attr-defined]
        return call

    return decorate


def function_takes(
    group: Callable[P, O],
) -> Callable[[Callable[[X, O], R]], Callable[Concatenate[X, P], R]]:
    """As `takes`, for a function `(inputs, options)` by itself.

    Options of a group that is no `kw_only` dataclass may be said without their names.
    """
    kind: Any = group

    def decorate(function: Callable[[X, O], R]) -> Callable[Concatenate[X, P], R]:
        @functools.wraps(function)
        def call(inputs: X, /, *more: P.args, **keywords: P.kwargs) -> R:
            return function(inputs, kind.from_keywords(_by_name(kind, more, keywords)))

        call.__signature__ = _with_keywords(function, kind)  # type: ignore[attr-defined]
        return call

    return decorate


def _by_name(
    group: type[Options], positional: Sequence[Any], keywords: Mapping[str, Any]
) -> Mapping[str, Any]:
    """All that a caller said, as keywords."""
    named = inspect.signature(group).bind_partial(*positional).arguments
    if twice := named.keys() & keywords.keys():
        raise TypeError(f"got multiple values for argument '{min(twice)}'")
    return {**named, **keywords}


def _with_keywords(function: Callable[..., Any], group: type[Options]) -> inspect.Signature:
    """The function's signature with the options as keywords in place of the group."""
    signature = inspect.signature(function)
    *own, _ = signature.parameters.values()
    options = inspect.signature(group).parameters.values()
    theirs = [option for option in options if option.name in group.declared()]
    return signature.replace(parameters=[*own, *theirs])


@functools.cache
def _declared(group: type[Options]) -> Mapping[str, Declared]:
    types_of = typing.get_type_hints(group)
    found = {}
    for field in dataclasses.fields(group):
        about: Option = field.metadata["option"]
        kinds, choices, optional = _split(types_of[field.name])
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        homes = [k for k in group.__mro__ if field.name in vars(k).get("__annotations__", {})]
        found[field.name] = Declared(
            field.name, kinds, choices or about.choices, optional, default, about, homes[0]
        )
    return types.MappingProxyType(found)


def _split(kind: Any) -> tuple[tuple[Any, ...], tuple[Any, ...], bool]:
    """Types, literal values, and whether None is among them."""
    parts = _members(kind)
    optional = type(None) in parts or kind is Any
    parts = [part for part in parts if part is not type(None)]
    choices = tuple(v for part in parts for v in typing.get_args(part) if _is_literal(part))
    kinds = tuple(typing.get_origin(part) or part for part in parts if not _is_literal(part))
    # A function or whatever else `Any` stands for is checked by the group itself.
    if any(part is Any or part is Callable for part in kinds) or (choices and kinds):
        return (), (), optional
    return kinds, choices, optional


def _members(kind: Any) -> list[Any]:
    if typing.get_origin(kind) in (Union, types.UnionType):
        return [member for part in typing.get_args(kind) for member in _members(part)]
    return [kind]


def _is_literal(kind: Any) -> bool:
    return typing.get_origin(kind) is Literal


def _is_a(value: Any, kind: Any) -> bool:
    if kind is bool:
        return isinstance(value, bool)
    if kind is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if kind is float:
        return is_number(value)
    if kind in (list, tuple):
        return isinstance(value, list | tuple)
    return isinstance(value, kind)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, and not true or false."""
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool | np.bool_)
        and math.isfinite(value)
    )


def _in_words(kind: Any) -> str:
    known = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a text",
        list: "a list",
        tuple: "a list",
        dict: "a mapping",
        os.PathLike: "a path",
    }
    return known.get(kind, getattr(kind, "__name__", str(kind)))
