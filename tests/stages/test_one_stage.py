"""One-stage models: images -> people."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from posekit.build import build_network
from posekit.errors import InputError, WeightsError
from posekit.skeleton import load_skeleton
from posekit.spec import OneStageSpec, load_spec
from posekit.stages.one_stage import OneStageEstimator, letterbox_cs
from tests.networks import load_case, reference_case

FOLDERS = {
    "rtmo-t_8xb32-600e_body7-416x416": "rtmo-t_body7-416x416",
    "rtmo-s_8xb32-600e_body7-640x640": "rtmo-s_body7-640x640",
}


def make() -> OneStageEstimator:
    """With random weights, normalised as in training: scores of all sizes, boxes that overlap."""
    spec = load_spec("rtmo-t_body7-416x416")
    assert isinstance(spec, OneStageSpec)
    return OneStageEstimator(copy.deepcopy(network()), spec, load_skeleton(spec.keypoints))


@functools.cache
def network() -> torch.nn.Module:
    """That of `make`, which takes half a second to make."""
    torch.manual_seed(0)
    net = build_network(load_spec("rtmo-t_body7-416x416").net, device="cpu")
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None  # the statistics become those of the next batch
    with torch.no_grad():
        net.train()(
            torch.rand(1, 3, 8, 8).mul(255).repeat_interleave(52, 2).repeat_interleave(52, 3)
        )
        for head in net.heads:
            head.class_pred.weight *= 4
            head.class_pred.bias.zero_()
            head.box_pred.bias[2:] += 1.5
    return net.eval()


@pytest.fixture(scope="module")
def estimator() -> OneStageEstimator:
    return make()


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8)
    return cv2.resize(noise, (300, 180), interpolation=cv2.INTER_CUBIC)


def middle_score(estimator: OneStageEstimator, image: np.ndarray) -> float:
    seen = []

    def nobody(_: int, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        seen.append(scores)
        return np.zeros(0, int)  # for keypoints of everybody would take most of the time

    estimator([image], score_threshold=0.0, nms_threshold=1.0, choose=nobody)
    return float(np.quantile(seen[0], 0.9))


@pytest.mark.parametrize("folder", FOLDERS)
def test_people_of_the_reference_are_found(shared: Path, folder: str) -> None:
    path = shared / "reference" / "pose2d" / folder
    expected = json.loads((path / "predictions.json").read_text())
    spec, case = load_spec(FOLDERS[folder]), reference_case(path)
    assert isinstance(spec, OneStageSpec)
    net = build_network(spec.net)
    load_case(case, net)
    estimator = OneStageEstimator(net.eval(), spec, load_skeleton(spec.keypoints))
    with torch.inference_mode():
        cells = estimator.cells(estimator.net(case.inputs))
        # Scores, boxes and visibilities as the reference rounded them: the shortest period of its
        # seeded codes is 2e-4 pixels (published: 1), and boxes are up to 49,000 pixels wide. A
        # change of all boxes by their last float32 bit moves, in float64, a keypoint of 58 of t's
        # 60 people by more than 0.05 pixels, the farthest by 18,557, and of 44 of s's 60. Pose
        # vectors differ from float64 by 1e-3; of the reference's there is only a part in float32.
        # So 36 and 59 people agree within 0.05 pixels, in this order of operations as well as in
        # the reference's own; with places in float64, 8 and 47.
        with np.load(path / "raw.npz") as raw:
            shapes = [output["shape"] for output in case.golden["outputs"]]
            values = [torch.from_numpy(raw[f"out{i}"]).reshape(shapes[i]) for i in range(6)]
        own = estimator.codec.decode(
            (values[0:2], values[2:4], values[4:6], estimator.net(case.inputs)[3])
        )
        np.testing.assert_allclose(own.scores, cells.scores, atol=1e-3)
        chosen = estimator._choose(own, expected["score_thr"], expected["nms_thr"])
        ((boxes, scores, keypoints, keypoint_scores),) = estimator._people(own, chosen)
    np.testing.assert_allclose(scores, expected["bbox_scores"], atol=2e-6)
    np.testing.assert_allclose(boxes, expected["bboxes"], atol=1e-3)
    np.testing.assert_allclose(keypoint_scores, expected["keypoint_scores"], atol=1e-5)
    away = np.linalg.norm(keypoints - np.array(expected["keypoints"]), axis=-1)  # (n, K)
    # In multiples of what the box extends to, which the border of the input cuts off here.
    assert np.median(away) < 0.05
    assert (away / np.abs(expected["keypoints"]).max(axis=(1, 2))[:, None] < 1e-3).mean() > 0.9


def test_an_image_lies_in_the_middle_of_the_input(estimator: OneStageEstimator) -> None:
    image = np.full((100, 400, 3), 7, np.uint8)
    batch = estimator.letterbox([image], *letterbox_cs([(400, 100)], estimator.input_size))
    assert batch.shape == (1, 416, 416, 3)
    # At the borders of the image a pixel or two are mixed.
    assert (batch[0, 160:256, 2:-2] == 7).all()
    assert (batch[0, :154] == 114).all() and (batch[0, 262:] == 114).all()


def test_letterboxes_hold_whole_images() -> None:
    centers, scales = letterbox_cs([(400, 100), (50, 200), (10, 10)], (640, 320))
    assert centers.tolist() == [[200, 50], [25, 100], [5, 5]]
    assert scales.tolist() == [[400, 200], [400, 200], [20, 10]]


@pytest.mark.usefixtures("same_crops")
def test_pixels_on_a_device_are_those_of_opencv(estimator: OneStageEstimator) -> None:
    image = np.random.default_rng(3).integers(0, 256, (90, 200, 3), np.uint8)
    places = letterbox_cs([(200, 90)], estimator.input_size)
    by_opencv = estimator.letterbox([image], *places)
    by_torch = estimator.letterbox([torch.from_numpy(image)], *places)
    difference = np.abs(by_opencv.astype(int) - np.asarray(by_torch).astype(int))
    assert difference.max() <= 4 and (difference > 1).mean() < 0.02


def test_people_come_best_first_above_the_threshold(
    estimator: OneStageEstimator, image: np.ndarray
) -> None:
    threshold = middle_score(estimator, image)
    (people,) = estimator([image], score_threshold=threshold, nms_threshold=0.9)
    assert 0 < len(people.scores) < 100
    assert (np.diff(people.scores) <= 0).all() and people.scores[-1] > threshold
    assert people.boxes_xyxy.shape == (len(people.scores), 4)
    assert people.poses.keypoints.shape == (len(people.scores), 17, 2)
    assert people.poses.scores.shape == (len(people.scores), 17)


def test_suppression_takes_the_worse_of_two_that_overlap(
    estimator: OneStageEstimator, image: np.ndarray
) -> None:
    threshold = middle_score(estimator, image)
    (all_people,) = estimator([image], score_threshold=threshold, nms_threshold=1.0)
    (some,) = estimator([image], score_threshold=threshold, nms_threshold=0.05)
    assert 0 < len(some.scores) < len(all_people.scores)
    assert some.scores[0] == all_people.scores[0]


def test_an_image_gives_the_same_alone_and_among_others(
    estimator: OneStageEstimator, image: np.ndarray
) -> None:
    threshold = middle_score(estimator, image)
    other = np.ascontiguousarray(image[:, :120])
    black = np.zeros((20, 30, 3), np.uint8)
    options = {"score_threshold": threshold, "nms_threshold": 0.9}
    together = estimator([black, image, other, image], **options)
    (alone,) = estimator([image], **options)
    for people in (together[1], together[3]):
        np.testing.assert_allclose(people.scores, alone.scores, atol=1e-5)
        np.testing.assert_allclose(people.poses.keypoints, alone.poses.keypoints, atol=0.01)


def test_nobody_is_an_empty_result(estimator: OneStageEstimator, image: np.ndarray) -> None:
    people = estimator([image, image], score_threshold=1.0)
    assert [found.poses.keypoints.shape for found in people] == [(0, 17, 2)] * 2
    assert [found.boxes_xyxy.shape for found in people] == [(0, 4)] * 2
    assert estimator([]) == []


def test_no_people_at_all_among_many_are_classified_in_parts(
    estimator: OneStageEstimator, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = estimator([image], score_threshold=0.0, nms_threshold=0.9)
    monkeypatch.setattr("posekit.stages.one_stage.MAX_CLASSIFIED", 7)
    (parts,) = estimator([image], score_threshold=0.0, nms_threshold=0.9)
    assert len(whole.scores) > 7
    np.testing.assert_allclose(parts.poses.keypoints, whole.poses.keypoints, atol=0.01)


def test_thresholds_are_the_models_own(image: np.ndarray) -> None:
    estimator = make()
    assert (estimator.score_threshold, estimator.nms_threshold) == (0.1, 0.65)
    estimator.score_threshold = threshold = middle_score(estimator, image)
    (people,) = estimator([image])
    (same,) = estimator([image], score_threshold=threshold, nms_threshold=0.65)
    np.testing.assert_allclose(people.scores, same.scores, atol=1e-5)


def test_keypoints_are_where_the_image_was(estimator: OneStageEstimator) -> None:
    """A picture twice as large has the same people, twice as far from its corner."""
    small = np.random.default_rng(5).integers(0, 256, (13, 26, 3), np.uint8)
    small = cv2.resize(small, (208, 104), interpolation=cv2.INTER_CUBIC)
    padded = np.full((416, 416, 3), 114, np.uint8)
    centers, scales = letterbox_cs([(208, 104)], estimator.input_size)
    padded[:] = estimator.letterbox([small], centers, scales)[0]
    threshold = middle_score(estimator, small)
    options = {"score_threshold": threshold, "nms_threshold": 0.9}
    (of_small,), (of_padded,) = estimator([small], **options), estimator([padded], **options)
    moved = of_small.poses.keypoints * 2 + np.array([0, 104], np.float32)
    np.testing.assert_allclose(of_padded.poses.keypoints, moved, atol=0.05)
    boxes = of_small.boxes_xyxy.reshape(-1, 2, 2) * 2 + np.array([0, 104], np.float32)
    np.testing.assert_allclose(of_padded.boxes_xyxy.reshape(-1, 2, 2), boxes, atol=0.05)


def test_half_precision_is_near(image: np.ndarray) -> None:
    estimator = make()
    threshold = middle_score(estimator, image)
    (exact,) = estimator([image], score_threshold=threshold, nms_threshold=1.0)
    half = OneStageEstimator(estimator.net.to(torch.bfloat16), estimator.spec, estimator.skeleton)
    (near,) = half([image], score_threshold=0.0, nms_threshold=1.0)
    # The same cell's box lies nearest.
    best = np.abs(near.boxes_xyxy - exact.boxes_xyxy[0]).sum(axis=1).argmin()
    away = np.linalg.norm(near.poses.keypoints[best] - exact.poses.keypoints[0], axis=-1)
    # Random weights are sure of no place: many bins count.
    assert np.median(away) < 0.1 * np.ptp(exact.boxes_xyxy[0].reshape(2, 2), axis=0).max()


def test_nan_is_an_error(image: np.ndarray) -> None:
    estimator = make()
    with torch.no_grad():
        estimator.net.heads[0].class_pred.bias.fill_(float("nan"))
    with pytest.raises(WeightsError, match="the pose network"):
        estimator([image])


def test_wrong_strides_are_refused(image: np.ndarray) -> None:
    estimator = make()
    estimator.codec.strides = (8, 16)
    with pytest.raises(InputError, match="set the strides that it has"):
        estimator([image])


@pytest.mark.gpu
@pytest.mark.parametrize("backend", [None, "torch"])
def test_a_gpu_finds_the_same_people(
    estimator: OneStageEstimator,
    image: np.ndarray,
    backend: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    net = copy.deepcopy(estimator.net).cuda()
    on_gpu = OneStageEstimator(net, estimator.spec, estimator.skeleton, backend=backend)
    threshold = middle_score(estimator, image)
    (expected,), (found,) = (one([image], score_threshold=threshold) for one in (estimator, on_gpu))
    # The best one: which of two that overlap is better, rounding may decide.
    np.testing.assert_allclose(found.scores[0], expected.scores[0], atol=1e-3)
    np.testing.assert_allclose(found.boxes_xyxy[0], expected.boxes_xyxy[0], atol=0.5)
    away = np.linalg.norm(found.poses.keypoints[0] - expected.poses.keypoints[0], axis=-1)
    assert np.median(away) < 0.1
