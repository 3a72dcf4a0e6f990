"""The folder of a training run.

config.yaml         every value of the configuration, resolved
run.json            command, git commit, versions
train.csv, val.csv  what was measured; the same for TensorBoard in events.out.tfevents.*
last.ckpt           the state to resume from
export/             the best weights as a model that `posekit.load` takes, see `export.py`
"""

from __future__ import annotations

import csv
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import yaml
from torch.utils.tensorboard import SummaryWriter

from posekit.errors import InputError, OutputError, first_line
from posekit.training.checkpoint import (
    check_state,
    load_checkpoint,
    save_checkpoint,
    written_whole,
)
from posekit.version import __version__

__all__ = ["MetricLog", "RunFolder", "changed_values"]


class RunFolder:
    """Where a run writes; nothing is made before `open`.

    Args:
        path: the folder.
        resume: go on with the run in it.

    Raises:
        InputError: the folder has a run already, or is not one.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path = path
        self.checkpoint = path / "last.ckpt"
        self.export = path / "export"
        if path.exists() and not path.is_dir():
            raise InputError(f"out_dir: {path} is a file, expected a folder")
        if not resume and (path / "config.yaml").exists():
            raise InputError(
                f"{path} holds a run already: go on with resume=true, or choose another out_dir"
            )
        if resume and self.checkpoint.exists() and not self.checkpoint.is_file():
            raise InputError(
                f"{self.checkpoint} is not a file; expected a checkpoint to resume from"
            )
        self.resumes = resume and self.checkpoint.is_file()

    def open(self, config: Mapping[str, Any]) -> None:
        """Makes the folder and writes down what is run.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {self.path}: {error.strerror}") from None
        write_text(self.path / "run.json", json.dumps(_circumstances(), indent=2) + "\n")
        write_text(self.path / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))

    def saved_config(self) -> dict[str, Any]:
        """The configuration that the run was started with; empty where it is lost.

        Raises:
            InputError: it is damaged.
        """
        path = self.path / "config.yaml"
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
            raise InputError(
                f"{path} cannot be read: {first_line(error)}; delete it to continue without it"
            ) from None
        return found if isinstance(found, dict) else {}

    def save(self, state: dict[str, Any]) -> None:
        """Replaces the last checkpoint.

        Raises:
            OutputError: it cannot be written; the one before is kept.
        """
        save_checkpoint(self.checkpoint, state)

    def load(self) -> dict[str, Any]:
        """The last checkpoint.

        Raises:
            InputError: it is damaged, or not the state of a run.
        """
        state = load_checkpoint(self.checkpoint)
        check_state(state, self.checkpoint)
        return state


class MetricLog:
    """Measurements per step, as CSV and for TensorBoard.

    Args:
        folder: of the run.
        step: rows of later steps are from before a crash, and go.
    """

    def __init__(self, folder: Path, *, step: int) -> None:
        self.folder = folder
        for table in ("train", "val"):
            if (path := folder / f"{table}.csv").is_file():
                _cut(path, step)
        try:
            self.board = SummaryWriter(str(folder), purge_step=step + 1 if step else None)
        except OSError as error:
            raise OutputError(f"cannot write in {folder}: {error.strerror}") from None

    def add(self, table: str, step: int, values: Mapping[str, float]) -> None:
        """Adds a row to `<table>.csv`.

        Raises:
            OutputError: it cannot be written.
        """
        path = self.folder / f"{table}.csv"
        try:
            new = not path.exists()
            with path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                if new:
                    writer.writerow(["step", *values])
                # repr keeps every digit.
                writer.writerow([step, *map(repr, values.values())])
            for name, value in values.items():
                self.board.add_scalar(f"{table}/{name}", value, step)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from None

    def __enter__(self) -> MetricLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.board.close()
        except OSError as closing:
            if error is None:
                raise OutputError(f"cannot write in {self.folder}: {closing.strerror}") from None


def changed_values(
    before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
) -> list[str]:
    """Keys of two configurations that differ."""
    changed: list[str] = []
    for key in {**before, **now}:
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changed += changed_values(old, new, f"{prefix}{key}.")
        elif old != new:
            changed.append(f"{prefix}{key}")
    return changed


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    with written_whole(path) as file:
        file.write(text.encode())


def _cut(path: Path, step: int) -> None:
    """Leaves the rows up to a step; a last row that was cut short goes."""
    # Bytes that are no text are in rows that go.
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    kept = lines[:1] if step else []
    for line in lines[1:]:
        number = line.partition(",")[0]
        if line.endswith("\n") and number.isdigit() and int(number) <= step:
            kept.append(line)
    if not step:
        path.unlink()
    elif kept != lines:
        write_text(path, "".join(kept))


def _circumstances() -> dict[str, Any]:
    return {
        "command": sys.argv,
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain")),
        "posekit": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _git(*arguments: str) -> str | None:
    """What git says of the working folder; None where there is no repository or no git."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
