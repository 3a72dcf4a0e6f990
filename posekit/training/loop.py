"""The training loop: data -> loss -> step, and what has to survive a crash.

Read `train` from the top. accelerate places, distributes and rounds; timm has the optimisers, the
schedules and the moving average; `posekit.training.tasks` has what is pose.

A run has no hidden state: samples are functions of (seed, epoch, index), random numbers of the
network are functions of (seed, step, process), the learning rate is one of the step. So a run that
resumes ends where it would have ended.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.utils.data import DataLoader

from posekit.datasets.batches import batches, collate, init_worker
from posekit.datasets.sampler import ResumableSampler
from posekit.errors import InputError
from posekit.training.export import export_model, model_name
from posekit.training.optim import (
    freeze,
    frozen_modules,
    make_optimizer,
    make_scheduler,
    restore_optimizer,
)
from posekit.training.run_folder import MetricLog, RunFolder, changed_values
from posekit.training.tasks import Task, make_task
from posekit.training.warm_start import initial_network

__all__ = ["train"]

log = logging.getLogger(__name__)

# Values that may change when a run resumes without changing what it computes.
FREE_TO_CHANGE = (
    *("resume", "dry_run", "out_dir", "device", "num_workers", "cache_mb", "log_every"),
    *("checkpoint_every", "val_batch_size", "search", "weights"),
)
MOST_WORKERS = 8
# Other processes wait for the first one's evaluation.
PATIENCE = timedelta(hours=4)


def train(config: Mapping[str, Any]) -> Path:
    """Trains a model.

    Args:
        config: the composed values of `conf/train.yaml`, see `posekit.compose.compose_command`.

    Returns:
        The folder of the run; its `export/` is the trained model.

    Raises:
        InputError: data, values or a folder that cannot be used; a loss that is not finite.
        OutputError: a file cannot be written.
        WeightsError: initial weights that do not fit.
    """
    _check_values(config)
    name = model_name(config)
    folder = RunFolder(Path(config["out_dir"] or f"runs/{name}"), resume=config["resume"])
    task = make_task(config)
    accelerator = _accelerator(config)
    _check_folder(folder, accelerator)
    ranks, main = accelerator.num_processes, accelerator.is_main_process
    device = accelerator.device

    sampler = ResumableSampler(
        len(task.train_set),
        seed=config["seed"],
        rank=accelerator.process_index,
        ranks=ranks,
    )
    plan = _Plan(len(sampler) * ranks, config["batch_size"], ranks, config["accumulate"])
    accelerator.gradient_accumulation_steps = plan.batches_per_step
    steps = plan.steps_per_epoch * config["epochs"]

    torch.manual_seed(config["seed"])
    # A run that resumes needs no other weights, which may be gone by now.
    initial = None if folder.resumes else config["weights"]
    net = initial_network(task, {**config, "weights": initial}, say=main)
    freeze(net, config["freeze"])
    if config["sync_bn"] and ranks > 1 and device.type == "cuda":
        net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    # Convolutions learn a quarter faster so, on processors too.
    net.to(device).to(memory_format=torch.channels_last)
    ema = None
    if config["ema"] is not None:
        ema = ModelEmaV3(net, decay=config["ema"], use_warmup=config["ema_warmup"])
    optimizer = make_optimizer(net, config, plan.samples_per_step)
    scheduler = make_scheduler(optimizer, config, steps)
    model, optimizer = accelerator.prepare(net, optimizer)

    if main:
        log.info("%s", _summary(task, net, plan, config, accelerator))
    if config["dry_run"]:
        return folder.path
    step, best = 0, None
    if folder.resumes:
        state = folder.load()
        _check_plan(state["plan"], plan)
        saved = folder.saved_config()
        optimizer_before = saved.get("optimizer", config["optimizer"])
        if optimizer_before != config["optimizer"]:
            raise InputError(
                f"cannot resume: the run has optimizer={optimizer_before}, now "
                f"{config['optimizer']}; keep it, or choose another out_dir"
            )
        _warn_of_changes(saved, config)
        sampler.load_state_dict(state["sampler"])
        try:
            net.load_state_dict(state["net"])
            restore_optimizer(optimizer, state["optimizer"])
            if ema is not None:  # which may be new
                ema.module.load_state_dict(state["ema"] or state["net"])
            if accelerator.scaler is not None and state["scaler"] is not None:
                accelerator.scaler.load_state_dict(state["scaler"])
        except Exception as error:  # of what is in a foreign file
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise InputError(
                f"{folder.checkpoint} is of another model or optimizer: {reason}; choose another "
                "out_dir"
            ) from None
        step, best = state["step"], state["best"]
        scheduler.step_update(step)  # another lr acts at once
        log.info("resuming at step %d, epoch %d", step, sampler.epoch)
    elif main:
        folder.open({key: value for key, value in config.items() if key != "resume"})
    accelerator.wait_for_everyone()

    def save() -> None:
        if main:
            folder.save(
                {
                    "net": net.state_dict(),
                    "ema": None if ema is None else ema.module.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "scaler": None
                    if accelerator.scaler is None
                    else accelerator.scaler.state_dict(),
                    "sampler": sampler.state_dict(),
                    "plan": [plan.samples_per_step, plan.steps_per_epoch],
                    "step": step,
                    "best": best,
                }
            )
        accelerator.wait_for_everyone()

    def evaluate_and_export(best: float | None) -> float | None:
        """Exports the weights if none so far are better; returns the best metric."""
        chosen = net if ema is None else ema.module
        metrics = None
        if task.val_set is not None:
            chosen.eval()
            metrics = task.evaluate(chosen)
            metric_log.add("val", step, {"epoch": sampler.epoch, **metrics})
            shown = ", ".join(f"{key} {value:.4f}" for key, value in metrics.items())
            log.info("epoch %d: %s", sampler.epoch, shown)
            found = metrics[task.metric]
            if best is not None and not _is_better(found, best, task.higher_is_better):
                return best
            best = found
        export_model(
            folder.export,
            name,
            spec=task.spec,
            state=chosen.state_dict(),
            skeleton=task.skeleton,
            metrics=metrics,
            about={
                "trained from": f"{config['names']['model']}, weights: {config['weights']}",
                "training data": f"{sampler.length} samples",
                "epochs": sampler.epoch,
                "steps": step,
            },
        )
        return best

    loader: DataLoader[dict[str, Any]] = DataLoader(
        task.train_set,
        config["batch_size"],
        sampler=sampler,
        collate_fn=collate,
        worker_init_fn=init_worker,
        num_workers=_workers(config, accelerator),
        persistent_workers=_workers(config, accelerator) > 0,
        # Of its own: drawing the workers' seed must not move the network's random numbers.
        generator=torch.Generator(),
    )
    still = frozen_modules(net, config["freeze"])
    limit = math.inf if config["clip_grad"] is None else config["clip_grad"]
    with MetricLog(folder.path, step=step) if main else _Silent() as metric_log:
        while sampler.epoch < config["epochs"]:
            model.train()
            for module in still:
                module.eval()
            data = batches(loader)
            started, before = time.perf_counter(), step
            while step < plan.steps_per_epoch * (sampler.epoch + 1):
                _seed_step(config["seed"], step, accelerator.process_index)
                total = torch.zeros((), device=device)
                for _ in range(plan.batches_per_step):
                    batch = next(data)
                    with accelerator.accumulate(model):
                        with accelerator.autocast():
                            loss = task.loss(model, batch, device)
                        _check_finite(loss, batch, task, step, sampler.epoch, folder, accelerator)
                        total += loss.detach()
                        accelerator.backward(loss)
                        if accelerator.sync_gradients:
                            norm = accelerator.clip_grad_norm_(net.parameters(), limit)
                            _check_gradient(norm, step, sampler.epoch, folder, accelerator)
                        optimizer.step()
                        optimizer.zero_grad()
                step += 1
                scheduler.step_update(step)
                if ema is not None:
                    ema.update(net, step)
                sampler.advance(plan.samples_per_step)
                if step % config["log_every"] == 0 or step == steps:
                    mean = accelerator.reduce(total / plan.batches_per_step, reduction="mean")
                    speed = (step - before) * plan.samples_per_step
                    values = {
                        "epoch": sampler.epoch,
                        "loss": float(mean),
                        "lr": max(group["lr"] for group in optimizer.param_groups),
                        "gradient": float(norm),
                        "samples_per_second": speed / (time.perf_counter() - started),
                    }
                    metric_log.add("train", step, values)
                    if main:
                        log.info("step %d/%d: loss %.6g", step, steps, values["loss"])
                if step % config["checkpoint_every"] == 0 and step < steps:
                    save()
            ended = sampler.epoch + 1
            evaluates = ended % config["val_every"] == 0 or ended == config["epochs"]
            if evaluates:
                save()  # an evaluation that fails costs no epoch
            sampler.start_epoch(ended)
            if evaluates:
                if main:
                    best = evaluate_and_export(best)
                save()
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return folder.path


class _Plan:
    """How an epoch is cut into steps; samples that fill no step wait for another epoch.

    Args:
        samples: of an epoch, all processes together.
        batch_size: of each process.
        ranks: processes.
        accumulate: batches per step, fewer where an epoch has not as many.
    """

    def __init__(self, samples: int, batch_size: int, ranks: int, accumulate: int) -> None:
        self.batches_per_step = min(accumulate, max(math.ceil(samples / (batch_size * ranks)), 1))
        self.samples_per_step = min(batch_size * ranks * self.batches_per_step, samples)
        self.steps_per_epoch = max(samples // self.samples_per_step, 1)


def _check_plan(saved: Sequence[int], plan: _Plan) -> None:
    """Steps and epochs of a run are counted in the same samples throughout."""
    now = [plan.samples_per_step, plan.steps_per_epoch]
    if list(saved) != now:
        raise InputError(
            f"cannot resume: the run has {saved[1]} steps of {saved[0]} samples per epoch, now "
            f"{now[1]} of {now[0]}; keep the data, and batch_size x accumulate x processes, as "
            "they were"
        )


def _check_folder(folder: RunFolder, accelerator: Accelerator) -> None:
    """Processes that began at different steps would wait for each other for ever."""
    seen = torch.tensor(float(folder.resumes), device=accelerator.device)
    total = float(accelerator.reduce(seen, reduction="sum"))
    if 0 < total < accelerator.num_processes:
        raise InputError(f"{folder.path}: all machines must see the same folder to resume")


class _Silent:
    """The log of a process that is not the first."""

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *error: object) -> None: ...

    def add(self, table: str, step: int, values: Mapping[str, float]) -> None:
        """Does nothing."""


def _check_values(config: Mapping[str, Any]) -> None:
    for key, least in (
        *(("epochs", 1), ("batch_size", 1), ("accumulate", 1)),
        *(("val_every", 1), ("val_batch_size", 1), ("checkpoint_every", 1), ("log_every", 1)),
        *(("warmup_steps", 0), ("seed", 0)),
    ):
        value = config[key]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{key}: expected a whole number of at least {least}, found {value!r}")
    for key in ("resume", "dry_run", "sync_bn", "ema_warmup"):
        if not isinstance(config[key], bool):
            raise InputError(f"{key}: expected true or false, found {config[key]!r}")
    for key, optional in (("num_workers", 0), ("lr_batch_size", 1)):
        value = config[key]
        if value is not None and (not isinstance(value, int) or value < optional):
            raise InputError(
                f"{key}: expected null or a whole number of at least {optional}, found {value!r}"
            )
    for key in ("final_part", "decay", "min_lr"):
        if not _is_number(config[key]) or not 0 <= config[key] <= 1:
            raise InputError(f"{key}: expected a part 0..1, found {config[key]!r}")
    if not _is_number(config["weight_decay"]) or config["weight_decay"] < 0:
        raise InputError(
            f"weight_decay: expected a number of at least 0, found {config['weight_decay']!r}"
        )
    ema, clip = config["ema"], config["clip_grad"]
    if ema is not None and (not _is_number(ema) or not 0 < ema < 1):
        raise InputError(f"ema: expected null or a decay between 0 and 1, found {ema!r}")
    if clip is not None and (not _is_number(clip) or clip <= 0):
        raise InputError(f"clip_grad: expected null or a positive number, found {clip!r}")
    for key in ("betas", "milestones"):
        numbers = config[key]
        if numbers is None and key == "betas":
            continue
        if not isinstance(numbers, list) or not all(_is_number(number) for number in numbers):
            raise InputError(f"{key}: expected a list of numbers, found {numbers!r}")
    prefixes = config["freeze"]
    if not isinstance(prefixes, list) or not all(isinstance(name, str) for name in prefixes):
        raise InputError(f"freeze: expected a list such as [backbone.stem], found {prefixes!r}")
    # YAML reads a bare `no` as false, and 4e-3 as a text.
    try:
        if not float(config["lr"]) > 0:
            raise ValueError
    except (TypeError, ValueError):
        raise InputError(f"lr: expected a positive number, found {config['lr']!r}") from None
    if config["precision"] not in (None, False, "no", "bf16", "fp16"):
        raise InputError(f"precision: expected no, bf16 or fp16, found {config['precision']!r}")
    if config["device"] not in (None, "cpu", "cuda", "mps"):
        raise InputError(
            f"device: expected cpu, cuda or mps, found {config['device']!r}; choose among GPUs "
            "with CUDA_VISIBLE_DEVICES"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _accelerator(config: Mapping[str, Any]) -> Accelerator:
    device = config["device"]
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device, True):
        raise InputError(f"device '{device}' is not there; leave it out to take the best one")
    precision = config["precision"]
    # Processes on a machine without a GPU find each other only where the CPU is asked for.
    on_cpu = device == "cpu" or (device is None and not any(available.values()))
    # A process may train several times, each with settings of its own.
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(
        cpu=on_cpu,
        mixed_precision="no" if precision is False else precision,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )


def _summary(
    task: Task, net: nn.Module, plan: _Plan, config: Mapping[str, Any], accelerator: Accelerator
) -> str:
    learning = sum(p.numel() for p in net.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in net.parameters() if not p.requires_grad)
    val = "none" if task.val_set is None else len(task.val_set)
    return (
        f"data: {len(task.train_set)} samples, validation: {val}; "
        f"model: {config['names']['model']}, {learning:,} parameters learn, {frozen:,} frozen; "
        f"{plan.steps_per_epoch} steps of {plan.samples_per_step} samples per epoch, "
        f"{config['epochs']} epochs; {accelerator.num_processes} x {accelerator.device.type}, "
        f"precision {accelerator.mixed_precision}"
    )


def _workers(config: Mapping[str, Any], accelerator: Accelerator) -> int:
    if config["num_workers"] is not None:
        return int(config["num_workers"])
    here = int(os.environ.get("LOCAL_WORLD_SIZE", accelerator.num_processes))
    return min((os.cpu_count() or 1) // here, MOST_WORKERS)


def _seed_step(seed: int, step: int, rank: int) -> None:
    state = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0]))


def _check_finite(
    loss: Tensor,
    batch: Mapping[str, Any],
    task: Task,
    step: int,
    epoch: int,
    folder: RunFolder,
    accelerator: Accelerator,
) -> None:
    """All processes stop together where one of them has no finite loss."""
    bad = accelerator.reduce((~loss.detach().isfinite()).float(), reduction="sum")
    if not bad:
        return
    names = ", ".join(task.names(batch)) if not loss.isfinite() else "another process's"
    raise InputError(
        f"the loss is {loss.item()} in step {step + 1} of epoch {epoch}; samples: {names}. "
        f"{_what_is_kept(folder)}; try a lower lr, clip_grad=1 or precision=no"
    )


def _check_gradient(
    norm: Tensor | None, step: int, epoch: int, folder: RunFolder, accelerator: Accelerator
) -> None:
    """With fp16 a step that overflows is left out, and the scale lowered."""
    if norm is None or accelerator.scaler is not None or math.isfinite(float(norm)):
        return
    raise InputError(
        f"the gradient is {float(norm)} in step {step + 1} of epoch {epoch}. "
        f"{_what_is_kept(folder)}; try a lower lr or precision=no"
    )


def _what_is_kept(folder: RunFolder) -> str:
    if folder.checkpoint.is_file():
        return f"{folder.checkpoint} holds the last good state"
    return "No checkpoint was written yet"


def _warn_of_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = [
        key for key in changed_values(before, now) if key.partition(".")[0] not in FREE_TO_CHANGE
    ]
    if changed:
        log.warning("the run was started with other values of %s", ", ".join(changed))


def _is_better(found: float, best: float, higher: bool) -> bool:
    """Of weights that are as good as the best the newest have learnt longest."""
    if math.isnan(best):
        return True
    return found >= best if higher else found <= best
