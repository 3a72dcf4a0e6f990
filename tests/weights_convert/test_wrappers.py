"""A network's own weights come back from whatever a training program put around them."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import functools
import http
import logging
import random
import sys
import types
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.torch_version import TorchVersion

import posekit
from posekit.build import build_network
from posekit.locate import locate
from posekit.spec import load_spec
from posekit.weights.hub import resolve_weights
from posekit.weights.tensors import load_weights
from tests.networks import reference_state
from weights_convert import ConversionError, convert_file, convert_state_dict
from weights_convert.__main__ import main

DATA = Path(__file__).parent.parent / "data"
RTMPOSE = DATA / "pose2d" / "rtmpose-t_8xb256-420e_body8-256x192"
MODEL = "rtmpose-t_body8-256x192"
State = dict[str, Tensor]

# A user's own network: with an attribute called as a wrapper's prefix, numbers that no state dict
# holds, a constructor that looks at numbers, and two layers that share a weight.
SOURCE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, *, num_keypoints, width=4):
        super().__init__()
        rates = [rate.item() for rate in torch.linspace(0, 0.1, 2)]
        self.model = nn.Sequential(nn.Conv2d(3, width, 3, 4, 1), nn.BatchNorm2d(width), nn.ReLU())
        self.drop = nn.Dropout(rates[1])
        self.head = nn.Conv2d(width, num_keypoints, 1)
        self.twin = nn.Conv2d(width, num_keypoints, 1)
        self.twin.weight = self.head.weight
        phase = torch.randn(num_keypoints, 1, 1, dtype=torch.complex64)
        self.phases = nn.ParameterList([phase])
        self.register_buffer("grid", torch.arange(3.0), persistent=False)

    def forward(self, images):
        features = self.drop(self.model(images))
        scale = self.grid.sum() * self.phases[0].abs()
        return (self.head(features) + self.twin(features)) * scale
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The YAML of a model whose network is a user's class."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "owncode.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    path = tmp_path / "conf" / "model" / "own.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(
        "net: {_target_: owncode.Net, num_keypoints: 17}\nkeypoints: coco\nflip_test: true\n"
        "preprocess: {input_size: [48, 64], color: rgb, mean: [0, 0, 0], std: [1, 1, 1], "
        "padding: 1.25, udp: false}\n"
        "codec: {_target_: posekit.codecs.heatmap.MSRAHeatmap, input_size: [48, 64], "
        "heatmap_size: [12, 16]}\n"
    )
    yield path
    sys.modules.pop("owncode", None)


def trained(own: Path, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    net = build_network(load_spec("own", locate(str(own)).search, trust=True).net, device="cpu")
    with torch.no_grad():
        net(torch.randn(8, 3, 64, 48))  # moves the norms' statistics
    return net.eval()


def assert_equal(found: nn.Module, expected: nn.Module) -> None:
    images = torch.randn(2, 3, 64, 48)
    with torch.no_grad():
        torch.testing.assert_close(found(images), expected(images))


def legacy(contents: object, path: Path) -> None:
    torch.save(contents, path, _use_new_zipfile_serialization=False)


WRITERS: dict[str, Callable[[nn.Module, Path], Any]] = {
    "torch.save": lambda net, path: torch.save(net.state_dict(), path),
    "legacy": lambda net, path: legacy(net.state_dict(), path),
    "state_dict": lambda net, path: torch.save({"state_dict": net.state_dict()}, path),
    "model": lambda net, path: torch.save({"model": net.state_dict(), "epoch": 3}, path),
    "nested": lambda net, path: torch.save({"model": {"state_dict": net.state_dict()}}, path),
    "safetensors": lambda net, path: save_file(
        {key: value.clone() for key, value in net.state_dict().items()}, path
    ),
    "save_model": lambda net, path: save_model(net, str(path)),
    "parallel": lambda net, path: torch.save(nn.DataParallel(net).state_dict(), path),
    "parameters": lambda net, path: torch.save(
        {"net": {k: nn.Parameter(v, False) for k, v in net.state_dict().items()}}, path
    ),
}


@pytest.mark.parametrize("write", WRITERS)
def test_a_users_own_network_gets_its_own_weights(own: Path, tmp_path: Path, write: str) -> None:
    net = trained(own)
    path = tmp_path / "own.pth"
    WRITERS[write](net, path)
    assert_equal(posekit.create_model(str(own), weights=path, trust=True), net)


def test_a_predictor_takes_a_users_own_network(own: Path, tmp_path: Path) -> None:
    net = trained(own)
    torch.save(net.state_dict(), tmp_path / "own.pth")
    predictor = posekit.load(
        str(own),
        weights=tmp_path / "own.pth",
        detector="whole_image",
        device="cpu",
        trust=True,
    )
    assert_equal(predictor.estimator.net, net)
    image = np.zeros((64, 48, 3), np.uint8)
    assert len(next(predictor(image))["predictions"][0][0]["keypoints"]) == 17


def test_numbers_of_no_state_dict_go_along(own: Path, tmp_path: Path) -> None:
    torch.save(trained(own).state_dict(), tmp_path / "own.pth")
    described = load_spec("own", locate(str(own)).search, trust=True).net
    path = resolve_weights("own", tmp_path / "own.pth", net=described)
    net = build_network(described)
    load_weights(net, path, dtype=torch.float64)
    assert net.grid.dtype == net.head.weight.dtype == torch.float64
    assert net.grid.tolist() == [0, 1, 2]


# Known networks


@pytest.fixture(scope="module")
def states() -> tuple[State, State, State]:
    """RTMPose-t: posekit's own entries, OpenMMLab's, and OpenMMLab's of a second network."""
    foreign = reference_state(RTMPOSE)
    other = {k: v * 1.5 if v.is_floating_point() else v for k, v in foreign.items()}
    net = build_network(load_spec(MODEL).net)
    return convert_state_dict(foreign, net=net), foreign, other


def prefixed(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def load(contents: object, tmp_path: Path) -> State:
    path = tmp_path / "a.pth"
    torch.save(contents, path)
    return dict(posekit.create_model(MODEL, weights=path).state_dict())


def assert_state(found: State, expected: State) -> None:
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.parametrize("own", [True, False], ids=["own", "foreign"])
@pytest.mark.parametrize(
    "prefix",
    [
        *("module.", "model.", "_orig_mod.", "student.", "teacher.", "ema_model.", "net."),
        *("module._orig_mod.", "_orig_mod.module.", "model.module.", "module.model._orig_mod."),
        *("model.net.", "_forward_module.module.", "_fsdp_wrapped_module.", "ema_model.module."),
    ],
)
def test_prefixes_are_taken_off(
    states: tuple[State, State, State], tmp_path: Path, prefix: str, own: bool
) -> None:
    state = states[0] if own else states[1]
    found = load({"state_dict": prefixed(prefix, state)}, tmp_path)
    assert_state(found, states[0])


@pytest.mark.parametrize("inserted", ["_orig_mod", "module"])
def test_a_part_that_was_wrapped_for_itself(
    states: tuple[State, State, State], tmp_path: Path, inserted: str
) -> None:
    state = {k.replace("backbone.", f"backbone.{inserted}."): v for k, v in states[1].items()}
    assert_state(load(prefixed("module.", state), tmp_path), states[0])


Pair = Callable[[State, State], dict[str, Any]]
# Each with the weights to take, then others.
VERSIONS: dict[str, Pair] = {
    "mean teacher": lambda good, bad: {
        "state_dict": prefixed("student.", bad) | prefixed("teacher.", good)
    },
    "distilled student": lambda good, bad: {
        "state_dict": prefixed("teacher.", bad)
        | prefixed("student.", good)
        | {"distill_losses.loss_fea.align.weight": torch.ones(2)}
    },
    "model and ema_model": lambda good, bad: {
        "state_dict": prefixed("model.", bad) | prefixed("ema_model.module.", good)
    },
    "timm": lambda good, bad: {"state_dict": bad, "state_dict_ema": good},
    "torchvision": lambda good, bad: {
        "model": bad,
        "model_ema": prefixed("module.", good) | {"n_averaged": torch.tensor(7)},
    },
    "basicsr": lambda good, bad: {"params": bad, "params_ema": good},
    "detr": lambda good, bad: {"model": bad, "ema": {"module": good, "updates": 8}},
    "mmengine, which swaps them": lambda good, bad: {
        "state_dict": good,
        "ema_state_dict": prefixed("module.", bad) | {"steps": torch.tensor(9)},
    },
    "lightning": lambda good, bad: {"state_dict": bad, "ema_state_dict": good},
    "mmcv 0.x": lambda good, bad: {
        "state_dict": good | {"ema_" + k.replace(".", "_"): v for k, v in bad.items()}
    },
    "mmcv 0.x, in parallel": lambda good, bad: prefixed(
        "module.", good | {"ema_" + k.replace(".", "_"): v for k, v in bad.items()}
    ),
}


@pytest.mark.parametrize("name", VERSIONS)
def test_of_several_versions_the_average_is_taken_and_named(
    states: tuple[State, State, State],
    tmp_path: Path,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert_state(load(VERSIONS[name](states[1], states[2]), tmp_path), states[0])
    records = [r for r in caplog.records if "several versions" in r.getMessage()]
    assert [record.levelno for record in records] == [logging.WARNING]


def test_a_version_that_does_not_fit_is_passed_over(
    states: tuple[State, State, State], tmp_path: Path
) -> None:
    teacher = {"backbone.layers.0.weight": torch.ones(3)}
    found = load(prefixed("teacher.", teacher) | prefixed("student.", states[1]), tmp_path)
    assert_state(found, states[0])


def test_only_the_average_is_there(states: tuple[State, State, State], tmp_path: Path) -> None:
    average = prefixed("module.", states[1]) | {"steps": torch.tensor(3)}
    assert_state(load({"meta": {}, "ema_state_dict": average}, tmp_path), states[0])


def test_an_averaged_model_of_torch(tmp_path: Path, rtmpose_t: Path) -> None:
    net = posekit.create_model(MODEL, weights=rtmpose_t)
    average = AveragedModel(net)
    average.update_parameters(net)
    state = average.state_dict()
    assert "n_averaged" in state
    assert_state(load({"state_dict": state}, tmp_path), dict(net.state_dict()))


def test_entries_beside_the_network_are_left_out_and_named(
    states: tuple[State, State, State], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = prefixed("model.", states[1]) | {"criterion.weight": torch.ones(3)}
    assert_state(load({"state_dict": state}, tmp_path), states[0])
    assert "left out 1 entries of no network: criterion.weight" in caplog.text


def test_entries_within_the_network_are_not_left_out(
    states: tuple[State, State, State], tmp_path: Path
) -> None:
    state = prefixed("model.", {**states[1], "backbone.extra.weight": torch.ones(3)})
    with pytest.raises(ConversionError, match=r"1 source keys that nothing maps: .*extra\.weight"):
        load({"state_dict": state}, tmp_path)


@pytest.mark.parametrize("own", [True, False], ids=["own", "foreign"])
def test_files_from_before_batches_were_counted(
    states: tuple[State, State, State], tmp_path: Path, own: bool
) -> None:
    state = states[0] if own else states[1]
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    found = load(state, tmp_path)
    zeros = {k: v * 0 if k.endswith("num_batches_tracked") else v for k, v in states[0].items()}
    assert_state(found, zeros)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_become_float32(
    states: tuple[State, State, State], tmp_path: Path, dtype: torch.dtype
) -> None:
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in states[0].items()}
    back = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    assert_state(load(state, tmp_path), back)


def test_a_detector_of_posekit_own_entries(person_detector: Path, tmp_path: Path) -> None:
    model = "rtmdet-nano_person-320"
    net = posekit.create_model(model, weights=person_detector)
    save_file(dict(net.state_dict()), tmp_path / "own.safetensors")
    again = posekit.create_model(model, weights=tmp_path / "own.safetensors")
    assert_state(dict(again.state_dict()), dict(net.state_dict()))


def test_own_entries_are_converted_from_the_shell(
    states: tuple[State, State, State], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"model": prefixed("module.", states[0])}, tmp_path / "a.pth")
    output = tmp_path / "a.safetensors"
    assert main([str(tmp_path / "a.pth"), "--model", MODEL, "-o", str(output)]) == 0
    assert f"{len(states[0])} tensors" in capsys.readouterr().out
    assert_state(dict(posekit.create_model(MODEL, weights=output).state_dict()), states[0])


# What else lies in such files


class Container(collections.OrderedDict):
    """As a project's own class of state dicts."""


class Settings:
    """As a project's own settings."""


class Mode(enum.Enum):
    FAST = 1


META: dict[str, object] = {
    "TorchVersion": TorchVersion(torch.__version__),
    "partial": functools.partial(nn.LayerNorm, eps=1e-6),
    "partial of a function": functools.partial(nn.functional.gelu, approximate="tanh"),
    "UUID": uuid.UUID(int=5),
    "Decimal": decimal.Decimal("0.1"),
    "status": http.HTTPStatus.OK,
    "timedelta": datetime.timedelta(1),
    "namespace": types.SimpleNamespace(a=1),
    "random state": (np.random.RandomState(0), np.random.default_rng(0), random.getstate()),
    "generator": torch.Generator(),
    "layout": torch.strided,
    "chain": collections.ChainMap({}, {}),
    "masked": np.ma.array([1, 2]),
    "moment": np.datetime64("2024-01-01"),
    "error": ValueError("x"),
    "settings": Settings(),
    "classes": (nn.BatchNorm2d, Settings),
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", META)
def test_objects_beside_the_weights_are_passed_over(
    states: tuple[State, State, State], tmp_path: Path, name: str, protocol: int
) -> None:
    path = tmp_path / "a.pth"
    contents = {"meta": {"x": META[name]}, "state_dict": states[1]}
    torch.save(contents, path, pickle_protocol=protocol)
    convert_file(path, MODEL, tmp_path / "a.safetensors")


def test_a_file_that_was_halved_whole(states: tuple[State, State, State], tmp_path: Path) -> None:
    path, output = tmp_path / "a.pth", tmp_path / "a.safetensors"
    torch.save({key: value.half() for key, value in states[1].items()}, path)
    convert_file(path, MODEL, output)
    kinds = {k.endswith("num_batches_tracked"): v.dtype for k, v in load_file(output).items()}
    assert kinds == {True: torch.int64, False: torch.float16}


@pytest.mark.parametrize("write", [torch.save, legacy], ids=["zip", "legacy"])
def test_a_container_of_the_projects_own(
    states: tuple[State, State, State], tmp_path: Path, write: Callable[..., None]
) -> None:
    write(Container(state_dict=Container(states[1])), tmp_path / "a.pth")
    found = posekit.create_model(MODEL, weights=tmp_path / "a.pth").state_dict()
    assert_state(dict(found), states[0])


def test_an_object_made_with_arguments_is_refused(
    states: tuple[State, State, State], tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match=r"it asks for tests\..*\.Mode, .*nothing of it"):
        load({"meta": Mode.FAST, "state_dict": states[1]}, tmp_path)


def test_a_tensor_with_attributes_is_a_tensor(tmp_path: Path) -> None:
    from weights_convert.reader import read_checkpoint

    value, parameter = torch.ones(2), nn.Parameter(torch.ones(2))
    value.note = parameter.note = 1  # type: ignore[attr-defined]
    small = torch.ones(4).to(torch.float8_e4m3fn)
    torch.save({"a": value, "b": parameter, "c": small}, tmp_path / "a.pth")
    (found,) = read_checkpoint(tmp_path / "a.pth").states.values()
    assert found["a"].tolist() == found["b"].tolist() == [1, 1]
    assert found["c"].dtype == small.dtype and found["c"].float().tolist() == [1, 1, 1, 1]


def test_a_conjugated_tensor_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2, dtype=torch.complex64).conj()}, tmp_path / "a.pth")
    with pytest.raises(ConversionError, match="conjugated"):
        convert_file(tmp_path / "a.pth", MODEL, tmp_path / "a.safetensors")
