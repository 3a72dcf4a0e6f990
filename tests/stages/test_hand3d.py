"""Images -> 3D keypoints of both hands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import posekit
from posekit.backends import why_unavailable
from posekit.build import build_network
from posekit.codecs.hand3d import Hands3D
from posekit.result import PoseResult
from posekit.skeleton import load_skeleton
from posekit.spec import PoseSpec, load_spec
from posekit.stages.hand3d import MAX_BATCH_SIZE, HandEstimator
from tests.networks import reference_state
from weights_convert import convert_state_dict

NAME = "internet-r50_interhand3d-256x256"
SPEC = load_spec(NAME)
assert isinstance(SPEC, PoseSpec)
SKELETON = load_skeleton("interhand3d")


class TinyNet(torch.nn.Module):
    """InterNet's outputs from pooled pixels; notes the sizes of its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 42 * 4, 32, stride=32)
        self.batches: list[int] = []

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        self.batches.append(len(images))
        maps = self.conv(images).unflatten(1, (42, 4))  # (N, 42, 4, 8, 8)
        brightness = images.mean((1, 2, 3))
        hands = torch.stack([brightness, torch.ones_like(brightness)], dim=1)
        return maps, images[:, :1, 0, 0], hands


@pytest.fixture
def tiny() -> HandEstimator:
    torch.manual_seed(0)
    spec = replace(SPEC, codec=SPEC.codec.having(heatmap_size=(8, 8, 4)))
    return HandEstimator(TinyNet().eval(), spec, SKELETON)


def noise(seed: int, height: int = 90, width: int = 120) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


@pytest.mark.usefixtures("same_crops")
def test_photograph_matches_the_reference(shared: Path) -> None:
    reference = shared / "reference"
    [result] = json.loads((reference / "inferencer" / "hand3d__33.json").read_text())["result"]
    [expected] = result["predictions"][0]
    net = build_network(SPEC.net)
    folder = reference / "pose3d" / "internet_res50_4xb16-20e_interhand3d-256x256"
    net.load_state_dict(convert_state_dict(reference_state(folder), net=net), assign=True)
    image = cv2.imread(str(shared / "images" / "33.jpg"))
    estimator = HandEstimator(net.eval(), SPEC, SKELETON)
    box = np.array(expected["bbox"], np.float32)
    [(keypoints, scores, pose3d, _)] = estimator([image], [box])
    np.testing.assert_allclose(pose3d.keypoints[0], expected["keypoints"], atol=1e-3)
    np.testing.assert_allclose(pose3d.keypoint_scores[0], expected["keypoint_scores"], atol=1e-5)
    np.testing.assert_array_equal(scores, pose3d.keypoint_scores)
    np.testing.assert_array_equal(keypoints[..., 0], pose3d.keypoints[..., 0])

    found = PoseResult(
        keypoints=keypoints,
        keypoint_scores=scores,
        boxes_xyxy=box,
        box_scores=np.ones(1, np.float32),
        skeleton=estimator.skeleton,
        image_size=(image.shape[1], image.shape[0]),
        name="33.jpg",
        index=0,
        pose3d=pose3d,
    )
    [instance] = found.instances()
    assert list(instance) == list(expected)
    np.testing.assert_allclose(instance["bbox"], expected["bbox"])


def test_2d_keypoints_are_pixels_of_the_image(tiny: HandEstimator) -> None:
    box = boxes((10, 20, 70, 60))
    [(near, *_)] = tiny([noise(0)], [box])
    wide = np.zeros((190, 220, 3), np.uint8)
    wide[100:, 100:] = noise(0)
    [(far, *_)] = tiny([wide], [box + 100])
    assert near.shape == (1, 42, 2) and near.dtype == np.float32
    inside = ((near >= [10 - 60, 20 - 60]) & (near <= [70 + 60, 60 + 60])).all(axis=-1)
    assert inside.all()
    # Pixels beside the box differ, so that a few maxima may.
    assert (np.abs(far - near - 100).max(axis=-1) < 1e-3).mean() > 0.5


def test_heights_and_depths(tiny: HandEstimator) -> None:
    [(keypoints, scores, pose3d, _)] = tiny([noise(1)], [boxes((0, 0, 120, 90))])
    shown = scores[0] > 0
    assert shown.any()
    assert pose3d.keypoints.dtype == np.float32
    assert pose3d.keypoints[0, shown, 2].min() == 0
    heights = -keypoints[0, :, 1]
    np.testing.assert_allclose(pose3d.keypoints[0, :, 2], heights - heights[shown].min(), atol=1e-3)
    [(_, _, floating, _)] = tiny([noise(1)], [boxes((0, 0, 120, 90))], on_ground=False)
    np.testing.assert_array_equal(floating.keypoints[0, :, 2], heights)
    assert "lowest keypoint" in pose3d.axes and "lowest keypoint" not in floating.axes
    assert "mm" in pose3d.unit and "pixels" in pose3d.unit


def test_every_box_of_every_image_in_small_batches(tiny: HandEstimator) -> None:
    images = [noise(0), noise(1, 60, 80), noise(2)]
    given = [
        boxes((0, 0, 100, 80), (10, 10, 60, 50)),
        boxes(),
        boxes(*[(i, i, 90 + i, 70 + i) for i in range(12)]),
    ]
    found = tiny(images, given, batch_size=64)
    net = tiny.estimator.net
    assert isinstance(net, TinyNet)
    assert max(net.batches) == MAX_BATCH_SIZE
    assert [len(keypoints) for keypoints, *_ in found] == [2, 0, 12]
    assert found[1][2].keypoints.shape == (0, 42, 3)
    [(keypoints, scores, pose3d, _)] = tiny(images[2:], [given[2][7:8]], batch_size=1)
    np.testing.assert_allclose(found[2][0][7:8], keypoints, atol=1e-4)
    np.testing.assert_allclose(found[2][1][7:8], scores, atol=1e-5)
    np.testing.assert_allclose(found[2][2].keypoints[7:8], pose3d.keypoints, atol=1e-3)


def test_flip_test_exchanges_the_hands(tiny: HandEstimator) -> None:
    crops = noise(3, 256, 256)[None]
    estimator = tiny.estimator

    def estimate(crops: np.ndarray, *, flip_test: bool) -> Hands3D:
        return estimator.codec.decode(estimator.forward(crops, flip_test=flip_test))

    plain, averaged = estimate(crops, flip_test=False), estimate(crops, flip_test=True)
    assert np.abs(averaged.scores - plain.scores).max() > 0.1
    mirrored = estimate(crops[:, :, ::-1].copy(), flip_test=True)
    order = list(SKELETON.flip_indices)
    np.testing.assert_allclose(averaged.scores, mirrored.scores[:, order], atol=1e-5)
    found = mirrored.keypoints[:, order, 0]
    np.testing.assert_allclose(averaged.keypoints[..., 0], 256 - 256 / 8 - found, atol=1e-3)
    np.testing.assert_allclose(averaged.root_depth, -mirrored.root_depth, atol=1e-3)


def test_flip_test_is_done_as_the_call_says(tiny: HandEstimator) -> None:
    net = tiny.estimator.net
    assert isinstance(net, TinyNet)
    for flip_test, passes in ((None, 1), (False, 1), (True, 2)):
        net.batches.clear()
        tiny([noise(0)], [boxes((0, 0, 120, 90))], flip_test=flip_test)
        assert len(net.batches) == passes


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the real network, as they are before training."""
    torch.manual_seed(0)
    state = build_network(SPEC.net, device="cpu").state_dict()
    path = tmp_path_factory.mktemp("weights") / "internet.safetensors"
    save_file(state, path, metadata={"model": NAME})
    return path


@pytest.mark.parametrize("backend", ["torch", pytest.param("openvino", marks=pytest.mark.slow)])
def test_a_backend_runs_the_network(
    backend: str, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := why_unavailable(backend, torch.device("cpu")):
        pytest.skip(reason)
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path))
    plain, faster = (
        posekit.load(NAME, weights=untrained, detector="whole_image", device="cpu", backend=kind)
        for kind in (None, backend)
    )
    assert isinstance(plain.estimator, HandEstimator)
    assert isinstance(faster.estimator, HandEstimator)
    crops = np.stack([noise(seed, 256, 256) for seed in range(2)])
    expected = plain.estimator.estimator.forward(crops)
    found = faster.estimator.estimator.forward(crops)
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(b, a, atol=1e-3 * float(a.std()), rtol=1e-3)

    in_pytorch: list[int] = []
    faster.estimator.estimator.net.register_forward_hook(lambda *_: in_pytorch.append(1))
    (one,), (other,) = (list(predictor.stream(noise(0))) for predictor in (plain, faster))
    assert not in_pytorch
    assert one.pose3d is not None and other.pose3d is not None
    np.testing.assert_allclose(other.pose3d.keypoint_scores, one.pose3d.keypoint_scores, atol=1e-4)


def test_image_without_boxes(tiny: HandEstimator) -> None:
    [(keypoints, scores, pose3d, _)] = tiny([noise(0)], [boxes()])
    assert keypoints.shape == (0, 42, 2) and scores.shape == (0, 42)
    assert pose3d.skeleton is SKELETON
