"""Tables of results -> other formats, without the networks."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from posekit.declared import function_takes, option
from posekit.errors import InputError
from posekit.files import prediction_formats
from posekit.io.motion_options import MotionOptions
from posekit.io.picked_frames import Pick
from posekit.io.read_table import ResultTable, read_table
from posekit.io.sinks import Format, check_count, needs
from posekit.io.sinks.coco import image_of
from posekit.io.write import ResultWriter, chosen_formats, common_folder
from posekit.stages.packet import Packet
from posekit.stages.smooth import SmoothOptions
from posekit.stages.smoothing import smoothed
from posekit.stages.track import Tracker

__all__ = ["ConvertOptions", "convert"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(SmoothOptions, MotionOptions):
    """Output files."""

    formats: Any = option(
        None,
        "the format to write, or several such as `[csv,coco]`",
        choices=prediction_formats(),
    )
    out_dir: str | os.PathLike[str] | None = option(
        None, "the folder for the files; if unset, that of the first table"
    )
    kpt_thr: float = option(
        0.3, "in label formats, keypoints below this score count as not visible"
    )
    frames: int | None = option(
        None,
        "only every N-th frame of a video; `coco` and `label_studio` name frames as image "
        "files, which are written beside the labels",
        least=1,
    )
    least_certain: int | None = option(
        None,
        "of these, only the N frames with the lowest mean keypoint score of any person; "
        "images are written as with `frames`",
        least=1,
    )


@function_takes(ConvertOptions)
def convert(
    tables: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], options: ConvertOptions
) -> list[Path]:
    """Converts Parquet results to other formats.

    Args:
        tables: files written by `pred_format=parquet`, from models with the same keypoints.
        {options}

    Returns:
        The tables that are incomplete, since their video was not read to the end.

    Raises:
        InputError: no such file, another kind of file, a format that cannot hold the results, or
            a video whose frames are to be written as images and which is no longer there.
        OutputError: a file cannot be written.
    """
    if options.formats is None:
        raise InputError(f"formats is missing: name one of {', '.join(prediction_formats())}")
    one = isinstance(tables, str | os.PathLike)
    paths = [Path(tables)] if one else [Path(table) for table in tables]  # type: ignore[arg-type, union-attr]
    if not paths:
        raise InputError("expected a table of results, found none")
    found = [read_table(path) for path in paths]
    _check_alike(found)
    formats = chosen_formats(options.formats)
    check_count(options, formats)
    named = bool(needs(formats, "tracks")) or options.smooth is not None
    for table in found:
        _check_table(table, formats, options)
    folder = paths[0].parent if options.out_dir is None else Path(options.out_dir)
    run = replace(found[0].run, kpt_thr=options.kpt_thr, root=_root(found), settings=options)
    picks = [Pick.of(table, options.frames, options.least_certain) for table in found]
    with ResultWriter(
        folder,
        None,
        formats=formats,
        inputs=lambda: paths,
        run=run,
    ) as writer:
        for table, pick in zip(found, picks, strict=True):
            if table.clip is not None and not table.complete:
                writer.skip(table.clip.source, f"{table.path.name} is not complete")
            for packet in _packets(table, writer, options, named=named):
                if pick is not None:
                    if not pick.has(packet):
                        continue
                    pick.write_picture(packet, folder / image_of(packet, 0, run)["file_name"])
                writer.write(packet)
    return [table.path for table in found if not table.complete]


def _root(tables: Sequence[ResultTable]) -> Path | None:
    """What paths of clips are relative to, as where they were predicted together."""
    clips = [table.clip for table in tables if table.clip is not None]
    if len(clips) < len(tables):
        return None
    return common_folder([Path(clip.source) for clip in clips])


def _check_table(table: ResultTable, formats: Sequence[Format], options: ConvertOptions) -> None:
    """Refuses what has no effect, or no sense, with what a table holds."""
    if table.clip is None and (timed := needs(formats, "time")):
        raise InputError(
            f"format {timed[0]} is for videos, whose frames have times; {table.path} is of images"
        )
    for name, declared in options.declared().items():
        of_2d = declared.about.only == "2D" and table.run.skeleton_3d is not None
        if of_2d and getattr(options, name) != declared.default:
            raise InputError(f"{name} applies to 2D models only, and {table.path} has 3D keypoints")


def _packets(
    table: ResultTable, writer: ResultWriter, options: ConvertOptions, *, named: bool
) -> Iterator[Packet]:
    """A table's results, with ids where these are wanted, smoothed where that is."""

    def read() -> Iterator[Packet]:
        tracker: Tracker | None = None
        for packet in table.packets():
            if isinstance(packet, tuple):
                writer.skip(*packet)
                continue
            result = packet.result
            nameless = len(result) > 0 and result.track_ids is None
            if tracker is None and named and packet.clip is not None and nameless:
                log.warning("%s has no track ids: using track=iou", table.path)
                tracker = Tracker(sigmas=result.skeleton.sigmas or None)
            if tracker is not None:
                ids = tracker.update(
                    result.boxes_xyxy, result.box_scores, result.keypoints, result.keypoint_scores
                )
                packet = packet.having(track_ids=ids)
            yield packet

    return smoothed(read(), options)


def _check_alike(tables: Sequence[ResultTable]) -> None:
    first = tables[0]
    for table in tables[1:]:
        if table.run.skeleton.names != first.run.skeleton.names or (
            table.run.skeleton_3d != first.run.skeleton_3d
        ):
            raise InputError(
                f"expected the same keypoints in all tables, found {first.run.skeleton.name} in "
                f"{first.path} and {table.run.skeleton.name} in {table.path}; convert them apart"
            )
