"""The package `openvino`, without its telemetry."""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["import_openvino", "import_package"]

REPORTER = "openvino_telemetry"


def import_openvino() -> Any:
    """The module `openvino`; see `import_package`."""
    return import_package("openvino")


def import_package(name: str) -> Any:
    """An optional package; `openvino` without its telemetry.

    It would send a message to Google Analytics at each import and each conversion, in forked
    processes too, and without a network wait for it. Without its package for telemetry, which is
    optional, it sends none; a program that has imported that package before keeps it.
    """
    if name == "openvino" and REPORTER not in sys.modules:
        sys.modules[REPORTER] = None  # type: ignore[assignment]  # "cannot be imported"
    return importlib.import_module(name)
