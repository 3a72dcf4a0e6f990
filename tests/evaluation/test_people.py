"""AP of a model that finds the people itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

import posekit
from posekit.build import build_network
from posekit.datasets.people_samples import PeopleDataset
from posekit.datasets.sources import parse_sources
from posekit.errors import InputError
from posekit.evaluation.people import FoundPeople, predict_people
from posekit.evaluation.pose_metrics import PoseMetrics
from posekit.skeleton import load_skeleton
from posekit.spec import OneStageSpec, load_spec
from posekit.stages.estimate import Poses
from posekit.stages.one_stage import OneStageEstimator, People
from tests.datasets import sets
from tests.datasets.pose_sets import skeleton_of
from tests.training.test_one_stage_task import MODEL


def labelled(path: str) -> PeopleDataset:
    return PeopleDataset(parse_sources(path), skeleton_of(path), input_size=(64, 64))


def metrics_of(data: PeopleDataset) -> PoseMetrics:
    coco = load_skeleton("coco")
    return PoseMetrics(data, coco, ("ap",), nms_threshold=None, keypoint_threshold=None)


def as_labelled(data: PeopleDataset, *, moved: float = 0.0, twice: bool = False) -> float:
    """AP of the labelled people, each found once; or a second time, a bit worse."""
    metrics = metrics_of(data)
    columns = [load_skeleton("coco").names.index(name) for name in sets.NAMES]
    labels = data.labels[0]
    for row, number in enumerate(labels.image_ids.tolist()):
        rows = np.flatnonzero(labels.image_rows == row)
        rows = np.repeat(rows, 2) if twice else rows
        keypoints = np.zeros((len(rows), 17, 2), np.float32)
        keypoints[:, columns] = labels.keypoints[rows] + moved
        scores = np.linspace(0.9, 0.5, len(rows), dtype=np.float32)
        poses = Poses(keypoints, np.ones((len(rows), 17), np.float32))
        FoundPeople(0, number, 1, People(labels.boxes_xyxy[rows], scores, poses)).add_to(metrics)
    return metrics.compute()["AP"]


def test_who_is_found_where_they_are_counts(tmp_path: Path) -> None:
    data = labelled(sets.save(tmp_path, sets.coco(3, per_image=2)))
    assert as_labelled(data) == pytest.approx(1.0)
    assert as_labelled(data, moved=500.0) == 0
    # Nobody takes doubles away: the model's own suppression is all there is.
    assert as_labelled(data, twice=True) < 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configurations with a small model, its weights, and labels with an image of nobody."""
    root = tmp_path_factory.mktemp("people")
    (root / "conf" / "model").mkdir(parents=True)
    (root / "conf" / "model" / "tiny-64x64.yaml").write_text(yaml.safe_dump(MODEL))
    torch.manual_seed(0)
    net = build_network(load_spec("tiny-64x64", [root / "conf"]).net, device="cpu")
    with torch.no_grad():
        for head in net.heads:
            head.class_pred.bias.fill_(2.0)
    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    save_file(state, root / "tiny.safetensors")
    content = sets.coco(3)
    content["images"].append({**content["images"][0], "id": 77, "file_name": "nobody.png"})
    content["images"][-1]["file_name"] = "nobody.png"
    sets.save(root / "data", content)
    return root


def measure(folder: Path, **options: Any) -> posekit.EvaluateResult:
    return posekit.evaluate(
        "tiny-64x64",
        weights=folder / "tiny.safetensors",
        config_dir=folder / "conf",
        val=str(folder / "data" / "set.json"),
        device="cpu",
        **options,
    )


def test_all_images_are_looked_at_and_all_people_kept(folder: Path) -> None:
    found = measure(folder, with_predictions=True)
    assert found.settings["images"] == 4 and found.settings["people"] == 3
    assert found.settings["OKS-NMS"] is None
    assert found.settings["rescoring by keypoints above"] is None
    assert found.settings["score"] == "above 0.1" and found.settings["NMS"] == 0.65
    assert 0 <= found.metrics["AP"] <= 1
    assert {row["image_id"] for row in found.predictions} == {10, 11, 12, 77}
    assert all(len(row["keypoints"]) == 3 * 5 for row in found.predictions)  # those of the labels
    fewer = measure(folder, with_predictions=True, bbox_thr=0.999, nms_thr=0.3)
    assert fewer.predictions == [] and fewer.settings["score"] == "above 0.999"
    published = measure(folder, oks_nms=0.1, rescore=0.2, with_predictions=True)
    assert published.settings["OKS-NMS"] == 0.1
    assert len(published.predictions) < len(found.predictions)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("detections", "boxes.json", "detections does not apply: tiny-64x64 finds the people"),
        ("flip_test", True, "flip_test does not apply: tiny-64x64 looks at whole images"),
        ("metrics", ["ap", "pck"], r"metrics: pck measures people in labelled boxes.*\[ap\]"),
        ("detector", "rtmdet-nano", "detector does not apply: tiny-64x64 finds"),
    ],
)
def test_what_has_no_effect_is_refused(
    folder: Path, option: str, value: object, message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        measure(folder, **{option: value})
    assert "\n" not in str(error.value)


def test_several_categories_are_refused(folder: Path, tmp_path: Path) -> None:
    content = sets.coco(2)
    content["categories"].append({**content["categories"][0], "id": 2, "name": "cat"})
    data = labelled(sets.save(tmp_path, content))
    spec = load_spec("tiny-64x64", [folder / "conf"])
    assert isinstance(spec, OneStageSpec)
    net = build_network(spec.net, device="cpu")
    estimator = OneStageEstimator(net, spec, load_skeleton("coco"))
    with pytest.raises(InputError, match=r"expected one category, .* found 2"):
        next(predict_people(estimator, data))
