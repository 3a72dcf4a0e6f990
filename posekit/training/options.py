"""What a training run can be told. Light: no torch.

The defaults are those of `conf/train.yaml`; a recipe in `conf/recipe/` replaces some of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from posekit.declared import Options, is_number, option
from posekit.errors import InputError

__all__ = ["TrainKeywords", "TrainOptions"]


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    """The keys of `posekit train`."""

    out_dir: str | os.PathLike[str] | None = option(
        None, "the run's folder; null takes `runs/NAME`"
    )
    name: str | None = option(
        None, "of the trained model; null: the network, the annotations' file, the size"
    )
    resume: bool = option(False, "true goes on where the run in `out_dir` stopped, or starts it")
    dry_run: bool = option(
        False, "true checks the data, builds everything, says what would be done and stops"
    )

    weights: str | os.PathLike[str] | None = option(
        "published", "to start from: also a file or a URL; null starts at random"
    )
    trust: bool = option(
        False,
        "true builds classes that are not posekit's of a model's folder: they run code",
    )
    freeze: list[str] = option(
        [], "prefixes of parameter names that do not learn, e.g. `[backbone.stem]`"
    )
    train_net: dict[str, Any] = option(
        {}, "arguments of the network for training alone, such as `drop_path_rate`"
    )

    epochs: int = option(210, "times that all samples come", least=1)
    final_part: float = option(
        0.0, "the part of the epochs, at the end, that uses `final_augment`", least=0, most=1
    )
    batch_size: int = option(64, "samples per step of each process", least=1)
    accumulate: int = option(1, "batches per step", least=1)
    lr: float = option(5e-4, "for `lr_batch_size` samples per step", above=0)
    lr_batch_size: int | None = option(
        512,
        "fewer take less, by the square root (sgd: in proportion); null: `lr` as it is",
        unit="samples",
        least=1,
    )
    optimizer: str = option("adamw", "any of timm's")
    weight_decay: float = option(0.0, "not of biases and norms", least=0)
    betas: list[float] | None = option(None, "of Adam and its kin; null takes timm's")
    layer_decay: float | None = option(
        None,
        "factor on `lr` from each layer of a transformer to the one before it",
        above=0,
        most=1,
    )
    clip_grad: float | None = option(None, "largest norm of the gradient", above=0)
    schedule: str = option(
        "multistep",
        "timm's: multistep, cosine, wsd (constant, then a cosine to `min_lr`), constant",
    )
    milestones: list[float] = option(
        [0.81, 0.95], "of multistep, as parts of the run; each divides `lr` by ten"
    )
    decay: float = option(0.5, "of wsd: the part of the run that decays", least=0, most=1)
    min_lr: float = option(0.0, "as a part of `lr`", least=0, most=1)
    warmup_steps: int = option(500, "at most a tenth of the run", unit="steps", least=0)
    ema: float | None = option(
        None,
        "decay of the weights' moving average, which is then what is evaluated and exported",
        above=0,
        below=1,
    )
    ema_warmup: bool = option(True, "less decay at the start")

    device: str | None = option(None, "cpu, cuda, mps; null takes the best there is")
    precision: Literal["no", "bf16", "fp16"] | None = option(
        None, "no, bf16, fp16; null: as `accelerate launch` says, else no"
    )
    sync_bn: bool = option(True, "batch statistics of all processes together, on GPUs")
    seed: int = option(0, "of all that is random", least=0)
    num_workers: int | None = option(
        None, "processes that load; null: the processors, eight at most", least=0
    )
    cache_mb: float = option(256, "decoded images that each of them keeps", unit="MiB", least=0)

    val_every: int = option(10, "the last one is always evaluated", unit="epochs", least=1)
    val_batch_size: int = option(64, "samples that are evaluated at once", least=1)
    checkpoint_every: int = option(
        1000, "the end of an epoch that is evaluated counts too", unit="steps", least=1
    )
    log_every: int = option(10, "from one line of the log to the next", unit="steps", least=1)

    window: int = option(243, "frames of a sample", only="lifted", least=1)
    stride: int = option(81, "frames from one sample to the next", only="lifted", least=1)
    flip: float = option(0.5, "probability of mirroring", only="lifted", least=0, most=1)

    def check(self) -> None:
        """Refuses lists with something else in them, and devices that processes do not share."""
        for key in ("betas", "milestones"):
            numbers = getattr(self, key)
            if numbers is not None and not all(is_number(number) for number in numbers):
                raise InputError(f"{key} must be a list of numbers, found {numbers!r}")
        if not all(isinstance(prefix, str) for prefix in self.freeze):
            raise InputError(
                f"freeze must be a list such as [backbone.stem], found {self.freeze!r}"
            )
        if self.device not in (None, "cpu", "cuda", "mps"):
            raise InputError(
                f"device must be cpu, cuda or mps, or left out, found {self.device!r}; choose "
                "among GPUs with CUDA_VISIBLE_DEVICES"
            )

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
class TrainKeywords(TrainOptions):
    """What `posekit.train` takes: the same, and in place of the groups of the configuration:"""

    train: Any = option(
        None,
        "labels to learn from: a file, a mapping that describes a source, or a list of these",
        python=True,
    )
    val: Any = option(None, "labels to measure on, in the same forms", python=True)
    dataset: str | None = option(
        None, "a data set of `conf/dataset/`, such as coco, in place of `train`", python=True
    )
    root: str | os.PathLike[str] | None = option(
        None, "the folder that relative paths of the data set start from", python=True
    )
    recipe: str | None = option(
        None, "of `conf/recipe/`; None takes the one for the network", python=True
    )
    experiment: str | None = option(None, "of `conf/experiment/`", python=True)
    config_dir: str | os.PathLike[str] | None = option(
        None, "a folder with configurations of your own", python=True
    )
    overrides: list[str] = option(
        [], "more as on the command line, such as `augment.rotation=40`", python=True
    )
