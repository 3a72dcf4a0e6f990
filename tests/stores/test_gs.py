"""Clips, shards and runs in a store of Google's, served by an emulator on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posekit.cli import main
from posekit.errors import InputError
from tests.batching.clips import batch, tables, write_clips
from tests.stores.conftest import forget
from tests.training import runs
from tests.training.runs import losses, weights
from tests.training.test_loop import assert_same_state

gcsfs = pytest.importorskip("gcsfs")
emulator = pytest.importorskip("gcp_storage_emulator.server")


@pytest.fixture
def gs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The file system of a store with an empty `bucket`."""
    server = emulator.create_server("127.0.0.1", runs.free_port(), in_memory=True)
    server.start()
    host, port = server._api._httpd.socket.getsockname()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{host}:{port}")
    # The emulator speaks HTTP only.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    gcsfs.GCSFileSystem.clear_instance_cache()
    forget()
    system = gcsfs.GCSFileSystem(project="any", use_listings_cache=False)
    system.mkdir("bucket")
    yield system
    gcsfs.GCSFileSystem.clear_instance_cache()
    forget()
    server.stop()


def test_clips_are_those_of_a_folder(gs: Any, tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips", 2)
    gs.put(str(clips), "bucket/", recursive=True)
    assert batch(clips, tmp_path / "here").ok
    for scheme in ("gs", "gcs"):
        assert batch(f"{scheme}://bucket/clips", tmp_path / scheme).ok
        assert list(tables(tmp_path / scheme)) == list(tables(tmp_path / "here"))
    for missing in ("gs://bukcet/clips", "gs://bucket/none"):
        with pytest.raises(InputError, match=f"^no such file: {missing}$"):
            batch(missing, tmp_path / "none")


@pytest.mark.slow  # trains
def test_a_run_from_shards_goes_on_from_its_copy(
    gs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    options = list(runs.workshop(tmp_path))
    shards = tmp_path / "shards" / "{000..001}.tar"
    assert main(["labels", str(tmp_path / "data" / "discs.json"), f"out={shards}"]) == 0
    gs.put(str(shards.parent), "bucket/", recursive=True)
    options += ["epochs=2", "checkpoint_every=1"]
    whole = runs.train(tmp_path, *options, f"out_dir={tmp_path / 'whole'}")
    options += ["dataset.train='gs://bucket/shards/{000..001}.tar'", "mirror_to=gs://bucket/run"]
    with pytest.raises(KeyboardInterrupt), runs.interrupted_after("step 4/4"):
        runs.train(tmp_path, *options, f"out_dir={tmp_path / 'cut'}")
    assert gs.cat("bucket/run/last.ckpt") == (tmp_path / "cut" / "last.ckpt").read_bytes()
    assert not [name for name in gs.find("bucket/run") if name.endswith(".part")]
    with pytest.raises(InputError, match="gs://bucket/run already holds a run"):
        runs.train(tmp_path, *options, f"out_dir={tmp_path / 'other'}")
    again = runs.train(tmp_path, *options, f"out_dir={tmp_path / 'on'}", "resume=true")
    assert_same_state(weights(again), weights(whole))
    assert losses(again) == losses(whole)
