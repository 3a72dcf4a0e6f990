"""Which cores of the machine this process may use."""

from __future__ import annotations

import os

__all__ = ["usable_cores"]


def usable_cores() -> list[int]:
    """Numbers of the cores in the process's affinity; all cores if the system has none."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
