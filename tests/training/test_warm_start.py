"""What training starts from: rows of the last layer, by the names of keypoints."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from posekit.compose import compose_command
from posekit.skeleton import load_skeleton
from posekit.training.tasks import make_task
from posekit.training.warm_start import initial_network, origin_line
from tests.conftest import ROOT
from tests.datasets import sets
from tests.training import runs
from tests.training.runs import losses, weights


def test_other_keypoints_replace_the_last_layer_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rtmpose_t: Path
) -> None:
    options = [
        *runs.workshop(tmp_path)[1:],
        "model=rtmpose-t_body8-256x192",
        f"weights={rtmpose_t}",
        *("epochs=1", "lr=1e-30", "ema=null", f"out_dir={tmp_path / 'run'}"),
    ]
    with caplog.at_level(logging.WARNING):
        run = runs.train(tmp_path, *options)
    fresh = "head.final_layer.bias, head.final_layer.weight"
    kept = ", ".join(sets.NAMES)
    assert f"{fresh}: unchanged for {kept}" in caplog.text
    assert "uses each image as one box" not in caplog.text  # discs of people: the detector stays
    original = load_file(rtmpose_t)
    for key, value in weights(run).items():
        if key in fresh:
            assert torch.equal(value, original[key][[0, 1, 2, 11, 12]])
        elif "running" not in key and "tracked" not in key:
            torch.testing.assert_close(value, original[key], rtol=0, atol=1e-20)


def spelled_labels(folder: Path, names: list[str]) -> str:
    """The same labels under other names; one file name, which gives the skeleton its own."""
    data = sets.coco(4)
    data["categories"][0]["keypoints"] = names
    return sets.save(folder, data, "labels.json")


@pytest.mark.parametrize(
    "spelled",
    [
        ["Nose", "Left Eye", "Right Eye", "Left Hip", "Right Hip"],
        ["nose", "l_eye", "eyeR", "LHip", "right-hip"],
    ],
)
def test_spelling_does_not_change_what_training_starts_from(
    tmp_path: Path, spelled: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    base = ["model=rtmpose-n_drawn-192x128", "epochs=1", "batch_size=4", "num_workers=0"]
    base += ["lr=1e-12", "device=cpu", "log_every=1"]
    found = []
    for kind, names in (("exact", sets.NAMES), ("spelled", spelled)):
        labels = spelled_labels(tmp_path / kind, names)
        options = [*base, f"dataset.train={labels}", f"dataset.val={labels}"]
        (tmp_path / kind / "conf").mkdir()
        run = runs.train(tmp_path / kind, *options, f"out_dir={tmp_path / kind / 'run'}")
        found.append((losses(run), weights(run), (run / "export" / "metrics.json").read_text()))
    (exact_loss, exact, exact_metrics), (loss, state, metrics) = found
    assert loss == pytest.approx(exact_loss, rel=1e-5)
    assert metrics == exact_metrics
    for key in ("head.final_layer.weight", "head.final_layer.bias"):
        torch.testing.assert_close(state[key], exact[key], rtol=0, atol=1e-6)
    assert caplog.text.count("(5 of 5 keypoints keep what the model knows)") == 2


def task_of_names(folder: Path, names: Sequence[str], *overrides: str) -> tuple[Any, Any]:
    """Config and task of the packaged model on labels of seventeen keypoints."""
    data = sets.coco(1)
    data["categories"][0] |= {"keypoints": list(names), "skeleton": []}
    data["annotations"][0]["keypoints"] = [100.0, 100.0, 2] * len(names)
    labels = sets.save(folder / "data", data, "labels.json")
    options = ["model=rtmpose-n_drawn-192x128", f"dataset.train={labels}", *overrides]
    config = compose_command("train", options)
    return config, make_task(config)


def own_file(folder: Path) -> tuple[Path, torch.Tensor]:
    """The packaged weights, of which nothing tells the keypoints; and their last layer's rows."""
    state = load_file(ROOT / "posekit" / "packaged" / "rtmpose-n_drawn-192x128.safetensors")
    torch.save(state, folder / "own.pth")
    return folder / "own.pth", state["head.final_layer.weight"].float()


@pytest.mark.parametrize("spell", [str, lambda name: name.replace("_", " ").title()])
def test_rows_of_a_file_go_by_the_models_names(
    tmp_path: Path, spell: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    known = load_skeleton("coco").names
    order = [*range(9, 17), *range(9)]
    path, rows = own_file(tmp_path)
    for names, expected, kept in (
        ([known[i] for i in order], rows[order], 17),
        (
            [known[i] for i in order[:16]] + ["tail"],
            torch.stack([*rows[order[:16]], rows.mean(0)]),
            16,
        ),
    ):
        config, task = task_of_names(tmp_path, [spell(n) for n in names], f"weights={path}")
        found = initial_network(task, config, say=True).state_dict()["head.final_layer.weight"]
        # The mean is that of the file's half precision.
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)
        assert f"({kept} of 17 keypoints keep what the model knows)" in caplog.text
    assert "in the labels' order" not in caplog.text


def test_a_file_for_keypoints_that_the_model_does_not_know_is_taken_in_order_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, rows = own_file(tmp_path)
    config, task = task_of_names(tmp_path, [f"p{i}" for i in range(17)], f"weights={path}")
    found = initial_network(task, config, say=True).state_dict()["head.final_layer.weight"]
    assert torch.equal(found, rows)
    assert "own.pth does not say which keypoints it is for" in caplog.text
    assert "taken to be in the labels' order (p0, p1, p2, ...)" in caplog.text


def test_exported_weights_name_their_keypoints(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """So that a file of five, for a model of seventeen, is read by name."""
    options = runs.workshop(tmp_path)
    run = runs.train(tmp_path, *options, "epochs=1", f"out_dir={tmp_path / 'run'}")
    order = [4, 2, 0, 1, 3]
    data = sets.coco(2)
    data["categories"][0]["keypoints"] = [sets.NAMES[i] for i in order]
    labels = sets.save(tmp_path / "again", data, "labels.json")
    file = run / "export" / "model.safetensors"
    options += [f"dataset.train={labels}", f"weights={file}"]
    config = compose_command("train", options, config_dir=tmp_path / "conf")
    found = initial_network(make_task(config), config, say=True).state_dict()
    key = "head.final_layer.weight"
    assert torch.equal(found[key], weights(run)[key][order])
    assert "(5 of 5 keypoints keep what the model knows)" in caplog.text


def test_what_is_known_by_name_is_said_in_a_line() -> None:
    known = ["nose", "left_eye", "right_eye"]
    names = ["Nose", "Left Eye", "l-eye", "tail"]
    assert origin_line(["head.bias"], ["Nose"], names, known) == (
        "head.bias: unchanged for Nose; the mean of all for Left Eye, l-eye, tail "
        "(1 of 4 keypoints keep what the model knows); ambiguous, so taken as unknown: "
        "Left Eye, l-eye"
    )
    assert origin_line([], [], ["Nose"], ["nose"]) == (
        "weights: 1 of 1 keypoints keep what the model knows"
    )
    assert origin_line(["head.bias"], [], [], []) == (
        "head.bias: each starts as the mean of those that the weights know"
    )
