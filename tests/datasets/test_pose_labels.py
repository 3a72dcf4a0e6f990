"""Several sources as one set: keypoints by name or by a mapping, boxes of a detector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posekit.datasets.augment import PoseAugment
from posekit.datasets.pose_samples import PoseDataset
from posekit.datasets.source_skeletons import dataset_skeleton
from posekit.datasets.sources import parse_dataset, parse_sources
from posekit.errors import InputError
from posekit.skeleton import load_skeleton
from tests.datasets.pose_sets import SIZE, skeleton_of
from tests.datasets.sets import NAMES, coco, save


def test_sets_are_mixed_by_keypoint_names(tmp_path: Path) -> None:
    other = coco()
    other["categories"][0]["keypoints"] = ["R_Hip", "Nose", "L_Eye", "eye_r", "tail"]
    sources = parse_sources([save(tmp_path / "a", coco()), save(tmp_path / "b", other)])
    dataset = PoseDataset(sources, skeleton_of(sources[0].annotations), input_size=SIZE)
    sample = dataset[4]
    assert len(dataset) == 8
    assert sample["source"] == 1
    raw = np.array(other["annotations"][0]["keypoints"], np.float32).reshape(-1, 3)[:, :2]
    assert sample["image_visible"].tolist() == [1, 1, 1, 0, 1]  # no left hip
    np.testing.assert_array_equal(sample["image_keypoints"][[0, 1, 2, 4]], raw[[1, 2, 3, 0]])


def test_a_written_mapping_averages_keypoints(tmp_path: Path) -> None:
    data = coco(2)
    data["annotations"][1]["keypoints"][11] = 0  # left hip is not labelled
    source = {
        "annotations": save(tmp_path, data),
        "mapping": {"hip": ["left_hip", "right_hip"], "nose": 0, "left_eye": None},
    }
    halpe26 = load_skeleton("halpe26")
    dataset = PoseDataset(parse_sources(source), halpe26, input_size=SIZE)
    hip, nose = halpe26.names.index("hip"), halpe26.names.index("nose")
    raw = np.array(data["annotations"][0]["keypoints"], np.float32).reshape(-1, 3)[:, :2]
    np.testing.assert_allclose(dataset[0]["image_keypoints"][hip], (raw[3] + raw[4]) / 2)
    np.testing.assert_allclose(dataset[0]["image_keypoints"][nose], raw[0])
    named = [halpe26.names[k] for k in np.flatnonzero(dataset[0]["image_visible"])]
    assert named == ["nose", "right_eye", "left_hip", "right_hip", "hip"]
    assert dataset[1]["image_visible"][hip] == 0  # half of it is unknown


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"noze": "nose"}, "has no 'noze'; did you mean nose"),
        ({"nose": "noze"}, "has no keypoint 'noze'; did you mean nose"),
        ({"nose": 5}, "has no keypoint 5"),
    ],
)
def test_a_wrong_mapping_is_an_error(tmp_path: Path, mapping: Any, message: str) -> None:
    source = parse_sources({"annotations": save(tmp_path, coco()), "mapping": mapping})
    with pytest.raises(InputError, match=message):
        PoseDataset(source, load_skeleton("coco"), input_size=SIZE)


def test_sets_without_a_common_keypoint_are_an_error(tmp_path: Path) -> None:
    source = parse_sources(save(tmp_path, coco()))
    with pytest.raises(InputError, match="no keypoint has a name of the skeleton 'cofw'"):
        PoseDataset(source, load_skeleton("cofw"), input_size=SIZE)


def test_a_skeleton_is_read_from_the_categories(tmp_path: Path) -> None:
    skeleton = skeleton_of(save(tmp_path, coco()))
    assert list(skeleton.names) == NAMES
    assert skeleton.flip_indices == (0, 2, 1, 4, 3)
    assert skeleton.links == ((0, 1), (0, 2), (1, 3), (2, 4))


def test_a_skeleton_of_the_users_own_yaml_names_the_keypoints(tmp_path: Path) -> None:
    (tmp_path / "keypoints").mkdir()
    yaml = tmp_path / "keypoints" / "mine.yaml"
    rows = "\n".join(f"  - [{name}, [0, 0, 0]]" for name in "abcde")
    yaml.write_text(f"keypoints:\n{rows}\nflip_pairs: [[b, c]]\n")
    config = {"skeleton": str(yaml), "train": save(tmp_path / "set", coco())}
    skeleton = dataset_skeleton(parse_dataset(config))
    assert skeleton.names == tuple("abcde")
    assert skeleton.flip_indices == (0, 2, 1, 3, 4)


def test_repeats_multiply_and_fractions_take_turns(tmp_path: Path) -> None:
    a, b = save(tmp_path / "a", coco(4)), save(tmp_path / "b", coco(4))
    sources = parse_sources([{"annotations": a, "repeat": 2}, {"annotations": b, "repeat": 0.5}])
    dataset = PoseDataset(sources, skeleton_of(a), input_size=SIZE)
    assert len(dataset) == 10
    ids = [dataset[0, i]["annotation_id"] for i in range(8)]
    assert sorted(ids) == [100, 100, 101, 101, 102, 102, 103, 103]
    turns = {int(dataset[epoch, 8 + i]["annotation_id"]) for epoch in range(2) for i in range(2)}
    assert turns == {100, 101, 102, 103}


def test_detected_boxes_replace_the_labelled_ones(tmp_path: Path) -> None:
    path = save(tmp_path, coco(2))
    found = [
        {"image_id": 11, "category_id": 1, "bbox": [10, 20, 30, 40], "score": 0.9},
        {"image_id": 10, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.1},
        {"image_id": 10, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.9},
    ]
    boxes = tmp_path / "detections.json"
    boxes.write_text(json.dumps(found))
    source = {"annotations": path, "boxes": str(boxes), "box_threshold": 0.5}
    dataset = PoseDataset(parse_sources(source), skeleton_of(path), input_size=SIZE)
    assert len(dataset) == 1
    assert dataset[0]["bbox"].tolist() == [10, 20, 40, 60]
    assert dataset[0]["image_id"] == 11
    assert dataset[0]["bbox_score"] == np.float32(0.9)
    with pytest.raises(InputError, match="for evaluation only"):
        PoseDataset(
            parse_sources(source), skeleton_of(path), input_size=SIZE, augment=PoseAugment()
        )


def test_published_sets_are_read(shared: Path) -> None:
    folder = shared / "annotations"
    five = ["keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"]
    expected = {
        "coco": ("test_coco.json", None, 12),
        "coco_wholebody": ("test_coco_wholebody.json", five, 12),
        "ap10k": ("test_ap10k.json", None, 1),
        "cofw": ("test_cofw.json", None, 1),
        "onehand10k": ("test_onehand10k.json", None, 1),
    }
    for name, (file, fields, count) in expected.items():
        source = {"annotations": str(folder / file), "fields": fields, "skip_bad": True}
        if name != "ap10k":  # whose own names are matched instead
            source["skeleton"] = name
        dataset = PoseDataset(parse_sources(source), load_skeleton(name), input_size=SIZE)
        assert len(dataset) == count
        for i in range(count):
            assert dataset[i]["visible"].any()
    wholebody = parse_sources(
        {
            "annotations": str(folder / "test_coco_wholebody.json"),
            "skeleton": "coco_wholebody",
            "fields": five,
        }
    )
    sample = PoseDataset(wholebody, load_skeleton("coco_wholebody"), input_size=SIZE)[0]
    assert sample["image_keypoints"].shape == (133, 2)
    assert sample["image_keypoints"][17].tolist() == [439, 378]  # the first of foot_kpts
    np.testing.assert_allclose(sample["image_keypoints"][23], [355.823, 75.36], rtol=1e-6)


def test_halpe_gives_its_first_26_keypoints(tmp_path: Path) -> None:
    data = coco(1)
    points = np.stack([np.arange(136) + 50, np.full(136, 99), np.full(136, 2)], axis=1)
    data["annotations"][0]["keypoints"] = points.ravel().tolist()
    data["categories"][0]["keypoints"] = []
    source = {"annotations": save(tmp_path, data), "skeleton": "halpe"}
    halpe26 = PoseDataset(parse_sources(source), load_skeleton("halpe26"), input_size=SIZE)
    np.testing.assert_array_equal(halpe26[0]["image_keypoints"], points[:26, :2])
    halpe = PoseDataset(parse_sources(source), load_skeleton("halpe"), input_size=SIZE)
    np.testing.assert_array_equal(halpe[0]["image_keypoints"], points[:, :2])


def test_published_detections_are_read(shared: Path) -> None:
    folder = shared / "annotations"
    source = {
        "annotations": str(folder / "test_coco.json"),
        "boxes": str(folder / "test_coco_det_AP_H_56.json"),
    }
    dataset = PoseDataset(parse_sources(source), load_skeleton("coco"), input_size=SIZE)
    first = json.loads((folder / "test_coco_det_AP_H_56.json").read_text())[0]
    x, y, w, h = first["bbox"]
    assert len(dataset) == 118
    np.testing.assert_allclose(dataset[0]["bbox"], [x, y, x + w, y + h], rtol=1e-6)
