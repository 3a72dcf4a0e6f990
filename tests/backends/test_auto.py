"""`auto` measures once, remembers, and survives what it remembered."""

from __future__ import annotations

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

from posekit.backends import auto, make_backend
from posekit.backends.auto import AutoBackend, read_choices
from posekit.backends.engine import Backend, Target
from posekit.backends.kinds import auto_candidates
from posekit.errors import InputError


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU()).eval().requires_grad_(False)


def run(net: nn.Module, folder: Path, number: int = 1) -> dict[str, dict]:
    """What is remembered after a batch."""
    make_backend(net, "auto", input_size=(8, 8), cache_dir=folder)(torch.zeros(number, 3, 8, 8))
    return read_choices(folder / "backends" / "auto.json")


def test_what_was_measured_is_used_again(net: nn.Module, tmp_path: Path) -> None:
    first = run(net, tmp_path)
    (choice,) = first.values()
    assert choice["kind"] in auto_candidates()
    # Engines that tie in the file's hundredths of a millisecond were told apart by less.
    assert choice["milliseconds"][choice["kind"]] == min(choice["milliseconds"].values())
    file = tmp_path / "backends" / "auto.json"
    written = file.stat().st_mtime_ns
    assert run(net, tmp_path) == first
    assert file.stat().st_mtime_ns == written


def test_larger_batches_are_measured_on_their_own(net: nn.Module, tmp_path: Path) -> None:
    run(net, tmp_path, 1)
    assert sorted(c["batch"] for c in run(net, tmp_path, 5).values()) == ["many", "one"]


def test_who_settles_has_measured_before_the_first_image(net: nn.Module, tmp_path: Path) -> None:
    backend = make_backend(net, "auto", input_size=(8, 8), cache_dir=tmp_path)
    assert isinstance(backend, AutoBackend)
    backend.settle()
    known = read_choices(tmp_path / "backends" / "auto.json")
    assert sorted(choice["batch"] for choice in known.values()) == ["many", "one"]


def test_a_choice_is_followed_and_other_weights_share_it(net: nn.Module, tmp_path: Path) -> None:
    file = tmp_path / "backends" / "auto.json"
    ((key, choice),) = run(net, tmp_path).items()
    file.write_text(json.dumps({key: {**choice, "kind": "torch", "note": "kept"}}))
    with torch.no_grad():
        net[0].weight.add_(1)
    assert run(net, tmp_path)[key]["note"] == "kept"


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', "\x00"])
def test_a_broken_file_is_ignored_with_a_warning(
    content: str, net: nn.Module, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "backends" / "auto.json"
    file.parent.mkdir()
    file.write_text(content)
    with caplog.at_level(logging.WARNING):
        choices = run(net, tmp_path)
    assert "is ignored" in caplog.text
    assert len(choices) == 1


def test_a_remembered_engine_of_no_known_name_is_measured_anew(
    net: nn.Module, tmp_path: Path
) -> None:
    file = tmp_path / "backends" / "auto.json"
    ((key, choice),) = run(net, tmp_path).items()
    file.write_text(json.dumps({key: {**choice, "kind": "abacus"}}))
    assert run(net, tmp_path)[key]["kind"] in auto_candidates()


def test_a_remembered_engine_that_fails_is_measured_anew(
    net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "backends" / "auto.json"
    ((key, choice),) = run(net, tmp_path).items()
    file.write_text(json.dumps({key: {**choice, "kind": "openvino"}}))

    def only_torch(net: nn.Module, kind: str, target: Target) -> Backend:
        if kind != "torch":
            raise InputError("cannot write to the cache")
        return net

    monkeypatch.setattr(auto, "why_unavailable", lambda *arguments: None)
    monkeypatch.setattr(auto, "make_engine", only_torch)
    assert run(net, tmp_path)[key]["kind"] == "torch"


def test_threads_measure_once(
    net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    measure = AutoBackend._measure

    def counted(self: AutoBackend, images: torch.Tensor) -> tuple[dict, dict]:
        measured.append(len(images))
        return measure(self, images)

    monkeypatch.setattr(AutoBackend, "_measure", counted)
    backend = make_backend(net, "auto", input_size=(8, 8), cache_dir=tmp_path)
    together = threading.Barrier(4)

    def work(_: int) -> torch.Tensor:
        together.wait()
        return backend(torch.zeros(1, 3, 8, 8))

    with ThreadPoolExecutor(4) as threads:
        assert all(out.shape == (1, 4, 6, 6) for out in threads.map(work, range(4)))
    assert measured == [1]


def test_it_computes_images_apart_where_its_choices_do(
    net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(auto, "auto_candidates", lambda: ("openvino",))
    backend = make_backend(net, "auto", input_size=(8, 8), cache_dir=tmp_path)
    assert not backend.computes_images_apart
    for number in (1, 3):
        backend(torch.zeros(number, 3, 8, 8))
        assert backend.computes_images_apart
    monkeypatch.setattr(auto, "auto_candidates", lambda: ("torch",))
    backend = make_backend(net, "auto", input_size=(8, 8), cache_dir=tmp_path)
    backend(torch.zeros(1, 3, 8, 8))
    assert not backend.computes_images_apart


def test_engines_without_the_type_are_not_tried(net: nn.Module, tmp_path: Path) -> None:
    backend = make_backend(net, "auto", input_size=(8, 8), dtype=torch.float64, cache_dir=tmp_path)
    assert backend(torch.zeros(1, 3, 8, 8)).dtype == torch.float64
    (choice,) = read_choices(tmp_path / "backends" / "auto.json").values()
    assert list(choice["milliseconds"]) == ["torch"]
    assert not choice["failed"]


def test_a_cache_that_cannot_be_written_costs_the_memory_only(
    net: nn.Module, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "backends").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        outputs = make_backend(net, "auto", input_size=(8, 8), cache_dir=tmp_path)(
            torch.zeros(1, 3, 8, 8)
        )
    assert outputs.shape == (1, 4, 6, 6)
    assert "measures again" in caplog.text
