"""Checks of a configuration's values: each function returns the value in one form.

All take one value and raise a ValueError that says what was expected, to go after "expected".
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Literal, Union, get_args, get_origin

__all__ = [
    "argument",
    "boolean",
    "byte",
    "color",
    "count",
    "file_name",
    "indices",
    "part",
    "positive",
    "sentence",
    "size",
    "text",
    "text_or_none",
    "texts",
    "three_numbers",
    "three_positive",
    "two_numbers",
    "weights",
]

LARGEST_COUNT = 2**31 - 1  # what engines count with
LARGEST_ARGUMENT = 100_000  # of a network; one of more layers or channels would never be made


def _is_number(value: Any) -> bool:
    # Not `isfinite`, which fails for whole numbers that no float holds.
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def text(value: Any) -> str:
    """A text of one line, without terminal control characters."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("a text of one line")
    return value


def sentence(value: Any) -> str | None:
    """As `text`, also over several lines of the file; None stays None."""
    return text(" ".join(value.split()) if isinstance(value, str) else value) if value else None


def file_name(value: Any) -> str | None:
    """The name of a file in a known folder, which cannot lead out of it; None stays None."""
    if value is None:
        return None
    name = text(value)
    if name in (".", "..") or any(
        kind(name).name != name for kind in (PurePosixPath, PureWindowsPath)
    ):
        raise ValueError("the name of a file, without folders")
    return name


def text_or_none(value: Any) -> str | None:
    return None if value is None else text(value)


def texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("a list of texts")
    if not all(isinstance(item, str) and item for item in value):
        raise ValueError("a list of texts")
    return tuple(value)


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def positive(value: Any) -> float:
    if not _is_number(value) or value <= 0:
        raise ValueError("a positive number")
    return float(value)


def weights(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise ValueError("patterns of keypoint names with a number each")
    if not all(isinstance(key, str) and _is_number(v) and v >= 0 for key, v in value.items()):
        raise ValueError("patterns of keypoint names with a number each")
    return {key: float(weight) for key, weight in value.items()}


def part(value: Any) -> float:
    if not _is_number(value) or not 0 <= value <= 1:
        raise ValueError("a number from 0 to 1")
    return float(value)


def count(value: Any) -> int:
    if not _is_whole(value) or not 1 <= value <= LARGEST_COUNT:
        raise ValueError(f"a whole number of at least 1, up to {LARGEST_COUNT}")
    return value


def byte(value: Any) -> int:
    if not _is_whole(value) or not 0 <= value <= 255:
        raise ValueError("a whole number from 0 to 255")
    return value


def indices(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("a list of class numbers")
    if not all(_is_whole(i) and 0 <= i <= LARGEST_COUNT for i in value):
        raise ValueError("a list of class numbers")
    return tuple(value)


def _numbers(value: Any, length: int, what: str) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) != length:
        raise ValueError(what)
    if not all(_is_number(item) for item in value):
        raise ValueError(what)
    return tuple(float(item) for item in value)


def two_numbers(value: Any) -> tuple[float, ...]:
    return _numbers(value, 2, "two numbers")


def three_numbers(value: Any) -> tuple[float, ...]:
    return _numbers(value, 3, "three numbers, one per channel")


def three_positive(value: Any) -> tuple[float, ...]:
    numbers = three_numbers(value)
    if min(numbers) <= 0:
        raise ValueError("three positive numbers, one per channel")
    return numbers


def size(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("[width, height] in whole pixels")
    try:
        return tuple(count(side) for side in value)
    except ValueError:
        raise ValueError("[width, height] in whole pixels") from None


def color(value: Any) -> str:
    if value not in ("rgb", "bgr"):
        raise ValueError("rgb or bgr")
    return str(value)


def argument(annotation: Any) -> Callable[[Any], Any] | None:
    """The check of a class's argument by its type hint; None if the hint gives no check.

    Hints of posekit's networks and codecs are numbers, booleans, texts, choices of these, sequences
    of numbers, and None beside them.
    """
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        inner = argument(kinds[0]) if len(kinds) == 1 else None
        return None if inner is None else lambda value: None if value is None else inner(value)
    if get_origin(annotation) is Literal:
        return lambda value: _choice(value, get_args(annotation))
    if get_origin(annotation) is Sequence and get_args(annotation)[0] in (int, float):
        return lambda value: _sequence(value, get_args(annotation)[0])
    return {int: _whole, float: _number, bool: boolean, str: text}.get(annotation)


def _whole(value: Any) -> int:
    if not _is_whole(value) or abs(value) > LARGEST_ARGUMENT:
        raise ValueError(f"a whole number, up to {LARGEST_ARGUMENT}")
    return int(value)


def _number(value: Any) -> float:
    if not _is_number(value) or abs(value) > LARGEST_ARGUMENT:
        raise ValueError(f"a number, up to {LARGEST_ARGUMENT}")
    return float(value)


def _choice(value: Any, choices: Sequence[Any]) -> Any:
    if value not in choices:
        raise ValueError(" or ".join(str(choice) for choice in choices))
    return value


def _sequence(value: Any, kind: type) -> Any:
    whole = kind is int
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"a list of {'whole ' if whole else ''}numbers")
    try:
        return tuple((_whole if whole else _number)(item) for item in value)
    except ValueError:
        raise ValueError(f"a list of {'whole ' if whole else ''}numbers") from None
