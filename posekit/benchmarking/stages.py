"""Where the time of a frame goes, from its file to the drawing's."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

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
from posekit.transforms.device import place_images

__all__ = [
    "frame_conditions",
    "made_up_boxes",
    "make_up_people",
    "measure_stages",
    "read_some_frames",
]

FRAME_SIZE = (960, 540)
DECODED = 32  # frames, one after the other
KEPT = 8  # of these, for the other stages
CANDIDATES = 10  # cells of a one-stage model for each person, of which suppression leaves one


def measure_stages(
    parts: Mapping[str, MeasuredPart],
    search: Sequence[Path],
    options: BenchOptions,
    failed: Collection[str],
    images: Sequence[np.ndarray],
    decoding: float | None,
) -> Iterator[StageTimes]:
    """Milliseconds of each stage of a frame, with each of the engines that were named.

    Args:
        parts: the model, and the detector where there is one.
        search: folders of configurations to look into first.
        options: what is measured.
        failed: engines that cannot be, as the tables of networks name them.
        images: frames (H, W, 3), all of one size.
        decoding: milliseconds that decoding one takes; None where nothing is decoded.
    """
    # Where none was named all are compared by themselves, of which `auto` takes the fastest.
    for kind in dict.fromkeys(options.backends or ["auto"]):
        if f"backend={kind}" in failed:
            continue
        stages = {} if decoding is None else {"decode": decoding}
        stages |= _stage_times(parts, search, options, kind, images)
        if decoding is not None:
            stages["whole frame"] += decoding
        yield StageTimes(kind, stages)


def _stage_times(
    parts: Mapping[str, MeasuredPart],
    search: Sequence[Path],
    options: BenchOptions,
    kind: str,
    images: Sequence[np.ndarray],
) -> dict[str, float]:
    """Medians of all stages after decoding, one frame after the other."""
    estimator, detector = _predictor(parts, search, kind)
    watch = _Watch(estimator.device)
    _wrap_all(watch, estimator, detector)
    rounds = options.rounds
    size = (images[0].shape[1], images[0].shape[0])
    boxes = made_up_boxes(size, options.people)
    if isinstance(estimator, OneStageEstimator):
        make_up_people(estimator, options.people)
    with (
        tempfile.TemporaryDirectory() as folder,
        VideoWriter(Path(folder) / "clip.mp4", fps=25.0, size=size) as writer,
    ):
        for number, image in enumerate(itertools.islice(itertools.cycle(images), rounds + 2)):
            if number == 2:
                watch.times.clear()  # of warming up
            with watch.timed("whole frame"):
                with watch.timed("copy to the device"):
                    placed = place_images([image], estimator.device)
                if detector is not None:
                    with watch.timed("detect: all of it"):
                        detector(placed, score_threshold=0.3)
                with watch.timed("pose: all of it"):
                    poses = _poses(estimator, placed, boxes, options)
                with watch.timed("draw"):
                    drawing = draw_pose(image, poses.keypoints, poses.scores, estimator.skeleton)
                with watch.timed("write"):
                    writer.write(drawing, number / 25)
    return watch.stages(rounds)


def _wrap_all(
    watch: _Watch, estimator: PoseEstimator | OneStageEstimator, detector: Detector | None
) -> None:
    """Has the parts of both timed."""
    if detector is not None:
        watch.wrap(detector, "normalize", "detect: normalise")
        watch.wrap(detector, "run", "detect: network")
    watch.wrap(estimator, "normalize", "pose: normalise")
    watch.wrap(estimator, "run", "pose: network")
    if isinstance(estimator, OneStageEstimator):
        watch.wrap(estimator, "letterbox", "letterbox")
        watch.wrap(estimator, "cells", "pose: decode cells")
        watch.wrap(estimator, "classify", "pose: decode keypoints")
    else:
        watch.wrap(estimator, "crop", "crop")
        watch.wrap(estimator.codec, "decode", "pose: decode keypoints")


def _poses(
    estimator: PoseEstimator | OneStageEstimator,
    placed: Sequence[np.ndarray | torch.Tensor],
    boxes: np.ndarray,
    options: BenchOptions,
) -> Poses:
    """Those of one image."""
    if isinstance(estimator, OneStageEstimator):
        return estimator(placed)[0].poses
    return estimator(placed, [boxes], flip_test=options.flip_test)[0]


def make_up_people(estimator: OneStageEstimator, count: int) -> None:
    """Takes the cells of the best scores for people, after suppression among ten times as many.

    How many there are does not depend on the weights then, which may be random.
    """
    choose = estimator._choose

    def best(cells: Cells, score_threshold: float, nms_threshold: float) -> list[np.ndarray]:
        scores, places = cells.scores.topk(min(CANDIDATES * count, cells.scores.shape[1]))
        choose(cells, float(scores.min()), nms_threshold)
        return list(places[:, :count].cpu().numpy())

    estimator._choose = best  # type: ignore[method-assign]


class _Watch:
    """Sums what each stage of a frame takes."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.times: dict[str, list[float]] = {}

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        wait_for(self.device)
        start = time.perf_counter()
        try:
            yield
        finally:
            wait_for(self.device)
            self.times.setdefault(name, []).append(1e3 * (time.perf_counter() - start))

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        """Has the calls of an attribute timed."""
        setattr(owner, attribute, _Timed(getattr(owner, attribute), self, name))

    def stages(self, frames: int) -> dict[str, float]:
        """Medians, in the order of a frame; what no named part explains is `around`."""
        # A stage may come several times in a frame, as with a flip test.
        medians = {
            name: statistics.median(_summed(taken, frames)) for name, taken in self.times.items()
        }
        order = (
            "copy to the device", "detect: all of it", "detect: normalise",
            "detect: network", "crop", "letterbox", "pose: normalise", "pose: network",
            "pose: decode cells", "pose: decode keypoints", "pose: all of it", "draw", "write",
            "whole frame",
        )  # fmt: skip
        stages = {name: medians[name] for name in order if name in medians}
        networks = medians.get("detect: network", 0.0) + medians["pose: network"]
        whole = ("copy to the device", "detect: all of it", "pose: all of it")
        frame = sum(medians.get(name, 0.0) for name in whole)
        return stages | {"around the networks": frame - networks}


class _Timed:
    """What it stands for, except that calls are timed."""

    def __init__(self, function: Callable[..., Any], watch: _Watch, name: str) -> None:
        self._function, self._watch, self._name = function, watch, name

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        with self._watch.timed(self._name):
            return self._function(*arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)


def _summed(taken: Sequence[float], frames: int) -> list[float]:
    per_frame = max(len(taken) // frames, 1)
    return [sum(taken[i : i + per_frame]) for i in range(0, len(taken), per_frame)]


def _predictor(
    parts: Mapping[str, MeasuredPart], search: Sequence[Path], kind: str
) -> tuple[PoseEstimator | OneStageEstimator, Detector | None]:
    """As prediction makes them."""
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
    return estimator, Detector(part.net, part.spec, backend=part.engine(kind))


def frame_conditions(options: BenchOptions) -> dict[str, Any]:
    """What the stages are measured with."""
    return {
        "dtype": options.floating_type,
        "inputs": options.inputs and str(options.inputs),
        "people": options.people,
        "flip_test": options.flip_test,
        "rounds": options.rounds,
    }


def read_some_frames(inputs: Any) -> tuple[list[np.ndarray], float | None]:
    """Images (H, W, 3) of one size for the stages, and the milliseconds that decoding one takes.

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
        start = time.perf_counter()
        for _ in range(DECODED):
            image = next(frames)
            if len(images) < KEPT and image.shape == images[0].shape:
                images.append(image)
        return images, 1e3 * (time.perf_counter() - start) / DECODED


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
