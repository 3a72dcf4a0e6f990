"""Results -> files, in a thread of their own: whole or not at all, a clip's as they come."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from posekit.declared import Options, option
from posekit.errors import InputError, OutputError, PosekitError
from posekit.files import make_folder, prediction_formats
from posekit.io import listing
from posekit.io.held import share
from posekit.io.places import check_writable, identity, unique_name
from posekit.io.sinks import (
    Format,
    Run,
    Sink,
    check_formats,
    load_drawing,
    load_format,
    together,
)
from posekit.result import PoseResult
from posekit.stages.packet import Clip, Packet
from posekit.timeline import span

__all__ = ["ResultWriter", "WriteOptions", "chosen_formats", "common_folder"]

log = logging.getLogger(__name__)

# Packets that wait to be written, at most: they hold images.
QUEUE_SIZE = 8


@dataclass(frozen=True, kw_only=True)
class WriteOptions(Options):
    """Output files."""

    out_dir: str | os.PathLike[str] | None = option(
        None,
        "the folder for `visualization/` and `predictions/`, unless the options below name others",
    )
    vis_out_dir: str | os.PathLike[str] | None = option(
        None,
        "the folder for drawings; or one file, an image or a video such as `out/drawing.jpg`; "
        "further drawings go beside it under names of their own",
    )
    pred_out_dir: str | os.PathLike[str] | None = option(None, "the folder for predictions")
    pred_format: Any = option(
        "json",
        "format of the predictions; `json` is MMPose's; in Python also an object of your own "
        "with the methods of `posekit.io.sinks.Format`",
        choices=prediction_formats(),
    )
    formats: Any = option(
        None,
        "several formats at once, such as `[json,parquet]`, instead of `pred_format`",
    )

    save_crops: str | os.PathLike[str] | None = option(
        None,
        "a folder for crops of each person's box: `photo_000000_1.jpg`, with the number of "
        "the input or video frame, and of the instance",
    )

    def check(self) -> None:
        _ = self.prediction_formats

    @property
    def prediction_formats(self) -> tuple[Format, ...]:
        """The formats of the predictions."""
        wanted = self.formats
        if wanted is None:
            wanted = self.pred_format
        elif self.pred_format != "json":
            raise InputError("formats and pred_format exclude each other; leave one out")
        return chosen_formats(wanted)

    @property
    def predictions_dir(self) -> Path | None:
        """The folder of the predictions; None for none."""
        return self._folder(self.pred_out_dir, "predictions")

    @property
    def visualization_dir(self) -> Path | None:
        """The folder of the drawings; None for none."""
        folder = self._folder(self.vis_out_dir, "visualization")
        return folder if folder is None or self.drawing_name is None else folder.parent

    @property
    def drawing_name(self) -> str | None:
        """The file's name if `vis_out_dir` is a file; None if it is a folder."""
        if self.vis_out_dir in (None, ""):
            return None
        text = os.fspath(self.vis_out_dir)
        path = Path(text)
        if path.suffix.lower() not in listing.IMAGE_SUFFIXES | listing.VIDEO_SUFFIXES:
            return None
        return None if text.endswith(("/", os.sep)) or path.is_dir() else path.name

    def _folder(self, own: str | os.PathLike[str] | None, name: str) -> Path | None:
        # An empty text is none, as MMPose has it: as a path it would be the current folder.
        if own not in (None, ""):
            return Path(own)
        return None if self.out_dir in (None, "") else Path(self.out_dir) / name


def chosen_formats(wanted: Any) -> tuple[Format, ...]:
    """The formats of one name or several; an object that is a format stays.

    Raises:
        InputError: there is none of that name.
    """
    if isinstance(wanted, str) or not isinstance(wanted, Collection):
        wanted = (wanted,)
    if not wanted:
        raise InputError("formats is empty: name one, or leave it out")
    return tuple(
        one if hasattr(one, "open_sink") else load_format(one) for one in dict.fromkeys(wanted)
    )


class _Job(NamedTuple):
    packet: Packet
    draw: Callable[[], np.ndarray] | None
    read: Callable[[], np.ndarray] | None


class _Skipped(NamedTuple):
    source: str
    error: str


class ResultWriter:
    """Writes predictions and drawings, named after their inputs; see `posekit.io.sinks`.

    An image gets a file of each, written whole or not at all. A clip gets one of each, which grow
    with it and can be read at any time: after every frame the predictions are complete, and the
    video plays as far as it goes. Leaving the context waits for everything and closes the files.

    Args:
        predictions: folder of the predictions, None for none.
        visualizations: folder of the pictures, None for none.
        drawing_name: name of the drawing, if not named after its input; further ones get similar
            names.
        formats: what predictions are written as: modules of `posekit.io.sinks`, or anything else
            that has what a `Format` has.
        run: what all results have in common; None takes what the first one shows.
        inputs: knows the files that are read, which are never overwritten.
        crops: folder for crops of the people; None for none.

    Raises:
        InputError: a folder cannot be made or written to, or a format cannot hold such results.
    """

    def __init__(
        self,
        predictions: Path | None,
        visualizations: Path | None,
        *,
        drawing_name: str | None = None,
        formats: Sequence[Format] = (),
        inputs: Callable[[], Sequence[Path]] = tuple,
        run: Run | None = None,
        crops: Path | None = None,
    ) -> None:
        self.crops = crops
        self.predictions = predictions
        self.visualizations = visualizations
        self.drawing_name = drawing_name
        self._formats = tuple(formats) or (load_format("json"),)
        self._list_inputs = inputs
        self._run_info = run
        # Names, and the number that the next of that name gets.
        self._taken: dict[Path, dict[str, int]] = defaultdict(dict)
        self._taken_drawings: dict[str, int] = {}
        self._said_renamed = False
        self._jobs: queue.Queue[_Job | _Skipped | None] = queue.Queue(QUEUE_SIZE)
        self._count, self._written = 0, 0
        self._progress = threading.Condition()
        self._thread: threading.Thread | None = None
        self._error: PosekitError | None = None
        self._clip: Clip | None = None
        # Of the clip, and what writing to each is called in a timeline.
        self._sinks: list[tuple[str, Sink]] = []
        self._shared: dict[int, Sink] = {}  # of all images, or of all; by the format's place
        self._skipped: dict[str, str] = {}  # why, by source
        self._complete = True
        named_as_file = predictions and predictions.suffix[1:] in prediction_formats()
        if predictions and named_as_file and not predictions.is_dir():
            log.warning("pred_out_dir is a folder: predictions are in %s/", predictions)
        if predictions is not None and run is not None:
            check_formats(self._formats, run)
        # Only now, for a run that is refused leaves no folders.
        for folder in (predictions, visualizations, crops):
            if folder is not None:
                check_writable(folder)

    def write(
        self,
        packet: Packet,
        draw: Callable[[], np.ndarray] | None = None,
        read: Callable[[], np.ndarray] | None = None,
    ) -> int:
        """Queues a packet for writing; waits while the queue is full.

        Args:
            packet: of an image, or of the next frame of a clip.
            draw: makes the drawing (H, W, 3), where the result has none yet.
            read: gives the image (H, W, 3), where the packet has none; needed for crops.

        Returns:
            The number of packets queued so far, for `wait_for`.

        Raises:
            OutputError: an earlier result could not be written.
        """
        if self.predictions is None and self.visualizations is None and self.crops is None:
            return 0
        self._put(_Job(packet, draw, read))
        self._count += 1
        return self._count

    def skip(self, source: str, error: str) -> None:
        """Notes that an input, or the rest of one, could not be read; see `Sink.skip`.

        Raises:
            OutputError: an earlier result could not be written.
        """
        if self.predictions is not None:
            self._put(_Skipped(source, error))

    def _put(self, job: _Job | _Skipped) -> None:
        self._raise_error()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="posekit-write", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def wait_for(self, count: int) -> None:
        """Waits until the first `count` packets are written.

        Raises:
            OutputError: one of these could not be written.
        """
        with self._progress:
            self._progress.wait_for(lambda: self._error or self._written >= count)
        if self._written < count:
            self._raise_error()

    def flush(self) -> None:
        """Waits until everything in the queue is written.

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
        self._complete = kind is None
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
                    if isinstance(job, _Skipped):
                        # What was read of it before may still be under way.
                        self._skipped[job.source] = job.error
                    else:
                        self._write(job)
            with self._progress:
                self._written += isinstance(job, _Job) and self._error is None
                self._progress.notify_all()
        with self._errors_kept():
            self._end_all(self._complete)

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
        with contextlib.suppress(Exception):  # of a format; whoever waits for this thread goes on
            self._end_all(complete=False)

    def _write(self, job: _Job) -> None:
        packet, drawing = job.packet, None
        frame = packet.result.index
        if self.visualizations is not None:
            drawing = packet.result.visualization
            if drawing is None and job.draw is not None:
                with span("draw", frame=frame):
                    drawing = job.draw()
        if self.crops is not None and packet.image is None and job.read is not None:
            packet = dataclasses.replace(packet, image=job.read())
        if packet.clip is not self._clip or packet.clip is None:
            self._end_clip()
            self._run_info = self._run_info or _run_of(packet.result)
            self._open(packet, self._run_info)
        shared = [("write", self._open_shared(place)) for place in self._shared_by(packet.clip)]
        for name, sink in (*self._sinks, *shared):
            with span(name, frame=frame):
                sink.write(packet, drawing)
        if packet.clip is None:
            self._end_clip()

    def _open(self, packet: Packet, run: Run) -> None:
        """Opens the files of an image or a clip."""
        clip = packet.clip
        name = packet.result.name if clip is None else clip.name
        source = packet.result.source if clip is None else clip.source
        folder = self._folders.get(source or "", Path())
        name = unique_name(name, self._taken[folder])
        files: list[tuple[Format, Path]] = []
        if self.predictions is not None:
            shared = self._shared_by(clip)
            for place, wanted in enumerate(self._formats):
                if place not in shared:
                    files.append((wanted, self.predictions / folder / wanted.file_name(name, clip)))
        if self.visualizations is not None:
            kind = load_drawing("pictures" if clip is None else "video")
            drawn = self._name_of_drawing(kind.file_name(name, clip), kind.SUFFIXES)
            where = folder if self.drawing_name is None else Path()
            files.append((kind, self.visualizations / where / drawn))
        for _, path in files:
            self._check_not_input(path, source)
        self._clip = clip
        for kind_of_file, path in files:
            make_folder(path.parent)
            action = "write" if kind_of_file in self._formats else "encode"
            sink = kind_of_file.open_sink(path, clip, run)
            sink.guard = lambda path: self._check_not_input(path, source)
            self._sinks.append((action, sink))
        share(sink for _, sink in self._sinks)
        if self.crops is not None:
            self._open_crops(self.crops / folder, name, source)

    def _open_crops(self, folder: Path, name: str, source: str | None) -> None:
        from posekit.io.sinks.crops import Crops, file_name

        make_folder(folder)
        sink = Crops(folder / file_name(name, self._clip))
        sink.guard = lambda path: self._check_not_input(path, source)
        self._sinks.append(("write", sink))

    def _shared_by(self, clip: Clip | None) -> list[int]:
        """Places of the formats in whose common file the results of an image or a clip are."""
        kinds = ("all",) if clip is not None else ("all", "images")
        return [place for place, one in enumerate(self._formats) if together(one) in kinds]

    def _open_shared(self, place: int) -> Sink:
        """The common file of a format, opened when it is first needed."""
        if place not in self._shared:
            assert self.predictions is not None
            wanted = self._formats[place]
            name = "predictions" if together(wanted) == "all" else "images"
            path = self.predictions / wanted.file_name(name, None)
            self._check_not_input(path, None)
            assert self._run_info is not None
            sink = self._shared[place] = wanted.open_sink(path, None, self._run_info)
            sink.guard = lambda path: self._check_not_input(path, None)
        return self._shared[place]

    def _check_not_input(self, path: Path, source: str | None) -> None:
        """Raises an OutputError where writing would destroy what is read now or later."""
        found = identity(path)
        if found is None:
            return
        if source is not None and found == identity(Path(source)):
            raise OutputError(f"cannot write {path}: it is the input itself; name another folder")
        if found in self._inputs:
            raise OutputError(f"cannot write {path}: it is one of the inputs; name another folder")

    @cached_property
    def _inputs(self) -> frozenset[tuple[int, int] | None]:
        return frozenset(map(identity, self._list_inputs()))

    def _end_clip(self, complete: bool = True) -> None:
        """Closes the files of an image or a clip, each even where another one fails."""
        clip, sinks = self._clip, [sink for _, sink in self._sinks]
        self._sinks, self._clip = [], None
        error = None if clip is None else self._skipped.pop(clip.source, None)
        with contextlib.ExitStack() as closing:
            for sink in sinks:
                closing.callback(sink.close, complete and error is None)
            if clip is not None and error is not None:
                for sink in (*sinks, *map(self._open_shared, self._shared_by(clip))):
                    sink.skip(clip.source, error)

    def _end_all(self, complete: bool) -> None:
        with contextlib.ExitStack() as closing:
            closing.callback(self._end_shared, complete)
            self._end_clip(complete)

    def _end_shared(self, complete: bool) -> None:
        with contextlib.ExitStack() as closing:
            if self._run_info is not None and self._error is None:
                for source, error in self._skipped.items():
                    for place in self._shared_by(None):
                        self._open_shared(place).skip(source, error)
            shared, self._shared, self._skipped = self._shared, {}, {}
            for sink in shared.values():
                closing.callback(sink.close, complete)

    @cached_property
    def _folders(self) -> dict[str, Path]:
        """Subfolders of the files, by source, where inputs of one name lie in several folders."""
        paths = self._list_inputs()
        homes: dict[str, set[Path]] = defaultdict(set)
        for path in paths:
            homes[path.stem].add(path.parent)
        if all(len(folders) == 1 for folders in homes.values()):
            return {}
        if (root := common_folder(paths)) is None:
            return {}
        return {str(path): path.parent.absolute().relative_to(root) for path in paths}

    def _name_of_drawing(self, own: str, suffixes: Sequence[str]) -> str:
        """Its own, or the one that was asked for, with a suffix of what is written."""
        if self.drawing_name is None:
            return own
        path = Path(self.drawing_name)
        suffix = path.suffix if path.suffix.lower() in suffixes else suffixes[0]
        name = unique_name(path.stem + suffix, self._taken_drawings)
        if name != path.name and not self._said_renamed:
            self._said_renamed = True
            why = "taken" if suffix == path.suffix else f"not written as {path.suffix}"
            log.warning(
                "%s is %s: using %s, and similar names for further drawings", path, why, name
            )
        return name


def common_folder(paths: Sequence[Path]) -> Path | None:
    """The innermost folder that contains all files; None without files or with several drives."""
    try:
        return Path(os.path.commonpath([path.parent.absolute() for path in paths]))
    except ValueError:
        return None


def _run_of(result: PoseResult) -> Run:
    pose3d = result.pose3d
    return Run(skeleton=result.skeleton, skeleton_3d=None if pose3d is None else pose3d.skeleton)
