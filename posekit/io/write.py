"""Results -> files, in a thread of their own: whole or not at all, a clip's as they come."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Literal

import cv2
import numpy as np

from posekit.declared import Options, option
from posekit.errors import InputError, OutputError, PosekitError
from posekit.files import write_atomically
from posekit.io import Clip, listing
from posekit.io.video import VideoWriter
from posekit.result import PoseResult

__all__ = ["ResultWriter", "WriteOptions"]

log = logging.getLogger(__name__)

# Results that wait to be written, at most: they hold images.
QUEUE_SIZE = 8
# What drawings are written as.
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4",)


@dataclass(frozen=True, kw_only=True)
class WriteOptions(Options):
    """Files that are written."""

    out_dir: str | os.PathLike[str] | None = option(
        None, "a folder that gets `visualization/` and `predictions/`, where these are not given"
    )
    vis_out_dir: str | os.PathLike[str] | None = option(
        None,
        "folder of the drawings; or the drawing itself, a picture or a video such as "
        "`out/drawing.jpg`, beside which further ones get names of their own",
    )
    pred_out_dir: str | os.PathLike[str] | None = option(None, "folder of the predictions, as JSON")
    pred_format: Literal["json", "jsonl"] = option(
        "json", "a video's predictions as one `json` list, or `jsonl`, a line per frame"
    )

    @property
    def predictions_dir(self) -> Path | None:
        """Where predictions are written, None for nowhere."""
        return self._folder(self.pred_out_dir, "predictions")

    @property
    def visualization_dir(self) -> Path | None:
        """Where drawings are written, None for nowhere."""
        folder = self._folder(self.vis_out_dir, "visualization")
        return folder if folder is None or self.drawing_name is None else folder.parent

    @property
    def drawing_name(self) -> str | None:
        """The file's name where `vis_out_dir` is one, None where it is a folder."""
        if self.vis_out_dir is None:
            return None
        path, text = Path(self.vis_out_dir), os.fspath(self.vis_out_dir)
        if path.suffix.lower() not in listing.IMAGE_SUFFIXES | listing.VIDEO_SUFFIXES:
            return None
        return None if text.endswith(("/", os.sep)) or path.is_dir() else path.name

    def _folder(self, own: str | os.PathLike[str] | None, name: str) -> Path | None:
        if own is not None:
            return Path(own)
        return None if self.out_dir is None else Path(self.out_dir) / name


@dataclass(frozen=True)
class _Job:
    result: PoseResult
    clip: Clip | None
    time: float | None
    draw: Callable[[], np.ndarray] | None


class ResultWriter:
    """Writes predictions as JSON and drawings as pictures or videos, named after their inputs.

    An image has a file of each, written whole or not at all. A clip has one JSON and one video,
    which grow with it and can be read at any time: after every frame the JSON is complete, and the
    video plays as far as it goes. Leaving the context waits for everything and closes the files.

    Args:
        predictions: folder of the JSON files, None for none.
        visualizations: folder of the pictures, None for none.
        drawing_name: of the drawing, where it is not named after its input; further ones are named
            alike.
        pred_format: a clip's predictions as one "json" list or as "jsonl", a line per frame.
        inputs: lists the files that are read, which are never written over.

    Raises:
        InputError: a folder cannot be made or written to.
    """

    def __init__(
        self,
        predictions: Path | None,
        visualizations: Path | None,
        *,
        drawing_name: str | None = None,
        pred_format: Literal["json", "jsonl"] = "json",
        inputs: Callable[[], Sequence[Path]] = tuple,
    ) -> None:
        self.predictions = predictions
        self.visualizations = visualizations
        self.drawing_name = drawing_name
        self.pred_format = pred_format
        self._list_inputs = inputs
        # Names, and the number that the next of that name gets.
        self._taken: dict[str, int] = {}
        self._taken_drawings: dict[str, int] = {}
        self._said_renamed = False
        self._jobs: queue.Queue[_Job | None] = queue.Queue(QUEUE_SIZE)
        self._thread: threading.Thread | None = None
        self._error: PosekitError | None = None
        self._clip_files: _ClipFiles | None = None
        if predictions and predictions.suffix in (".json", ".jsonl") and not predictions.is_dir():
            log.warning("pred_out_dir is a folder: predictions are in %s/", predictions)
        for folder in (predictions, visualizations):
            if folder is not None:
                _check_writable(folder)

    def write(
        self,
        result: PoseResult,
        *,
        clip: Clip | None = None,
        time: float | None = None,
        draw: Callable[[], np.ndarray] | None = None,
    ) -> None:
        """Takes a result to be written; waits where too many are waiting.

        Args:
            result: of an image, or of the next frame of a clip.
            clip: what it is a frame of.
            time: seconds since the clip began.
            draw: makes the drawing (H, W, 3), where the result has none yet.

        Raises:
            OutputError: an earlier result could not be written.
        """
        if self.predictions is None and self.visualizations is None:
            return
        self._raise_error()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="posekit-write", daemon=True)
            self._thread.start()
        self._jobs.put(_Job(result, clip, time, draw))

    def flush(self) -> None:
        """Waits until everything that was taken is written.

        Raises:
            OutputError: something could not be written.
        """
        if self._thread is not None:
            self._jobs.join()
        self._raise_error()

    def close(self) -> None:
        """Writes what is left and closes the files.

        Raises:
            OutputError: something could not be written.
        """
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None
        self._raise_error()

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except PosekitError as late:
            if kind is None:
                raise
            if late is not error:
                log.error("%s", late)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        """The thread. After an error it only empties the queue, so that nobody waits for ever."""
        while (job := self._jobs.get()) is not None:
            if self._error is None:
                with self._errors_kept():
                    self._write(job)
            self._jobs.task_done()
        with self._errors_kept():
            self._end_clip()
        self._jobs.task_done()

    @contextlib.contextmanager
    def _errors_kept(self) -> Iterator[None]:
        try:
            yield
        except PosekitError as error:
            self._error = self._error or error
        except Exception as error:  # a bug, or a drawing that failed: told to the caller
            self._error = self._error or OutputError(f"cannot write the results: {error!r}")
            self._error.__cause__ = error
        else:
            return
        with contextlib.suppress(PosekitError):
            self._end_clip()

    def _write(self, job: _Job) -> None:
        drawing = None
        if self.visualizations is not None:
            drawing = job.result.visualization
            if drawing is None and job.draw is not None:
                drawing = job.draw()
        if self._clip_files is not None and job.clip is not self._clip_files.clip:
            self._end_clip()
        if job.clip is None:
            self._write_image(job.result, drawing)
            return
        if self._clip_files is None:
            name = Path(_unique_name(job.clip.name, self._taken)).stem
            predictions = self.predictions and self.predictions / f"{name}.{self.pred_format}"
            drawn = self._name_of_drawing(f"{name}.mp4", VIDEO_SUFFIXES)
            drawing_path = self.visualizations and self.visualizations / drawn
            for path in (predictions, drawing_path):
                if path is not None:
                    self._check_not_input(path, job.clip.source)
            self._clip_files = _ClipFiles(job.clip, predictions, drawing_path)
        self._clip_files.write(job.result, drawing, job.time)

    def _write_image(self, result: PoseResult, drawing: np.ndarray | None) -> None:
        name = _unique_name(result.name, self._taken)
        if self.predictions is not None:
            path = self.predictions / f"{Path(name).stem}.json"
            text = _to_json(result.instances(), result.name)
            self._check_not_input(path, result.source)
            with _disk_errors(path):
                write_atomically(path, text.encode())
        if self.visualizations is not None and drawing is not None:
            file_name, data = _encode(self._name_of_drawing(name, PICTURE_SUFFIXES), drawing)
            path = self.visualizations / file_name
            self._check_not_input(path, result.source)
            with _disk_errors(path):
                write_atomically(path, data)

    def _check_not_input(self, path: Path, source: str | None) -> None:
        """Raises an OutputError where writing would destroy what is read now or later."""
        found = _identity(path)
        if found is None:
            return
        if source is not None and found == _identity(Path(source)):
            raise OutputError(f"cannot write {path}: it is the input itself; name another folder")
        if found in self._inputs:
            raise OutputError(f"cannot write {path}: it is one of the inputs; name another folder")

    @cached_property
    def _inputs(self) -> frozenset[tuple[int, int] | None]:
        return frozenset(map(_identity, self._list_inputs()))

    def _end_clip(self) -> None:
        files, self._clip_files = self._clip_files, None
        if files is not None:
            files.close()

    def _name_of_drawing(self, own: str, suffixes: Sequence[str]) -> str:
        """Its own, or the one that was asked for, with a suffix of what is written."""
        if self.drawing_name is None:
            return own
        path = Path(self.drawing_name)
        suffix = path.suffix if path.suffix.lower() in suffixes else suffixes[0]
        name = _unique_name(path.stem + suffix, self._taken_drawings)
        if name != path.name and not self._said_renamed:
            self._said_renamed = True
            why = "taken" if suffix == path.suffix else f"not written as {path.suffix}"
            log.warning("%s is %s: a drawing is %s, further ones are named alike", path, why, name)
        return name


def _unique_name(name: str, taken: dict[str, int]) -> str:
    """`a.png` behind an `a.jpg` would overwrite its JSON: it becomes `a_png.png`."""
    path = Path(name)
    stem, suffix = path.stem or "image", path.suffix
    for candidate in (stem, f"{stem}_{suffix[1:]}"):
        if candidate not in taken:
            break
    else:
        while (candidate := f"{stem}_{taken[stem]}") in taken:
            taken[stem] += 1
    taken[candidate] = 2
    return candidate + suffix


class _ClipFiles:
    """The growing files of one clip.

    Args:
        clip: the clip.
        predictions: path of the JSON, None for none.
        drawing: path of the video, None for none.

    Raises:
        OutputError: one cannot be made.
    """

    def __init__(self, clip: Clip, predictions: Path | None, drawing: Path | None) -> None:
        self.clip = clip
        self._drawing = drawing
        self._video: VideoWriter | None = None
        self._frames: _FrameFile | None = None
        if predictions is not None:
            self._frames = _FrameFile(predictions, lines=predictions.suffix == ".jsonl")

    def write(self, result: PoseResult, drawing: np.ndarray | None, time: float | None) -> None:
        if self._frames is not None:
            record = {"frame_id": result.frame_id, "instances": result.instances()}
            self._frames.write(_to_json(record, result.name).encode())
        if drawing is not None and self._drawing is not None:
            if self._video is None:
                # Its size is the first drawing's: 3D plots and heat maps widen the picture.
                size = (drawing.shape[1], drawing.shape[0])
                self._video = VideoWriter(self._drawing, fps=self.clip.fps, size=size)
            # Streams and recordings may change their size as they go.
            self._video.write(_fitted(drawing, self._video.size), time)

    def close(self) -> None:
        with contextlib.ExitStack() as files:
            if self._frames is not None:
                files.callback(self._frames.close)
            if self._video is not None:
                files.callback(self._video.close)


class _FrameFile:
    """The predictions of a clip: a file that is complete after every frame.

    Args:
        path: the file.
        lines: a line per frame instead of one JSON list.

    Raises:
        OutputError: it cannot be made.
    """

    def __init__(self, path: Path, *, lines: bool) -> None:
        self.path = path
        self.frames_written = 0
        self._lines = lines
        self._closing = b"" if lines else b"\n]\n"
        self._end = 0 if lines else 1  # where the next frame goes, over the closing
        with _disk_errors(path):
            self._file = path.open("wb", buffering=0)
            self._put(0, (b"" if lines else b"[") + self._closing)

    def write(self, record: bytes) -> None:
        """Appends one frame.

        Raises:
            OutputError: the disk is full; the file has the frames before this one.
        """
        separator = b"\n" if self.frames_written == 0 else b",\n"
        data = record + b"\n" if self._lines else separator + record
        with _disk_errors(self.path, f"{self.frames_written} frames are in it"):
            try:
                self._put(self._end, data + self._closing)
            except OSError:
                # What the cut frees is room enough for the closing.
                self._file.truncate(self._end)
                self._put(self._end, self._closing)
                raise
        self._end += len(data)
        self.frames_written += 1

    def close(self) -> None:
        self._file.close()

    def _put(self, position: int, data: bytes) -> None:
        self._file.seek(position)
        rest = memoryview(data)
        while rest:  # a nearly full disk takes a part
            rest = rest[self._file.write(rest) :]


def _to_json(record: object, name: str) -> str:
    try:
        return json.dumps(record, allow_nan=False)
    except ValueError:
        raise OutputError(
            f"the pose in {name} has numbers that are not finite, which JSON cannot hold: take "
            "dtype=float32, or check the weights"
        ) from None


def _identity(path: Path) -> tuple[int, int] | None:
    """The same for all names of a file; None where there is none, as for a URL."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def _disk_errors(path: Path, state: str = "") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"cannot write {path}: {reason}{state and f'; {state}'}") from None


def _fitted(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image as large as it goes into (w, h), in the middle, black around it."""
    (width, height), (h, w) = size, image.shape[:2]
    if (w, h) == size:
        return image
    scale = min(width / w, height / h)
    w, h = max(1, round(w * scale)), max(1, round(h * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - h) // 2, (width - w) // 2
    canvas[top : top + h, left : left + w] = cv2.resize(image, (w, h), interpolation=method)
    return canvas


def _encode(name: str, image: np.ndarray) -> tuple[str, bytes]:
    """A picture in the format of its name, or as PNG where OpenCV cannot write that."""
    path = Path(name)
    suffix = path.suffix.lower()
    if suffix not in PICTURE_SUFFIXES:
        suffix, path = ".png", path.with_suffix(".png")
    done, data = cv2.imencode(suffix, image)
    if not done:
        raise OutputError(f"cannot encode the drawing of {name} as {suffix}")
    return path.name, data.tobytes()


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot write to the folder {folder}: {reason}") from None
