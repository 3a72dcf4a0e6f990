"""RTMW3D against the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from posekit.build import build_network
from posekit.codecs.simcc3d import SimCC3D, to_camera
from posekit.spec import load_spec
from tests.networks import assert_small, load_case, reference_case, relative_errors
from weights_convert import convert_state_dict

NAME = "rtmw3d-l_8xb64_cocktail14-384x288"


def test_outputs_and_what_they_mean_match(shared: Path) -> None:
    folder = shared / "reference" / "pose3d" / NAME
    spec = load_spec("rtmw3d-l_cocktail14-384x288")
    net = build_network(spec.net).eval()
    case = reference_case(folder)
    load_case(case, net)
    # The reference is float32; this network's float32 is up to 4.3e-4 from its float64.
    assert_small(case, relative_errors(case, net), 6e-4)
    net.float().load_state_dict(convert_state_dict(case.state, net=net), assign=True)
    with torch.no_grad():
        found, _ = spec.codec.make().decode(net(case.inputs))
    with np.load(folder / "decoded.npz") as expected:
        # A seeded network's maxima are nearly ties, which rounding decides for a few.
        for axis, tolerance in ((0, 0.01), (1, 0.01), (2, 1e-3)):
            off = np.abs(found[..., axis] - expected["keypoints"][..., axis])
            assert (off < tolerance).mean() > 0.97


def test_it_has_the_published_parameters() -> None:
    net = build_network(load_spec("rtmw3d-l_cocktail14-384x288").net)
    assert sum(p.numel() for p in net.parameters()) == 57_501_751


def test_bins_are_pixels_and_metres() -> None:
    codec = SimCC3D(input_size=(4, 6), depth=4)
    logits = [torch.full((1, 2, n), -1.0) for n in (8, 12, 8)]
    logits[0][0, 0, 3], logits[1][0, 0, 5], logits[2][0, 0, 6] = 2.0, 3.0, 1.0
    keypoints, scores = codec.decode(tuple(logits))
    np.testing.assert_allclose(keypoints[0, 0], [1.5, 2.5, 0.5 * codec.z_range], rtol=1e-6)
    assert scores[0].tolist() == [2.0, -1.0]
    np.testing.assert_allclose(keypoints[0, 1], [-0.5, -0.5, -1.25 * codec.z_range], rtol=1e-6)


def test_a_mirrored_input_is_mirrored_along_x_alone() -> None:
    codec = SimCC3D(input_size=(4, 6), depth=4)
    x, y, z = torch.rand(1, 2, 8), torch.rand(1, 2, 12), torch.rand(1, 2, 8)
    found = codec.flip((x, y, z), [1, 0])
    assert torch.equal(found[0], x[:, [1, 0]].flip(-1))
    assert torch.equal(found[1], y[:, [1, 0]])
    assert torch.equal(found[2], z[:, [1, 0]])


def test_a_point_before_the_camera() -> None:
    found = to_camera(np.array([[150.0, 80.0]]), np.array([2.0]), (100, 100), (1000, 500))
    np.testing.assert_allclose(found, [[0.1, -0.08, 2.0]], rtol=1e-6)
