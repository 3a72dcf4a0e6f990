"""Results -> files, in a thread of their own: whole or not at all, a clip's as they come."""

from __future__ import annotations

import contextlib
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
from typing import Any, NamedTuple

import numpy as np

from posekit.declared import Options, option
from posekit.errors import InputError, OutputError, PosekitError
from posekit.files import prediction_formats
from posekit.io import listing
from posekit.io.sinks import Format, Sink, load_format, pictures, video
from posekit.stages.packet import Clip, Packet
from posekit.timeline import span

__all__ = ["ResultWriter", "WriteOptions"]

log = logging.getLogger(__name__)

# Packets that wait to be written, at most: they hold images.
QUEUE_SIZE = 8


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
    pred_format: Any = option(
        "json",
        "a video's predictions as one `json` list, or `jsonl`, a line per frame; in Python also an "
        "object of your own that has what `posekit.io.sinks.Format` has",
        choices=prediction_formats(),
    )

    def check(self) -> None:
        if not hasattr(self.pred_format, "open_sink"):
            load_format(self.pred_format)

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


class _Job(NamedTuple):
    packet: Packet
    draw: Callable[[], np.ndarray] | None


class ResultWriter:
    """Writes predictions and drawings, named after their inputs; see `posekit.io.sinks`.

    An image has a file of each, written whole or not at all. A clip has one of each, which grow
    with it and can be read at any time: after every frame the predictions are complete, and the
    video plays as far as it goes. Leaving the context waits for everything and closes the files.

    Args:
        predictions: folder of the predictions, None for none.
        visualizations: folder of the pictures, None for none.
        drawing_name: of the drawing, where it is not named after its input; further ones are named
            alike.
        pred_format: what predictions are written as: the name of a module of `posekit.io.sinks`,
            or anything else that has what a `Format` has.
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
        pred_format: str | Format = "json",
        inputs: Callable[[], Sequence[Path]] = tuple,
    ) -> None:
        self.predictions = predictions
        self.visualizations = visualizations
        self.drawing_name = drawing_name
        self._format = load_format(pred_format) if isinstance(pred_format, str) else pred_format
        self._list_inputs = inputs
        # Names, and the number that the next of that name gets.
        self._taken: dict[str, int] = {}
        self._taken_drawings: dict[str, int] = {}
        self._said_renamed = False
        self._jobs: queue.Queue[_Job | None] = queue.Queue(QUEUE_SIZE)
        self._count, self._written = 0, 0
        self._progress = threading.Condition()
        self._thread: threading.Thread | None = None
        self._error: PosekitError | None = None
        self._clip: Clip | None = None
        # Of the clip, and what writing to each is called in a timeline.
        self._sinks: list[tuple[str, Sink]] = []
        named_as_file = predictions and predictions.suffix[1:] in prediction_formats()
        if predictions and named_as_file and not predictions.is_dir():
            log.warning("pred_out_dir is a folder: predictions are in %s/", predictions)
        for folder in (predictions, visualizations):
            if folder is not None:
                _check_writable(folder)

    def write(self, packet: Packet, draw: Callable[[], np.ndarray] | None = None) -> int:
        """Takes a packet to be written; waits where too many are waiting.

        Args:
            packet: of an image, or of the next frame of a clip.
            draw: makes the drawing (H, W, 3), where the result has none yet.

        Returns:
            How many were taken so far, for `wait_for`.

        Raises:
            OutputError: an earlier result could not be written.
        """
        if self.predictions is None and self.visualizations is None:
            return 0
        self._raise_error()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="posekit-write", daemon=True)
            self._thread.start()
        self._jobs.put(_Job(packet, draw))
        self._count += 1
        return self._count

    def wait_for(self, count: int) -> None:
        """Waits until so many of the packets are written.

        Raises:
            OutputError: one of these could not be written.
        """
        with self._progress:
            self._progress.wait_for(lambda: self._error or self._written >= count)
        if self._written < count:
            self._raise_error()

    def flush(self) -> None:
        """Waits until everything that was taken is written.

        Raises:
            OutputError: something could not be written.
        """
        self.wait_for(self._count)

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
            with self._progress:
                self._written += self._error is None
                self._progress.notify_all()
        with self._errors_kept():
            self._end_clip()

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
        packet, drawing = job.packet, None
        frame = packet.result.index
        if self.visualizations is not None:
            drawing = packet.result.visualization
            if drawing is None and job.draw is not None:
                with span("draw", frame=frame):
                    drawing = job.draw()
        if packet.clip is not self._clip or packet.clip is None:
            self._end_clip()
            self._open(packet)
        for name, sink in self._sinks:
            with span(name, frame=frame):
                sink.write(packet, drawing)
        if packet.clip is None:
            self._end_clip()

    def _open(self, packet: Packet) -> None:
        """Opens the files of an image or a clip."""
        clip = packet.clip
        name = _unique_name(packet.result.name if clip is None else clip.name, self._taken)
        source = packet.result.source if clip is None else clip.source
        files: list[tuple[Format, Path]] = []
        if self.predictions is not None:
            files.append((self._format, self.predictions / self._format.file_name(name, clip)))
        if self.visualizations is not None:
            kind = pictures if clip is None else video
            drawn = self._name_of_drawing(kind.file_name(name, clip), kind.SUFFIXES)
            files.append((kind, self.visualizations / drawn))
        for _, path in files:
            self._check_not_input(path, source)
        self._clip = clip
        for kind_of_file, path in files:
            action = "write" if kind_of_file is self._format else "encode"
            self._sinks.append((action, kind_of_file.open_sink(path, clip)))

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
        sinks, self._sinks, self._clip = self._sinks, [], None
        with contextlib.ExitStack() as closing:
            for _, sink in sinks:
                closing.callback(sink.close)

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


def _identity(path: Path) -> tuple[int, int] | None:
    """The same for all names of a file; None where there is none, as for a URL."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot write to the folder {folder}: {reason}") from None
