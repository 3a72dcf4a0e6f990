"""What was done: a line of JSON per attempt, in files that are only ever appended to.

Each shard has a file of its own, since cluster file systems do not promise that two processes can
append to one file. The latest attempt at a clip counts, by a number that grows: clocks are never
compared.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal, get_args

from posekit.batching.options import Shard
from posekit.errors import OutputError

__all__ = ["Entry", "Manifest", "Status", "latest_entries", "manifest_path"]

log = logging.getLogger(__name__)

Status = Literal["done", "failed", "partial"]

NONE = type(None)
# What a line has, and of which kinds.
KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("path", "name", "status", "fingerprint", "device", "host"), (str,)),
    **dict.fromkeys(("frames", "attempt"), (int,)),
    "size": (int, NONE),
    "mtime": (int, float, str, NONE),
    "seconds": (int, float),
    "error": (str, NONE),
    "outputs": (list,),
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line: how an attempt at a clip ended.

    Attributes:
        path: the clip's absolute path, or its URL.
        name: name of its results, relative to their folder.
        size: size of the clip in bytes; None if unknown.
        mtime: when the clip was last changed, as its file system reports it.
        status: "done"; "partial": the clip could not be read as a whole, and the results have the
            frames that could; or "failed": there are no results.
        frames: number of frames in the results.
        seconds: the time taken.
        error: why it is not done.
        fingerprint: hash of model, weights and options.
        attempt: its number, from 1.
        outputs: files and folders of the results.
        device: the device that computed it.
        host: the machine that computed it.
    """

    path: str
    name: str
    status: Status
    size: int | None = None
    mtime: float | str | None = None
    frames: int = 0
    seconds: float = 0.0
    error: str | None = None
    fingerprint: str = ""
    attempt: int = 1
    outputs: tuple[str, ...] = ()
    device: str = ""
    host: str = ""

    def to_line(self) -> bytes:
        return json.dumps(dataclasses.asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Entry:
        """The entry of a line.

        Raises:
            ValueError: it is not one.
        """
        found: Any = json.loads(line)
        if not isinstance(found, dict) or not {"path", "name", "status"} <= set(found):
            raise ValueError("no entry")
        values = {key: value for key, value in found.items() if key in KINDS}
        if not all(isinstance(value, KINDS[key]) for key, value in values.items()):
            raise ValueError("no entry")
        entry = cls(**{**values, "outputs": tuple(values.get("outputs", ()))})
        # What is named here is removed, if its clip is done again.
        if entry.status not in get_args(Status) or not all(map(_is_inside, entry.outputs)):
            raise ValueError("no entry")
        return entry


def _is_inside(output: Any) -> bool:
    """Whether this is the name of something below the folder of the results."""
    path = PurePath(output)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def manifest_path(folder: Path, shard: Shard | None) -> Path:
    """The file of a run; a shard of several has its own."""
    part = "" if shard is None else f"-{shard.number}-of-{shard.count}"
    return folder / f"_manifest{part}.jsonl"


def latest_entries(folder: Path, *, say: bool = True) -> dict[str, Entry]:
    """The latest attempt at each clip, of all runs and shards, by its path.

    Args:
        folder: of the results.
        say: log which lines cannot be read.

    Raises:
        OutputError: a manifest cannot be read.
    """
    found: dict[str, Entry] = {}
    for path in sorted(folder.glob("_manifest*.jsonl")):
        for entry in _entries(path, say):
            before = found.get(entry.path)
            # Of two of one number the one that is done: nothing done may be lost.
            rank = (entry.attempt, entry.status == "done")
            if before is None or rank >= (before.attempt, before.status == "done"):
                found[entry.path] = entry
    return found


def _entries(path: Path, say: bool) -> Iterator[Entry]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror or error}") from None
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield Entry.from_line(line)
        except (ValueError, TypeError, RecursionError):
            # A run that was killed, or a disk that was full, may cut a line.
            if say:
                log.warning(
                    "%s: line %d is cut off or damaged: that attempt is ignored", path, number
                )


class Manifest:
    """A manifest that is open for new lines, by the one process that writes it.

    Raises:
        OutputError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            self._start_line()
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from None

    def append(self, entry: Entry) -> None:
        """Adds a line, which is on the disk when this returns.

        Raises:
            OutputError: it cannot be written; the lines before are whole.
        """
        line = entry.to_line()
        try:
            end = os.fstat(self._file).st_size
            try:
                rest = memoryview(line)
                while rest:  # a nearly full disk takes a part
                    rest = rest[os.write(self._file, rest) :]
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, end)
                raise
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _start_line(self) -> None:
        """A new line behind one that was cut, which else would swallow the next one."""
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")
