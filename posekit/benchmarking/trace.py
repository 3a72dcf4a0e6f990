"""A clip through all of prediction, as a timeline of its threads."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from posekit.benchmarking.networks import MeasuredPart
from posekit.benchmarking.options import BenchOptions
from posekit.benchmarking.stages import (
    engines_of_stages,
    made_up_boxes,
    make_up_people,
    prediction_stages,
)
from posekit.errors import InputError
from posekit.io.video import VideoWriter
from posekit.predictor import Predictor
from posekit.stages.boxes import Boxes
from posekit.stages.detect import Detector
from posekit.stages.one_stage import OneStageEstimator
from posekit.timeline import Timeline, recording

__all__ = ["trace_prediction"]

TRACED = 100  # frames, at most
NOISE = 24  # frames, where no input is named


def trace_prediction(
    parts: Mapping[str, MeasuredPart],
    search: Sequence[Path],
    options: BenchOptions,
    failed: Collection[str],
    images: Sequence[np.ndarray],
) -> Timeline:
    """The spans of all threads; see the option `trace`.

    The detector runs as usual, and the pose network gets made-up people, as in the stages of a
    frame. The first engine that was named runs both; on a GPU a span ends when the work has been
    submitted.

    Args:
        parts, search, options, failed, images: as in `measure_stages`.

    Raises:
        InputError: no engine runs here.
    """
    engines = engines_of_stages(options, failed)
    if not engines:
        raise InputError("trace needs an engine that runs the networks: name another in backends")

    class Crowd(Detector):
        def find_boxes(
            self, images: Sequence[np.ndarray | Tensor], *how: Any, **known: Any
        ) -> list[Boxes]:
            super().find_boxes(images, *how, **known)
            return [Boxes(boxes(image), np.ones(options.people, np.float32)) for image in images]

    def boxes(image: np.ndarray | Tensor) -> np.ndarray:
        return made_up_boxes((image.shape[1], image.shape[0]), options.people)

    estimator, detector = prediction_stages(parts, search, engines[0], Crowd)
    predictor = Predictor(estimator, detector)
    # Without a detector; some are asked for ahead.
    given = {} if detector is not None else {"bboxes": [boxes(images[0])] * (2 * TRACED)}
    how: dict[str, Any] = {"flip_test": options.flip_test, "track": "iou", **given}
    if isinstance(estimator, OneStageEstimator):
        make_up_people(estimator, options.people)
        how = {"track": "iou"}
    with tempfile.TemporaryDirectory() as folder:
        inputs = options.inputs
        if inputs is None:
            inputs = _noise(Path(folder) / "noise.mp4", images[0])
        # Engines compile when the first images come.
        list(itertools.islice(predictor.stream(inputs, **how), 10))
        with recording() as timeline:
            stream: Any = predictor.stream(inputs, out_dir=Path(folder) / "out", **how)
            list(itertools.islice(stream, TRACED))
            stream.close()
    return timeline


def _noise(path: Path, image: np.ndarray) -> Path:
    with VideoWriter(path, fps=25.0, size=(image.shape[1], image.shape[0])) as writer:
        for number in range(NOISE):
            writer.write(np.roll(image, 8 * number, axis=1))
    return path
