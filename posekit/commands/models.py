"""`posekit models`: what there is to load. Imports no torch."""

from __future__ import annotations

from posekit.checkpoints import CHECKPOINTS, Checkpoint
from posekit.commands.table import format_table
from posekit.config import read_config
from posekit.errors import InputError

__all__ = ["print_aliases", "print_models"]


def print_models(text: str = "") -> None:
    """Prints name, aliases, task, input size (height x width) and headline figure of each model.

    Args:
        text: only rows that have it in name, official name, aliases or task.
    """
    rows = [row for row in CHECKPOINTS if text.lower() in _searchable(row)]
    if not rows:
        raise InputError(f"no model matches '{text}'; `posekit models` lists all of them")
    header = ("name", "aliases", "task", "input", "metric")
    print(format_table(header, [_cells(row) for row in rows]))


def print_aliases() -> None:
    """Prints each alias, the model behind it and its official configuration."""
    aliases = sorted(
        ((alias, row) for row in CHECKPOINTS for alias in row.aliases), key=lambda pair: pair[0]
    )
    cells = [(alias, row.name, row.config, row.task) for alias, row in aliases]
    print(format_table(("alias", "model", "official configuration", "task"), cells))


def _searchable(row: Checkpoint) -> str:
    return " ".join((row.name, row.config, row.task, *row.aliases)).lower()


def _cells(row: Checkpoint) -> tuple[str, ...]:
    width, height = read_config(row.name)["preprocess"]["input_size"]
    metric = row.metrics[0] if row.metrics else None
    return (
        row.name,
        ", ".join(row.aliases),
        row.task,
        f"{height}x{width}",
        f"{metric.dataset} {metric.name} {metric.value:g}" if metric else "",
    )
