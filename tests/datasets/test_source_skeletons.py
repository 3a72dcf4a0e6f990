"""What keypoints are called, and which of them mirror each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from posekit.datasets.pose_labels import read_pose_labels
from posekit.datasets.source_skeletons import dataset_skeleton
from posekit.datasets.sources import parse_dataset, parse_sources
from posekit.errors import InputError
from posekit.skeleton import Skeleton, load_skeleton
from tests.datasets.sets import coco, save

SKELETON = "keypoints:\n" + "".join(f"- [{name}, [0, 0, 0]]\n" for name in "abcde")


def skeleton_of(folder: Path, names: list[str]) -> Skeleton:
    data = coco(1)
    data["categories"][0] |= {"keypoints": names, "skeleton": []}
    return dataset_skeleton(parse_dataset(save(folder, data)))


@pytest.mark.parametrize(
    ("names", "mirrored"),
    [
        (["nose", "LShoulder", "RShoulder"], (0, 2, 1)),
        (["Nose", "LWrist", "RWrist", "LBigToe", "RBigToe"], (0, 2, 1, 4, 3)),
        (["lhip", "rhip", "leftear", "rightear"], (1, 0, 3, 2)),
        (["LHIP", "RHIP", "L_Eye", "eye_r"], (1, 0, 3, 2)),
        (["leg", "rib", "lip", "lhip", "righteye"], (0, 1, 2, 3, 4)),
        (["left_hip", "right_hip", "leg", "reg_2"], (1, 0, 2, 3)),
    ],
)
def test_sides_are_told_by_names(
    tmp_path: Path, names: list[str], mirrored: tuple[int, ...]
) -> None:
    assert skeleton_of(tmp_path, names).flip_indices == mirrored


def test_spellings_are_one_name(tmp_path: Path) -> None:
    data = coco(1)
    data["categories"][0]["keypoints"] = ["Nose", "leye", "reye", "LHip", "RHip"]
    labels, _ = read_pose_labels(parse_sources(save(tmp_path, data))[0], load_skeleton("coco"))
    names = [load_skeleton("coco").names[i] for i in labels.visible[0].nonzero()[0]]
    assert names == ["nose", "left_eye", "right_eye", "left_hip", "right_hip"]


def test_keypoints_without_names_are_those_of_the_data_sets_skeleton(tmp_path: Path) -> None:
    data = coco(1)
    del data["categories"][0]["keypoints"]
    (tmp_path / "mine.yaml").write_text(SKELETON)
    dataset = parse_dataset(
        {"train": save(tmp_path, data), "skeleton": str(tmp_path / "mine.yaml")}
    )
    labels, problems = read_pose_labels(dataset.train[0], dataset_skeleton(dataset))
    assert labels.visible.tolist() == [[1.0] * 5]
    assert [problem.fatal for problem in problems] == [False]
    assert "taken for those of 'mine'" in str(problems[0])
    _, problems = read_pose_labels(dataset.train[0], load_skeleton("coco"))
    assert any("wrong keypoint counts, expected 17" in str(problem) for problem in problems)


def test_a_skeleton_lies_in_any_folder_or_in_one_that_is_searched(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SKELETON)
    (tmp_path / "keypoints").mkdir()
    (tmp_path / "keypoints" / "other.yaml").write_text(SKELETON)
    direct = parse_dataset({"train": "a.json", "skeleton": str(tmp_path / "mine.yaml")})
    assert dataset_skeleton(direct).names == tuple("abcde")
    config = {"train": {"annotations": save(tmp_path, coco(1)), "skeleton": "other"}}
    assert dataset_skeleton(parse_dataset(config, [tmp_path])).name == "other"
    config = {"train": "a.json", "skeleton": "other"}
    assert dataset_skeleton(parse_dataset(config, [tmp_path])).name == "other"


def test_skip_bad_is_true_or_false() -> None:
    with pytest.raises(InputError, match=r"dataset.train.skip_bad must be true or false, .*'no'"):
        parse_sources({"annotations": "a.json", "skip_bad": "no"})
