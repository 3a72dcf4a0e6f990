"""The fastest engine for a network on this machine, found by trying once and remembered."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import statistics
import threading
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, nn

from posekit.backends import Backend, make_backend, why_unavailable
from posekit.backends.files import GraphFile
from posekit.errors import InputError, first_line
from posekit.files import write_atomically
from posekit.version import __version__

__all__ = ["CANDIDATES", "AutoBackend", "processor_name", "read_choices"]

log = logging.getLogger(__name__)

# In this order, since PyTorch is there at once and OpenVINO most often wins. What needs a minute
# of compiling is taken only where it is asked for.
CANDIDATES = ("torch", "openvino", "onnxruntime")
BUDGET = 60.0  # seconds after which no further engine is prepared
ROUNDS = 5
ROUNDS_BUDGET = 10.0  # seconds of timing, warming up included


class AutoBackend:
    """Measures the engines at the first batch of one image and at the first larger one.

    What was measured is kept in `auto.json`, for each network, input size, device, type, number
    of threads and versions. The time it may take is bounded: `BUDGET` seconds and what the engine
    then being prepared takes, and `ROUNDS_BUDGET` for timing.

    Args: as `make_backend`, and
        folder: of `auto.json`.
        cache_dir: of what the engines keep; None for the cache that the folder is part of.
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
        self.arguments: dict[str, Any] = {
            "input_size": input_size,
            "device": device,
            "dtype": dtype,
            "cache_dir": cache_dir or folder.parent,
        }
        # That of those which can run it that always does.
        kinds = [kind for kind in CANDIDATES if self._may_run(kind)]
        if not kinds:
            reasons = [f"{kind}: {self._why_not(kind)}" for kind in CANDIDATES[1:]]
            raise InputError(f"no engine can run a graph on {device.type}; {'; '.join(reasons)}")
        self._first = kinds[0]
        self._made: dict[str, Backend] = {}
        self._chosen: dict[str, Backend] = {}
        # Threads that measured at the same time would slow each other down.
        self._lock = threading.Lock()

    @property
    def computes_images_apart(self) -> bool:
        """Whether the engines chosen so far do: False until one image has been computed."""
        return "one" in self._chosen and all(
            getattr(backend, "computes_images_apart", False)
            for backend in list(self._chosen.values())
        )

    def __call__(self, images: Tensor) -> Any:
        if not len(images):
            with self._lock:
                backend = next(iter(self._chosen.values()), None) or self._backend(self._first)
            return backend(images)
        batch = "one" if len(images) == 1 else "many"
        with self._lock:
            if batch not in self._chosen:
                self._chosen[batch] = self._choose(batch, images)
                if len(self._chosen) == 2:
                    self._forget_losers()
        return self._chosen[batch](images)

    def _choose(self, batch: str, images: Tensor) -> Backend:
        path = self.folder / "auto.json"
        key = _key(self.net, batch, self.arguments)
        known = read_choices(path).get(key, {}).get("kind")
        if known in CANDIDATES and self._may_run(known):
            try:
                return self._backend(known)
            except Exception as error:  # as in a cache that can no longer be written
                log.info("%s was the fastest and fails, measured anew: %s", known, error)
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
                "input_size": self.arguments["input_size"],
                "device": self.arguments["device"].type,
                "dtype": str(self.arguments["dtype"]).removeprefix("torch."),
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
        for kind in CANDIDATES:
            if not self._may_run(kind):
                continue
            if time.perf_counter() - start > BUDGET:
                failed[kind] = "no time left to try it"
                continue
            try:
                self._backend(kind)(images)
            except Exception as error:  # an engine that cannot do this network is no candidate
                if kind == self._first:
                    raise
                failed[kind] = first_line(error)
                log.warning("%s cannot run %s: %s", kind, type(self.net).__name__, failed[kind])
        kinds = [kind for kind in CANDIDATES if kind in self._made and kind not in failed]
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        deadline = time.perf_counter() + ROUNDS_BUDGET
        for number in range(ROUNDS):
            if number and time.perf_counter() > deadline:
                break
            # By turns, so that what else the machine does meets all of them.
            for kind in kinds:
                self._made[kind](images)  # lets the threads of the engine before come to rest
                _synchronize(self.arguments["device"])
                before = time.perf_counter()
                self._made[kind](images)
                _synchronize(self.arguments["device"])
                times[kind].append(1e3 * (time.perf_counter() - before))
        return {kind: statistics.median(taken) for kind, taken in times.items()}, failed

    def _may_run(self, kind: str) -> bool:
        return self._why_not(kind) is None

    def _why_not(self, kind: str) -> str | None:
        if isinstance(self.net, GraphFile) and kind not in self.net.engines:
            return f"it does not read {self.net.path.suffix} files"
        return why_unavailable(kind, self.arguments["device"], self.arguments["dtype"])

    def _backend(self, kind: str) -> Backend:
        if kind not in self._made:
            self._made[kind] = make_backend(self.net, kind, **self.arguments)
        return self._made[kind]

    def _forget_losers(self) -> None:
        kept = list(self._chosen.values())
        self._made = {kind: made for kind, made in self._made.items() if made in kept}


def read_choices(path: Path) -> dict[str, dict[str, Any]]:
    """What was measured before: per key the `kind` chosen, and what led to it.

    A file that cannot be read counts as none, with a warning.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
            raise ValueError("expected an object of objects")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("%s is ignored, backends are measured anew: %s", path, error)
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


def _key(net: nn.Module, batch: str, arguments: Mapping[str, Any]) -> str:
    """Changes with all that speed depends on, but not with the weights' values."""
    device: torch.device = arguments["device"]
    shapes: object = [(key, tuple(value.shape)) for key, value in net.state_dict().items()]
    if isinstance(net, GraphFile):
        shapes = net.digest()
    is_gpu = device.type == "cuda"
    chip = torch.cuda.get_device_name(device) if is_gpu else processor_name()
    details = (
        __version__, type(net).__name__, shapes, batch, arguments["input_size"],
        str(arguments["dtype"]), chip, device.type, torch.get_num_threads(),
        [_version(name) for name in (*CANDIDATES, "onnxruntime-gpu")],
    )  # fmt: skip
    return hashlib.blake2b(repr(details).encode(), digest_size=12).hexdigest()


def processor_name() -> str:
    """The processor's model where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = next((line for line in lines if line.startswith("model name")), "")
    except OSError:
        named = ""
    return named.partition(":")[2].strip() or platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
