"""The state of a run on disk: whole or not at all, and read without running anything in it."""

from __future__ import annotations

import contextlib
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch

from posekit.errors import InputError, OutputError, first_line
from posekit.files import replacing

__all__ = ["check_state", "load_checkpoint", "save_checkpoint", "written_whole"]

# Of what a run saves; a higher one is of a later posekit.
FORMAT = 1
NUMBER = (int, float)
NONE = type(None)
STATE: dict[str, tuple[type, ...]] = {
    "net": (dict,),
    "ema": (dict, NONE),
    "optimizer": (dict,),
    "scaler": (dict, NONE),
    "sampler": (dict,),
    "plan": (list,),
    "step": (int,),
    "best": (*NUMBER, NONE),
}
SAMPLER = ("epoch", "position", "seed", "length")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which replaces `path` only when all of it is on the disk.

    A process killed at any moment, or a machine without power, leaves the old file or the new one.

    Raises:
        OutputError: it cannot be written; the old file is there.
        KeyboardInterrupt, SystemExit: as they came.
    """
    try:
        # A run's folder is its own.
        with (
            replacing(path, sync=True, sole_writer=True) as temporary,
            temporary.open("wb") as file,
        ):
            yield file
    # torch.save wraps what its file raised.
    except (OSError, RuntimeError) as error:
        # torch.save's file complains that Ctrl-C, or an exit on a signal, left it unfinished.
        cause = error.__context__
        if cause is not None and not isinstance(cause, Exception):
            raise cause from None
        kept = "; the one before is kept" if path.exists() else ""
        raise OutputError(f"cannot write {path}: {_reason(error)}{kept}") from error


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes tensors and plain values.

    Raises:
        OutputError: it cannot be written; the checkpoint before is kept.
    """
    with written_whole(path) as file:
        torch.save({"format": FORMAT, **state}, file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads what `save_checkpoint` wrote, tensors on the CPU.

    Raises:
        InputError: not such a file, a damaged one, or one that would run something.
    """
    try:
        _check_archive(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # torch's message says how to run it all the same
        raise InputError(
            f"{path} is not a checkpoint that can be read: it holds more than tensors and plain "
            "values, and nothing that it holds is run; choose another out_dir"
        ) from None
    # Of a foreign file anything may come, from zip, pickle and torch.
    except Exception as error:
        raise InputError(
            f"{path} is not a checkpoint that can be read: {first_line(error)[:200]}"
        ) from None
    if not isinstance(state, dict):
        raise InputError(f"{path} is not a checkpoint: expected a dict, found {type(state)}")
    return state


def check_state(state: dict[str, Any], path: Path) -> None:
    """Checks that a checkpoint has all that a run needs to continue.

    Raises:
        InputError: it does not, or another version of posekit wrote it.
    """
    version = state.get("format", 1)
    if not isinstance(version, int) or version > FORMAT:
        raise InputError(
            f"{path}: expected a checkpoint of format {FORMAT}, found {version!r:.40}; a newer "
            "posekit wrote it: update this one"
        )
    problem = _problem(state)
    if problem is not None:
        raise InputError(
            f"{path} is not the state of a run: {problem}; choose another out_dir, or put back a "
            "copy of the file"
        )


def _problem(state: dict[str, Any]) -> str | None:
    for key, kinds in STATE.items():
        if key not in state:
            return f"'{key}' is missing"
        if not isinstance(state[key], kinds) or isinstance(state[key], bool):
            return f"'{key}' is {type(state[key]).__name__}, expected {kinds[0].__name__}"
    plan, sampler = state["plan"], state["sampler"]
    if len(plan) != 2 or not all(_is_count(number) and number > 0 for number in plan):
        return f"'plan' is {str(plan)[:60]}, expected two whole numbers"
    for key in SAMPLER:
        if not _is_count(sampler.get(key)):
            return f"'sampler.{key}' is {str(sampler.get(key))[:60]}, expected a whole number"
    samples, steps = plan
    if state["step"] != sampler["epoch"] * steps + sampler["position"] // samples:
        return (
            f"step {state['step']} is not where epoch {sampler['epoch']}, sample "
            f"{sampler['position']} is"
        )
    for key in ("net", "ema"):
        for name, value in (state[key] or {}).items():
            if not isinstance(name, str) or not _is_plain_tensor(value):
                return f"'{key}' has {str(name)[:60]!r}, which is not a tensor"
            if not value.float().isfinite().all():  # not all types know by themselves
                return f"'{key}' has numbers in {name[:60]!r} that are not finite"
    return None


def _is_plain_tensor(value: object) -> bool:
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        return False
    return not (value.is_meta or value.is_quantized or value.is_complex())


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_archive(path: Path) -> None:
    """Raises ValueError for another kind of file than is written here, or for damage in it.

    torch also reads older formats, and does not check checksums.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise ValueError("it is not an archive of torch.save, or its start is damaged")
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError("it is compressed, as torch.save does not do")
            if entry.external_attr & 0x10:  # torch would read nothing into the tensor, silently
                raise ValueError(f"{entry.filename} in it is marked as a folder")
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"{damaged} in it is damaged")


def _reason(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return first_line(error)
