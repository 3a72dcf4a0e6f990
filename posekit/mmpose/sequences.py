"""MMPose's helpers for programs that track and lift by themselves: lists in, lists out.

`posekit.stages.track` and `posekit.stages.lift` do this better; these keep such programs running.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from posekit.errors import InputError
from posekit.mmpose.structures import PoseDataSample
from posekit.skeleton import load_skeleton

__all__ = [
    "collate_pose_sequence",
    "collect_multi_frames",
    "convert_keypoint_definition",
    "extract_pose_sequence",
]

# Joints of Human3.6M that are keypoints of other sets, and those: right and left leg, arms.
LIMBS = (1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16)
AIC_LIMBS = (6, 7, 8, 9, 10, 11, 3, 4, 5, 0, 1, 2)
CROWDPOSE_LIMBS = (7, 9, 11, 6, 8, 10, 0, 2, 4, 1, 3, 5)
ROOT, SPINE, THORAX, NECK, HEAD = 0, 7, 8, 9, 10
RIGHT_HIP, LEFT_HIP, LEFT_SHOULDER, RIGHT_SHOULDER = 1, 4, 11, 14
# The sets that are converted, and how many keypoints they have.
COUNTS = {"coco": 17, "posetrack18": 17, "aic": 14, "crowdpose": 14}
# Of AI Challenger and CrowdPose alike.
TOP_OF_HEAD, TOP_OF_NECK = 12, 13


def collect_multi_frames(
    video: Any, frame_id: int, indices: Sequence[int], online: bool = False
) -> list[Any]:
    """The frame itself, then those at the given distances from it.

    Args:
        video: frames by number, with a length: a list, or a reader.
        frame_id: the frame's number, from 0.
        indices: distances, negative for the past; 0 is skipped. Beyond either end of the video the
            frame at that end is repeated.
        online: look only into the past.
    """
    last = frame_id if online else len(video) - 1
    around = [min(max(frame_id + step, 0), last) for step in indices if step != 0]
    return [video[number] for number in (frame_id, *around)]


def convert_keypoint_definition(
    keypoints: np.ndarray, pose_det_dataset: str, pose_lift_dataset: str
) -> np.ndarray:
    """Keypoints of a 2D model as the joints that a lifter takes.

    Args:
        keypoints: (n, K, 2 or 3).
        pose_det_dataset: what they are: `coco`, `posetrack18`, `aic`, `crowdpose`; `h36m` and
            `coco_wholebody` stay as they are.
        pose_lift_dataset: `h36m` or `h3wb`.

    Returns:
        (n, 17, 2 or 3).

    Raises:
        InputError: other sets, or another number of keypoints.
    """
    if pose_lift_dataset not in ("h36m", "h3wb"):
        raise InputError(f"pose_lift_dataset must be h36m or h3wb, found {pose_lift_dataset!r}")
    if pose_det_dataset in ("h36m", "coco_wholebody"):
        return keypoints
    count = COUNTS.get(pose_det_dataset)
    if count is None:
        raise InputError(
            f"pose_det_dataset must be {', '.join(COUNTS)}, h36m or coco_wholebody, "
            f"found {pose_det_dataset!r}"
        )
    keypoints = np.asarray(keypoints)
    if keypoints.ndim != 3 or keypoints.shape[1] != count:
        raise InputError(
            f"expected keypoints (n, {count}, 2 or 3) of {pose_det_dataset}, "
            f"found {keypoints.shape}"
        )
    if pose_det_dataset in ("coco", "posetrack18"):
        from posekit.codecs.lifting import coco_to_h36m

        return coco_to_h36m(keypoints)
    limbs = AIC_LIMBS if pose_det_dataset == "aic" else CROWDPOSE_LIMBS
    joints = np.zeros((len(keypoints), 17, keypoints.shape[2]), keypoints.dtype)
    joints[:, LIMBS] = keypoints[:, limbs]
    joints[:, ROOT] = (joints[:, LEFT_HIP] + joints[:, RIGHT_HIP]) / 2
    joints[:, THORAX] = (joints[:, LEFT_SHOULDER] + joints[:, RIGHT_SHOULDER]) / 2
    joints[:, SPINE] = (joints[:, ROOT] + joints[:, THORAX]) / 2
    top, neck = keypoints[:, TOP_OF_HEAD], keypoints[:, TOP_OF_NECK]
    joints[:, NECK] = (3 * neck + top) / 4
    joints[:, HEAD] = (5 * neck + 7 * top) / 12
    return joints


def extract_pose_sequence(
    pose_results: Sequence[Any], frame_idx: int, causal: bool, seq_len: int, step: int = 1
) -> list[Any]:
    """The frames around one, padded with the first and the last where there are too few.

    Args:
        pose_results: of all frames.
        frame_idx: the frame's number in it.
        causal: the frame is the last of the sequence, else the middle one.
        seq_len: frames of the sequence.
        step: distance of its frames.
    """
    left = seq_len - 1 if causal else (seq_len - 1) // 2
    right = 0 if causal else left
    results = list(pose_results)
    after = len(results) - 1 - frame_idx
    start = max(frame_idx % step, frame_idx - left * step)
    end = min(len(results) - after % step, frame_idx + right * step + 1)
    before = [results[0]] * max(0, left - frame_idx // step)
    return [*before, *results[start:end:step], *[results[-1]] * max(0, right - after // step)]


def collate_pose_sequence(
    pose_results_2d: Sequence[Sequence[PoseDataSample]],
    with_track_id: bool = True,
    target_frame: int = -1,
) -> list[PoseDataSample]:
    """The people of a frame, each with their keypoints over all frames.

    Args:
        pose_results_2d: for each of T frames a sample per person, keypoints (1, K, C).
        with_track_id: samples have a `track_id`, which says who is who. From the target on, forward
            and back, once a track is not seen its last keypoints are taken for all frames beyond.
            Otherwise all frames have the same people in order.
        target_frame: the frame whose people are taken.

    Returns:
        A sample per person, `pred_instances.keypoints` (1, T, K, C).

    Raises:
        InputError: no frame, samples without a `track_id`, or frames with different numbers of
            people if they are taken in order.
    """
    frames = len(pose_results_2d)
    if not frames:
        raise InputError("pose_results_2d must have at least one frame, found none")
    target = target_frame % frames
    if not with_track_id and len({len(people) for people in pose_results_2d}) > 1:
        raise InputError(
            "without track ids all frames must have the same number of people, found "
            f"{[len(people) for people in pose_results_2d]}"
        )
    sequences = []
    for number, person in enumerate(pose_results_2d[target]):
        found: list[Any] = [None] * frames
        for t, people in enumerate(pose_results_2d):
            if with_track_id:
                same = (one for one in people if one.track_id == person.track_id)
                found[t] = next(same, None)
            else:
                found[t] = people[number]
        # Behind a gap, on either side, whoever has that number is not believed.
        for order in (range(target - 1, -1, -1), range(target + 1, frames)):
            previous = found[target]
            lost = False
            for t in order:
                lost = lost or found[t] is None
                found[t] = previous = previous if lost else found[t]
        keypoints = np.stack([one.pred_instances.keypoints for one in found], axis=1)
        sequence = person.clone()
        sequence.pred_instances.set_field(keypoints, "keypoints")
        sequences.append(sequence)
    return sequences


def _compute_iou(bboxA: Sequence[float], bboxB: Sequence[float]) -> float:
    """The overlap of two boxes (x1, y1, x2, y2, ...), 0 to 1."""
    width = max(0.0, min(bboxA[2], bboxB[2]) - max(bboxA[0], bboxB[0]))
    height = max(0.0, min(bboxA[3], bboxB[3]) - max(bboxA[1], bboxB[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (bboxA, bboxB)]
    union = float(sum(areas) - width * height)
    if union == 0:
        warnings.warn("two boxes without area do not overlap", stacklevel=2)
        return 0.0
    return float(width * height / union)


def _track_by_iou(
    res: PoseDataSample, results_last: list[PoseDataSample], thr: float
) -> tuple[int, list[PoseDataSample], Any]:
    """Whose box of the last frame overlaps most: its track_id, the others, and itself.

    (-1, all, {}) where none overlaps by more than `thr`. Who was found leaves `results_last`.
    """
    box = res.pred_instances.bboxes[0]
    overlaps = [_compute_iou(box, one.pred_instances.bboxes[0]) for one in results_last]
    return _taken(overlaps, results_last, thr)


def _track_by_oks(
    res: PoseDataSample,
    results_last: list[PoseDataSample],
    thr: float,
    sigmas: Sequence[float] | None = None,
) -> tuple[int, list[PoseDataSample], Any]:
    """As `_track_by_iou`, by the similarity of poses; `pred_instances` have `areas`.

    `sigmas` (K,) are those of the keypoints, None for COCO's.
    """
    spread = np.asarray(load_skeleton("coco").sigmas if sigmas is None else sigmas)
    instances = res.pred_instances
    similarities = []
    for other in (one.pred_instances for one in results_last):
        squared = ((other.keypoints[0, :, :2] - instances.keypoints[0, :, :2]) ** 2).sum(axis=1)
        area = (instances.areas[0] + other.areas[0]) / 2 + np.spacing(1)
        similarities.append(np.exp(-squared / (2 * spread) ** 2 / area / 2).mean())
    return _taken(similarities, results_last, thr)


def _taken(
    similarities: list[Any], results_last: list[PoseDataSample], thr: float
) -> tuple[int, list[PoseDataSample], Any]:
    best = int(np.argmax(similarities)) if similarities else -1
    if best < 0 or similarities[best] <= thr:
        return -1, results_last, {}
    match = results_last.pop(best)
    return match.track_id, results_last, match
