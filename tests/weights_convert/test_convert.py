"""Conversion: every entry finds its place or is named, and a file appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from posekit.build import build_network
from posekit.errors import OutputError, UnknownModelError
from posekit.spec import load_spec
from posekit.weights.tensors import load_weights
from tests.networks import assert_small, reference_case, reference_state, relative_errors
from weights_convert import CONVERTER_VERSION, ConversionError, convert_file, convert_state_dict
from weights_convert.convert import apply_rules

DATA = Path(__file__).parent.parent / "data"
RTMPOSE = DATA / "pose2d" / "rtmpose-t_8xb256-420e_body8-256x192"
RTMDET = DATA / "detector" / "rtmdet_nano_320-8xb32_coco-person"


@pytest.fixture(scope="module")
def rtmpose_pth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seeded checkpoint of RTMPose-t as OpenMMLab would have written it."""
    path = tmp_path_factory.mktemp("source") / "rtmpose-t.pth"
    torch.save({"meta": {"epoch": 420}, "state_dict": reference_state(RTMPOSE)}, path)
    return path


# Rules


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.register_buffer("count", torch.tensor(0))


RULES = (
    (r"a\.(weight|bias)", r"first.\1"),
    (r"twin\.(weight|bias)", r"first.\1"),
    (r"a\.extra", r"first.extra"),
    (r"n", "count"),
    (r"unused\..*", None),
)


def small_state(**changes: Tensor | None) -> dict[str, Tensor]:
    state = {"a.bias": torch.ones(3), "n": torch.tensor(4), "a.weight": torch.ones(3, 2)}
    changed = {**state, **{key.replace("_", "."): value for key, value in changes.items()}}
    return {key: value for key, value in changed.items() if value is not None}


def test_entries_come_out_under_the_networks_names_in_its_order() -> None:
    found = apply_rules(small_state(unused_x=torch.ones(1)), RULES, Small())
    assert list(found) == ["count", "first.weight", "first.bias"] == list(Small().state_dict())
    assert found["count"] == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"b_c": torch.ones(1)}, "1 source keys that nothing maps: b.c"),
        ({"a_extra": torch.ones(1)}, "1 source keys that nothing maps: a.extra"),
        ({"a_bias": None}, "1 keys of the network that nothing fills: first.bias"),
        (
            {"a_bias": torch.ones(4)},
            r"1 shapes or types that differ: a.bias is \(4,\), first.bias expects \(3,\)",
        ),
        (
            {"a_bias": torch.ones(3, dtype=torch.int8)},
            "a.bias is torch.int8, first.bias expects torch.float32",
        ),
        ({"twin_bias": torch.ones(3)}, "1 keys filled twice: a.bias and twin.bias -> first.bias"),
        ({"a_bias": torch.ones(4), "twin_bias": torch.ones(3)}, "filled twice: a.bias and twin"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Tensor | None], message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        apply_rules(small_state(**changes), RULES, Small())


def test_all_problems_come_at_once() -> None:
    with pytest.raises(ConversionError) as caught:
        apply_rules({"x": torch.ones(1), "a.bias": torch.ones(9)}, RULES, Small())
    for part in ("x", "count, first.weight", "a.bias is (9,)", "does not fit Small"):
        assert part in str(caught.value)


def test_long_lists_are_cut() -> None:
    state = small_state() | {f"x{i}": torch.ones(1) for i in range(100)}
    with pytest.raises(ConversionError, match=r"100 source keys .* x7, and 92 more"):
        apply_rules(state, RULES, Small())


def test_a_layout_or_network_without_rules_is_named() -> None:
    with pytest.raises(ConversionError, match="no rules convert layout 'openmmlab' to Small"):
        convert_state_dict({}, net=Small())
    net = build_network(load_spec("rtmpose-t_body8-256x192").net)
    with pytest.raises(ConversionError, match="layout 'other' to RTMPose; known ones: openmmlab"):
        convert_state_dict({}, net=net, layout="other")


# Files


@pytest.mark.parametrize("folder", [RTMPOSE, RTMDET], ids=lambda folder: folder.name)
def test_a_converted_file_gives_the_reference_outputs(tmp_path: Path, folder: Path) -> None:
    torch.save({"meta": {}, "state_dict": reference_state(folder)}, tmp_path / "a.pth")
    convert_file(tmp_path / "a.pth", folder.name, tmp_path / "a.safetensors")
    net = load_weights(build_network(load_spec(folder.name).net), tmp_path / "a.safetensors")
    case = reference_case(folder)
    assert_small(case, relative_errors(case, net), case.tolerance)


def test_entries_that_share_memory_are_written(tmp_path: Path) -> None:
    shared: dict[tuple[torch.Size, torch.dtype], Tensor] = {}
    state = {
        key: shared.setdefault((value.shape, value.dtype), value)
        for key, value in reference_state(RTMDET).items()
    }
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    convert_file(tmp_path / "a.pth", "rtmdet-nano_person-320", tmp_path / "a.safetensors")
    net = build_network(load_spec("rtmdet-nano_person-320").net)
    expected = convert_state_dict(state, net=net)
    found = load_file(tmp_path / "a.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_numbers_keep_their_type(tmp_path: Path) -> None:
    state = reference_state(RTMPOSE)
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    torch.save(half, tmp_path / "a.pth")
    convert_file(tmp_path / "a.pth", "rtmpose-t_body8-256x192", tmp_path / "a.safetensors")
    found = {value.dtype for value in load_file(tmp_path / "a.safetensors").values()}
    assert found == {torch.float16, torch.int64}


def test_foreign_safetensors_are_converted(tmp_path: Path, rtmpose_pth: Path) -> None:
    save_file(reference_state(RTMPOSE), tmp_path / "foreign.safetensors")
    convert_file(tmp_path / "foreign.safetensors", "rtmpose-t_body8-256x192", tmp_path / "a.st")
    convert_file(rtmpose_pth, "rtmpose-t_body8-256x192", tmp_path / "b.st")
    a, b = load_file(tmp_path / "a.st"), load_file(tmp_path / "b.st")
    assert all(torch.equal(a[key], value) for key, value in b.items())


def test_an_onnx_export_is_converted(tmp_path: Path, shared: Path) -> None:
    pytest.importorskip("onnx")
    source = shared / "weights" / "rtmdet-nano.onnx"
    convert_file(source, "rtmdet-nano_person-320", tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        assert file.metadata()["source"] == source.name


@pytest.mark.parametrize("name", ["rtmpose-t_body8-256x192", RTMPOSE.name, f"a/{RTMPOSE.name}.py"])
def test_the_file_says_where_it_comes_from(tmp_path: Path, rtmpose_pth: Path, name: str) -> None:
    output = tmp_path / "a.safetensors"
    convert_file(rtmpose_pth, name, output)
    with safe_open(output, framework="pt") as file:
        assert file.metadata() == {
            "format": "pt",
            "model": "rtmpose-t_body8-256x192",
            "source": "rtmpose-t.pth",
            "source_sha256": hashlib.sha256(rtmpose_pth.read_bytes()).hexdigest(),
            "converter": CONVERTER_VERSION,
        }


def test_the_file_has_the_permissions_of_any_other(tmp_path: Path, rtmpose_pth: Path) -> None:
    output, other = tmp_path / "a.safetensors", tmp_path / "other"
    convert_file(rtmpose_pth, "rtmpose-t_body8-256x192", output)
    other.touch()
    assert output.stat().st_mode == other.stat().st_mode


def test_a_failure_leaves_what_was_there(tmp_path: Path, rtmpose_pth: Path) -> None:
    output = tmp_path / "a.safetensors"
    output.write_text("before")
    with pytest.raises(ConversionError, match=r"rtmpose-t\.pth: .*does not fit RTMDet"):
        convert_file(rtmpose_pth, "rtmdet-nano_person-320", output)
    assert [path.name for path in tmp_path.iterdir()] == [output.name]
    assert output.read_text() == "before"


def test_an_interruption_leaves_nothing_behind(
    tmp_path: Path, rtmpose_pth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(state: object, path: Path, **options: object) -> None:
        path.write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr("weights_convert.convert.save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert_file(rtmpose_pth, "rtmpose-t_body8-256x192", tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_another_size_of_the_model_is_refused(tmp_path: Path, rtmpose_pth: Path) -> None:
    with pytest.raises(ConversionError, match=r"shapes or types that differ: backbone\..* expects"):
        convert_file(rtmpose_pth, "rtmpose-m_body8-256x192", tmp_path / "a.safetensors")


def test_another_number_of_keypoints_is_refused(tmp_path: Path, rtmpose_pth: Path) -> None:
    with pytest.raises(ConversionError, match=r"head\.final_layer\.weight is \(17, .*\(26, "):
        convert_file(rtmpose_pth, "rtmpose-t_body8-halpe26-256x192", tmp_path / "a.safetensors")


def test_an_unknown_model_is_refused(tmp_path: Path, rtmpose_pth: Path) -> None:
    with pytest.raises(UnknownModelError, match="did you mean rtmpose-t"):
        convert_file(rtmpose_pth, "rtmpose-t_body8-256x19", tmp_path / "a.safetensors")


def test_the_source_is_not_overwritten(tmp_path: Path, rtmpose_pth: Path) -> None:
    link = tmp_path / "link.pth"
    os.link(rtmpose_pth, link)
    before = rtmpose_pth.read_bytes()
    for output in (rtmpose_pth, link):
        with pytest.raises(ConversionError, match="is the source"):
            convert_file(rtmpose_pth, "rtmpose-t_body8-256x192", output)
    assert rtmpose_pth.read_bytes() == before


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, rtmpose_pth: Path, folder: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=rf"cannot write .*{folder}/a\.safetensors: N"):
        convert_file(rtmpose_pth, "rtmpose-t_body8-256x192", tmp_path / folder / "a.safetensors")


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"cannot read .*b\.pth: No such file"):
        convert_file(tmp_path / "b.pth", "human", tmp_path / "a.safetensors")


def test_a_damaged_source_is_named(tmp_path: Path, rtmpose_pth: Path) -> None:
    data = rtmpose_pth.read_bytes()
    source = tmp_path / "b.pth"
    for damaged in (
        b"",
        data[:5000],
        data[:5000] + data[-200:],
        data[:-30],
        json.dumps({}).encode(),
    ):
        source.write_bytes(damaged)
        with pytest.raises(ConversionError, match=r"b\.pth"):
            convert_file(source, "rtmpose-t_body8-256x192", tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == [source]


def test_an_archive_that_claims_to_be_one_of_several_is_named(
    tmp_path: Path, rtmpose_pth: Path
) -> None:
    data = bytearray(rtmpose_pth.read_bytes())
    data[data.rindex(b"PK\x06\x07") + 16] = 7  # disks
    (tmp_path / "b.pth").write_bytes(data)
    with pytest.raises(ConversionError, match=r"b\.pth is damaged or cut short"):
        convert_file(tmp_path / "b.pth", "rtmpose-t_body8-256x192", tmp_path / "a.safetensors")


@pytest.mark.parametrize("entry", ['"x\\n\\u001b": {"dtype": "F32"', '"x": {"dtype": "F\\n\x7f"'])
def test_a_header_cannot_act_on_the_terminal(tmp_path: Path, entry: str) -> None:
    header = f'{{{entry}, "shape": [1], "data_offsets": [0, 4]}}}}'.encode()
    (tmp_path / "b.st").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(ConversionError) as caught:
        convert_file(tmp_path / "b.st", "rtmpose-t_body8-256x192", tmp_path / "a.safetensors")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "header",
    [
        '{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        '{"a": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 4]}}',
        '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}',
        '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 99]}}',
        '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, '
        '"b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}',
        '{"a": ' + "[" * 10**5,
        '{"__metadata__": ' + '{"a":' * 10**5,
    ],
    ids=["negative", "huge", "backwards", "beyond", "overlapping", "nested", "nested metadata"],
)
def test_a_hostile_header_is_one_line(tmp_path: Path, header: str) -> None:
    (tmp_path / "b.st").write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(4))
    with pytest.raises(ConversionError, match=r"as a safetensors file: .*$") as caught:
        convert_file(tmp_path / "b.st", "rtmpose-t_body8-256x192", tmp_path / "a.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["w_1_15", "w_7_1464", "w_7_239"])
def test_damaged_safetensors_that_were_found(shared: Path, tmp_path: Path, name: str) -> None:
    source = shared / "cases" / "weights" / f"{name}.safetensors"
    with pytest.raises(ConversionError, match=rf"{name}\.safetensors: damaged or cut short"):
        convert_file(source, "rtmpose-t_body8-256x192", tmp_path / "a.safetensors")
