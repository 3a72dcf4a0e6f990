"""`posekit.batch`: many clips to result files. Imports little until it is called."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posekit.batching.manifest import Entry, Manifest, latest_entries, manifest_path
from posekit.batching.options import PREDICTED, BatchKeywords, BatchOptions
from posekit.batching.plan import Plan, agreed_settings, make_plan
from posekit.batching.progress import Progress, Stop, stopping_on_ctrl_c
from posekit.batching.result import BatchResult
from posekit.batching.settings import Settings, stored_settings
from posekit.batching.sources import Source, find_sources, in_shard, name_sources
from posekit.calls import compose_call
from posekit.declared import function_takes
from posekit.errors import InputError, OutputError
from posekit.files import make_folder
from posekit.io.listing import Listing
from posekit.io.sinks import Run, load_format
from posekit.loading import LoadOptions
from posekit.options import PredictOptions

if TYPE_CHECKING:
    from posekit.batching.tasks import Outcome
    from posekit.parts import Parts

__all__ = ["BatchResult", "batch", "batch_composed"]

log = logging.getLogger(__name__)

NOTES = 10  # lines on clips that are done again, at most


@function_takes(BatchKeywords)
def batch(model: str | os.PathLike[str], options: BatchKeywords) -> BatchResult:
    """Finds poses in many clips, with one result file per clip; call it again to resume.

    With `workers` other than 0 it starts processes: in a script, call it below
    `if __name__ == "__main__":`.

    Args:
        model: as in `posekit.load`.
        {options}

    Returns:
        The outcome for each clip; those that failed have the reason and do not stop the others.

    Raises:
        UnknownModelError: no such model or detector.
        InputError: an option that does not fit, no clips, a folder with results of other settings
            or one that another run is using.
        OutputError: the folder cannot be written.
        WeightsError, DownloadError: weights do not fit, or cannot be downloaded.
    """
    named = options.named
    config_dir, pose2d = named.pop("config_dir", None), named.pop("pose2d", None)
    typed = [] if pose2d is None else [f"pose2d={pose2d}"]
    config = compose_call("batch", model, named, overrides=typed, config_dir=config_dir)
    return batch_composed(config)


def batch_composed(config: Mapping[str, Any], *, show_progress: bool = False) -> BatchResult:
    """As `batch`, for a composed configuration.

    Args:
        config: see `posekit.compose.compose_command`.
        show_progress: show a bar if there is a terminal.
    """
    wanted = _read(config)
    options, folder = wanted.options, wanted.options.folder
    written = {
        str(folder / name)
        for entry in latest_entries(folder, say=False).values()
        for name in entry.outputs
    }
    listing = Listing.of(options.recursive, options.include, options.order or "name")
    found = find_sources(options.inputs, listing, folder=folder, written=written)
    root, sources = name_sources(found, None if options.base is None else str(options.base))
    sources = in_shard(sources, options.part)
    make_folder(folder)
    start = time.monotonic()
    if options.runner == "slurm":
        return _batch_of_jobs(config, wanted, sources, root)
    from posekit.batching.holding import holding

    with holding(folder, options.part):
        settings = wanted.settings(root)
        plan = _plan(wanted, settings, sources)
        ended = _work_off(plan, wanted, settings, show_progress)
    return _result(sources, plan, ended, time.monotonic() - start, folder)


def _batch_of_jobs(
    config: Mapping[str, Any], wanted: _Wanted, sources: Sequence[Source], root: str
) -> BatchResult:
    """Submits what there is to do; all that can be refused is refused before it waits in a queue.

    Weights are fetched here, since the machines of a cluster often have no network.
    """
    from posekit.batching.holding import holding
    from posekit.batching.runners.slurm import run_jobs

    options, settings = wanted.options, wanted.settings(root)
    # Jobs of an earlier call may be at work; settings that agree are not written again.
    agree = stored_settings(options.folder) == settings
    with contextlib.nullcontext() if agree else holding(options.folder, None):
        plan = _plan(wanted, settings, sources)
    todo = [task.source for task in plan.tasks]
    return run_jobs(config, options, sources, todo, batch_composed)


def _plan(wanted: _Wanted, settings: Settings, sources: Sequence[Source]) -> Plan:
    """What there is to do, if the folder's results may be continued."""
    options = wanted.options
    known = latest_entries(options.folder)
    agreed_settings(options.folder, settings, known, overwrite=options.overwrite)
    plan = make_plan(
        sources,
        known,
        folder=options.folder,
        fingerprint=settings.fingerprint,
        retry_failed=options.retry_failed,
    )
    _say(plan.notes)
    return plan


@dataclass(frozen=True)
class _Wanted:
    """A configuration, checked."""

    options: BatchOptions
    parts: Parts
    loading: dict[str, Any]
    predicting: dict[str, Any]

    def settings(self, root: str) -> Settings:
        from posekit.batching.settings import settings_of

        written = {"formats": list(self.formats), "drawings": self.options.drawings or None}
        return settings_of(self.parts, self.loading, {**self.predicting, **written}, root)

    @property
    def formats(self) -> tuple[str, ...]:
        formats = self.options.formats
        return (formats,) if isinstance(formats, str) else tuple(dict.fromkeys(formats))


def _read(config: Mapping[str, Any]) -> _Wanted:
    """Checks all that can be checked without a network."""
    options = BatchOptions.from_config(config)
    if config["bboxes"] is not None:
        raise InputError("bboxes does not apply to a batch: use posekit predict")
    LoadOptions.from_config(config)
    declared = PredictOptions.declared()
    predicting = {
        name: config[name]
        for name in PREDICTED
        if name in config and config[name] != declared[name].default
    }
    written = {"formats": options.formats, "pred_out_dir": options.out_dir}
    predict = PredictOptions.from_keywords({**predicting, **written})
    if (needed := predict.tracked_for) is not None:  # said here, not again for each clip
        predicting["track"] = predict.similarity
        log.warning("format %s needs track ids: using track=%s", needed, predict.similarity)
    from posekit.parts import composed_parts

    parts = composed_parts(config)
    predict.check_parts(parts)
    loading = {name: config[name] for name in ("speed", "device", "dtype", "backend")}
    wanted = _Wanted(options, parts, loading, predicting)
    _check_formats(wanted)
    return wanted


def _check_formats(wanted: _Wanted) -> None:
    """Refuses a format that cannot hold such results, before anything runs."""
    from posekit.skeleton import load_skeleton

    parts = wanted.parts
    assert parts.model is not None
    spec: Any = parts.model.spec
    skeleton = load_skeleton(spec.keypoints, search=parts.search)
    skeleton_3d = skeleton if getattr(spec, "keypoints_3d", False) else None
    if parts.lifter is not None:
        lifter: Any = parts.lifter.spec
        skeleton_3d = load_skeleton(lifter.keypoints, search=parts.search)
    for name in wanted.formats:
        if check := getattr(load_format(name), "check", None):
            check(Run(skeleton=skeleton, skeleton_3d=skeleton_3d))


@dataclass
class _Ended:
    entries: dict[str, Entry]
    interrupted: bool = False
    stopped: str | None = None


def _work_off(plan: Plan, wanted: _Wanted, settings: Settings, show_progress: bool) -> _Ended:
    """Does the tasks and writes down how each ended."""
    from posekit.batching.runners.local import default_threads
    from posekit.batching.splitting import LEAST_BYTES, outcomes
    from posekit.batching.tasks import Job

    ended, stop, options = _Ended({}), Stop(), wanted.options
    if not plan.tasks:
        return ended
    job = Job(
        parts=_noted(wanted.parts),
        loading=wanted.loading,
        options=wanted.predicting,
        formats=wanted.formats,
        drawings=options.drawings,
        folder=options.folder,
        threads=default_threads(options),
        fingerprint=settings.fingerprint,
    )
    runner: Callable[..., Iterator[Outcome]] = import_module(
        f"posekit.batching.runners.{options.runner}"
    ).run
    with (
        Manifest(manifest_path(options.folder, options.part)) as manifest,
        Progress(len(plan.tasks), show=show_progress) as bar,
        stopping_on_ctrl_c(stop),
    ):
        for outcome in outcomes(
            plan.tasks,
            job,
            options.piece_seconds,
            lambda tasks: runner(job, tasks, options, stop, bar.frames),
            stop,
            least_bytes=LEAST_BYTES if options.split == "auto" else 0,
        ):
            bar.clip()
            reason = outcome.stop or _append(manifest, outcome.entry)
            if reason is None:
                ended.entries[outcome.entry.path] = outcome.entry
            else:
                # Of the disk, not of the clip: that is as if it had not been tried.
                ended.stopped, stop.requested = ended.stopped or reason, True
    ended.interrupted = stop.requested and ended.stopped is None
    return ended


def _noted(parts: Parts) -> Parts:
    """Says what there is to say of the model here; the workers, which would say it too, do not."""
    model: Any = parts.model
    if model.spec.note is None:
        return parts
    log.warning("%s %s", model.spec.name, model.spec.note)
    spec = dataclasses.replace(model.spec, note=None)
    return parts._replace(model=model._replace(spec=spec))


def _append(manifest: Manifest, entry: Entry) -> str | None:
    """Why a line could not be written; None where it was."""
    try:
        manifest.append(entry)
    except OutputError as error:
        return str(error)
    return None


def _result(
    sources: Sequence[Source], plan: Plan, ended: _Ended, seconds: float, folder: Path
) -> BatchResult:
    known = {entry.path: entry for entry in plan.before} | ended.entries
    entries = tuple(known[one.path] for one in sources if one.path in known)
    return BatchResult(
        entries=entries,
        now=len(ended.entries),
        left=len(sources) - len(entries),
        seconds=seconds,
        interrupted=ended.interrupted,
        stopped=ended.stopped,
        folder=str(folder),
    )


def _say(notes: Sequence[str]) -> None:
    for note in notes[:NOTES]:
        log.warning("%s", note)
    if len(notes) > NOTES:
        log.warning("... and %d more", len(notes) - NOTES)
