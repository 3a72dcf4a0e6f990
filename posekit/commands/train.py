"""`posekit train`: labelled images in, a model's folder out."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from posekit.compose import compose_command, print_config
from posekit.errors import InputError

__all__ = ["train"]


def train(overrides: Sequence[str], *, config_dir: Path | None = None, show: bool = False) -> int:
    """Runs the command.

    Args:
        overrides: `key=value` each.
        config_dir: a folder with configurations of the user's own.
        show: print the composed configuration and stop.

    Returns:
        The exit status.
    """
    config = compose_command("train", overrides, config_dir=config_dir)
    if show:
        print_config(config)
        return 0
    if not config["dataset"].get("train"):
        raise InputError("dataset.train is missing: name a file of labels, dataset.train=FILE")
    try:
        from posekit.training.loop import train as run
    except ImportError as error:
        raise InputError(f'{error.name} is needed to train: pip install "posekit[train]"') from None
    # What a data set leaves out was said when it was checked; and one of many processes speaks.
    logging.getLogger("posekit.datasets.problems").setLevel(logging.WARNING)
    if os.environ.get("RANK", "0") != "0":
        logging.getLogger("posekit").setLevel(logging.ERROR)
    folder = run(config)
    if os.environ.get("RANK", "0") == "0" and not config["dry_run"]:
        print(f"the trained model is {folder / 'export'}")
    return 0
