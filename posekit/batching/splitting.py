"""Long clips -> pieces that any worker may do; finished pieces -> the files of their clip."""

from __future__ import annotations

import dataclasses
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posekit.batching.outputs import new_staging, put_in_place, remove_outputs, remove_rests
from posekit.batching.pieces import (
    WHOLE,
    Piece,
    clip_of,
    folder_of,
    load_piece,
    packets_of,
    piece_path,
)
from posekit.batching.progress import Stop
from posekit.batching.tasks import Job, Outcome, Task, entry_of, full_disk, in_words
from posekit.errors import InputError
from posekit.io import Inputs
from posekit.io.inputs import Files
from posekit.io.listing import Listing
from posekit.io.sequence import open_clip
from posekit.io.sinks import Run, needs
from posekit.io.video import VideoReader, duration_of
from posekit.io.write import ResultWriter
from posekit.options import PredictOptions
from posekit.stages.packet import chunk_size

__all__ = ["outcomes", "piece_tasks", "splits"]

log = logging.getLogger(__name__)

# No clip that is worth two pieces of the usual length is smaller: it is not even opened.
LEAST_BYTES = 1 << 20


def splits(job: Job) -> bool:
    """Whether clips may be split: only results are written, each from its frame alone."""
    options = PredictOptions.from_keywords({**job.options, "formats": list(job.formats)})
    detects = job.parts.detector is not None
    return (
        job.parts.lifter is None
        and not job.drawings
        and options.similarity is None
        and options.det_interval_at(job.loading["speed"], detects=detects) == 1
        and not needs(options.prediction_formats, "tracks")
        and not needs(options.prediction_formats, "time")
        and options.start is None
        and options.end is None
    )


def piece_tasks(task: Task, job: Job, seconds: float, *, least_bytes: int = 0) -> list[Task]:
    """The pieces of a clip; none where it is too short, or is better done whole.

    Each but the last has the whole number of the networks' batches that is nearest to `seconds`.
    """
    source = task.source
    small = source.size is not None and source.size < least_bytes
    if source.is_url or small or (folder_of(job.folder, task) / WHOLE).exists():
        return []
    path = Path(source.path)
    if duration_of(path) < 1.5 * seconds:
        return []
    try:
        with open_clip(path) as video:
            if not isinstance(video, VideoReader) or video.is_picture or not video.seeks:
                return []
            count = video.num_frames or int((video.duration or 0) * video.fps)
            width, height = video.size
            fps = float(video.fps)
    except InputError:
        return []  # whoever does it says why
    stride = int(job.options.get("stride", 1))
    size = job.options.get("batch_size", "auto")
    # The same on a CPU and on a GPU.
    chunk = math.lcm(*(chunk_size(3 * width * height, size, gpu=gpu) for gpu in (False, True)))
    unit = chunk * stride
    length = max(1, round(seconds * fps / unit)) * unit
    firsts = list(range(0, count - length + 1, length))
    if len(firsts) < 2:
        return []
    return [
        dataclasses.replace(task, frames=(first, None if first == firsts[-1] else first + length))
        for first in firsts
    ]


@dataclass
class _Split:
    """A clip whose pieces are under way."""

    task: Task
    pieces: list[Task]
    missing: set[object] = field(default_factory=set)
    failed: Outcome | None = None
    whole: str | None = None


def outcomes(
    tasks: Sequence[Task],
    job: Job,
    seconds: float | None,
    run: Callable[[Sequence[Task]], Iterator[Outcome]],
    stop: Stop,
    *,
    least_bytes: int = 0,
) -> Iterator[Outcome]:
    """Yields the outcome of each clip, done whole or in pieces, but none of single pieces.

    Args:
        tasks: clips to do.
        job: what all of them have in common.
        seconds: length of a piece; None if no clip is split.
        run: yields the outcomes of tasks, in any order.
        stop: once it is requested, no more is begun.
        least_bytes: smaller clips are not split.
    """
    split: dict[str, _Split] = {}
    following: list[Task] = []
    seconds = seconds if splits(job) else None
    for task in tasks:
        pieces = []
        if seconds is not None:
            pieces = piece_tasks(task, job, seconds, least_bytes=least_bytes)
        if not pieces:
            following.append(task)
            continue
        split[task.source.path] = found = _begun(task, pieces, job)
        following += [piece for piece in pieces if piece.key in found.missing]
    for found in list(split.values()):
        if not found.missing:  # it was killed when all was done but the last
            yield from _ended(found, job, following)
    while following and not stop.requested:
        now, following = following, []
        for outcome in run(now):
            if outcome.frames is None or outcome.stop is not None:
                yield outcome
                continue
            found = split[outcome.entry.path]
            found.missing.discard(outcome.key)
            found.whole = found.whole or outcome.whole
            found.failed = found.failed or (None if outcome.entry.error is None else outcome)
            if not found.missing:
                yield from _ended(found, job, following)


def _begun(task: Task, pieces: list[Task], job: Job) -> _Split:
    """A clip of which other runs may have done pieces."""
    missing = {piece.key for piece in pieces if load_piece(piece, job) is None}
    kept = {piece_path(job.folder, piece) for piece in pieces if piece.key not in missing}
    folder = folder_of(job.folder, task)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path not in kept:
            path.unlink(missing_ok=True)
    if kept:
        log.warning("%s: %d of %d pieces are done", task.source.path, len(kept), len(pieces))
    return _Split(task, pieces, missing)


def _ended(found: _Split, job: Job, again: list[Task]) -> Iterator[Outcome]:
    """The outcome of a clip whose pieces have all ended; it goes to `again` to be done whole."""
    task = found.task
    if found.failed is not None:
        remove_rests(job.folder, task.source)
        remove_outputs(job.folder, set(task.stale))
        yield dataclasses.replace(found.failed, frames=None)
        return
    if found.whole is None:
        pieces = [load_piece(piece, job) for piece in found.pieces]
        found.whole = _gap(found, pieces)
    if found.whole is None:
        yield _joined(found, job, [piece for piece in pieces if piece is not None])
        return
    log.warning("%s is processed whole, not in pieces: %s", task.source.path, found.whole)
    again.append(task)


def _gap(found: _Split, pieces: Sequence[Piece | None]) -> str | None:
    """Why pieces are not one clip; None where each begins where the one before ends."""
    taken = [piece for piece in pieces if piece is not None and piece.frames]
    if None in pieces or not taken:
        return "a piece is missing"
    if any(piece != taken[place] for place, piece in enumerate(pieces[: len(taken)])):
        return "a piece is empty"
    if any(piece.clip != taken[0].clip for piece in taken):
        return "the clip has changed"
    ends = [piece.following for piece in taken[:-1]]
    if ends != [piece.begin for piece in taken[1:]] or taken[-1].following is not None:
        return "its frames cannot be located by number"
    return None


def _joined(found: _Split, job: Job, pieces: Sequence[Piece]) -> Outcome:
    """Writes the files of a clip from its pieces."""
    start = time.perf_counter()
    task, folder = found.task, job.folder
    entry = dataclasses.replace(
        entry_of(task, job),
        device=", ".join(sorted({piece.device for piece in pieces})),
        host=", ".join(sorted({piece.host for piece in pieces})),
    )
    staging = new_staging(folder, task.source)
    outputs: tuple[str, ...] = ()
    stop = error = None
    try:
        staging.mkdir(parents=True)
        _write(found, job, pieces, staging / "predictions")
        outputs = put_in_place(staging, folder, task.source)
        remove_outputs(folder, set(task.stale) - set(outputs))
    except Exception as caught:  # one clip never stops the others
        stop, error = full_disk(caught), in_words(caught, task)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    if stop is None:
        remove_rests(folder, task.source)
    seconds = sum(piece.seconds for piece in pieces) + time.perf_counter() - start
    return Outcome(
        dataclasses.replace(
            entry,
            status="failed" if error else "done",
            frames=0 if error else sum(piece.frames for piece in pieces),
            seconds=round(seconds, 3),
            error=error,
            outputs=outputs,
        ),
        stop,
    )


def _write(found: _Split, job: Job, pieces: Sequence[Piece], folder: Path) -> None:
    inputs = Inputs([Files([Path(found.task.source.path)])], Listing())
    options = PredictOptions.from_keywords(
        {**job.options, "formats": list(job.formats), "pred_out_dir": folder}
    )
    run = _run_of(job, options, inputs)
    clip = clip_of(next(piece.clip for piece in pieces if piece.frames))
    with ResultWriter(
        folder, None, formats=options.prediction_formats, inputs=inputs.files, run=run
    ) as writer:
        taken = 0
        for task, piece in zip(found.pieces, pieces, strict=True):
            for packet in packets_of(task, job, clip, run.skeleton, run.skeleton_3d, taken):
                writer.write(packet)
            taken += piece.frames


def _run_of(job: Job, options: PredictOptions, inputs: Inputs) -> Run:
    """As the predictor of a worker has it."""
    from posekit.skeleton import load_skeleton
    from posekit.weights.digests import WeightDigests
    from posekit.weights.hub import resolve_weights

    parts, digests = job.parts, WeightDigests()
    for kind, part in parts.named.items():
        spec: Any = part.spec
        path = resolve_weights(spec.name, part.weights, net=spec.net, key=part.key)
        digests.add(kind, part.weights, path)
    assert parts.model is not None
    model: Any = parts.model.spec
    skeleton = load_skeleton(model.keypoints, search=parts.search)
    return options.run_of(
        inputs,
        skeleton=skeleton,
        skeleton_3d=skeleton if getattr(model, "keypoints_3d", False) else None,
        models=parts.names,
        weights=parts.sources,
        weights_sha256=digests,
        licenses=parts.licenses,
    )
