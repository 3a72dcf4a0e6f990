"""Rows of a table, kept one by one, so that a part that dies leaves what it had."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from posekit.errors import first_line

__all__ = ["Row", "Rows", "Settings", "read_rows"]


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Attributes:
        device: `cuda`, or `cpu` to prove the script where there is no GPU.
        fast: small networks and batches, and of huge networks one image.
    """

    device: str
    fast: bool

    @property
    def types(self) -> tuple[str, ...]:
        """Types that are compared; `tf32` is float32 whose products are rounded to 10 bits."""
        if self.device == "cpu":
            return ("float32", "bfloat16")
        return ("float32", "tf32", "float16", "bfloat16")


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        cells: its texts.
        failed: why it is not as it should be; empty where it is.
    """

    cells: tuple[str, ...]
    failed: str = ""


class Rows:
    """Where a part puts its rows.

    Args:
        path: a file that grows by a line of JSON for each.
        seconds: after which nothing new is begun.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._path = path
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds, below 0 when they are over."""
        return self._end - time.monotonic()

    def add(self, *cells: str, failed: str = "") -> None:
        """A row; `failed` says why it is not as it should be."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"cells": cells, "failed": failed}) + "\n")

    def attempt(self, name: str, function: Callable[[], None]) -> None:
        """Calls what adds rows; what it raises is a row of that name."""
        if self.left <= 0:
            self.add(name, failed="no time was left for it")
            return
        try:
            function()
        except Exception as error:  # whatever a GPU and its libraries come up with
            self.add(name, failed=f"{type(error).__name__}: {first_line(error)}")


def read_rows(path: Path) -> list[Row]:
    """All rows of a file, which need not be there."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines if line.endswith("}")]
    return [Row(tuple(row["cells"]), row["failed"]) for row in found]
