"""Packages that only parts of posekit need: imported late, with a one-line error if missing."""

from __future__ import annotations

import importlib
from typing import Any

from posekit.errors import InputError

__all__ = ["need"]


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
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f'{what and f"{what}: "}{error}; pip install "{package}"') from None
