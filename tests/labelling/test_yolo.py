"""Ultralytics' data sets of poses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import posekit
from posekit.errors import InputError
from tests.labelling.truth import NAMES, PEOPLE, SIZE, check, draw, read

CONFIG = """path: .
train: images/train
val: images/val
kpt_shape: [5, 3]
flip_idx: [0, 2, 1, 4, 3]
names: {0: person}
kpt_names: {0: [nose, left_hand, right_hand, left_foot, right_foot]}
"""


def line(person: object, width: int = 3) -> str:
    w, h = SIZE
    x, y, bw, bh = person.box  # type: ignore[attr-defined]
    words = [0, (x + bw / 2) / w, (y + bh / 2) / h, bw / w, bh / h]
    for px, py, v in person.points:  # type: ignore[attr-defined]
        words += [px / w, py / h, v][:width]
    return " ".join(f"{word:.8f}" if isinstance(word, float) else str(word) for word in words)


def data_set(folder: Path, config: str = CONFIG, width: int = 3) -> Path:
    draw(folder / "images" / "train", ("a.png", "empty.png"))
    draw(folder / "images" / "val", ("b.png",))
    for split, name in (("train", "a"), ("val", "b")):
        labels = folder / "labels" / split
        labels.mkdir(parents=True)
        lines = [line(p, width) for p in PEOPLE if p.image == f"{name}.png"]
        (labels / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (folder / "data.yaml").write_text(config)
    return folder


def test_each_split_has_a_file(tmp_path: Path) -> None:
    folder = data_set(tmp_path / "set")
    found = posekit.labels(folder / "data.yaml", out=tmp_path / "out" / "coco.json")
    assert {split: path.name for split, path in found.files.items()} == {
        "train": "coco_train.json",
        "val": "coco_val.json",
    }
    content = check(found.files["train"], people=PEOPLE[:2])
    check(found.files["val"], people=PEOPLE[2:])
    assert content["categories"][0]["flip_pairs"] == [
        ["left_hand", "right_hand"],
        ["left_foot", "right_foot"],
    ]
    assert found.counts["train"] == {
        "images": 2, "without labels": 1, "people": 2, "seen": 8, "hidden": 1, "absent": 1,
    }  # fmt: skip
    assert found.sheet is not None and found.sheet.is_file()


def test_a_split_by_itself_and_the_folder_for_its_yaml(tmp_path: Path) -> None:
    folder = data_set(tmp_path / "set")
    found = posekit.labels(folder, out=tmp_path / "val.json", split="val")
    check(tmp_path / "val.json", people=PEOPLE[2:])
    assert list(found.files) == ["val"]
    with pytest.raises(InputError, match="there is no 'test'; there are train, val"):
        posekit.labels(folder, out=tmp_path / "val.json", split="test")


@pytest.mark.parametrize("suffix", [".avif", ".heif", ".jp2"])
def test_no_picture_that_ultralytics_takes_is_overlooked(tmp_path: Path, suffix: str) -> None:
    folder = data_set(tmp_path / "set")
    picture = folder / "images" / "val" / "b.png"
    picture.rename(picture.with_suffix(suffix))  # it is read by its content
    posekit.labels(folder, out=tmp_path / "val.json", split="val")
    check(tmp_path / "val.json", people=PEOPLE[2:])


def test_a_list_of_pictures_and_a_set_that_was_moved(tmp_path: Path) -> None:
    config = CONFIG.replace("path: .", "path: /nowhere/set").replace("images/train", "../train.txt")
    folder = data_set(tmp_path / "set", config.replace("val: images/val\n", ""))
    (folder / "train.txt").write_text("./images/train/a.png\nimages/val/b.png\n\n")
    posekit.labels(folder / "data.yaml", out=tmp_path / "coco.json")
    check(tmp_path / "coco.json")
    (folder / "train.txt").write_text("images/train/a.png\nimages/c.png\n")
    with pytest.raises(InputError, match=r"train.txt, line 2: no such image: images/c.png"):
        posekit.labels(folder / "data.yaml", out=tmp_path / "coco.json")


def test_without_visibilities_zeros_are_no_label(tmp_path: Path) -> None:
    folder = data_set(tmp_path / "set", CONFIG.replace("[5, 3]", "[5, 2]"), width=2)
    found = posekit.labels(folder, out=tmp_path / "coco.json")
    check(found.files["train"], people=PEOPLE[:2], hidden=False)


def test_keypoints_without_names_are_numbered_or_named_by_the_user(tmp_path: Path) -> None:
    folder = data_set(tmp_path / "set", CONFIG.rpartition("kpt_names")[0])
    found = posekit.labels(folder, out=tmp_path / "coco.json", split="train")
    category = read(tmp_path / "coco.json")["categories"][0]
    assert category["keypoints"][:2] == ["keypoint_0", "keypoint_1"]
    assert category["flip_pairs"][0] == ["keypoint_1", "keypoint_2"]
    assert any("it does not name its keypoints" in note for note in found.notes)
    posekit.labels(folder, out=tmp_path / "coco.json", split="train", keypoints=list(NAMES))
    check(tmp_path / "coco.json", people=PEOPLE[:2])
    with pytest.raises(InputError, match="kpt_shape says 5 keypoints, keypoints= has 17 names"):
        posekit.labels(folder, out=tmp_path / "coco.json", keypoints="coco")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("[5, 3]", "[5, 4]", r"expected kpt_shape \[1 to 10000, 2 or 3\], found \[5, 4\]"),
        ("[5, 3]", f"[{10**9}, 3]", r"expected kpt_shape \[1 to 10000, 2 or 3\], found \[10000"),
        ("names: {0: person}", f"nc: {10**400}", "expected nc up to 10000, found 1000"),
        ("{0: person}", "{'²': person}", "expected names, such as"),
        ("kpt_shape: [5, 3]", "", "these are boxes or outlines without keypoints"),
        ("[0, 2, 1, 4, 3]", "[0, 2, 1, 4]", r"expected flip_idx to have 0\.\.4 once each"),
        ("[0, 2, 1, 4, 3]", "[1, 2, 0, 4, 3]", "flip_idx does not undo itself: 0 -> 1 -> 2"),
        ("train: images/train", "train: images/tarin", "train: no such folder or list"),
        ("{0: person}", "{a: person}", "expected names, such as"),
        ("right_foot]}", "left_foot]}", "expected 5 different names in kpt_names"),
        ("path: .", "path: !!python/object:os.system x", "line 1"),
    ],
)
def test_a_wrong_yaml_is_one_line(tmp_path: Path, old: str, new: str, what: str) -> None:
    assert old in CONFIG
    folder = data_set(tmp_path / "set", CONFIG.replace(old, new))
    with pytest.raises(InputError, match=what) as error:
        posekit.labels(folder / "data.yaml", out=tmp_path / "coco.json")
    assert "\n" not in str(error.value) and "data.yaml" in str(error.value)
    assert not list(tmp_path.glob("coco*"))


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        ("0 0.5 0.5 0.1 0.1 0.5 0.5", "lines of another length than 20"),
        ("0 nose 0.5 0.1 0.1" + 5 * " 0.5 0.5 2", "lines with something else than numbers"),
        ("3 0.5 0.5 0.1 0.1" + 5 * " 0.5 0.5 2", "classes that data.yaml does not name"),
        ("0 100 80 20 20" + 5 * " 100 80 2", "beyond 0..1: expected fractions of the picture"),
        ("0 0.5 0.5 0 0.1" + 5 * " 0.5 0.5 2", "boxes without area"),
        ("0 nan 0.5 0.1 0.1" + 5 * " 0.5 0.5 2", "beyond 0..1"),
    ],
)
def test_a_broken_line_is_named_and_can_be_left_out(tmp_path: Path, broken: str, what: str) -> None:
    folder = data_set(tmp_path / "set")
    path = folder / "labels" / "train" / "a.txt"
    path.write_text(path.read_text() + broken + "\n")
    with pytest.raises(InputError, match=what) as error:
        posekit.labels(folder, out=tmp_path / "coco.json")
    assert f"{path}, line 3" in str(error.value) and "skip_bad=true" in str(error.value)
    found = posekit.labels(folder, out=tmp_path / "coco.json", skip_bad=True)
    check(found.files["train"], people=PEOPLE[:2])
    assert any(what in note and "line 3" in note for note in found.notes)


def test_a_line_that_stands_twice_counts_once(tmp_path: Path) -> None:
    folder = data_set(tmp_path / "set")
    path = folder / "labels" / "train" / "a.txt"
    path.write_text(path.read_text() + path.read_text().splitlines()[0])
    found = posekit.labels(folder, out=tmp_path / "coco.json")
    check(found.files["train"], people=PEOPLE[:2])
    assert any("duplicate lines" in note for note in found.notes)


def test_a_picture_that_is_damaged_is_named(tmp_path: Path) -> None:
    folder = data_set(tmp_path / "set")
    (folder / "images" / "train" / "empty.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"images that are not readable: .*empty.png"):
        posekit.labels(folder, out=tmp_path / "coco.json")


def test_a_set_without_labels_says_so(tmp_path: Path) -> None:
    folder = data_set(tmp_path / "set")
    shutil.rmtree(folder / "labels")
    with pytest.raises(InputError, match="nothing to write"):
        posekit.labels(folder, out=tmp_path / "coco.json")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_what_is_no_path_is_one_line(tmp_path: Path, name: str) -> None:
    written = name.replace("\0", "\\0")
    folder = data_set(tmp_path / "set", CONFIG.replace("images/train", f'"{written}"'))
    with pytest.raises(InputError, match=r"data.yaml: train: no such folder or list"):
        posekit.labels(folder / "data.yaml", out=tmp_path / "coco.json")


@pytest.mark.parametrize(
    ("flips", "pairs", "note"),
    [
        ("[0, 1, 2, 3, 4]", None, "no mirror pairs, but names tell sides (left_hand, right_hand)"),
        ("[0, 2, 1, 3, 4]", 1, "mirrors left_foot to left_foot, its name says right_foot: using"),
        ("[0, 2, 1, 4, 3]", 2, ""),
    ],
)
def test_mirror_images_that_names_contradict_are_noted(
    tmp_path: Path, flips: str, pairs: int | None, note: str
) -> None:
    folder = data_set(tmp_path / "set", CONFIG.replace("[0, 2, 1, 4, 3]", flips))
    found = posekit.labels(folder, out=tmp_path / "coco.json", split="train")
    written = read(tmp_path / "coco.json")["categories"][0].get("flip_pairs")
    assert (None if written is None else len(written)) == pairs
    assert [note in one for one in found.notes] == ([True] if note else [])
