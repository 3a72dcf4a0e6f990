"""Reads foreign checkpoint files without running anything that they contain.

Official `.pth` files name objects of their training framework beside the weights: PyTorch's safe
loading refuses them, and its unsafe loading would run whatever they ask for. So their pickles are
read as data, see `weights_convert.unpickler`. Tensors are made afterwards, from the entries of the
state dict alone, mapped from the file.
"""

from __future__ import annotations

import functools
import io
import mmap
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from weights_convert.companions import is_index, read_index
from weights_convert.dataset_meta import DatasetMeta
from weights_convert.errors import ConversionError, safetensors_fault
from weights_convert.unpickler import Entry, StandIn, Storage, Unpickler
from weights_convert.wrappers import places

__all__ = ["Checkpoint", "read_checkpoint"]

# Before version 1.6 PyTorch wrote several pickles in a row; the first two are these numbers.
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001


class Checkpoint(NamedTuple):
    """What a file of weights holds.

    Attributes:
        states: tensors on the CPU by name, in the file's order, under their place in the file; if
            it holds several versions, the likeliest one comes first.
        dataset_meta: which keypoints or classes they are for, if the file says so.
        config: the text of the configuration that the model was trained with, if the file has it;
            it is Python, to be read and never run.
    """

    states: dict[str, dict[str, Tensor]]
    dataset_meta: DatasetMeta | None = None
    config: str | None = None


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads a `.pth`, `.pt`, `.bin` or `.safetensors` file, or an index of such shards.

    The entries of a `.pth` are mapped from the file, which must stay until they are freed. They
    may be changed; the file is not. Entries that share memory in the file share it here.

    Args:
        path: the file; its content decides what it is.

    Raises:
        UnsafeCheckpointError: its pickle asks for more than tensors.
        ConversionError: no such file, not a checkpoint, damaged or cut short.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConversionError(f"cannot read {path}: {error.strerror or error}") from None
    with file:
        start = file.read(512)
        if is_index(start):
            return Checkpoint({"": _read_shards(path)})
        try:
            read = _reader(start, path)
            file.seek(0)
            found = read(file)
            if not any(found.states.values()):
                raise ConversionError("expected a state dict, found none or an empty one")
        except ConversionError as error:
            raise type(error)(f"{path}: {error}") from None
        except Exception as error:
            # There is no end of ways in which a damaged pickle or archive can fail.
            reason = ascii(f"{type(error).__name__}: {error}"[:200])[1:-1]
            raise ConversionError(f"{path} is damaged or cut short: {reason}") from None
    return found


def _read_shards(path: Path) -> dict[str, Tensor]:
    shards = read_index(path)
    state: dict[str, Tensor] = {}
    for shard in sorted(set(shards.values())):
        (entries, *_) = read_checkpoint(shard).states.values()
        state |= entries
    for key, shard in shards.items():
        if key not in state:
            raise ConversionError(f"{path}: {shard.name} lacks the entry {key[:80]!a}")
    return state


def _reader(start: bytes, path: Path) -> Callable[[IO[bytes]], Checkpoint]:
    """The function that reads a file with this beginning."""
    if start.startswith(b"PK\x03\x04"):
        return _read_zip
    if start[8:9] == b"{":  # the length of a header, then the header, in JSON
        return lambda file: _read_safetensors(path)
    if start.startswith(b"\x80"):
        return _read_legacy
    text = start.lstrip()
    if not start:
        found = "an empty file"
    elif text.startswith(b"<"):
        found = "a web page: the download failed"
    elif text.startswith(b"version https://git-lfs"):
        found = "a pointer of Git LFS: fetch the file itself with `git lfs pull`"
    elif start[257:262] == b"ustar":
        found = "a tar archive, as PyTorch wrote before 2017: load and save it with PyTorch 1.x"
    else:
        found = f"one that begins with {start[:12]!r}"
    raise ConversionError(f"expected a PyTorch checkpoint or a safetensors file, found {found}")


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            state = _check_names({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ConversionError(safetensors_fault(error)) from None
    # safetensors' save_model keeps one of several entries that are the same tensor.
    same = {key: state[kept] for key, kept in metadata.items() if kept in state}
    return Checkpoint({"": {**same, **state}}, DatasetMeta.from_metadata(metadata))


def _read_zip(file: IO[bytes]) -> Checkpoint:
    """The format of PyTorch since version 1.6: a pickle, and a file per storage, uncompressed."""
    with zipfile.ZipFile(file) as archive:
        records = {record.filename: record for record in archive.infolist()}
    roots = [name[: -len("data.pkl")] for name in records if name.endswith("/data.pkl")]
    if len(roots) != 1:
        inside = ascii(", ".join(list(records)[:3]))[1:-1] or "nothing"
        raise ConversionError(f"expected data.pkl in the archive, found {inside}")
    (root,) = roots
    if f"{root}constants.pkl" in records:
        raise ConversionError("expected a state dict, found a TorchScript program")
    memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def span(name: str) -> slice:
        record = records[root + name]
        if record.compress_type != zipfile.ZIP_STORED:
            raise ConversionError(f"{name} is compressed: load and save the file with PyTorch")
        # The fixed part of the header is 30 bytes; it ends with the lengths of what follows.
        lengths = struct.unpack_from("<HH", memory, record.header_offset + 26)
        start = record.header_offset + 30 + sum(lengths)
        found = slice(start, start + record.file_size)
        with memoryview(memory) as view:
            if zlib.crc32(view[found]) != record.CRC:
                raise ConversionError(f"{name} is damaged: its checksum differs")
        return found

    def position(storage: Storage) -> int:
        found = span(f"data/{storage.key}")
        size = found.stop - found.start
        if size != storage.nbytes:
            raise ConversionError(f"expected {storage.nbytes} bytes for a storage, found {size}")
        return found.start

    if f"{root}byteorder" in records and memory[span("byteorder")] != sys.byteorder.encode():
        raise ConversionError(f"expected {sys.byteorder}-endian numbers, found others")
    contents = Unpickler(io.BytesIO(memory[span("data.pkl")])).load()
    return _checkpoint(contents, memory, position)


def _read_legacy(file: IO[bytes]) -> Checkpoint:
    """The format of PyTorch before version 1.6: pickles, then size and content of each storage."""
    if Unpickler(file).load() != LEGACY_MAGIC or Unpickler(file).load() != LEGACY_PROTOCOL:
        raise ConversionError("expected a file of torch.save, found a pickle of another program")
    system = Unpickler(file).load()
    if system["little_endian"] != (sys.byteorder == "little"):
        raise ConversionError(f"expected {sys.byteorder}-endian numbers, found others")
    unpickler = Unpickler(file)
    contents = unpickler.load()
    keys = Unpickler(file).load()
    start = file.tell()
    memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    positions: dict[str, int] = {}
    for key in keys:
        storage = unpickler.storages[key]
        (size,) = struct.unpack_from("<q", memory, start)
        if size != storage.size:
            raise ConversionError(
                f"expected {storage.size} elements in storage {key}, found {size}"
            )
        positions[key] = start + 8
        start += 8 + storage.nbytes

    def position(storage: Storage) -> int:
        if storage != unpickler.storages[storage.key]:
            raise ConversionError(f"storage {storage.key} is of two kinds or sizes")
        return positions[storage.key]

    return _checkpoint(contents, memory, position)


def _checkpoint(
    contents: object, memory: mmap.mmap, position: Callable[[Storage], int]
) -> Checkpoint:
    """What a pickle described, given where a storage begins."""
    if not isinstance(contents, dict):
        raise ConversionError(f"expected a state dict, found {_described(contents)}")
    states: dict[str, dict[str, Entry]] = {}
    problems = []
    for path, state in places(contents).items():
        try:
            states[path] = _entries(state)
        except ConversionError as error:
            problems.append(error)
    if not states:
        raise problems[0]
    make = _tensor_maker(memory, position)
    tensors = {
        path: {key: make(entry) for key, entry in entries.items()}
        for path, entries in states.items()
    }
    meta = contents.get("meta")
    config = meta.get("cfg") if isinstance(meta, dict) else None
    return Checkpoint(
        tensors,
        DatasetMeta.from_checkpoint(contents),
        config if isinstance(config, str) else None,
    )


def _entries(state: dict[Any, Any]) -> dict[str, Entry]:
    entries = {}
    for key, value in _check_names(state).items():
        if isinstance(value, Entry):
            entries[key] = value
        elif not key.endswith("_extra_state"):  # of a module, and no part of what it computes with
            found = f"{_described(value)} as '{key[:80]}'"
            raise ConversionError(f"expected a state dict of tensors, found {found}")
    return entries


def _described(value: object) -> str:
    kinds = {StandIn: "an object", dict: "a dict", Entry: "a single tensor"}
    found = [text for kind, text in kinds.items() if isinstance(value, kind)]
    return found[0] if found else type(value).__name__


def _check_names(state: dict[Any, Any]) -> dict[str, Any]:
    for key in state:
        if not isinstance(key, str) or not key.isprintable():
            shown = ascii(key[:80]) if isinstance(key, str) else type(key).__name__
            raise ConversionError(f"expected names of tensors, found {shown}")
    return state


def _tensor_maker(
    memory: mmap.mmap, position: Callable[[Storage], int]
) -> Callable[[Entry], Tensor]:
    """Makes tensors on the mapped file, given where a storage begins."""

    @functools.cache
    def contents(storage: Storage) -> Tensor:
        if storage.nbytes == 0:
            return torch.empty(0, dtype=torch.uint8)
        data = torch.frombuffer(
            memory, dtype=torch.uint8, offset=position(storage), count=storage.nbytes
        )
        # Legacy files align nothing, and kernels may count on aligned numbers.
        return data if data.data_ptr() % 16 == 0 else data.clone()

    def make(entry: Entry) -> Tensor:
        numbers = contents(entry.storage).view(entry.dtype)
        # A view beyond its storage is refused by as_strided; one that repeats a number is not.
        found = numbers.as_strided(entry.shape, entry.stride, entry.offset)
        if found.numel() * found.itemsize > len(memory):
            raise ConversionError(f"expected tensors in the file, found a view {found.shape} of it")
        return found

    return make
