"""What an export is compared and calibrated on: inputs as the network gets them in prediction."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from posekit.datasets.synthetic import generate_scene
from posekit.errors import DownloadError, InputError, first_line
from posekit.exporting.graph import Processed
from posekit.exporting.sequences import drawn_sequences
from posekit.io import read_frames
from posekit.stages.detect import Detector
from posekit.stages.estimate import PoseEstimator
from posekit.stages.lift import Lifter
from posekit.stages.one_stage import OneStageEstimator, letterbox_cs
from posekit.transforms.image import letterbox

__all__ = ["MAX_CALIBRATING", "MAX_COMPARED", "Samples", "read_images", "take_samples"]

MAX_IMAGES = 80  # that are looked at
MAX_COMPARED = 16
MAX_CALIBRATING = 64
DRAWN_SCENES = 32
BOX_SCORE = 0.3  # of people whose crops are taken

log = logging.getLogger(__name__)


class Samples(NamedTuple):
    """Crops, for a detector whole images, and for a lifter sequences of joints.

    Attributes:
        compared: (n, h, w, 3), BGR, uint8, up to 16; or (n, T, 17, 2), in pixels.
        calibrating: others, up to 64; the same one if there is only one.
        inputs: what they show, in words.
        boxes: where the crops' boxes are from; None where there are no crops.
    """

    compared: np.ndarray
    calibrating: np.ndarray
    inputs: str
    boxes: str | None


def read_images(inputs: Any) -> list[np.ndarray]:
    """The images to take samples of, (H, W, 3), BGR, uint8; empty where `inputs` is None.

    Args:
        inputs: as `posekit.io.read_frames` takes them.

    Raises:
        InputError: an input that cannot be read, or none.
    """
    if inputs is None:
        return []
    with read_frames(inputs) as frames:
        images = [frame.image for frame in itertools.islice(frames, MAX_IMAGES)]
    if not images:
        raise InputError("inputs is empty: name an image or a folder, or leave it out")
    return images


def take_samples(
    network: Processed,
    images: Sequence[np.ndarray],
    *,
    find: Callable[[], Detector] | None = None,
    categories: Collection[int] = (0,),
    calibrate: bool = False,
) -> Samples:
    """Crops of the people in images, or of drawn people where there are no images.

    Args:
        network: what is exported.
        images: (H, W, 3) each, BGR, uint8.
        find: makes the detector that finds people; None where the whole image is the box.
        categories: the detector's classes that count as people.
        calibrate: whether to keep some crops for calibration.
    """
    if isinstance(network, Lifter):
        sequences = drawn_sequences(network, MAX_COMPARED + MAX_CALIBRATING * calibrate)
        return _divided(sequences, "drawn people", None, calibrate=calibrate)
    inputs, source = f"{len(images)} images", None
    if images:
        if isinstance(network, PoseEstimator):
            boxes, source = _found_boxes(images, find, categories)
    else:
        count = DRAWN_SCENES if calibrate else MAX_COMPARED  # which takes a second
        scenes = [generate_scene(seed) for seed in range(count)]
        images, boxes = [scene.image for scene in scenes], [scene.boxes_xyxy for scene in scenes]
        inputs, source = "drawn people", "labels"
    if isinstance(network, Detector):
        samples, source = _letterboxed(network, images), None
    elif isinstance(network, OneStageEstimator):
        images, source = images[: MAX_COMPARED + MAX_CALIBRATING], None
        sizes = [(image.shape[1], image.shape[0]) for image in images]
        samples = np.asarray(network.letterbox(images, *letterbox_cs(sizes, network.input_size)))
    else:
        samples = _crops(network, images, boxes)
    return _divided(samples, inputs, source, calibrate=calibrate)


def _divided(samples: np.ndarray, inputs: str, boxes: str | None, *, calibrate: bool) -> Samples:
    """Those that are compared, and those that are calibrated on."""
    numbers = np.arange(len(samples))
    is_compared = numbers < MAX_COMPARED
    if calibrate:  # every other one, so that both see all images
        is_compared = (numbers % 2 == 0) & (numbers < 2 * MAX_COMPARED)
    compared, others = samples[is_compared], samples[~is_compared]
    return Samples(compared, others if len(others) else compared, inputs, boxes)


def _found_boxes(
    images: Sequence[np.ndarray],
    find: Callable[[], Detector] | None,
    categories: Collection[int],
) -> tuple[list[np.ndarray], str]:
    """Boxes (n, 4) of each image, and where they are from."""
    if find is None:
        whole = [np.array([[0, 0, *image.shape[1::-1]]], np.float32) for image in images]
        return whole, "whole images"
    try:
        detector = find()
    except DownloadError as error:
        reason = f"the detector has no weights: {first_line(error)}"
    else:
        boxes = []
        for detections in detector(images, score_threshold=BOX_SCORE):
            chosen = detections.select(categories, score_threshold=BOX_SCORE, nms_threshold=0.3)
            boxes.append(chosen.boxes_xyxy)
        if any(map(len, boxes)):
            return boxes, "the detector"
        reason = "the detector finds nothing in the images"
    log.warning(
        "%s; parts of the images are used as crops instead, on which a model may be less "
        "certain. Choose another detector with detector=NAME detector_weights=FILE",
        reason,
    )
    return [_parts(image) for image in images], "parts of images"


def _parts(image: np.ndarray) -> np.ndarray:
    """The whole image, its middle and its halves, (4, 4): several sizes and aspects."""
    height, width = image.shape[:2]
    parts = [(0, 0, 1, 1), (0.25, 0.25, 0.75, 0.75), (0, 0, 0.5, 1), (0.5, 0, 1, 1)]
    return np.array(parts, np.float32) * np.array([width, height, width, height], np.float32)


def _crops(
    estimator: PoseEstimator, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
) -> np.ndarray:
    """One of each image before a second of any."""
    of_images = [
        [(image, box[None]) for box in own] for image, own in zip(images, boxes, strict=True)
    ]
    rounds = itertools.zip_longest(*of_images)
    pairs = [pair for turn in rounds for pair in turn if pair is not None]
    pairs = pairs[: MAX_COMPARED + MAX_CALIBRATING]
    (crops,) = estimator.crop_batches(
        [image for image, _ in pairs], [box for _, box in pairs], batch_size=len(pairs)
    )
    return np.asarray(crops.pixels)[..., :3]


def _letterboxed(detector: Detector, images: Sequence[np.ndarray]) -> np.ndarray:
    width, height = detector.input_size
    images = images[: MAX_COMPARED + MAX_CALIBRATING]
    batch = np.empty((len(images), height, width, 3), np.uint8)
    for image, out in zip(images, batch, strict=True):
        letterbox(image, out, detector.pad_value, keep_ratio=detector.keep_ratio)
    return batch
