"""YOLOX against the reference numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from posekit.build import build_network
from posekit.models.yolox import YOLOX, Focus
from posekit.spec import load_spec
from tests.networks import LAYOUTS, assert_matches, assert_matches_in_float32
from weights_convert import convert_state_dict


@pytest.mark.parametrize(
    "name",
    [
        "yolox-s_8xb8-300e_coco-face",
        pytest.param("yolox_l_8x8_300e_coco", marks=pytest.mark.slow),
    ],
)
def test_raw_outputs_match(shared: Path, name: str) -> None:
    folder = shared / "reference" / "detector" / name
    assert_matches(folder, build_network(load_spec(name).net))


def test_nano_of_its_authors_matches() -> None:
    net = build_network(load_spec("yolox-nano_coco-416").net)
    assert_matches(LAYOUTS / "yolox" / "yolox_nano", net, layout="yolox")


def test_face_model_matches_in_float32(shared: Path) -> None:
    folder = shared / "reference" / "detector" / "yolox-s_8xb8-300e_coco-face"
    assert_matches_in_float32(folder, build_network(load_spec(folder.name).net))


@pytest.mark.parametrize(
    ("deepen", "widen", "depthwise", "millions"),
    [
        (0.33, 0.25, True, 0.91),
        (0.33, 0.375, False, 5.06),
        (0.33, 0.5, False, 8.97),
        (0.67, 0.75, False, 25.3),
        (1.0, 1.0, False, 54.2),
        (1.33, 1.25, False, 99.1),
    ],
    ids=["nano", "tiny", "s", "m", "l", "x"],
)
def test_sizes_have_the_papers_parameters(
    deepen: float, widen: float, depthwise: bool, millions: float
) -> None:
    with torch.device("meta"):
        net = YOLOX(deepen_factor=deepen, widen_factor=widen, num_classes=80, depthwise=depthwise)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, rel=5e-3)


@pytest.mark.parametrize("depthwise", [False, True])
def test_outputs_of_any_number_of_classes(depthwise: bool) -> None:
    net = YOLOX(deepen_factor=0.1, widen_factor=0.125, num_classes=3, depthwise=depthwise)
    sizes = [(8, 12), (4, 6), (2, 3)]
    for levels, channels in zip(net.eval()(torch.zeros(2, 3, 64, 96)), (3, 4, 1), strict=True):
        assert [tuple(level.shape) for level in levels] == [(2, channels, *hw) for hw in sizes]


def test_keys_of_a_depthwise_checkpoint_convert() -> None:
    with torch.device("meta"):
        net = YOLOX(deepen_factor=0.33, widen_factor=0.25, num_classes=80, depthwise=True)
    state = net.state_dict()
    tower = "heads.0.cls_tower.1.pointwise_conv.conv.weight"
    assert tower in state
    source = {
        key.replace("backbone.stages.3", "backbone.stage4")
        .replace("backbone.stages.2", "backbone.stage3")
        .replace("backbone.stages.1", "backbone.stage2")
        .replace("backbone.stages.0", "backbone.stage1"): value
        for key, value in state.items()
        if not key.startswith("heads.")
    }
    for level in range(3):
        for kind in ("cls", "reg", "obj"):
            target = f"heads.{level}.{kind}_pred."
            for leaf in ("weight", "bias"):
                name = f"bbox_head.multi_level_conv_{kind}.{level}.{leaf}"
                source[name] = state[target + leaf]
            target = f"heads.{level}.{kind}_tower."
            for key in (key for key in state if key.startswith(target)):
                name = f"bbox_head.multi_level_{kind}_convs.{level}.{key.removeprefix(target)}"
                source[name] = state[key]
    assert convert_state_dict(source, net=net).keys() == state.keys()


def test_focus_keeps_every_pixel() -> None:
    focus = Focus(1, 4)
    focus.conv = torch.nn.Identity()  # type: ignore[assignment]
    pixels = focus(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).flatten()
    assert pixels.tolist() == [1.0, 3.0, 2.0, 4.0]


def test_batch_norms_are_as_trained() -> None:
    net = YOLOX(deepen_factor=0.1, widen_factor=0.125, num_classes=1)
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.03)}
