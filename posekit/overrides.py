"""What a user typed as `key=value`: sorted, literal values read, and what is wrong with it.

Values that are literal (paths, URLs) never pass through Hydra's grammar, so that `clip(1).jpg`,
`a,b.jpg` and `x=1.jpg` need no quoting. Mistakes become one line with the nearest valid key.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException

from posekit.config import GROUPS, nearest_keys
from posekit.errors import InputError, first_line

__all__ = [
    "LITERAL_KEYS",
    "NAMED",
    "asks_for_trust",
    "explain",
    "flat_keys",
    "one_line",
    "refuse_unparsable",
    "settable",
    "sort_overrides",
    "unknown_key",
    "unquoted",
]

LITERAL_KEYS = frozenset(
    (
        "inputs",
        "include",
        "output",
        "weights",
        "detector_weights",
        "out_dir",
        "mirror_to",
        "dataset.root",
        "dataset.train",
        "dataset.val",
        "detections",
        "sequences",
        "out",
        "trace",
        "out_predictions",
    )
)

# Of these, the ones that may be several.
SEVERAL = frozenset(("inputs", "include", "dataset.train", "dataset.val", "sequences"))
NAMED = ("model", "pose2d", "detector")
# Configurations beside these that are chosen as a whole.
OTHER_GROUPS = ("augment", "dataset", "experiment", "recipe")


def sort_overrides(
    overrides: Sequence[str], literal: Collection[str]
) -> tuple[dict[str, str], dict[str, Any], list[str]]:
    """Choices of models, literal values, and what goes to Hydra as it is."""
    groups: dict[str, str] = {}
    literals: dict[str, Any] = {}
    others = []
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals and not key.startswith("~"):
            hint = f"; did you mean inputs={override}?" if Path(override).exists() else ""
            raise InputError(f"expected key=value, found '{override}'{hint}")
        if key in NAMED:
            groups[key] = unquoted(value)
        elif key == "lifter":
            raise InputError(
                f"name a lifter as the model: model={value}; pose2d=... is the 2D model below it"
            )
        elif key == "~detector":
            groups["detector"] = "none"
        elif key in literal and not _is_mapping(key, value):
            literals[key] = _literal(key, value)
        else:
            literals.pop(key, None)  # the last one counts, of whichever kind
            others.append(override)
    return groups, literals, others


def _is_mapping(key: str, value: str) -> bool:
    """A source of a data set may be a mapping, which Hydra reads."""
    return key.startswith("dataset.") and re.match(r"\s*(\[\s*)?\{", value) is not None


def _literal(key: str, value: str) -> Any:
    """The text itself, a list of texts, or None for null."""
    if value in ("null", ""):
        return None
    if value.startswith("[") and value.endswith("]") and not Path(value).exists():
        if key not in SEVERAL:
            raise InputError(f"{key}: expected one file or folder, found a list: {value}")
        try:
            parsed: Any = OverridesParser.create().parse_override(f"{key}={value}").value()
            return [str(item) for item in parsed] if isinstance(parsed, list) else unquoted(value)
        except HydraException:
            return [unquoted(item.strip()) for item in value[1:-1].split(",") if item.strip()]
    return unquoted(value)


def unquoted(value: str) -> str:
    """A value without the quotes that Hydra would have needed."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value


def settable(override: str) -> str:
    """Lets `model.x=y` set what the YAML leaves open; `Spec` knows which keys exist."""
    key, equals, _ = override.partition("=")
    return f"++{override}" if equals and key.partition(".")[0] in GROUPS else override


def asks_for_trust(overrides: Sequence[str]) -> bool:
    values = [o.partition("=")[2] for o in overrides if o.lstrip("+").startswith("trust=")]
    return bool(values) and values[-1].lower() == "true"


def refuse_unparsable(overrides: Sequence[str]) -> None:
    """Refuses the override that Hydra's grammar cannot read, if there is one."""
    parser = OverridesParser.create()
    for override in overrides:
        try:
            parser.parse_override(override)
        except HydraException as error:
            raise InputError(
                f"cannot read '{override}': {first_line(error)}; quote a text as key='\"text\"'"
            ) from None


def explain(error: Exception, overrides: Sequence[str], valid: Any, command: str) -> str:
    """One line for the mistake, with the nearest keys where a key is unknown."""
    known = set(flat_keys(valid))
    for override in overrides:
        key = override.partition("=")[0]
        if key.startswith(("+", "~", "hydra")) or "@" in key or key in (*known, *OTHER_GROUPS):
            continue
        return unknown_key(key, valid, command)
    if isinstance(error, MissingConfigException) and (file := error.missing_cfg_file):
        group, slash, name = file.partition("/")
        if slash and group in OTHER_GROUPS:
            return _unknown_choice(group, name, error.options or [])
    parser = OverridesParser.create()
    for override in overrides:
        if override.partition("=")[0] in OTHER_GROUPS and override.endswith("=null"):
            return f"'{override}' chooses nothing: leave it out"
        if parser.parse_override(override).is_sweep_override():
            key, _, value = override.partition("=")
            return (
                f"'{override}' has several values: a list is {key}=[{value}], and -m runs once for "
                "each (docs/sweeps.md)"
            )
    return one_line(error)


def _unknown_choice(group: str, name: str, known: Sequence[str]) -> str:
    """One line for a name that no file of a group has, with the nearest, or what a file needs."""
    if group == "dataset" and Path(name).suffix:
        return (
            f"dataset={name}: expected the name of a data set, found a file; for labels of your "
            "own: dataset.train=FILE to train, dataset=custom dataset.val=FILE to evaluate"
        )
    close = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    there = f" Known are {', '.join(known)}" if known and not close else ""
    return f"unknown {group} '{name}'{hint or '.' * bool(there)}{there}"


def one_line(error: Exception) -> str:
    return " ".join(str(error).split()) if isinstance(error, yaml.YAMLError) else first_line(error)


def unknown_key(key: str, valid: Mapping[Any, Any], command: str) -> str:
    close = nearest_keys(key, flat_keys(valid))
    hint = f"; did you mean {' or '.join(close)}?" if close else "."
    return f"unknown key '{key}'{hint} `posekit {command} --cfg` prints all of them"


def flat_keys(values: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flat_keys(value, f"{prefix}{key}.")
