"""3D heat maps of hands -> keypoints."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from posekit.codecs.hand3d import Hand3DHeatmap, Hands3D, join_hands, stand_hands_up
from posekit.models.internet import InterNet
from posekit.transforms.affine import boxes_to_cs, crop, crop_matrices, to_image
from posekit.transforms.image import Normalize
from tests.networks import reference_state
from weights_convert import convert_state_dict

SMALL = Hand3DHeatmap(input_size=(24, 32), heatmap_size=(6, 8, 4), root_cells=4)


def test_maxima_become_pixels_and_millimetres() -> None:
    heatmaps = torch.zeros(2, 2, 4, 8, 6)
    heatmaps[1, 0, 3, 5, 2] = 7.0  # depth, row, column
    hands = SMALL.decode((heatmaps, torch.tensor([[2.0], [3.0]]), torch.tensor([[1.0, -1.0]] * 2)))
    assert hands.keypoints.dtype == np.float32
    assert hands.keypoints[1, 0].tolist() == [8.0, 20.0, 100.0]
    assert hands.scores[1].tolist() == [7.0, 0.0]
    assert hands.keypoints[1, 1].tolist() == [-4.0, -4.0, -300.0]  # no positive value: cell -1
    assert hands.root_depth.tolist() == [0.0, 100.0]
    assert hands.hand_type.tolist() == [[True, False]] * 2


def test_maps_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected .*\(6, 8, 4\), found \(8, 6, 4\)"):
        SMALL.decode((torch.zeros(1, 2, 4, 6, 8), torch.zeros(1, 1), torch.zeros(1, 2)))


def test_flip_exchanges_hands() -> None:
    torch.manual_seed(0)
    outputs = (torch.rand(1, 4, 4, 8, 6), torch.tensor([[3.0]]), torch.tensor([[2.0, -1.0]]))
    order = [2, 3, 0, 1]
    heatmaps, root_depth, hand_type = SMALL.flip(outputs, order)
    assert torch.equal(heatmaps[0, 0, :, :, 0], outputs[0][0, 2, :, :, 5])
    assert root_depth.item() == 1.0  # 100 mm behind becomes 100 mm before
    assert hand_type.tolist() == [[-1.0, 2.0]]
    for twice, once in zip(
        SMALL.flip((heatmaps, root_depth, hand_type), order), outputs, strict=True
    ):
        assert torch.equal(twice, once)


def test_joining_moves_the_left_hand_and_silences_the_missing_one() -> None:
    hands = Hands3D(
        keypoints=np.ones((1, 4, 3), np.float32),
        scores=np.full((1, 4), 51, np.float32),
        root_depth=np.array([10], np.float32),
        hand_type=np.array([[False, True]]),
    )
    keypoints, scores = join_hands(hands)
    assert keypoints[0, :, 2].tolist() == [1, 1, 11, 11]
    assert scores[0] == pytest.approx([0, 0, 0.2, 0.2])
    assert hands.keypoints.max() == 1  # the argument is left alone


def test_heights_start_at_the_lowest_keypoint_with_a_score() -> None:
    keypoints = np.array([[[1.0, 10, 5], [2, 30, 6], [3, 99, 7]]])
    standing = stand_hands_up(keypoints, np.array([[1.0, 1, 0]]))
    assert standing[0].tolist() == [[1, 5, 20], [2, 6, 0], [3, 7, -69]]
    assert np.isfinite(stand_hands_up(keypoints, np.zeros((1, 3)))).all()


@pytest.mark.usefixtures("same_crops")
def test_photograph_gives_the_references_hands(shared: Path) -> None:
    reference = shared / "reference"
    [result] = json.loads((reference / "inferencer" / "hand3d__33.json").read_text())["result"]
    [expected] = result["predictions"][0]
    folder = reference / "pose3d" / "internet_res50_4xb16-20e_interhand3d-256x256"
    with torch.device("meta"):
        net = InterNet()
    net.load_state_dict(convert_state_dict(reference_state(folder), net=net), assign=True)
    size = (256, 256)
    image = cv2.imread(str(shared / "images" / "33.jpg"))
    centers, scales = boxes_to_cs(np.array(expected["bbox"], np.float32), input_size=size)
    crops = np.empty((1, 256, 256, 3), np.uint8)
    crop(image, crop_matrices(centers, scales, input_size=size)[0], crops[0])
    normalize = Normalize(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        color="rgb",
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    with torch.inference_mode():
        hands = Hand3DHeatmap().decode(net.eval()(normalize(crops)))
    in_image = hands.keypoints.copy()
    in_image[..., :2] = to_image(in_image[..., :2], centers, scales, input_size=size)
    keypoints, scores = join_hands(hands._replace(keypoints=in_image))
    found = stand_hands_up(keypoints, scores)[0]
    np.testing.assert_allclose(scores[0], expected["keypoint_scores"], atol=1e-5)
    close = np.abs(found - expected["keypoints"]).max(axis=1) < 0.5
    assert close.mean() > 0.95
