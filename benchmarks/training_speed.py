"""Samples per second of the loader alone and of a training step alone.

    python -m benchmarks.training_speed LABELS.json [--model NAME] [--workers 2] [--compile]

A step waits for nothing as long as the loader is faster; three times is the goal.
"""

from __future__ import annotations

import argparse
import itertools
import time

import torch
from torch.utils.data import DataLoader

from posekit.build import build_network
from posekit.compose import compose_command
from posekit.datasets.batches import collate, init_worker
from posekit.datasets.sampler import ResumableSampler
from posekit.table import format_table
from posekit.training.optim import make_optimizer
from posekit.training.options import TrainOptions
from posekit.training.tasks import make_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", help="COCO-style JSON of people")
    parser.add_argument("--model", default="rtmpose-t_coco-256x192")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--compile", action="store_true", help="as compile=true trains")
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

    net = build_network(task.spec.net, device="cpu").to(device).train()
    optimizer = make_optimizer(net, TrainOptions.of(config), arguments.batch)
    trained = torch.compile(net) if arguments.compile else net
    times = []
    for batch in itertools.islice(itertools.cycle(first), arguments.steps + 1):
        start = time.perf_counter()
        loss = task.loss(trained, batch, device)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        times.append(time.perf_counter() - start)
    stepping = arguments.batch / (sum(times[1:]) / arguments.steps)
    header = ("model", "loader, samples/s", "step, samples/s", "ratio")
    row = (arguments.model, f"{loading:.0f}", f"{stepping:.1f}", f"{loading / stepping:.1f}")
    print(format_table(header, [row]))


if __name__ == "__main__":
    main()
