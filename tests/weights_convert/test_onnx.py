"""ONNX exports: weights come back to where they were, whatever the exporter wrote around them."""

from __future__ import annotations

import random
import re
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from posekit.build import build_network
from posekit.errors import InputError, WeightsError
from posekit.models.rtmdet import RTMDet
from posekit.models.rtmpose import RTMPose
from posekit.models.rtmw import RTMW
from posekit.models.yolox import YOLOX
from posekit.spec import load_spec
from posekit.weights.hub import resolve_weights
from tests.networks import assert_small, flatten_outputs, reference_case, relative_errors
from weights_convert import ConversionError, convert_file, convert_state_dict
from weights_convert.companions import content_digest
from weights_convert.onnx import read_onnx
from weights_convert.onnx_file import is_onnx, open_onnx
from weights_convert.reader import read_checkpoint

onnx = pytest.importorskip("onnx")

SIZE = {"deepen_factor": 0.167, "widen_factor": 0.125}
POSE = {**SIZE, "num_keypoints": 5, "input_size": (64, 64)}  # square: x and y have one shape
DETECTOR = {**SIZE, "neck_channels": 16, "neck_blocks": 1}
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "rtmpose": lambda: RTMPose(**POSE),
    "dwpose": lambda: RTMPose(**SIZE, num_keypoints=133, input_size=(64, 96)),
    "rtmw": lambda: RTMW(**POSE, neck_blocks=1),
    "rtmdet": lambda: RTMDet(**DETECTOR, num_classes=3),
    # As many classes as a box has sides: both towers and predictions have the same shapes.
    "rtmdet-separate": lambda: RTMDet(
        **DETECTOR, num_classes=4, depthwise=True, share_conv=False, exp_on_reg=False
    ),
    "yolox": lambda: YOLOX(deepen_factor=0.33, widen_factor=0.125, num_classes=1),
}
IMAGES = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def seeded(name: str) -> nn.Module:
    """A network whose every entry differs from every other."""
    net = NETWORKS[name]()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, value in net.state_dict().items():
            if value.is_floating_point():
                noise = torch.rand(value.shape, generator=generator)
                if value.ndim > 1:
                    value.copy_((noise - 0.5) * 4 * value[0].numel() ** -0.5)
                else:
                    value.copy_((noise - 0.5) * 0.4 + (not key.endswith(("bias", "mean", "beta"))))
    return net.eval()


def exported(net: nn.Module, path: Path, images: Tensor | None = None, **options: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecated parts of the exporter
        inputs = (IMAGES if images is None else images,)
        torch.onnx.export(net, inputs, str(path), dynamo=False, **options)
    return path


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The export of a seeded network, by its name above; each is written once."""
    folder = tmp_path_factory.mktemp("onnx")

    def export(name: str) -> Path:
        path = folder / f"{name}.onnx"
        return path if path.exists() else exported(seeded(name), path)

    return export


def empty(name: str) -> nn.Module:
    with torch.device("meta"):
        return NETWORKS[name]()


def read(name: str, path: Path) -> nn.Module:
    net = empty(name)
    net.load_state_dict(read_onnx(path, net), assign=True)
    return net.eval()


def largest_error(expected: nn.Module, found: nn.Module, images: Tensor = IMAGES) -> float:
    """Of any raw output, in units of its standard deviation.

    Computed in float64, so that it is the weights' rounding, where norms were folded, and not the
    processor's.
    """
    expected, found, images = expected.double(), found.double(), images.double()
    with torch.inference_mode():
        pairs = zip(flatten_outputs(expected(images)), flatten_outputs(found(images)), strict=True)
        return max(float((a - b).abs().max() / a.std()) for a, b in pairs)


def edited(path: Path, folder: Path, edit: Callable[[Any], None]) -> Path:
    model = onnx.load(str(path))
    edit(model.graph)
    edited_path = folder / "edited.onnx"
    edited_path.write_bytes(model.SerializeToString())
    return edited_path


# Files from elsewhere


def test_real_detector_equals_its_checkpoint(shared: Path) -> None:
    config = load_spec("rtmdet-nano_person-320").net
    nets = [build_network(config), build_network(config)]
    nets[0].load_state_dict(
        convert_state_dict(
            read_checkpoint(shared / "weights" / "rtmdet_nano_person.pth").states["state_dict"],
            net=nets[0],
        ),
        assign=True,
    )
    nets[1].load_state_dict(
        read_onnx(shared / "weights" / "rtmdet-nano.onnx", nets[1]), assign=True
    )
    images = torch.randn(1, 3, 320, 320, generator=torch.Generator().manual_seed(2))
    assert largest_error(nets[0].eval(), nets[1].eval(), images) < 1e-5


def test_real_detector_equals_the_graph(shared: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    path = shared / "weights" / "rtmdet-nano.onnx"
    net = build_network(load_spec("rtmdet-nano_person-320").net)
    net.load_state_dict(read_onnx(path, net), assign=True)
    images = torch.randn(1, 3, 320, 320, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        logits, distances = net.eval()(images)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"images": images.numpy()})
    for level in range(3):
        found = torch.cat([logits[level], distances[level]], 1).permute(0, 2, 3, 1)
        reference = torch.from_numpy(expected[level])
        assert (found - reference).abs().max() < 1e-3 * reference.std()


def test_pose_export_in_a_zip_matches_the_reference(shared: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "rtmpose-t.zip", tmp_path / "rtmpose-t.safetensors"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(shared / "weights" / "rtmpose-t_seeded.onnx", "20230831/end2end.onnx")
        for name in ("detail.json", "pipeline.json", "deploy.json"):
            archive.writestr(f"20230831/{name}", "{}")
    convert_file(source, "rtmpose-t_body8-256x192", output)
    net = build_network(load_spec("rtmpose-t_body8-256x192").net)
    net.load_state_dict(load_file(output), assign=True)
    folder = shared / "reference" / "pose2d" / "rtmpose-t_8xb256-420e_body8-256x192"
    case = reference_case(folder)
    # The exporter folded the norms into the weights in float32.
    assert_small(case, relative_errors(case, net), 1e-4)


# Graphs as other programs write them


class OneOutput(nn.Module):
    """YOLOX as its authors export it: one output, with scores instead of logits, in strides."""

    def __init__(self, net: nn.Module, *, decode: bool) -> None:
        super().__init__()
        self.net, self.decode = net, decode

    def forward(self, images: Tensor) -> Tensor:
        levels = []
        for classes, offsets, objectness in zip(*self.net(images), strict=True):
            level = torch.cat([offsets, objectness.sigmoid(), classes.sigmoid()], dim=1)
            levels.append(level.flatten(2))
        rows = torch.cat(levels, dim=2).permute(0, 2, 1)
        if not self.decode:
            return rows
        sizes = [64 // stride for stride in (8, 16, 32)]
        cells = torch.cat([torch.cartesian_prod(*[torch.arange(n)] * 2) for n in sizes]).flip(1)
        strides = torch.cat([torch.full((n * n, 1), 64 // n) for n in sizes])
        centres = (rows[..., :2] + cells) * strides
        return torch.cat([centres, rows[..., 2:4].exp() * strides, rows[..., 4:]], dim=-1)


@pytest.mark.parametrize("decode", [False, True], ids=["strides", "pixels"])
def test_yolox_of_its_authors(decode: bool, tmp_path: Path) -> None:
    wrapped = OneOutput(seeded("yolox"), decode=decode)
    path = exported(
        wrapped, tmp_path / "yolox_l.onnx", input_names=["images"], output_names=["output"]
    )
    assert largest_error(seeded("yolox"), read("yolox", path)) < 1e-5


def test_dwpose(tmp_path: Path) -> None:
    path = exported(
        seeded("dwpose"),
        tmp_path / "dw-ll_ucoco_384.onnx",
        images=torch.zeros(1, 3, 96, 64),
        input_names=["input"],
        output_names=["simcc_x", "simcc_y"],
        dynamic_axes={"input": {0: "batch"}, "simcc_x": {0: "batch"}, "simcc_y": {0: "batch"}},
    )
    images = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(3))
    assert largest_error(seeded("dwpose"), read("dwpose", path), images) < 1e-5


# Round trips


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "dwpose"])
def test_round_trip(name: str, exports: Callable[[str], Path]) -> None:
    assert largest_error(seeded(name), read(name, exports(name))) < 1e-5


@pytest.mark.parametrize("name", ["rtmpose", "rtmdet"])
def test_order_and_names_of_nodes_do_not_matter(
    name: str, exports: Callable[[str], Path], tmp_path: Path
) -> None:
    def shuffle(graph: Any) -> None:
        chance = random.Random(0)
        waiting, order = list(graph.node), []
        known = {"", *(value.name for value in [*graph.initializer, *graph.input])}
        while waiting:
            node = chance.choice([n for n in waiting if known.issuperset(n.input)])
            waiting.remove(node)
            node.name = ""
            order.append(node)
            known.update(node.output)
        del graph.node[:]
        graph.node.extend(order)

    path = edited(exports(name), tmp_path, shuffle)
    assert largest_error(seeded(name), read(name, path)) < 1e-5


def test_norms_that_were_not_folded_keep_their_statistics(tmp_path: Path) -> None:
    options = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    path = exported(seeded("rtmdet"), tmp_path / "unfolded.onnx", **options)
    expected = seeded("rtmdet").state_dict()
    state = read_onnx(path, empty("rtmdet"))
    assert list(state) == list(expected)
    for key, value in expected.items():
        torch.testing.assert_close(state[key], value)


class EndToEnd(nn.Module):
    """A detector with the decoding that deployed files have behind it."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits, distances = self.detector(images)
        scores = torch.cat([x.flatten(2) for x in logits], 2).sigmoid()  # (N, C, A)
        sides = torch.cat([x.flatten(2) for x in distances], 2)  # (N, 4, A)
        points = torch.arange(sides.shape[2]).float().repeat(2, 1)
        boxes = torch.cat([points - sides[:, :2], points + sides[:, 2:]], 1)
        best, order = scores.amax(1).topk(5)
        return boxes.gather(2, order[:, None].expand(-1, 4, -1)), best


def test_what_follows_the_network_is_left_out(tmp_path: Path) -> None:
    path = exported(EndToEnd(seeded("rtmdet")).eval(), tmp_path / "end2end.onnx")
    assert largest_error(seeded("rtmdet"), read("rtmdet", path)) < 1e-5


def test_half_precision_becomes_float32(exports: Callable[[str], Path], tmp_path: Path) -> None:
    def halve(graph: Any) -> None:
        for tensor in graph.initializer:
            array = onnx.numpy_helper.to_array(tensor)
            if array.dtype == "float32":
                tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype("float16"), tensor.name))

    full = read_onnx(exports("rtmdet"), empty("rtmdet"))
    half = read_onnx(edited(exports("rtmdet"), tmp_path, halve), empty("rtmdet"))
    for key, value in full.items():
        assert half[key].dtype == value.dtype
        torch.testing.assert_close(half[key], value, rtol=2e-3, atol=2e-3)


def test_a_folded_norm_only_adds_a_bias_and_shares_no_memory(
    exports: Callable[[str], Path],
) -> None:
    state = read_onnx(exports("rtmpose"), empty("rtmpose"))
    norm = nn.BatchNorm2d(4).eval()
    entries = {key: state[f"backbone.stem.0.bn.{key}"] for key in norm.state_dict()}
    norm.load_state_dict(entries)
    pixels = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(norm(pixels), pixels + entries["bias"].view(1, 4, 1, 1))
    assert len({value.data_ptr() for value in state.values()}) == len(state)


# Files that do not fit


def test_another_network_is_refused_with_the_first_difference(
    exports: Callable[[str], Path],
) -> None:
    other = RTMPose(**{**POSE, "num_keypoints": 6})
    with pytest.raises(ConversionError) as caught:
        read_onnx(exports("rtmpose"), other)
    assert "expected conv (6, 128, 7, 7)" in str(caught.value)
    assert "as head.final_layer.weight, found conv (5, 128, 7, 7)" in str(caught.value)


def test_another_family_is_refused(exports: Callable[[str], Path]) -> None:
    with pytest.raises(ConversionError, match="cannot become RTMPose"):
        read_onnx(exports("rtmdet"), empty("rtmpose"))


def test_a_graph_with_more_weights_is_refused(
    exports: Callable[[str], Path], tmp_path: Path
) -> None:
    def add_branch(graph: Any) -> None:
        stem = next(node for node in graph.node if node.op_type == "Conv")
        branch = graph.node.add()
        branch.CopyFrom(stem)
        branch.name, branch.output[0] = "branch", "branch"

    with pytest.raises(ConversionError, match="expected no more weights, found 1, such as branch"):
        read_onnx(edited(exports("rtmw"), tmp_path, add_branch), empty("rtmw"))


def test_twins_that_nothing_tells_apart_are_refused(
    exports: Callable[[str], Path], tmp_path: Path
) -> None:
    def drop_y(graph: Any) -> None:
        del graph.output[1]

    with pytest.raises(ConversionError, match="expected one way to assign the weights, found 2"):
        read_onnx(edited(exports("rtmpose"), tmp_path, drop_y), empty("rtmpose"))


def test_levels_that_share_no_convolution_are_refused(
    exports: Callable[[str], Path], tmp_path: Path
) -> None:
    def flip_one_level(graph: Any) -> None:
        tensors = {tensor.name: tensor for tensor in graph.initializer}
        towers = [n for n in graph.node if "cls_towers" in n.name and n.op_type == "Conv"]
        tensor = tensors[towers[-1].input[1]]
        array = onnx.numpy_helper.to_array(tensor)[:, ::-1].copy()
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))

    with pytest.raises(ConversionError, match=r"cls_towers\.convs\.1\.weight times a number"):
        read_onnx(edited(exports("rtmdet"), tmp_path, flip_one_level), empty("rtmdet"))


def test_a_name_that_contradicts_the_place_is_refused(
    exports: Callable[[str], Path], tmp_path: Path
) -> None:
    def rename(graph: Any) -> None:
        swap = {f"head.cls_preds.{i}.weight": f"head.cls_preds.{1 - i}.weight" for i in (0, 1)}
        for tensor in graph.initializer:
            tensor.name = swap.get(tensor.name, tensor.name)
        for node in graph.node:
            for position, name in enumerate(node.input):
                node.input[position] = swap.get(name, name)

    with pytest.raises(ConversionError, match=r"expected head\.cls_preds\.\d\.weight at"):
        read_onnx(edited(exports("rtmdet"), tmp_path, rename), empty("rtmdet"))


def test_strides_that_an_optimiser_multiplied_into_weights_are_refused(
    exports: Callable[[str], Path], tmp_path: Path
) -> None:
    def absorb(graph: Any) -> None:
        for node in [n for n in graph.node if n.op_type == "Mul"]:
            if "reg_preds" in node.input[0] and node.output[0] in {o.name for o in graph.output}:
                source = next(n for n in graph.node if node.input[0] in n.output)
                source.output[0] = node.output[0]
                graph.node.remove(node)

    with pytest.raises(ConversionError, match=r"times 8\.0, found times 1\.0"):
        path = edited(exports("rtmdet-separate"), tmp_path, absorb)
        read_onnx(path, empty("rtmdet-separate"))


# Weights beside the graph


def moved_out(path: Path, folder: Path, **options: Any) -> Path:
    """The graph with its weights in files beside it, as `onnx` writes them."""
    model = onnx.load(str(path))
    options = {"location": "weights.data", "size_threshold": 0, **options}
    onnx.save_model(model, folder / "model.onnx", save_as_external_data=True, **options)
    return folder / "model.onnx"


def pointing(path: Path, folder: Path, **fields: str) -> Path:
    """As `moved_out`, and every tensor says something else about its place."""
    moved_out(path, folder)

    def edit(graph: Any) -> None:
        for tensor in graph.initializer:
            found = {entry.key: entry.value for entry in tensor.external_data}
            del tensor.external_data[:]
            for key, value in {**found, **fields}.items():
                tensor.external_data.add(key=key, value=value)

    model = onnx.load(str(folder / "model.onnx"), load_external_data=False)
    edit(model.graph)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


@pytest.mark.parametrize("one_file", [True, False])
def test_external_data_is_read(
    exports: Callable[[str], Path], tmp_path: Path, one_file: bool
) -> None:
    path = moved_out(exports("rtmpose"), tmp_path, all_tensors_to_one_file=one_file)
    assert (len(list(tmp_path.iterdir())) == 2) == one_file
    expected = read_onnx(exports("rtmpose"), empty("rtmpose"))
    found = read_onnx(path, empty("rtmpose"))
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_external_data_in_a_zip_is_read(exports: Callable[[str], Path], tmp_path: Path) -> None:
    path = moved_out(exports("rtmpose"), tmp_path)
    members = {f"x/{name}": (tmp_path / name).read_bytes() for name in (path.name, "weights.data")}
    zipped = _zip(tmp_path / "a.zip", members)
    expected = read_onnx(exports("rtmpose"), empty("rtmpose"))
    found = read_onnx(zipped, empty("rtmpose"))
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    del members["x/weights.data"]
    with pytest.raises(ConversionError, match=r"needs the file 'weights\.data' .* missing"):
        read_onnx(_zip(zipped, members), empty("rtmpose"))


def test_external_data_in_the_hubs_cache_is_read(
    exports: Callable[[str], Path], tmp_path: Path
) -> None:
    for name in ("blobs", "snapshot", "made"):
        (tmp_path / name).mkdir()
    path = moved_out(exports("rtmpose"), tmp_path / "made")
    for name in (path.name, "weights.data"):
        (tmp_path / "made" / name).rename(tmp_path / "blobs" / f"sha-{name}")
        (tmp_path / "snapshot" / name).symlink_to(tmp_path / "blobs" / f"sha-{name}")
    assert read_onnx(tmp_path / "snapshot" / path.name, empty("rtmpose"))


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "sub/../../secret", "C:\\x", "..\\secret"]
)
@pytest.mark.parametrize("in_zip", [False, True])
def test_external_data_elsewhere_is_refused(
    exports: Callable[[str], Path], tmp_path: Path, location: str, in_zip: bool
) -> None:
    (tmp_path / "secret").write_bytes(bytes(10**6))
    (tmp_path / "model").mkdir()
    path = pointing(exports("rtmpose"), tmp_path / "model", location=location)
    if in_zip:
        path = _zip(tmp_path / "a.zip", {"x/model.onnx": path.read_bytes(), "secret": b"1"})
    message = f"outside its own folder, {location!a}"
    with pytest.raises(ConversionError, match=re.escape(message)):
        read_onnx(path, empty("rtmpose"))


def test_a_link_out_of_the_folder_is_refused(
    exports: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    path = moved_out(exports("rtmpose"), tmp_path / "model")
    (tmp_path / "model" / "weights.data").rename(tmp_path / "secret")
    (tmp_path / "model" / "weights.data").symlink_to(tmp_path / "secret")
    with pytest.raises(ConversionError, match=r"'weights\.data', a link out of its folder"):
        read_onnx(path, empty("rtmpose"))


def test_missing_external_data_is_named(exports: Callable[[str], Path], tmp_path: Path) -> None:
    path = moved_out(exports("rtmpose"), tmp_path)
    (tmp_path / "weights.data").unlink()
    with pytest.raises(ConversionError, match=r"needs the file 'weights\.data' beside it"):
        read_onnx(path, empty("rtmpose"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"offset": "1000000000"}, "bytes of external data in weights.data, found"),
        ({"length": "1000000000"}, "bytes of external data in weights.data, found"),
        ({"length": "4"}, "damaged ONNX file"),
        ({"offset": "-4"}, "expected a place in external data"),
        ({"length": "x"}, "expected a place in external data"),
        ({"offset": "9" * 10000}, "expected a place in external data"),
    ],
)
def test_external_data_of_another_size_is_refused(
    exports: Callable[[str], Path], tmp_path: Path, fields: dict[str, str], message: str
) -> None:
    path = pointing(exports("rtmpose"), tmp_path, **fields)
    with pytest.raises(ConversionError, match=message):
        read_onnx(path, empty("rtmpose"))


def test_a_location_that_is_no_text_is_refused(
    exports: Callable[[str], Path], tmp_path: Path
) -> None:
    path = moved_out(exports("rtmpose"), tmp_path)
    path.write_bytes(path.read_bytes().replace(b"weights.data", b"weights\xffdata"))
    with pytest.raises(WeightsError, match=r"which is missing|damaged"):
        content_digest(path)
        read_onnx(path, empty("rtmpose"))


def test_changed_external_data_is_converted_anew(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    model = "rtmpose-t_body8-256x192"
    path = moved_out(shared / "weights" / "rtmpose-t_seeded.onnx", tmp_path)
    first = resolve_weights(model, path)
    data = tmp_path / "weights.data"
    data.write_bytes(data.read_bytes()[:-4] + bytes(4))
    assert resolve_weights(model, path) != first
    data.unlink()
    with pytest.raises(WeightsError, match="which is missing"):
        resolve_weights(model, path)


def test_a_graph_for_an_engine_keeps_to_its_folder(
    exports: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    path = pointing(exports("rtmpose"), tmp_path / "model", location="../secret")
    with pytest.raises(WeightsError, match="outside its own folder"):
        resolve_weights("vitpose-s-simple_coco-256x192", path)  # no weights are read of these


@pytest.mark.parametrize("part", [0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(
    part: float, exports: Callable[[str], Path], tmp_path: Path
) -> None:
    data = exports("rtmpose").read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ConversionError, match="damaged ONNX file, or cut short"):
        read_onnx(path, empty("rtmpose"))


def test_a_family_without_exports_is_refused(exports: Callable[[str], Path]) -> None:
    with pytest.raises(ConversionError, match="weights of Linear are not read from an ONNX export"):
        read_onnx(exports("rtmpose"), nn.Linear(1, 1))


def test_a_missing_package_is_named(
    exports: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = exports("rtmpose")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r'pip install "posekit\[onnx\]"'):
        read_onnx(path, empty("rtmpose"))


# Recognition


def test_content_decides_what_is_onnx(exports: Callable[[str], Path], tmp_path: Path) -> None:
    graph = exports("rtmpose")
    renamed = tmp_path / "model.pth"
    renamed.write_bytes(graph.read_bytes())
    zipped = _zip(
        tmp_path / "a.zip", {"x/end2end.onnx": graph.read_bytes(), "x/detail.json": b"{}"}
    )
    state = {"weight": torch.zeros(3)}
    torch.save(state, tmp_path / "torch.onnx")
    torch.save(state, tmp_path / "legacy.onnx", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "tensors.onnx")
    (tmp_path / "empty.onnx").touch()
    found = {path.name: is_onnx(path) for path in [renamed, zipped, *tmp_path.glob("*.onnx")]}
    others = ("torch.onnx", "legacy.onnx", "tensors.onnx", "empty.onnx")
    assert found == {"model.pth": True, "a.zip": True, **dict.fromkeys(others, False)}
    assert open_onnx(zipped) == open_onnx(renamed) == graph.read_bytes()


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"readme.txt": b"text"}, "expected one .onnx file in the zip, found 0 in readme.txt"),
        ({"a.onnx": b"1", "b.onnx": b"2"}, "found 2 in a.onnx, b.onnx"),
        ({"bomb.onnx": bytes(1 << 20)}, "unpacks to"),
    ],
    ids=["none", "two", "bomb"],
)
def test_a_zip_with_something_else_is_refused(
    members: dict[str, bytes], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match=message):
        open_onnx(_zip(tmp_path / "a.zip", members))


def test_a_damaged_zip_is_refused(exports: Callable[[str], Path], tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a.onnx": exports("rtmpose").read_bytes()})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ConversionError, match="damaged or encrypted zip"):
        open_onnx(path)
    path.write_bytes(data[:1000])
    with pytest.raises(ConversionError, match="damaged or encrypted zip"):
        open_onnx(path)


def test_anything_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"version https://")
    with pytest.raises(ConversionError, match="found a file starting with b'version h'"):
        open_onnx(path)
