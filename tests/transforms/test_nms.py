"""Suppression of overlapping boxes and of duplicate poses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from posekit.errors import InputError
from posekit.transforms.nms import nearby_joints_nms, nms, oks_nms, soft_oks_nms
from tests.seeded import uniform

BOXES = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]], np.float32)


def test_the_best_of_overlapping_boxes_stays() -> None:
    assert nms(BOXES, np.array([0.5, 0.9, 0.1]), 0.5).tolist() == [1, 2]


def test_a_high_threshold_keeps_all_in_order_of_score() -> None:
    assert nms(BOXES, np.array([0.5, 0.9, 0.1]), 0.95).tolist() == [1, 0, 2]


def test_no_boxes() -> None:
    assert nms(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


def test_pixel_offset_counts_the_border() -> None:
    boxes = np.array([[0, 0, 1, 1], [1, 0, 2, 1]], np.float32)
    scores = np.array([2.0, 1.0])
    assert nms(boxes, scores, 0.3, pixel_offset=1).tolist() == [0]
    assert nms(boxes, scores, 0.3).tolist() == [0, 1]


@pytest.mark.parametrize("count", [20, 64, 65, 200])
@pytest.mark.parametrize("max_kept", [None, 7])
def test_each_box_stays_that_no_better_one_that_stays_covers(
    count: int, max_kept: int | None
) -> None:
    noise = np.random.default_rng(count)
    corners = noise.uniform(0, 100, (count, 2))
    boxes = np.hstack([corners, corners + noise.uniform(10, 40, (count, 2))]).astype(np.float32)
    scores = noise.permutation(count).astype(np.float32)
    expected: list[int] = []
    for box in np.argsort(-scores):
        if all(iou(boxes[box], boxes[other]) <= 0.3 for other in expected):
            expected.append(int(box))
    assert len(expected) > 7
    assert nms(boxes, scores, 0.3, max_kept=max_kept).tolist() == expected[:max_kept]


def iou(one: np.ndarray, other: np.ndarray) -> float:
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    overlap = float(np.maximum(sides, 0).prod())
    areas = [float((box[2:] - box[:2]).prod()) for box in (one, other)]
    return overlap / (sum(areas) - overlap)


SIGMAS = np.full(17, 0.07)


def poses() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keypoints, scores and areas of twelve people, three about each of four, as the reference."""
    base = (uniform("oks/base", (4, 17, 2)) + 1) * 100
    keypoints = np.stack([base[i % 4] + uniform(f"oks/{i}", (17, 2)) * (2 + i) for i in range(12)])
    scores = np.array([(uniform(f"oks/s{i}", (1,))[0] + 1) / 2 for i in range(12)])
    return keypoints, scores, np.ptp(keypoints, axis=1).prod(axis=-1)


def test_pose_nms_is_the_references(shared: Path) -> None:
    expected = json.loads((shared / "reference" / "training" / "metrics.json").read_text())
    meta = json.loads((shared / "reference" / "metainfo" / "coco.json").read_text())
    sigmas = np.array(meta["sigmas"])
    for threshold in (0.9, 0.5):
        kept = oks_nms(*poses(), threshold, sigmas=sigmas)
        assert kept.tolist() == expected[f"oks_nms(thr={threshold},sigmas=coco)"]
    kept = soft_oks_nms(*poses(), 0.9, sigmas=sigmas, max_kept=20)
    assert kept.tolist() == expected["soft_oks_nms(thr=0.9,max_dets=20,sigmas=coco)"]
    keypoints, scores, _ = poses()
    kept = nearby_joints_nms(keypoints, scores, num_nearby=5)
    assert kept.tolist() == expected["nearby_joints_nms(num_nearby_joints_thr=5)"]


def test_the_order_of_poses_does_not_matter() -> None:
    keypoints, scores, areas = poses()
    order = np.random.default_rng(0).permutation(12)
    mixed = keypoints[order], scores[order], areas[order]
    for found, expected in (
        (oks_nms(*mixed, 0.5, sigmas=SIGMAS), oks_nms(*poses(), 0.5, sigmas=SIGMAS)),
        (soft_oks_nms(*mixed, 0.5, sigmas=SIGMAS), soft_oks_nms(*poses(), 0.5, sigmas=SIGMAS)),
        (
            nearby_joints_nms(*mixed[:2], num_nearby=5),
            nearby_joints_nms(keypoints, scores, num_nearby=5),
        ),
    ):
        assert order[found].tolist() == expected.tolist()


def test_no_poses() -> None:
    none = np.zeros((0, 17, 2)), np.zeros(0), np.zeros(0)
    assert oks_nms(*none, 0.9, sigmas=SIGMAS).tolist() == []
    assert soft_oks_nms(*none, 0.9, sigmas=SIGMAS).tolist() == []
    assert nearby_joints_nms(*none[:2], num_nearby=5).tolist() == []


def test_equal_scores_keep_the_first_of_equal_poses() -> None:
    keypoints, scores, areas = (np.repeat(values[:1], 3, axis=0) for values in poses())
    assert oks_nms(keypoints, scores, areas, 0.9, sigmas=SIGMAS).tolist() == [0]
    assert nearby_joints_nms(keypoints, scores, num_nearby=5).tolist() == [0]


def test_people_without_an_extent_are_left_alone() -> None:
    keypoints = np.zeros((2, 17, 2))
    keypoints[1] += 50
    assert nearby_joints_nms(keypoints, np.array([0.1, 0.9]), num_nearby=5).tolist() == [1, 0]


def test_more_joints_near_than_the_limit_make_a_duplicate() -> None:
    first = uniform("pose", (17, 2)) * 100
    second = first.copy()
    second[6:] += 60  # six joints stay
    both, scores = np.stack([first, second]), np.array([0.9, 0.8])
    assert nearby_joints_nms(both, scores, num_nearby=5).tolist() == [0]
    assert nearby_joints_nms(both, scores, num_nearby=6).tolist() == [0, 1]
    assert nearby_joints_nms(both, scores, num_nearby=6, max_kept=1).tolist() == [0]


def test_soft_nms_keeps_duplicates_last_and_no_more_than_asked() -> None:
    keypoints, scores, areas = poses()
    kept = soft_oks_nms(keypoints, scores, areas, 0.9, sigmas=SIGMAS)
    assert sorted(kept.tolist()) == list(range(12))
    few = soft_oks_nms(keypoints, scores, areas, 0.9, sigmas=SIGMAS, max_kept=3)
    assert few.tolist() == kept[:3].tolist()


def test_shapes_that_do_not_fit_are_refused() -> None:
    keypoints, scores, areas = poses()
    with pytest.raises(InputError, match=r"expected keypoints \(n, K, 2\), found \(12, 17\)"):
        nearby_joints_nms(keypoints[..., 0], scores, num_nearby=5)
    with pytest.raises(InputError, match=r"expected sigmas \(17,\)"):
        oks_nms(keypoints, scores, areas, 0.9, sigmas=SIGMAS[:5])
    with pytest.raises(InputError, match=r"expected areas \(12,\)"):
        soft_oks_nms(keypoints, scores, areas[:3], 0.9, sigmas=SIGMAS)


def test_a_limit_keeps_the_best() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 100, (200, 2))
    boxes = np.hstack([corners, corners + rng.uniform(5, 30, (200, 2))])
    scores = rng.uniform(size=200)
    everything = nms(boxes, scores, 0.5)
    assert len(everything) > 20
    np.testing.assert_array_equal(nms(boxes, scores, 0.5, max_kept=7), everything[:7])
    assert len(nms(boxes, scores, 0.5, max_kept=0)) == 0


def test_many_boxes_are_left_when_enough_are_kept() -> None:
    corners = np.stack(np.meshgrid(np.arange(400), np.arange(500)), axis=-1).reshape(-1, 2) * 10.0
    boxes = np.concatenate([corners, corners + 5], axis=1).astype(np.float32)
    scores = np.linspace(0, 1, len(boxes), dtype=np.float32)
    kept = nms(boxes, scores, 0.5, max_kept=3)  # all pairs would be 4e10
    assert kept.tolist() == [len(boxes) - 1, len(boxes) - 2, len(boxes) - 3]
