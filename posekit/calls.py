"""A call in Python -> the configuration that its command composes."""

from __future__ import annotations

import numbers
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from posekit.compose import compose_command
from posekit.errors import InputError

__all__ = ["compose_call"]

# Configurations that are chosen as a whole, and what Hydra wants before their group.
CHOICES = {"detector": "", "dataset": "", "recipe": "", "experiment": "+"}


def compose_call(
    command: str,
    model: str | os.PathLike[str] | None,
    named: Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    config_dir: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """The configuration of a command for a call in Python.

    Args:
        command: as in `compose_command`.
        model: a model's name or folder; None for the one that the configuration chooses.
        named: what the caller passed, by key (such as `dataset.train`); all else stays as composed.
        overrides: further overrides, as typed on the command line.
        config_dir: a folder with configurations of the user's own.

    Returns, Raises: as `compose_command`.
    """
    typed = [] if model is None else [f"model={os.fspath(model)}"]
    values = {}
    for key, value in named.items():
        if key in CHOICES:
            typed += [] if value is None else [f"{CHOICES[key]}{key}={value}"]
        elif key == "trust":
            typed.append(f"trust={str(value).lower()}")
        else:
            values[key] = _plain(value)
    if config_dir is not None and not Path(config_dir).is_dir():
        raise InputError(f"config_dir: no such folder: {os.fspath(config_dir)}")
    folder = None if config_dir is None else Path(config_dir)
    return compose_command(command, [*typed, *overrides], config_dir=folder, values=values)


def _plain(value: Any) -> Any:
    """As YAML has it: texts for paths, Python's own numbers, lists."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if type(value).__module__ == "torch":  # a device or a type
        return str(value).removeprefix("torch.")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)
