"""`posekit batch`: many clips to a file of results each, resumable."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from posekit.batching.run import batch_composed
from posekit.commands.option_texts import keys_of
from posekit.compose import compose_command, print_config
from posekit.errors import InputError

__all__ = ["batch"]


def batch(overrides: Sequence[str], *, config_dir: Path | None = None, show: bool = False) -> int:
    """Runs the command.

    Args:
        overrides: `key=value` each.
        config_dir: a folder with configurations of the user's own.
        show: print the composed configuration and stop.

    Returns:
        The exit status: 1 where a clip is not done, 130 where it was asked to stop.
    """
    paths = [name for name, option in keys_of("batch").items() if os.PathLike in option.kinds]
    # What SLURM may be told is not known here.
    typed = [f"++{word}" if word.startswith("slurm.") else word for word in overrides]
    config = compose_command("batch", typed, config_dir=config_dir, paths=paths)
    if show:
        print_config(config)
        return 0
    if not config["inputs"]:
        raise InputError("inputs is missing: name clips, a folder or a pattern, inputs=FOLDER")
    result = batch_composed(config, show_progress=True)
    print(result)
    if result.interrupted:
        return 130
    return 0 if result.ok else 1
