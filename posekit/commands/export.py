"""`posekit export`: compose, call, print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from posekit.compose import compose_command, print_config

__all__ = ["export"]


def export(overrides: Sequence[str], *, config_dir: Path | None = None, show: bool = False) -> int:
    """Runs the command, which is `posekit.export` on a composed configuration.

    Args:
        overrides: `key=value` each.
        config_dir: a folder with configurations of the user's own.
        show: print the composed configuration and stop.

    Returns:
        The exit status, 0.

    Raises:
        PosekitError: as `posekit.export`.
    """
    values = compose_command("export", overrides, config_dir=config_dir)
    if show:
        print_config(values)
        return 0
    from posekit.exporting.export import export_parts
    from posekit.exporting.options import ExportOptions
    from posekit.parts import composed_parts

    options = ExportOptions.from_config(values)
    print(export_parts(composed_parts(values), options))
    return 0
