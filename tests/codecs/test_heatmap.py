"""Heat maps <-> keypoints."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from posekit.codecs.heatmap import MSRAHeatmap, UDPHeatmap, _gaussian_blur
from posekit.errors import InputError
from tests.seeded import uniform

COCO = {"input_size": (192, 256), "heatmap_size": (48, 64)}
SMALL = {"input_size": (48, 64), "heatmap_size": (12, 16)}
CODECS = {
    "msra": MSRAHeatmap(**COCO),
    "msra_unbiased": MSRAHeatmap(**COCO, dark=True),
    "udp": UDPHeatmap(**COCO),
}


def gaussian(x: float, y: float, *, size: tuple[int, int] = (12, 16), sigma: float = 2.0) -> Tensor:
    """One map (1, 1, h, w) with a peak of height 1 at the cell (x, y)."""
    columns, rows = torch.arange(size[0]), torch.arange(size[1])
    squares = (columns - x) ** 2 + (rows[:, None] - y) ** 2
    return torch.exp(-squares / (2 * sigma**2))[None, None]


@pytest.mark.parametrize("name", CODECS)
def test_decodes_like_the_reference(shared: Path, name: str) -> None:
    with np.load(shared / "reference" / "training" / "codecs.npz") as numbers:
        maps = numbers[f"{name}/heatmaps"]
        expected = numbers[f"{name}/decoded"], numbers[f"{name}/decoded_scores"]
    # The decodes were measured on the encoded maps with a little noise.
    maps = maps + np.float32(0.02) * uniform("nh" + name, maps.shape)
    keypoints, scores = CODECS[name].decode(torch.from_numpy(maps)[None])
    np.testing.assert_allclose(keypoints, expected[0], atol=1e-3)
    np.testing.assert_allclose(scores, expected[1], atol=1e-6)


@pytest.mark.parametrize("name", CODECS)
def test_a_sample_does_not_depend_on_its_batch(name: str) -> None:
    maps = torch.from_numpy(uniform("batch", (3, 4, 64, 48)))
    maps[1] -= 2  # nothing is positive there
    keypoints, scores = CODECS[name].decode(maps)
    for sample in range(3):
        alone = CODECS[name].decode(maps[sample : sample + 1])
        # Blurring may add in another order; a refined place takes logarithms of that.
        np.testing.assert_allclose(keypoints[sample], alone[0][0], atol=1e-3)
        np.testing.assert_allclose(scores[sample], alone[1][0], atol=1e-6)


@pytest.mark.parametrize("name", CODECS)
def test_results_are_float32_whatever_goes_in(name: str) -> None:
    maps = torch.rand(2, 3, 64, 48, dtype=torch.float16, requires_grad=True)
    keypoints, scores = CODECS[name].decode(maps)
    assert keypoints.dtype == scores.dtype == np.float32
    assert keypoints.shape == (2, 3, 2)
    assert scores.shape == (2, 3)


@pytest.mark.parametrize("name", CODECS)
def test_no_samples_give_no_keypoints(name: str) -> None:
    keypoints, scores = CODECS[name].decode(torch.zeros(0, 3, 64, 48))
    assert keypoints.shape == (0, 3, 2)
    assert scores.shape == (0, 3)


def test_the_quarter_goes_towards_the_larger_neighbour() -> None:
    keypoints, scores = MSRAHeatmap(**SMALL).decode(gaussian(5.3, 7.8))
    np.testing.assert_allclose(keypoints, [[[5.25 * 4, 7.75 * 4]]])
    np.testing.assert_allclose(scores, gaussian(5.3, 7.8).amax().reshape(1, 1))


@pytest.mark.parametrize(("x", "found"), [(0, 0), (1, 1), (2, 2.25), (10, 10.25), (11, 11)])
def test_a_peak_near_the_border_is_not_refined(x: int, found: float) -> None:
    maps = gaussian(min(x + 0.3, 11), 8)
    keypoints, _ = MSRAHeatmap(**SMALL).decode(maps)
    np.testing.assert_allclose(keypoints[0, 0, 0] / 4, found)


def test_dark_finds_a_gaussians_center() -> None:
    codec = MSRAHeatmap(input_size=(192, 256), heatmap_size=(48, 64), dark=True)
    keypoints, _ = codec.decode(gaussian(20.3, 30.8, size=(48, 64)))
    np.testing.assert_allclose(keypoints / 4, [[[20.3, 30.8]]], atol=0.01)


def test_udp_finds_a_gaussians_center_in_its_own_coordinates() -> None:
    keypoints, _ = UDPHeatmap(**COCO).decode(gaussian(20.3, 30.8, size=(48, 64)))
    np.testing.assert_allclose(keypoints, [[[20.3 * 192 / 47, 30.8 * 256 / 63]]], atol=0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_a_map_that_is_nowhere_positive_puts_the_keypoint_outside(dark: bool) -> None:
    keypoints, scores = MSRAHeatmap(**SMALL, dark=dark).decode(torch.full((1, 1, 16, 12), -0.5))
    np.testing.assert_allclose(keypoints, [[[-4, -4]]])
    np.testing.assert_allclose(scores, [[-0.5]])


@pytest.mark.parametrize("codec", [MSRAHeatmap(**SMALL, dark=True), UDPHeatmap(**SMALL)])
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_flat_maps_give_finite_keypoints(codec: MSRAHeatmap | UDPHeatmap, value: float) -> None:
    keypoints, _ = codec.decode(torch.full((1, 2, 16, 12), value))
    assert np.isfinite(keypoints).all()


def test_udp_of_an_empty_map_reads_where_the_previous_map_ends() -> None:
    first, second = torch.rand(16, 12) + 1, torch.rand(16, 12) - 2
    alone, _ = UDPHeatmap(**SMALL).decode(torch.stack([second, second])[None])
    behind, _ = UDPHeatmap(**SMALL).decode(torch.stack([first, second])[None])
    assert not np.allclose(alone[0, 1], behind[0, 1])


@pytest.mark.parametrize("kernel_size", [3, 11, 17])
@pytest.mark.parametrize(
    ("border", "cv2_border"), [("constant", cv2.BORDER_CONSTANT), ("reflect", cv2.BORDER_DEFAULT)]
)
def test_blurs_like_opencv(kernel_size: int, border: str, cv2_border: int) -> None:
    maps = uniform("blur", (2, 3, 20, 25))
    found = _gaussian_blur(torch.from_numpy(maps), kernel_size, border=border).numpy()
    for index in np.ndindex(2, 3):
        expected = cv2.GaussianBlur(
            maps[index], (kernel_size, kernel_size), 0, borderType=cv2_border
        )
        np.testing.assert_allclose(found[index], expected, atol=1e-6)


def test_offset_maps_move_the_maximum() -> None:
    codec = UDPHeatmap(**SMALL, blur_kernel_size=1, combined=True, radius_factor=0.25)
    maps = torch.zeros(1, 6, 16, 12)
    maps[0, 0, 9, 7] = maps[0, 3, 4, 2] = 1
    maps[0, 1, 9, 7], maps[0, 2, 9, 7] = 0.5, -0.25
    maps[0, 4, 4, 2], maps[0, 5, 4, 2] = -0.1, 0.2
    keypoints, _ = codec.decode(maps)
    cells = np.array([[7 + 0.5 * 4, 9 - 0.25 * 4], [2 - 0.1 * 4, 4 + 0.2 * 4]])
    np.testing.assert_allclose(keypoints[0], cells * [48 / 11, 64 / 15], rtol=1e-6)


def test_flip_mirrors_and_swaps_left_and_right() -> None:
    maps = torch.rand(2, 3, 16, 12)
    for codec in (MSRAHeatmap(**SMALL), UDPHeatmap(**SMALL)):
        flipped = codec.flip(maps, [0, 2, 1])
        assert torch.equal(flipped[:, 1], maps[:, 2].flip(-1))
        assert torch.equal(flipped[:, 0], maps[:, 0].flip(-1))


def test_flip_with_shift_moves_by_one_cell_and_keeps_the_first() -> None:
    maps = torch.rand(2, 3, 16, 12)
    for codec in (
        MSRAHeatmap(**SMALL, shift_heatmap=True),
        UDPHeatmap(**SMALL, shift_heatmap=True),
    ):
        flipped, mirrored = codec.flip(maps, [0, 2, 1]), maps[:, [0, 2, 1]].flip(-1)
        assert torch.equal(flipped[..., 1:], mirrored[..., :-1])
        assert torch.equal(flipped[..., 0], mirrored[..., 0])


def test_flip_of_offset_maps_turns_x_around() -> None:
    maps = torch.rand(2, 9, 16, 12)
    flipped = UDPHeatmap(**SMALL, combined=True).flip(maps, [0, 2, 1])
    assert torch.equal(flipped[:, 3], maps[:, 6].flip(-1))
    assert torch.equal(flipped[:, 4], -maps[:, 7].flip(-1))
    assert torch.equal(flipped[:, 5], maps[:, 8].flip(-1))


def test_maps_of_another_size_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected heatmaps \(N, K, 16, 12\), found .*64, 48"):
        MSRAHeatmap(**SMALL).decode(torch.zeros(1, 3, 64, 48))


@pytest.mark.parametrize("name", CODECS)
def test_targets_are_the_references(shared: Path, name: str) -> None:
    with np.load(shared / "reference" / "training" / "codecs.npz") as numbers:
        maps, weights = CODECS[name].encode(numbers["keypoints"], numbers["visible"])
        np.testing.assert_allclose(maps[0], numbers[f"{name}/heatmaps"], rtol=1e-4, atol=1e-30)
        np.testing.assert_array_equal(weights, numbers[f"{name}/keypoint_weights"])


@pytest.mark.parametrize("combined", [False, True])
def test_udp_targets_decode_to_the_keypoints(combined: bool) -> None:
    codec = UDPHeatmap(**COCO, combined=combined)
    # Decoding has the last cell at the whole size, encoding at the last pixel, as published.
    keypoints = 30 + (uniform("k", (3, 5, 2)) + 1) / 2 * [130, 190]
    maps, _ = codec.encode(keypoints, np.ones((3, 5)))
    found, _ = codec.decode(maps)
    expected = keypoints * np.array([192 / 191, 256 / 255])
    np.testing.assert_allclose(found, expected, atol=0.1)


def test_dark_targets_decode_to_the_keypoints_and_others_to_the_cells() -> None:
    keypoints = 30 + (uniform("k", (3, 5, 2)) + 1) / 2 * [130, 190]
    for codec, tolerance in ((CODECS["msra_unbiased"], 0.1), (CODECS["msra"], 2.01)):
        maps, _ = codec.encode(keypoints, np.ones((3, 5)))
        assert maps.shape == (3, 5, 64, 48)
        found, _ = codec.decode(maps)
        np.testing.assert_allclose(found, keypoints, atol=tolerance)


@pytest.mark.parametrize("name", CODECS)
def test_targets_of_a_person_do_not_depend_on_the_others(name: str) -> None:
    keypoints = torch.from_numpy(uniform("k", (3, 4, 2)) + 1) * 100
    visible = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 0.0]])
    maps, weights = CODECS[name].encode(keypoints, visible)
    for person in range(3):
        alone = CODECS[name].encode(keypoints[person : person + 1], visible[person : person + 1])
        # The rest behind a row of vectors has another exponential function, off by a bit.
        torch.testing.assert_close(maps[person], alone[0][0], rtol=1e-5, atol=1e-30)
        assert torch.equal(weights[person], alone[1][0])
    assert (maps[visible == 0] == 0).all()


@pytest.mark.parametrize("codec", [*CODECS.values(), UDPHeatmap(**COCO, combined=True)])
def test_invisible_keypoints_may_lie_at_nan(codec: MSRAHeatmap | UDPHeatmap) -> None:
    maps, weights = codec.encode(torch.full((1, 2, 2), torch.nan), torch.zeros(1, 2))
    assert (maps == 0).all()
    assert (weights == 0).all()


@pytest.mark.parametrize("name", CODECS)
def test_keypoints_far_outside_have_no_target_and_those_near_have(name: str) -> None:
    cells = torch.tensor([[[-5.0, 30.0], [-9.0, 30.0], [52.0, 30.0], [56.0, 30.0]]])
    maps, weights = CODECS[name].encode(cells * 4, torch.ones(1, 4))
    assert weights.tolist() == [[1, 0, 1, 0]]
    assert maps.amax((2, 3)).gt(0).tolist() == [[True, False, True, False]]


@pytest.mark.parametrize(("size", "sigma"), [((48, 64), 2), ((72, 96), 3), ((64, 64), 2)])
def test_sigma_follows_the_published_configurations(size: tuple, sigma: int) -> None:
    assert MSRAHeatmap(input_size=(192, 256), heatmap_size=size).sigma == sigma
    assert UDPHeatmap(input_size=(192, 256), heatmap_size=size).sigma == sigma


def test_nobody_has_no_maps() -> None:
    for codec, maps in ((CODECS["udp"], 17), (UDPHeatmap(**COCO, combined=True), 51)):
        found, weights = codec.encode(np.zeros((0, 17, 2)), np.zeros((0, 17)))
        assert (found.shape, weights.shape) == ((0, maps, 64, 48), (0, 17))


def test_keypoints_and_visibility_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"found \(1, 17, 2\) and \(17,\)"):
        MSRAHeatmap(**SMALL).encode(np.zeros((1, 17, 2)), np.zeros(17))
