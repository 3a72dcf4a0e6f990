"""Clips as animations, a file per person; results wait on the disk until the clip ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posekit.animation.motion import Motion, Track, animate
from posekit.animation.skeleton import IMAGE_POINTS, Source, source_of
from posekit.biomechanics import ASSUMED_HEIGHT
from posekit.io.held import Held
from posekit.io.sinks import Run, Sink
from posekit.result import Pose3D
from posekit.stages.packet import Clip, Packet, track_ids_of

__all__ = ["NEEDS", "Person", "assumes", "check_run", "open_motion"]

log = logging.getLogger(__name__)

NEEDS = frozenset({"time", "tracks"})
FPS = 25.0  # of a clip that does not say it
# Times are not a clip's where they want so many more frames than were read, or put several results
# into most frames.
MORE_FRAMES = 10_000


@dataclass(frozen=True, eq=False)
class Person:
    """The contents of a person's file.

    Attributes:
        motion: the animation.
        track_id: the person's track id.
        times: (F,), seconds since the clip began.
        frame_ids: (F,), frame numbers in the clip; -1 for frames without a result of the person.
        stature: the person's height, in metres.
        complete: whether the clip was read to its end.
    """

    motion: Motion
    track_id: int
    times: np.ndarray
    frame_ids: np.ndarray
    stature: float
    complete: bool


def check_run(run: Run, name: str) -> None:
    """Checks that a model's poses can be animated.

    Args:
        run: the run of that model.
        name: name of the format.

    Raises:
        InputError: they cannot.
    """
    source_of(run.skeleton, run.skeleton_3d, f"format {name}")


def assumes(run: Run) -> str | None:
    """What is assumed about people and camera, in words; None for nothing."""
    settings, assumed = run.settings, []
    if settings.person_height is None:
        assumed.append(f"person_height={ASSUMED_HEIGHT} (metres)")
    if settings.focal is None and settings.root == "moving":
        assumed.append("a focal length of the image's larger side (focal=)")
    return " and ".join(assumed) or None


def open_motion(
    path: Path, clip: Clip | None, run: Run, name: str, write: Callable[[Path, Person], None]
) -> Sink:
    """Opens the files of a clip's people, which are made at its end.

    Args:
        path: a name for a file of the clip; each person's file has the track id in it.
        clip: the clip of the results; None for images, which have no movement.
        run: the run that makes the results.
        name: name of the format.
        write: writes a person's file.

    Raises:
        OutputError: it cannot be made.
    """
    if clip is None:
        return _Images(name)
    return _Clip(path, clip, run, name, write)


class _Images(Sink):
    """Takes images, of which there are no files."""

    def __init__(self, name: str) -> None:
        log.warning("format %s is for videos: images get no file", name)

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        pass

    def close(self, complete: bool) -> None:
        pass


class _Clip(Held):
    def __init__(
        self, path: Path, clip: Clip, run: Run, name: str, write: Callable[[Path, Person], None]
    ) -> None:
        assert run.skeleton_3d is not None
        super().__init__(path, run, tracked=False)
        self._clip, self._run, self._name = clip, run, name
        self._write_person = write
        self._source = source_of(run.skeleton, run.skeleton_3d, f"format {name}")
        self._row = _row_type(self._source)
        self._points = self._source.taker(run.skeleton_3d)
        self._columns = [run.skeleton.names.index(point) for point in IMAGE_POINTS.values()]
        self._fps = float(clip.fps) if clip.fps > 0 else FPS

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        track_ids_of(packet.result)  # nobody's motion can be told without
        super().write(packet, drawing)

    def finish(self, complete: bool) -> None:
        people = 0
        for track_id in self.spool.tracks():
            person = self._person(track_id, complete)
            if person is None:
                continue
            self._tell(track_id, person.motion)
            name = f"{self._path.stem}_person{track_id}{self._path.suffix}"
            self.guard(self._path.with_name(name))
            self._write_person(self._path.with_name(name), person)
            people += 1
        if not people:
            log.warning(
                "format %s: nobody was found in %s, so there is no file",
                self._name,
                self._clip.name,
            )

    def _person(self, track_id: int, complete: bool) -> Person | None:
        """What a person's file is made of; None where no pose of theirs is whole."""
        rows = self._rows(track_id)
        if not len(rows):
            return None
        track, first, frame_ids = _track(rows, self._fps)
        del rows  # as large as what is made of it
        settings = self._run.settings
        stature = ASSUMED_HEIGHT if settings.person_height is None else settings.person_height
        motion = animate(
            track,
            self._source,
            stature=stature,
            focal=settings.focal,
            moving=settings.root == "moving",
        )
        if motion is None:
            return None
        return Person(
            motion=motion,
            track_id=track_id,
            times=(first + np.arange(len(frame_ids))) / self._fps,
            frame_ids=frame_ids,
            stature=stature,
            complete=complete,
        )

    def _rows(self, track_id: int) -> np.ndarray:
        """A person's frames, without those in which they were not seen."""
        rows, count = np.zeros(self.spool.count_of(track_id), self._row), 0
        for result in self.spool.of_track(track_id):
            unseen = result.interpolated is not None and result.interpolated[0]
            if unseen or result.pose3d is None:
                continue
            row = rows[count]
            row["frame"], row["size"] = result.frame_id, result.image_size
            row["time"] = np.nan if result.time is None else result.time
            row["points"] = self._points(_facing(result.pose3d))[0]
            row["keypoints"] = result.keypoints[0, self._columns]
            row["scores"] = result.keypoint_scores[0, self._columns]
            count += 1
        return rows[:count]

    def _tell(self, track_id: int, motion: Motion) -> None:
        """Says what was not as it was found."""
        who = f"format {self._name}: person {track_id} of {self._clip.name}"
        if motion.guessed:
            log.warning(
                "%s: bones of unknown length get an average person's: %s",
                who,
                ", ".join(motion.guessed),
            )
        if motion.exchanged.any():
            log.warning("%s: left and right were swapped in %d frames", who, motion.exchanged.sum())


def _row_type(source: Source) -> np.dtype[Any]:
    points = len(IMAGE_POINTS)
    return np.dtype(
        [
            ("frame", "<i8"),
            ("time", "<f8"),
            ("size", "<f4", (2,)),
            ("points", "<f4", (len(source.points), 3)),
            ("keypoints", "<f4", (points, 2)),
            ("scores", "<f4", (points,)),
        ]
    )


def _facing(pose: Pose3D) -> np.ndarray:
    """3D keypoints (n, K, 3) with x to the right, y up and z towards the camera."""
    x, y, z = np.moveaxis(pose.upright, -1, 0)
    return np.stack([x, z, -y], axis=-1)


def _track(rows: np.ndarray, fps: float) -> tuple[Track, int, np.ndarray]:
    """A person on frames of equal distance, the first one's number, and the clip's frames."""
    numbers, rows = _on_grid(rows, fps)
    places = numbers - numbers[0]
    count = int(places[-1]) + 1

    def spread(values: np.ndarray) -> np.ndarray:
        whole = np.full((count, *values.shape[1:]), np.nan, np.float32)
        whole[places] = values
        return whole

    track = Track(
        points=spread(rows["points"]),
        keypoints=spread(rows["keypoints"]),
        scores=spread(rows["scores"]),
        image_sizes=spread(rows["size"]),
        fps=fps,
    )
    frame_ids = np.full(count, -1, np.int64)
    frame_ids[places] = rows["frame"]
    return track, int(numbers[0]), frame_ids


def _on_grid(rows: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of frames of equal distance, increasing, and the rows that are there.

    By the results' times, so that dropped frames and variable rates keep their timing; by their
    numbers where they have no times, or none that a clip has.
    """
    numbers = rows["frame"]
    if np.isfinite(rows["time"]).all():
        timed = np.round(rows["time"] * fps)
        steps, most = np.diff(timed), numbers[-1] - numbers[0] + MORE_FRAMES
        if (steps >= 0).all() and steps.sum() <= most and (steps > 0).sum() * 2 >= len(steps):
            numbers = timed.astype(np.int64)
    unique, first = np.unique(numbers, return_index=True)
    return (numbers, rows) if len(unique) == len(numbers) else (unique, rows[first])
