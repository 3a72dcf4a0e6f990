"""The copy of a run in a store, from which a lost folder comes back."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posekit.errors import InputError
from posekit.training.checkpoint import load_checkpoint
from posekit.training.mirror import Mirror
from tests.training import runs
from tests.training.runs import losses, weights
from tests.training.test_loop import assert_same_state

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def store() -> Iterator[Any]:
    """A store in memory, empty before and after."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield memory
    memory.store.clear()


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_copy_is_the_folder(tmp_path: Path) -> None:
    url = (tmp_path / "store" / "a run").as_uri().replace("%20", " ")
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}", f"mirror_to={url}"]
    run = runs.train(tmp_path, *options, "epochs=1", "name=before")
    copy = files_of(tmp_path / "store" / "a run")
    assert json.loads(copy.pop("mirror.json")) == {"step": 2}
    assert copy == files_of(run)
    # A model of another name replaces the one before, there too.
    runs.train(tmp_path, *options, "epochs=2", "name=after", "resume=true")
    copy = files_of(tmp_path / "store" / "a run")
    assert json.loads(copy.pop("mirror.json")) == {"step": 4}
    assert copy == files_of(run)


def test_a_folder_that_is_gone_comes_back(
    tmp_path: Path, store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    options = [*runs.workshop(tmp_path), "epochs=4", "ema=0.9", "checkpoint_every=3"]
    whole = runs.train(tmp_path, *options, f"out_dir={tmp_path / 'whole'}")
    options += [f"out_dir={tmp_path / 'cut'}", "mirror_to=memory://bucket/cut", "resume=true"]
    with runs.interrupted_after("step 5/8"), pytest.raises(KeyboardInterrupt):
        runs.train(tmp_path, *options)
    shutil.rmtree(tmp_path / "cut")
    with caplog.at_level(logging.INFO):
        cut = runs.train(tmp_path, *options)
    assert "restored the run from memory://bucket/cut" in caplog.messages
    assert "resuming at step 3, epoch 1" in caplog.messages
    assert_same_state(weights(cut), weights(whole))
    assert losses(cut) == losses(whole)
    assert store.cat("/bucket/cut/last.ckpt") == (cut / "last.ckpt").read_bytes()


def test_a_launch_finds_its_run_on_another_machine(
    tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-7")
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}", "checkpoint_every=1"]
    options += ["mirror_to=memory://run"]
    with runs.interrupted_after("step 5/6"), pytest.raises(KeyboardInterrupt):
        runs.train(tmp_path, *options)
    shutil.rmtree(tmp_path / "run")
    assert len(losses(runs.train(tmp_path, *options))) == 6


def test_an_older_folder_is_brought_up_to_date(tmp_path: Path, store: Any) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}", "mirror_to=memory://run"]
    run = runs.train(tmp_path, *options, "epochs=1")
    shutil.copytree(run, tmp_path / "old")
    runs.train(tmp_path, *options, "epochs=2", "resume=true")
    newer = (run / "last.ckpt").read_bytes()
    shutil.rmtree(run)
    (tmp_path / "old").rename(run)
    Mirror("memory://run", run).prepare(resume=True, dry_run=False)
    assert (run / "last.ckpt").read_bytes() == newer
    runs.train(tmp_path, *options[:-1], "epochs=3", "resume=true")  # without the store
    newest = (run / "last.ckpt").read_bytes()
    Mirror("memory://run", run).prepare(resume=True, dry_run=False)
    assert (run / "last.ckpt").read_bytes() == newest


def test_a_run_replaces_no_other(tmp_path: Path, store: Any) -> None:
    options = [*runs.workshop(tmp_path), "epochs=1", "mirror_to=memory://run"]
    runs.train(tmp_path, *options, f"out_dir={tmp_path / 'one'}")
    before = dict(store.store)
    with pytest.raises(InputError, match="mirror_to: memory://run already holds a run"):
        runs.train(tmp_path, *options, f"out_dir={tmp_path / 'two'}")
    assert not (tmp_path / "two").exists()
    runs.train(tmp_path, *options[:-1], f"out_dir={tmp_path / 'two'}")
    with pytest.raises(InputError, match="holds another run than"):
        runs.train(tmp_path, *options, f"out_dir={tmp_path / 'two'}", "resume=true")
    assert dict(store.store) == before


def test_a_store_that_fails_stops_no_training(
    tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}", "mirror_to=memory://run"]
    options += ["checkpoint_every=1"]
    real, calls = store.put_file, iter(range(1000))

    def put_file(*arguments: Any, **more: Any) -> None:
        if next(calls) > 7:  # after the first checkpoint
            raise OSError("the bucket is full")
        real(*arguments, **more)

    monkeypatch.setattr(store, "put_file", put_file)
    with caplog.at_level(logging.WARNING):
        run = runs.train(tmp_path, *options)
    first, last = caplog.messages
    assert first.startswith("cannot write memory://run/")
    assert first.endswith(
        "the bucket is full; training continues, and the next checkpoint tries again"
    )
    assert last == (
        f"the copy in memory://run is not complete: it has all up to step 1; {run} has all 6 steps"
    )
    assert load_checkpoint(run / "last.ckpt")["step"] == 6


def test_a_store_that_fails_does_not_keep_a_run_from_going_on(
    tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}", "mirror_to=memory://run"]
    runs.train(tmp_path, *options, "epochs=1")

    def isdir(path: str) -> bool:
        raise PermissionError("no access")

    monkeypatch.setattr(store, "isdir", isdir)
    runs.train(tmp_path, *options, "epochs=2", "resume=true")
    assert "no access; resuming from" in caplog.text
    shutil.rmtree(tmp_path / "run")  # now nobody knows whether there is a run
    with pytest.raises(InputError, match="cannot open memory://run: no access"):
        runs.train(tmp_path, *options, "resume=true")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("out_dir=s3://bucket/run", "out_dir must be a folder of this machine, found s3://bucket"),
        ("mirror_to=store", "mirror_to must be the URL of a folder .* found 'store'"),
        (
            "mirror_to=https://store/run",
            "mirror_to must be the URL of a folder that can be written",
        ),
        ("mirror_to=s3://bucket/*", "mirror_to must be the URL of a folder that can be written"),
        ("mirror_to=3", "mirror_to must be the URL of a folder .* found '3'"),
        ("mirror_to=nowhere://run", "cannot open nowhere://run: "),
    ],
)
def test_a_place_that_cannot_be_used_is_named(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        runs.train(tmp_path, *runs.workshop(tmp_path), "dry_run=true", override)
    assert "\n" not in str(error.value)


def test_a_file_from_a_store_stays_in_the_folder(tmp_path: Path, store: Any) -> None:
    mirror = Mirror("memory://run", tmp_path / "run")
    with pytest.raises(InputError, match=r"holds a file with the name '\.\./x'"):
        mirror._fetch("../x", tmp_path / "run")
