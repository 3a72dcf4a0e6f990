"""Options of `posekit batch`. Imports no torch."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from posekit.declared import Options, option
from posekit.drawing.window import ShowOptions
from posekit.errors import InputError
from posekit.files import prediction_formats
from posekit.io.listing import ErrorOptions, InputOptions
from posekit.io.write import WriteOptions, chosen_formats
from posekit.loading import LoadOptions
from posekit.options import PredictOptions

__all__ = ["BATCH_KEYS", "PREDICTED", "BatchKeywords", "BatchOptions", "RunOptions", "Shard"]


PIECE_SECONDS = 300.0  # of a long clip, where nobody says


@dataclass(frozen=True)
class Shard:
    """A part of all clips: the `number`-th of `count`, from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True, kw_only=True)
class BatchSourceOptions(InputOptions):
    """Clips."""

    inputs: Any = option(
        None,
        "a clip, a folder (searched with its subfolders), a glob pattern, a list of these as "
        "`.txt` or `.csv`, a URL (`s3://`, `gs://`, `hf://`, ... through fsspec), or several: "
        "`inputs=[a,b]`; relative paths in a list start from the list's folder",
    )
    recursive: bool = option(True, "search subfolders too")
    base: str | os.PathLike[str] | None = option(
        None,
        "the folder that result names are relative to: `base/cam1/a.mp4` gives "
        "`out_dir/cam1/a.mp4.parquet`; if unset, the deepest folder that contains all inputs",
    )


@dataclass(frozen=True, kw_only=True)
class BatchWriteOptions(Options):
    """Results."""

    out_dir: str | os.PathLike[str] | None = option(
        None, "the folder for the results, laid out as the clips are below `base`"
    )
    formats: Any = option(
        ["parquet"],
        "formats of the predictions",
        choices=prediction_formats(),
    )
    drawings: bool = option(False, "write drawings too, as `a.mp4.drawn.mp4`")
    overwrite: bool = option(
        False,
        "process all clips again if `out_dir` has results of another model, other weights or "
        "other options; without it, that is an error",
    )
    retry_failed: bool = option(
        False, "process clips again that failed before or could not be read to the end"
    )

    def check(self) -> None:
        chosen_formats(self.formats)


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """Workers."""

    runner: Literal["local", "ray", "slurm"] = option(
        "local",
        "`local`: processes on this machine; `ray`: actors of Ray Data; `slurm`: an array of "
        "jobs, one shard each",
    )
    workers: int | Literal["auto"] = option(
        "auto",
        "number of processes, or of actors with `ray`; `auto`: one per GPU, or as many as "
        "`threads` allows; 0 runs in this process; with `slurm`, workers per job",
        least=0,
    )
    threads: int | None = option(
        None,
        "threads per worker; if unset, 4, or fewer where there are not enough cores; results "
        "may differ by rounding between numbers of threads",
        least=1,
    )
    shard: str | None = option(
        None,
        "process only this share of the clips: `3/16` is the third of sixteen; a clip's shard "
        "depends on its name only",
    )
    split: float | Literal["auto", "none"] = option(
        "auto",
        "length of the pieces that long clips are split into, so that several workers share a "
        "clip and a crash loses one piece; the result files are the same; `auto`: 300 "
        "seconds; `none`: no splitting",
        unit="seconds",
        above=0,
    )
    address: str | None = option(
        None,
        "address of a running Ray cluster, or `auto` for the one on this machine; if unset, a "
        "local one is started",
    )
    max_workers: int | None = option(
        None, "the most actors of `ray`, if the pool may grow beyond `workers`", least=1
    )
    num_gpus: float | None = option(
        None, "GPUs per actor of `ray`; if unset, 1 if the networks run on a GPU", least=0
    )
    num_cpus: float | None = option(
        None, "CPUs per actor of `ray`; if unset, the number of `threads`", least=0
    )
    slurm: dict = option(  # type: ignore[type-arg]
        {},
        "settings of `slurm`: `slurm.partition=gpu slurm.time=120 slurm.gpus_per_node=1 "
        "slurm.jobs=16 ...`, see docs/scale.md",
    )

    def check(self) -> None:
        _ = self.part
        only = {"ray": ("address", "max_workers", "num_gpus", "num_cpus"), "slurm": ("slurm",)}
        for runner, names in only.items():
            for name in names:
                if runner != self.runner and getattr(self, name):
                    raise InputError(
                        f"{name} has no effect with runner={self.runner}; leave it out, or use "
                        f"runner={runner}"
                    )
        if self.runner == "ray" and self.workers == 0:
            raise InputError("workers must be at least 1 with runner=ray, found 0")
        few = self.workers if self.workers != "auto" else 1
        if self.max_workers is not None and self.max_workers < few:
            raise InputError(f"max_workers={self.max_workers} is below workers={self.workers}")

    @property
    def piece_seconds(self) -> float | None:
        """The length of a long clip's pieces, in seconds; None if no clip is split."""
        if self.split == "none":
            return None
        return PIECE_SECONDS if self.split == "auto" else float(self.split)

    @property
    def part(self) -> Shard | None:
        """The shard; None for all."""
        if self.shard is None:
            return None
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", str(self.shard))
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise InputError(
                f"shard must be such as 3/16, from 1/16 to 16/16, found {self.shard!r}"
            )
        return Shard(int(found[1]), int(found[2]))


# Of prediction, all but what is of files and windows.
PREDICT_GROUPS: tuple[type[Options], ...] = tuple(
    group
    for group in PredictOptions.__bases__
    if issubclass(group, Options)
    and not issubclass(group, InputOptions | WriteOptions | ShowOptions | ErrorOptions)
)

# What of clips is for prediction to know, as which part of each is taken.
_OF_CLIPS: tuple[type[Options], ...] = (InputOptions, *PREDICT_GROUPS)
PREDICTED = tuple(
    name
    for group in _OF_CLIPS
    for name in group.declared()
    if name not in ("recursive", "include", "order")
)

BATCH_KEYS: tuple[type[Options], ...] = (
    BatchSourceOptions,
    BatchWriteOptions,
    RunOptions,
    LoadOptions,
    *PREDICT_GROUPS,
)


@dataclass(frozen=True, kw_only=True)
class BatchOptions(BatchSourceOptions, BatchWriteOptions, RunOptions):
    """Options of a batch."""

    def check(self) -> None:
        if not self.out_dir:
            raise InputError("out_dir is missing: name a folder for the results, out_dir=FOLDER")

    @property
    def folder(self) -> Path:
        """The folder of the results."""
        assert self.out_dir is not None
        return Path(self.out_dir).expanduser().absolute()


@dataclass(frozen=True, kw_only=True)
class BatchChoices(Options):
    """Arguments in Python that replace groups of configurations."""

    pose2d: str | None = option(None, "as in `posekit.load`", python=True)
    detector: str | os.PathLike[str] | None = option(None, "as in `posekit.load`", python=True)
    config_dir: str | os.PathLike[str] | None = option(
        None, "a folder with your own configurations", python=True
    )


@dataclass(frozen=True, kw_only=True)
class _AsPredicted(BatchChoices, *PREDICT_GROUPS, LoadOptions):  # type: ignore[misc]
    """What prediction takes, for a call in Python."""


@dataclass(frozen=True, kw_only=True)
class BatchKeywords(_AsPredicted, BatchOptions):
    """What `posekit.batch` takes."""
