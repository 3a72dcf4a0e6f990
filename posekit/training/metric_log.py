"""What a run measures, step by step: tables in its folder, and programs that show curves.

The tables are always written. Programs are reached through accelerate's trackers: all of them get
the same names (`train/loss`), as far as they take them, and steps, and a resumed run keeps its id.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

from posekit.errors import InputError, OutputError, first_line
from posekit.training.checkpoint import written_whole
from posekit.version import __version__

__all__ = ["MetricLog", "check_trackers"]

log = logging.getLogger(__name__)

TAG = "posekit.run"

# How long programs wait for a server that does not answer, unless the user has said so. By their
# own values MLflow makes a run wait for 4 minutes where there is none, for 20 where one is silent;
# W&B waits for hours at the end, though all that it has is on the disk.
WAITS = {
    "mlflow": {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"},
    "wandb": {"WANDB_FINISH_TIMEOUT": "120"},
}


class MetricLog:
    """Measurements per step, as CSV and for programs that show them.

    Args:
        folder: the folder of the run.
        step: rows of later steps, from before a crash, are removed.
        log_with: `tensorboard`, `wandb`, `mlflow` or `trackio`, any number of them.
        run_id: the run's id in these programs, beside its folder's name.
        config: what they show about the run beside its measurements.

    Raises:
        InputError: one of them cannot be started.
        OutputError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        step: int,
        log_with: Sequence[str] = ("tensorboard",),
        run_id: str = "",
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self._names = folder, tuple(log_with)
        for table in ("train", "val"):
            if (path := folder / f"{table}.csv").is_file():
                _cut(path, step)
        self._trackers: dict[str, GeneralTracker] = {}
        try:
            for name in log_with:
                self._trackers[name] = _started(name, folder, step, run_id, config or {})
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

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
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from None
        named = {f"{table}/{name}": value for name, value in values.items()}
        self._each(lambda tracker: tracker.log(_names_for(tracker, named), step=step))

    def _each(self, act: Callable[[GeneralTracker], None]) -> None:
        """A program that fails is left out from then on: the tables have all that is measured.

        Raises:
            OutputError: the folder itself cannot be written.
        """
        for name, tracker in list(self._trackers.items()):
            try:
                act(tracker)
            except Exception as error:  # each program has kinds of its own
                if name == "tensorboard" and isinstance(error, OSError):
                    raise OutputError(f"cannot write in {self.folder}: {error.strerror}") from None
                del self._trackers[name]
                with contextlib.suppress(Exception):  # else the next run would be within it
                    tracker.finish()
                log.warning(
                    "%s gets no more measurements: %s; train.csv and val.csv are complete",
                    name,
                    first_line(error),
                )

    def __enter__(self) -> MetricLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._each(lambda tracker: tracker.finish())
        except OutputError:
            if error is None:
                raise
        finally:
            if "mlflow" in self._names:
                _leave_mlflow(self.folder)


def check_trackers(names: Sequence[str]) -> None:
    """Checks that the packages of the trackers are installed.

    Raises:
        InputError: one is missing.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise InputError(f"log_with={name} needs the package {name}: pip install {name}")
        if name not in LOGGER_TYPE_TO_CLASS:
            raise InputError(
                f"log_with={name} needs a newer accelerate: pip install --upgrade accelerate"
            )


def _started(
    name: str, folder: Path, step: int, run_id: str, config: Mapping[str, Any]
) -> GeneralTracker:
    for variable, value in WAITS.get(name, {}).items():
        os.environ.setdefault(variable, value)
    try:
        arguments = STARTS[name](folder, step, run_id)
        tracker = LOGGER_TYPE_TO_CLASS[name](**arguments)
        if hasattr(tracker, "start"):  # older ones start as they are made
            tracker.start()
        # TensorBoard would make a folder for them; MLflow takes them once.
        if name != "tensorboard" and not arguments.get("run_id"):
            tracker.store_init_configuration(_flat({**config, "posekit": __version__}))
    except Exception as error:  # each program has kinds of its own
        if name == "tensorboard" and isinstance(error, OSError):
            raise OutputError(f"cannot write in {folder}: {error.strerror}") from None
        raise InputError(f"log_with={name}: it cannot be started: {first_line(error)}") from error
    return tracker


def _names_for(tracker: GeneralTracker, values: Mapping[str, float]) -> dict[str, float]:
    """Measurements by names that a program takes: MLflow `AP_M` for `AP(M)`."""
    if tracker.name != "mlflow":
        return dict(values)
    return {
        re.sub(r"[^\w.\- :/]", "_", re.sub(r"\((\w+)\)", r"_\1", name)): value
        for name, value in values.items()
    }


def _tensorboard(folder: Path, step: int, run_id: str) -> dict[str, Any]:
    purge = step + 1 if step else None
    return {"run_name": "", "logging_dir": str(folder), "purge_step": purge}


def _wandb(folder: Path, step: int, run_id: str) -> dict[str, Any]:
    arguments = {"name": folder.name, "id": run_id, "resume": "allow", "dir": str(folder)}
    if "WANDB_MODE" not in os.environ and not _has_wandb_login():
        log.info("wandb: not logged in, so it writes to %s; upload that with `wandb sync`", folder)
        arguments["mode"] = "offline"
    return {"run_name": "posekit", **arguments}


def _has_wandb_login() -> bool:
    import wandb

    try:
        return bool(wandb.login(prompt=False, verify=False))
    except TypeError:  # older ones always ask where there is a terminal
        return bool(os.environ.get("WANDB_API_KEY") or wandb.api.api_key)


def _mlflow(folder: Path, step: int, run_id: str) -> dict[str, Any]:
    import mlflow

    if not mlflow.is_tracking_uri_set():
        # A folder of files is there at once, where a database takes half a minute to be made.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        mlflow.set_tracking_uri(_mlruns(folder))
    known = mlflow.search_runs(
        search_all_experiments=True,
        filter_string=f"tags.`{TAG}` = '{run_id}'",
        output_format="list",
    )
    return {
        "experiment_name": "posekit",
        "run_name": folder.name,
        "tags": {TAG: run_id},
        "run_id": known[0].info.run_id if known else None,
    }


def _mlruns(folder: Path) -> str:
    return (folder / "mlruns").resolve().as_uri()


def _leave_mlflow(folder: Path) -> None:
    """The next run of this process, and what it starts, have folders of their own."""
    import mlflow

    if mlflow.get_tracking_uri() == _mlruns(folder):
        mlflow.set_tracking_uri(None)


def _trackio(folder: Path, step: int, run_id: str) -> dict[str, Any]:
    return {"run_name": "posekit", "name": f"{folder.name}-{run_id[:8]}", "resume": "allow"}


STARTS: dict[str, Callable[[Path, int, str], dict[str, Any]]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
    "trackio": _trackio,
}


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted keys: numbers and texts as they are, others as text."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            plain = isinstance(value, bool | int | float | str)
            found[f"{prefix}{key}"] = value if plain else str(value)
    return found


def _cut(path: Path, step: int) -> None:
    """Keeps the rows up to a step; a last row that was cut short is removed."""
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
        with written_whole(path) as file:
            file.write("".join(kept).encode())
