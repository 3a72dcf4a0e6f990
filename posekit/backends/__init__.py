"""Engines that run a network: the same call and the same raw outputs, at different speeds.

Each file of `engines/` is one engine, and describes it to the rest of posekit.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posekit.backends.choose import DEFAULT, choose_backend, make_backend
    from posekit.backends.default import network_dtype
    from posekit.backends.engine import Backend
    from posekit.backends.kinds import KINDS, check_backend, why_unavailable

__all__ = [
    "DEFAULT",
    "KINDS",
    "Backend",
    "check_backend",
    "choose_backend",
    "make_backend",
    "network_dtype",
    "why_unavailable",
]

# Imported when first used: the names of the engines are known without torch.
_HOMES = {
    "DEFAULT": "choose",
    "KINDS": "kinds",
    "Backend": "engine",
    "check_backend": "kinds",
    "choose_backend": "choose",
    "make_backend": "choose",
    "network_dtype": "default",
    "why_unavailable": "kinds",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
