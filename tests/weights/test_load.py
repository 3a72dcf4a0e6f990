"""Networks from configurations and weights."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import posekit
from posekit.backends import machine
from posekit.build import build_network, select_device
from posekit.component import Component
from posekit.errors import InputError, WeightsError
from posekit.skeleton import load_skeleton
from posekit.spec import load_spec
from posekit.weights.load import _warn_of_slow_type, load_initial_weights, load_network
from posekit.weights.tensors import check_fit, load_weights
from tests.processes import run_python

NAME = "rtmpose-t_body8-256x192"


def test_create_model_without_weights_is_random_and_in_eval_mode() -> None:
    net = posekit.create_model(NAME)
    assert not net.training
    assert not any(parameter.is_meta for parameter in net.parameters())


def test_create_model_with_weights(rtmpose_t: Path) -> None:
    state = posekit.create_model(NAME, weights=rtmpose_t).state_dict()
    expected = load_file(rtmpose_t)
    assert set(state) == set(expected)
    assert all(torch.equal(state[key], expected[key]) for key in state)


def test_a_type_that_the_processor_has_not_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu avx2 avx512f\n")  # of another processor
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    _warn_of_slow_type.cache_clear()
    spec = load_spec("rtmpose-n_drawn-192x128")
    for _ in range(2):
        net = load_network(spec, dtype=torch.bfloat16)
        assert next(net.parameters()).dtype == torch.bfloat16
    load_network(spec)
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith("dtype=bfloat16: this processor does not support it")
    _warn_of_slow_type.cache_clear()


def test_another_number_of_keypoints_keeps_what_it_can(
    rtmpose_t: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        net = posekit.create_model(NAME, weights=rtmpose_t, num_keypoints=5)
    assert "head.final_layer.bias, head.final_layer.weight" in caplog.text
    assert net(torch.zeros(1, 3, 256, 192))[0].shape == (1, 5, 384)
    state, published = net.state_dict(), load_file(rtmpose_t)
    changed = {key for key in state if not torch.equal(state[key], published[key])}
    assert changed == {"head.final_layer.weight", "head.final_layer.bias"}
    for key in changed:  # what nobody has trained starts as the mean of what somebody has
        mean = published[key].mean(dim=0)
        assert all(torch.equal(row, mean) for row in state[key])


def test_known_keypoints_keep_their_rows(rtmpose_t: Path) -> None:
    config = load_spec(NAME).net.having(num_keypoints=3)
    net = build_network(config, device="cpu")
    coco = load_skeleton("coco").names
    names = [coco[16], "tail", coco[0]]
    fresh, kept = load_initial_weights(net, config, rtmpose_t, names=names, names_in_file=coco)
    assert kept == [coco[16], coco[0]]
    assert fresh == ["head.final_layer.bias", "head.final_layer.weight"]
    state, published = net.state_dict(), load_file(rtmpose_t)
    for key in fresh:
        assert torch.equal(state[key][0], published[key][16])
        assert torch.equal(state[key][1], published[key].mean(dim=0))
        assert torch.equal(state[key][2], published[key][0])


def test_keypoints_with_several_maps_keep_all_of_them(tmp_path: Path) -> None:
    config = Component(
        "posekit.models.hrnet.HRNetPose", {"width": 8, "maps_per_keypoint": 3, "num_keypoints": 2}
    )
    trained = build_network(config.having(num_keypoints=4), device="cpu").state_dict()
    save_file(trained, tmp_path / "w.safetensors")
    net = build_network(config, device="cpu")
    path = tmp_path / "w.safetensors"
    (key, _), kept = load_initial_weights(net, config, path, names="db", names_in_file="abcd")
    assert kept == ["d", "b"]
    expected = torch.cat([trained[key][9:12], trained[key][3:6]])
    assert torch.equal(net.state_dict()[key], expected)


def test_a_file_for_other_keypoints_than_expected_gives_their_mean(rtmpose_t: Path) -> None:
    config = load_spec(NAME).net.having(num_keypoints=2)
    net = build_network(config, device="cpu")
    fresh, kept = load_initial_weights(net, config, rtmpose_t, names="ab", names_in_file="abc")
    assert not kept
    mean = load_file(rtmpose_t)[fresh[0]].mean(dim=0)
    assert all(torch.equal(row, mean) for row in net.state_dict()[fresh[0]])


def test_as_many_keypoints_of_other_names_are_put_in_order(rtmpose_t: Path) -> None:
    config = load_spec(NAME).net
    coco = load_skeleton("coco").names
    net = build_network(config, device="cpu")
    names = coco[::-1]
    load_initial_weights(net, config, rtmpose_t, names=names, names_in_file=coco)
    key = "head.final_layer.weight"
    assert torch.equal(net.state_dict()[key], load_file(rtmpose_t)[key].flip(0))


def test_a_network_without_weights_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    net = build_network(load_spec("vitpose-s-simple_coco-256x192").net)
    assert next(net.parameters()).is_meta
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name, count", [(NAME, 0), ("rtmdet-nano_person-320", 5)])
def test_a_number_of_keypoints_that_makes_no_sense(name: str, count: int) -> None:
    with pytest.raises(InputError, match="num_keypoints"):
        posekit.create_model(name, num_keypoints=count)


def test_a_file_with_other_entries_is_refused(rtmpose_t: Path, tmp_path: Path) -> None:
    state = load_file(rtmpose_t)
    state["extra"] = torch.zeros(1)
    del state["head.to_x.weight"]
    state["head.to_y.weight"] = torch.zeros(3, 3)
    path = tmp_path / "a.safetensors"
    save_file(state, path)
    with pytest.raises(WeightsError) as caught:
        load_weights(build_network(load_spec(NAME).net), path)
    for part in ("head.to_x.weight", "extra", "head.to_y.weight is (3, 3), expected (512, 256)"):
        assert part in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.complex64])
def test_numbers_of_another_kind_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"weight": torch.ones(2, 2).to(dtype), "bias": torch.zeros(2)}, path)
    net = build_network(Component("torch.nn.Linear", {"in_features": 2, "out_features": 2}))
    with pytest.raises(WeightsError, match=rf"weight is {dtype}, expected torch\.float32"):
        load_weights(net, path, dtype=torch.float32)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.complex64])
@pytest.mark.parametrize("num_keypoints", [17, 3])
def test_training_does_not_start_from_numbers_of_another_kind(
    rtmpose_t: Path, tmp_path: Path, dtype: torch.dtype, num_keypoints: int
) -> None:
    key = "head.final_layer.weight"  # its shape depends on the number of keypoints
    path = tmp_path / "a.safetensors"
    save_file({**(state := load_file(rtmpose_t)), key: state[key].to(dtype)}, path)
    config = load_spec(NAME).net.having(num_keypoints=num_keypoints)
    with pytest.raises(WeightsError, match=rf"{key} is {dtype}, expected torch\.float32"):
        load_initial_weights(build_network(config, device="cpu"), config, path)


def test_counts_of_a_file_that_was_halved_whole(rtmpose_t: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({key: value.half() for key, value in load_file(rtmpose_t).items()}, path)
    net = load_weights(build_network(load_spec(NAME).net), path, dtype=torch.float32)
    kinds = {k.endswith("num_batches_tracked"): v.dtype for k, v in net.state_dict().items()}
    assert kinds == {True: torch.int64, False: torch.float32}


def test_what_is_no_network_is_named() -> None:
    with pytest.raises(InputError, match=r"fractions\.Fraction is not a network"):
        build_network(Component("fractions.Fraction", {}))


def test_a_damaged_file_is_refused(rtmpose_t: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(rtmpose_t.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="damaged or cut short, as a safetensors file"):
        load_weights(build_network(load_spec(NAME).net), path)


def test_what_a_damaged_header_says_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"\\u001b[2J","shape":[1],"data_offsets":[0,4]}}'
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    net = build_network(load_spec(NAME).net)
    for read in (load_weights, check_fit):
        with pytest.raises(WeightsError, match=r"as a safetensors file: .*2J") as caught:
            read(net, path)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name, expected",
    [("CPU", "cpu"), ("Cuda:1", "cuda:1"), ("0", "cuda:0"), (0, "cuda:0"), ("1", "cuda:1")],
)
def test_a_device_as_other_programs_write_it(
    name: str | int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posekit.build._check_device", lambda device: device)  # there may be no GPU
    assert select_device(name) == torch.device(expected)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_gpu_that_cannot_compute_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert select_device().type != "cuda"
    assert "the GPU cannot be used: " in caplog.text


PEAK = """
import re, sys
from pathlib import Path
from posekit.build import build_network
from posekit.weights.tensors import load_weights
from posekit.component import Component
def peak():
    # Not getrusage's, which begins with what the process that started this one had.
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])
sizes = {"in_features": 8000, "out_features": 7000}
net = build_network(Component("torch.nn.Linear", sizes))
before = peak()
net = load_weights(net, Path(sys.argv[1]))
net.weight.sum().item()
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_loading_takes_little_more_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"weight": torch.ones(7000, 8000), "bias": torch.zeros(7000)}, path)
    done = run_python("-c", PEAK, path, check=True)
    assert 0.9 < int(done.stdout) / path.stat().st_size < 1.3
