"""Reads foreign checkpoint files without running anything that they contain.

A `.pth` is a pickle: a program that may call whatever it can name. Official files name objects of
their training framework beside the weights, which is why `torch.load(weights_only=True)` refuses
them, and `weights_only=False` would run anything. So the file is read here, without `torch.load`:
each name in the pickle becomes one of the few inert classes below, or the file is refused. Nothing
that a pickle can reach belongs to another module, does anything when called, or keeps what is set
on it. Tensors are made afterwards, from the entries of the state dict alone, mapped from the file.
"""

from __future__ import annotations

import copyreg
import functools
import io
import mmap
import pickle
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from weights_convert.errors import ConversionError, UnsafeCheckpointError

__all__ = ["read_checkpoint"]

# Where the network's entries lie: OpenMMLab, MotionBERT, many others. Else they are at the top.
STATE_KEYS = ("state_dict", "model_pos", "model")
# What may stand among entries at the top.
NOT_ENTRIES = ("meta", "message_hub", "optimizer")

# Before version 1.6 PyTorch wrote several pickles in a row; the first two are these numbers.
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

DTYPES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}


def _ignore(*args: object, **kwargs: object) -> None:
    """What every change that a pickle makes to an object comes down to."""


class _StandIn:
    """Takes the place of a framework's class, function or object, and does nothing."""

    __slots__ = ()
    __setstate__ = __setitem__ = append = extend = add = _ignore

    def __new__(cls, *args: object, **kwargs: object) -> _StandIn:
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __call__(self, *args: object, **kwargs: object) -> _StandIn:
        return self


class _Dict(dict[Any, Any]):
    """An OrderedDict that takes no attributes, such as one in place of a method."""

    __slots__ = ()
    __setstate__ = _ignore


class _Storage(NamedTuple):
    """The memory of one or more tensors, still in the file."""

    kind: str  # a key of DTYPES
    key: str
    size: int  # in elements

    @property
    def nbytes(self) -> int:
        return self.size * DTYPES[self.kind].itemsize


class _Entry:
    """A tensor still to be made; called as `_rebuild_tensor_v2` would be."""

    __slots__ = ("offset", "shape", "storage", "stride")
    __setstate__ = _ignore

    def __init__(self, storage: Any, offset: Any, shape: Any, stride: Any, *rest: object) -> None:
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride


class _Parameter:
    """Called as `_rebuild_parameter` would be; gives what it wraps."""

    __slots__ = ()
    __setstate__ = _ignore

    def __new__(cls, data: Any, *rest: object) -> Any:
        return data


_BUILDERS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Dict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _Entry,
    ("torch._utils", "_rebuild_tensor_v2"): _Entry,
    ("torch._utils", "_rebuild_parameter"): _Parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _Parameter,
}

# Anything of these packages becomes a stand-in.
_FRAMEWORK_MODULE = re.compile(
    r"(addict|easydict|mmaction|mmcls|mmcv|mmdeploy|mmdet|mmengine|mmpose|mmpretrain|mmseg|mmyolo"
    r"|xtcocotools|yacs|yapf)(\.\w+)*"
)
# A dotted name has to be a member of a class, as `HistoryBuffer.min` is and `os.system` is not.
_FRAMEWORK_NAME = re.compile(r"\w+|_*[A-Z]\w*(\.\w+)+")
_NUMPY_MODULE = re.compile(r"numpy(\.(_?core|random)\.\w+|\.dtypes|\.ma\.core)?")
# So do these. Bytes, sets and methods are written as calls of builtins and `_codecs`.
_HARMLESS = {
    "_codecs": {"encode"},
    "argparse": {"Namespace"},
    "builtins": {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "getattr"}
    | {"int", "list", "object", "range", "set", "slice", "str", "tuple"},
    "collections": {"Counter", "defaultdict", "deque"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "pathlib": {"PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath"},
    "torch": {"device"}
    | {name for name, value in vars(torch).items() if isinstance(value, torch.dtype)},
}
_PYTHON_2_NAMES = {"__builtin__": "builtins"}  # as protocol 2 has them


class _Unpickler(pickle.Unpickler):
    """Knows no names but those above."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="latin1")
        self.storages: dict[str, _Storage] = {}

    def load(self) -> Any:
        # Names that the program registered for opcodes EXT1 to EXT4 must come by find_class too.
        copyreg.clear_extension_cache()
        try:
            return super().load()
        finally:
            copyreg.clear_extension_cache()

    def find_class(self, module: str, name: str) -> Any:
        module = _PYTHON_2_NAMES.get(module, module)
        if (module, name) in _BUILDERS:
            return _BUILDERS[module, name]
        if module in ("torch", "torch.cuda") and name in DTYPES:
            return name
        if name in _HARMLESS.get(module, ()) or _is_framework(module, name):
            return _StandIn
        shown = ascii(f"{module}.{name}"[:200])[1:-1]  # nothing that a terminal would act on
        if module.startswith("torch.") and name.startswith("_rebuild_"):
            raise ConversionError(
                f"expected plain tensors, found sparse, quantised or other ones ({shown})"
            )
        raise UnsafeCheckpointError(
            f"it asks for {shown}, which is no part of a state dict; nothing of it was run. If you "
            "trust the file, save its state dict alone with torch.save and convert that"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", str(kind), str(key), _, int(size), *view) if kind in DTYPES:
                if size >= 0 and view in ([], [None]):
                    storage = _Storage(kind, key, size)
                    self.storages.setdefault(key, storage)
                    return storage
        raise ConversionError("expected the storage of a plain tensor, found another reference")


def _is_framework(module: str, name: str) -> bool:
    if _FRAMEWORK_MODULE.fullmatch(module):
        return _FRAMEWORK_NAME.fullmatch(name) is not None
    return _NUMPY_MODULE.fullmatch(module) is not None and "." not in name


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The network's entries of a `.pth`, `.pt`, `.bin` or `.safetensors` file.

    The entries of a `.pth` are mapped from the file, which has to stay until they are freed. They
    may be changed; the file is not. Entries that share memory in the file share it here.

    Args:
        path: the file; its content decides what it is.

    Returns:
        Tensors on the CPU by name, in the file's order, without the prefix `module.`.

    Raises:
        UnsafeCheckpointError: its pickle asks for more than tensors.
        ConversionError: no such file, not a checkpoint, damaged or cut short.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConversionError(f"cannot read {path}: {error.strerror or error}") from None
    with file:
        try:
            read = _reader(file.read(512), path)
            file.seek(0)
            state = read(file)
            if not state:
                raise ConversionError("expected a state dict, found none or an empty one")
        except ConversionError as error:
            raise type(error)(f"{path}: {error}") from None
        except Exception as error:
            # There is no end of ways in which a damaged pickle or archive can fail.
            reason = ascii(f"{type(error).__name__}: {error}"[:200])[1:-1]
            raise ConversionError(f"{path} is damaged or cut short: {reason}") from None
    if all(key.startswith("module.") for key in state):  # from a data-parallel wrapper
        return {key.removeprefix("module."): value for key, value in state.items()}
    return state


def _reader(start: bytes, path: Path) -> Callable[[IO[bytes]], dict[str, Tensor]]:
    """How to read a file that begins like this."""
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


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return _checked(load_file(path))
    except SafetensorError as error:
        raise ConversionError(f"damaged or cut short, as a safetensors file: {error}") from None


def _read_zip(file: IO[bytes]) -> dict[str, Tensor]:
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

    def position(storage: _Storage) -> int:
        found = span(f"data/{storage.key}")
        size = found.stop - found.start
        if size != storage.nbytes:
            raise ConversionError(f"expected {storage.nbytes} bytes for a storage, found {size}")
        return found.start

    if f"{root}byteorder" in records and memory[span("byteorder")] != sys.byteorder.encode():
        raise ConversionError(f"expected {sys.byteorder}-endian numbers, found others")
    entries = _find_entries(_Unpickler(io.BytesIO(memory[span("data.pkl")])).load())
    return _make_tensors(entries, memory, position)


def _read_legacy(file: IO[bytes]) -> dict[str, Tensor]:
    """The format of PyTorch before version 1.6: pickles, then size and content of each storage."""
    if _Unpickler(file).load() != LEGACY_MAGIC or _Unpickler(file).load() != LEGACY_PROTOCOL:
        raise ConversionError("expected a file of torch.save, found a pickle of another program")
    system = _Unpickler(file).load()
    if system["little_endian"] != (sys.byteorder == "little"):
        raise ConversionError(f"expected {sys.byteorder}-endian numbers, found others")
    unpickler = _Unpickler(file)
    entries = _find_entries(unpickler.load())
    keys = _Unpickler(file).load()
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

    def position(storage: _Storage) -> int:
        if storage != unpickler.storages[storage.key]:
            raise ConversionError(f"storage {storage.key} is of two kinds or sizes")
        return positions[storage.key]

    return _make_tensors(entries, memory, position)


def _find_entries(contents: object) -> dict[str, _Entry]:
    if not isinstance(contents, dict):
        raise ConversionError(f"expected a state dict, found {_described(contents)}")
    nested = [contents[key] for key in STATE_KEYS if isinstance(contents.get(key), dict)]
    state = nested[0] if nested else {k: v for k, v in contents.items() if k not in NOT_ENTRIES}
    for key, value in _checked(state).items():
        if not isinstance(value, _Entry):
            found = f"{_described(value)} as '{key[:80]}'"
            raise ConversionError(f"expected a state dict of tensors, found {found}")
    return state


def _described(value: object) -> str:
    kinds = {_StandIn: "an object", _Dict: "a dict", dict: "a dict", _Entry: "a single tensor"}
    return kinds.get(type(value), type(value).__name__)


def _checked(state: dict[Any, Any]) -> dict[str, Any]:
    for key in state:
        if not isinstance(key, str) or not key.isprintable():
            shown = ascii(key[:80]) if isinstance(key, str) else type(key).__name__
            raise ConversionError(f"expected names of tensors, found {shown}")
    return state


def _make_tensors(
    entries: Mapping[str, _Entry], memory: mmap.mmap, position: Callable[[_Storage], int]
) -> dict[str, Tensor]:
    """Tensors on the mapped file, given where a storage begins."""

    @functools.cache
    def contents(storage: _Storage) -> Tensor:
        if storage.nbytes == 0:
            return torch.empty(0, dtype=DTYPES[storage.kind])
        data = torch.frombuffer(
            memory, dtype=torch.uint8, offset=position(storage), count=storage.nbytes
        )
        # Legacy files align nothing, and kernels may count on aligned numbers.
        aligned = data if data.data_ptr() % 16 == 0 else data.clone()
        return aligned.view(DTYPES[storage.kind])

    # A view beyond its storage is refused by as_strided.
    return {
        key: contents(entry.storage).as_strided(entry.shape, entry.stride, entry.offset)
        for key, entry in entries.items()
    }
