"""VideoPose3D against the official layout, the published sizes and its strided form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posekit.build import build_network
from posekit.errors import InputError
from posekit.models.videopose3d import ConvNorm, VideoPose3D
from posekit.skeleton import load_skeleton
from posekit.spec import load_spec
from posekit.stages.lift import Lifter
from weights_convert import convert_state_dict

NORM = ("weight", "bias", "running_mean", "running_var")


def official_shapes(blocks: int, prefix: str = "", joints: int = 17) -> dict[str, list[int]]:
    """Of a published checkpoint whose kernels are three frames long."""
    convs = {f"{prefix}backbone.expand_conv": (34, 3)}
    for block in range(blocks):
        convs[f"{prefix}backbone.tcn_blocks.{block}.conv1.0"] = (1024, 3)
        convs[f"{prefix}backbone.tcn_blocks.{block}.conv2.0"] = (1024, 1)
    shapes: dict[str, list[int]] = {}
    for name, (channels, kernel) in convs.items():
        shapes[f"{name}.conv.weight"] = [1024, channels, kernel]
        shapes |= {f"{name}.bn.{leaf}": [1024] for leaf in NORM}
        shapes[f"{name}.bn.num_batches_tracked"] = []
    shapes[f"{prefix}head.conv.weight"] = [3 * joints, 1024, 1]
    return shapes | {f"{prefix}head.conv.bias": [3 * joints]}


def converted(shapes: dict[str, list[int]], name: str) -> None:
    net = build_network(load_spec(name).net)
    source = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    found = convert_state_dict(source, net=net)
    expected = {key: tensor.shape for key, tensor in net.state_dict().items()}
    assert {key: tensor.shape for key, tensor in found.items()} == expected


@pytest.mark.parametrize(("frames", "blocks"), [(27, 2), (81, 3), (243, 4)])
def test_an_official_checkpoint_converts(frames: int, blocks: int) -> None:
    converted(official_shapes(blocks), f"videopose3d-{frames}frm_h36m")


def test_an_official_checkpoint_of_simplebaseline3d_converts() -> None:
    shapes = {
        key.replace("head.", "keypoint_head."): [*shape[:2], 1] if shape[2:] else shape
        for key, shape in official_shapes(2, joints=16).items()
    }
    converted(shapes, "simplebaseline3d_h36m")


def test_the_second_network_of_semi_supervised_training_is_left_out() -> None:
    second = official_shapes(2, "traj_", joints=1)
    converted({**official_shapes(2), **second}, "videopose3d-27frm-semi_h36m")


@pytest.mark.parametrize(
    ("name", "parameters"), [("27frm", 8.56), ("81frm", 12.75), ("243frm", 16.95)]
)
def test_it_has_the_published_number_of_parameters(name: str, parameters: float) -> None:
    net = build_network(load_spec(f"videopose3d-{name}_h36m").net)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(parameters, abs=0.006)


def small(*kernels: int) -> VideoPose3D:
    torch.manual_seed(0)
    net = VideoPose3D(kernel_sizes=kernels, num_keypoints=5, channels=8).double().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return net


def strided(net: VideoPose3D, window: Tensor) -> Tensor:
    """The official form: of a window of all frames that it sees, strides leave one."""

    def conv(layer: ConvNorm, x: Tensor) -> Tensor:
        kernel = layer.conv.kernel_size[0]
        return layer.bn(nn.functional.conv1d(x, layer.conv.weight, stride=kernel)).relu()

    x = conv(net.expand, window.flatten(2).transpose(1, 2))
    for block in net.blocks:
        kernel = block.conv1.conv.kernel_size[0]
        x = x[:, :, kernel // 2 :: kernel] + conv(block.conv2, conv(block.conv1, x))
    return net.head(x).reshape(len(window), 1, 5, 3)


@pytest.mark.parametrize("kernels", [(1, 1, 1), (3,), (3, 3), (3, 3, 3), (3, 5)])
def test_each_frame_is_what_the_official_form_makes_of_its_window(kernels: tuple[int]) -> None:
    net = small(*kernels)
    poses = torch.rand(2, 31, 5, 2, dtype=torch.float64)
    reach = int(np.prod(kernels)) // 2
    padded = [poses[:, :1]] * reach + [poses] + [poses[:, -1:]] * reach
    windows = torch.cat(padded, dim=1).unfold(1, 2 * reach + 1, 1).movedim(-1, 2)
    with torch.inference_mode():
        expected = torch.cat([strided(net, windows[:, t]) for t in range(31)], dim=1)
        torch.testing.assert_close(net(poses), expected)


def test_too_many_frames_are_refused() -> None:
    with pytest.raises(InputError, match="at most 243 frames, found 244"):
        small(3)(torch.zeros(1, 244, 5, 2, dtype=torch.float64))


@pytest.mark.parametrize("name", ["videopose3d-27frm_h36m", "simplebaseline3d"])
def test_a_person_is_lifted_to_metres(name: str) -> None:
    spec = load_spec(name)
    torch.manual_seed(0)
    lifter = Lifter(build_network(spec.net, device="cpu").eval(), spec, load_skeleton("h36m"))
    keypoints = np.random.default_rng(0).uniform(0, 300, (1, 3, 17, 2)).astype(np.float32)
    boxes = np.tile(np.float32([0, 0, 300, 300]), (1, 3, 1))
    found = lifter(keypoints, boxes, image_size=(640, 480))
    assert found.shape == (1, 3, 17, 3)
    assert found[..., 2].min(axis=-1) == pytest.approx(np.zeros((1, 3)))
    assert lifter.describe(found[:, 0]).unit.startswith("metres, of people as large as those of")
    flipped = lifter(keypoints, boxes, image_size=(640, 480), flip_test=True)
    assert np.isfinite(flipped).all()
