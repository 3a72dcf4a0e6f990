"""What the card does at best: matrix products in each type, and copies."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator

import torch

from benchmarks.gpu.rows import Rows, Settings
from posekit.benchmarking.machine import wait_for

__all__ = ["HEADER", "add_rates", "as_type", "matmul_rate", "torch_type"]

HEADER = ("what", "size", "median ms", "rate")
SIZES = {"cuda": 8192, "cpu": 512}
AT_ONCE = 8  # products behind one figure: starting a single one would count too
ROUNDS = 7


def torch_type(name: str) -> torch.dtype:
    """Of `tf32` that of its parameters."""
    found: torch.dtype = getattr(torch, "float32" if name == "tf32" else name)
    return found


@contextlib.contextmanager
def as_type(name: str) -> Iterator[None]:
    """Products and convolutions of float32 in full, or rounded for `tf32`."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = name == "tf32"
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def matmul_rate(device: torch.device, name: str) -> tuple[float, float]:
    """TFLOP/s of large products of random matrices, and the milliseconds of one."""
    size = SIZES[device.type]
    with as_type(name), torch.inference_mode():
        # Not zeros, on which a card is faster than on data.
        a, b = (torch.randn(size, size, device=device).to(torch_type(name)) for _ in range(2))
        taken = []
        for number in range(ROUNDS + 1):
            wait_for(device)
            start = time.perf_counter()
            for _ in range(AT_ONCE):
                a @ b
            wait_for(device)
            if number:
                taken.append((time.perf_counter() - start) / AT_ONCE)
    seconds = statistics.median(taken)
    return 2 * size**3 / seconds / 1e12, 1e3 * seconds


def add_rates(settings: Settings, rows: Rows) -> None:
    """A row for each type, and one for copies."""
    device = torch.device(settings.device)

    def products(name: str) -> None:
        rate, milliseconds = matmul_rate(device, name)
        size = SIZES[device.type]
        rows.add(
            f"matrix product, {name}", f"{size} x {size}", f"{milliseconds:.2f}",
            f"{rate:.3g} TFLOP/s",
        )  # fmt: skip

    for name in settings.types:
        rows.attempt(f"matrix product, {name}", lambda name=name: products(name))  # type: ignore[misc]
    rows.attempt("copy on the device", lambda: _copies(device, rows))


def _copies(device: torch.device, rows: Rows) -> None:
    count = 1 << (31 if device.type == "cuda" else 27)  # bytes, more than caches hold
    source = torch.empty(count, dtype=torch.uint8, device=device).fill_(1)
    target = torch.empty_like(source)
    taken = []
    for _ in range(ROUNDS):
        wait_for(device)
        start = time.perf_counter()
        target.copy_(source)
        wait_for(device)
        taken.append(time.perf_counter() - start)
    seconds = statistics.median(taken)
    rows.add(
        "copy on the device", f"{count >> 20} MiB", f"{1e3 * seconds:.2f}",
        f"{2 * count / seconds / 1e9:.0f} GB/s, read and written",
    )  # fmt: skip
