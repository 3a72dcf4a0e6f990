"""What a training run can be told. Light: no torch.

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
        None, "the run's folder; none takes `runs/NAME`"
    )
    mirror_to: str | None = option(
        None,
        "a URL such as `s3://bucket/run`, through fsspec, that gets a copy of the run's folder at "
        "each checkpoint; `resume` fetches a folder that is gone; none: no copy",
    )
    name: str | None = option(
        None, "of the trained model; none: the network, the annotations' file, the size"
    )
    resume: bool = option(False, "go on where the run in `out_dir` stopped, or start it")
    dry_run: bool = option(False, "check the data, build everything, say what would be done, stop")

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
    """What it starts from."""

    weights: str | os.PathLike[str] | None = option(
        "published", "to start from: also a file or a URL; none starts at random"
    )
    trust: bool = option(
        False, "let a model's folder name classes that are not posekit's, which run code"
    )
    freeze: list[str] = option(
        [], "what does not learn, by prefixes of parameter names: `[backbone.stem]`"
    )
    train_net: dict[str, Any] = option(
        {}, "arguments of the network for training alone, such as `drop_path_rate`"
    )

    def check(self) -> None:
        if not all(isinstance(prefix, str) for prefix in self.freeze):
            raise InputError(
                f"freeze must be a list such as [backbone.stem], found {self.freeze!r}"
            )


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions(Options):
    """How it learns; most of it is set by recipes."""

    epochs: int = option(210, "how often each sample is used", least=1)
    final_part: float = option(
        0.0, "the share of the epochs, at the end, that uses `final_augment`", least=0, most=1
    )
    batch_size: int = option(64, "samples per step of each process", least=1)
    accumulate: int = option(1, "batches per step", least=1)
    lr: float = option(5e-4, "learning rate for `lr_batch_size` samples per step", above=0)
    lr_batch_size: int | None = option(
        512,
        "fewer samples take less `lr`, by the square root (sgd: in proportion); none: `lr` as it "
        "is",
        least=1,
    )
    optimizer: str = option("adamw", "any of timm's")
    weight_decay: float = option(0.0, "not of biases and norms", least=0)
    betas: list[float] | None = option(None, "of Adam and its like; none: timm's own")
    layer_decay: float | None = option(
        None,
        "factor on `lr` from each layer of a transformer to the one before; none: the same for all",
        above=0,
        most=1,
    )
    lr_factors: dict[str, float] = option(
        {}, "factors on `lr`, by prefixes of parameter names: `{neck.encoder: 0.05}`"
    )
    clip_grad: float | None = option(None, "largest norm of the gradient; none: any", above=0)
    schedule: str = option(
        "multistep",
        "of timm: multistep, cosine, wsd (constant, then a cosine to `min_lr`) or constant",
    )
    milestones: list[float] = option(
        [0.81, 0.95], "of multistep, as parts of the run; each divides `lr` by ten"
    )
    decay: float = option(0.5, "of wsd: the part of the run that decays", least=0, most=1)
    min_lr: float = option(0.0, "as a part of `lr`", least=0, most=1)
    warmup_steps: int = option(500, "at most a tenth of the run", least=0)
    ema: float | None = option(
        None,
        "decay of the weights' moving average, which is evaluated and exported; none: no average",
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
    """Where it runs."""

    device: str | None = option(None, "`cpu`, `cuda` or `mps`; none takes the best there is")
    precision: Literal["no", "bf16", "fp16"] | None = option(
        None, "of the network's operations; none: as `accelerate launch` says, else `no`"
    )
    compile: bool = option(
        False, "make code for the network at the first step; it takes a C++ compiler"
    )
    sync_bn: bool = option(True, "batch statistics of all processes together, on GPUs")
    seed: int = option(0, "of all that is random", least=0)
    num_workers: int | None = option(
        None, "processes that load; none: as many as processors, eight at most", least=0
    )
    cache_mb: float = option(256, "decoded images that each of them keeps", unit="MiB", least=0)

    def check(self) -> None:
        if self.device not in (None, "cpu", "cuda", "mps"):
            raise InputError(
                f"device must be cpu, cuda or mps, or left out, found {self.device!r}; choose "
                "among GPUs with CUDA_VISIBLE_DEVICES"
            )


@dataclass(frozen=True, kw_only=True)
class IntervalOptions(Options):
    """What it does from time to time."""

    val_every: int = option(
        10, "epochs from one evaluation to the next; the last one is always evaluated", least=1
    )
    val_batch_size: int = option(64, "samples that are evaluated at once", least=1)
    checkpoint_every: int = option(
        1000, "steps; the end of an epoch that is evaluated counts too", least=1
    )
    log_every: int = option(10, "steps", least=1)
    log_with: str | list[str] | None = option(
        "tensorboard",
        "who gets the curves: tensorboard, wandb, mlflow, trackio, or several: "
        "`[tensorboard,wandb]`; none: the tables in the run's folder alone",
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

    window: int = option(243, "frames of a sample", only="lifted", least=1)
    stride: int = option(81, "frames from one sample to the next", only="lifted", least=1)
    flip: float = option(0.5, "probability of mirroring", only="lifted", least=0, most=1)


TRAIN_KEYS = (RunOptions, StartOptions, ScheduleOptions, MachineOptions, IntervalOptions)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(
    RunOptions, StartOptions, ScheduleOptions, MachineOptions, IntervalOptions, SequenceOptions
):
    """The keys of `posekit train`, without its groups of configurations."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> TrainOptions:
        """Those of a composed configuration of `posekit train`.

        Raises:
            InputError: a wrong value.
        """
        # YAML reads a bare `no` as false.
        precision = "no" if config["precision"] is False else config["precision"]
        return cls.from_config({**config, "precision": precision})


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """What stands for the groups of configurations in Python."""

    train: Any = option(
        None,
        "labels to learn from: a file, a mapping that describes a source, or a list of these",
        python=True,
    )
    val: Any = option(None, "labels to measure on, in the same forms", python=True)
    dataset: str | None = option(
        None, "a data set of `conf/dataset/`, such as `coco`; none is one of your own", python=True
    )
    root: str | os.PathLike[str] | None = option(
        None, "the folder that the data set's relative paths start from", python=True
    )
    recipe: str | None = option(
        None, "of `conf/recipe/`; none takes the one for the network", python=True
    )
    experiment: str | None = option(None, "of `conf/experiment/`", python=True)
    config_dir: str | os.PathLike[str] | None = option(
        None, "a folder with configurations of your own", python=True
    )
    overrides: list[str] = option(
        [], "more, as on the command line: `augment.rotation=40`", python=True
    )

    def check(self) -> None:
        if not all(isinstance(text, str) for text in self.overrides):
            raise InputError(
                f'overrides must be a list such as ["augment=none"], found {self.overrides!r}'
            )


@dataclass(frozen=True, kw_only=True)
class TrainKeywords(DataOptions, TrainOptions):
    """What `posekit.train` takes."""
