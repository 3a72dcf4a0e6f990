"""Clips and shards in repositories of the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfFileSystem

from posekit.cli import main
from posekit.errors import InputError
from posekit.io import remote_parts
from tests.batching.clips import batch, write_clip
from tests.datasets.test_streamed_shards import assert_same_samples, dataset
from tests.hub_server import HubServer
from tests.stores.conftest import forget
from tests.training import runs


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote_parts, "WAITS", (0.0,) * 5)
    with HubServer().running() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        HfFileSystem.clear_instance_cache()
        forget()
        yield server
    HfFileSystem.clear_instance_cache()
    forget()


def test_shards_are_read_in_parts(hub: HubServer, tmp_path: Path) -> None:
    runs.workshop(tmp_path)
    pattern = tmp_path / "shards" / "{000..002}.tar"
    assert main(["labels", str(tmp_path / "data" / "discs.json"), f"out={pattern}"]) == 0
    for path in sorted((tmp_path / "shards").iterdir()):
        hub.publish("org/shards", f"train/{path.name}", path.read_bytes())
    samples = dataset("hf://org/shards/train/{000..002}.tar")
    listed = len(hub.gets("/storage/"))
    assert_same_samples(samples, dataset(str(pattern)))
    parts = hub.gets("/storage/")[listed:]
    assert len(parts) == len(samples)
    assert not list((tmp_path / "cache" / "shards").glob("*.tar"))


def test_a_batch_of_a_repository(hub: HubServer, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    content = write_clip(tmp_path / "a.mp4", frames=3).read_bytes()
    for name in ("a.mp4", "cam/b.mp4", "README.md"):
        hub.publish("org/clips", f"videos/{name}", content)
    found = batch("hf://org/clips/videos", tmp_path / "out")
    assert [(one.name, one.frames) for one in found.entries] == [("a.mp4", 3), ("cam/b.mp4", 3)]
    hub.private.add("org/clips")
    for url in ("hf://org/clips/videos", "hf://org/nothing", "hf://org/clips@none/a.mp4"):
        with pytest.raises(InputError, match=f"(no such file: |cannot open ){url}") as error:
            batch(url, tmp_path / "none")
        assert "\n" not in str(error.value)
