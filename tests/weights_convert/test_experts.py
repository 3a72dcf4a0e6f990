"""ViTPose+: one expert of a checkpoint becomes a plain ViTPose, without loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from posekit.build import build_network
from posekit.checkpoints import CHECKPOINTS
from posekit.models.vitpose import ViTPose
from posekit.skeleton import load_skeleton
from posekit.spec import load_spec
from posekit.weights.hub import resolve_weights
from tests.networks import (
    ROUNDED_TOLERANCE,
    ReferenceCase,
    assert_small,
    load_case,
    reference_case,
)
from weights_convert import ConversionError, convert_file, convert_state_dict
from weights_convert.experts import EXPERTS, fold_expert, note_on_expert

FOLDER = Path("layouts/transformers/vitpose-plus-small")
PART = 4  # rows of an expert, of 16
PLUS = [row for row in CHECKPOINTS if row.name.startswith("vitpose-plus-")]


@pytest.fixture(scope="module")
def case(shared: Path) -> ReferenceCase:
    """Of a network with experts."""
    return reference_case(shared / "reference" / FOLDER)


@pytest.mark.parametrize("number", [0, 1])
def test_an_expert_of_the_reference_matches(case: ReferenceCase, number: int) -> None:
    described = case.golden["outputs"][number]
    net = small_vitpose(list(EXPERTS)[described["expert"]])
    load_case(case, net, layout="transformers")
    with torch.inference_mode():
        output = net.eval().double()(case.inputs.double())
    assert list(output.shape) == described["shape"]
    found = output.ravel()[:: described["stride"]] - torch.from_numpy(case.outputs[number])
    assert_small(case, [float(found.abs().max()) / described["std"]], ROUNDED_TOLERANCE)


def small_vitpose(expert: str | None) -> nn.Module:
    net = load_spec("vitpose-plus-s").net.having(expert=expert)
    return build_network(net)


def tiny(expert: str | None = None, num_keypoints: int = 17) -> ViTPose:
    return ViTPose(
        embed_dim=16,
        depth=2,
        num_heads=2,
        num_keypoints=num_keypoints,
        simple_head=False,
        input_size=(32, 32),
        expert=expert,
    )


class Mixture(nn.Module):
    """A block's two layers as the authors wrote them: shared rows, then those of a data set."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index
        self.fc1 = nn.Linear(16, 64)
        self.fc2 = nn.Linear(64, 16 - PART)
        self.experts = nn.ModuleList(nn.Linear(64, PART) for _ in EXPERTS)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.gelu(self.fc1(x))
        return torch.cat([self.fc2(x), self.experts[self.index](x)], dim=-1)


def mixture(expert: str) -> ViTPose:
    """A network with experts, of which one is used."""
    torch.manual_seed(0)
    net = tiny(num_keypoints=EXPERTS[expert])
    for block in net.backbone.blocks:
        block.mlp = Mixture(list(EXPERTS).index(expert))
    return net.eval().double()


def authors_file(net: ViTPose, expert: str) -> dict[str, Any]:
    """The entries as ViTPose's own program names them, with heads for all data sets."""
    state = {}
    for key, value in net.state_dict().items():
        key = key.replace("patch_embed.", "patch_embed.proj.")
        key = key.replace("backbone.norm.", "backbone.last_norm.")
        if key == "backbone.pos_embed":
            value = torch.cat([torch.zeros_like(value[:, :1]), value], dim=1)
        if not key.startswith("head."):
            state[key] = value
            continue
        for index, (name, count) in enumerate(EXPERTS.items()):
            head = "keypoint_head" if index == 0 else f"associate_keypoint_heads.{index - 1}"
            entry = value if name == expert else torch.full_like(value, index + 2)
            if "final_layer" in key and name != expert:
                entry = entry[:1].expand(count, *entry.shape[1:])
            state[f"{head}.{key.removeprefix('head.')}"] = entry.clone()
    return state


@pytest.mark.parametrize("expert", EXPERTS)
def test_expert_and_head_of_a_data_set_are_those_of_the_mixture(expert: str) -> None:
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double()
    whole, folded = mixture(expert), tiny(expert, EXPERTS[expert])
    state = convert_state_dict(authors_file(whole, expert), net=folded, layout="vitpose")
    folded.eval().double().load_state_dict(state)
    with torch.inference_mode():
        torch.testing.assert_close(folded(images), whole(images), atol=1e-12, rtol=1e-12)


def test_a_padded_head_is_cut_to_the_data_sets_keypoints() -> None:
    state = authors_file(mixture("aic"), "aic")
    for leaf in ("weight", "bias"):
        key = f"associate_keypoint_heads.0.final_layer.{leaf}"
        state[key] = torch.cat([state[key], state[key][:3]])
    found = convert_state_dict(state, net=tiny("aic", 14), layout="vitpose")
    assert len(found["head.final_layer.bias"]) == 14


def test_a_file_split_by_data_set_keeps_its_layers() -> None:
    net = mixture("mpii")
    state = authors_file(net, "mpii")
    # Whoever splits may leave all experts in the file.
    experts = {key: value for key, value in state.items() if ".experts." in key}
    split = {**fold_expert(state, "mpii"), **experts}
    for expert in ("mpii", None):
        target = tiny(expert, 16)
        found = convert_state_dict(split, net=target, layout="vitpose")
        key = "backbone.blocks.0.mlp.fc2.weight"
        assert found[key].equal(split[key])
        assert note_on_expert(split, target) == ""


@pytest.mark.parametrize(
    ("expert", "message"),
    [
        ("mpi", "expert: expected one of coco, aic, mpii, ap10k, apt36k, wholebody, found 'mpi'"),
        ("wholebody", r"it has no expert 5, that of wholebody, only \[0, 1, 2\]"),
    ],
)
def test_an_expert_that_is_not_there_is_named(tmp_path: Path, expert: str, message: str) -> None:
    state = authors_file(mixture("coco"), "coco")
    kept = {k: v for k, v in state.items() if not any(f"experts.{i}." in k for i in (3, 4, 5))}
    path = tmp_path / "vitpose+.pth"
    torch.save({"state_dict": kept}, path)
    with pytest.raises(ConversionError, match=message):
        convert_file(path, "mine", tmp_path / "out.safetensors", net=tiny(expert))


def converted(
    expert: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture, **options: Any
) -> str:
    path = tmp_path / "vitpose+.pth"
    torch.save({"state_dict": authors_file(mixture("coco"), "coco")}, path)
    convert_file(path, "mine", tmp_path / "out.safetensors", net=tiny(expert, **options))
    return caplog.text


def test_which_expert_is_taken_is_said_where_none_was_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert "those of coco are taken" in converted(None, tmp_path, caplog)


@pytest.mark.parametrize("expert", ["coco", "aic"])
def test_an_expert_that_was_named_is_taken_without_a_word(
    expert: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert converted(expert, tmp_path, caplog, num_keypoints=EXPERTS[expert]) == ""


def test_a_head_of_another_data_set_is_said(
    case: ReferenceCase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "model.safetensors"
    save_file(case.state, path)
    convert_file(path, "vitpose-plus-s_ap10k-256x192", tmp_path / "out.safetensors")
    assert "a single head, which was trained for COCO" in caplog.text
    with pytest.raises(ConversionError, match=r"head\.conv\.weight is \(17, 256, 1, 1\)"):
        convert_file(path, "vitpose-plus-s_aic-256x192", tmp_path / "out.safetensors")


def test_experts_of_one_file_do_not_mix_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "vitpose+.pth"
    torch.save({"state_dict": authors_file(mixture("ap10k"), "ap10k")}, path)
    arguments = {"embed_dim": 16, "depth": 2, "num_heads": 2, "input_size": (32, 32)}
    net = load_spec("vitpose-plus-s_ap10k-256x192").net.having(**arguments)
    first, second = (
        load_file(resolve_weights("mine", path, net=net.having(expert=expert)))
        for expert in ("ap10k", "apt36k")
    )
    key = "backbone.blocks.0.mlp.fc2.weight"
    assert first[key][:-PART].equal(second[key][:-PART])
    assert not first[key][-PART:].equal(second[key][-PART:])


@pytest.mark.parametrize("row", PLUS, ids=lambda row: row.name)
def test_a_row_names_its_expert_and_has_its_keypoints(row: Any) -> None:
    spec = load_spec(row.name)
    expert = spec.net.arguments["expert"]
    assert row.name.endswith(f"_{'coco-' if expert == 'wholebody' else ''}{expert}-256x192")
    assert load_skeleton(spec.keypoints).num_keypoints == EXPERTS[expert]


def test_there_is_a_row_for_each_size_and_data_set() -> None:
    assert len(PLUS) == 4 * len(EXPERTS)
