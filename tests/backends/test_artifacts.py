"""What engines leave in the cache is used again, and made again where it is damaged."""

from __future__ import annotations

import importlib
import logging
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from posekit.backends import artifacts, make_backend, why_unavailable
from posekit.backends.artifacts import fingerprint, load_artifact
from posekit.backends.engines import compile as compile_engine
from posekit.errors import InputError
from tests.processes import run_python

CPU = torch.device("cpu")

RUN = """
import sys
from pathlib import Path
import torch
from torch import nn
from posekit.backends import make_backend

torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 2, 1)).eval()
images = torch.ones(1, 3, 8, 8)
for kind in sys.argv[2:]:
    outputs = make_backend(net, kind, input_size=(8, 8), cache_dir=Path(sys.argv[1]))(images)
    print(float((outputs - net(images)).abs().max()) < 1e-5)
"""


@pytest.mark.parametrize(
    "kinds",
    # Starting the compiler takes ten seconds, for the smallest network too.
    [("onnxruntime", "openvino"), pytest.param(("compile",), marks=pytest.mark.slow)],
    ids=",".join,
)
def test_a_second_process_uses_what_the_first_made(kinds: tuple[str, ...], tmp_path: Path) -> None:
    able = [kind for kind in kinds if why_unavailable(kind, CPU) is None]
    if not able:
        pytest.skip(f"{kinds[0]}: {why_unavailable(kinds[0], CPU)}")

    def run() -> dict[Path, int]:
        done = run_python("-c", RUN, tmp_path, *able, check=True)
        assert done.stdout.splitlines()[-len(able) :] == ["True"] * len(able)
        files = [f for f in (tmp_path / "backends").rglob("model.*") if f.is_file()]
        return {file: file.stat().st_mtime_ns for file in files}

    first = run()
    assert len({file.parent for file in first}) >= len(able)
    assert run() == first


def test_a_damaged_artifact_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def make(folder: Path) -> None:
        (folder / "number").write_text("7")

    def load(folder: Path) -> int:
        return int((folder / "number").read_text())

    assert load_artifact(tmp_path, "a", make=make, load=load) == 7
    (tmp_path / "a" / "number").write_text("seven")
    with caplog.at_level(logging.WARNING):
        assert load_artifact(tmp_path, "a", make=make, load=load) == 7
    assert "is damaged and will be rebuilt" in caplog.text


@pytest.mark.parametrize("error", [MemoryError, torch.cuda.OutOfMemoryError])
def test_what_memory_does_not_suffice_for_is_kept(error: type[Exception], tmp_path: Path) -> None:
    load_artifact(tmp_path, "a", make=write_seven, load=read_number)

    def load(folder: Path) -> int:
        raise error("too large")

    with pytest.raises(error):
        load_artifact(tmp_path, "a", make=write_nothing, load=load)
    assert load_artifact(tmp_path, "a", make=write_nothing, load=read_number) == 7


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_text("")
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        load_artifact(tmp_path, "a", make=make, load=lambda folder: 0)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="POSEKIT_CACHE"):
        load_artifact(tmp_path / "file", "a", make=lambda folder: None, load=lambda folder: 0)


def test_weights_and_details_change_the_fingerprint() -> None:
    net = nn.Linear(2, 2)
    first = fingerprint(net, "a")
    assert fingerprint(net, "a") == first
    assert fingerprint(net, "b") != first
    with torch.no_grad():
        net.weight[0, 0] += 1
    assert fingerprint(net, "a") != first


class Scaled(nn.Module):
    """Its arguments are in no state dict."""

    def __init__(self, scale: object = 1, act: Callable = torch.relu) -> None:
        super().__init__()
        self.scale, self.act = scale, act


def test_arguments_change_the_fingerprint() -> None:
    arguments = [
        {}, {"scale": 2}, {"scale": True}, {"scale": (1, 2.0)}, {"scale": torch.float16},
        {"act": torch.sigmoid}, {"act": lambda x: x},
        {"act": partial(torch.clamp, min=0)}, {"act": partial(torch.clamp, min=1)},
        {"scale": {"a": 1}}, {"scale": {"a": 2}}, {"scale": np.ones(2)}, {"scale": np.zeros(2)},
        {"scale": torch.ones(2)}, {"scale": torch.ones(1, 2)}, {"scale": torch.zeros(2)},
        {"scale": np.array(["a"])}, {"scale": np.array(["b", None])},
    ]  # fmt: skip
    found = [fingerprint(nn.Sequential(Scaled(**given))) for given in arguments]
    assert len(set(found)) == len(arguments)
    assert found == [fingerprint(nn.Sequential(Scaled(**given))) for given in arguments]
    # An object has nothing but an address.
    assert fingerprint(Scaled(object())) == fingerprint(Scaled(object()))


def test_buffers_that_are_not_saved_change_the_fingerprint() -> None:
    def net(value: float) -> nn.Module:
        module = nn.Module()
        module.register_buffer("offset", torch.full((2,), value), persistent=False)
        return module

    assert fingerprint(net(1)) == fingerprint(net(1)) != fingerprint(net(2))


def test_code_and_version_change_the_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "code_of_a_network.py"
    source.write_text("from torch import nn\nclass Net(nn.Module):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    net = importlib.import_module(source.stem).Net()
    monkeypatch.delitem(sys.modules, source.stem, raising=False)
    monkeypatch.setitem(sys.modules, source.stem, types.SimpleNamespace(__file__=str(source)))
    first = fingerprint(net)
    monkeypatch.setattr(artifacts, "__version__", "other")
    other = fingerprint(net)
    source.write_text("# corrected")
    assert len({first, other, fingerprint(net)}) == 3


def write_seven(folder: Path) -> None:
    (folder / "number").write_text("7")


def write_nothing(folder: Path) -> None:
    raise AssertionError("nothing has to be made")


def read_number(folder: Path) -> int:
    return int((folder / "number").read_text())


def test_a_filled_cache_need_not_be_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_artifact(tmp_path, "a", make=write_seven, load=read_number)

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(artifacts, "FileLock", refuse)
    assert load_artifact(tmp_path, "a", make=write_seven, load=read_number) == 7
    with pytest.raises(InputError, match="Permission denied"):
        load_artifact(tmp_path, "b", make=write_seven, load=read_number)


def test_a_file_in_the_place_of_an_artifact_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    assert load_artifact(tmp_path, "a", make=write_seven, load=read_number) == 7


def test_an_artifact_has_the_permissions_of_any_new_folder(tmp_path: Path) -> None:
    load_artifact(tmp_path, "a", make=write_seven, load=read_number)
    (tmp_path / "usual").mkdir()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_files_are_on_the_disk_before_they_are_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place = []
    monkeypatch.setattr(artifacts.os, "fsync", lambda _: in_place.append((tmp_path / "a").exists()))
    load_artifact(tmp_path, "a", make=write_seven, load=read_number)
    assert in_place == [False]


def test_what_processes_that_died_left_is_removed(tmp_path: Path) -> None:
    for name in ("a.k3x", "ab.k3x"):
        (tmp_path / name).mkdir()
        write_seven(tmp_path / name)
    load_artifact(tmp_path, "a", make=write_seven, load=read_number)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"a", "ab.k3x"}


def test_compiled_code_is_for_one_processor_and_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := why_unavailable("compile", CPU):  # asking imports the compiler
        pytest.skip(reason)
    net = nn.Conv2d(3, 4, 1).eval()

    def name() -> str:
        return make_backend(net, "compile", input_size=(8, 8), cache_dir=tmp_path).name

    names = [name()]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    names.append(name())
    monkeypatch.setattr(compile_engine, "processor_name", lambda: "another")
    names.append(name())
    assert len(set(names)) == 3


def test_a_network_in_training_is_no_surprise_to_the_cache(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    with pytest.raises(ValueError, match="eval"):
        make_backend(net, "torch", input_size=(8, 8), cache_dir=tmp_path)
