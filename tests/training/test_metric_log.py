"""Programs that show what a run measures."""

from __future__ import annotations

import importlib.util
import logging
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


def test_tensorboard_gets_each_step_once(tmp_path: Path) -> None:
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = cut_once(tmp_path)
    board = loading.EventAccumulator(str(run))
    board.Reload()
    shown = board.Scalars("train/loss")
    assert [event.step for event in shown] == [1, 2, 3, 4, 5, 6]
    assert [event.value for event in shown] == pytest.approx(losses(run))


@pytest.mark.slow  # importing it takes seconds
def test_mlflow_gets_a_run_that_resumes_as_one(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    run = cut_once(tmp_path, "log_with=[mlflow]")
    client = mlflow.MlflowClient((run / "mlruns").resolve().as_uri())
    (experiment,) = client.search_experiments(filter_string="name = 'posekit'")
    (found,) = client.search_runs([experiment.experiment_id])
    shown = {m.step: m.value for m in client.get_metric_history(found.info.run_id, "train/loss")}
    assert shown == dict(enumerate(losses(run), 1))
    assert found.data.params["optimizer"] == "adamw"
    assert not list(run.glob("events.*"))


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
    pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    caplog.set_level(logging.INFO, "posekit")
    run = cut_once(tmp_path, "log_with=wandb")
    assert "not logged in, so it writes to" in caplog.text
    names = {path.name.rpartition("-")[2] for path in (run / "wandb").glob("offline-run-*")}
    assert len(names) == 1  # both parts under the same id


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
