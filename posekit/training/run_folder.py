"""The folder of a training run.

config.yaml         every value of the configuration, resolved
run.json            an id, command, git commit, versions
train.csv, val.csv  what was measured, see `metric_log.py`
last.ckpt           the state to resume from
export/             the best weights as a model that `posekit.load` takes, see `export.py`
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from posekit.errors import InputError, OutputError, first_line
from posekit.training.checkpoint import (
    check_state,
    load_checkpoint,
    save_checkpoint,
    written_whole,
)
from posekit.version import __version__

__all__ = ["RunFolder", "changed_values", "is_same_run"]


class RunFolder:
    """Where a run writes; nothing is made before `open`.

    Args:
        path: the folder.
        resume: continue the run in it.

    Raises:
        InputError: the folder already holds a run, or is not a folder.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path = path
        self.checkpoint = path / "last.ckpt"
        self.export = path / "export"
        if path.exists() and not path.is_dir():
            raise InputError(f"out_dir: {path} is a file, expected a folder")
        if not resume and (path / "config.yaml").exists():
            raise InputError(
                f"{path} already holds a run: continue it with resume=true, or choose another "
                "out_dir"
            )
        if resume and self.checkpoint.exists() and not self.checkpoint.is_file():
            raise InputError(
                f"{self.checkpoint} is not a file; expected a checkpoint to resume from"
            )
        self.resumes = resume and self.checkpoint.is_file()

    def open(self, config: Mapping[str, Any], *, launch: str | None = None) -> None:
        """Makes the folder and writes down what is run.

        Args:
            config: the run's configuration.
            launch: the launch's id, see `posekit.training.processes.launch_id`.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {self.path}: {error.strerror}") from None
        write_text(self.path / "run.json", json.dumps(_circumstances(launch), indent=2) + "\n")
        write_text(self.path / "config.yaml", _config_text(config))

    def undo(self) -> None:
        """Takes back what `open` wrote, for a run that cannot begin after all."""
        for name in ("run.json", "config.yaml"):
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # there is something else in it
            self.path.rmdir()

    @property
    def run_id(self) -> str:
        """The run's id, wherever its folder is."""
        known = facts(self.path).get("id")
        # Older ones have none.
        return known or hashlib.sha256(str(self.path.resolve()).encode()).hexdigest()[:16]

    def saved_config(self) -> dict[str, Any]:
        """The configuration that the run was started with; empty if it is lost.

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


def is_same_run(path: Path, launch: str, config: Mapping[str, Any]) -> bool:
    """Whether a launch has begun the run in a folder, with this configuration."""
    try:
        saved = (path / "config.yaml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return facts(path).get("launch") == launch and saved == _config_text(config)


def facts(path: Path) -> dict[str, Any]:
    """What run.json says about the run in a folder; empty if it cannot be read."""
    try:
        found = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _config_text(config: Mapping[str, Any]) -> str:
    """The text of config.yaml, without how the run was resumed, which changes no result."""
    kept = {key: value for key, value in config.items() if key != "resume"}
    return yaml.safe_dump(kept, sort_keys=False)


def _circumstances(launch: str | None) -> dict[str, Any]:
    return {
        "id": secrets.token_hex(8),
        "launch": launch,
        "command": sys.argv,
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain")),
        "posekit": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _git(*arguments: str) -> str | None:
    """What git says about the working folder; None without a repository or git."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
