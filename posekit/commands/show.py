"""`--cfg` and `--info` of a command: what would be run, and how Hydra came to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from posekit.commands.option_texts import path_keys
from posekit.commands.sweep import is_hydras, sweep_settings
from posekit.compose import compose_command, print_hydra_info, shown_config
from posekit.errors import InputError

__all__ = ["show"]


def show(
    command: str,
    overrides: Sequence[str],
    *,
    config_dir: Path | None = None,
    config_name: str | None = None,
    cfg: str | None = None,
    package: str | None = None,
    info: str | None = None,
) -> int:
    """Prints what a command composes.

    Args:
        command: its name.
        overrides: `key=value` each.
        config_dir: a folder with configurations of the user's own.
        config_name: a configuration to use instead of the command's.
        cfg: `job`, what the command is told, all values resolved; `hydra`, Hydra's own settings; or
            `all`.
        package: a part of it, such as `model` or `hydra.sweep`.
        info: what Hydra says of itself instead: `defaults`, `defaults-tree`, `config`, `plugins`,
            `searchpath` or `all`.

    Returns:
        The exit status.

    Raises:
        InputError: overrides that cannot be composed, or no such part.
    """
    where: dict[str, Any] = {"config_dir": config_dir, "config_name": config_name}
    where["paths"] = path_keys(command)
    if info is not None:
        print_hydra_info(info, command, overrides, **where)
        return 0
    hydras = [word for word in overrides if is_hydras(word)]
    shown: dict[str, Any] = {}
    if cfg != "hydra":
        own = [word for word in overrides if word not in hydras]
        shown |= shown_config(compose_command(command, own, **where))
    if cfg in ("hydra", "all"):
        shown["hydra"] = sweep_settings(command, hydras)
    found: Any = shown
    for part in package.split(".") if package else ():
        if not isinstance(found, dict) or part not in found:
            raise InputError(
                f"--package: there is no '{package}'; leave it out to print everything"
            )
        found = found[part]
    if not isinstance(found, dict | list):
        print(found)
        return 0
    if package:
        print(f"# @package {package}")
    print(yaml.safe_dump(found, sort_keys=False, default_flow_style=None), end="")
    return 0
