"""ViTPose against the reference numbers, in each layout that its checkpoints come in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from posekit.models.vitpose import ViTPose
from tests.networks import (
    assert_matches,
    assert_matches_in_float32,
    assert_small,
    reference_case,
    relative_errors,
)
from weights_convert import ConversionError, transformers, vitpose
from weights_convert.convert import apply_rules

ARCHITECTURES = {"base": (768, 12, 12), "large": (1024, 24, 16), "huge": (1280, 32, 16)}
FOLDERS = (
    "td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192",
    "td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192",
    "td-hm_ViTPose-base_8xb64-210e_coco-256x192",
    "td-hm_ViTPose-huge-simple_8xb64-210e_coco-256x192",
)


def from_golden(folder: Path) -> ViTPose:
    """The network that the folder's configuration describes, on `meta`."""
    golden = json.loads((folder / "golden.json").read_text())
    arch = golden["model"]["backbone"]["arch"]
    if isinstance(arch, dict):
        embed_dim, depth, num_heads = arch["embed_dims"], arch["num_layers"], arch["num_heads"]
    else:
        embed_dim, depth, num_heads = ARCHITECTURES[arch]
    with torch.device("meta"):
        return ViTPose(
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            num_keypoints=golden["num_keypoints"],
            simple_head="neck" in golden["model"],
            input_size=golden["input_wh"],
        )


def tiny(**changes: object) -> ViTPose:
    arguments = {
        "embed_dim": 16,
        "depth": 3,
        "num_heads": 2,
        "num_keypoints": 5,
        "simple_head": True,
        "input_size": (32, 48),
    }
    return ViTPose(**(arguments | changes))


@pytest.mark.parametrize(
    "name",
    [
        # The smallest stays; ViTPose-B is compared in tests/weights_convert/test_layouts.py.
        pytest.param(name, marks=[pytest.mark.slow] * ("small" not in name))
        for name in FOLDERS
    ],
)
def test_raw_outputs_match(shared: Path, name: str) -> None:
    folder = shared / "reference" / "pose2d" / name
    assert_matches(folder, from_golden(folder))


def test_raw_outputs_match_in_float32(shared: Path) -> None:
    folder = shared / "reference" / "pose2d" / FOLDERS[0]
    assert_matches_in_float32(folder, from_golden(folder))


@pytest.mark.parametrize("name", FOLDERS)
def test_number_of_parameters(shared: Path, name: str) -> None:
    folder = shared / "reference" / "pose2d" / name
    expected = json.loads((folder / "golden.json").read_text())["params"]
    assert sum(parameter.numel() for parameter in from_golden(folder).parameters()) == expected


@pytest.mark.slow  # tests/weights_convert/test_layouts.py compares the same from files
@pytest.mark.parametrize(
    ("layout", "module", "name"),
    [
        ("transformers", transformers, "vitpose-base"),
        ("transformers", transformers, "vitpose-base-simple"),
        ("vitpose", vitpose, "vitpose-b-coco"),
    ],
)
def test_raw_outputs_match_in_other_layouts(
    shared: Path, layout: str, module: object, name: str
) -> None:
    reference = shared / "reference"
    case = reference_case(reference / "layouts" / layout / name)
    net = from_golden(reference / "pose2d" / case.golden["equivalent"])
    state = apply_rules(module.prepare(case.state, net), module.RULES["ViTPose"], net)
    net.load_state_dict(state, assign=True)
    assert_small(case, relative_errors(case, net), case.tolerance)


def to_transformers(net: ViTPose) -> dict[str, Tensor]:
    """A network's weights, with the class token at position zero, as transformers writes them."""
    names = {
        "backbone.patch_embed": "backbone.embeddings.patch_embeddings.projection",
        "backbone.blocks": "backbone.encoder.layer",
        "backbone.norm": "backbone.layernorm",
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.output.dense",
        "head.final_layer": "head.conv",
    }
    state: dict[str, Tensor] = {}
    for key, value in net.state_dict().items():
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        if key == "backbone.pos_embed":
            positions = torch.cat([torch.zeros_like(value[:, :1]), value], dim=1)
            state["backbone.embeddings.position_embeddings"] = positions
        elif ".attn.qkv." in key:
            for part, chunk in zip(("query", "key", "value"), value.chunk(3), strict=True):
                state[key.replace("attn.qkv", f"attention.attention.{part}")] = chunk
        else:
            state[key] = value
    return state


def test_transformers_layout_keeps_the_order_of_queries_keys_and_values() -> None:
    net = tiny()
    converted = apply_rules(
        transformers.prepare(to_transformers(net), net), transformers.RULES["ViTPose"], net
    )
    assert all(torch.equal(converted[key], value) for key, value in net.state_dict().items())


def test_the_class_tokens_position_is_added_to_each_patch() -> None:
    positions = torch.tensor([[[10.0], [1.0], [2.0]]])
    for module, key in (
        (vitpose, "backbone.pos_embed"),
        (transformers, "backbone.embeddings.position_embeddings"),
    ):
        prepared = module.prepare({key: positions}, tiny())
        assert prepared[key].tolist() == [[[11.0], [12.0]]]


def test_a_missing_projection_is_named() -> None:
    net = tiny()
    state = to_transformers(net)
    del state["backbone.encoder.layer.1.attention.attention.key.weight"]
    with pytest.raises(ConversionError, match=r"layer\.1\.attention\.attention\.query\.weight"):
        apply_rules(transformers.prepare(state, net), transformers.RULES["ViTPose"], net)


def test_each_block_runs_fused_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    fused = torch.nn.functional.scaled_dot_product_attention
    shapes = []

    def counting(query: Tensor, *arguments: object, **options: object) -> Tensor:
        shapes.append(tuple(query.shape))
        return fused(query, *arguments, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", counting)
    tiny().eval()(torch.zeros(1, 3, 48, 32))
    assert shapes == [(1, 2, 6, 8)] * 3  # samples, heads, positions, channels of a head


@pytest.mark.parametrize("simple_head", [True, False])
def test_maps_have_a_quarter_of_the_inputs_size(simple_head: bool) -> None:
    net = tiny(simple_head=simple_head).eval()
    assert net(torch.zeros(2, 3, 48, 32)).shape == (2, 5, 12, 8)


def test_nothing_stays_on_meta_once_weights_are_assigned() -> None:
    weights = tiny(simple_head=False, drop_path_rate=0.1).state_dict()
    with torch.device("meta"):
        net = tiny(simple_head=False, drop_path_rate=0.1)
    net.load_state_dict(weights, assign=True)
    assert not any(tensor.is_meta for tensor in (*net.parameters(), *net.buffers()))
    assert torch.isfinite(net.eval()(torch.zeros(1, 3, 48, 32))).all()


def test_stochastic_depth_acts_in_training_only() -> None:
    torch.manual_seed(0)
    net = tiny(drop_path_rate=0.5)
    images = torch.rand(8, 3, 48, 32)
    tokens = net.backbone.eval()(images)
    torch.testing.assert_close(net.backbone(images), tokens)
    assert (net.backbone.train()(images) - tokens).abs().max() > 1e-2
