"""A run of a sweep: a command as it would run alone, in a folder of its own.

The folder has `job.json`: the run's overrides, how it ended and what it measured.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from posekit.commands.option_texts import path_keys
from posekit.files import write_whole
from posekit.overrides import LITERAL_KEYS, NAMED, unquoted

__all__ = ["OBJECTIVES", "REPORT", "SWEPT", "Job", "is_distributed", "unescaped"]

# Commands that can be swept, and the key of each one's own output.
SWEPT = {"train": "out_dir", "predict": "out_dir", "evaluate": "out"}

# Keys of further files and folders to write, which would be the same ones for all runs.
OUTPUTS = ("out_predictions", "pred_out_dir", "save_crops", "vis_out_dir")
INTERRUPTED = 130
REPORT = "job.json"
# What Optuna is told, the first that a run measured, and which way it is better.
OBJECTIVES = {"AP": "maximize", "MPJPE": "minimize"}


@dataclass(frozen=True)
class Job:
    """What Hydra runs, maybe in another process or on another machine."""

    command: str
    fixed: tuple[str, ...]
    prefixes: Mapping[str, str]
    config_dir: Path | None
    config_name: str | None

    def __call__(self, _: Any) -> float | None:
        hydra = HydraConfig.get()
        folder = Path(hydra.runtime.output_dir)
        swept = [self._typed(override) for override in hydra.overrides.task]
        words = [*swept, *self._resuming(folder)]
        report: dict[str, Any] = {"overrides": swept, "status": "did not end", "metrics": {}}
        _write(folder, report)
        start = time.perf_counter()
        report["status"] = self._run(words, folder)
        report["seconds"] = round(time.perf_counter() - start, 1)
        if report["status"] == "done":
            report["metrics"] = _metrics(self.command, folder)
        _write(folder, report)
        return _objective(report["metrics"])

    def _typed(self, override: str) -> str:
        key, _, value = override.removeprefix("++").partition("=")
        return f"{self.prefixes.get(key, '')}{key}={unescaped(self.command, key, value)}"

    def _resuming(self, folder: Path) -> list[str]:
        """Another start of this job, which SLURM has queued again, goes on where that was."""
        again = (folder / REPORT).exists() and not is_distributed()
        return ["resume=true"] if again and self.command == "train" else []

    def _run(self, swept: list[str], folder: Path) -> str:
        """How it ended; a job that fails stops no other."""
        from posekit.commands.reporting import report_errors

        out = folder / "results.json" if self.command == "evaluate" else folder
        fixed = [_of_run(word, folder) for word in self.fixed]
        words = [*fixed, *swept, f"{SWEPT[self.command]}={out}"]
        where = {"config_dir": self.config_dir, "config_name": self.config_name}
        try:
            with _own_hydra():
                status = report_errors(lambda: _function(self.command)(words, **where))
        except Exception:
            traceback.print_exc()
            return "failed"
        if status == INTERRUPTED:
            raise KeyboardInterrupt
        return "done" if status == 0 else "failed"


def _of_run(word: str, folder: Path) -> str:
    """What else is written lies in the run's folder; the copy of a sweep has a folder for each."""
    key, _, value = word.partition("=")
    if value in ("", "null"):
        return word
    if key == "mirror_to":
        return f"{key}={unquoted(value).rstrip('/')}/{HydraConfig.get().sweep.subdir}"
    return f"{key}={folder / Path(unquoted(value)).name}" if key in OUTPUTS else word


@contextlib.contextmanager
def _own_hydra() -> Iterator[None]:
    """A job composes, for which there must be no other Hydra in its process."""
    shared = GlobalHydra.instance()
    before, shared.hydra = shared.hydra, None
    try:
        yield
    finally:
        shared.hydra = before


def _function(command: str) -> Callable[..., int]:
    module = import_module(f"posekit.commands.{command}")
    function: Callable[..., int] = getattr(module, command)
    return function


def is_distributed() -> bool:
    """Whether torchrun started this process and others, which write to the same folders."""
    return "RANK" in os.environ


def unescaped(command: str, key: str, value: str) -> str:
    """A value as it is typed: Hydra writes `hf\\://a/b`, but reads no names and no paths here."""
    is_text = value[:1] not in ("[", "{", "'", '"')
    if is_text and key in (*LITERAL_KEYS, *NAMED, *path_keys(command)):
        return re.sub(r"\\(.)", r"\1", value)
    return value


def _metrics(command: str, folder: Path) -> dict[str, float | None]:
    if command == "evaluate":
        found = json.loads((folder / "results.json").read_text(encoding="utf-8"))["metrics"]
    elif (path := folder / "export" / "metrics.json").is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
    else:
        found = {}
    return dict(found or {})


def _objective(metrics: Mapping[str, float | None]) -> float | None:
    """What a sweeper that looks for the best is told; None, a failure, where nothing is measured.

    NaN would end Optuna's search.
    """
    return next((metrics[name] for name in OBJECTIVES if name in metrics), None)


def _write(folder: Path, report: Mapping[str, Any]) -> None:
    write_whole(folder / REPORT, json.dumps(report, indent=2).encode())
