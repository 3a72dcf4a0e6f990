"""What runs a network, with or without an engine's name from the user."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from posekit.backends.auto import AutoBackend
from posekit.backends.default import DefaultBackend
from posekit.backends.engine import Backend, Target
from posekit.backends.files import GraphFile
from posekit.backends.kinds import check_backend
from posekit.backends.make import make_engine
from posekit.files import cache_dir as default_cache_dir

__all__ = ["DEFAULT", "choose_backend", "make_backend"]

DEFAULT = "default"  # what stages are told where a user names no engine; no name for users


def make_backend(
    net: nn.Module,
    kind: str = "auto",
    *,
    input_size: tuple[int, int],
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    cache_dir: Path | None = None,
) -> Backend:
    """Makes a callable that runs a network by an engine, for batches of any size, also empty ones.

    Args:
        net: in eval mode; it is left as it is, and what is returned may share its parameters: do
            not move it afterwards. A `GraphFile` is run as it is in the file.
        kind: one of `KINDS`, which docs/predict.md describes: an engine, or "auto" for the fastest
            of those that need no long preparation, measured once per machine and kind of network.
        input_size: (w, h) in pixels.
        device: where to run it; None for where it is.
        dtype: type of the outputs, and of the arithmetic if the engine supports it; None for the
            network's.
        cache_dir: what was compiled or measured is kept in its folder `backends`; None for
            posekit's cache.

    Raises:
        InputError: the engine cannot run here; the message says what is missing.
    """
    target = _target(net, input_size, device, dtype, cache_dir)
    check_backend(kind, target.device, target.dtype)
    if kind == "auto":
        return AutoBackend(net, **vars(target))
    return make_engine(net, kind, target)


def _target(
    net: nn.Module,
    input_size: tuple[int, int],
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    cache_dir: Path | None = None,
) -> Target:
    """What a network is made ready for; arguments left out are as the network is now."""
    parameter = next(net.parameters())
    device = parameter.device if device is None else device
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    return Target(
        input_size=input_size,
        device=device,
        dtype=parameter.dtype if dtype is None else dtype,
        folder=(default_cache_dir() if cache_dir is None else cache_dir) / "backends",
    )


def choose_backend(
    net: nn.Module, input_size: tuple[int, int], backend: Backend | str | None = None
) -> Backend:
    """What runs a network: the given or named engine, or without one the network itself.

    `DEFAULT` gives a `DefaultBackend`. A graph, which PyTorch cannot run, is run by the fastest
    engine that can, unless one is named.
    """
    if isinstance(net, GraphFile) and backend in (None, DEFAULT):
        backend = "auto"
    if backend is None:
        return net
    if backend == DEFAULT:
        return DefaultBackend(net, **vars(_target(net, input_size)))
    return (
        make_backend(net, backend, input_size=input_size) if isinstance(backend, str) else backend
    )
