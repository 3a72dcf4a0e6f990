"""Plain text tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["format_table"]

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns, two spaces apart, under a header; a row stays in its line."""
    rows = [[_CONTROLS.sub(lambda sign: repr(sign[0])[1:-1], cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
