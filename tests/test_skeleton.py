"""Every packaged skeleton loads and equals the reference; a wrong file says what is wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.audit_skeletons import OWN, TABLE, differences, skeleton_values
from posekit.errors import InputError
from posekit.skeleton import Skeleton, load_skeleton, read_skeleton, skeleton_names

OFFICIAL = json.loads(TABLE.read_text(encoding="utf-8"))
# Not among the reference's files, which hold what it made of the other descriptions.
NOT_MEASURED = (
    "ak", "coco_aic", "deepfashion2", "deepfashion_full", "deepfashion_lower", "deepfashion_upper",
    "exlpose", "fly", "freihand2d", "locust", "zebra",
)  # fmt: skip

GOOD = """\
colors: {blue: [51, 153, 255]}
keypoints:
  - [nose, blue, 0.026]
  - [left_eye, [0, 255, 0], 0.025]
  - [right_eye, blue, 0.025]
flip_pairs: [[left_eye, right_eye]]
links: [[nose, left_eye, blue], [nose, right_eye, [1, 2, 3]]]
upper_body: [nose, left_eye]
lower_body: [right_eye]
"""


def write(folder: Path, text: str, name: str = "mine") -> Path:
    (folder / "keypoints").mkdir(exist_ok=True)
    path = folder / "keypoints" / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def valid() -> Skeleton:
    return Skeleton(
        name="mine",
        names=("nose", "left_eye", "right_eye"),
        flip_indices=(0, 2, 1),
        links=((0, 1),),
        link_colors=((1, 2, 3),),
        keypoint_colors=((0, 0, 0),) * 3,
        sigmas=(0.1,) * 3,
    )


def test_there_are_skeletons() -> None:
    assert {"coco", "coco_wholebody", "halpe26", "ap10k", "h36m"} <= set(skeleton_names())


@pytest.mark.parametrize("name", skeleton_names())
def test_a_packaged_skeleton_loads(name: str) -> None:
    skeleton = load_skeleton(name)
    assert skeleton.name == name
    assert skeleton.num_keypoints == len(skeleton.names) > 0


def metainfo_values(info: dict[str, Any]) -> dict[str, Any]:
    """What the reference itself makes of an official description."""
    return {
        "names": list(info["keypoint_id2name"].values()),
        "flip_indices": info["flip_indices"],
        "keypoint_colors": info["keypoint_colors"],
        "links": info["skeleton_links"],
        "link_colors": info["skeleton_link_colors"],
        "sigmas": pytest.approx(info["sigmas"], rel=1e-6),
        "upper_body_ids": info["upper_body_ids"],
        "lower_body_ids": info["lower_body_ids"],
    }


@pytest.mark.parametrize("name", [name for name in OFFICIAL if name not in NOT_MEASURED])
def test_a_packaged_skeleton_equals_the_reference(shared: Path, name: str) -> None:
    path = shared / "reference" / "metainfo" / f"{name}.json"
    expected = metainfo_values(json.loads(path.read_text(encoding="utf-8")))
    found = skeleton_values(load_skeleton(name))
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_packaged_skeleton_is_as_its_data_set_is_described_officially(name: str) -> None:
    assert differences(name, OFFICIAL[name], skeleton_values(load_skeleton(name))) == []


def test_every_packaged_skeleton_has_an_official_description() -> None:
    assert {*OFFICIAL, *OWN} == set(skeleton_names())


def test_every_reference_skeleton_is_packaged(shared: Path) -> None:
    expected = {path.stem for path in (shared / "reference" / "metainfo").glob("*.json")}
    assert expected <= set(skeleton_names())


def test_one_file_adds_a_skeleton(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert load_skeleton("mine", [tmp_path]) == Skeleton(
        name="mine",
        names=("nose", "left_eye", "right_eye"),
        flip_indices=(0, 2, 1),
        links=((0, 1), (0, 2)),
        link_colors=((51, 153, 255), (1, 2, 3)),
        keypoint_colors=((51, 153, 255), (0, 255, 0), (51, 153, 255)),
        sigmas=(0.026, 0.025, 0.025),
        upper_body_ids=(0, 1),
        lower_body_ids=(2,),
    )
    assert "mine" in skeleton_names([tmp_path])


def test_only_keypoints_are_required(tmp_path: Path) -> None:
    write(tmp_path, "keypoints: [[tip, [0, 0, 0]], [base, [0, 0, 0]]]")
    skeleton = load_skeleton("mine", [tmp_path])
    assert skeleton.flip_indices == (0, 1)
    assert not (skeleton.links or skeleton.sigmas or skeleton.upper_body_ids)


def test_a_folder_given_comes_before_the_packaged_one(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "coco")
    assert load_skeleton("coco", [tmp_path]).num_keypoints == 3
    assert load_skeleton("coco").num_keypoints == 17


def test_loading_again_gives_the_same_object() -> None:
    assert load_skeleton("coco") is load_skeleton("coco")


def test_an_edited_file_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    load_skeleton("mine", [tmp_path])
    path.write_text("keypoints: [[tip, [0, 0, 0]]]", encoding="utf-8")
    os.utime(path, ns=(1, 1))
    assert load_skeleton("mine", [tmp_path]).num_keypoints == 1


def test_a_skeleton_names_the_one_that_openpose_draws() -> None:
    openpose = load_skeleton("coco").openpose
    assert openpose is not None
    assert openpose.name == "coco_openpose"
    assert openpose.openpose is None


@pytest.mark.parametrize("name", ["cocco", "COCO", "coco_openpos"])
def test_an_unknown_name_gets_the_nearest(name: str) -> None:
    with pytest.raises(InputError, match=f"unknown skeleton '{name}'; did you mean .*coco"):
        load_skeleton(name)


@pytest.mark.parametrize("name", ["../keypoints/coco", "", "zzzzz", None])
def test_what_is_not_a_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"unknown skeleton|expected the name of a skeleton"):
        load_skeleton(name)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("flip_pairs:", "flip_pair:", "unknown key 'flip_pair'; did you mean 'flip_pairs'"),
        ("keypoints:", "points:", "expected a mapping with the key 'keypoints'"),
        ("[nose, blue, 0.026]", "[nose]", r"keypoints\[0\]: expected \[name, colour, sigma\]"),
        ("[nose, blue, 0.026]", "[nose, blue]", r"keypoints\[1\]: expected a sigma in every row"),
        ("[nose, blue, 0.026]", "[nose, pink, 0.026]", r"keypoints\[0\]: expected a colour.*blue"),
        ("[nose, blue, 0.026]", "[nose, blue, x]", r"keypoints\[0\]: expected a number"),
        ("[nose, blue, 0.026]", "[nose, blue, -1]", r"sigmas\[0\]: expected a positive"),
        ("[nose, blue, 0.026]", "[no, blue, 0.026]", r"keypoints\[0\]: .*put it in quotes"),
        ("[left_eye, [0,", "[nose, [0,", r"keypoints\[1\]: 'nose' is already keypoints\[0\]"),
        ("[0, 255, 0]", "[0, 256, 0]", r"keypoints\[1\]: expected a colour"),
        ("{blue: [51, 153, 255]}", "{blue: sea}", r"colors\.blue: expected a colour"),
        ("{blue: [51, 153, 255]}", "[blue]", "colors: expected a mapping"),
        ("[[left_eye, right_eye]]", "[[left_eye]]", r"flip_pairs\[0\]: expected \[left, right\]"),
        ("[[left_eye, right_eye]]", "[[nose, nose]]", r"flip_pairs\[0\]: expected each keypoint"),
        ("[[left_eye, right_eye]]", "left_eye", "flip_pairs: expected a list"),
        ("[nose, left_eye, blue]", "[nose, left_eyes, blue]", r"links\[0\].*did you mean left_eye"),
        ("[nose, left_eye, blue]", "[nose, left_eye]", r"links\[0\]: expected \[from, to, colour"),
        ("[nose, left_eye]\n", "[nose, chin]\n", "upper_body: no keypoint is called 'chin'"),
        ("lower_body:", "openpose: coc\nlower_body:", "openpose: unknown skeleton 'coc'"),
        ("lower_body:", "openpose: mine\nlower_body:", "cannot name another one"),
        ("colors: {", "colors: {{", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert GOOD.count(old) == 1
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(InputError, match=message) as error:
        load_skeleton("mine", [tmp_path])
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"names": ("nose", "nose", "chin")},
            "names: expected each name once",
        ),
        ({"names": ()}, "names: expected at least one"),
        ({"flip_indices": (0, 1)}, "flip_indices: expected 3 entries, found 2"),
        ({"flip_indices": (1, 2, 0)}, "flip_indices.*undo themselves"),
        ({"flip_indices": (0, 2, 3)}, r"flip_indices: expected indices 0\.\.2, found 3"),
        ({"links": ((0, -1),)}, "links: expected indices"),
        ({"link_colors": ()}, "link_colors: expected 1 entries, found 0"),
        ({"keypoint_colors": ((0, 0, 0),)}, "keypoint_colors: expected 3 entries"),
        ({"link_colors": ((0, 0, 300),)}, r"link_colors\[0\]: expected three integers"),
        ({"sigmas": (0.1,)}, "sigmas: expected 3 entries"),
        ({"sigmas": (0.1, 0.1, float("nan"))}, r"sigmas\[2\]: expected a positive"),
        ({"upper_body_ids": (7,)}, "upper_body_ids: expected indices"),
    ],
)
def test_contradicting_fields_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"skeleton 'mine', {message}"):
        dataclasses.replace(valid(), **changes)


def test_loading_imports_nothing_heavy() -> None:
    code = (
        "import sys; from posekit.skeleton import load_skeleton; load_skeleton('coco'); "
        "print([m for m in ('torch', 'cv2', 'hydra', 'omegaconf', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_yaml_of_any_folder_is_a_skeleton(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    with pytest.raises(InputError, match=r"no such file: .*mine\.yaml"):
        read_skeleton(path)
    path.write_text("keypoint: []\n")
    with pytest.raises(InputError, match=r"mine\.yaml: expected a mapping with the key"):
        read_skeleton(path)
    path.write_text("colors: {red: [255, 0, 0]}\nkeypoints: [[tip, red]]\n")
    found = read_skeleton(path)
    assert (found.name, found.names) == ("mine", ("tip",))
