"""RTMO against the reference numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from posekit.build import build_network
from posekit.config import model_names
from posekit.models.rtmo import RTMO, CoordinateClassifier
from posekit.spec import load_spec
from tests.networks import assert_matches, assert_matches_in_float32

FOLDERS = {
    "rtmo-t_8xb32-600e_body7-416x416": "rtmo-t_body7-416x416",
    "rtmo-s_8xb32-600e_body7-640x640": "rtmo-s_body7-640x640",
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_raw_outputs_match(shared: Path, folder: str) -> None:
    net = build_network(load_spec(FOLDERS[folder]).net)
    assert_matches(shared / "reference" / "pose2d" / folder, net)


def test_raw_outputs_match_in_float32(shared: Path) -> None:
    folder = "rtmo-t_8xb32-600e_body7-416x416"
    net = build_network(load_spec(FOLDERS[folder]).net)
    assert_matches_in_float32(shared / "reference" / "pose2d" / folder, net)


def small_net(num_keypoints: int = 3) -> RTMO:
    torch.manual_seed(0)
    return RTMO(deepen_factor=0.33, widen_factor=0.125, num_keypoints=num_keypoints)


def test_outputs_of_each_level() -> None:
    outputs = small_net().eval()(torch.zeros(2, 3, 64, 96))
    for levels, channels in zip(outputs, (1, 4, 3, 64), strict=True):
        assert [tuple(level.shape) for level in levels] == [
            (2, channels, 4, 6),
            (2, channels, 2, 3),
        ]


def test_training_gives_offsets_of_keypoints_too() -> None:
    outputs = small_net().train()(torch.zeros(2, 3, 64, 64))
    assert [tuple(level.shape) for level in outputs[4]] == [(2, 6, 4, 4), (2, 6, 2, 2)]


def test_every_size_and_set_has_a_model() -> None:
    sizes = {name for name in model_names() if name.startswith("rtmo-")}
    assert len(sizes) == 11
    for name in sizes:
        spec = load_spec(name)
        assert spec.net.arguments["num_keypoints"] == (14 if "crowdpose" in name else 17)


def classified(classifier: CoordinateClassifier, moved: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(4, 64, generator=generator, dtype=torch.float64)
    boxes = torch.tensor([[10.0, 20, 60, 120]], dtype=torch.float64).repeat(4, 1) + moved
    centers = torch.tensor([[39.5, 71.5]], dtype=torch.float64).repeat(4, 1) + moved
    return classifier(vectors, boxes, centers)


def test_keypoints_move_with_box_and_cell() -> None:
    classifier = small_net().classifier.eval().double()
    difference = classified(classifier, 32.0) - classified(classifier, 0.0)
    torch.testing.assert_close(difference, torch.full_like(difference, 32.0))


def test_keypoints_lie_within_the_padded_box() -> None:
    classifier = small_net().classifier.eval().double()
    with torch.no_grad():  # one bin is nearly sure
        for proj in (classifier.x_proj, classifier.y_proj):
            proj.weight *= 1e3
    low, high = classified(classifier, 0.0).flatten(0, 1).aminmax(dim=0)
    assert (low >= torch.tensor([3.75, 7.5])).all()
    assert (high <= torch.tensor([66.25, 132.5])).all()
    assert (high - low > 10).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_classifier_of_a_half_network_has_exact_places(dtype: torch.dtype) -> None:
    net = small_net().eval()
    exact = {name: value.clone() for name, value in net.classifier.named_buffers()}
    made = net.to(dtype).classifier.in_float32()
    assert made.x_proj.weight.dtype == torch.float32
    assert net.classifier.x_proj.weight.dtype == dtype
    for name in ("x_bins", "y_bins", "sine.periods"):
        assert torch.equal(made.get_buffer(name), exact[name])


def test_places_of_a_checkpoint_of_its_own_are_kept() -> None:
    net = small_net().eval()
    net.classifier.x_bins.mul_(0.75)
    made = net.half().classifier.in_float32()
    torch.testing.assert_close(made.x_bins, net.classifier.x_bins.float())


def test_random_weights_know_no_place_of_a_keypoint() -> None:
    """So that training reaches all bins: none has nearly everything."""
    classifier = small_net().classifier.train()
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(8, 64, generator=generator)
    boxes = torch.tensor([[10.0, 20, 60, 120]]).repeat(8, 1)
    for weights in classifier.weights(vectors, boxes, torch.full((8, 2), 39.5)):
        assert weights.max() < 0.5
