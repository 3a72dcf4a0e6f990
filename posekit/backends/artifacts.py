"""What backends make of a network, such as compiled code, kept on disk between runs."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from filelock import FileLock
from torch import nn

from posekit.errors import InputError

__all__ = ["fingerprint", "load_artifact"]

log = logging.getLogger(__name__)

T = TypeVar("T")


def fingerprint(net: nn.Module, *details: object) -> str:
    """Letters and digits that change with the network's weights and with anything else named.

    Args:
        net: class, keys, shapes, types and values of its entries count.
        details: whatever else an artifact depends on: sizes, versions, types.
    """
    digest = hashlib.blake2b(digest_size=12)
    digest.update(repr((type(net).__name__, torch.__version__, details)).encode())
    for key, value in net.state_dict().items():
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def load_artifact(
    folder: Path, name: str, *, make: Callable[[Path], None], load: Callable[[Path], T]
) -> T:
    """Loads an artifact, made by the first of all processes that ask for it.

    Args:
        folder: of all artifacts.
        name: of this one, a folder within.
        make: writes its files into an empty folder.
        load: reads them. Where that fails the artifact is made anew, once.

    Raises:
        InputError: the folder cannot be written.
    """
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if path.is_dir():
                try:
                    return load(path)
                except Exception as error:  # each library has kinds of its own
                    log.warning("%s is damaged and is made anew: %s", path, _first_line(error))
                    shutil.rmtree(path)
            _make_whole(path, make)
            return load(path)
    except OSError as error:
        raise InputError(
            f"cannot write to the cache {folder}: {error.strerror or error}; "
            "make room or set POSEKIT_CACHE to another folder"
        ) from None


def _make_whole(path: Path, make: Callable[[Path], None]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f"{path.name}.", dir=path.parent))
    try:
        make(temporary)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
