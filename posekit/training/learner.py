"""What is trained, and its state in checkpoints: network, average, optimiser, schedule."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from timm.utils import ModelEmaV3
from torch import nn

from posekit.errors import InputError, first_line
from posekit.training.optim import (
    freeze,
    frozen_modules,
    make_optimizer,
    make_scheduler,
    restore_optimizer,
)
from posekit.training.options import TrainOptions
from posekit.training.tasks import Task
from posekit.training.warm_start import initial_network

__all__ = ["Learner", "Plan"]


class Plan:
    """How an epoch is divided into steps; samples that fill no step wait for another epoch.

    Args:
        samples: samples of an epoch, over all processes.
        batch_size: samples per batch of each process.
        ranks: number of processes.
        accumulate: batches per step; fewer if an epoch has fewer.
    """

    def __init__(self, samples: int, batch_size: int, ranks: int, accumulate: int) -> None:
        self.batches_per_step = min(accumulate, max(math.ceil(samples / (batch_size * ranks)), 1))
        self.samples_per_step = min(batch_size * ranks * self.batches_per_step, samples)
        self.steps_per_epoch = max(samples // self.samples_per_step, 1)

    def check_same(self, saved: list[int]) -> None:
        """Checks that a resumed run counts steps and epochs in the same samples as before.

        Raises:
            InputError: the run to resume was divided in another way.
        """
        now = [self.samples_per_step, self.steps_per_epoch]
        if saved != now:
            raise InputError(
                f"cannot resume: the run has {saved[1]} steps of {saved[0]} samples per epoch, now "
                f"{now[1]} of {now[0]}; keep the data, and batch_size x accumulate x processes, as "
                "they were"
            )


class Learner:
    """The network in training, its moving average, its optimiser and the schedule.

    Args:
        task: what is trained.
        config: configuration of `train`; its `weights` are what the network starts from.
        options: the same, checked.
        plan: the steps of an epoch.
        accelerator: puts all of these on devices.

    Attributes:
        net: the network itself.
        model: as it is trained, which may be a wrapper around it.

    Raises:
        InputError: a network, an optimiser or a schedule that cannot be made.
        WeightsError: initial weights that do not fit.
    """

    def __init__(
        self,
        task: Task,
        config: Mapping[str, Any],
        options: TrainOptions,
        plan: Plan,
        accelerator: Accelerator,
    ) -> None:
        self.accelerator = accelerator
        device, ranks = accelerator.device, accelerator.num_processes
        torch.manual_seed(options.seed)
        net = initial_network(task, config, say=accelerator.is_main_process)
        freeze(net, options.freeze)
        if options.sync_bn and ranks > 1 and device.type == "cuda":
            net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
        # Convolutions learn a quarter faster so, on processors too.
        net.to(device).to(memory_format=torch.channels_last)
        self.net = net
        self.ema = None
        if options.ema is not None:
            self.ema = ModelEmaV3(net, decay=options.ema, use_warmup=options.ema_warmup)
        optimizer = make_optimizer(net, options, plan.samples_per_step)
        self.scheduler = make_scheduler(optimizer, options, plan.steps_per_epoch * options.epochs)
        # The same parameters; what is evaluated and saved stays the network itself.
        trained = _compiled(net, device) if options.compile else net
        self.model, self.optimizer = accelerator.prepare(trained, optimizer)
        self._frozen_modules = frozen_modules(net, options.freeze)

    @property
    def best(self) -> nn.Module:
        """The network that is evaluated and exported."""
        return self.net if self.ema is None else self.ema.module

    @property
    def rate(self) -> float:
        """The learning rate."""
        return max(group["lr"] for group in self.optimizer.param_groups)

    def train(self) -> None:
        """Enters training mode, except for what is frozen."""
        self.model.train()
        for module in self._frozen_modules:
            module.eval()

    def stepped(self, step: int) -> None:
        """Updates schedule and average after the optimiser's step number `step`."""
        self.scheduler.step_update(step)
        if self.ema is not None:
            self.ema.update(self.net, step)

    def state(self) -> dict[str, Any]:
        """All that is not a function of the step."""
        scaler = self.accelerator.scaler
        return {
            "net": self.net.state_dict(),
            "ema": None if self.ema is None else self.ema.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
        }

    def restore(self, state: Mapping[str, Any], source: Path) -> None:
        """Goes back to a state.

        Args:
            state: the result of `state`, and the `step` at which it was made.
            source: where it comes from, for errors.

        Raises:
            InputError: it belongs to another network or optimiser.
        """
        scaler = self.accelerator.scaler
        try:
            self.net.load_state_dict(state["net"])
            restore_optimizer(self.optimizer, state["optimizer"])
            if self.ema is not None:  # which may be new
                self.ema.module.load_state_dict(state["ema"] or state["net"])
            if scaler is not None and state["scaler"] is not None:
                scaler.load_state_dict(state["scaler"])
        except Exception as error:  # of what is in a foreign file
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise InputError(
                f"{source} is of another model or optimizer: {reason}; choose another out_dir"
            ) from None
        self.scheduler.step_update(state["step"])  # another lr acts at once


def _compiled(net: nn.Module, device: torch.device) -> nn.Module:
    """The network as compiled code, which is made at its first step.

    Raises:
        InputError: none can be made here.
    """
    from torch._inductor import config as inductor

    try:
        # Not from a cache: whether it can be made is the question.
        with inductor.patch(force_disable_caches=True), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the cache
            torch.compile(torch.sin)(torch.ones(2, device=device))
    except Exception as error:  # of PyTorch's compiler, of g++, of Triton
        raise InputError(
            "compile=true: PyTorch cannot compile here; it needs a C++ compiler such as g++ "
            f"and Python's headers: {first_line(error)[:200]}; leave compile out to train "
            "without it"
        ) from error
    compiled: nn.Module = torch.compile(net)  # type: ignore[assignment]
    return compiled
