"""Options, each declared once. Light: no torch.

A group of options is a frozen dataclass over `Options`; its fields are made by `option`, which
holds what is known about each: meaning, unit, range. The check of a value, the default in `conf/`,
the tables in `docs/`, `--help`, completions of a shell and the keywords of a Python function that
`takes` the group all follow from the declaration.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import numbers
import os
import re
import textwrap
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, Union

import numpy as np

from posekit.config import nearest
from posekit.errors import InputError

__all__ = [
    "Declared", "Option", "Options", "document", "function_takes", "is_number", "option", "takes",
]  # fmt: skip

SAME = object()  # as in Python


@dataclass(frozen=True, kw_only=True)
class Option:
    """What is known about an option besides its name, its type and its default.

    Attributes:
        meaning: for users, in Markdown: what it does; what None means, where it may be None.
        unit: such as "pixels" or "seconds".
        least, most: the ends of its range, both allowed.
        above: its range begins above this.
        below: its range ends below this.
        choices: values that it may have, where its type does not say so; of `Any`, some of them.
        only: the models that it has an effect with: "2D", "3D", "lifted", or "" for all.
        python: whether it exists in Python only, and is not a key of a command.
        as_key: its default as a key of a command, if that differs from the one in Python.
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
    as_key: Any = SAME


def option(default: Any, meaning: str, **known: Any) -> Any:
    """A field of a group of options.

    Args:
        default: its value if unset; a list or a mapping is copied for each group.
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
        name: its name in Python and on the command line.
        kinds: the types that it may have, None's left out: `bool`, `int`, `float`, `str`,
            `os.PathLike`, `list`, ...; empty where it takes anything or checks itself.
        choices: values that it may have by name; beside those of its `kinds`, where it has some.
        free: it takes anything, or its group checks it.
        optional: whether it may be None.
        default: its value if unset.
        about: all else.
        group: the dataclass that declares it.
    """

    name: str
    kinds: tuple[Any, ...]
    choices: tuple[Any, ...]
    free: bool
    optional: bool
    default: Any
    about: Option
    group: type[Options]

    def check(self, value: Any) -> None:
        """Refuses a value of another type, beyond the range or not among the choices.

        Raises:
            InputError: names the option, what was expected and what was found.
        """
        if self.free or (value is None and self.optional):
            return
        if not self._takes(value):
            left_out = ", or left out" if self.optional else ""
            close = nearest(value, self.choices, 1) if isinstance(value, str) else []
            hint = f"; did you mean {close[0]}?" if close else ""
            raise InputError(
                f"{self.name} must be {self.expected}{left_out}, found {value!r}{hint}"
            )

    def _takes(self, value: Any) -> bool:
        if any(type(value) is type(choice) and value == choice for choice in self.choices):
            return True
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
    def key_default(self) -> Any:
        """Its default as a key of a command."""
        about = self.about
        return self.default if about.as_key is SAME else about.as_key

    def text(self, *, measure: bool = True) -> str:
        """What it means and which models it is for, in Markdown; no full stop.

        Args:
            measure: with its unit and range.
        """
        about = self.about
        first, semicolon, rest = about.meaning.partition(";")
        words = [about.unit, self._range.removeprefix(" from").removeprefix(" of").strip()]
        inside = ", ".join(filter(None, words)) if measure else ""
        models = {"": "", "lifted": "; for models that lift 2D poses"}
        only = models.get(about.only, f"; for {about.only} models")
        return f"{first}{inside and f' ({inside})'}{semicolon}{rest}{only}"

    @property
    def expected(self) -> str:
        """What it may be, in words: "a whole number of at least 1"."""
        if not self.choices:
            return self.expected_kinds
        several = "one of " if len(self.choices) > 1 else ""
        by_name = f"{several}{', '.join(map(str, self.choices))}"
        return f"{by_name} or {self.expected_kinds}" if self.kinds else by_name

    @property
    def expected_kinds(self) -> str:
        """As `expected`, without the values that go by name; empty where there are no others."""
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
        for group in reversed(type(self).__mro__):
            if check := vars(group).get("check"):
                check(self)

    def check(self) -> None:
        """Refuses what single values do not show, such as contradictions between options.

        Each group has its own, which is called beside those of the groups that it inherits.
        """

    @classmethod
    def declared(cls) -> Mapping[str, Declared]:
        """Its options by name: those of the groups that it inherits come first, in order."""
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
        """The options among a composed configuration's keys; those for Python only have no keys.

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
F = TypeVar("F", bound=Callable[..., Any])


def takes(
    group: Callable[P, O],
) -> Callable[[Callable[[S, X, O], R]], Callable[Concatenate[S, X, P], R]]:
    """Lets a method `(self, inputs, options)` be called with the options as keywords.

    Editors and type checkers see each keyword with its type, and `help` what `document` adds.
    """
    return functools.partial(_with_keywords, group=group)


def function_takes(
    group: Callable[P, O],
) -> Callable[[Callable[[X, O], R]], Callable[Concatenate[X, P], R]]:
    """As `takes`, for a function `(inputs, options)` by itself.

    Options of a group that is not a `kw_only` dataclass may be passed by position.
    """
    return functools.partial(_with_keywords, group=group)


def _with_keywords(function: Callable[..., Any], group: Any) -> Any:
    """The function with the options as keywords in place of the group, its last parameter."""
    signature = inspect.signature(function)
    *own, _ = signature.parameters.values()
    of_group = inspect.signature(group).parameters
    theirs = [of_group[name] for name in group.declared()]
    by_place = [*own, *(option for option in theirs if option.kind is not option.KEYWORD_ONLY)]
    placed = signature.replace(parameters=by_place)

    @functools.wraps(function)
    def call(*given: Any, **keywords: Any) -> Any:
        named = {p.name: keywords.pop(p.name) for p in by_place if p.name in keywords}
        said = placed.bind(*given, **named).arguments
        first = [said.pop(parameter.name) for parameter in own]
        return function(*first, group.from_keywords({**said, **keywords}))

    known: Any = call
    known.__signature__ = signature.replace(parameters=[*own, *theirs])
    return document(group)(known)


def document(group: type[Options]) -> Callable[[F], F]:
    """Describes the options of a group in place of the line `{options}` in a docstring.

    Options that the docstring names before that line are left out.
    """

    def entry(option: Declared, indent: str) -> str:
        text = f"{option.name}: {option.text()}. Default: {option.default!r}."
        indents = {"initial_indent": indent, "subsequent_indent": f"{indent}    "}
        return textwrap.fill(text, 100, break_on_hyphens=False, **indents)  # type: ignore[arg-type]

    def decorate(function: F) -> F:
        place = re.compile(r"^( *)\{options\}$", re.MULTILINE)
        parts = place.split(function.__doc__ or "", maxsplit=1)
        if len(parts) == 1:
            return function
        before, indent, after = parts
        options = group.declared().values()
        said = [o for o in options if not re.search(rf"^ *{o.name}: ", before, re.MULTILINE)]
        function.__doc__ = before + "\n".join(entry(o, indent) for o in said) + after
        return function

    return decorate


@functools.cache
def _declared(group: type[Options]) -> Mapping[str, Declared]:
    types_of = typing.get_type_hints(group)
    fields = {field.name: field for field in dataclasses.fields(group)}
    found = {}
    for name in _in_order(group):
        field = fields[name]
        about: Option = field.metadata["option"]
        kinds, choices, free, optional = _split(types_of[name])
        if about.choices:  # of `Any`: these, or what its group takes
            kinds, choices = (), about.choices
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        home = next(k for k in group.__mro__ if name in _own(k))
        found[name] = Declared(name, kinds, choices, free, optional, default, about, home)
    return types.MappingProxyType(found)


def _own(group: type[Any]) -> Mapping[str, Any]:
    return vars(group).get("__annotations__", {})


def _in_order(group: type[Options]) -> list[str]:
    """Names as they are read: those of the first group that it inherits first, its own last."""
    names = [
        name for base in group.__bases__ if issubclass(base, Options) for name in _in_order(base)
    ]
    # One that is declared anew goes where it is declared last.
    own = list(_own(group))
    return [*dict.fromkeys(name for name in names if name not in own), *own]


def _split(kind: Any) -> tuple[tuple[Any, ...], tuple[Any, ...], bool, bool]:
    """Types, literal values, whether others may do too, and whether None is among them."""
    parts = _members(kind)
    optional = type(None) in parts or kind is Any
    parts = [part for part in parts if part is not type(None)]
    choices = tuple(v for part in parts for v in typing.get_args(part) if _is_literal(part))
    kinds = tuple(typing.get_origin(part) or part for part in parts if not _is_literal(part))
    # A function or whatever else `Any` stands for is checked by the group itself.
    objects = bool(choices) and not set(kinds) <= {bool, int, float}
    free = any(part is Any or part is Callable for part in kinds) or objects
    return (() if free else kinds), choices, free, optional


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
    if kind in (Collection, Sequence):
        return isinstance(value, kind) and not isinstance(value, str | bytes)
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
        Collection: "a list",
        Sequence: "a list",
        dict: "a mapping",
        os.PathLike: "a path",
    }
    return known.get(kind, getattr(kind, "__name__", str(kind)))
