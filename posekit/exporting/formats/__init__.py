"""The file formats: each module of this folder is one, with its name. Light: no torch.

Each has a `FORMAT`, and imports what it needs when it is asked to write.
"""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from posekit.errors import InputError
from posekit.packages import import_package

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from posekit.exporting.subject import Subject

__all__ = ["FORMATS", "Format", "Runner", "Writer", "load_format"]

FORMATS = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


class Runner(Protocol):
    """Runs a file."""

    def __call__(self, inputs: Tensor, /) -> list[np.ndarray]:
        """The file's outputs, in order, for inputs as its graph takes them."""


class Writer(Protocol):
    """Writes a file."""

    def __call__(self, subject: Subject, path: Path, /) -> Runner:
        """Writes the file, and others beside it where the format has several.

        Returns:
            What runs the file that was written.

        Raises:
            OSError: it cannot be written.
        """


@dataclass(frozen=True, kw_only=True)
class Format:
    """A kind of file.

    Attributes:
        suffix: end of the file's name.
        write: writes it.
        packages: the packages that it needs.
        extra: posekit's extra that installs these.
        is_graph: whether it holds the computation; otherwise weights alone.
        halves: whether it converts a float32 graph to float16 itself.
        quantizes: whether it can be written in 8 bits.
    """

    suffix: str
    write: Writer
    packages: tuple[str, ...] = ()
    extra: str = ""
    is_graph: bool = True
    halves: bool = False
    quantizes: bool = False

    def check_installed(self) -> None:
        """Imports what it needs.

        Raises:
            InputError: a package is missing.
        """
        for package in self.packages:
            try:
                import_package(package)
            except ImportError as error:
                raise InputError(f'{error}; pip install "posekit[{self.extra}]"') from None


@cache
def load_format(name: str) -> Format:
    """The format called `name`, one of `FORMATS`."""
    found: Format = import_module(f"{__name__}.{name}").FORMAT
    return found
