"""What the machine is, and what it can do at best."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from posekit.version import __version__

if TYPE_CHECKING:
    import torch

__all__ = ["Speed", "describe_machine", "wait_for"]

MATRIX_SIZE = 1536  # on a GPU four times as long a side
COPIED = 1 << 28  # bytes, more than caches hold


def describe_machine(device: torch.device) -> dict[str, str]:
    """What the figures depend on: device, threads, versions, and how busy it is."""
    import torch

    from posekit.backends.kinds import ENGINES, find_engine
    from posekit.backends.machine import package_version, processor_name

    is_gpu = device.type == "cuda"
    found = {
        "device": torch.cuda.get_device_name(device) if is_gpu else processor_name(),
        "threads": str(torch.get_num_threads()),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "torch": torch.__version__,
        "posekit": __version__,
    }
    for package in (name for kind in ENGINES for name in find_engine(kind).packages):
        if package not in found and (version := package_version(package)):
            found[package] = version
    # The average over a minute, so before the first network it is that of other programs.
    if hasattr(os, "getloadavg"):
        found["load before"] = f"{os.getloadavg()[0]:.1f}"
    return found


class Speed:
    """A clock, and what the machine can do at best."""

    def __init__(self, device: torch.device, dtype: torch.dtype, rounds: int) -> None:
        import torch

        self.device, self.dtype, self.rounds = device, dtype, rounds
        large = device.type != "cpu"
        size = MATRIX_SIZE * 4 if large else MATRIX_SIZE
        a, b = torch.rand(2, size, size, device=device, dtype=dtype)
        products: list[Callable[[], object]] = [lambda: a @ b]
        if not large:
            # The same product by oneDNN: on some processors MKL leaves out their widest units.
            pixels = a.reshape(1, -1, 32, size).permute(0, 3, 1, 2)
            weights = b[..., None, None]
            products.append(lambda: torch.nn.functional.conv2d(pixels, weights))
        source = torch.empty(COPIED, dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        with _as_convolutions_compute():
            product = [self.milliseconds(one) for one in products for _ in range(5)]
        copy = [self.milliseconds(lambda: target.copy_(source)) for _ in range(5)]
        # The least, which no other program held up.
        self.flops = 2 * size**3 / min(product)  # per millisecond
        self.bytes = COPIED / min(copy)  # copied per millisecond

    def milliseconds(self, function: Callable[[], object]) -> float:
        """The time of one call."""
        wait_for(self.device)
        start = time.perf_counter()
        function()
        wait_for(self.device)
        return 1e3 * (time.perf_counter() - start)


@contextlib.contextmanager
def _as_convolutions_compute() -> Iterator[None]:
    """Matrix products in the precision that torch has for float32 convolutions on a GPU."""
    import torch

    of_products = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = of_products


def wait_for(device: torch.device) -> None:
    """Waits until the device has done all its work."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
