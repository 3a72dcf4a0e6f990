"""ONNX files: recognised, and opened from the file or a zip, with the files beside the graph."""

from __future__ import annotations

import functools
import re
import zipfile
from pathlib import Path

from weights_convert.errors import ConversionError
from weights_convert.external import ExternalData, member_beside

__all__ = ["external_data", "holds_weights", "is_onnx", "open_onnx", "starts_onnx"]

MAX_BYTES = 1 << 30  # of a graph in a zip; the largest published one has a quarter of it
MAX_RATIO = 100  # of compression; weights hardly compress


def is_onnx(path: Path) -> bool:
    """Whether the content is an ONNX graph, or a zip that holds one."""
    with path.open("rb") as file:
        head = file.read(9)
    if not head.startswith(b"PK"):
        return starts_onnx(head)
    try:
        with zipfile.ZipFile(path) as archive:
            return bool(_graphs_in(archive))
    except Exception:  # what reads it says how it is damaged
        return False


def starts_onnx(head: bytes) -> bool:
    """Whether a file with these first 9 bytes is an ONNX graph."""
    # A protobuf: field 1, a small version number, then a later field of ModelProto. The length
    # that begins a safetensors file may look alike, but a brace follows it.
    like_fields = len(head) == 9 and head[0] == 8 and 0 < head[1] < 64
    return like_fields and head[2] in b"\x12\x1a\x22\x28\x32\x3a\x42" and head[8:] != b"{"


def holds_weights(path: Path) -> bool:
    """Whether a graph's weights can be those of a network, so are not quantised."""
    return b"DequantizeLinear" not in open_onnx(path)


def _graphs_in(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [e for e in archive.infolist() if re.search(r"(^|/)[^./][^/]*\.onnx$", e.filename)]


def open_onnx(path: Path) -> bytes:
    """The bytes of an ONNX graph, from its file or from a zip that holds exactly one.

    Raises:
        ConversionError: neither of the two, a damaged zip, or one that unpacks to more than any
            graph needs.
    """
    with path.open("rb") as file:
        head = file.read(9)
    if starts_onnx(head):
        return path.read_bytes()
    if not head.startswith(b"PK"):
        raise ConversionError(
            f"{path}: expected an ONNX graph or a zip with one, found a file starting with {head!r}"
        )
    return _from_zip(path)


def _from_zip(path: Path, beside: str | None = None) -> bytes:
    """The graph in a zip, or the file `beside` it."""
    try:
        with zipfile.ZipFile(path) as archive:
            graphs, inside = _graphs_in(archive), ", ".join(archive.namelist()[:5]) or "nothing"
            if len(graphs) != 1:
                raise ConversionError(
                    f"{path}: expected one .onnx file in the zip, found {len(graphs)} in {inside}"
                )
            (member,) = graphs
            if beside is not None:
                member = member_beside(archive, member.filename, beside)
            size, limit = member.file_size, min(MAX_BYTES, MAX_RATIO * member.compress_size)
            if size > limit:
                raise ConversionError(
                    f"{path}: expected a file that unpacks to {limit} bytes at most, found {size}"
                )
            return archive.read(member)  # never more than the size it states
    except ConversionError:
        raise
    except Exception as error:
        # There is no end of ways in which a damaged archive can fail.
        raise ConversionError(f"{path} is a damaged or encrypted zip: {error}") from None


def external_data(path: Path) -> ExternalData:
    """The reader of a graph's external data, beside the graph or in its zip."""
    with path.open("rb") as file:
        in_zip = file.read(2) == b"PK"
    return ExternalData(path, functools.partial(_from_zip, path) if in_zip else None)
