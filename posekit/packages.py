"""Packages that only parts of posekit need: imported late, with a one-line error if missing."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from posekit.errors import InputError

__all__ = ["import_package", "need"]

REPORTER = "openvino_telemetry"


def need(module: str, package: str, what: str = "") -> Any:
    """Imports a library when it is needed.

    Args:
        module: its name in Python.
        package: what pip installs, such as "posekit[parquet]".
        what: what needs it, if the library's name does not tell.

    Raises:
        InputError: it is not installed, or cannot be imported.
    """
    try:
        return import_package(module)
    except ImportError as error:
        raise InputError(f'{what and f"{what}: "}{error}; pip install "{package}"') from None


def import_package(name: str) -> Any:
    """An optional package, kept from reporting to its makers how it is used.

    OpenVINO would send a message to Google Analytics at each import and each conversion, in forked
    processes too, and without a network wait for it. Without its package for telemetry, which is
    optional, it sends none; a program that has imported that package before keeps it. ONNX Runtime
    1.32 gives the machine an id at its import, and files what it sends to Microsoft in ~/.cache.
    """
    if name == "openvino" and REPORTER not in sys.modules:
        sys.modules[REPORTER] = None  # type: ignore[assignment]  # "cannot be imported"
    if name == "onnxruntime":
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    module = importlib.import_module(name)
    if name == "onnxruntime":
        module.disable_telemetry_events()  # of other versions
    return module
