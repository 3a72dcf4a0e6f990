"""`-m`: the command line as a user has it, with Hydra's own launchers."""

from __future__ import annotations

import csv
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from posekit.cli import main
from posekit.files import PACKAGED
from tests.conftest import ROOT
from tests.training import runs


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("sweep")
    words = runs.workshop(folder, 2)
    labels = next(word for word in words if word.startswith("dataset.train="))
    words += [labels.replace("train", "val", 1), "epochs=1", "val_every=1"]
    return folder, ["--config-dir", str(folder / "conf"), *words]


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "sweep.csv").open()))


def test_each_run_has_a_folder_and_a_row(
    workshop: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-m", *workshop[1], "lr=1e-3,1e-4", "seed=0,1", "out_dir=all"]) == 0
    found = rows(tmp_path / "all")
    assert [(row["lr"], row["seed"], row["status"]) for row in found] == [
        ("0.001", "0", "done"),
        ("0.001", "1", "done"),
        ("0.0001", "0", "done"),
        ("0.0001", "1", "done"),
    ]
    for row in found:
        folder = tmp_path / "all" / row["run"]
        config = yaml.safe_load((folder / "config.yaml").read_text())
        assert (config["lr"], config["seed"]) == (float(row["lr"]), int(row["seed"]))
        measured = json.loads((folder / "export" / "metrics.json").read_text())
        assert float(row["AP"]) == pytest.approx(measured["AP"], abs=1e-4)
    # Nothing beside the sweep's folder, and of Hydra only what says what was swept.
    assert [path.name for path in tmp_path.iterdir()] == ["all"]
    names = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert names == ["0", "1", "2", "3", "multirun.yaml", "sweep.csv"]


def test_a_sweep_that_was_interrupted_is_continued(
    workshop: tuple[Path, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    ctrl_c: None,
) -> None:
    words = ["train", "-m", *workshop[1], "seed=0,1", f"out_dir={tmp_path / 'all'}"]
    words += [f"mirror_to={(tmp_path / 'copy').as_uri()}"]

    class SecondRun(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("step 1/") and (tmp_path / "all" / "1").exists():
                signal.raise_signal(signal.SIGINT)

    log, handler = logging.getLogger("posekit"), SecondRun()
    caplog.set_level(logging.INFO, "posekit")
    log.addHandler(handler)
    try:
        assert main(words) == 130
    finally:
        log.removeHandler(handler)
    assert [row["status"] for row in rows(tmp_path / "all")] == ["done", "did not end"]
    capsys.readouterr()
    assert main(words) == 1  # and nothing of what was done is lost
    assert "already holds a sweep: continue it with resume=true" in capsys.readouterr().err
    assert [row["status"] for row in rows(tmp_path / "all")] == ["done", "did not end"]
    assert main([*words, "resume=true"]) == 0
    assert [row["status"] for row in rows(tmp_path / "all")] == ["done", "done"]
    for run in ("0", "1"):
        config = yaml.safe_load((tmp_path / "copy" / run / "config.yaml").read_text())
        assert str(config["seed"]) == run


def test_two_runs_of_joblib(
    workshop: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    # Of the commands the one that imports least, since each process imports all of it.
    words = ["model=demo", "device=cpu", "hydra/launcher=joblib", "kpt_thr=0.1,0.2"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    try:
        assert main(["predict", "-m", *workshop[1][:2], *words, "out_dir=all"]) == 0
    finally:  # its processes wait for more
        loky = pytest.importorskip("joblib.externals.loky")
        loky.get_reusable_executor().shutdown(wait=True)
    assert [(row["kpt_thr"], row["status"]) for row in rows(tmp_path / "all")] == [
        ("0.1", "done"),
        ("0.2", "done"),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["all"]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_launchers_of_other_processes(
    workshop: tuple[Path, list[str]], tmp_path: Path, launcher: str
) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher")
    seeds = ["3", "4", "5", "6"]
    words = [f"hydra/launcher={launcher}", f"seed={','.join(seeds)}", "out_dir=all"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "posekit", "train", "-m", *workshop[1], *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=900)
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "all")
    assert [(row["seed"], row["status"]) for row in found] == [(seed, "done") for seed in seeds]
    assert [path.name for path in tmp_path.iterdir()] == ["all"]
    folders = sorted(path.name for path in (tmp_path / "all").iterdir() if path.name.isdecimal())
    assert folders == [row["run"] for row in found]
    for row in found:
        measured = json.loads((tmp_path / "all" / row["run"] / "export/metrics.json").read_text())
        assert float(row["AP"]) == pytest.approx(measured["AP"], abs=1e-4)


@pytest.mark.slow
def test_a_job_that_is_queued_again_goes_on(
    workshop: tuple[Path, list[str]], tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    words = ["hydra/launcher=submitit_local", "epochs=200", "checkpoint_every=1", "out_dir=all"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "posekit", "train", "-m", *workshop[1], *words, "seed=3"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as run:
        waiting, folder = threading.Event(), tmp_path / "all" / "0"
        while not (folder / "last.ckpt").exists():
            assert run.poll() is None, run.communicate()
            waiting.wait(0.05)
        (logs,) = (tmp_path / "all" / ".submitit").glob("[0-9]*")
        (task,) = Path(f"/proc/{logs.name}/task/{logs.name}/children").read_text().split()
        os.kill(int(task), signal.SIGUSR2)  # as SLURM does before it takes a job's machine away
        _, errors = run.communicate(timeout=300)
    assert run.returncode == 0, errors
    assert json.loads((folder / "job.json").read_text())["status"] == "done"
    log = next(logs.glob("*_log.out")).read_text() + next(logs.glob("*_log.err")).read_text()
    assert "Requeued job" in log and "resuming at step" in log


def test_optuna_is_told_what_was_measured(workshop: tuple[Path, list[str]], tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    words = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "lr=interval(1e-4,1e-2)"]
    assert main(["train", "-m", *workshop[1], *words, f"out_dir={tmp_path / 'all'}"]) == 0
    best = yaml.safe_load((tmp_path / "all" / "optimization_results.yaml").read_text())
    found = rows(tmp_path / "all")
    assert best["best_value"] == pytest.approx(max(float(row["AP"]) for row in found), abs=1e-4)


def test_a_run_that_fails_does_not_end_a_search(
    workshop: tuple[Path, list[str]], tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    # Of these the first rate is below zero, the second above.
    words = ["lr=interval(-1e-3,1e-3)", "hydra.sweeper.sampler.seed=1", "hydra.sweeper.n_jobs=1"]
    words += ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", f"out_dir={tmp_path / 'all'}"]
    assert main(["train", "-m", *workshop[1], *words]) == 1
    found = rows(tmp_path / "all")
    assert [row["status"] for row in found] == ["failed", "done"]
    best = yaml.safe_load((tmp_path / "all" / "optimization_results.yaml").read_text())
    assert best["best_params"] == {"++lr": float(found[1]["lr"])}


def test_a_run_that_fails_stops_no_other(
    workshop: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = workshop[0] / "data" / "discs.json"
    words = ["dry_run=true", f"dataset.val={labels},nothing.json", f"out_dir={tmp_path / 'all'}"]
    words += ["hydra.sweep.subdir=val/${hydra.job.num}"]
    assert main(["train", "-m", *workshop[1], *words]) == 1
    found = [(row["run"], row["status"]) for row in rows(tmp_path / "all")]
    assert found == [("val/0", "done"), ("val/1", "failed")]
    # They left nothing that another sweep could take away.
    words[1] = f"dataset.val={labels}"
    assert main(["train", "-m", *workshop[1], *words]) == 0
    assert [row["run"] for row in rows(tmp_path / "all")] == ["val/0"]
    assert "nothing.json" in capsys.readouterr().err


def test_predictions_are_swept_and_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a b.jpg", "c:d.jpg"):  # signs that Hydra escapes
        shutil.copy(PACKAGED / "demo.jpg", name)
    words = ["model=demo", "inputs=a b.jpg,c:d.jpg", "device=cpu", "pred_out_dir=poses"]
    assert main(["predict", "-m", *words]) == 0
    (folder,) = tmp_path.glob("multirun/*/*")
    assert [row["inputs"] for row in rows(folder)] == ["a b.jpg", "c:d.jpg"]
    assert (folder / "1" / "poses" / "c:d.json").is_file()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["predict", "-m", "model=demo", "speed=fast,acurate"], "speed must be one of"),
        (["predict", "-m", "model=demo,nix"], "unknown model 'nix'"),
        (["predict", "-m", "model=demo", "out_dir=a,b"], "out_dir is set for each run"),
        (["predict", "-m", "model=demo", "hydra/launcher=joblb"], "no such plugin"),
        (["predict", "-m", "model=demo", "hydra.swep.dir=x"], "hydra.swep.dir"),
        (["predict", "-m", "model=demo", "hydra/sweeper=optuna"], "needs a metric"),
        (["train", "-m", "model=demo", "hydra/sweeper=optuna"], "dataset.val=FILE"),
        (["predict", "-m", "model=glob(*)"], "expected the values themselves"),
        (["evaluate", "-m", "model=demo", "dataset.val=x.json", "out=a.json"], "out is results"),
        (["predict", "model=demo", "hydra.sweep.dir=x"], "need -m"),
        (["predict", "model=demo", "--package", "model"], "need --cfg"),
    ],
)
def test_mistakes_are_found_before_anything_runs(
    words: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "optuna" in words[-1]:
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    monkeypatch.chdir(tmp_path)
    assert main(words) == 1
    error = capsys.readouterr().err.strip()
    assert expected in error
    assert error.count("\n") == 0
    assert not list(tmp_path.iterdir())


def test_cfg_shows_what_hydra_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "model=demo", "--cfg", "hydra", "-p", "hydra.sweep.subdir"]) == 0
    assert capsys.readouterr().out.strip() == "${hydra.job.num}"
    assert main(["predict", "--cfg", "model=demo", "-p", "model"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("# @package model")
    assert "input_size" in yaml.safe_load(shown)
    assert main(["predict", "--cfg", "model=demo", "-p", "nix"]) == 1
    assert "there is no 'nix'" in capsys.readouterr().err


def test_info_names_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--info", "defaults", "model=rtmpose-t_coco-256x192"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("\n| recipe/rtmpose ") == 1
    assert "model/rtmpose-t_coco-256x192" in shown


def test_a_configuration_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = {"defaults": ["train", {"override model": "rtmpose-s_coco-256x192"}, "_self_"], "lr": 7}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(own))
    where = ["--config-dir", str(tmp_path), "--config-name", "mine"]
    assert main(["train", "--cfg", *where]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["lr"], shown["names"]["model"]) == (7, "rtmpose-s_coco-256x192")
    assert main(["train", "--cfg", *where[:2], "--config-name", "other"]) == 1
    assert f"other.yaml: none in {tmp_path}" in capsys.readouterr().err
    assert main(["train", "--cfg", "--config-name", "mine.yaml"]) == 1
    assert "mine.yaml: name its folder, --config-dir" in capsys.readouterr().err
