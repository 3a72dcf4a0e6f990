"""2D keypoints -> MotionBERT's input -> 3D keypoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from posekit.codecs.lifting import MotionBERTLift, center_in_frame, coco_to_h36m, stand_up
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
