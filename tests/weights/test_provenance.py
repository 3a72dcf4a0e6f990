"""Weights that were trained for other keypoints than the configuration has."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

import posekit
from posekit.build import build_network
from posekit.skeleton import load_skeleton
from posekit.spec import load_spec
from posekit.weights.hub import resolve_weights
from posekit.weights.load import load_initial_weights
from tests.networks import reference_state

DATA = Path(__file__).parent.parent / "data"
NAME = "rtmpose-t_body8-256x192"
POSE = DATA / "pose2d" / "rtmpose-t_8xb256-420e_body8-256x192"
DETECTOR = DATA / "detector" / "rtmdet_nano_320-8xb32_coco-person"
COCO = load_skeleton("coco")
Meta = dict[str, Any]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))


def saved(tmp_path: Path, meta: Meta, folder: Path = POSE) -> Path:
    path = tmp_path / "a.pth"
    torch.save({"meta": meta, "state_dict": reference_state(folder)}, path)
    return path


def swapped(names: tuple[str, ...], i: int, j: int) -> list[str]:
    changed = list(names)
    changed[i], changed[j] = changed[j], changed[i]
    return changed


def dataset_meta(names: Any = COCO.names, flips: Any = COCO.flip_indices) -> Meta:
    """As mmengine saves it."""
    meta = {"keypoint_id2name": dict(enumerate(names)), "flip_indices": list(flips)}
    return {"dataset_meta": {"dataset_name": "coco", **meta}}


def warnings_of(path: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    posekit.load(NAME, weights=path, detector="whole_image", device="cpu")
    return [r.getMessage() for r in caplog.records if "were trained for other" in r.getMessage()]


SAME: dict[str, Meta] = {
    "as saved": dataset_meta(),
    "spelt otherwise": dataset_meta([n.replace("_", " ").title() for n in COCO.names]),
    "an ordered dict": {"dataset_meta": collections.OrderedDict(dataset_meta()["dataset_meta"])},
    "rows": {
        "dataset_meta": {
            "keypoint_info": {i: {"name": n, "id": i, "swap": ""} for i, n in enumerate(COCO.names)}
        }
    },
    "none": {"epoch": 3},
    "of another kind": {"dataset_meta": "coco"},
    "unclear": {"dataset_meta": {"keypoint_id2name": {0: 5}, "flip_indices": "abc"}},
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_keypoints_say_nothing(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert warnings_of(saved(tmp_path, SAME[name]), caplog) == []


PAIRS = [
    [COCO.names[i], COCO.names[j]] for i, j in enumerate(COCO.flip_indices) if i < j and i != 5
]
OTHER: dict[str, tuple[Meta, str]] = {
    "another order": (
        dataset_meta(swapped(COCO.names, 5, 6)),
        "keypoint 5 is 'right_shoulder' for the weights, 'left_shoulder' here (2 of 17 differ)",
    ),
    "other names": (
        dataset_meta(load_skeleton("ap10k").names),
        "keypoint 0 is 'L_Eye' for the weights, 'nose' here (17 of 17 differ)",
    ),
    "another number": (
        dataset_meta(load_skeleton("halpe26").names, ()),
        "the weights have the names of 26, the configuration of 17",
    ),
    "flip indices": (
        dataset_meta(flips=range(17)),
        "in a mirrored image 'left_eye' is 'left_eye' for the weights, 'right_eye' in the",
    ),
    "flip pairs": (
        {"dataset_meta": {"keypoint_names": list(COCO.names), "flip_pairs": PAIRS}},
        "in a mirrored image 'left_shoulder' is 'left_shoulder' for the weights, 'right_should",
    ),
}


@pytest.mark.parametrize("name", OTHER)
def test_a_difference_is_named_each_time(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    meta, message = OTHER[name]
    path = saved(tmp_path, meta)
    for _ in range(2):  # the second time the conversion comes from the cache
        (found,) = warnings_of(path, caplog)
        assert message in found
        assert "set `keypoints` of the model's YAML" in found


def test_create_model_says_so_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = saved(tmp_path, OTHER["another order"][0])
    posekit.create_model(NAME, weights=path)
    assert "keypoint 5 is 'right_shoulder'" in caplog.text


def test_names_cannot_act_on_the_terminal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ["\x1b[2J\nnose" * 50, *COCO.names[1:]]
    (found,) = warnings_of(saved(tmp_path, dataset_meta(names)), caplog)
    assert found.isprintable() and len(found) < 600


def test_a_detectors_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for classes, count in ((("person",), 0), ("person", 0), (("cat",), 1)):
        path = saved(tmp_path, {"CLASSES": classes}, DETECTOR)
        caplog.clear()
        posekit.create_model("rtmdet-nano_person-320", weights=path)
        assert caplog.text.count("class 0 is 'cat' for the weights, 'person' here") == count


def test_training_takes_the_rows_by_the_files_names(tmp_path: Path) -> None:
    path = resolve_weights(NAME, saved(tmp_path, dataset_meta(swapped(COCO.names, 5, 6))))
    config = load_spec(NAME).net
    net = build_network(config, device="cpu")
    fresh, kept = load_initial_weights(
        net, config, path, names=COCO.names, names_in_file=COCO.names
    )
    assert sorted(kept) == sorted(COCO.names)
    key = "head.final_layer.weight"
    assert key in fresh
    with safe_open(path, framework="pt") as file:
        stored = file.get_tensor(key)
    assert torch.equal(
        net.state_dict()[key], stored[torch.tensor([*range(5), 6, 5, *range(7, 17)])]
    )
