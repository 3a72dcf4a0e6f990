"""People that are made up, since networks with random weights find none: how many is chosen.

The detector does all of its work; what it finds is replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import posekit
from posekit.benchmarking.stages import made_up_boxes, make_up_people
from posekit.stages.boxes import Boxes
from posekit.stages.detect import Detector
from posekit.stages.one_stage import OneStageEstimator

__all__ = ["have_people"]


def have_people(predictor: posekit.Predictor, count: int) -> posekit.Predictor:
    """The predictor, which then finds that many people in every image."""
    if isinstance(predictor.estimator, OneStageEstimator):
        make_up_people(predictor.estimator, count)
        predictor.estimator.score_threshold = -1.0
        return predictor
    detector = predictor.detector
    assert isinstance(detector, Detector)
    find = detector.find_boxes

    def found(images: Sequence[Any], *arguments: Any, **keywords: Any) -> list[Boxes]:
        find(images, *arguments, **keywords)
        ones = np.ones(count, np.float32)
        return [
            Boxes(made_up_boxes((image.shape[1], image.shape[0]), count), ones) for image in images
        ]

    detector.find_boxes = found  # type: ignore[method-assign]
    return predictor
