"""Packages that only parts of posekit need: imported late, their absence an error of one line."""

from __future__ import annotations

import importlib
from typing import Any

from posekit.errors import InputError

__all__ = ["need"]


def need(module: str, package: str, what: str = "") -> Any:
    """A library that is imported when it is needed.

    Args:
        module: its name in Python.
        package: what pip installs, such as "posekit[parquet]".
        what: needs it, where the library's name does not tell.

    Raises:
        InputError: it is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f'{what and f"{what}: "}{error}; pip install "{package}"') from None
