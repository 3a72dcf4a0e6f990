"""What an export of a lifter is compared on: people who change from one drawn pose to the next."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from posekit.codecs.lifting import METRES_PER_PIXEL, center_in_frame, coco_to_h36m
from posekit.datasets.synthetic import generate_scene
from posekit.stages.lift import Lifter

__all__ = ["drawn_sequences", "encoded", "joint_distances"]

FRAMES = 27
IMAGE_SIZE = (1000, 1000)  # pixels, as the training data's


def drawn_sequences(lifter: Lifter, count: int) -> np.ndarray:
    """Sequences (count, T, 17, 2) of Human3.6M's joints in pixels, T up to 27.

    Args:
        lifter: what is exported.
        count: of sequences.
    """
    poses: list[np.ndarray] = []
    seed = 0
    while len(poses) <= count:
        people = generate_scene(seed, degrade=False).keypoints
        poses += [person[:, :2] for person in people if person[:, 2].all()]  # whole in the image
        seed += 1
    part = np.linspace(0, 1, min(FRAMES, lifter.max_frames))[:, None, None]
    pairs = itertools.pairwise(poses[: count + 1])
    keypoints = np.stack([first * (1 - part) + last * part for first, last in pairs])
    boxes = np.concatenate([keypoints.min(axis=2), keypoints.max(axis=2)], axis=-1)
    joints = coco_to_h36m(keypoints.astype(np.float32))
    return center_in_frame(joints, boxes, center=lifter.center, scale=lifter.scale)


def encoded(lifter: Lifter, joints: np.ndarray) -> Tensor:
    """The network's input for sequences of joints (n, T, 17, 2) in pixels."""
    inputs: Tensor = lifter.codec.encode(joints, image_size=IMAGE_SIZE)
    return inputs


def joint_distances(lifter: Lifter, joints: np.ndarray, output: np.ndarray) -> np.ndarray:
    """Distances (n, T, K) between the network's 3D joints and those of a file, in pixels of 4 mm.

    Args:
        lifter: what was exported.
        joints: (n, T, 17, 2), in pixels.
        output: (n, T, K, 3), what the file gives for them.
    """
    with torch.no_grad():
        own = lifter.net(encoded(lifter, joints))
    expected, found = (
        lifter.codec.decode(outputs, image_size=IMAGE_SIZE)[0]
        for outputs in (own, torch.from_numpy(np.array(output)))
    )
    distances: np.ndarray = np.linalg.norm(found - expected, axis=-1) / METRES_PER_PIXEL
    return distances
