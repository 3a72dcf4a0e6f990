"""The state of a run on disk: whole or not at all, and read without running anything in it."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch

from posekit.errors import InputError, OutputError, first_line

__all__ = ["load_checkpoint", "save_checkpoint", "written_whole"]


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes its place only when all of it is on the disk.

    A process killed at any moment, or a machine without power, leaves the old file or the new one.

    Raises:
        OutputError: it cannot be written; the old file is there.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    # torch.save wraps what its file raised.
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        reason = _reason(error)
        kept = "; the one before is kept" if path.exists() else ""
        raise OutputError(f"cannot write {path}: {reason}{kept}") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes tensors and plain values.

    Raises:
        OutputError: it cannot be written; the checkpoint before is kept.
    """
    with written_whole(path) as file:
        torch.save(state, file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads what `save_checkpoint` wrote, tensors on the CPU.

    Raises:
        InputError: not such a file, or a damaged one.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        raise InputError(f"{path} is not a checkpoint that can be read: {error}") from None
    if not isinstance(state, dict):
        raise InputError(f"{path} is not a checkpoint: expected a dict, found {type(state)}")
    return state


def _reason(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return first_line(error)


def _sync_folder(folder: Path) -> None:
    """A rename is on the disk only when its folder is; Windows has no such thing."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
