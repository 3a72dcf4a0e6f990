"""What backends make from a network, such as compiled code, kept on disk between runs."""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import itertools
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from posekit.errors import InputError, first_line
from posekit.version import __version__

__all__ = ["fingerprint", "load_artifact"]

log = logging.getLogger(__name__)

T = TypeVar("T")

NO_DAMAGE = (MemoryError, torch.cuda.OutOfMemoryError)  # what fails to load may be whole


def fingerprint(net: nn.Module, *details: object) -> str:
    """A hash of a network and of further details.

    Args:
        net: its modules' classes, attributes and source files are hashed, and the keys, shapes,
            types and values of its parameters and buffers.
        details: what else an artifact depends on: sizes, versions, types.
    """
    digest = hashlib.blake2b(digest_size=12)
    digest.update(repr((__version__, torch.__version__, details)).encode())
    for name, module in net.named_modules():
        attributes = [
            (key, _plain(value))
            for key, value in sorted(vars(module).items())
            if key not in ("_parameters", "_buffers", "_modules")  # which are gone through below
        ]
        digest.update(repr((name, _name(type(module)), attributes)).encode())
    for source in _sources(net):
        digest.update(source)
    # Not of the state dict, which leaves out buffers that are not saved.
    parameters = net.named_parameters(remove_duplicate=False)
    for key, value in itertools.chain(parameters, net.named_buffers(remove_duplicate=False)):
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _digest(data: bytes | memoryview) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()


def _plain(value: object) -> object:
    """What is the same in each process: no addresses."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return [(_plain(key), _plain(item)) for key, item in value.items()]
    if isinstance(value, functools.partial):
        return [_plain(part) for part in (value.func, value.args, value.keywords)]
    if isinstance(value, np.ndarray):
        content = _plain(value.tolist()) if value.dtype.hasobject else _digest(value.tobytes())
        return value.shape, str(value.dtype), content
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype, _digest(_bytes(value))
    if value is None or isinstance(value, bool | int | float | str | torch.dtype):
        return value
    return _name(value if callable(value) and hasattr(value, "__qualname__") else type(value))


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', None)}.{thing.__qualname__}"


def _sources(net: nn.Module) -> Iterator[bytes]:
    """The files that define the network's classes, except those of torch, which has a version."""
    classes = {cls for kind in {type(m) for m in net.modules()} for cls in kind.__mro__}
    for name in sorted({cls.__module__ for cls in classes}):
        path = getattr(sys.modules.get(name), "__file__", None)
        if path is not None and name.partition(".")[0] != "torch":
            with contextlib.suppress(OSError):  # within an archive, say
                yield Path(path).read_bytes()


def load_artifact(
    folder: Path, name: str, *, make: Callable[[Path], None], load: Callable[[Path], T]
) -> T:
    """Loads an artifact, made by the first of all processes that ask for it.

    Args:
        folder: the folder of all artifacts.
        name: name of this artifact, and of its folder in that one.
        make: writes its files into an empty folder.
        load: reads them. If that fails, the artifact is made again, once.

    Raises:
        InputError: the artifact has to be made, and the folder cannot be written.
    """
    path = folder / name
    try:
        # Without the lock first, since a filled cache may be one that cannot be written.
        if path.is_dir():
            try:
                return load(path)
            except NO_DAMAGE:
                raise
            except Exception:  # another process may just be replacing it
                pass
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if path.exists():
                try:
                    return load(path)
                except NO_DAMAGE:
                    raise
                except Exception as error:  # each library has kinds of its own
                    log.warning("%s is damaged and will be rebuilt: %s", path, first_line(error))
                    _remove(path)
            # Who holds the lock is the only one to make it: these are of processes that died.
            for stale in folder.glob(f"{glob.escape(name)}.*/"):
                shutil.rmtree(stale, ignore_errors=True)
            _make_whole(path, make)
            return load(path)
    except OSError as error:
        raise InputError(
            f"cannot write to the cache {folder}: {error.strerror or error}; free some space "
            "or set POSEKIT_CACHE to another folder"
        ) from None


def _make_whole(path: Path, make: Callable[[Path], None]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f"{path.name}.", dir=path.parent))
    # mkdtemp makes a folder for its owner only; an artifact is like any other new folder.
    made = temporary / "made"
    try:
        made.mkdir()
        make(made)
        for file in made.rglob("*"):
            if file.is_file():
                _flush(file)
        made.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _flush(path: Path) -> None:
    """Onto the disk: after a power cut a file that was moved too early is full of zeros."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
