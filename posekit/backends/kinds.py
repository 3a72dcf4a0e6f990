"""The engines: each file of `engines/` is one. Light: their names need no torch."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from posekit.backends import engines
from posekit.config import nearest
from posekit.errors import InputError

if TYPE_CHECKING:
    import torch

    from posekit.backends.engine import Engine

__all__ = ["ENGINES", "KINDS", "auto_candidates", "check_backend", "find_engine", "why_unavailable"]

ENGINES = tuple(sorted(module.name for module in pkgutil.iter_modules(engines.__path__)))
KINDS = ("auto", *ENGINES)


def find_engine(kind: str) -> Engine:
    """The description of the engine of this name."""
    engine: Engine = importlib.import_module(f"{engines.__name__}.{kind}").ENGINE
    return engine


def auto_candidates() -> tuple[str, ...]:
    """The engines that need no long preparation, in the order in which `auto` tries them."""
    turns = {kind: find_engine(kind).auto_turn for kind in ENGINES}
    return tuple(
        kind for _, kind in sorted((t, kind) for kind, t in turns.items() if t is not None)
    )


def check_backend(kind: str, device: torch.device, dtype: torch.dtype | None = None) -> None:
    """Checks that an engine can run on a device of this machine.

    Raises:
        InputError: it cannot; the message says what is missing.
    """
    if reason := why_unavailable(kind, device, dtype):
        raise InputError(f"backend={kind} cannot run on {device.type} here: {reason}")


def why_unavailable(
    kind: str, device: torch.device, dtype: torch.dtype | None = None
) -> str | None:
    """Why an engine cannot run on a device of this machine, in a few words; None where it can.

    Args:
        kind: its name.
        device: where it would run.
        dtype: what it would compute in; None where that does not matter.

    Raises:
        InputError: no engine of that name.
    """
    if kind not in KINDS:
        close = nearest(kind, KINDS) if isinstance(kind, str) else []
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"backend must be one of {', '.join(KINDS)}, found '{kind}'{hint}")
    return None if kind == "auto" else find_engine(kind).why_unavailable(device, dtype)
