"""Files of posekit weights: what their headers say, and whether they are whole and current."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from posekit.files import BLOCK, replacing, sha256_of
from weights_convert import CONVERTER_VERSION

__all__ = [
    "annotate",
    "fault_in",
    "is_current",
    "is_posekit",
    "is_whole",
    "metadata_of",
    "model_in_file",
    "read_header",
]


def model_in_file(path: Path) -> str | None:
    """The model that a file of posekit weights says it is for; None for any other file."""
    return metadata_of(path).get("model")


def metadata_of(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; empty for any other file."""
    header = read_header(path)
    return {} if header is None else header[0]


def is_posekit(path: Path) -> bool:
    """True for safetensors that name the posekit model they are for, damaged or not."""
    header = read_header(path)
    return header is not None and "model" in header[0]


def is_whole(path: Path) -> bool:
    """Whether a file exists, is safetensors, and has the size that its header announces."""
    try:
        return read_header(path) is not None and fault_in(path) is None
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_current(path: Path) -> bool:
    """Whether a file of the cache is whole and as the converter would write it today."""
    if not is_whole(path):
        return False
    header = read_header(path)
    assert header is not None
    return header[0].get("converter", CONVERTER_VERSION) == CONVERTER_VERSION


def fault_in(path: Path, digits: str | None = None) -> str | None:
    """How a file differs from the first digits of its SHA-256, or from the size in its header."""
    if digits and not (found := sha256_of(path)).startswith(digits.lower()):
        return f"expected a SHA-256 of {digits[:16]}..., found {found}"
    if (header := read_header(path)) and (size := path.stat().st_size) != header[1]:
        return f"expected {header[1]} bytes, found {size}"
    return None


def read_header(path: Path) -> tuple[dict[str, str], int] | None:
    """The metadata and size that a safetensors header announces; None for other files."""
    with path.open("rb") as file:
        start = file.read(9)
        length = int.from_bytes(start[:8], "little")
        if start[8:] != b"{" or length > 100_000_000:  # the format's own limit
            return None
        rest = file.read(length - 1)
    try:
        header = json.loads(b"{" + rest)
        metadata = dict(header.pop("__metadata__", {}))
        return metadata, 8 + length + max(
            (e["data_offsets"][1] for e in header.values()), default=0
        )
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def annotate(path: Path, extra: Mapping[str, str]) -> None:
    """Adds metadata to a safetensors file that nobody else writes."""
    with (
        replacing(path, sole_writer=True) as temporary,
        path.open("rb") as file,
        temporary.open("wb") as copy,
    ):
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        header["__metadata__"] = {**header.get("__metadata__", {}), **extra}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # tensors stay aligned
        copy.write(len(text).to_bytes(8, "little") + text)
        shutil.copyfileobj(file, copy, BLOCK)
