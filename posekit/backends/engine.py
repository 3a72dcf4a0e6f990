"""How an engine describes itself, and what it is given to run a network."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from posekit.errors import InputError
from posekit.packages import import_package

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["Backend", "Engine", "Target", "check_process", "missing_package"]

# Normalised images (n, 3, h, w) -> raw outputs, nested as those of the network itself.
Backend: TypeAlias = "Callable[[Tensor], Any]"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a network is made ready for.

    Attributes:
        input_size: (w, h) in pixels.
        device: where it runs; a CUDA device has its index.
        dtype: type of the outputs, and of the arithmetic if the engine supports it.
        folder: where the engine may keep what it makes, see `load_artifact`.
    """

    input_size: tuple[int, int]
    device: torch.device
    dtype: torch.dtype
    folder: Path


def _never_missing(device: torch.device) -> str | None:
    return None


def _any_type(dtype: torch.dtype) -> str | None:
    return None


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The constant `ENGINE` of a module in `engines/`; the file's stem is the engine's name.

    Attributes:
        title: the name of what runs the network.
        summary: a line of Markdown for the table in docs/predict.md.
        make: makes the callable that runs a network, for batches of any size, also empty ones. The
            network is in eval mode and is left as it is. For a `GraphFile`, given only to engines
            with `reads`, the file is run.
        packages: distributions whose versions it depends on, as `posekit doctor` lists them.
        missing: why it cannot run on a device of this machine, and what to do, in a few words;
            None where it can.
        dtypes: names of the types that it computes in; None for all.
        lacks: why it would not compute in one of these types on this machine, in a few words; None
            where it does. It is called after `missing`.
        reads: formats of the graph files that it runs as they are: "onnx", "openvino".
        auto_turn: when `auto` tries it, from 0, the earlier ones first; None if preparing a network
            takes too long to try it unasked.
        alone: makes a call of the engine for an ONNX file, on the CPU, without posekit and with the
            engine's default settings, for `posekit bench` to compare with.
    """

    title: str
    summary: str
    make: Callable[[nn.Module, Target], Backend]
    packages: tuple[str, ...] = ()
    missing: Callable[[torch.device], str | None] = _never_missing
    dtypes: tuple[str, ...] | None = None
    lacks: Callable[[torch.dtype], str | None] = _any_type
    reads: tuple[str, ...] = ()
    auto_turn: int | None = None
    alone: Callable[[Path], Callable[[Tensor], object]] | None = None

    def why_unavailable(self, device: torch.device, dtype: torch.dtype | None) -> str | None:
        """Why it cannot run on a device of this machine; see `posekit.backends.why_unavailable`."""
        known, name = self.dtypes, str(dtype).removeprefix("torch.")
        if dtype is None or known is None or name in known:
            return self.missing(device) or (None if dtype is None else self.lacks(dtype))
        return f"it computes in {' or '.join(known)}, found {dtype}; use another backend"


def missing_package(module: str, extra: str) -> str | None:
    """Why a package cannot be imported, and which extra of posekit has it; None where it can."""
    try:
        import_package(module)
    except ImportError as error:
        return f'{error}; pip install "posekit[{extra}]"'
    return None


def check_process(process: int, kind: str) -> None:
    """Checks that this is the process that loaded an engine.

    An engine's threads do not exist in a forked process, where it would wait for them forever.

    Raises:
        InputError: it is another process.
    """
    if os.getpid() != process:
        raise InputError(
            f"backend={kind} was loaded before its process was forked: load it in this process, or "
            "start processes by spawning"
        )
