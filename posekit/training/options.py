"""The options of a training run. Light: no torch.

The defaults are those of `conf/train.yaml`; a recipe in `conf/recipe/` replaces some of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from posekit.config import nearest
from posekit.declared import Options, is_number, option
from posekit.errors import InputError
from posekit.io.listing import hide_password

__all__ = ["TRAIN_KEYS", "TrainKeywords", "TrainOptions"]

TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """The run."""

    out_dir: str | os.PathLike[str] | None = option(
        None, "the folder of the run; if unset, `runs/NAME`"
    )
    mirror_to: str | None = option(
        None,
        "a URL such as `s3://bucket/run`, through fsspec, to copy the run's folder to at each "
        "checkpoint; `resume` restores a missing folder from it; if unset, no copy",
    )
    name: str | None = option(
        None,
        "name of the trained model; if unset, made of the network, the annotation file and "
        "the size",
    )
    resume: bool = option(False, "resume the run in `out_dir`, or start it if there is none")
    dry_run: bool = option(False, "check the data, build everything, print the plan and stop")

    def check(self) -> None:
        folder, url = str(self.out_dir), self.mirror_to
        if "://" in folder:
            raise InputError(
                f"out_dir must be a folder of this machine, found {hide_password(folder)}; "
                "mirror_to=URL copies it to a store"
            )
        # Signs of a pattern would mean other files.
        if url is not None and not re.fullmatch(r"(?!https?:)[\w+.-]+://[^*?\[]+", url):
            raise InputError(
                "mirror_to must be the URL of a folder that can be written, such as "
                f"s3://bucket/run or file:///path, found {hide_password(url)!r}"
            )


@dataclass(frozen=True, kw_only=True)
class StartOptions(Options):
    """Initial weights."""

    weights: str | os.PathLike[str] | None = option(
        "published", "weights to start from: `published`, a file or a URL; none starts at random"
    )
    trust: bool = option(
        False, "allow a model's folder to name classes from outside posekit, which run code"
    )
    freeze: list[str] = option(
        [], "what not to train, by prefixes of parameter names: `[backbone.stem]`"
    )
    train_net: dict[str, Any] = option(
        {}, "network arguments for training only, such as `drop_path_rate`"
    )

    def check(self) -> None:
        if not all(isinstance(prefix, str) for prefix in self.freeze):
            raise InputError(
                f"freeze must be a list such as [backbone.stem], found {self.freeze!r}"
            )


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions(Options):
    """Optimization; recipes set most of it."""

    epochs: int = option(210, "number of epochs", least=1)
    final_part: float = option(
        0.0, "share of the epochs, at the end, that uses `final_augment`", least=0, most=1
    )
    batch_size: int = option(64, "samples per batch in each process", least=1)
    accumulate: int = option(1, "batches per optimizer step", least=1)
    lr: float = option(5e-4, "learning rate for `lr_batch_size` samples per step", above=0)
    lr_batch_size: int | None = option(
        512,
        "samples per step that `lr` is for; with fewer, `lr` is reduced by the square root "
        "of the ratio (sgd: in proportion); none: `lr` is used as it is",
        least=1,
    )
    optimizer: str = option("adamw", "any optimizer of timm")
    weight_decay: float = option(0.0, "weight decay, except for biases and norms", least=0)
    betas: list[float] | None = option(
        None, "betas of Adam and its variants; if unset, timm's defaults"
    )
    layer_decay: float | None = option(
        None,
        "learning rate factor from each layer of a transformer to the one before; if unset, "
        "the same rate for all",
        above=0,
        most=1,
    )
    lr_factors: dict[str, float] = option(
        {}, "learning rate factors by prefixes of parameter names: `{neck.encoder: 0.05}`"
    )
    clip_grad: float | None = option(None, "largest gradient norm; if unset, no clipping", above=0)
    schedule: str = option(
        "multistep",
        "timm's schedule: multistep, cosine, wsd (constant, then a cosine to `min_lr`) or constant",
    )
    milestones: list[float] = option(
        [0.81, 0.95], "for multistep, as fractions of the run; each divides `lr` by ten"
    )
    decay: float = option(0.5, "for wsd: the fraction of the run that decays", least=0, most=1)
    min_lr: float = option(0.0, "lowest learning rate, as a fraction of `lr`", least=0, most=1)
    warmup_steps: int = option(500, "warm-up steps, at most a tenth of the run", least=0)
    ema: float | None = option(
        None,
        "decay of the moving average of the weights, which is evaluated and exported; if "
        "unset, no average",
        above=0,
        below=1,
    )
    ema_warmup: bool = option(True, "less decay at the start")

    def check(self) -> None:
        for key in ("betas", "milestones"):
            numbers = getattr(self, key)
            if numbers is not None and not all(is_number(number) for number in numbers):
                raise InputError(f"{key} must be a list of numbers, found {numbers!r}")
        factors = self.lr_factors
        if not all(is_number(factor) and factor >= 0 for factor in factors.values()):
            raise InputError(
                "lr_factors must be a mapping of names to numbers of at least 0, such as "
                f"{{neck.encoder: 0.05}}, found {factors!r}"
            )


@dataclass(frozen=True, kw_only=True)
class MachineOptions(Options):
    """Hardware."""

    device: str | None = option(None, "`cpu`, `cuda` or `mps`; if unset, the best one available")
    precision: Literal["no", "bf16", "fp16"] | None = option(
        None, "mixed precision; if unset, as `accelerate launch` says, else `no`"
    )
    compile: bool = option(False, "compile the network at the first step; needs a C++ compiler")
    sync_bn: bool = option(True, "share batch norm statistics between processes, on GPUs")
    seed: int = option(0, "random seed", least=0)
    num_workers: int | None = option(
        None, "processes that load samples; if unset, one per processor, at most eight", least=0
    )
    cache_mb: float = option(
        256, "memory for decoded images in each loading process", unit="MiB", least=0
    )

    def check(self) -> None:
        if self.device not in (None, "cpu", "cuda", "mps"):
            raise InputError(
                f"device must be cpu, cuda or mps, or left out, found {self.device!r}; choose "
                "among GPUs with CUDA_VISIBLE_DEVICES"
            )


@dataclass(frozen=True, kw_only=True)
class IntervalOptions(Options):
    """Evaluation, checkpoints and logs."""

    val_every: int = option(
        10, "epochs between evaluations; the last one is always evaluated", least=1
    )
    val_batch_size: int = option(64, "samples per batch in evaluation", least=1)
    checkpoint_every: int = option(
        1000, "steps between checkpoints; there is also one after each evaluation", least=1
    )
    log_every: int = option(10, "steps between log lines", least=1)
    log_with: str | list[str] | None = option(
        "tensorboard",
        "experiment trackers: tensorboard, wandb, mlflow, trackio, or several: "
        "`[tensorboard,wandb]`; none: only the tables in the run's folder",
    )

    def check(self) -> None:
        for name in self.trackers:
            if name not in TRACKERS:
                raise InputError(
                    f"log_with must be among {', '.join(TRACKERS)}, found {name!r}{_hint(name)}"
                )

    @property
    def trackers(self) -> list[str]:
        """`log_with` as a list, each once."""
        named = self.log_with or []
        return list(dict.fromkeys([named] if isinstance(named, str) else map(str, named)))


def _hint(name: str) -> str:
    close = nearest(name, TRACKERS, 1)
    return f"; did you mean {close[0]}?" if close else ""


@dataclass(frozen=True, kw_only=True)
class SequenceOptions(Options):
    """Keys of the recipe of lifters."""

    window: int = option(243, "frames per sample", only="lifted", least=1)
    stride: int = option(81, "frames from one sample to the next", only="lifted", least=1)
    flip: float = option(0.5, "probability of mirroring", only="lifted", least=0, most=1)


TRAIN_KEYS = (RunOptions, StartOptions, ScheduleOptions, MachineOptions, IntervalOptions)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(
    RunOptions, StartOptions, ScheduleOptions, MachineOptions, IntervalOptions, SequenceOptions
):
    """The keys of `posekit train`, without its configuration groups."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> TrainOptions:
        """The options in a composed configuration of `posekit train`.

        Raises:
            InputError: a wrong value.
        """
        # YAML reads a bare `no` as false.
        precision = "no" if config["precision"] is False else config["precision"]
        return cls.from_config({**config, "precision": precision})


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """What Python has in place of the configuration groups."""

    train: Any = option(
        None,
        "labels to train on: a file, a mapping that describes a source, or a list of these",
        python=True,
    )
    val: Any = option(None, "labels to evaluate on, in the same forms", python=True)
    dataset: str | None = option(
        None, "a name from `conf/dataset/`, such as `coco`; if unset, your own data", python=True
    )
    root: str | os.PathLike[str] | None = option(
        None, "the folder that the data set's relative paths start from", python=True
    )
    recipe: str | None = option(
        None, "a name from `conf/recipe/`; if unset, the one for the network", python=True
    )
    experiment: str | None = option(None, "a name from `conf/experiment/`", python=True)
    config_dir: str | os.PathLike[str] | None = option(
        None, "a folder with your own configurations", python=True
    )
    overrides: list[str] = option(
        [], "further overrides, as on the command line: `augment.rotation=40`", python=True
    )

    def check(self) -> None:
        if not all(isinstance(text, str) for text in self.overrides):
            raise InputError(
                f'overrides must be a list such as ["augment=none"], found {self.overrides!r}'
            )


@dataclass(frozen=True, kw_only=True)
class TrainKeywords(DataOptions, TrainOptions):
    """What `posekit.train` takes."""
