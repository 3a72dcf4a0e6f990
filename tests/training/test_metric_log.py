"""Programs that show what a run measures."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posekit.errors import InputError
from posekit.training.metric_log import MetricLog
from tests.training import runs
from tests.training.runs import losses


def cut_once(folder: Path, *more: str) -> Path:
    """A run of 6 steps that is stopped after the fourth and resumed from the third."""
    options = [*runs.workshop(folder), f"out_dir={folder / 'run'}", "checkpoint_every=3", *more]
    with runs.interrupted_after("step 4/6"), pytest.raises(KeyboardInterrupt):
        runs.train(folder, *options)
    return runs.train(folder, *options, "resume=true")


def test_tensorboard_gets_each_step_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    # Files of one process and second are told by its counter, and read by name: 10 before 9.
    writing = "tensorboard.summary.writer.event_file_writer"
    counter = importlib.import_module(writing).AtomicCounter(0)
    monkeypatch.setattr(f"{writing}._global_uid", counter)
    run = cut_once(tmp_path)
    board = loading.EventAccumulator(str(run))
    board.Reload()
    shown = board.Scalars("train/loss")
    assert [event.step for event in shown] == [1, 2, 3, 4, 5, 6]
    assert [event.value for event in shown] == pytest.approx(losses(run))


@pytest.mark.slow  # importing it takes seconds
def test_mlflow_gets_a_run_that_resumes_as_one(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    options = ["log_with=[mlflow]", f"dataset.val={tmp_path / 'data' / 'discs.json'}"]
    first = cut_once(tmp_path, *options, "val_every=1")
    # The next run of a process is another one, in its own folder.
    options += [*runs.workshop(tmp_path / "other"), "epochs=1", "lr=1e-4"]
    second = runs.train(tmp_path, *options, f"out_dir={tmp_path / 'second'}")
    for run, validated in ((first, [2, 4, 6]), (second, [2])):
        client = mlflow.MlflowClient((run / "mlruns").resolve().as_uri())
        (experiment,) = client.search_experiments(filter_string="name = 'posekit'")
        (found,) = client.search_runs([experiment.experiment_id])
        history = client.get_metric_history(found.info.run_id, "train/loss")
        assert {m.step: m.value for m in history} == dict(enumerate(losses(run), 1))
        assert found.data.params["optimizer"] == "adamw"
        assert found.data.params["lr"] == ("0.0005" if run is first else "0.0001")
        assert not list(run.glob("events.*"))
        # It takes fewer signs in names than the tables.
        history = client.get_metric_history(found.info.run_id, "val/AP_M")
        assert [m.step for m in history] == validated
    assert not mlflow.is_tracking_uri_set()


@pytest.mark.slow  # importing it takes seconds
def test_trackio_gets_a_run_that_resumes_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    trackio = pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    run = cut_once(tmp_path, "log_with=[tensorboard,trackio]")
    (found,) = trackio.Api().runs("posekit")
    values = SQLiteStorage.get_metric_values("posekit", found.name, "train/loss")
    shown = {row["step"]: row["value"] for row in values}
    assert shown == dict(enumerate(losses(run), 1))
    assert list(run.glob("events.*"))


@pytest.mark.slow  # importing it takes seconds
def test_wandb_writes_offline_without_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wandb = pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    caplog.set_level(logging.INFO, "posekit")
    run = cut_once(tmp_path, "log_with=wandb")
    assert "not logged in, so it writes to" in caplog.text
    wandb.teardown()  # its process writes the last lines after the run's end
    parts = sorted((run / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(parts) == 2
    shown, ids = {}, set()
    for part in parts:
        for record in wandb_records(part):
            values = {
                item.key or "/".join(item.nested_key): json.loads(item.value_json)
                for item in record.history.item
            }
            if "train/loss" in values:
                shown[record.history.step.num] = values["train/loss"]
            if record.HasField("run"):
                ids.add((record.run.run_id, record.run.display_name, record.run.project))
    assert shown == dict(enumerate(losses(run), 1))
    assert len(ids) == 1 and next(iter(ids))[1:] == ("run", "posekit")


def wandb_records(path: Path) -> Iterator[Any]:
    """What is in a file of W&B, whose own reader is a program that uploads it."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, part = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:  # of a block
            place += left
            continue
        _, size, kind = struct.unpack_from("<IHB", data, place)
        part += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or its end
            yield Record.FromString(part)
            part = b""


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("log_with=wandbb", "log_with must be among tensorboard, .* did you mean wandb"),
        ("log_with=[tensorboard,7]", "log_with must be among .* found '7'"),
        ("log_with=7", "log_with must be a text or a list, or left out, found 7"),
    ],
)
def test_another_program_is_named(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        runs.train(tmp_path, *runs.workshop(tmp_path), override, "dry_run=true")


def test_a_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "wandb" else real(name)
    )
    with pytest.raises(InputError, match="log_with=wandb needs the package wandb: pip install"):
        runs.train(tmp_path, *runs.workshop(tmp_path), "log_with=wandb", "dry_run=true")


def test_tables_may_be_all(tmp_path: Path) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}", "log_with=null", "epochs=1"]
    run = runs.train(tmp_path, *options)
    assert len(losses(run)) == 2
    assert not list(run.glob("events.*"))


def test_a_program_that_fails_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with MetricLog(tmp_path, step=0) as log:
        tracker: Any = log._trackers["tensorboard"]
        tracker.writer.close()
        tracker.writer = None  # anything that is no error of the disk
        log.add("train", 1, {"loss": 0.5})
        log.add("train", 2, {"loss": 0.25})
    assert (tmp_path / "train.csv").read_text() == "step,loss\n1,0.5\n2,0.25\n"
    (message,) = caplog.messages
    assert message.startswith("tensorboard gets no more measurements: ")


@pytest.mark.slow  # importing it takes seconds
def test_a_server_that_goes_away_stops_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mlflow = pytest.importorskip("mlflow")
    options = [*runs.workshop(tmp_path), "epochs=1", "log_with=mlflow"]
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{runs.free_port()}")
    with pytest.raises(
        InputError, match=r"log_with=mlflow: it cannot be started: .*http://127\.0\.0\.1"
    ):
        runs.train(tmp_path, *options, f"out_dir={tmp_path / 'run'}")
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"  # who sets it knows better
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "20"
    assert not (tmp_path / "run").exists()  # the same command is taken, once the server is there
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    lost = runs._At("step 1/2", lambda: shutil.rmtree(tmp_path / "run" / "mlruns"))
    logger = logging.getLogger("posekit.training")
    logger.addHandler(lost)
    try:
        with caplog.at_level(logging.INFO):
            run = runs.train(tmp_path, *options, f"out_dir={tmp_path / 'run'}")
    finally:
        logger.removeHandler(lost)
    assert any(text.startswith("mlflow gets no more measurements: ") for text in caplog.messages)
    assert len(losses(run)) == 2
    assert mlflow.active_run() is None
