"""`posekit convert`: results in Parquet files -> other formats."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from posekit.commands.settings import read_settings
from posekit.converting import ConvertOptions, convert
from posekit.errors import InputError

__all__ = ["convert_tables"]


def convert_tables(words: Sequence[str]) -> int:
    """Runs the command.

    Args:
        words: files, and `key=value` each of `ConvertOptions`, or `format=NAME`.

    Returns:
        The exit status: 1 if a table's clip had not been read to its end.
    """
    tables = [Path(word) for word in words if "=" not in word or Path(word).exists()]
    if not tables:
        raise InputError("name a table: posekit convert clip.parquet formats=csv")
    settings = [word for word in words if "=" in word and not Path(word).exists()]
    typed = [f"formats={word[7:]}" if word.startswith("format=") else word for word in settings]
    options = read_settings(typed, ConvertOptions)
    partial = convert(tables, **options.named)
    for path in partial:
        print(f"{path} is incomplete: its run ended before the video did", file=sys.stderr)
    return 1 if partial else 0
