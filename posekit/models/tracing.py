"""Networks as graphs of torch.fx, traced while other threads compute."""

from __future__ import annotations

import threading
from typing import Any

from torch import fx, nn

__all__ = ["trace"]

_lock = threading.Lock()


def trace(net: nn.Module) -> fx.Graph:
    """The graph of `forward`, as `torch.fx.Tracer` records it; threads may call this at any time.

    Raises:
        Exception: of any kind, if the network cannot be traced.
    """
    # Tracing replaces methods of all modules: two at once put back what the other one put there.
    with _lock:
        return _Tracer().trace(net)


class _Tracer(fx.Tracer):
    """Replaces PyTorch's methods for its own thread only: others compute as before meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def call_module(self, m: Any, forward: Any, args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)
