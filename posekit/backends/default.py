"""What runs a network if no backend is named: fast, without measuring or waiting at first."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from posekit.backends.auto import remembered_kind
from posekit.backends.engine import Backend, Target
from posekit.backends.kinds import why_unavailable
from posekit.backends.machine import processor_kind
from posekit.backends.make import make_engine
from posekit.backends.priors import FLOOR, PRIORS, prior_order
from posekit.build import floating_type
from posekit.errors import first_line

__all__ = [
    "DefaultBackend",
    "default_dtype",
    "default_order",
    "describe_default",
    "network_dtype",
]

log = logging.getLogger(__name__)

# Pixels of its input that the network itself computes before an engine is made: a picture or a few
# must not wait for what pays in the long run only. Eight images of 640x640, or 66 of 256x192.
FIRST_PIXELS = 8 * 640 * 640

NOT_THE_ENGINES = (MemoryError, torch.cuda.OutOfMemoryError)  # another one would fail just so


def default_dtype(device_type: str, capability: tuple[int, int] | None = None) -> torch.dtype:
    """The type of networks if none is named.

    Args:
        device_type: "cpu", "cuda", ...
        capability: a CUDA device's compute capability; from 7.0 on there are units for float16
            products, which move keypoints by hundredths of a pixel.
    """
    if device_type == "cuda" and capability is not None and capability >= (7, 0):
        return torch.float16
    return torch.float32


def network_dtype(
    dtype: str | torch.dtype | None, device: torch.device, backend: str | None
) -> torch.dtype:
    """The type of the networks that see images; float32 by default if a backend is named.

    Raises:
        InputError: as `floating_type`.
    """
    if dtype is not None or backend is not None or device.type != "cuda":
        return floating_type(dtype)
    return default_dtype("cuda", torch.cuda.get_device_capability(device))


def default_order(
    device_type: str, dtype: torch.dtype, *, processor: str, network: str
) -> tuple[str, ...]:
    """Engines that may run a network, the best first; the first that is installed does.

    Args:
        device_type: "cpu", "cuda", ...; on any other device the network runs as it is, since
            engines are untested there.
        dtype: type of the network; on a CPU, engines are used for float32 only.
        processor: as `processor_kind` names it.
        network: the name of its class.
    """
    if device_type == "cuda":
        return (FLOOR,)
    if device_type != "cpu":
        return ()
    return prior_order(processor, network) if dtype == torch.float32 else (FLOOR,)


class DefaultBackend:
    """The network itself for the first batches, then the engine that is usually the fastest.

    What `auto` has measured for such a network on this machine takes precedence. An engine that
    fails is replaced by PyTorch, with a warning. The switch depends on how many pixels came before
    (`FIRST_PIXELS`), never on time. In a forked process, which an engine's threads do not survive,
    the network itself runs.

    Args: as `make_backend`, and
        folder: the folder of measurements and of the engines' files.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        input_size: tuple[int, int],
        device: torch.device,
        dtype: torch.dtype,
        folder: Path,
    ) -> None:
        self.net = net
        self.target = Target(input_size=input_size, device=device, dtype=dtype, folder=folder)
        self._process = os.getpid()
        self._lock = threading.Lock()  # one thread makes an engine, the others wait for it
        self._pixels = 0  # of the images that were computed so far
        self._made: dict[str, Backend] = {}
        self._failed: set[str] = set()
        self._chosen: dict[str, str | None] = {}  # per kind of batch; None for the network itself

    @property
    def computes_images_apart(self) -> bool:
        """Whether the chosen engines do; False until there is one."""
        chosen = list(self._chosen.values())
        return bool(chosen) and all(
            kind is not None and getattr(self._made.get(kind), "computes_images_apart", False)
            for kind in chosen
        )

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Any:
        kind, engine = self._engine(len(images))
        if engine is None:
            return self.net(images)
        try:
            return engine(images)
        except NOT_THE_ENGINES:
            raise
        except Exception as error:  # each library has kinds of its own
            outputs = self.net(images)  # where the images are at fault, this says so
            self._give_up(kind, "cannot run", error)
            return outputs

    def settle(self) -> None:
        """Makes the engines now: what computes a batch is the same from the first one on."""
        with self._lock:
            if os.getpid() == self._process and not self._chosen:
                self._pixels = FIRST_PIXELS
                for batch in ("one", "many"):
                    self._chosen[batch] = self._choose(batch)

    def _engine(self, count: int) -> tuple[str, Backend | None]:
        """The name and engine for a batch of that size; None for the network itself."""
        if os.getpid() != self._process:
            return "", None
        with self._lock:
            if self._pixels < FIRST_PIXELS:
                width, height = self.target.input_size
                self._pixels += count * width * height
                return "", None
            batch = "one" if count == 1 else "many"
            if batch not in self._chosen:
                self._chosen[batch] = self._choose(batch)
            kind = self._chosen[batch]
            return ("", None) if kind is None else (kind, self._made[kind])

    def _choose(self, batch: str) -> str | None:
        """The first engine that can be had."""
        order = default_order(
            self.target.device.type,
            self.target.dtype,
            processor=processor_kind(),
            network=type(self.net).__name__,
        )
        measured = remembered_kind(self.net, batch, self.target) if order else None
        for kind in dict.fromkeys(order if measured is None else (measured, *order)):
            if kind in self._made:
                return kind
            if kind in self._failed or self._is_missing(kind):
                continue
            try:
                self._made[kind] = make_engine(self.net, kind, self.target)
            except NOT_THE_ENGINES:
                raise
            except Exception as error:
                self._note(kind, "cannot be made ready for", error)
                continue
            log.info("%s continues with backend=%s", type(self.net).__name__, kind)
            if kind == FLOOR and self._wants(order):
                _tell_what_would_help(order[0])
            return kind
        return None

    def _is_missing(self, kind: str) -> bool:
        try:
            return why_unavailable(kind, self.target.device, self.target.dtype) is not None
        except Exception as error:  # an installed package whose libraries do not load
            self._note(kind, "cannot be imported for", error)
            return True

    def _wants(self, order: Sequence[str]) -> bool:
        """Whether there are faster engines, none of which is installed."""
        faster = [kind for kind in order if kind != FLOOR]
        return bool(faster) and all(
            kind not in self._failed and self._is_missing(kind) for kind in faster
        )

    def _give_up(self, kind: str, what: str, error: Exception) -> None:
        """Chooses again without an engine that failed."""
        with self._lock:
            if self._made.pop(kind, None) is None:
                return  # another thread was first
            self._note(kind, what, error)
            self._chosen = {b: k for b, k in self._chosen.items() if k != kind}

    def _note(self, kind: str, what: str, error: Exception) -> None:
        self._failed.add(kind)
        log.warning(
            "backend=%s %s %s, which continues without it: %s",
            *(kind, what, type(self.net).__name__, first_line(error)),
        )


def describe_default(device: torch.device) -> list[tuple[str, str]]:
    """What runs networks on a device of this machine if no backend is named, and why."""
    dtype, processor = network_dtype(None, device, None), processor_kind()
    rows = [
        ("type", str(dtype).removeprefix("torch.")),
        ("at first", f"the networks as they are, for {FIRST_PIXELS / 1e6:.1f} million pixels"),
    ]
    named = [name for name in PRIORS.get(processor, {}) if name != "*"]
    for network in (*named, "other networks") if device.type == "cpu" else ("networks",):
        order = default_order(device.type, dtype, processor=processor, network=network)
        there = [kind for kind in order if why_unavailable(kind, device, dtype) is None]
        among = f", the first available of {', '.join(order)} on {processor}" if order[1:] else ""
        rows.append((network, (there[0] if there else "as they are") + among))
    rows.append(("measured networks", "the fastest engine, see below"))
    return rows


@cache  # once in a process
def _tell_what_would_help(engine: str) -> None:
    log.warning('networks would run faster with %s here: pip install "posekit[%s]"', engine, engine)
