"""A network made ready for a named engine."""

from __future__ import annotations

from torch import nn

from posekit.backends.engine import Backend, Target
from posekit.backends.files import GraphFile
from posekit.backends.kinds import check_backend, find_engine
from posekit.errors import InputError

__all__ = ["make_engine"]


def make_engine(net: nn.Module, kind: str, target: Target) -> Backend:
    """Makes the callable that runs a network by an engine.

    Args:
        net: as `make_backend` takes it.
        kind: one of `ENGINES`.
        target: what it is made ready for.

    Raises:
        InputError: the engine cannot run here, or cannot run this network; the message says why.
    """
    check_backend(kind, target.device, target.dtype)
    if isinstance(net, GraphFile) and kind not in net.engines:
        raise InputError(
            f"backend={kind} cannot run {net.path}, a graph: use {' or '.join(net.engines)}"
        )
    return find_engine(kind).make(net, target)
