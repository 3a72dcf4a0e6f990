"""`posekit export`: compose, call, print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from posekit.compose import compose_command

__all__ = ["export"]


def export(
    overrides: Sequence[str], *, config_dir: Path | None = None, config_name: str | None = None
) -> int:
    """Runs the command, which is `posekit.export` on a composed configuration.

    Args:
        overrides: `key=value` each.
        config_dir: a folder with configurations of the user's own.
        config_name: a configuration to use instead of the command's.

    Returns:
        The exit status, 0.

    Raises:
        PosekitError: as `posekit.export`.
    """
    values = compose_command("export", overrides, config_dir=config_dir, config_name=config_name)
    from posekit.exporting.export import export_parts
    from posekit.exporting.options import ExportOptions
    from posekit.parts import composed_parts

    options = ExportOptions.from_config(values)
    print(export_parts(composed_parts(values), options))
    return 0
