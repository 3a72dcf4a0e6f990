"""Small training runs: a transformer of 20,000 parameters on pictures of coloured discs."""

from __future__ import annotations

import csv
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from safetensors.torch import load_file
from torch import Tensor

from posekit.compose import compose_command
from tests.conftest import ROOT
from tests.datasets import sets
from tests.processes import run_python

MODEL = {
    "net": {
        "_target_": "posekit.models.vitpose.ViTPose",
        "embed_dim": 16,
        "depth": 2,
        "num_heads": 2,
        "simple_head": True,
    },
    "input_size": [32, 32],
    "preprocess": {"mean": [120, 120, 120], "std": [60, 60, 60], "udp": True},
    "keypoints": "coco",
    "detector": "whole_image",
}


OPTIONS = [
    "model=tiny_discs-32x32",
    "weights=null",
    "device=cpu",
    "num_workers=0",
    "batch_size=4",
    "lr_batch_size=null",
    "epochs=3",
    "log_every=1",
]


def workshop(folder: Path, count: int = 8) -> list[str]:
    """Makes `folder/conf` with the model and `folder/data`; the overrides of a run with them."""
    (folder / "conf" / "model").mkdir(parents=True)
    path = folder / "conf" / "model" / "tiny_discs-32x32.yaml"
    path.write_text(yaml.safe_dump(MODEL))
    labels = sets.save(folder / "data", sets.coco(count), "discs.json")
    return ["model=tiny_discs-32x32", f"dataset.train={labels}", *OPTIONS[1:]]


@contextmanager
def one_thread() -> Iterator[None]:
    """For all runs that are compared: sums in another order are other numbers."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def train(folder: Path, *overrides: str) -> Path:
    """A run in this process, with one thread."""
    from posekit.training.loop import train as run

    with one_thread():
        return run(compose_command("train", overrides, config_dir=folder / "conf"))


def start(folder: Path, *overrides: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """A run in a process of its own, whose log comes through `stderr`."""
    arguments = ["train", "--config-dir", str(folder / "conf"), *overrides]
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "posekit", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def fork(
    folder: Path, *overrides: str, program: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """As `start`, until it ends, in a process that need not import PyTorch first."""
    arguments = ["train", "--config-dir", str(folder / "conf"), *overrides]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
    return run_python(*program, "-m", "posekit", *arguments, cwd=ROOT, env=environment)


class _At(logging.Handler):
    """Acts once a line of a run's log has some words."""

    def __init__(self, words: str, act: Callable[[], None]) -> None:
        super().__init__()
        self.words, self.act = words, act

    def emit(self, record: logging.LogRecord) -> None:
        if self.words in record.getMessage():
            self.act()


def killed_after(words: str) -> None:
    """The command of this process' arguments, which gets SIGKILL after a line of its log."""
    from posekit.cli import main

    kill = _At(words, lambda: os.kill(os.getpid(), signal.SIGKILL))
    logging.getLogger("posekit.training").addHandler(kill)
    # As `python -m posekit` has them, whose words follow the program here.
    with one_thread():
        main(sys.argv[sys.argv.index("posekit") + 1 :])


def killed_once_after(words: str) -> None:
    """As `killed_after`, but not once a checkpoint is where a process was started again."""
    from posekit.cli import main

    arguments = sys.argv[sys.argv.index("posekit") + 1 :]
    out_dir = next(text.partition("=")[2] for text in arguments if text.startswith("out_dir="))
    if (Path(out_dir) / "last.ckpt").exists():
        main(arguments)
    else:
        killed_after(words)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def interrupted_after(words: str) -> Iterator[None]:
    """Runs in this process get a Ctrl-C after a line of their log."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    log, handler = logging.getLogger("posekit.training"), _At(words, interrupt)
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def losses(run: Path) -> list[float]:
    """Of the steps that a run logged."""
    with (run / "train.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def weights(run: Path) -> dict[str, Tensor]:
    """Those that a run exported."""
    return load_file(run / "export" / "model.safetensors")
