"""Clips, shards and runs in a store of S3."""

from __future__ import annotations

import json
import logging
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from posekit.cli import main
from posekit.errors import InputError
from posekit.training.checkpoint import load_checkpoint
from tests.batching.clips import batch, write_clip
from tests.datasets.test_streamed_shards import assert_same_samples, dataset
from tests.stores.conftest import forget
from tests.training import runs
from tests.training.runs import losses, weights
from tests.training.test_loop import assert_same_state

SHARDS = "shards/{000..002}.tar"


@pytest.fixture
def shards(tmp_path: Path, s3: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of three shards; the same ones are in `tmp_path`."""
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    runs.workshop(tmp_path)
    assert main(["labels", str(tmp_path / "data" / "discs.json"), f"out={tmp_path / SHARDS}"]) == 0
    s3.put(str(tmp_path / "shards"), "bucket/", recursive=True)
    return f"s3://bucket/{SHARDS}"


def test_shards_are_read_in_parts(shards: str, tmp_path: Path, s3: Any) -> None:
    here = dataset(str(tmp_path / SHARDS))
    assert_same_samples(dataset(shards), here)
    assert not list((tmp_path / "cache" / "shards").glob("*.tar"))
    forget()
    assert_same_samples(dataset("s3://bucket/shards/*.tar", keep=True), here)
    forget()
    s3.pipe("bucket/shards/001.tar", b"no archive" * 1000)
    with pytest.raises(InputError, match=r"s3://bucket/shards/001\.tar cannot be read as an arch"):
        dataset(shards)
    s3.rm("bucket/shards/001.tar")
    forget()
    with pytest.raises(InputError, match=r"no such file: s3://bucket/shards/001\.tar"):
        dataset(shards)


def test_a_shard_that_is_replaced_meanwhile_is_refused(
    shards: str, tmp_path: Path, s3: Any
) -> None:
    samples = dataset(shards)
    samples._images.budget = 0
    for name in ("000", "001", "002"):
        s3.pipe(f"bucket/shards/{name}.tar", b"\0" * 30_000)
    with pytest.raises(InputError, match=r"shards/00\d\.tar has changed since it was listed"):
        samples.__getitems__([0])


@pytest.mark.slow  # four processes that import PyTorch
def test_two_processes_train_from_the_same_shards(shards: str, tmp_path: Path) -> None:
    options = [text for text in runs.OPTIONS if not text.startswith(("num_workers", "batch"))]
    found = {}
    for name, where in (("here", str(tmp_path / SHARDS)), ("there", shards)):
        launcher = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--local-addr=127.0.0.1")
        process = runs.start(
            tmp_path, *options, "batch_size=2", "num_workers=1", f"dataset.train='{where}'",
            f"out_dir={tmp_path / name}", launcher=(*launcher, f"--master-port={runs.free_port()}"),
        )  # fmt: skip
        _, log = process.communicate(timeout=600)
        assert process.returncode == 0, log
        found[name] = log
        assert ("botocore" in log, "credentials" in log) == (False, False)
    assert_same_state(weights(tmp_path / "there"), weights(tmp_path / "here"))
    assert losses(tmp_path / "there") == losses(tmp_path / "here")


def test_a_batch_of_a_bucket(tmp_path: Path, s3: Any) -> None:
    tables = pytest.importorskip("pyarrow.parquet")
    names = ["cam 1/a.mp4", "cam2/[x].mp4"]
    for name in names:
        clip = write_clip(tmp_path / "clips" / name, frames=3)
        s3.put_file(str(clip), f"bucket/clips/{name}")
    s3.pipe("bucket/clips/broken.mp4", b"no clip")
    s3.pipe("bucket/clips/notes.md", b"text")
    found = batch("s3://bucket/clips", tmp_path / "there")
    assert [(one.name, one.status, one.frames) for one in found.entries] == [
        ("broken.mp4", "failed", 0), ("cam 1/a.mp4", "done", 3), ("cam2/[x].mp4", "done", 3),
    ]  # fmt: skip
    batch(tmp_path / "clips", tmp_path / "here")
    for name in names:
        there, here = (
            tables.read_table(tmp_path / side / f"{name}.parquet") for side in ("there", "here")
        )
        assert there.drop_columns(["source"]).equals(here.drop_columns(["source"]))
    s3.put_file(str(tmp_path / "clips" / names[0]), "bucket/clips/broken.mp4")
    again = batch("s3://bucket/clips", tmp_path / "there")
    assert [one.status for one in again.entries] == ["done"] * 3
    assert again.now == 1
    # A name with signs of patterns is a name where there is such a file.
    alone = batch("s3://bucket/clips/cam2/[x].mp4", tmp_path / "alone")
    assert [one.name for one in alone.entries] == ["[x].mp4"]


@pytest.mark.slow  # two processes that import PyTorch
def test_a_killed_run_goes_on_from_its_copy(tmp_path: Path, s3: Any) -> None:
    options = [*runs.workshop(tmp_path), "epochs=4", "ema=0.9", "checkpoint_every=3"]
    whole = runs.train(tmp_path, *options, f"out_dir={tmp_path / 'whole'}")
    options += [f"out_dir={tmp_path / 'cut'}", "mirror_to=s3://bucket/a run"]
    code = "from tests.training.runs import killed_after; killed_after('step 5/8')"
    process = runs.start(tmp_path, *options, launcher=("-c", code))
    assert process.wait(600) == -signal.SIGKILL
    assert process.stderr is not None
    process.stderr.close()
    shutil.rmtree(tmp_path / "cut")  # the disk of another machine
    process = runs.start(tmp_path, *options, "resume=true")
    _, log = process.communicate(timeout=600)
    assert process.returncode == 0, log
    assert "resuming at step 3, epoch 1" in log
    assert_same_state(weights(tmp_path / "cut"), weights(whole))
    assert losses(tmp_path / "cut") == losses(whole)
    assert s3.cat("bucket/a run/last.ckpt") == (tmp_path / "cut" / "last.ckpt").read_bytes()
    assert json.loads(s3.cat("bucket/a run/mirror.json")) == {"step": 8}


def test_a_store_that_goes_away_stops_no_training(
    tmp_path: Path, s3: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}", "checkpoint_every=1"]
    options += ["epochs=1", "mirror_to=s3://bucket/run"]
    send = runs._At("step 2/2", lambda: s3.rm("bucket", recursive=True))
    logger = logging.getLogger("posekit.training")
    logger.addHandler(send)
    try:
        with caplog.at_level(logging.INFO):
            run = runs.train(tmp_path, *options)
    finally:
        logger.removeHandler(send)
        assert not s3.exists("bucket")  # nobody asked for one
        s3.mkdir("bucket")
    said = [line.message for line in caplog.records if line.levelno >= logging.WARNING]
    assert said[0].startswith("cannot write s3://bucket/run/")
    assert "training continues, and the next checkpoint tries again" in said[0]
    assert said[-1] == (
        f"the copy in s3://bucket/run is not complete: it has all up to step 1; {run} has all 2 "
        "steps"
    )
    assert load_checkpoint(run / "last.ckpt")["step"] == 2


def test_a_store_that_cannot_be_written_to_is_known_before_training(
    tmp_path: Path, s3: Any
) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}"]
    with pytest.raises(
        InputError, match=r"cannot write s3://bukcet/run/mirror\.json: no such buck"
    ):
        runs.train(tmp_path, *options, "mirror_to=s3://bukcet/run")
    assert not s3.exists("bukcet")
    assert not (tmp_path / "run").exists()


def test_a_run_is_written_to_a_folder(tmp_path: Path, s3: Any) -> None:
    with pytest.raises(InputError, match="expected a folder of this machine to write to, found a"):
        batch(write_clip(tmp_path / "a.mp4"), "s3://bucket/out")  # type: ignore[arg-type]
    assert not s3.exists("bucket/out")
