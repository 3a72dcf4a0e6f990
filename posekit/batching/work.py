"""A clip -> its files of results: the same for all runners, whatever was computed before."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posekit.batching.manifest import Status
from posekit.batching.outputs import new_staging, put_in_place, remove_outputs, remove_rests
from posekit.batching.pieces import do_piece
from posekit.batching.sources import Source
from posekit.batching.tasks import Job, Outcome, Task, entry_of, full_disk, in_words
from posekit.errors import InputError
from posekit.io.inputs import Files, Inputs
from posekit.io.listing import Listing

if TYPE_CHECKING:
    from posekit.predictor import Predictor

__all__ = ["ClipWorker", "died", "set_threads", "threads_as_before"]

log = logging.getLogger(__name__)


def set_threads(threads: int) -> None:
    """Sets this process's number of threads; results of other numbers differ by rounding."""
    import cv2
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


@contextlib.contextmanager
def threads_as_before() -> Iterator[None]:
    """Gives the caller's process its own number of threads back at the end."""
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


class ClipWorker:
    """Networks that are loaded once and do one clip after the other.

    Each clip is computed as if it were the first: the engines are made before it.

    Args:
        job: what all clips have in common.
        device: a device instead of the job's.

    Raises:
        PosekitError: the networks cannot be loaded.
    """

    def __init__(self, job: Job, device: str | None = None) -> None:
        from posekit.predictor import Predictor

        self.job = job
        set_threads(job.threads)
        loading = dict(job.loading) if device is None else {**job.loading, "device": device}
        self.predictor: Predictor = Predictor.from_parts(job.parts, **loading)
        self.predictor.settle()
        self.device = str(self.predictor.estimator.device)

    def __call__(self, task: Task, on_frame: Callable[[], None] = lambda: None) -> Outcome:
        """Does a clip; whatever is wrong with it is in the outcome.

        Args:
            task: the attempt.
            on_frame: called after each frame.
        """
        if task.frames is not None:
            return do_piece(task, self.job, self.predictor, on_frame)
        start = time.perf_counter()
        entry = entry_of(task, self.job, device=self.device)
        staging = new_staging(self.job.folder, task.source)
        frames = 0
        status: Status = "failed"
        outputs: tuple[str, ...] = ()
        stop: str | None = None
        error: str | None = None
        try:
            remove_rests(self.job.folder, task.source)
            failures: list[InputError] = []
            with contextlib.closing(self._results(task.source, staging, failures)) as results:
                for _ in results:
                    frames += 1
                    on_frame()
            error = str(failures[0]) if failures else None
            if frames:
                status = "partial" if failures else "done"
                outputs = put_in_place(staging, self.job.folder, task.source)
            else:
                error = error or "it has no frames"
        except Exception as caught:  # one clip never stops the others
            status, outputs, stop = "failed", (), full_disk(caught)
            error = in_words(caught, task)
            error = error.replace(f"{staging}{os.sep}predictions", str(staging.parent))
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        if stop is None:
            remove_outputs(self.job.folder, set(task.stale) - set(outputs))
        return Outcome(
            replace(
                entry,
                status=status,
                frames=frames if outputs else 0,
                seconds=round(time.perf_counter() - start, 3),
                error=error,
                outputs=outputs,
            ),
            stop,
        )

    def _results(
        self, source: Source, staging: Path, failures: list[InputError]
    ) -> Generator[object, None, None]:
        staging.mkdir(parents=True)
        inputs: Any = source.path
        if not source.is_url:  # nothing of a name is a pattern or a camera
            inputs = Inputs([Files([Path(source.path)])], Listing())
        yield from self.predictor.stream(
            inputs,
            **self.job.options,
            formats=list(self.job.formats),
            pred_out_dir=staging / "predictions",
            vis_out_dir=staging / "drawings" if self.job.drawings else None,
            on_error=lambda _, error: failures.append(error),
        )


def died(task: Task, job: Job, reason: str) -> Outcome:
    """The outcome of a clip, or a piece of one, whose worker was lost."""
    if task.frames is None:
        remove_rests(job.folder, task.source)
        remove_outputs(job.folder, set(task.stale))
    entry = replace(entry_of(task, job), error=f"worker died: {reason}")
    return Outcome(entry, frames=task.frames)
