"""Pieces of a long clip: computed by any worker, kept on disk, finally written as one clip.

A piece is a range of frames that begins where a batch of the networks would begin anyway, so the
results equal those of the whole clip. Its file has all that the formats need; nothing in it can
run.
"""

from __future__ import annotations

import dataclasses
import io
import json
import secrets
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from posekit.batching.outputs import prefix_of
from posekit.batching.tasks import Job, Outcome, Task, entry_of, full_disk, in_words
from posekit.errors import InputError, OutputError
from posekit.files import make_folder, put_on_disk
from posekit.io import Inputs, read_frames
from posekit.io.inputs import PartOfClip
from posekit.io.listing import Listing
from posekit.options import PredictOptions
from posekit.result import Pose3D, PoseResult
from posekit.skeleton import Skeleton
from posekit.stages.packet import Clip, Packet, Stretch

if TYPE_CHECKING:
    from posekit.predictor import Predictor

__all__ = [
    "WHOLE",
    "Piece",
    "clip_of",
    "do_piece",
    "folder_of",
    "load_piece",
    "packets_of",
    "piece_path",
]

FORMAT = 1
# What a piece's folder has where its clip is to be done whole.
WHOLE = "whole"


def folder_of(folder: Path, task: Task) -> Path:
    """The folder of a clip's pieces, removed together with the clip's other unfinished files."""
    parent = (folder / task.source.name).parent
    return parent / f"{prefix_of(task.source)}pieces.part"


def piece_path(folder: Path, task: Task) -> Path:
    """The file of a piece."""
    assert task.frames is not None
    first, last = task.frames
    return folder_of(folder, task) / f"{first}-{'end' if last is None else last}.npz"


@dataclass(frozen=True)
class Piece:
    """The description of a piece.

    Attributes:
        clip: name, source, size, frames per second and number of frames, as a reader reports them.
        begin: seconds of its first frame; None if it has none.
        following: seconds of the frame after the last one; None at the clip's end.
        frames: number of results.
        seconds: the time taken.
        device, host: the device and the machine that computed it.
        solid: unit, axes and upward axis of 3D keypoints; None if there are none.
    """

    clip: dict[str, Any]
    begin: float | None
    following: float | None
    frames: int
    seconds: float
    device: str
    host: str
    solid: list[str] | None = None


def do_piece(
    task: Task, job: Job, predictor: Predictor, on_frame: Callable[[], None] = lambda: None
) -> Outcome:
    """Computes a piece and keeps it; the outcome says what is wrong with it."""
    start = time.perf_counter()
    entry = entry_of(task, job, device=str(predictor.estimator.device))
    marker = folder_of(job.folder, task) / WHOLE
    stop = whole = error = None
    packets: list[Packet] = []
    try:
        if marker.exists():
            return Outcome(entry, frames=task.frames, whole="another piece was damaged")
        stretch, failures = _compute(task, job, predictor, packets, on_frame)
        if failures or not _fits(packets, task, predictor, job):
            whole = str(failures[0]) if failures else "its frames cannot be located by number"
            make_folder(marker.parent)
            marker.touch()
        else:
            piece = Piece(
                clip=_clip_words(packets),
                begin=packets[0].time if packets else None,
                following=stretch.following,
                frames=len(packets),
                seconds=round(time.perf_counter() - start, 3),
                device=entry.device,
                host=entry.host,
                solid=_solid_words(packets),
            )
            _save(piece_path(job.folder, task), piece, packets, _identity(task, job))
    except Exception as caught:  # one clip never stops the others
        stop, error = full_disk(caught), in_words(caught, task)
    entry = dataclasses.replace(
        entry,
        status="done" if error is None else "failed",
        frames=len(packets),
        seconds=round(time.perf_counter() - start, 3),
        error=error,
    )
    return Outcome(entry, stop, task.frames, whole)


def _compute(
    task: Task,
    job: Job,
    predictor: Predictor,
    packets: list[Packet],
    on_frame: Callable[[], None],
) -> tuple[Stretch, list[InputError]]:
    assert task.frames is not None
    stretch, failures = Stretch(*task.frames), list[InputError]()
    options = predictor.prepared(PredictOptions.from_keywords(dict(job.options)))
    inputs = Inputs([PartOfClip(Path(task.source.path), stretch)], Listing())
    with read_frames(
        inputs, on_error=lambda _, error: failures.append(error), cut=options.cut
    ) as reader:
        for packet in predictor.packets(reader, options):
            packets.append(dataclasses.replace(packet, image=None))
            on_frame()
    return stretch, failures


def _fits(packets: list[Packet], task: Task, predictor: Predictor, job: Job) -> bool:
    """Whether a piece has the frames that it should have, all of one size."""
    assert task.frames is not None
    first, _ = task.frames
    stride = int(job.options.get("stride", 1))
    numbers = [packet.result.frame_id for packet in packets]
    if numbers != list(range(first, first + stride * len(numbers), stride)):
        return False
    sizes = {packet.result.image_size for packet in packets}
    return not packets or (packets[0].clip is not None and sizes == {packets[0].clip.size})


def _clip_words(packets: list[Packet]) -> dict[str, Any]:
    if not packets:
        return {}
    clip = packets[0].clip
    assert clip is not None
    return {
        "name": clip.name,
        "source": clip.source,
        "size": list(clip.size),
        "fps": str(clip.fps),
        "num_frames": clip.num_frames,
    }


def _solid_words(packets: list[Packet]) -> list[str] | None:
    found = (packet.result.pose3d for packet in packets)
    solid = next((one for one in found if one is not None), None)
    return None if solid is None else [solid.unit, solid.axes, solid.up]


def _identity(task: Task, job: Job) -> list[Any]:
    """What a piece is of: another clip, or other settings, have no use for it."""
    return [FORMAT, job.fingerprint, task.source.path, task.source.size, task.source.changed]


def _save(path: Path, piece: Piece, packets: list[Packet], identity: list[Any]) -> None:
    results = [packet.result for packet in packets]
    solids = [result.pose3d for result in results if result.pose3d is not None]
    about = json.dumps({"of": identity, **dataclasses.asdict(piece)})
    arrays: dict[str, Any] = {
        "about": np.frombuffer(about.encode(), np.uint8),
        "people": np.array([len(result) for result in results], np.int64),
        "frame_id": np.array([result.frame_id for result in results], np.int64),
        "time": np.array([result.time for result in results], np.float64),
    }
    if results:
        for name in ("keypoints", "keypoint_scores", "boxes_xyxy", "box_scores"):
            arrays[name] = np.concatenate([getattr(result, name) for result in results])
    if solids:
        for name in ("keypoints", "keypoint_scores"):
            arrays[f"{name}_3d"] = np.concatenate([getattr(solid, name) for solid in solids])
    data = io.BytesIO()
    np.savez(data, **arrays)
    make_folder(path.parent)
    temporary = path.with_name(f"{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_bytes(data.getbuffer())
        put_on_disk(temporary)
        temporary.replace(path)
        put_on_disk(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def load_piece(task: Task, job: Job) -> Piece | None:
    """The description of a finished piece; None if there is none for this clip and settings."""
    try:
        with np.load(piece_path(job.folder, task), allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes())
        if about.pop("of") != _identity(task, job):
            return None
        return Piece(**about)
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error):
        return None


def packets_of(
    task: Task, job: Job, clip: Clip, skeleton: Skeleton, skeleton_3d: Skeleton | None, start: int
) -> Iterator[Packet]:
    """The packets of a finished piece.

    Args:
        task: the piece.
        job: what all clips have in common.
        clip: the clip that they are of.
        skeleton, skeleton_3d: skeletons of their keypoints.
        start: how many frames of the clip came before.
    """
    piece = load_piece(task, job)
    assert piece is not None
    with np.load(piece_path(job.folder, task), allow_pickle=False) as file:
        arrays = dict(file)
    row = 0
    for place, count in enumerate(arrays["people"].tolist()):
        rows = slice(row, row + count)
        row += count
        pose3d = None
        if piece.solid is not None and skeleton_3d is not None:
            unit, axes, up = piece.solid
            pose3d = Pose3D(
                keypoints=arrays["keypoints_3d"][rows],
                keypoint_scores=arrays["keypoint_scores_3d"][rows],
                skeleton=skeleton_3d,
                unit=unit,
                axes=axes,
                up="z" if up == "z" else "-y",
            )
        result = PoseResult(
            keypoints=arrays["keypoints"][rows],
            keypoint_scores=arrays["keypoint_scores"][rows],
            boxes_xyxy=arrays["boxes_xyxy"][rows],
            box_scores=arrays["box_scores"][rows],
            skeleton=skeleton,
            image_size=clip.size,
            name=clip.name,
            index=start + place,
            source=clip.source,
            frame_id=int(arrays["frame_id"][place]),
            time=float(arrays["time"][place]),
            pose3d=pose3d,
        )
        yield Packet(result, clip, result.time)


def clip_of(words: dict[str, Any]) -> Clip:
    """The clip that pieces are of."""
    width, height = words["size"]
    return Clip(
        name=words["name"],
        source=words["source"],
        size=(int(width), int(height)),
        fps=Fraction(words["fps"]),
        num_frames=words["num_frames"],
    )
