"""A visitor's picture or clip, computed in a thread that says how far it is and can be stopped."""

from __future__ import annotations

import dataclasses
import logging
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from posekit.app.media import Source, shown
from posekit.app.networks import Networks
from posekit.app.visits import Visit
from posekit.errors import InputError, PosekitError
from posekit.io.read_table import ResultTable, read_table
from posekit.io.sinks import load_format
from posekit.io.write import ResultWriter
from posekit.options import PredictOptions
from posekit.predictor import Predictor
from posekit.stages.packet import Packet

__all__ = ["Job", "Outcome", "without_paths"]

log = logging.getLogger(__name__)

Phase = Literal["waiting", "loading", "computing", "writing", "done"]
UNEXPECTED = "an unexpected error occurred; the server's terminal shows it"
# An absolute path in a message, but not what follows the colon of a URL.
_PATH = re.compile(r"(?<![\w:/.])(?:[A-Za-z]:)?[\\/](?:[^\s/\\'\":;,()]+[\\/])+([^\s/\\'\":;,()]*)")


@dataclass(frozen=True)
class Outcome:
    """What a job made.

    Attributes:
        source: the picture or clip.
        model: its name, as the visitor chose it.
        said: options of `Predictor.stream` that the visitor chose.
        table: all results, without a path of this machine.
        drawing: the picture or the video; None where no frame was computed.
        original: what the browser shows beside it.
        frames: how many were computed.
        seconds: the time taken, without loading.
        note: why it is incomplete; empty if it is complete.
    """

    source: Source
    model: str
    said: Mapping[str, Any]
    table: Path
    drawing: Path | None
    original: Path
    frames: int
    seconds: float
    note: str = ""


class Job(threading.Thread):
    """Computes one source.

    Args:
        visit: whose it is.
        networks: the models.
        model: a name among them.
        said: options of `Predictor.stream`.
        max_seconds: how long it may compute.

    Attributes:
        phase: what it is doing.
        message: details of the phase.
        frames: how many frames are done.
        total: how many frames there are; None if unknown.
        outcome: what was made, if `error` is empty.
        error: why there is no outcome.
        changed: set when one of these changes.
    """

    def __init__(
        self,
        visit: Visit,
        networks: Networks,
        model: str,
        said: Mapping[str, Any],
        max_seconds: float,
    ) -> None:
        super().__init__(name="posekit-app-job", daemon=True)
        if visit.source is None:
            raise InputError("choose an image or a video first")
        self.source, self.model, self.said = visit.source, model, dict(said)
        self.options = PredictOptions.from_keywords(self.said)
        self.phase: Phase = "waiting"
        self.message, self.error = "", ""
        self.frames, self.total = 0, _total(visit.source, self.options)
        self.outcome: Outcome | None = None
        self.changed = threading.Event()
        self._visit, self._networks, self._most = visit, networks, max_seconds
        self._stopped = threading.Event()
        self._begun = time.monotonic()

    def stop(self) -> None:
        """Ends it after the current frames; what is done stays."""
        self._stopped.set()

    @property
    def seconds_left(self) -> float | None:
        """Roughly how many seconds it still takes; None if unknown."""
        took = time.monotonic() - self._begun
        if self.phase != "computing" or not self.total or not self.frames:
            return None
        return max(0.0, took / self.frames * (self.total - self.frames))

    def run(self) -> None:
        try:
            self.outcome = self._computed()
        except PosekitError as error:
            self.error = without_paths(str(error))
        except MemoryError:
            self.error = "there is not enough memory for this: use a smaller model or image"
        except Exception as error:
            if not self._visit.closed:  # whose files are gone under it
                log.exception("a job failed")
            text = str(error)
            lack = "out of memory" in text or "can't allocate memory" in text
            self.error = "there is not enough memory for this" if lack else UNEXPECTED
        finally:
            self.phase = "done"
            self.changed.set()
            if self._visit.closed:
                self._visit.remove()

    def _computed(self) -> Outcome | None:
        self._tell("loading")
        with self._networks.predictor(
            self.model, lambda text: self._tell("loading", text)
        ) as found:
            if self._stopped.is_set():
                self.error = "stopped before the first frame"
                return None
            folder = self._visit.new_folder("run")
            begun = self._begun = time.monotonic()
            self._tell("computing")
            note = self._predict(found, folder)
            seconds = time.monotonic() - begun
        tables = list((folder / "predictions").glob("*.parquet"))
        if not tables:
            self.error = note or "nothing could be computed"
            return None
        self._tell("writing")
        table = _rewritten(read_table(tables[0]), folder / "results", self.source)
        drawings = sorted((folder / "visualization").glob("*"))
        return Outcome(
            source=self.source,
            model=self.model,
            said=self.said,
            table=table,
            drawing=drawings[0] if drawings else None,
            original=shown(self.source, folder, most_seconds=self._shown_seconds(note)),
            frames=self.frames,
            seconds=seconds,
            note=note,
        )

    def _predict(self, predictor: Predictor, folder: Path) -> str:
        """Writes table and drawing; returns why it ended before the end, if it did."""
        end = time.monotonic() + self._most
        results = predictor.stream(
            self.source.path, out_dir=folder, formats=["parquet"], show=False, **self.said
        )
        try:
            for _ in results:
                self.frames += 1
                self._tell("computing")
                if self._stopped.is_set():
                    return f"Stopped after {self._so_far()}."
                if time.monotonic() > end:
                    return f"Ended after {self._most:g} seconds, the limit here: {self._so_far()}."
        except InputError as error:
            if not self.frames:
                raise
            return f"Ended after {self._so_far()}: {without_paths(str(error))}"
        finally:
            close = getattr(results, "close", None)
            if close is not None:
                close()
        return ""

    def _so_far(self) -> str:
        done = "1 frame" if self.frames == 1 else f"{self.frames} frames"
        return f"{done} of {self.total}" if self.total and self.total > self.frames else done

    def _shown_seconds(self, note: str) -> float | None:
        """Of a clip that has to be encoded again, only what was computed."""
        return self.frames / self.source.fps if note and self.source.fps else None

    def _tell(self, phase: Phase, message: str = "") -> None:
        self.phase, self.message = phase, message
        self.changed.set()


def without_paths(text: str) -> str:
    """A message without the folders of this machine."""
    return _PATH.sub(r"\1", text)


def _total(source: Source, options: PredictOptions) -> int | None:
    """How many frames are computed."""
    if source.kind == "picture":
        return 1
    cut, fps = options.cut, source.fps
    if source.frames is None:
        return None
    first = min(source.frames, round(cut.start * fps))
    last = source.frames if cut.end is None else min(source.frames, round(cut.end * fps))
    return max(1, -(-(last - first) // cut.stride))


def _rewritten(table: ResultTable, folder: Path, source: Source) -> Path:
    """The same table with the visitor's name of the file in place of this machine's path."""

    # One object for all of its frames, by which a writer knows a clip.
    clip = table.clip and dataclasses.replace(table.clip, source=source.name)

    def renamed(packet: Packet) -> Packet:
        return dataclasses.replace(packet.having(source=source.name), clip=clip)

    with ResultWriter(folder, None, formats=[load_format("parquet")], run=table.run) as writer:
        for packet in table.packets():
            if isinstance(packet, tuple):
                writer.skip(source.name, without_paths(packet[1]))
            else:
                writer.write(renamed(packet))
        if table.clip is not None and not table.complete:
            writer.skip(source.name, "it was not processed to its end")
    (written,) = folder.glob("*.parquet")
    return written
