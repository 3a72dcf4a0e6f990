"""Numbers of people, frame by frame -> each person's file, with little memory.

The first lines of a person's file are only known at the end of the clip: how many frames there are,
and how large the person is. Until then the rows wait in a `.part` file beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from posekit.errors import OutputError
from posekit.io.growing import part_path

__all__ = ["Block", "Person", "PersonRows", "filled"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Rows that wait in memory to be written together, and that are read together.
GROUP = 2048


class Block(NamedTuple):
    """Some successive frames of a person.

    Attributes:
        frame_ids: (t,), numbers in the clip.
        times: (t,), seconds.
        values: (t, W), NaN where the person was not seen.
    """

    frame_ids: Ints
    times: Floats
    values: Floats


@dataclass
class Person:
    """Where a person's rows are.

    Attributes:
        track: the person's id.
        first, last: the first and the last frame with the person, counted from 0 in the clip.
        seen: (W,), in how many frames each number is known.
        last_known: (W,), the last of these frames, counted from the person's first.
    """

    track: int
    first: int
    last: int
    seen: Ints
    last_known: Ints
    waiting: list[tuple[int, Floats]] = field(default_factory=list)
    pieces: list[tuple[int, int]] = field(default_factory=list)  # of the file: where, how many

    @property
    def frames(self) -> int:
        """How many frames there are from the first to the last."""
        return self.last - self.first + 1


class PersonRows:
    """Rows of W numbers of people, kept in `<path>.part` until `close`.

    Args:
        path: the file that the rows are for; it is not made here.
        width: W.

    Raises:
        OutputError: the file cannot be made.
    """

    def __init__(self, path: Path, width: int) -> None:
        self._path, self._part, self._width = path, part_path(path), width
        self._row = np.dtype([("frame", np.int64), ("values", np.float32, (width,))])
        self._frame = np.dtype([("frame_id", np.int64), ("time", np.float64)])
        self.people: dict[int, Person] = {}
        self.num_frames = 0
        self._times: list[tuple[int, float]] = []  # of the last frames
        self._time_pieces: list[tuple[int, int]] = []
        self._waiting = self._size = 0
        try:
            self._file = self._part.open("w+b", buffering=0)
        except OSError as error:
            raise self._failure(error) from None

    def add(self, frame_id: int, time: float, tracks: Iterable[int], values: Floats) -> None:
        """Takes the clip's next frame.

        Args:
            frame_id: its number in the clip.
            time: seconds.
            tracks: ids of the n people in it.
            values: (n, W).

        Raises:
            OutputError: the disk is full.
        """
        frame = self.num_frames
        for track, row in zip(tracks, values, strict=True):
            person = self.people.get(track)
            if person is None:
                nothing = np.zeros(self._width, np.int64)
                person = Person(track, frame, frame, nothing, nothing - 1)
                self.people[track] = person
            known = np.isfinite(row)
            person.seen = person.seen + known
            person.last_known = np.where(known, frame - person.first, person.last_known)
            person.last = frame
            person.waiting.append((frame, row))
            self._waiting += 1
        self._times.append((frame_id, time))
        self.num_frames += 1
        if self._waiting >= GROUP:
            self.flush()
        if len(self._times) == GROUP:
            self._time_pieces.append(self._write(self._times, self._frame))
            self._times = []

    def flush(self) -> None:
        """Writes the rows that wait in memory.

        Raises:
            OutputError: the disk is full.
        """
        for person in self.people.values():
            if person.waiting:
                person.pieces.append(self._write(person.waiting, self._row))
                person.waiting = []
        self._waiting = 0

    def blocks(self, person: Person) -> Iterator[Block]:
        """All frames of a person from the first to the last, in blocks."""
        rows, frames, values = (
            self._rows_of(person),
            np.zeros(0, np.int64),
            np.zeros((0, self._width)),
        )
        start = 0
        for known in self._frames():
            stop = start + len(known)
            low, high = max(start, person.first), min(stop, person.last + 1)
            if low < high:
                while (not len(frames) or frames[-1] < high - 1) and (
                    piece := next(rows, None)
                ) is not None:
                    frames = np.concatenate([frames, piece["frame"]])
                    values = np.concatenate([values, piece["values"]])
                here = frames < high
                block = np.full((high - low, self._width), np.nan)
                block[frames[here] - low] = values[here]
                frames, values = frames[~here], values[~here]
                part = known[low - start : high - start]
                yield Block(part["frame_id"], part["time"], block)
            start = stop

    def close(self, *, keep: bool) -> None:
        """Closes the file, and removes it.

        Args:
            keep: leave the file, since the one that it is for was not made.
        """
        self._file.close()
        if not keep:
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> PersonRows:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(keep=kind is not None)

    def _frames(self) -> Iterator[np.ndarray]:
        for place in self._time_pieces:
            yield self._read(place, self._frame)
        if self._times:
            yield np.array(self._times, self._frame)

    def _rows_of(self, person: Person) -> Iterator[np.ndarray]:
        for place in person.pieces:
            yield self._read(place, self._row)
        if person.waiting:
            yield np.array(person.waiting, self._row)

    def _write(
        self, rows: list[tuple[int, float]] | list[tuple[int, Floats]], kind: np.dtype
    ) -> tuple[int, int]:
        data = memoryview(np.array(rows, kind).tobytes())
        place = self._size
        self._size += len(data)
        try:
            self._file.seek(place)
            while data:  # a nearly full disk takes a part
                data = data[self._file.write(data) :]
        except OSError as error:
            raise self._failure(error) from None
        return place, len(rows)

    def _read(self, place: tuple[int, int], kind: np.dtype) -> np.ndarray:
        start, count = place
        self._file.seek(start)
        return np.frombuffer(self._file.read(count * kind.itemsize), kind)

    def _failure(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self._part}: {error.strerror or error}")


def filled(blocks: Iterable[Block], person: Person, *, longest: int | None) -> Iterator[Block]:
    """The blocks with gaps interpolated linearly over the frames, number by number.

    Args:
        blocks: of the person.
        person: whose they are.
        longest: the longest gap that is filled, in frames; the time before a number is first known
            and after it is last known stays empty. None fills all gaps, and both ends with the
            nearest number. A number that is never known stays NaN.

    Yields:
        The same frames, cut into other blocks: a gap whose other end is still to come waits for it.
    """
    held: Block | None = None
    start = 0  # frame of the person that `held` begins with
    before = [(-1, np.nan)] * len(person.seen)  # of each number, when it was known last, and it
    for block in blocks:
        held = block if held is None else _joined(held, block)
        values, ready = held.values.copy(), len(held.values)
        for column, (frame, value) in enumerate(before):
            ready = min(
                ready, _fill(values[:, column], start, frame, value, person, column, longest)
            )
        yield Block(held.frame_ids[:ready], held.times[:ready], values[:ready])
        for column in range(len(before)):
            known = np.flatnonzero(np.isfinite(held.values[:ready, column]))
            if len(known):
                before[column] = (start + int(known[-1]), float(held.values[known[-1], column]))
        held = Block(held.frame_ids[ready:], held.times[ready:], held.values[ready:])
        start += ready


def _joined(first: Block, then: Block) -> Block:
    return Block(
        np.concatenate([first.frame_ids, then.frame_ids]),
        np.concatenate([first.times, then.times]),
        np.concatenate([first.values, then.values]),
    )


def _fill(
    values: Floats,
    start: int,
    before: int,
    value: float,
    person: Person,
    column: int,
    longest: int | None,
) -> int:
    """Fills in what can be of one number over (t,) frames from `start`; how many are decided."""
    known = start + np.flatnonzero(np.isfinite(values))
    numbers = values[known - start]
    if before >= 0:
        known, numbers = np.insert(known, 0, before), np.insert(numbers, 0, value)
    later = person.last_known[column] >= start + len(values)
    if not len(known):
        # Before the first one: only where everything is filled does that matter.
        return 0 if later and longest is None else len(values)
    frames = np.arange(start, start + len(values))
    behind = np.searchsorted(known, frames, side="right") - 1  # of each frame the known one before
    ahead = np.minimum(behind + 1, len(known) - 1)
    gap = known[ahead] - known[np.maximum(behind, 0)] - 1
    inside = (behind >= 0) & (behind + 1 < len(known))
    chosen = np.ones_like(inside) if longest is None else inside & (gap <= longest)
    chosen &= np.isnan(values)
    values[chosen] = np.interp(frames[chosen], known, numbers)
    open_gap = start + len(values) - 1 - int(known[-1])
    waits = later and open_gap > 0 and (longest is None or open_gap <= longest)
    return max(0, int(known[-1]) + 1 - start) if waits else len(values)
