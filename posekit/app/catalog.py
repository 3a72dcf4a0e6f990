"""The models that visitors choose from, by task, and what each has to download first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from posekit.checkpoints import CHECKPOINTS, Checkpoint
from posekit.config import input_size, resolve_name
from posekit.errors import PosekitError, UnknownModelError
from posekit.publishing.options import DownloadOptions
from posekit.publishing.prefetch import prefetch

__all__ = ["Catalog", "Need", "needed"]

NO_POSES = "detection"  # the task of models that give boxes alone


@dataclass(frozen=True)
class Need:
    """What a model has to download.

    Attributes:
        names: names of the networks that are not in the cache.
        size: bytes, roughly; None if unknown for any of them.
    """

    names: tuple[str, ...] = ()
    size: int | None = 0

    @property
    def text(self) -> str:
        """In words; empty where nothing is needed."""
        if not self.names:
            return ""
        size = "of unknown size" if self.size is None else f"about {self.size / 1e6:.0f} MB"
        return f"{size}: {', '.join(self.names)}"


class Catalog:
    """Models of this server.

    Args:
        only: names that can be chosen; None for all models that give poses.

    Attributes:
        tasks: the names of each task's models: aliases where there are some, else public names.
    """

    def __init__(self, only: Sequence[str] | None = None) -> None:
        rows = [row for row in CHECKPOINTS if row.task != NO_POSES]
        if only is not None:
            public = [resolve_name(name) for name in only]
            rows = [row for row in rows if row.name in public]
        if not rows:
            raise UnknownModelError("models: none of these gives poses; see posekit models")
        self._rows = {row.name: row for row in rows}
        self.tasks: dict[str, tuple[str, ...]] = {}
        for task in dict.fromkeys(row.task for row in rows):
            of_task = [row for row in rows if row.task == task]
            # Those with a short name are the ones that most people want.
            of_task.sort(key=lambda row: not row.aliases)
            self.tasks[task] = tuple(_shown(row) for row in of_task)

    def row(self, name: str) -> Checkpoint:
        """The row of a model by any of its names; paths and addresses are not names.

        Raises:
            UnknownModelError: it is not among these.
        """
        # The names themselves first: `resolve_name` takes the stem of a path too.
        known = {alias: row for row in self._rows.values() for alias in (row.name, *row.aliases)}
        row = known.get(name) or known.get(_resolved(name))
        if row is None:
            close = get_close_matches(name, known, 3)
            hint = f"did you mean {', '.join(close)}?" if close else "see the list of models"
            raise UnknownModelError(f"unknown model '{name[:80]}'; {hint}")
        return row

    def task_of(self, name: str) -> str:
        """The task of a model."""
        return self.row(name).task

    def shown(self, name: str) -> str:
        """A model's name as the list has it."""
        return _shown(self.row(name))

    def labels(self, task: str) -> list[tuple[str, str]]:
        """The label in the list and the name of each model of a task."""
        return [(_label(self.row(name), name), name) for name in self.tasks[task]]


def needed(name: str) -> Need:
    """What a model and those that it builds on have to download; makes no request."""
    parts = prefetch([name], DownloadOptions(dry_run=True), lambda text: None)
    missing = [part for part in parts if part.state == "missing"]
    sizes = [part.size for part in missing]
    known = [size for size in sizes if size is not None]
    return Need(
        tuple(part.name for part in missing), sum(known) if len(known) == len(sizes) else None
    )


def _shown(row: Checkpoint) -> str:
    return row.aliases[0] if row.aliases else row.name


@lru_cache(maxsize=1024)
def _label(row: Checkpoint, name: str) -> str:
    parts = [name] if name == row.name else [name, row.name]
    size = "" if row.parameters is None else f"{row.parameters:g} M"
    return " · ".join(filter(None, [*parts, input_size(row.name) if len(parts) == 1 else "", size]))


def _resolved(name: str) -> str:
    if "/" in name or "\\" in name or "://" in name:
        return ""
    try:
        return resolve_name(name)
    except PosekitError:
        return ""
