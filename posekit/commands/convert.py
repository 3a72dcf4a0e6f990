"""`posekit convert`: results that were kept as Parquet in other formats."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from posekit.converting import ConvertOptions, convert
from posekit.errors import InputError

__all__ = ["convert_tables"]


def convert_tables(words: Sequence[str]) -> int:
    """Runs the command.

    Args:
        words: files, and `key=value` each of `ConvertOptions`, or `format=NAME`.

    Returns:
        The exit status: 1 where a table's clip had not been read to its end.
    """
    tables = [Path(word) for word in words if "=" not in word or Path(word).exists()]
    settings = {}
    for word in words:
        if "=" not in word or Path(word).exists():
            continue
        key, _, text = word.partition("=")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise InputError(f"cannot read '{word}': expected key=value") from None
        settings["formats" if key == "format" else key] = value
    chosen = ConvertOptions.from_keywords(settings)
    partial = convert(tables, **{name: getattr(chosen, name) for name in ConvertOptions.declared()})
    for path in partial:
        print(f"{path} is not complete: its run ended before the clip did", file=sys.stderr)
    return 1 if partial else 0
