"""The table of published checkpoints, one row each: `conf/checkpoints/<task>.ini`.

Read when `CHECKPOINTS` is first asked for. The files are INI as `configparser` reads it, without
interpolation and continuation lines; docs/adding-a-checkpoint.md has the keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posekit.errors import InputError
from posekit.files import CONF_DIR

__all__ = [
    "CHECKPOINTS",
    "Checkpoint",
    "Elsewhere",
    "Metric",
    "NotHere",
    "Source",
    "elsewhere",
    "not_here",
    "read_table",
]

# What a location without a scheme is relative to, and the licence of what lies there.
OPENMMLAB = "https://download.openmmlab.com/"
OPENMMLAB_LICENSE = "Apache-2.0"

# The section of a file that gives names to the training data of several rows: `@name` there.
TRAINING_DATA = "training_data"

KEYS = (
    "config", "older_configs", "aliases", "weights", "int8", "stand_in", "superseded", "figures",
    "training_data", "license", "parameters",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One place that a checkpoint can be had from.

    Attributes:
        location: `https://...`, or `hf://org/repo/path/in/repo@revision` for a Hub repository.
        sha256: the file's digest, whole or its first digits; a file with another one is refused.
            None where none is known. (Digits in a file's name are a hint, not a promise.)
        stands_in: what the file holds, where it is other weights than those that the row's figures
            are of; it is taken with a warning. None for the row's own.
    """

    location: str
    sha256: str | None = None
    stands_in: str | None = None


@dataclass(frozen=True)
class Metric:
    """One published figure, as its authors state it."""

    dataset: str
    name: str
    value: float


@dataclass(frozen=True)
class Checkpoint:
    """All that is known about a published checkpoint.

    Attributes:
        name: the public model name; its YAML in `conf/` has this stem.
        task: what the model finds, e.g. "body" or "detection".
        config: the official config's name, which resolves to this row too.
        older_configs: earlier names of the official config, which resolve likewise.
        superseded: earlier file names of the row; if one is cached, it is no longer used.
        sources: where the weights can be had, tried in order; none for what the package holds.
        int8: where an 8-bit graph of them can be had, tried in order; none where none is published.
        metrics: published figures.
        license: of the weights.
        training_data: what the weights were trained on.
        aliases: further names that resolve to this row.
        parameters: of the network, in millions.
    """

    name: str
    task: str
    config: str
    sources: tuple[Source, ...]
    metrics: tuple[Metric, ...]
    license: str
    training_data: str
    aliases: tuple[str, ...] = ()
    older_configs: tuple[str, ...] = ()
    superseded: tuple[str, ...] = ()
    int8: tuple[Source, ...] = ()
    parameters: float | None = None

    @property
    def configs(self) -> tuple[str, ...]:
        """Every name of the official config."""
        return (self.config, *self.older_configs)


@dataclass(frozen=True)
class NotHere:
    """Published models that posekit does not have.

    Attributes:
        family: what they need, such as a backbone.
        nearest: the public name of the model that comes nearest.
        configs: their official configurations.
    """

    family: str
    nearest: str
    configs: tuple[str, ...]


@dataclass(frozen=True)
class Elsewhere:
    """Models of another program, or a family of models.

    Attributes:
        pattern: pattern of their names, as for `fnmatch`.
        program: the program that has them.
        nearest: the public name of the model that comes nearest.
    """

    pattern: str
    program: str
    nearest: str


if TYPE_CHECKING:
    CHECKPOINTS: tuple[Checkpoint, ...]
    """Every row, by task."""


def __getattr__(name: str) -> Any:
    if name != "CHECKPOINTS":
        raise AttributeError(f"module 'posekit.checkpoints' has no attribute '{name}'")
    rows = read_table(CONF_DIR / "checkpoints")
    globals()["CHECKPOINTS"] = rows
    return rows


def read_table(folder: Path) -> tuple[Checkpoint, ...]:
    """The rows of a folder's files, each of which has the name of a task.

    Raises:
        InputError: a file that cannot be read, or a mistake in a row, which it names.
    """
    return tuple(row for path in sorted(folder.glob("*.ini")) for row in _read_file(path))


def not_here() -> tuple[NotHere, ...]:
    """What OpenMMLab publishes beside the table's models: `conf/not_here.ini`."""
    return tuple(
        NotHere(family, nearest, _parts(configs, ", "))
        for family, values in _sections(CONF_DIR / "not_here.ini").items()
        for nearest, configs in values.items()
    )


def elsewhere() -> dict[str, tuple[Elsewhere, ...]]:
    """What other programs have, of "pose" and "detection": `conf/elsewhere.ini`."""
    return {
        kind: tuple(Elsewhere(pattern, *_parts(value, ", ")) for pattern, value in values.items())
        for kind, values in _sections(CONF_DIR / "elsewhere.ini").items()
    }


def _read_file(path: Path) -> list[Checkpoint]:
    sections = _sections(path)
    shared = sections.pop(TRAINING_DATA, {})
    task = path.stem.replace("_", " ")
    rows = []
    for name, values in sections.items():
        try:
            rows.append(_row(name, task, values, shared))
        except ValueError as error:
            raise InputError(f"{path}: row {name}: {error}") from None
    return rows


def _sections(path: Path) -> dict[str, dict[str, str]]:
    """`[name]` lines, each with the `key = value` lines under it."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    sections: dict[str, dict[str, str]] = {}
    values: dict[str, str] | None = None
    for number, line in enumerate(lines, 1):
        try:
            values = _take_line(line.strip(), sections, values)
        except ValueError as error:
            row = "".join(f", row {name}" for name in list(sections)[-1:])
            raise InputError(f"{path}: line {number}{row}: {error}") from None
    return sections


def _take_line(
    line: str, sections: dict[str, dict[str, str]], values: dict[str, str] | None
) -> dict[str, str] | None:
    """Puts a line where it belongs; returns the values that the next one belongs to."""
    if not line or line[0] == "#":
        return values
    if line[0] == "[" and line[-1] == "]":
        if line[1:-1] in sections:
            raise ValueError("the row is given twice")
        return sections.setdefault(line[1:-1], {})
    key, equals, value = line.partition("=")
    key, value = key.rstrip(), value.lstrip()
    if values is None or not equals or not value:
        raise ValueError(f"expected 'key = value' below '[name]', found '{line}'")
    if key in values:
        raise ValueError(f"{key} is given twice")
    values[key] = value
    return values


def _row(name: str, task: str, values: dict[str, str], shared: dict[str, str]) -> Checkpoint:
    for key in values:
        if key not in KEYS:
            raise ValueError(f"unknown key {key}; a row has {', '.join(KEYS)}")
    weights = _parts(values.get("weights"), ", ")
    own = OPENMMLAB_LICENSE if weights and "://" not in weights[0] else None
    data = _required(values, "training_data")
    if data[0] == "@" and data[1:] not in shared:
        raise ValueError(f"training_data: [{TRAINING_DATA}] of the file has no {data[1:]}")
    parameters = values.get("parameters")
    return Checkpoint(
        name=name,
        task=task,
        config=values.get("config", name),
        sources=tuple(
            [_source(text) for text in weights]
            + [_stand_in(text) for text in _parts(values.get("stand_in"), "; ")]
        ),
        int8=tuple([_source(text) for text in _parts(values.get("int8"), ", ")]),
        metrics=tuple([_metric(text) for text in _parts(values.get("figures"), "; ")]),
        license=_required(values, "license", own),
        training_data=shared[data[1:]] if data[0] == "@" else data,
        aliases=_parts(values.get("aliases"), ", "),
        older_configs=_parts(values.get("older_configs"), ", "),
        superseded=_parts(values.get("superseded"), ", "),
        parameters=None if parameters is None else _number("parameters", parameters),
    )


def _required(values: dict[str, str], key: str, default: str | None = None) -> str:
    value = values.get(key, default)
    if value is None:
        raise ValueError(f"{key} is missing")
    return value


def _parts(text: str | None, separator: str) -> tuple[str, ...]:
    return tuple(text.split(separator)) if text else ()


def _source(text: str, stands_in: str | None = None) -> Source:
    location, _, digest = text.partition("#sha256=")
    if " " in location or "#" in location:
        raise ValueError(f"expected a location, or LOCATION#sha256=..., found '{text}'")
    if "://" not in location:
        location = OPENMMLAB + location
    return Source(location, digest or None, stands_in)


def _stand_in(text: str) -> Source:
    location, _, stands_in = text.partition(" ")
    if not stands_in:
        raise ValueError(f"stand_in: expected 'LOCATION what it is', found '{text}'")
    return _source(location, stands_in)


def _metric(text: str) -> Metric:
    dataset, colon, rest = text.partition(": ")
    name, space, value = rest.rpartition(" ")
    if not (colon and space):
        raise ValueError(f"figures: expected 'DATA SET: NAME VALUE; ...', found '{text}'")
    return Metric(dataset, name, _number("figures", value))


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{key}: expected a number, found '{text}'") from None
