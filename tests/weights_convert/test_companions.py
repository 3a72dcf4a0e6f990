"""Weights in several files, and folders that hold them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import posekit
from posekit.errors import WeightsError
from posekit.skeleton import load_skeleton
from posekit.spec import load_spec
from posekit.training.export import export_model
from posekit.weights.hub import resolve_weights
from tests.networks import reference_state
from weights_convert.__main__ import main
from weights_convert.companions import companions, content_digest, file_in_folder

DATA = Path(__file__).parent.parent / "data"
RTMPOSE = DATA / "pose2d" / "rtmpose-t_8xb256-420e_body8-256x192"
MODEL = "rtmpose-t_body8-256x192"
State = dict[str, Tensor]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "snapshot"
    path.mkdir()
    (path / "config.json").write_text("{}")
    return path


def foreign() -> State:
    return reference_state(RTMPOSE)


def assert_loads(weights: Path, rtmpose_t: Path) -> None:
    found = posekit.create_model(MODEL, weights=weights).state_dict()
    expected = load_file(rtmpose_t)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def write_shards(folder: Path, name: str, write: Callable[[State, Path], None]) -> Path:
    """Two shards and their index, as transformers names them."""
    stem, _, suffix = name.rpartition(".")
    entries = list(foreign().items())
    half = len(entries) // 2
    weight_map = {}
    for number, part in enumerate((entries[:half], entries[half:]), 1):
        shard = f"{stem}-0000{number}-of-00002.{suffix}"
        write(dict(part), folder / shard)
        weight_map |= {key: shard for key, _ in part}
    index = folder / f"{name}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return index


def test_a_snapshots_safetensors_are_taken(folder: Path, rtmpose_t: Path) -> None:
    save_file(foreign(), folder / "model.safetensors", metadata={"format": "pt"})
    torch.save({"other": torch.ones(1)}, folder / "pytorch_model.bin")
    assert_loads(folder, rtmpose_t)


def test_a_snapshot_is_links_into_the_hubs_cache(folder: Path, rtmpose_t: Path) -> None:
    blob = folder.parent / "blobs" / "5" / "abc"
    blob.parent.mkdir(parents=True)
    save_file(foreign(), blob)
    (folder / "model.safetensors").symlink_to(blob)
    assert_loads(folder, rtmpose_t)


def test_the_cache_folder_of_a_repository_has_one_snapshot(
    folder: Path, tmp_path: Path, rtmpose_t: Path
) -> None:
    save_file(foreign(), folder / "model.safetensors")
    shutil.move(folder, tmp_path / "models--a--b" / "snapshots" / "c0ffee")
    assert_loads(tmp_path / "models--a--b", rtmpose_t)


@pytest.mark.parametrize(
    ("name", "write"), [("model.safetensors", save_file), ("pytorch_model.bin", torch.save)]
)
def test_shards_are_joined(
    folder: Path, rtmpose_t: Path, name: str, write: Callable[[State, Path], None]
) -> None:
    index = write_shards(folder, name, write)
    assert_loads(folder, rtmpose_t)
    assert_loads(index, rtmpose_t)


def test_a_changed_shard_is_converted_anew(folder: Path) -> None:
    write_shards(folder, "model.safetensors", save_file)
    first = resolve_weights(MODEL, folder)
    assert resolve_weights(MODEL, folder) == first
    shard = folder / "model-00002-of-00002.safetensors"
    save_file({k: v * 2 for k, v in load_file(shard).items()}, shard)
    assert resolve_weights(MODEL, folder) != first


def test_a_missing_shard_is_named(folder: Path) -> None:
    write_shards(folder, "model.safetensors", save_file)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"needs the file 'model-00002-of-0.*which is missing"):
        resolve_weights(MODEL, folder)


def test_an_entry_that_no_shard_has_is_named(folder: Path) -> None:
    index = write_shards(folder, "model.safetensors", save_file)
    content = json.loads(index.read_text())
    content["weight_map"]["ghost"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(content))
    with pytest.raises(WeightsError, match=r"model-00001-of.* lacks the entry 'ghost'"):
        resolve_weights(MODEL, folder)


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "C:\\x", "a\\..\\..\\b", "", "a\0"]
)
def test_a_shard_elsewhere_is_refused(folder: Path, location: str) -> None:
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": location}}))
    with pytest.raises(WeightsError, match="outside its own folder"):
        resolve_weights(MODEL, folder)


@pytest.mark.parametrize(
    "content",
    [b"{", b"{}", b'{"weight_map": 3}', b'{"weight_map": {}}', b'{"weight_map": ' + b"[" * 99999],
)
def test_an_index_that_is_none_is_refused(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors.index.json").write_bytes(content)
    with pytest.raises(WeightsError, match="expected an index of shards"):
        resolve_weights(MODEL, folder)


def test_a_folder_without_weights_says_what_it_holds(folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"weights such as model\.safetensors .*config\.json"):
        resolve_weights(MODEL, folder)


def test_a_folder_with_several_files_of_weights_names_them(folder: Path) -> None:
    for name in ("a", "b"):
        save_file({"x": torch.ones(1)}, folder / f"{name}.safetensors")
    with pytest.raises(WeightsError, match=r"found 2: a\.safetensors, b\.safetensors; name the"):
        resolve_weights(MODEL, folder)


def test_the_only_file_of_weights_is_taken(folder: Path, rtmpose_t: Path) -> None:
    torch.save(foreign(), folder / "epoch_10.pth")
    assert_loads(folder, rtmpose_t)


@pytest.mark.parametrize("place", ["", "export"])
def test_the_folder_of_a_trained_model(folder: Path, rtmpose_t: Path, place: str) -> None:
    export_model(
        folder / place,
        "mine_own-256x192",
        spec=load_spec(MODEL),
        state=load_file(rtmpose_t),
        skeleton=load_skeleton("coco"),
        metrics=None,
        about={},
    )
    assert_loads(folder, rtmpose_t)
    assert file_in_folder(folder) == folder / place / "model.safetensors"


def test_a_folder_is_converted_from_the_shell(folder: Path, rtmpose_t: Path) -> None:
    save_file(foreign(), folder / "model.safetensors")
    output = folder.parent / "a.safetensors"
    assert main([str(folder), "--model", MODEL, "-o", str(output)]) == 0
    assert_loads(output, rtmpose_t)


def test_a_file_by_itself_has_no_companions(rtmpose_t: Path) -> None:
    assert companions(rtmpose_t) == []
    assert len(content_digest(rtmpose_t)) == 64
