"""2D keypoints -> MotionBERT's input -> 3D keypoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from posekit.codecs.lifting import (
    ImagePoseLift,
    MotionBERTLift,
    center_in_frame,
    coco_to_h36m,
    stand_up,
)
from posekit.models.motionbert import MotionBERT
from tests.networks import reference_state
from weights_convert import convert_state_dict

CLIP_SIZE = (960, 540)


def test_inputs_are_normalised_by_the_images_width() -> None:
    keypoints = np.array([[[[0.0, 0.0], [200.0, 100.0], [100.0, 50.0]]]])
    scores = np.array([[[0.1, 0.2, 0.3]]])
    inputs = MotionBERTLift().encode(keypoints, scores, image_size=(200, 100))
    assert inputs.dtype == torch.float32
    torch.testing.assert_close(
        inputs[0, 0], torch.tensor([[-1, -0.5, 0.1], [1, 0.5, 0.2], [0, 0, 0.3]])
    )


def test_without_scores_every_keypoint_is_trusted() -> None:
    inputs = MotionBERTLift().encode(np.zeros((1, 2, 3, 2)), image_size=(4, 4))
    assert (inputs[..., 2] == 1).all()


def test_root_is_the_origin() -> None:
    outputs = torch.ones(1, 1, 2, 3)
    keypoints, scores = MotionBERTLift().decode(outputs)
    assert keypoints[0, 0].tolist() == [[0, 0, 0], [1, 1, 1]]
    assert scores.tolist() == [[[1, 1]]]
    assert (outputs == 1).all()  # the argument is left alone
    keypoints, _ = MotionBERTLift(root_relative=False).decode(outputs)
    assert keypoints[0, 0].tolist() == [[0, 0, 0], [0, 0, 1]]


def test_image_size_gives_metres() -> None:
    keypoints, _ = MotionBERTLift().decode(torch.ones(1, 1, 2, 3), image_size=(500, 300))
    assert keypoints[0, 0, 1] == pytest.approx([1, 1, 1])


def test_flip_mirrors_and_exchanges_pairs() -> None:
    codec = MotionBERTLift()
    inputs = torch.arange(9.0).view(1, 1, 3, 3)
    mirrored = codec.flip(inputs, [0, 2, 1])
    assert mirrored[0, 0].tolist() == [[-0.0, 1, 2], [-6, 7, 8], [-3, 4, 5]]
    assert torch.equal(codec.flip(mirrored, [0, 2, 1]), inputs)


def image_lift(root: int = 1) -> ImagePoseLift:
    return ImagePoseLift(
        keypoints_mean=[[10, 20], [30, 40], [50, 60]],
        keypoints_std=[[1, 2], [4, 5], [8, 10]],
        target_mean=[[0.5, 0, 0], [-0.5, 0, 1]],
        target_std=[[0.1, 1, 1], [0.2, 1, 2]],
        root=root,
    )


def test_each_joint_is_normalised_by_the_training_data() -> None:
    codec = image_lift()
    inputs = codec.encode(np.array([[[[11.0, 24], [30, 45], [42, 40]]]]), image_size=(9, 9))
    assert inputs.dtype == torch.float32
    assert inputs[0, 0].tolist() == [[1, 2], [0, 1], [-1, -2]]
    keypoints, scores = codec.decode(torch.tensor([[[[1.0, 2, 3], [5, 1, 1]]]]))
    assert keypoints[0, 0] == pytest.approx(np.array([[0.6, 2, 3], [0, 0, 0], [0.5, 1, 3]]))
    assert scores.shape == (1, 1, 3)


@pytest.mark.parametrize("root", [0, 1, 2])
def test_mirroring_by_statistics_is_mirroring_of_the_joints(root: int) -> None:
    codec, pairs = image_lift(root), {0: [0, 2, 1], 1: [2, 1, 0], 2: [1, 0, 2]}[root]
    middle = (10, 30, 50)[root]
    keypoints = np.random.default_rng(0).uniform(0, 50, (1, 1, 3, 2))
    inputs = codec.encode(keypoints, image_size=(9, 9))
    mirrored = keypoints[:, :, pairs] * [-1, 1] + [2 * middle, 0]
    expected = codec.encode(mirrored, image_size=(9, 9))
    torch.testing.assert_close(codec.flip(inputs, pairs), expected)
    outputs = torch.rand(1, 1, 2, 3)
    found, _ = codec.decode(codec.flip(outputs, pairs))
    np.testing.assert_allclose(
        found, codec.decode(outputs)[0][:, :, pairs] * np.float32([-1, 1, 1]), atol=1e-6
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints_std": [[1, 2]]}, "keypoints_std: expected 2 numbers for each of 3 joints"),
        ({"target_std": [[1, 1, 1], [1, 0, 1]]}, "positive standard deviations"),
        (
            {"keypoints_mean": [[0, 0]], "keypoints_std": [[1, 1]]},
            "expected 1 joints, or 0 without",
        ),
        ({"root": 3}, "root: expected 0 to 2, found 3"),
    ],
)
def test_statistics_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    arguments = {
        "keypoints_mean": [[0, 0]] * 3,
        "keypoints_std": [[1, 1]] * 3,
        "target_mean": [[0, 0, 0]] * 2,
        "target_std": [[1, 1, 1]] * 2,
    }
    with pytest.raises(ValueError, match=message):
        ImagePoseLift(**{**arguments, **change})


def test_coco_keypoints_become_h36m_joints() -> None:
    coco = np.zeros((2, 17, 3))
    coco[:, :, 0] = np.arange(17)
    joints = coco_to_h36m(coco)
    assert joints.shape == (2, 17, 3)
    expected = [11.5, 12, 14, 16, 11, 13, 15, 8.5, 5.5, 0, 1.5, 5, 7, 9, 6, 8, 10]
    assert joints[1, :, 0].tolist() == expected
    with pytest.raises(ValueError, match="found \\(26, 2\\)"):
        coco_to_h36m(np.zeros((26, 2)))


def test_people_are_moved_to_the_middle_of_the_training_data() -> None:
    boxes = np.array([[10.0, 20, 30, 120]])  # centre (20, 70), longer side 100
    keypoints = np.array([[[20.0, 70], [30, 120]]])
    moved = center_in_frame(keypoints, boxes, center=(528, 427), scale=400)
    assert moved[0].tolist() == [[528, 427], [568, 627]]


def test_standing_up_puts_the_lowest_keypoint_on_the_ground() -> None:
    keypoints = np.array([[[1.0, 2, 3], [4, 5, 6]]])
    assert stand_up(keypoints)[0].tolist() == [[-1, 3, 3], [-4, 6, 0]]
    assert stand_up(keypoints, on_ground=False)[0].tolist() == [[-1, 3, -2], [-4, 6, -5]]


@pytest.mark.parametrize(
    ("name", "as_trained"),
    [("human3d__demo", True), ("human3d__demo_oks_nonorm_norebase", False)],
)
def test_clip_gives_the_references_people(shared: Path, name: str, as_trained: bool) -> None:
    reference = shared / "reference"
    config = "motionbert_dstformer-ft-243frm_8xb32-120e_h36m"
    with torch.device("meta"):
        net = MotionBERT()
    state = reference_state(reference / "pose3d" / config)
    net.load_state_dict(convert_state_dict(state, net=net), assign=True)
    metainfo = json.loads((reference / "metainfo" / "h36m.json").read_text())
    flip_indices, stats = metainfo["flip_indices"], metainfo["stats_info"]
    flat = json.loads((reference / "inferencer" / "video2d__demo.json").read_text())["result"]
    lifted = json.loads((reference / "inferencer" / f"{name}.json").read_text())["result"]
    people = [person for frame in flat for person in frame["predictions"][0]]
    keypoints = coco_to_h36m(np.array([person["keypoints"] for person in people], np.float32))
    boxes = np.array([person["bbox"][0] for person in people], np.float32)
    if as_trained:
        keypoints = center_in_frame(
            keypoints, boxes, center=stats["bbox_center"], scale=stats["bbox_scale"]
        )
    codec = MotionBERTLift()
    inputs = codec.encode(keypoints[:, None], image_size=CLIP_SIZE)
    with torch.inference_mode():
        mirrored = codec.flip(net.eval()(codec.flip(inputs, flip_indices)), flip_indices)
        outputs = (net(inputs) + mirrored) / 2
    found, _ = codec.decode(outputs, image_size=CLIP_SIZE)
    found = stand_up(found[:, 0], on_ground=as_trained)
    expected = np.array([p["keypoints"] for frame in lifted for p in frame["predictions"][0]])
    # Some people are listed in another order there.
    errors = np.abs(found[:, None] - expected[None]).max(axis=(2, 3)).min(axis=0)
    assert len(expected) == len(found)
    assert errors.max() < 1e-4
