"""What a foreign configuration says about a model, in the terms of posekit's YAMLs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from posekit.foreign.python_config import ConfigError

__all__ = ["Description", "expect", "normalisation", "short", "steps_of", "take"]


@dataclass
class Description:
    """A model, as its YAML would have it.

    Attributes:
        group: "model", "detector" or "lifter", the folder of its YAML.
        values: the YAML's values.
        skeleton: the YAML of the model's own skeleton; None if posekit has the skeleton.
        notes: what was left out or replaced, in words.
    """

    group: str
    values: dict[str, Any]
    skeleton: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)


def take(values: Any, path: str) -> Any:
    """The value at a dotted path.

    Raises:
        ConfigError: there is none; the message names the path.
    """
    found = values
    for key in path.split("."):
        if not isinstance(found, Mapping) or key not in found:
            raise ConfigError(f"{path} is missing")
        found = found[key]
    return found


def short(kind: Any) -> str:
    """`mmdet.RTMDet` -> `RTMDet`."""
    return str(kind).rpartition(".")[2]


def expect(pairs: Mapping[str, tuple[Any, Any]]) -> None:
    """Refuses settings that posekit's networks do not have.

    Args:
        pairs: key of the configuration -> (what posekit has, what was found).

    Raises:
        ConfigError: a setting differs; the message names the first one.
    """
    for key, (expected, found) in pairs.items():
        if _plain(expected) != _plain(found):
            raise ConfigError(f"{key}: posekit has {expected!r} only, found {found!r}")


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def normalisation(model: Mapping[str, Any]) -> dict[str, Any]:
    """`mean`, `std` and `color` of a `data_preprocessor`."""
    found = model.get("data_preprocessor") or {}
    rgb = found.get("bgr_to_rgb", False)
    if found.get("rgb_to_bgr"):
        raise ConfigError("data_preprocessor.rgb_to_bgr: expected false, as images are read as BGR")
    return {
        "mean": [float(x) for x in found.get("mean") or [0, 0, 0]],
        "std": [float(x) for x in found.get("std") or [1, 1, 1]],
        "color": "rgb" if rgb else "bgr",
    }


def steps_of(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The steps of the pipeline for testing, by their type; the first of each."""
    for loader in ("test_dataloader", "val_dataloader"):
        dataset = (config.get(loader) or {}).get("dataset") or {}
        inner = dataset.get("dataset")
        for owner in (dataset, inner if isinstance(inner, Mapping) else {}):
            if owner.get("pipeline"):
                return _by_type(owner["pipeline"])
    for name in ("test_pipeline", "val_pipeline"):
        if config.get(name):
            return _by_type(config[name])
    return {}


def _by_type(pipeline: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for step in pipeline:
        found.setdefault(short(step.get("type")), dict(step))
    return found
