"""`posekit batch`: many clips to a file of results each, resumable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from posekit.batching.run import batch_composed
from posekit.commands.option_texts import path_keys
from posekit.compose import compose_command
from posekit.errors import InputError

__all__ = ["batch"]


def batch(
    overrides: Sequence[str], *, config_dir: Path | None = None, config_name: str | None = None
) -> int:
    """Runs the command.

    Args:
        overrides: `key=value` each.
        config_dir: a folder with configurations of the user's own.
        config_name: a configuration to use instead of the command's.

    Returns:
        The exit status: 1 if a clip is not done, 130 if it was asked to stop.
    """
    # What SLURM may be told is not known here.
    typed = [f"++{word}" if word.startswith("slurm.") else word for word in overrides]
    config = compose_command(
        "batch", typed, config_dir=config_dir, config_name=config_name, paths=path_keys("batch")
    )
    if not config["inputs"]:
        raise InputError("inputs is missing: name clips, a folder or a pattern, inputs=FOLDER")
    result = batch_composed(config, show_progress=True)
    print(result)
    if result.interrupted:
        return 130
    return 0 if result.ok else 1
