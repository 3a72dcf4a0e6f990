"""Files of results: some are complete after every record, others only when finished."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from posekit.errors import OutputError

__all__ = ["GrowingFile", "PartFile", "part_path", "partial_path"]


class GrowingFile:
    """A file that is complete after every record, also after a crash or on a full disk.

    Args:
        path: the file to write; an existing one is overwritten.
        head: the first bytes.
        closing: the bytes after the last record.

    Attributes:
        records_written: number of records in the file.

    Raises:
        OutputError: it cannot be made.
    """

    def __init__(self, path: Path, *, head: bytes = b"", closing: bytes = b"") -> None:
        self.path = path
        self.records_written = 0
        self._closing = closing
        self._end = len(head)  # where the next record goes, over the closing
        with _disk_errors(path):
            self._file = path.open("wb", buffering=0)
            self._put(0, head + closing)

    def append(self, record: bytes) -> None:
        """Appends a record.

        Raises:
            OutputError: the disk is full; the file has the records before this one.
        """
        with _disk_errors(self.path, f"{self.records_written} frames are in it"):
            try:
                self._put(self._end, record + self._closing)
            except OSError:
                # What the cut frees is room enough for the closing.
                self._file.truncate(self._end)
                self._put(self._end, self._closing)
                raise
        self._end += len(record)
        self.records_written += 1

    def end(self, closing: bytes) -> None:
        """Replaces the closing by another one, which must not be shorter.

        Raises:
            OutputError: the disk is full; the old closing stays.
        """
        with _disk_errors(self.path):
            self._put(self._end, closing)

    def close(self) -> None:
        """Closes the file; more calls do nothing."""
        self._file.close()

    def _put(self, position: int, data: bytes) -> None:
        self._file.seek(position)
        rest = memoryview(data)
        while rest:  # a nearly full disk takes a part
            rest = rest[self._file.write(rest) :]


def part_path(path: Path) -> Path:
    """`a.csv.part` for `a.csv`: its name until it is finished."""
    return path.with_name(f"{path.name}.part")


def partial_path(path: Path) -> Path:
    """`a.partial.trc` for `a.trc`: a valid file of a clip that was not read to its end."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


class PartFile:
    """A text file that is called `<name>.part` until it is finished.

    Args:
        path: the finished file; an existing one is overwritten then.

    Raises:
        OutputError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = part_path(path)
        self._good = 0  # bytes that are whole records
        with _disk_errors(path):
            self._file = self._part.open("wb", buffering=0)

    def append(self, record: bytes) -> None:
        """Appends a record, whole or not at all.

        Raises:
            OutputError: the disk is full.
        """
        with _disk_errors(self.path):
            rest = memoryview(record)
            try:
                while rest:  # a nearly full disk takes a part
                    rest = rest[self._file.write(rest) :]
            except OSError:
                self._file.truncate(self._good)
                raise
        self._good += len(record)

    def take(self, other: PartFile) -> None:
        """Appends the contents of another file, and removes that file.

        Raises:
            OutputError: the disk is full.
        """
        other._file.close()
        with _disk_errors(self.path), other._part.open("rb") as file:
            while block := file.read(1 << 20):
                self.append(block)
        other._part.unlink()

    def close(self) -> None:
        """Closes the file without its final name; more calls do nothing."""
        self._file.close()

    def finish(self, *, complete: bool = True) -> None:
        """Closes the file and gives it its final name.

        Args:
            complete: False gives it the name of `partial_path`, for formats without a field for
                this.

        Raises:
            OutputError: it cannot be renamed.
        """
        self.close()
        with _disk_errors(self.path):
            self._part.replace(self.path if complete else partial_path(self.path))


@contextlib.contextmanager
def _disk_errors(path: Path, state: str = "") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"cannot write {path}: {reason}{state and f'; {state}'}") from None
