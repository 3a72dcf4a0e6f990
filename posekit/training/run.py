"""`posekit.train`: training as a function. Imports little until it is called."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posekit.calls import compose_call
from posekit.declared import function_takes
from posekit.errors import InputError
from posekit.training.options import TrainKeywords

__all__ = ["TrainResult", "is_first_process", "train", "train_composed"]


@dataclass(frozen=True)
class TrainResult:
    """The result of a training run.

    Attributes:
        folder: the folder of the run.
        export: the folder of the trained model, for `posekit.load`; missing after a dry run.
        metrics: metrics of the exported weights on the validation set; None without one.
        dry_run: whether it was a dry run, without training.
    """

    folder: Path
    export: Path
    metrics: Mapping[str, float | None] | None
    dry_run: bool


# Keys of the configuration for keywords that are called otherwise.
KEYS = {"train": "dataset.train", "val": "dataset.val", "root": "dataset.root"}


@function_takes(TrainKeywords)
def train(model: str | os.PathLike[str] | None, options: TrainKeywords) -> TrainResult:
    """Trains a model on labelled images, as `posekit train` does.

    Defaults come from the recipe of the network. Logging is not configured.

    Args:
        model: a name or a trained model's folder; None uses the experiment's.
        {options}

    Raises:
        UnknownModelError: no such model.
        InputError: data, values or a folder that cannot be used; a loss that is not finite; a
            package that is missing.
        OutputError: a file cannot be written.
        WeightsError, DownloadError: initial weights do not fit, or cannot be downloaded.
    """
    named = options.named
    config_dir, overrides = named.pop("config_dir", None), named.pop("overrides", [])
    values = {KEYS.get(key, key): value for key, value in named.items()}
    return train_composed(
        compose_call("train", model, values, overrides=overrides, config_dir=config_dir)
    )


def train_composed(config: Mapping[str, Any]) -> TrainResult:
    """As `train`, for a composed configuration."""
    if not config["dataset"].get("train"):
        raise InputError("dataset.train is missing: name a file of labels, dataset.train=FILE")
    try:
        from posekit.training.loop import train as run
    except ImportError as error:
        raise InputError(f'{error.name} is needed to train: pip install "posekit[train]"') from None
    with _quiet():
        folder = run(config)
    export = folder / "export"
    return TrainResult(folder, export, _metrics(export, config), config["dry_run"])


def is_first_process() -> bool:
    """Whether this is the first of the run's processes, the only one that prints."""
    return os.environ.get("RANK", "0") == "0"


def _metrics(export: Path, config: Mapping[str, Any]) -> dict[str, float | None] | None:
    path = export / "metrics.json"  # on another machine than the first it may not be there
    if config["dry_run"] or not path.is_file():
        return None
    found: dict[str, float | None] | None = json.loads(path.read_text(encoding="utf-8"))
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides what was logged when the data were checked, or is logged by the first process."""
    levels = {"posekit.datasets.problems": logging.WARNING}
    if not is_first_process():
        levels["posekit"] = logging.ERROR
    before = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
