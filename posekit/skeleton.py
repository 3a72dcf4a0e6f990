"""Skeletons: what the keypoints of a data set are called, how they mirror, link and are coloured.

One YAML in `conf/keypoints/` is one skeleton:

    colors: {blue: [51, 153, 255], green: [0, 255, 0]}  # RGB, named for the rows below
    keypoints:                                          # name, colour, sigma (in all or in none)
      - [nose, blue, 0.026]
      - [left_eye, green, 0.025]
      - [right_eye, [255, 128, 0], 0.025]
    flip_pairs: [[left_eye, right_eye]]                 # the rest stay where they are
    links: [[nose, left_eye, green], [nose, right_eye, blue]]
    upper_body: [nose, left_eye, right_eye]
    lower_body: []
    weights: [1, 1, 1.2]                                # of each keypoint; all 1 where left out
    openpose: coco_openpose                             # the skeleton of OpenPose's style, if any

Only `keypoints` is required. Imports nothing heavy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from posekit.config import CONF_DIR, nearest
from posekit.errors import InputError
from posekit.plain_yaml import read_yaml

__all__ = [
    "Color",
    "Skeleton",
    "load_skeleton",
    "parse_skeleton",
    "read_skeleton",
    "skeleton_names",
]

Color = tuple[int, int, int]

_KEYS = (
    "colors",
    "keypoints",
    "flip_pairs",
    "links",
    "upper_body",
    "lower_body",
    "weights",
    "openpose",
)


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The K keypoints of a data set.

    Attributes:
        name: the stem of its YAML.
        names: K keypoint names, in the order of the network's output.
        flip_indices: K indices: `keypoints[flip_indices]` is what a mirrored image shows.
        links: L pairs of keypoint indices, in drawing order.
        link_colors: L colours, RGB.
        keypoint_colors: K colours, RGB.
        sigmas: K spreads of COCO's object keypoint similarity; empty where none are known.
        upper_body_ids: indices of the keypoints above the hips.
        lower_body_ids: indices of the rest of the body.
        openpose: the skeleton that OpenPose's style draws instead; None where there is none.
        weights: K, how much each keypoint counts where the data set says so; empty for all alike.

    Raises:
        InputError: the fields contradict each other; names the field.
    """

    name: str
    names: tuple[str, ...]
    flip_indices: tuple[int, ...]
    links: tuple[tuple[int, int], ...]
    link_colors: tuple[Color, ...]
    keypoint_colors: tuple[Color, ...]
    sigmas: tuple[float, ...] = ()
    upper_body_ids: tuple[int, ...] = ()
    lower_body_ids: tuple[int, ...] = ()
    openpose: Skeleton | None = None
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.names)
        self._expect(count > 0, "names", "at least one keypoint", "none")
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        self._expect(not repeated, "names", "each name once", f"repeated {', '.join(repeated)}")
        self._expect_length("flip_indices", self.flip_indices, count)
        self._expect_length("keypoint_colors", self.keypoint_colors, count)
        self._expect_length("link_colors", self.link_colors, len(self.links))
        if self.sigmas:
            self._expect_length("sigmas", self.sigmas, count)
        if self.weights:
            self._expect_length("weights", self.weights, count)
        self._expect_indices("flip_indices", self.flip_indices)
        self._expect_indices("links", [end for link in self.links for end in link])
        self._expect_indices("upper_body_ids", self.upper_body_ids)
        self._expect_indices("lower_body_ids", self.lower_body_ids)
        for here, there in enumerate(self.flip_indices):
            self._expect(
                self.flip_indices[there] == here,
                f"flip_indices[{here}]",
                "indices that undo themselves when applied twice",
                f"{here} -> {there} -> {self.flip_indices[there]}",
            )
        for field in ("keypoint_colors", "link_colors"):
            for i, color in enumerate(getattr(self, field)):
                self._expect(_is_color(color), f"{field}[{i}]", "three integers 0..255", color)
        for i, sigma in enumerate(self.sigmas):
            self._expect(
                0 < sigma < math.inf, f"sigmas[{i}]", "a positive, finite number", repr(sigma)
            )

    @property
    def num_keypoints(self) -> int:
        """K."""
        return len(self.names)

    def _expect(self, condition: bool, field: str, expected: str, found: object) -> None:
        if not condition:
            raise InputError(f"skeleton '{self.name}', {field}: expected {expected}, found {found}")

    def _expect_length(self, field: str, values: Sequence[object], length: int) -> None:
        self._expect(len(values) == length, field, f"{length} entries", len(values))

    def _expect_indices(self, field: str, indices: Iterable[int]) -> None:
        for index in indices:
            self._expect(
                isinstance(index, int) and 0 <= index < len(self.names),
                field,
                f"indices 0..{len(self.names) - 1}",
                repr(index),
            )


def load_skeleton(name: str, search: Sequence[str | Path] = ()) -> Skeleton:
    """The skeleton of `keypoints/<name>.yaml`.

    Args:
        name: the YAML's stem, such as `coco`.
        search: configuration folders to look into before the packaged one; each holds `keypoints/`.

    Raises:
        InputError: no such skeleton, with the nearest names; or a YAML that is not one, with
            its path and the key at fault.
    """
    roots = tuple(Path(root) for root in search)
    path = _find(name, roots)
    return _read(path, path.stat().st_mtime_ns, roots, True)


def read_skeleton(path: Path) -> Skeleton:
    """The skeleton of a YAML in any folder; its name is the file's stem.

    Raises:
        InputError: no such file, or a YAML that is not a skeleton, with its path and the key at
            fault.
    """
    if not path.is_file():
        raise InputError(f"skeleton: no such file: {path}")
    path = path.resolve()
    return _read(path, path.stat().st_mtime_ns, (path.parent.parent,), True)


def parse_skeleton(name: str, values: Any) -> Skeleton:
    """The skeleton of a YAML's values.

    Raises:
        InputError: they are not a skeleton; names the key at fault.
    """
    return _parse(name, values, (), True)


def skeleton_names(search: Sequence[str | Path] = ()) -> list[str]:
    """The names that `load_skeleton` knows, sorted."""
    roots = (*(Path(root) for root in search), CONF_DIR)
    return sorted({path.stem for root in roots for path in (root / "keypoints").glob("*.yaml")})


def _find(name: str, roots: tuple[Path, ...]) -> Path:
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"expected the name of a skeleton, such as 'coco', found {name!r}")
    if PurePath(name).name == name:
        for root in (*roots, CONF_DIR):
            path = root / "keypoints" / f"{name}.yaml"
            if path.is_file():
                return path
    known = skeleton_names(roots)
    choices = nearest(name, known)
    hint = f"did you mean {', '.join(choices)}?" if choices else f"known are {', '.join(known)}"
    raise InputError(f"unknown skeleton '{name}'; {hint}")


# The time of change is part of the key, so that an edited file is read again.
@lru_cache(maxsize=128)
def _read(path: Path, mtime_ns: int, roots: tuple[Path, ...], with_openpose: bool) -> Skeleton:
    raw = read_yaml(path)
    try:
        return _parse(path.stem, raw, roots, with_openpose)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _parse(name: str, raw: Any, roots: tuple[Path, ...], with_openpose: bool) -> Skeleton:
    if not isinstance(raw, Mapping) or "keypoints" not in raw:
        raise InputError("expected a mapping with the key 'keypoints'")
    for key in raw:
        if key not in _KEYS:
            close = nearest(str(key), _KEYS, limit=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(_KEYS)}"
            raise InputError(f"unknown key '{key}'; {hint}")

    palette = _palette(raw.get("colors"))
    rows = [
        _row(row, ("name", "colour", "sigma"), 2, f"keypoints[{i}]")
        for i, row in enumerate(_list(raw, "keypoints"))
    ]
    for i, row in enumerate(rows):
        if not isinstance(row[0], str):
            raise InputError(f"keypoints[{i}]: expected a name, found {row[0]!r}; put it in quotes")
        if len(row) != len(rows[0]):
            raise InputError(f"keypoints[{i}]: expected a sigma in every row or in none")
    names = tuple(row[0] for row in rows)
    index: dict[str, int] = {}
    for i, keypoint in enumerate(names):
        first = index.setdefault(keypoint, i)
        if first != i:
            raise InputError(f"keypoints[{i}]: '{keypoint}' is already keypoints[{first}]")

    flip_indices = list(range(len(names)))
    for i, pair in enumerate(_list(raw, "flip_pairs")):
        at = f"flip_pairs[{i}]"
        one, other = _indices(_row(pair, ("left", "right"), 2, at), index, at)
        if one == other or flip_indices[one] != one or flip_indices[other] != other:
            raise InputError(f"{at}: expected each keypoint in one pair at most, found {pair}")
        flip_indices[one], flip_indices[other] = other, one

    links: list[tuple[int, int]] = []
    link_colors: list[Color] = []
    for i, row in enumerate(_list(raw, "links")):
        at = f"links[{i}]"
        *ends, color = _row(row, ("from", "to", "colour"), 3, at)
        start, end = _indices(ends, index, at)
        links.append((start, end))
        link_colors.append(_color(color, palette, at))

    return Skeleton(
        name=name,
        names=names,
        flip_indices=tuple(flip_indices),
        links=tuple(links),
        link_colors=tuple(link_colors),
        keypoint_colors=tuple(
            _color(row[1], palette, f"keypoints[{i}]") for i, row in enumerate(rows)
        ),
        sigmas=tuple(
            _number(row[2], f"keypoints[{i}]") for i, row in enumerate(rows) if len(row) > 2
        ),
        upper_body_ids=tuple(_indices(_list(raw, "upper_body"), index, "upper_body")),
        lower_body_ids=tuple(_indices(_list(raw, "lower_body"), index, "lower_body")),
        openpose=_openpose(raw.get("openpose"), roots, with_openpose),
        weights=tuple(_number(w, f"weights[{i}]") for i, w in enumerate(_list(raw, "weights"))),
    )


def _openpose(name: Any, roots: tuple[Path, ...], allowed: bool) -> Skeleton | None:
    if name is None:
        return None
    if not allowed:  # also ends a circle of files that name each other
        raise InputError("openpose: a skeleton for OpenPose's style cannot name another one")
    try:
        path = _find(name, roots)
    except InputError as error:
        raise InputError(f"openpose: {error}") from None
    return _read(path, path.stat().st_mtime_ns, roots, False)


def _palette(raw: Any) -> dict[str, Color]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise InputError(f"colors: expected a mapping of names to [r, g, b], found {raw!r}")
    return {str(name): _color(color, {}, f"colors.{name}") for name, color in raw.items()}


def _color(raw: Any, palette: Mapping[str, Color], at: str) -> Color:
    if isinstance(raw, str) and raw in palette:
        return palette[raw]
    if not isinstance(raw, list) or not _is_color(raw):
        known = f" or one of {', '.join(palette)}" if palette else ""
        raise InputError(f"{at}: expected a colour [r, g, b] of 0..255{known}, found {raw!r}")
    red, green, blue = raw
    return red, green, blue


def _is_color(values: Any) -> bool:
    return len(values) == 3 and all(
        isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 255 for v in values
    )


def _list(raw: Mapping[str, Any], key: str) -> list[Any]:
    values = raw.get(key)
    if values is None:
        return []
    if not isinstance(values, list):
        raise InputError(f"{key}: expected a list, found {values!r}")
    return values


def _row(row: Any, fields: tuple[str, ...], required: int, at: str) -> list[Any]:
    if not isinstance(row, list) or not required <= len(row) <= len(fields):
        raise InputError(f"{at}: expected [{', '.join(fields)}], found {row!r}")
    return row


def _indices(names: Sequence[Any], index: Mapping[str, int], at: str) -> list[int]:
    indices = []
    for name in names:
        if not isinstance(name, str) or name not in index:
            close = nearest(str(name), list(index))
            hint = f"; did you mean {', '.join(close)}?" if close else ""
            raise InputError(f"{at}: no keypoint is called {name!r}{hint}")
        indices.append(index[name])
    return indices


def _number(value: Any, at: str) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        return float(value)
    except (OverflowError, ValueError):  # a whole number may be larger than any other
        raise InputError(f"{at}: expected a number, found {repr(value)[:80]}") from None
