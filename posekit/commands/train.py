"""`posekit train`: labelled images in, a model's folder out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from posekit.compose import compose_command
from posekit.training.run import is_first_process, train_composed

__all__ = ["train"]


def train(
    overrides: Sequence[str], *, config_dir: Path | None = None, config_name: str | None = None
) -> int:
    """Runs the command.

    Args:
        overrides: `key=value` each.
        config_dir: a folder with configurations of the user's own.
        config_name: a configuration to use instead of the command's.

    Returns:
        The exit status.

    Raises:
        PosekitError: see `posekit.training.run.train`.
    """
    config = compose_command("train", overrides, config_dir=config_dir, config_name=config_name)
    result = train_composed(config)
    if not is_first_process():
        return 0
    if result.dry_run:
        print(f"dry run: nothing was written; the run would be in {result.folder}")
    else:
        print(f"the trained model is {result.export}")
    return 0
