"""The training loop: data -> loss -> step, and what has to survive a crash.

Read `train` and then `_Run` from the top. accelerate handles devices, processes and precision; timm
has the optimisers, the schedules and the moving average; `posekit.training.tasks` has what is
specific to poses.

A run has no hidden state: samples are functions of (seed, epoch, index), random numbers of the
network are functions of (seed, step, process), the learning rate is a function of the step. So a
resumed run ends as if it had not stopped.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from posekit.datasets.batches import batches, collate, init_worker
from posekit.datasets.sampler import ResumableSampler
from posekit.errors import InputError
from posekit.training.export import export_model, model_name
from posekit.training.learner import Learner, Plan
from posekit.training.metric_log import MetricLog, check_trackers
from posekit.training.mirror import Mirror
from posekit.training.options import TrainOptions
from posekit.training.processes import (
    check_folder,
    is_restart,
    launch_id,
    loading_processes,
    make_accelerator,
    saying_who_is_lost,
)
from posekit.training.run_folder import RunFolder, changed_values
from posekit.training.tasks import make_task

__all__ = ["train"]

log = logging.getLogger(__name__)

# Values that may change when a run resumes without changing what it computes.
FREE_TO_CHANGE = (
    *("resume", "dry_run", "out_dir", "device", "num_workers", "cache_mb", "log_every"),
    *("checkpoint_every", "val_batch_size", "search", "weights", "log_with"),
    "mirror_to",
)


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
        PosekitError: another process of the run is gone.
    """
    options = TrainOptions.of(config)
    with saying_who_is_lost():
        run = _Run(config, options)
        if not options.dry_run:
            run.open()
            run.learn()
    return run.folder.path


class _Run:
    """A run under way.

    Attributes:
        step: steps taken.
        best: the metric of the weights that are exported; None where none were measured.
    """

    def __init__(self, config: Mapping[str, Any], options: TrainOptions) -> None:
        self.config, self.options = config, options
        check_trackers(options.trackers)
        self.name = model_name(config)
        self.accelerator = accelerator = make_accelerator(options)
        self.mirror: Mirror | None = None
        self.folder = self._folder()
        self.task = make_task(config)
        ranks = accelerator.num_processes
        self.sampler = ResumableSampler(
            len(self.task.train_set),
            seed=options.seed,
            rank=accelerator.process_index,
            ranks=ranks,
        )
        samples = len(self.sampler) * ranks
        self.plan = Plan(samples, options.batch_size, ranks, options.accumulate)
        accelerator.gradient_accumulation_steps = self.plan.batches_per_step
        self.steps = self.plan.steps_per_epoch * options.epochs
        # A run that resumes needs no other weights, which may be gone by now.
        initial = None if self.folder.resumes else config["weights"]
        self.learner = Learner(
            self.task, {**config, "weights": initial}, options, self.plan, accelerator
        )
        self.step = 0
        self.best: float | None = None
        if accelerator.is_main_process:
            log.info("%s", self._summary())

    def _folder(self) -> RunFolder:
        """The folder, with the decision whether the run in it continues."""
        options, accelerator = self.options, self.accelerator
        path = Path(options.out_dir or f"runs/{self.name}")
        if options.mirror_to is not None and accelerator.is_main_process:
            self.mirror = Mirror(options.mirror_to, path)
        resume = options.resume
        if not resume and is_restart(path, self.mirror, self.config, accelerator):
            log.warning("restarted by torchrun: resuming the run in %s", path)
            resume = True
        if self.mirror is not None:
            self.mirror.prepare(resume=resume, dry_run=options.dry_run)
        accelerator.wait_for_everyone()
        folder = RunFolder(path, resume=resume)
        check_folder(folder, accelerator)
        return folder

    def open(self) -> None:
        """Makes the folder, or continues the run in it."""
        if self.folder.resumes:
            self._resume()
        elif self.accelerator.is_main_process:
            self.folder.open(self.config, launch=launch_id())
        self.accelerator.wait_for_everyone()

    def _resume(self) -> None:
        state = self.folder.load()
        self.plan.check_same(list(state["plan"]))
        saved = self.folder.saved_config()
        now = self.options.optimizer
        if (before := saved.get("optimizer", now)) != now:
            raise InputError(
                f"cannot resume: the run has optimizer={before}, now {now}; keep it, or choose "
                "another out_dir"
            )
        _warn_of_changes(saved, self.config)
        self.sampler.load_state_dict(state["sampler"])
        self.learner.restore(state, self.folder.checkpoint)
        self.step, self.best = state["step"], state["best"]
        log.info("resuming at step %d, epoch %d", self.step, self.sampler.epoch)

    def learn(self) -> None:
        """All epochs that are left."""
        loader = self._loader()
        main = self.accelerator.is_main_process
        with self._metric_log() if main else _Silent() as metric_log:
            while self.sampler.epoch < self.options.epochs:
                self._epoch(batches(loader), metric_log)
                self._end_epoch(metric_log)
        if self.mirror is not None:
            self.mirror.close(self.step)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()

    def _metric_log(self) -> MetricLog:
        try:
            return MetricLog(
                self.folder.path,
                step=self.step,
                log_with=self.options.trackers,
                run_id=self.folder.run_id,
                config=self.config,
            )
        except InputError:
            if not self.folder.resumes:
                self.folder.undo()
            raise

    def _loader(self) -> DataLoader[dict[str, Any]]:
        workers = loading_processes(self.options, self.accelerator)
        return DataLoader(
            self.task.train_set,
            self.options.batch_size,
            sampler=self.sampler,
            collate_fn=collate,
            worker_init_fn=init_worker,
            num_workers=workers,
            persistent_workers=workers > 0,
            # Of its own: drawing the workers' seed must not move the network's random numbers.
            generator=torch.Generator(),
        )

    def _epoch(self, data: Iterator[dict[str, Any]], metric_log: MetricLog | _Silent) -> None:
        """The steps that are left of the epoch."""
        self.learner.train()
        started, before = time.perf_counter(), self.step
        samples = self.plan.samples_per_step
        while self.step < self.plan.steps_per_epoch * (self.sampler.epoch + 1):
            total, norm = self._learn_from(data)
            self.step += 1
            self.learner.stepped(self.step)
            self.sampler.advance(samples)
            if self.step % self.options.log_every == 0 or self.step == self.steps:
                done = (self.step - before) * samples
                self._log(metric_log, total, norm, done / (time.perf_counter() - started))
            if self.step % self.options.checkpoint_every == 0 and self.step < self.steps:
                self._save()

    def _learn_from(self, data: Iterator[dict[str, Any]]) -> tuple[Tensor, Tensor | None]:
        """One step: the sum of its batches' losses, and the gradient's norm."""
        accelerator, learner = self.accelerator, self.learner
        clip = math.inf if self.options.clip_grad is None else self.options.clip_grad
        norm = None
        _seed_step(self.options.seed, self.step, accelerator.process_index)
        total = torch.zeros((), device=accelerator.device)
        for _ in range(self.plan.batches_per_step):
            batch = next(data)
            with accelerator.accumulate(learner.model):
                with accelerator.autocast():
                    loss = self.task.loss(learner.model, batch, accelerator.device)
                self._check_loss(loss, batch)
                total += loss.detach()
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    norm = accelerator.clip_grad_norm_(learner.net.parameters(), clip)
                    self._check_gradient(norm)
                learner.optimizer.step()
                learner.optimizer.zero_grad()
        return total, norm

    def _log(
        self, metric_log: MetricLog | _Silent, total: Tensor, norm: Tensor | None, speed: float
    ) -> None:
        mean = self.accelerator.reduce(total / self.plan.batches_per_step, reduction="mean")
        values = {
            "epoch": self.sampler.epoch,
            "loss": float(mean),
            "lr": self.learner.rate,
            "gradient": math.nan if norm is None else float(norm),
            "samples_per_second": speed,
        }
        metric_log.add("train", self.step, values)
        if self.accelerator.is_main_process:
            log.info("step %d/%d: loss %.6g", self.step, self.steps, values["loss"])

    def _end_epoch(self, metric_log: MetricLog | _Silent) -> None:
        ended = self.sampler.epoch + 1
        evaluates = ended % self.options.val_every == 0 or ended == self.options.epochs
        if evaluates:
            self._save()  # an evaluation that fails costs no epoch
        self.sampler.start_epoch(ended)
        if evaluates:
            if self.accelerator.is_main_process:
                self._evaluate_and_export(metric_log)
            self._save()

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            self.folder.save(
                {
                    **self.learner.state(),
                    "sampler": self.sampler.state_dict(),
                    "plan": [self.plan.samples_per_step, self.plan.steps_per_epoch],
                    "step": self.step,
                    "best": self.best,
                }
            )
            if self.mirror is not None:
                self.mirror.send(self.step)
        self.accelerator.wait_for_everyone()

    def _evaluate_and_export(self, metric_log: MetricLog | _Silent) -> None:
        """Exports the weights if none so far are better."""
        task, net, epoch = self.task, self.learner.best, self.sampler.epoch
        metrics = None
        if task.val_set is not None:
            net.eval()
            metrics = task.evaluate(net)
            metric_log.add("val", self.step, {"epoch": epoch, **metrics})
            shown = ", ".join(f"{key} {value:.4f}" for key, value in metrics.items())
            log.info("epoch %d: %s", epoch, shown)
            found = metrics[task.metric]
            if self.best is not None and not _is_better(found, self.best, task.higher_is_better):
                return
            self.best = found
        dataset = self.config["dataset"]
        export_model(
            self.folder.export,
            self.name,
            spec=task.spec,
            state=net.state_dict(),
            skeleton=task.skeleton,
            metrics=metrics,
            about={
                "trained from": f"{self._base}, weights: {_file_name(self.config['weights'])}",
                "training data": f"{_sources(dataset['train'])}, {self.sampler.length} samples",
                **({} if metrics is None else {"validation data": _sources(dataset["val"])}),
                "epochs": epoch,
                "steps": self.step,
            },
        )

    @property
    def _base(self) -> str:
        """The model that is trained."""
        base: str = self.config["names"]["model"]
        return base

    def _summary(self) -> str:
        parameters = list(self.learner.net.parameters())
        learning = sum(p.numel() for p in parameters if p.requires_grad)
        frozen = sum(p.numel() for p in parameters if not p.requires_grad)
        val = "none" if self.task.val_set is None else len(self.task.val_set)
        plan, accelerator = self.plan, self.accelerator
        return (
            f"data: {len(self.task.train_set)} samples, validation: {val}; "
            f"model: {self._base}, {learning:,} parameters learn, {frozen:,} frozen; "
            f"{plan.steps_per_epoch} steps of {plan.samples_per_step} samples per epoch, "
            f"{self.options.epochs} epochs; {accelerator.num_processes} x "
            f"{accelerator.device.type}, precision {accelerator.mixed_precision}"
        )

    def _check_loss(self, loss: Tensor, batch: Mapping[str, Any]) -> None:
        """All processes stop together if one of them has a loss that is not finite."""
        bad = self.accelerator.reduce((~loss.detach().isfinite()).float(), reduction="sum")
        if not bad:
            return
        names = ", ".join(self.task.names(batch)) if not loss.isfinite() else "another process's"
        raise InputError(
            f"the loss is {loss.item()} {self._here}; samples: {names}. "
            f"{self._what_is_kept}; try a lower lr, clip_grad=1 or precision=no"
        )

    def _check_gradient(self, norm: Tensor | None) -> None:
        """With fp16 a step that overflows is left out, and the scale lowered."""
        if norm is None or self.accelerator.scaler is not None or math.isfinite(float(norm)):
            return
        raise InputError(
            f"the gradient is {float(norm)} {self._here}. {self._what_is_kept}; try a lower lr or "
            "precision=no"
        )

    @property
    def _here(self) -> str:
        return f"in step {self.step + 1} of epoch {self.sampler.epoch}"

    @property
    def _what_is_kept(self) -> str:
        if self.folder.checkpoint.is_file():
            return f"{self.folder.checkpoint} holds the last good state"
        return "No checkpoint was written yet"


class _Silent:
    """The log of a process that is not the first."""

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *error: object) -> None: ...

    def add(self, table: str, step: int, values: Mapping[str, float]) -> None:
        """Does nothing."""


def _seed_step(seed: int, step: int, rank: int) -> None:
    state = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0]))


def _warn_of_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = [
        key for key in changed_values(before, now) if key.partition(".")[0] not in FREE_TO_CHANGE
    ]
    if changed:
        log.warning("the run was started with other values of %s", ", ".join(changed))


def _file_name(path: Any) -> str:
    """A path without its folders, which are nobody's concern; other values as they are."""
    return Path(path).name if isinstance(path, str) else str(path)


def _sources(given: Any) -> str:
    """The names of a data set's files of labels."""
    if isinstance(given, Mapping):
        return _file_name(given["annotations"])
    if isinstance(given, list | tuple):
        return ", ".join(map(_sources, given))
    return _file_name(given)


def _is_better(found: float, best: float, higher: bool) -> bool:
    """Weights that are as good as the best replace them: they were trained longer."""
    if math.isnan(best):
        return True
    return found >= best if higher else found <= best
