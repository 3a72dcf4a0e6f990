"""Clips and what was done before -> what there is to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from posekit.batching.manifest import Entry
from posekit.batching.settings import Settings, stored_settings
from posekit.batching.sources import Source
from posekit.batching.tasks import Task
from posekit.errors import InputError

__all__ = ["Plan", "agreed_settings", "make_plan"]


@dataclass
class Plan:
    """What there is to do.

    Attributes:
        tasks: to do, in order.
        before: the entries of clips that are not done again.
        notes: why some clips are done again, a line each.
    """

    tasks: list[Task] = field(default_factory=list)
    before: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def agreed_settings(
    folder: Path, wanted: Settings, known: Mapping[str, Entry], *, overwrite: bool
) -> None:
    """Checks that a folder's results were made with these settings, and stores these there.

    Raises:
        InputError: they were made with others, and may not be overwritten.
    """
    stored = stored_settings(folder)
    if stored == wanted:
        return
    if stored is not None and known and not overwrite:
        if changed := stored.differences(wanted):
            raise InputError(
                f"{folder} has results of other settings: {changed}; use another out_dir, or "
                "overwrite=true to do all clips again"
            )
        raise InputError(
            f"the results in {folder} are named relative to {stored.root}, those of these "
            f"inputs to {wanted.root}: set base={stored.root} if it contains them all, use "
            "another out_dir, or overwrite=true to do all clips again"
        )
    if stored is None and known and not overwrite:
        raise InputError(
            f"{folder} has a manifest that does not say how its results were made: use another "
            "out_dir, or overwrite=true to do all clips again"
        )
    wanted.store(folder)


def make_plan(
    sources: Sequence[Source],
    known: Mapping[str, Entry],
    *,
    folder: Path,
    fingerprint: str,
    retry_failed: bool = False,
) -> Plan:
    """Leaves out clips that are done, and says why some of them are done again.

    Args:
        sources: all clips.
        known: the latest attempt at each, by its path.
        folder: folder of the results.
        fingerprint: hash of the settings; results of other settings are done again.
        retry_failed: do failed and partial clips again.
    """
    plan = Plan()
    for source in sources:
        entry = known.get(source.path)
        if entry is None:
            plan.tasks.append(Task(source))
            continue
        reason = _why_again(entry, source, folder, fingerprint)
        if reason is None and not (retry_failed and entry.status != "done"):
            plan.before.append(entry)
            continue
        if reason:
            plan.notes.append(f"{source.path}: {reason}, so it is processed again")
        plan.tasks.append(Task(source, entry.attempt + 1, entry.outputs))
    return plan


def _why_again(entry: Entry, source: Source, folder: Path, fingerprint: str) -> str | None:
    if entry.fingerprint != fingerprint or entry.name != source.name:
        return ""  # asked for, with overwrite=true
    # What was done of a clip that is gone stays.
    there = (source.size, source.changed) != (None, None)
    if there and (entry.size, entry.mtime) != (source.size, source.changed):
        return "it has changed since"
    if gone := [name for name in entry.outputs if not (folder / name).exists()]:
        return f"its {gone[0]} is gone"
    return None
