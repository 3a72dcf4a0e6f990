"""Weights and outputs that are not numbers are errors, not nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import posekit
from posekit.config import PACKAGED
from posekit.errors import WeightsError
from posekit.skeleton import load_skeleton
from posekit.spec import PoseSpec, load_spec
from posekit.stages.detect import Detector
from posekit.stages.estimate import PoseEstimator
from posekit.weights.load import create_model
from tests.stages.test_hand3d import TinyNet, noise, tiny  # noqa: F401
from tests.stages.test_lift import SIZE, lifter_of, small_network

POSE, DETECTOR = "rtmpose-n_drawn-192x128", "rtmdet-nano_drawn-256"
NAN, INF = float("nan"), float("inf")


def spoilt(path: Path, model: str, *values: float) -> Path:
    """The packaged weights of a model, in float32, with the last numbers of one entry replaced."""
    source = PACKAGED / f"{model}.safetensors"
    with safe_open(source, framework="pt") as file:
        metadata = file.metadata()
    state = {key: value.float() for key, value in load_file(source).items()}
    largest = max(state.values(), key=torch.Tensor.numel).view(-1)
    largest[-len(values) :] = torch.tensor(values)
    save_file(state, path, metadata=metadata)
    return path


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("argument", ["weights", "detector_weights"])
def test_weights_that_are_no_numbers(tmp_path: Path, argument: str, value: float) -> None:
    model = POSE if argument == "weights" else DETECTOR
    path = spoilt(tmp_path / "a.safetensors", model, value)
    detector = {"detector": DETECTOR} if argument == "detector_weights" else {}
    message = r"a\.safetensors has numbers that are NaN or infinite, in \w+.*: expected finite ones"
    with pytest.raises(WeightsError, match=message):
        posekit.load("demo", device="cpu", **{argument: path}, **detector)


def test_weights_that_a_smaller_type_cannot_hold(tmp_path: Path) -> None:
    path = spoilt(tmp_path / "a.safetensors", POSE, 70_000.0)
    with pytest.raises(WeightsError, match=r"infinite in float16, in .*dtype=float32"):
        posekit.load("demo", device="cpu", weights=path, dtype="float16")
    posekit.load("demo", device="cpu", weights=path, dtype="bfloat16")


def test_large_weights_whose_sum_overflows_are_numbers(tmp_path: Path) -> None:
    path = spoilt(tmp_path / "a.safetensors", POSE, 3e38, 3e38, 3e38)
    create_model(POSE, weights=path)


class Replaced:
    """An engine that gives a network's outputs with one of them changed."""

    def __init__(self, net: torch.nn.Module, change: Callable[[torch.Tensor], None]) -> None:
        self.net, self.change = net, change

    def __call__(self, images: torch.Tensor) -> Any:
        outputs = self.net(images)
        self.change(outputs)
        return outputs


def scores_are_nan(outputs: Any) -> None:
    outputs[0][0][:, 0, 0, 0] = NAN


def all_are_nan(outputs: Any) -> None:
    for tensor in outputs[0] if isinstance(outputs[0], tuple) else outputs:
        tensor.fill_(NAN)


def boxes_are_nan(outputs: Any) -> None:
    for tensor in outputs[1]:
        tensor.fill_(NAN)


@pytest.fixture(scope="module")
def drawing() -> np.ndarray:
    return cv2.imread(str(PACKAGED / "demo.jpg"))


@pytest.mark.parametrize("change", [scores_are_nan, all_are_nan, boxes_are_nan])
@pytest.mark.parametrize("as_tensor", [False, True], ids=["array", "tensor"])
def test_a_detector_that_gives_nan(
    drawing: np.ndarray, change: Callable[[Any], None], as_tensor: bool
) -> None:
    net = create_model(DETECTOR, weights="published")
    image = torch.from_numpy(drawing) if as_tensor else drawing
    detector = Detector(net, load_spec(DETECTOR), backend=Replaced(net, change))
    with pytest.raises(WeightsError, match="the detector gave numbers that are NaN or infinite"):
        detector([image])
    assert len(Detector(net, load_spec(DETECTOR))([image])[0])


def test_a_pose_network_that_gives_nan(drawing: np.ndarray) -> None:
    net = create_model(POSE, weights="published")
    estimator = PoseEstimator(
        net,
        load_spec(POSE),
        load_skeleton("coco"),
        backend=Replaced(net, all_are_nan),
    )
    with pytest.raises(WeightsError, match="the pose network gave numbers that are NaN"):
        estimator([drawing], [np.array([[0, 0, 50, 80]], np.float32)])


def test_heat_maps_that_are_nan() -> None:
    name = "hrnet-w32_coco-256x192"
    net = create_model(name)
    spec = load_spec(name)
    assert isinstance(spec, PoseSpec)
    run = Replaced(net, lambda outputs: outputs.fill_(NAN))
    estimator = PoseEstimator(net, spec, load_skeleton(spec.keypoints), backend=run)
    with pytest.raises(WeightsError, match="the pose network gave numbers that are NaN"):
        estimator([noise(0)], [np.array([[0, 0, 50, 80]], np.float32)], flip_test=False)


def test_a_hand_network_that_gives_nan(tiny: Any) -> None:  # noqa: F811
    assert isinstance(tiny.estimator.net, TinyNet)
    with torch.no_grad():
        tiny.estimator.net.conv.weight.fill_(NAN)
    with pytest.raises(WeightsError, match="the hand network gave numbers that are NaN"):
        tiny([noise(0)], [np.array([[0, 0, 50, 80]], np.float32)])


def test_a_lifter_that_gives_nan() -> None:
    net = small_network()
    with torch.no_grad():
        next(net.parameters()).fill_(NAN)
    keypoints, boxes = np.ones((1, 2, 17, 2), np.float32), np.ones((1, 2, 4), np.float32)
    with pytest.raises(WeightsError, match="the lifter gave numbers that are NaN"):
        lifter_of(net)(keypoints, boxes, image_size=SIZE)
