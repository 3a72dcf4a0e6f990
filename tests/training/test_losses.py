"""Losses: the reference's values, and how they behave at the edges."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from posekit.codecs.heatmap import MSRAHeatmap, UDPHeatmap
from posekit.codecs.simcc import SimCC
from posekit.errors import InputError
from posekit.skeleton import load_skeleton
from posekit.spec import load_spec
from posekit.training.losses import (
    AdaptiveWingLoss,
    DetectorLosses,
    HeatmapLoss,
    MotionLoss,
    RTMDetLoss,
    SimCCLoss,
    generalized_iou,
    keypoint_weights,
    limb_length_error,
    limb_length_variation,
    mpjpe,
    n_mpjpe,
    pose_loss,
    quality_focal_loss,
    velocity_error,
)
from tests.seeded import uniform

LIMBS = [(0, 1), (1, 2)]


def seeded(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(uniform(name, shape))


@pytest.fixture(scope="module")
def expected(shared: Path) -> dict:
    return json.loads((shared / "reference" / "training" / "losses.json").read_text())


def weights() -> Tensor:
    return (seeded("w", 4, 17) > -0.3).float()


def test_simcc_loss_is_the_references(expected: dict) -> None:
    outputs = 2 * seeded("px", 4, 17, 384), 2 * seeded("py", 4, 17, 512)
    targets = [(5 * seeded(n, 4, 17, s)).softmax(-1) for n, s in (("tx", 384), ("ty", 512))]
    value = expected["KLDiscretLoss(beta=10,label_softmax,use_target_weight)"]
    torch.testing.assert_close(
        SimCCLoss()(outputs, tuple(targets), weights()).item(), value, rtol=1e-5, atol=0
    )


def test_heatmap_loss_is_the_references(expected: dict) -> None:
    outputs, targets = seeded("hp", 4, 17, 64, 48), (seeded("ht", 4, 17, 64, 48) + 1) / 2
    value = expected["KeypointMSELoss(use_target_weight)"]
    loss = HeatmapLoss()(outputs, targets, weights())
    torch.testing.assert_close(loss.item(), value, rtol=1e-5, atol=0)


def test_motion_loss_is_the_references(expected: dict) -> None:
    loss = MotionLoss()(seeded("p3", 2, 27, 17, 3), seeded("t3", 2, 27, 17, 3))
    torch.testing.assert_close(loss.item(), expected["MPJPEVelocityJointLoss"], rtol=1e-5, atol=0)


def test_rtmdet_loss_is_the_references(shared: Path) -> None:
    file = shared / "reference" / "training" / "rtmdet_loss.json"
    reference = json.loads(file.read_text())
    sizes, strides = (80, 40, 20), (8, 16, 32)
    logits = tuple(seeded(f"det/cls{i}", 2, 80, s, s) * 3 - 2 for i, s in enumerate(sizes))
    distances = tuple(
        (seeded(f"det/reg{i}", 2, 4, s, s) + 1) * stride * 4
        for i, (s, stride) in enumerate(zip(sizes, strides, strict=True))
    )
    losses = RTMDetLoss()(
        (logits, distances),
        [torch.tensor(truth["bboxes"]) for truth in reference["gt"]],
        [torch.tensor(truth["labels"]) for truth in reference["gt"]],
    )
    for found, name in ((losses.classes, "loss_cls"), (losses.boxes, "loss_bbox")):
        value = torch.tensor(reference["losses"][name])
        torch.testing.assert_close(found, value, rtol=1e-5, atol=0)


def detector_outputs(*, images: int = 2, size: int = 4) -> tuple:
    """Of levels of 8 and 16 pixels per cell, that learn."""
    logits = tuple(seeded(f"l{s}", images, 3, s, s).requires_grad_() for s in (size, size // 2))
    distances = tuple(
        ((seeded(f"d{s}", images, 4, s, s) + 1) * 10).requires_grad_() for s in (size, size // 2)
    )
    return logits, distances


def test_rtmdet_loss_reaches_logits_everywhere_and_boxes_where_assigned() -> None:
    outputs = detector_outputs()
    boxes = [torch.tensor([[2.0, 2.0, 30.0, 30.0]])] * 2
    losses = RTMDetLoss(strides=(8, 16))(outputs, boxes, [torch.tensor([1])] * 2)
    losses.total.backward()
    assert all((level.grad != 0).all() for level in outputs[0])
    moved = [(level.grad != 0).any(dim=1).float().mean() for level in outputs[1]]
    assert 0 < sum(moved) < 2


def test_images_without_boxes_are_background() -> None:
    outputs = detector_outputs()
    none, no_labels = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    losses = RTMDetLoss(strides=(8, 16))(outputs, [none, none], [no_labels, no_labels])
    losses.total.backward()
    assert losses.boxes.tolist() == [0, 0]
    assert (losses.classes > 0).all()
    # The boxes' branch has gradients, of zero: training in several processes waits for them.
    assert all(level.grad is not None and (level.grad == 0).all() for level in outputs[1])


def test_rtmdet_loss_does_not_depend_on_the_order_of_boxes() -> None:
    boxes = torch.tensor([[2.0, 2.0, 30.0, 30.0], [0.0, 0.0, 14.0, 20.0], [9.0, 7.0, 25.0, 32.0]])
    labels = torch.tensor([0, 1, 2])
    loss = RTMDetLoss(strides=(8, 16))
    outputs = detector_outputs(images=1)
    found = [loss(outputs, [boxes[o]], [labels[o]]).total for o in ([0, 1, 2], [2, 0, 1])]
    torch.testing.assert_close(found[0], found[1])


def loss_of_one_image(rank: int, folder: str) -> Tensor:
    """The loss of an image in one of two processes; it is saved, too."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    loss = two_images([rank]).total.detach()
    torch.save(loss, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()
    return loss


def two_images(chosen: list[int]) -> DetectorLosses:
    """Of one or both of two images: one with three boxes predicted well, one with one."""
    logits, distances = detector_outputs()
    boxes = [
        torch.tensor([[2.0, 2.0, 30.0, 30.0], [0.0, 0.0, 14.0, 20.0], [9.0, 7.0, 25.0, 32.0]]),
        torch.tensor([[3.0, 3.0, 29.0, 20.0]]),
    ]
    labels = [torch.tensor([0, 1, 2]), torch.tensor([1])]
    parts = tuple(tuple(level[chosen] for level in levels) for levels in (logits, distances))
    loss = RTMDetLoss(strides=(8, 16))
    return loss(parts, [boxes[i] for i in chosen], [labels[i] for i in chosen])


def test_processes_average_to_the_loss_of_one(tmp_path: Path) -> None:
    other = torch.multiprocessing.spawn(
        loss_of_one_image, (str(tmp_path),), nprocs=1, join=False
    )  # rank 0
    found = [loss_of_one_image(1, str(tmp_path))]
    other.join()
    found.append(torch.load(tmp_path / "0.pt"))
    torch.testing.assert_close(sum(found) / 2, two_images([0, 1]).total.detach())
    apart = [two_images([rank]).total.detach() for rank in (0, 1)]
    assert not torch.isclose(sum(apart), sum(found))


def test_boxes_for_another_number_of_images_are_refused() -> None:
    with pytest.raises(InputError, match="each of 2 images, found 1 and 1"):
        RTMDetLoss(strides=(8, 16))(
            detector_outputs(), [torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.int64)]
        )


def test_simcc_loss_is_zero_for_the_target_and_falls_towards_it() -> None:
    target = (seeded("a", 2, 3, 20), seeded("b", 2, 3, 30))
    ones = torch.ones(2, 3)
    assert SimCCLoss()(target, target, ones).abs() < 1e-6
    outputs = tuple(torch.zeros_like(axis, requires_grad=True) for axis in target)
    SimCCLoss()(outputs, target, ones).backward()
    assert all((axis.grad != 0).any() for axis in outputs)


def simcc_loss_in_numpy(
    outputs: list[np.ndarray], targets: list[np.ndarray], weights: np.ndarray, beta: float
) -> float:
    """Sum over axes, samples and keypoints of the weighted divergence, over the keypoints."""
    total = 0.0
    for logits, target in zip(outputs, targets, strict=True):
        log_p, log_q = (
            x - np.log(np.exp(x).sum(axis=-1, keepdims=True)) for x in (10 * target, beta * logits)
        )
        total += (weights * (np.exp(log_p) * (log_p - log_q)).mean(axis=-1)).sum()
    return total / weights.shape[1]


@pytest.mark.parametrize("name", ["rtmw-l_cocktail14-256x192", "rtmpose-m_coco-wholebody-256x192"])
def test_simcc_loss_of_a_model_is_that_of_its_configuration(name: str) -> None:
    """RTMW's takes logits as they are and counts faces half; RTMPose's sharpens them."""
    model = load_spec(name)
    beta, face = (1.0, 0.5) if "rtmw" in name else (10.0, 1.0)
    count = keypoint_weights(model.keypoint_weights, load_skeleton(model.keypoints).names)
    expected = torch.ones(133)
    expected[23:91] = face
    torch.testing.assert_close(count, expected)
    outputs = [seeded(n, 2, 133, s).double() for n, s in (("px", 384), ("py", 512))]
    targets = [seeded(n, 2, 133, s).double() for n, s in (("tx", 384), ("ty", 512))]
    value = simcc_loss_in_numpy(
        [x.numpy() for x in outputs],
        [x.numpy() for x in targets],
        expected.expand(2, 133).numpy(),
        beta,
    )
    loss = pose_loss(model, model.codec.make())
    found = loss(tuple(outputs), tuple(targets), count.expand(2, 133))
    torch.testing.assert_close(found.item(), value, rtol=1e-5, atol=0)


def test_a_perfect_output_costs_rtmw_nothing() -> None:
    model = load_spec("rtmw-l_cocktail14-256x192")
    codec = SimCC(input_size=(192, 256))
    points = (seeded("points", 2, 133, 2) + 1) * 90
    targets, weights = codec.encode(points, torch.ones(2, 133))
    perfect = tuple(10 * axis for axis in targets)
    assert pose_loss(model, codec)(perfect, targets, weights).abs() < 1e-8
    assert SimCCLoss()(perfect, targets, weights) > 0.01  # RTMPose's is another


def adaptive_wing_in_numpy(output: float, target: float) -> float:
    """Equation 3 of arXiv 1904.07399 with the paper's values, for one cell."""
    alpha, omega, epsilon, theta = 2.1, 14.0, 1.0, 0.5
    error, power = abs(target - output), alpha - target
    if error < theta:
        return omega * np.log(1 + (error / epsilon) ** power)
    bend = (theta / epsilon) ** power
    slope = omega * (1 / (1 + bend)) * power * (theta / epsilon) ** (power - 1) / epsilon
    return slope * error - (theta * slope - omega * np.log(1 + bend))


def test_adaptive_wing_loss_is_the_papers() -> None:
    outputs, targets = seeded("hp", 2, 3, 8, 6), (seeded("ht", 2, 3, 8, 6) + 1) / 2
    weights = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.5]])
    scaled = [(maps * weights[..., None, None]).flatten().tolist() for maps in (outputs, targets)]
    value = np.mean([adaptive_wing_in_numpy(*pair) for pair in zip(*scaled, strict=True)])
    found = AdaptiveWingLoss()(outputs, targets, weights)
    torch.testing.assert_close(found.item(), float(value), rtol=1e-5, atol=0)


def test_adaptive_wing_loss_has_no_step_and_finite_gradients() -> None:
    target = torch.linspace(0, 1, 6).view(1, 6, 1, 1)
    ones = torch.ones(1, 6)
    below, above = (AdaptiveWingLoss()(target + 0.5 + d, target, ones) for d in (-1e-4, 1e-4))
    torch.testing.assert_close(below, above, rtol=0, atol=5e-3)
    outputs = target.clone().requires_grad_()  # where the error is 0
    AdaptiveWingLoss()(outputs, target, ones).backward()
    assert torch.isfinite(outputs.grad).all()


def test_the_wflw_model_of_that_name_learns_by_the_adaptive_wing_loss() -> None:
    models = ("hrnetv2-w18-awing_wflw-256x256", "hrnetv2-w18_wflw-256x256")
    codec = MSRAHeatmap(input_size=(256, 256), heatmap_size=(64, 64))
    kinds = [type(pose_loss(load_spec(name), codec)) for name in models]
    assert kinds == [AdaptiveWingLoss, HeatmapLoss]


def test_the_last_pattern_of_names_counts() -> None:
    weights = keypoint_weights({"left_*": 2, "*_hip": 0.5}, ("nose", "left_eye", "left_hip"))
    assert weights.tolist() == [1.0, 2.0, 0.5]
    with pytest.raises(InputError, match=r"no keypoint is named like 'face-\*'"):
        keypoint_weights({"face-*": 0.5}, ("nose",))


def test_invisible_keypoints_teach_nothing() -> None:
    outputs = seeded("a", 2, 3, 20).requires_grad_(), seeded("b", 2, 3, 30).requires_grad_()
    loss = SimCCLoss()(outputs, (torch.rand(2, 3, 20), torch.rand(2, 3, 30)), torch.zeros(2, 3))
    loss.backward()
    assert loss == 0
    assert all((axis.grad == 0).all() for axis in outputs)
    maps = torch.rand(2, 3, 8, 6)
    assert HeatmapLoss()(maps, torch.zeros_like(maps), torch.zeros(2, 3)) == 0


def test_heatmap_loss_takes_offset_maps() -> None:
    codec = UDPHeatmap(input_size=(48, 64), heatmap_size=(12, 16), combined=True)
    targets, visible = codec.encode(torch.rand(2, 3, 2) * 40, torch.tensor([[1, 1, 0.0]] * 2))
    assert HeatmapLoss()(targets, targets, visible) == 0
    off = targets + torch.tensor([0.0] * 6 + [1.0] * 3).view(1, 9, 1, 1)  # the third keypoint
    assert HeatmapLoss()(off, targets, visible) == 0
    # The disc counts everywhere, offsets inside it; half of the three means' sum.
    disc = targets[:, ::3]
    for map_of_three, counted in ((0, torch.ones_like(disc)), (1, disc**2), (2, disc**2)):
        off = targets.clone()
        off[:, map_of_three::3] += 2
        expected = 0.5 * (4 * counted * visible[..., None, None]).mean()
        torch.testing.assert_close(HeatmapLoss()(off, targets, visible), expected)


@pytest.mark.parametrize("loss", [SimCCLoss(), HeatmapLoss(), AdaptiveWingLoss()])
def test_shapes_that_do_not_fit_are_refused(loss: torch.nn.Module) -> None:
    outputs, targets = torch.zeros(2, 3, 8, 6), torch.zeros(2, 3, 8, 7)
    if isinstance(loss, SimCCLoss):
        outputs, targets = (outputs[..., 0],) * 2, (targets[:, :2, :, 0],) * 2
    with pytest.raises(InputError, match="as the targets have it"):
        loss(outputs, targets, torch.ones(2, 3))


def test_half_precision_outputs_give_a_float32_loss() -> None:
    outputs = torch.rand(2, 3, 20).half(), torch.rand(2, 3, 30).half()
    loss = SimCCLoss()(outputs, tuple(axis.float() for axis in outputs), torch.ones(2, 3))
    assert loss.dtype == torch.float32


def test_n_mpjpe_forgives_scale_and_mpjpe_does_not() -> None:
    poses = seeded("poses", 2, 5, 3, 3)
    assert n_mpjpe(3 * poses, poses) < 1e-6
    torch.testing.assert_close(mpjpe(3 * poses, poses), 2 * poses.norm(dim=-1).mean())
    assert torch.isfinite(n_mpjpe(torch.zeros_like(poses), poses))


def test_velocity_forgives_a_shift_and_a_single_frame() -> None:
    poses = seeded("poses", 2, 5, 3, 3)
    assert velocity_error(poses + 7, poses) < 1e-5
    assert velocity_error(poses[:, :1], poses[:, :1]) == 0


def test_limbs_of_constant_length_do_not_vary() -> None:
    pose = seeded("pose", 1, 1, 3, 3)
    moving = pose + seeded("path", 1, 6, 1, 3)
    assert limb_length_variation(moving, LIMBS) < 1e-10
    assert limb_length_variation(moving * torch.arange(1, 7).view(1, 6, 1, 1), LIMBS) > 0.1
    assert limb_length_variation(moving[:, :1], LIMBS) == 0
    assert limb_length_error(moving, pose.expand_as(moving), LIMBS) < 1e-6


def test_motion_loss_weighs_its_parts() -> None:
    outputs, targets = seeded("o", 2, 5, 3, 3), seeded("t", 2, 5, 3, 3)
    loss = MotionLoss(
        scale_weight=2,
        velocity_weight=3,
        limb_variation_weight=4,
        limb_length_weight=5,
        limbs=LIMBS,
    )
    parts = (
        mpjpe(outputs, targets)
        + 2 * n_mpjpe(outputs, targets)
        + 3 * velocity_error(outputs, targets)
        + 4 * limb_length_variation(outputs, LIMBS)
        + 5 * limb_length_error(outputs, targets, LIMBS)
    )
    torch.testing.assert_close(loss(outputs, targets), parts)
    with pytest.raises(InputError, match="pairs for the losses of limbs"):
        MotionLoss(limb_length_weight=1)


def test_weights_leave_out_joints_and_the_steps_to_them() -> None:
    outputs, targets = seeded("o", 1, 4, 3, 3), seeded("o", 1, 4, 3, 3)
    outputs[0, 2, 1] += 5
    certain = torch.ones(1, 4, 3)
    certain[0, 2, 1] = 0
    assert mpjpe(outputs, targets, certain) == 0
    assert velocity_error(outputs, targets, certain) == 0
    assert velocity_error(outputs, targets) > 0


def test_quality_focal_loss_is_zero_where_the_logit_is_the_quality() -> None:
    logits = torch.full((2, 3), -100.0)
    logits[0, 1] = torch.logit(torch.tensor(0.7))
    loss = quality_focal_loss(logits, torch.tensor([1, -1]), torch.tensor([0.7, 0.0]))
    torch.testing.assert_close(loss, torch.zeros(2))


@pytest.mark.parametrize(
    ("other", "value"),
    [([0, 0, 2, 2], 1.0), ([0, 0, 2, 1], 0.5), ([4, 0, 6, 2], -1 / 3), ([1, 1, 1, 1], 0.0)],
)
def test_generalized_iou(other: list[float], value: float) -> None:
    found = generalized_iou(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([other]).float())
    torch.testing.assert_close(found, torch.tensor([value]))
