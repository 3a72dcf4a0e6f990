"""External data of ONNX graphs: weights in files beside the graph, or beside it in its zip."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from weights_convert.beside import located_beside
from weights_convert.errors import ConversionError

__all__ = ["ExternalData", "external_files"]

EXTERNAL = 1  # TensorProto.EXTERNAL


class ExternalData:
    """Gives tensors the bytes that are outside of the graph.

    In all, no more is read than the files hold, however often a graph refers to them.

    Args:
        path: the graph, or the zip that holds it.
        open_member: the bytes of a file beside the graph in a zip; None for a graph by itself.
    """

    def __init__(self, path: Path, open_member: Callable[[str], bytes] | None = None) -> None:
        self._path = path
        self._open_member = open_member
        self._members: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}
        self._taken = 0

    def fill(self, tensor: Any) -> Any:
        """The tensor with its bytes in it; one that has them is returned as it is.

        Raises:
            ConversionError: a file that is missing, elsewhere or too short.
        """
        if tensor.data_location != EXTERNAL:
            return tensor
        fields = {
            _decode_string(entry.key): _decode_string(entry.value) for entry in tensor.external_data
        }
        location = fields.get("location", "")
        offset = _number(fields.get("offset", "0"), tensor.name)
        size = self._size(location)
        length = _number(fields.get("length", str(max(size - offset, 0))), tensor.name)
        if offset + length > size:
            raise ConversionError(
                f"expected {offset + length} bytes of external data in {location}, found {size}"
            )
        self._taken += length
        if self._taken > 2 * sum(self._sizes.values()):
            raise ConversionError(f"expected each part of {location} once, found it many times")
        filled = type(tensor)()
        filled.CopyFrom(tensor)
        filled.raw_data = self._read(location, offset, length)
        filled.data_location = 0
        return filled

    def _size(self, location: str) -> int:
        if location not in self._sizes:
            if self._open_member is None:
                self._sizes[location] = located_beside(self._path, location).stat().st_size
            else:
                self._members[location] = self._open_member(location)
                self._sizes[location] = len(self._members[location])
        return self._sizes[location]

    def _read(self, location: str, offset: int, length: int) -> bytes:
        if location in self._members:
            return self._members[location][offset : offset + length]
        with located_beside(self._path, location).open("rb") as file:
            file.seek(offset)
            return file.read(length)


def _decode_string(value: str | bytes) -> str:
    """A string of a graph, which some versions of protobuf return as bytes if it is damaged."""
    return value if isinstance(value, str) else value.decode("latin1")


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise ConversionError(f"expected a place in external data for {name}, found {text[:40]!a}")
    return int(text)


def member_beside(archive: zipfile.ZipFile, graph: str, location: str) -> zipfile.ZipInfo:
    """The file of a zip that a graph in it names.

    Raises:
        ConversionError: a path out of the graph's folder, or no such file.
    """
    shown = ascii(location[:200])
    windows = PureWindowsPath(location)
    if windows.anchor or ".." in {*PurePosixPath(location).parts, *windows.parts}:
        raise ConversionError(f"it names a file outside its own folder, {shown}, which is not read")
    try:
        return archive.getinfo(posixpath.join(posixpath.dirname(graph), location))
    except KeyError:
        raise ConversionError(f"it needs the file {shown} beside it, which is missing") from None


def external_files(path: Path) -> list[Path]:
    """The files beside a graph that hold weights of it, sorted.

    Raises:
        ConversionError: one is missing, or not in the graph's folder.
    """
    data = path.read_bytes()
    if b"location" not in data:  # the name of the field that has the path
        return []
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    except ImportError:
        return []  # what reads the graph says what is missing
    try:
        graph = onnx.load_model_from_string(data).graph
    except (DecodeError, ValueError, RecursionError):
        return []  # what reads the graph says that it is damaged
    locations = {
        _decode_string(entry.value)
        for tensor in _tensors(graph)
        if tensor.data_location == EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    try:
        return sorted(located_beside(path, location) for location in locations)
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from None


def _tensors(graph: Any) -> Iterator[Any]:
    """All tensors of a graph, also those of the graphs within it."""
    waiting = [graph]
    while waiting:
        part = waiting.pop()
        yield from part.initializer
        for sparse in part.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in part.node:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs
