"""The fastest engine for a network on this machine, found by trying once and remembered."""

from __future__ import annotations

import hashlib
import json
import logging
import statistics
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, nn

from posekit.backends.engine import Backend, Target
from posekit.backends.files import GraphFile
from posekit.backends.kinds import auto_candidates, find_engine, why_unavailable
from posekit.backends.machine import package_version, processor_name
from posekit.backends.make import make_engine
from posekit.errors import InputError, first_line
from posekit.files import write_atomically
from posekit.version import __version__

__all__ = ["AutoBackend", "read_choices", "remembered_kind"]

log = logging.getLogger(__name__)

BUDGET = 60.0  # seconds after which no further engine is prepared
ROUNDS = 5
ROUNDS_BUDGET = 10.0  # seconds of timing, warming up included


class AutoBackend:
    """Measures the engines at the first batch of one image and at the first larger one.

    Measurements are kept in `auto.json`, for each network, input size, device, type, number of
    threads and versions. Their time is bounded: `BUDGET` seconds, plus what the engine in
    preparation at that moment still needs, and `ROUNDS_BUDGET` for timing.

    Args: as `make_backend`, and
        folder: the folder of `auto.json`.
        cache_dir: the cache of the engines; None for the cache that contains the folder.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        input_size: tuple[int, int],
        device: torch.device,
        dtype: torch.dtype,
        folder: Path,
        cache_dir: Path | None = None,
    ) -> None:
        self.net, self.folder = net, folder
        self.target = Target(
            input_size=input_size,
            device=device,
            dtype=dtype,
            folder=folder if cache_dir is None else cache_dir / "backends",
        )
        able = [
            kind
            for kind in auto_candidates()
            if not isinstance(net, GraphFile) or kind in net.engines
        ]
        reasons = {kind: why_unavailable(kind, device, dtype) for kind in able}
        self._candidates = [kind for kind, reason in reasons.items() if reason is None]
        if not self._candidates:  # of a network PyTorch is one
            found = "; ".join(f"{kind}: {reason}" for kind, reason in reasons.items())
            raise InputError(f"no engine can run a graph on {device.type}; {found}")
        self._made: dict[str, Backend] = {}
        self._chosen: dict[str, Backend] = {}
        # Threads that measured at the same time would slow each other down.
        self._lock = threading.Lock()

    @property
    def computes_images_apart(self) -> bool:
        """Whether the chosen engines do; False until the engine for single images is chosen."""
        return "one" in self._chosen and all(
            getattr(backend, "computes_images_apart", False)
            for backend in list(self._chosen.values())
        )

    def __call__(self, images: Tensor) -> Any:
        if not len(images):
            with self._lock:
                first = self._candidates[0]
                backend = next(iter(self._chosen.values()), None) or self._backend(first)
            return backend(images)
        batch = "one" if len(images) == 1 else "many"
        with self._lock:
            if batch not in self._chosen:
                self._chosen[batch] = self._choose(batch, images)
                if len(self._chosen) == 2:
                    self._forget_losers()
        return self._chosen[batch](images)

    def settle(self) -> None:
        """Measures now what has not been measured, so that no image waits for it.

        If there are several processes, one measures, and the others use its results.
        """
        width, height = self.target.input_size
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "settle.lock"):
            for count in (1, 8):
                shape = (count, 3, height, width)
                self(torch.zeros(shape, device=self.target.device, dtype=self.target.dtype))

    def _choose(self, batch: str, images: Tensor) -> Backend:
        path = self.folder / "auto.json"
        key = _key(self.net, batch, self.target)
        known = read_choices(path).get(key, {}).get("kind")
        if known in self._candidates:
            try:
                return self._backend(known)
            except Exception as error:  # as in a cache that can no longer be written
                log.info(
                    "%s was the fastest and now fails, backends are measured again: %s",
                    known,
                    error,
                )
        milliseconds, failed = self._measure(images[:8])
        kind = min(milliseconds, key=milliseconds.__getitem__)
        _remember(
            path,
            key,
            {
                "kind": kind,
                "network": type(self.net).__name__,
                "batch": batch,
                # Not read again: they tell a person which of its kind the network is.
                "parameters": sum(parameter.numel() for parameter in self.net.parameters()),
                "input_size": self.target.input_size,
                "device": self.target.device.type,
                "dtype": str(self.target.dtype).removeprefix("torch."),
                "threads": torch.get_num_threads(),
                "milliseconds": {name: round(value, 2) for name, value in milliseconds.items()},
                "failed": failed,
            },
        )
        log.info("%s for a batch of %s: %s is the fastest", type(self.net).__name__, batch, kind)
        return self._backend(kind)

    def _measure(self, images: Tensor) -> tuple[dict[str, float], dict[str, str]]:
        """Milliseconds of each engine, and why others failed."""
        start = time.perf_counter()
        failed = {}
        for kind in self._candidates:
            if time.perf_counter() - start > BUDGET:
                failed[kind] = "no time left to try it"
                continue
            try:
                self._backend(kind)(images)
            except Exception as error:  # an engine that cannot do this network is no candidate
                if kind == self._candidates[0]:  # the one that always can
                    raise
                failed[kind] = first_line(error)
                log.warning("%s cannot run %s: %s", kind, type(self.net).__name__, failed[kind])
        kinds = [kind for kind in self._candidates if kind not in failed]
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        deadline = time.perf_counter() + ROUNDS_BUDGET
        for number in range(ROUNDS):
            if number and time.perf_counter() > deadline:
                break
            # In turns, so that other work of the machine slows all of them alike.
            for kind in kinds:
                self._made[kind](images)  # lets the threads of the engine before come to rest
                _synchronize(self.target.device)
                before = time.perf_counter()
                self._made[kind](images)
                _synchronize(self.target.device)
                times[kind].append(1e3 * (time.perf_counter() - before))
        return {kind: statistics.median(taken) for kind, taken in times.items()}, failed

    def _backend(self, kind: str) -> Backend:
        if kind not in self._made:
            self._made[kind] = make_engine(self.net, kind, self.target)
        return self._made[kind]

    def _forget_losers(self) -> None:
        kept = list(self._chosen.values())
        self._made = {kind: made for kind, made in self._made.items() if made in kept}


def remembered_kind(net: nn.Module, batch: str, target: Target) -> str | None:
    """The engine that was measured to be the fastest for such a network here; None if unmeasured.

    Args:
        net: the network; its weights do not matter.
        batch: "one" or "many", the images that are computed at once.
        target: its folder has `auto.json`.
    """
    choices = read_choices(target.folder / "auto.json")
    if not choices:  # the key takes some milliseconds
        return None
    kind = choices.get(_key(net, batch, target), {}).get("kind")
    return kind if kind in auto_candidates() else None


def read_choices(path: Path) -> dict[str, dict[str, Any]]:
    """Earlier measurements: for each key the chosen `kind`, and the figures behind the choice.

    A file that cannot be read counts as none, with a warning.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
            raise ValueError("expected an object of objects")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("%s is ignored, backends are measured again: %s", path, error)
        return {}
    return found


def _remember(path: Path, key: str, choice: Mapping[str, Any]) -> None:
    """Adds a choice to the file, which is never seen half written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            choices = {**read_choices(path), key: choice}
            write_atomically(path, json.dumps(choices, indent=1, sort_keys=True).encode())
    except OSError as error:
        log.warning("cannot write %s, the next run measures again: %s", path, error.strerror)


def _key(net: nn.Module, batch: str, target: Target) -> str:
    """Changes with all that speed depends on, but not with the weights' values."""
    device = target.device
    shapes: object = [(key, tuple(value.shape)) for key, value in net.state_dict().items()]
    if isinstance(net, GraphFile):
        shapes = net.digest()
    is_gpu = device.type == "cuda"
    chip = torch.cuda.get_device_name(device) if is_gpu else processor_name()
    packages = [name for kind in auto_candidates() for name in find_engine(kind).packages]
    details = (
        __version__, type(net).__name__, shapes, batch, target.input_size,
        str(target.dtype), chip, device.type, torch.get_num_threads(),
        [package_version(name) for name in packages],
    )  # fmt: skip
    return hashlib.blake2b(repr(details).encode(), digest_size=12).hexdigest()


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
