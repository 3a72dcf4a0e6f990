"""What an engine says of itself, and what it is given to run a network."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from posekit.backends.openvino_package import import_package
from posekit.errors import InputError

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
        device: where it runs; one of CUDA has its number.
        dtype: of the outputs, and of the arithmetic where the engine has it.
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
        make: what runs a network in place of calling it, for batches of any size, also of none.
            The network is in eval mode; it is left as it is. Of a `GraphFile`, which comes to those
            with `reads` only, the file is run.
        packages: distributions whose versions it depends on, as `posekit doctor` lists them.
        missing: why it cannot run on a device of this machine, and what to do, in a few words;
            None where it can.
        dtypes: names of the types that it computes in; None for all.
        lacks: why it would not compute in one of these on this machine, in a few words; None where
            it does. It is asked after `missing`.
        reads: formats of the graph files that it runs as they are: "onnx", "openvino".
        auto_turn: when `auto` tries it, from 0, the earlier ones first; None where a network takes
            too long to prepare for being tried unasked.
        alone: takes an ONNX file and calls the engine on it without posekit and with the settings
            that it has by itself, on the CPU, which `posekit bench` compares with.
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
        return f"it runs in {' or '.join(known)}, found {dtype}; use another backend"


def missing_package(module: str, extra: str) -> str | None:
    """Why a package cannot be imported, and which extra of posekit has it; None where it can."""
    try:
        import_package(module)
    except ImportError as error:
        return f'{error}; pip install "posekit[{extra}]"'
    return None


def check_process(process: int, kind: str) -> None:
    """Whether this is the process that loaded an engine.

    An engine's threads do not come along into a forked process, where it would wait for them.

    Raises:
        InputError: it is another one.
    """
    if os.getpid() != process:
        raise InputError(
            f"backend={kind} was loaded before its process was forked: load it in this process, or "
            "start processes by spawning"
        )
