"""What a model's YAML says of its loss reaches training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from posekit.build import build_network
from posekit.compose import compose_command
from posekit.datasets.batches import collate
from posekit.training.losses import AdaptiveWingLoss, HeatmapLoss
from posekit.training.tasks import PoseTask, make_task
from tests.datasets.sets import NAMES
from tests.training import runs


def pose_task(folder: Path, keypoints: str = "discs", **model: object) -> PoseTask:
    """Of the small model with more in its YAML; `discs` are the labels' own keypoints."""
    options = runs.workshop(folder)
    path = folder / "conf" / "model" / "tiny_discs-32x32.yaml"
    path.write_text(yaml.safe_dump({**runs.MODEL, "keypoints": keypoints, **model}))
    skeleton = {
        "colors": {"red": [255, 0, 0]},
        "keypoints": [[name, "red"] for name in NAMES],
        "flip_pairs": [NAMES[1:3], NAMES[3:]],
    }
    (folder / "conf" / "keypoints").mkdir()
    (folder / "conf" / "keypoints" / "discs.yaml").write_text(yaml.safe_dump(skeleton))
    config = compose_command("train", options, config_dir=folder / "conf")
    task = make_task(config)
    assert isinstance(task, PoseTask)
    return task


def loss_of(task: PoseTask) -> float:
    torch.manual_seed(0)
    net = build_network(task.spec.net, device="cpu")
    task.train_set.augment = None
    batch = collate([task.train_set[0, index] for index in range(4)])
    return task.loss(net.eval(), batch, torch.device("cpu")).item()


def test_keypoints_count_as_the_model_says(tmp_path: Path) -> None:
    whole = loss_of(pose_task(tmp_path / "whole"))
    half = loss_of(pose_task(tmp_path / "half", keypoint_weights={"*": 0.5}))
    none = loss_of(pose_task(tmp_path / "none", keypoint_weights={"*": 0.0}))
    assert whole > 0
    assert half == pytest.approx(whole / 2)
    assert none == 0


def test_the_models_loss_is_learnt_by(tmp_path: Path) -> None:
    named = {"_target_": "posekit.training.losses.AdaptiveWingLoss", "omega": 7.0}
    task = pose_task(tmp_path / "named", loss=named)
    assert isinstance(task.criterion, AdaptiveWingLoss)
    assert loss_of(task) > 0
    assert task.spec.to_config()["loss"] == named | {
        key: getattr(AdaptiveWingLoss(), key) for key in ("alpha", "epsilon", "theta")
    }  # the trained model keeps it
    assert isinstance(pose_task(tmp_path / "usual").criterion, HeatmapLoss)


def test_weights_of_other_keypoints_are_left_out_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = pose_task(tmp_path, keypoints="coco", keypoint_weights={"*_hip": 0.5})
    assert task.weights.tolist() == [1.0] * 5
    assert not task.spec.keypoint_weights
    assert "keypoint_weights are for the model's own keypoints" in caplog.text
