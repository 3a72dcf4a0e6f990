"""MMPose's ways to say what keypoints are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from posekit.errors import InputError
from posekit.metainfo import dataset_meta, known_skeleton, parse_pose_metainfo
from posekit.skeleton import load_skeleton, skeleton_names

# As a program has it that brings keypoints of its own.
INFO: dict[str, Any] = {
    "dataset_name": "stick",
    "keypoint_info": {
        0: {"name": "top", "id": 0, "color": [1, 2, 3], "type": "upper", "swap": ""},
        1: {"name": "left", "id": 1, "color": [4, 5, 6], "type": "lower", "swap": "right"},
        2: {"name": "right", "id": 2, "type": "lower", "swap": "left"},
    },
    "skeleton_info": {
        0: {"link": ("top", "left"), "id": 0, "color": [7, 8, 9]},
        1: {"link": ("top", "right"), "id": 1},
    },
    "joint_weights": [1.0, 1.2, 1.5],
    "sigmas": [0.025, 0.1, 0.1],
}


def assert_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for key, value in expected.items():
        np.testing.assert_equal(found[key], value, err_msg=key)
        assert type(found[key]) is type(value)


@pytest.mark.parametrize(
    "metainfo",
    [
        "coco",
        "configs/_base_/datasets/coco.py",
        {"from_file": "configs/_base_/datasets/coco.py"},
        dataset_meta(load_skeleton("coco")),
    ],
)
def test_every_way_to_say_coco(metainfo: Any) -> None:
    assert_equal(parse_pose_metainfo(metainfo), dataset_meta(load_skeleton("coco")))


def test_a_dataset_info_is_parsed() -> None:
    assert_equal(
        parse_pose_metainfo(INFO),
        {
            "dataset_name": "stick",
            "num_keypoints": 3,
            "keypoint_id2name": {0: "top", 1: "left", 2: "right"},
            "keypoint_name2id": {"top": 0, "left": 1, "right": 2},
            "upper_body_ids": [0],
            "lower_body_ids": [1, 2],
            "flip_indices": [0, 2, 1],
            "flip_pairs": [(2, 1), (1, 2)],
            "keypoint_colors": np.array([[1, 2, 3], [4, 5, 6], [255, 128, 0]], np.uint8),
            "num_skeleton_links": 2,
            "skeleton_links": [(0, 1), (0, 2)],
            "skeleton_link_colors": np.array([[7, 8, 9], [96, 96, 255]], np.uint8),
            "dataset_keypoint_weights": np.array([1, 1.2, 1.5], np.float32),
            "sigmas": np.array([0.025, 0.1, 0.1], np.float32),
        },
    )


@pytest.mark.parametrize("name", skeleton_names())
def test_a_meta_leads_back_to_its_skeleton(name: str) -> None:
    skeleton = load_skeleton(name)
    assert known_skeleton(dataset_meta(skeleton)) == skeleton


def test_a_meta_of_other_keypoints_has_no_skeleton() -> None:
    meta = dataset_meta(load_skeleton("coco"))
    assert known_skeleton({**meta, "dataset_name": "mine"}) is None
    assert known_skeleton({**meta, "keypoint_id2name": {0: "nose"}}) is None
    assert known_skeleton({"dataset_name": "coco"}) is None


@pytest.mark.parametrize(
    ("metainfo", "message"),
    [
        ("coca", "did you mean coco"),
        (5, "a skeleton's name or a dict, found int"),
        ({}, "must have keypoint_id2name"),
        ({"a": 1}, r"must have keypoint_id2name.*found the keys \['a'\]"),
        ({"keypoint_info": {0: {"id": 0}}}, "not a dataset_info: KeyError"),
        ({"keypoint_info": [1]}, "not a dataset_info"),
        ({**INFO, "sigmas": [0.1]}, "sigmas: expected 3 entries, found 1"),
        ({**INFO, "skeleton_info": {0: {"link": ("top", "tail")}}}, "not a dataset_info"),
    ],
)
def test_what_is_no_metainfo(metainfo: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_pose_metainfo(metainfo)
