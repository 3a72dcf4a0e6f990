"""Training as a function."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import posekit
from posekit.config import CONF_DIR
from posekit.errors import InputError, UnknownModelError
from posekit.training.options import SequenceOptions, TrainOptions
from tests.datasets import sets
from tests.training import runs
from tests.training.test_loop import assert_same_state

KEYWORDS: dict[str, Any] = {
    "weights": None,
    "device": "cpu",
    "num_workers": 0,
    "batch_size": 4,
    "lr_batch_size": None,
    "epochs": 3,
    "log_every": 1,
}


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    runs.workshop(tmp_path)
    return tmp_path


def train(folder: Path, **keywords: Any) -> posekit.TrainResult:
    said = {
        "train": folder / "data" / "discs.json",
        "config_dir": folder / "conf",
        "out_dir": folder / "run",
    }
    with runs.one_thread():
        return posekit.train("tiny_discs-32x32", **{**KEYWORDS, **said, **keywords})


def test_a_function_trains_as_the_command(workshop: Path) -> None:
    data = workshop / "data" / "discs.json"
    options = [f"dataset.train={data}", f"dataset.val={data}", f"out_dir={workshop / 'command'}"]
    command = runs.train(workshop, *runs.OPTIONS, *options)
    result = train(workshop, val=str(data), out_dir=workshop / "function")
    assert (result.folder, result.dry_run) == (workshop / "function", False)
    assert_same_state(runs.weights(result.folder), runs.weights(command))
    assert result.metrics == json.loads((command / "export" / "metrics.json").read_text())
    assert result.metrics is not None and "AP" in result.metrics
    configs = [
        yaml.safe_load((folder / "config.yaml").read_text()) for folder in (command, result.folder)
    ]
    del configs[0]["out_dir"], configs[1]["out_dir"]
    assert configs[0] == configs[1]


def test_the_export_loads(workshop: Path) -> None:
    result = train(workshop, epochs=1)
    assert result.metrics is None  # nothing to measure on
    predictor = posekit.load(result.export, device="cpu")
    assert predictor.estimator.skeleton.num_keypoints == 5


def test_a_dry_run_leaves_nothing(workshop: Path) -> None:
    result = train(workshop, dry_run=True)
    assert (result.dry_run, result.metrics) == (True, None)
    assert not result.folder.exists()


def test_what_is_not_named_is_the_recipes(workshop: Path) -> None:
    train(workshop, epochs=1, train_net={"drop_path_rate": 0.25}, betas=(0.8, 0.9))
    config = yaml.safe_load((workshop / "run" / "config.yaml").read_text())
    assert (config["layer_decay"], config["clip_grad"]) == (0.8, 1.0)  # of ViTPose's
    assert config["train_net"] == {"drop_path_rate": 0.25}
    assert config["betas"] == [0.8, 0.9]


def test_a_default_that_is_named_wins_over_the_recipe(workshop: Path) -> None:
    train(workshop, epochs=1, layer_decay=None)
    config = yaml.safe_load((workshop / "run" / "config.yaml").read_text())
    assert config["layer_decay"] is None


def test_recipes_experiments_and_overrides_are_chosen_by_name(workshop: Path) -> None:
    (workshop / "conf" / "experiment").mkdir()
    experiment = {"defaults": [{"override /model": "tiny_discs-32x32"}], "lr": 0.25, "decay": 0.1}
    text = "# @package _global_\n" + yaml.safe_dump(experiment, sort_keys=False)
    (workshop / "conf" / "experiment" / "mine.yaml").write_text(text)
    posekit.train(
        None,
        experiment="mine",
        recipe="heatmap",
        config_dir=workshop / "conf",
        train={"annotations": "discs.json", "skip_bad": True},
        root=workshop / "data",
        out_dir=workshop / "run",
        overrides=["augment.rotation=7"],
        decay=0.2,
        **{**KEYWORDS, "epochs": 1},
    )
    config = yaml.safe_load((workshop / "run" / "config.yaml").read_text())
    assert (config["lr"], config["decay"], config["optimizer"]) == (0.25, 0.2, "adam")
    assert config["augment"]["rotation"] == 7
    assert config["dataset"]["root"] == str(workshop / "data")


def test_a_data_set_is_named_with_its_root(tmp_path: Path) -> None:
    labels = tmp_path / "annotations" / "person_keypoints_train2017.json"
    sets.save(labels.parent, sets.coco(2), labels.name)
    with pytest.raises(InputError, match="person_keypoints_val2017"):
        posekit.train(
            "rtmpose-t_coco-256x192", dataset="coco", root=tmp_path, weights=None, dry_run=True
        )


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, found 0"),
        ({"epoch": 3}, "unknown option 'epoch'; did you mean epochs"),
        ({"precision": "int8"}, "precision must be one of no, bf16, fp16"),
        ({"train": None}, "dataset.train is missing"),
        ({"window": 9}, "unknown key 'window'"),  # of lifters alone
        ({"config_dir": "/nowhere"}, "config_dir: no such folder: /nowhere"),
        ({"overrides": ["epoch=3"]}, "unknown key 'epoch'; did you mean epochs"),
        ({"overrides": [3]}, r"overrides must be a list such as"),
        ({"recipe": "cooking"}, "unknown recipe 'cooking'"),
        ({"experiment": "cooking"}, "unknown experiment 'cooking'"),
        ({"train": "nowhere.json"}, "nowhere.json"),
    ],
)
def test_a_mistake_is_one_line(workshop: Path, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        train(workshop, **keywords)
    assert "\n" not in str(error.value)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(UnknownModelError, match="did you mean"):
        posekit.train("rtmpose-mm", train="a.json")


def levels() -> dict[str, Any]:
    """All that the program may have set of its logging."""
    loggers = {"": logging.getLogger(), **logging.root.manager.loggerDict}
    return {
        name: (logger.level, logger.disabled, logger.propagate, list(logger.handlers))
        for name, logger in loggers.items()
        if isinstance(logger, logging.Logger)
    }


@pytest.fixture
def own_levels() -> Iterator[None]:
    names = ("posekit", "posekit.datasets.problems", "posekit.training.loop")
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield
    for name in names:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.mark.parametrize("rank", ["0", "1"])
def test_logging_is_left_as_it_was(
    workshop: Path, rank: str, own_levels: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(workshop, dry_run=True)  # all that is imported is there
    before = levels()
    monkeypatch.setenv("RANK", rank)
    train(workshop, dry_run=True)
    with pytest.raises(InputError):
        train(workshop, train=workshop / "nowhere.json")
    assert levels() == before


def test_the_keys_of_sequences_are_those_of_the_recipe() -> None:
    recipe = yaml.safe_load((CONF_DIR / "recipe" / "motionbert.yaml").read_text())
    for name, declared in SequenceOptions.declared().items():
        assert recipe[name] == declared.default


@pytest.mark.parametrize("path", sorted(CONF_DIR.glob("recipe/*.yaml")), ids=lambda path: path.stem)
def test_what_a_recipe_sets_is_an_option_in_its_range(path: Path) -> None:
    recipe = yaml.safe_load(path.read_text())
    del recipe["defaults"]
    # 4e-3 is a text where no point is in it, but not for Hydra.
    recipe["lr"] = float(recipe["lr"])
    assert set(recipe) <= set(TrainOptions.declared())
    TrainOptions(**recipe)


def test_the_signature_has_each_keyword() -> None:
    signature = inspect.signature(posekit.train)
    assert {"model", "train", "val", "epochs", "out_dir", "recipe"} <= set(signature.parameters)
    assert "epochs: number of epochs (at least 1). Default: 210." in (posekit.train.__doc__ or "")
