"""`posekit train` and `push` as a user has them: other processes, in another folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from posekit.cli import main
from posekit.compose import compose_command
from posekit.errors import InputError
from tests.hub_server import HubServer
from tests.publishing import conftest
from tests.test_cli import posekit
from tests.training import runs

TRAINED = "tiny_discs-32x32"
hub = conftest.server


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with conf/, data/ and the run in runs/."""
    folder = tmp_path_factory.mktemp("train")
    options = [*runs.workshop(folder, 4), "epochs=1"]
    done = posekit("train", "--config-dir", "conf", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"the trained model is runs/{TRAINED}/export" in done.stdout
    return folder


def test_what_was_trained_predicts(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    words = [f"model=runs/{TRAINED}", "inputs=data/0.png", "out_dir=out", "device=cpu"]
    assert main(["predict", *words]) == 0
    assert "1 instances in 1 images" in capsys.readouterr().out
    found = json.loads((trained / "out" / "predictions" / "0.json").read_text())
    assert len(found[0]["keypoints"]) == 5


def test_the_folder_of_a_run_is_complete(trained: Path) -> None:
    run = trained / "runs" / TRAINED
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["dataset"]["train"] == str(trained / "data" / "discs.json")
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert {name for name in names if "tfevents" not in name} == {
        "config.yaml",
        "export/README.md",
        "export/about.json",
        "export/keypoints/discs.yaml",
        "export/metrics.json",
        f"export/model/{TRAINED}.yaml",
        "export/model.safetensors",
        "last.ckpt",
        "run.json",
        "train.csv",
    }


def test_evaluation_gives_what_training_measured(tmp_path: Path) -> None:
    labels = f"dataset.val={tmp_path / 'data' / 'discs.json'}"
    options = [*runs.workshop(tmp_path), labels, "epochs=40", "augment=none", "lr=5e-3"]
    run = runs.train(tmp_path, *options, f"out_dir={tmp_path / 'run'}")
    measured = json.loads((run / "export" / "metrics.json").read_text())
    assert measured["AP"] > 0
    options = [f"model={run}", "dataset=custom", labels, f"out={tmp_path / 'out.json'}"]
    assert main(["evaluate", *options, "device=cpu"]) == 0
    again = json.loads((tmp_path / "out.json").read_text())["metrics"]
    assert again == pytest.approx(measured, abs=1e-3, nan_ok=True)


def test_a_second_training_starts_from_the_first(trained: Path, tmp_path: Path) -> None:
    labels = trained / "data" / "discs.json"
    config = compose_command(
        "train", [f"model={trained / 'runs' / TRAINED}", f"dataset.train={labels}"]
    )
    assert config["weights"] == str(trained / "runs" / TRAINED / "export" / "model.safetensors")
    assert config["model"]["net"]["num_keypoints"] == 5
    fresh = compose_command(
        "train",
        [f"model={trained / 'runs' / TRAINED}", f"dataset.train={labels}", "weights=null"],
    )
    assert fresh["weights"] is None


def test_labels_may_be_called_like_a_published_set(tmp_path: Path) -> None:
    runs.workshop(tmp_path, 4)
    labels = (tmp_path / "data" / "discs.json").rename(tmp_path / "data" / "wflw.json")
    options = [*runs.OPTIONS, f"dataset.train={labels}", "epochs=1", f"out_dir={tmp_path / 'run'}"]
    run = runs.train(tmp_path, *options)
    assert main(["evaluate", f"model={run}", "dataset=custom", f"dataset.val={labels}"]) == 0


def test_an_experiment_of_a_fork_chooses_everything(tmp_path: Path) -> None:
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    experiment = {
        "defaults": [
            {"override /model": "vitpose-s_coco-256x192"},
            {"override /augment": "rtmpose"},
        ],
        "dataset": {"train": "my.json"},
        "lr": 0.25,
    }
    text = "# @package _global_\n" + yaml.safe_dump(experiment, sort_keys=False)
    (folder / "my_fork.yaml").write_text(text)
    config = compose_command("train", ["+experiment=my_fork"], config_dir=tmp_path / "conf")
    assert config["names"]["model"] == "vitpose-s_coco-256x192"
    assert (config["lr"], config["layer_decay"]) == (0.25, 0.8)  # its own, and the recipe's
    assert config["augment"]["dropout"] == 1.0
    assert config["dataset"]["train"] == "my.json"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+experiment=my_frok"], "unknown experiment 'my_frok'; known are"),
        (["dataset.skeleton=???"], "dataset.skeleton is missing: add dataset.skeleton=... to the"),
        (["dataset.train=a.json", "epoch=3"], "unknown key 'epoch'; did you mean"),
        (["dataset.train=a.json", "detector=human"], "detector does not apply to training"),
        (["dataset.train=a.json", "model=yolox-s_coco-640"], "cannot be trained"),
        (["dataset.train=a.json", "model=runs"], "holds no trained model"),
    ],
)
def test_a_mistake_on_the_command_line_is_explained(
    overrides: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        compose_command("train", overrides)


def test_the_configuration_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--cfg", "model=hrnet-w32_coco-256x192"]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["optimizer"] == "adam"
    assert config["augment"]["_target_"] == "posekit.datasets.augment.PoseAugment"


@pytest.mark.parametrize("model", ["rtmpose-t_coco-256x192", "motionbert_h36m"])
def test_nothing_to_train_on_is_one_line(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", f"model={model}"]) == 1
    assert "dataset.train is missing" in capsys.readouterr().err


def test_a_file_that_is_missing_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "dataset.train=my(1),é.json", "weights=null"]) == 1
    error = capsys.readouterr().err
    assert "my(1),é.json" in error
    assert "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_trained_model_is_pushed_whole(trained: Path) -> None:
    server = HubServer()
    with server.running():
        done = posekit(
            *("push", f"runs/{TRAINED}", "org/discs"),
            cwd=trained,
            HF_ENDPOINT=server.url,
            HF_TOKEN=server.token,
            HF_HUB_OFFLINE="0",
            HF_HUB_DISABLE_XET="1",
        )
    assert done.returncode == 0, done.stderr
    export = trained / "runs" / TRAINED / "export"
    uploaded = server.repositories["org/discs", "main"]
    files = {str(path.relative_to(export)) for path in export.rglob("*") if path.is_file()}
    assert set(uploaded) == files | {"skeleton.png"}
    about = json.loads((export / "about.json").read_text())
    assert about["training data"] == "discs.json, 4 samples"  # and no folders of this machine
    for name in files - {"README.md"}:
        digest = uploaded[name]
        assert server.files[f"/storage/{digest}"].content == (export / name).read_bytes()


def test_a_token_that_may_not_write_is_explained(
    trained: Path,
    hub: HubServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert main(["push", str(trained / "runs" / TRAINED), "org/discs"]) == 1
    error = capsys.readouterr().err
    assert "cannot upload to org/discs" in error
    assert "hf auth login" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "org/name"), "no such folder: nowhere"),
        ((".", "name"), "expected organisation/name, found 'name'"),
        ((".", "org/name"), "holds no trained model"),
    ],
)
def test_what_cannot_be_pushed_is_explained(
    arguments: tuple[str, str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["push", *arguments]) == 1
    assert message in capsys.readouterr().err
