"""Samples per second of the loader alone and of a training step alone.

    python -m benchmarks.training_speed LABELS.json [--model NAME] [--workers 2] [--compile]

A step waits for nothing as long as the loader is faster; three times is the goal. `--compile` gives
a second row, of steps as `compile=true` takes them, by turns with the others: "to plain" is the
gain, "made in" the seconds of the first two steps, in which the code is made.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader

from posekit.build import build_network
from posekit.compose import compose_command
from posekit.datasets.batches import collate, init_worker
from posekit.datasets.sampler import ResumableSampler
from posekit.table import format_table
from posekit.training.optim import make_optimizer
from posekit.training.options import TrainOptions
from posekit.training.tasks import Task, make_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", help="COCO-style JSON of people")
    parser.add_argument("--model", default="rtmpose-t_coco-256x192")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--compile", action="store_true", help="compile=true beside it")
    arguments = parser.parse_args()
    source = f"{{annotations: {arguments.labels}, repeat: 1000}}"
    overrides = [f"model={arguments.model}", f"dataset.train={source}"]
    config = compose_command("train", overrides)
    task = make_task(config)
    device = torch.device(arguments.device)
    loader = DataLoader(
        task.train_set,
        arguments.batch,
        sampler=ResumableSampler(len(task.train_set)),
        collate_fn=collate,
        worker_init_fn=init_worker,
        num_workers=arguments.workers,
    )
    batches = iter(loader)
    first = list(itertools.islice(batches, 3 + 2 * arguments.workers))  # what was read ahead too
    start = time.perf_counter()
    for _ in itertools.islice(batches, 4 * arguments.steps):
        pass
    loading = 4 * arguments.steps * arguments.batch / (time.perf_counter() - start)
    del batches

    nets = [step_of(task, config, arguments, device)]
    if arguments.compile:
        nets.append(step_of(task, config, arguments, device, compiled=True))
    times: list[list[float]] = [[] for _ in nets]
    makes = []
    for step in nets:  # the first steps make ready, and code
        start = time.perf_counter()
        for batch in itertools.islice(itertools.cycle(first), 2):
            step(batch)
        makes.append(time.perf_counter() - start)
    for batch in itertools.islice(itertools.cycle(first), arguments.steps):
        for found, step in zip(times, nets, strict=True):  # by turns: loads come and go
            found.append(step(batch))
    header = (
        "model",
        "step",
        "loader, samples/s",
        "step, samples/s",
        "ratio",
        "to plain",
        "made in",
    )
    rows = []
    plain = statistics.median(times[0])
    names = ("plain", "compiled")[: len(nets)]
    for name, found, made in zip(names, times, makes, strict=True):
        median = statistics.median(found)
        rate = arguments.batch / median
        rows.append(
            (arguments.model, name, f"{loading:.0f}", f"{rate:.1f}", f"{loading / rate:.1f}",
             f"{plain / median:.2f}", f"{made:.0f} s")
        )  # fmt: skip
    print(format_table(header, rows))


def step_of(
    task: Task,
    config: Mapping[str, Any],
    arguments: argparse.Namespace,
    device: torch.device,
    *,
    compiled: bool = False,
) -> Callable[[Mapping[str, Any]], float]:
    """A step of training with a network of its own: a batch -> seconds."""
    net = build_network(task.spec.net, device="cpu").to(device).train()
    optimizer = make_optimizer(net, TrainOptions.of(config), arguments.batch)
    trained = torch.compile(net) if compiled else net

    def step(batch: Mapping[str, Any]) -> float:
        start = time.perf_counter()
        loss = task.loss(trained, batch, device)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        return time.perf_counter() - start

    return step


if __name__ == "__main__":
    main()
