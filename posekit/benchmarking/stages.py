"""Where the time of a frame goes, from its file to that of the drawing."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from posekit.benchmarking.machine import wait_for
from posekit.benchmarking.networks import MeasuredPart
from posekit.benchmarking.options import BenchOptions
from posekit.benchmarking.results import StageTimes
from posekit.codecs.one_stage import Cells
from posekit.drawing.overlay import draw_pose
from posekit.io import open_clip, read_frames, read_image
from posekit.io.video import VideoWriter
from posekit.skeleton import load_skeleton
from posekit.spec import DetectorSpec, OneStageSpec, PoseSpec
from posekit.stages.detect import Detector
from posekit.stages.estimate import PoseEstimator, Poses
from posekit.stages.one_stage import OneStageEstimator
from posekit.timeline import Timeline, recording, span
from posekit.transforms.device import place_images

__all__ = [
    "FRAME_SIZE",
    "engines_of_stages",
    "frame_conditions",
    "made_up_boxes",
    "make_up_people",
    "measure_stages",
    "prediction_stages",
    "read_some_frames",
]

FRAME_SIZE = (960, 540)
DECODED = 32  # frames, one after the other
KEPT = 8  # of these, for the other stages
CANDIDATES = 10  # cells of a one-stage model for each person, of which suppression leaves one
WARM_UP = 2  # frames that are not counted
FRAME, AROUND = "whole frame", "around the networks"
NETWORKS = ("detect: network", "pose: network")
WHOLE = ("copy to the device", "detect: all of it", "pose: all of it")
# In the order of a frame; `all of it` holds the ones before it.
STAGES = (
    "copy to the device", "detect: letterbox", "detect: network", "detect: decode boxes",
    "detect: suppress", "detect: all of it", "crop", "pose: letterbox", "pose: normalise",
    "pose: network", "pose: decode keypoints", "pose: all of it", "draw", "encode", FRAME, AROUND,
)  # fmt: skip


def measure_stages(
    parts: Mapping[str, MeasuredPart],
    search: Sequence[Path],
    options: BenchOptions,
    failed: Collection[str],
    images: Sequence[np.ndarray],
    decoding: np.ndarray | None,
) -> Iterator[StageTimes]:
    """Milliseconds of each stage of a frame, with each engine that was named.

    Args:
        parts: the model, and the detector if there is one.
        search: folders of configurations to look into first.
        options: what is measured.
        failed: engines that cannot be measured, as the tables of networks name them.
        images: frames (H, W, 3), all of one size.
        decoding: (2,), elapsed and processor time of decoding one; None if nothing is decoded.
    """
    for kind in engines_of_stages(options, failed):
        stages = {} if decoding is None else {"decode": decoding}
        stages |= _stage_times(parts, search, options, kind, images)
        if decoding is not None:
            stages[FRAME] = stages[FRAME] + decoding
        yield StageTimes(
            kind,
            {name: float(taken[0]) for name, taken in stages.items()},
            {name: float(taken[1]) for name, taken in stages.items()},
        )


def engines_of_stages(options: BenchOptions, failed: Collection[str]) -> list[str]:
    """The engines that were named and run; if none was named, `auto`, which takes the fastest."""
    named = dict.fromkeys(options.backends or ["auto"])
    return [kind for kind in named if f"backend={kind}" not in failed]


def _stage_times(
    parts: Mapping[str, MeasuredPart],
    search: Sequence[Path],
    options: BenchOptions,
    kind: str,
    images: Sequence[np.ndarray],
) -> dict[str, np.ndarray]:
    """Medians (2,) of all stages after decoding: elapsed and the thread's processor time."""
    estimator, detector = prediction_stages(parts, search, kind)
    size = (images[0].shape[1], images[0].shape[0])
    boxes = made_up_boxes(size, options.people)
    if isinstance(estimator, OneStageEstimator):
        make_up_people(estimator, options.people)
    with (
        recording(lambda: wait_for(estimator.device)) as timeline,
        tempfile.TemporaryDirectory() as folder,
        VideoWriter(Path(folder) / "clip.mp4", fps=25.0, size=size) as writer,
    ):
        some = itertools.islice(itertools.cycle(images), options.rounds + WARM_UP)
        for number, image in enumerate(some):
            with span(FRAME):
                with span("copy to the device"):
                    placed = place_images([image], estimator.device)
                if detector is not None:
                    with span("detect: all of it"):
                        detector(placed, score_threshold=0.3)
                with span("pose: all of it"):
                    poses = _poses(estimator, placed, boxes, options)
                with span("draw"):
                    drawing = draw_pose(image, poses.keypoints, poses.scores, estimator.skeleton)
                with span("encode"):
                    writer.write(drawing, number / 25)
    return _medians(timeline)


def _poses(
    estimator: PoseEstimator | OneStageEstimator,
    placed: Sequence[np.ndarray | Tensor],
    boxes: np.ndarray,
    options: BenchOptions,
) -> Poses:
    """The poses of one image."""
    if isinstance(estimator, OneStageEstimator):
        return estimator(placed)[0].poses
    return estimator(placed, [boxes], flip_test=options.flip_test)[0]


def make_up_people(estimator: OneStageEstimator, count: int) -> None:
    """Takes the cells with the best scores as people, after suppression among ten times as many.

    So their number does not depend on the weights, which may be random.
    """
    choose = estimator._choose

    def best(cells: Cells, score_threshold: float, nms_threshold: float) -> list[np.ndarray]:
        scores, places = cells.scores.topk(min(CANDIDATES * count, cells.scores.shape[1]))
        choose(cells, float(scores.min()), nms_threshold)
        return list(places[:, :count].cpu().numpy())

    estimator._choose = best  # type: ignore[method-assign]


def _medians(timeline: Timeline) -> dict[str, np.ndarray]:
    """Medians of each stage, in the order of a frame."""
    frames: list[dict[str, np.ndarray]] = []
    stages: dict[str, np.ndarray] = {}
    for name, _, start, end, cpu, _ in timeline.spans:
        # A stage may come several times in a frame, as with a flip test.
        stages[name] = stages.get(name, 0.0) + np.array([end - start, cpu]) / 1e6
        if name == FRAME:
            frames.append(stages | {AROUND: _sum(stages, WHOLE) - _sum(stages, NETWORKS)})
            stages = {}
    return {
        name: np.median(found, axis=0)
        for name in STAGES
        if (found := [frame[name] for frame in frames[WARM_UP:] if name in frame])
    }


def _sum(stages: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    return np.sum([stages[name] for name in names if name in stages], axis=0)


def prediction_stages(
    parts: Mapping[str, MeasuredPart],
    search: Sequence[Path],
    kind: str,
    make_detector: Callable[..., Detector] = Detector,
) -> tuple[PoseEstimator | OneStageEstimator, Detector | None]:
    """Estimator and detector, as prediction makes them."""
    model = parts["model"]
    assert isinstance(model.spec, PoseSpec | OneStageSpec)
    skeleton = load_skeleton(model.spec.keypoints, search=search)
    if isinstance(model.spec, OneStageSpec):
        found = OneStageEstimator(model.net, model.spec, skeleton, backend=model.engine(kind))
        return found, None
    estimator = PoseEstimator(model.net, model.spec, skeleton, backend=model.engine(kind))
    if "detector" not in parts:
        return estimator, None
    part = parts["detector"]
    assert isinstance(part.spec, DetectorSpec)
    return estimator, make_detector(part.net, part.spec, backend=part.engine(kind))


def frame_conditions(options: BenchOptions) -> dict[str, Any]:
    """What the stages are measured with."""
    return {
        "dtype": options.floating_type,
        "inputs": options.inputs and str(options.inputs),
        "people": options.people,
        "flip_test": options.flip_test,
        "rounds": options.rounds,
    }


def read_some_frames(inputs: Any) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Images (H, W, 3) of one size for the stages, and the time of decoding one.

    They are decoded one after the other with nothing in between: FFmpeg's own threads work ahead
    while other stages run, which would hide most of it.

    Args:
        inputs: files; None for noise, of which nothing is decoded.
    """
    if inputs is None:
        noise = np.random.default_rng(0).integers(0, 255, (*FRAME_SIZE[::-1], 3), np.uint8)
        return [noise], None
    with contextlib.closing(_decoded(inputs)) as frames:
        images = [next(frames)]
        start, busy = time.perf_counter(), time.process_time()  # that of FFmpeg's threads too
        for _ in range(DECODED):
            image = next(frames)
            if len(images) < KEPT and image.shape == images[0].shape:
                images.append(image)
        taken = np.array([time.perf_counter() - start, time.process_time() - busy])
        return images, 1e3 * taken / DECODED


def _decoded(inputs: Any) -> Generator[np.ndarray, None, None]:
    """Images (H, W, 3) as prediction decodes them, again and again, in the thread that asks."""
    # Reads the files from the disk too, which is not measured.
    with read_frames(inputs) as frames:
        first = itertools.islice(frames, DECODED)
        files = {str(frame.source): frame.clip is not None for frame in first}
    while True:
        for file, is_video in files.items():
            if not is_video:
                yield read_image(Path(file))
                continue
            with open_clip(Path(file)) as video:
                for image, _ in video:
                    yield image


def made_up_boxes(size: tuple[int, int], people: int) -> np.ndarray:
    """(people, 4): upright people, side by side."""
    width, height = size
    left = np.linspace(0, width * 0.8, people)
    right = left + min(width * 0.2, height * 0.3)
    return np.stack(
        [left, np.full(people, height * 0.2), right, np.full(people, height * 0.8)], axis=1
    ).astype(np.float32)
