"""DeepLabCut's tables, of one animal and of several."""

from __future__ import annotations

from pathlib import Path

import pytest

import posekit
from posekit.errors import InputError
from tests.labelling.test_cvat import write_clip
from tests.labelling.truth import NAMES, PEOPLE, check, draw, read

CONFIG = """Task: t
scorer: me
video_sets:
  walk.mp4:
    crop: 0, 200, 0, 160
bodyparts:
- nose
skeleton:
- - nose
  - left_hand
- - nose
  - tail
"""


def cells(point: tuple[float, float, int]) -> list[str]:
    return [str(point[0]), str(point[1])] if point[2] else ["", ""]


def several(separate: bool = False) -> str:
    """The table of a and b; two animals, of whom the second is on the first picture alone."""
    first = ["", "", ""] if separate else [""]
    pairs = [(animal, name) for animal in ("m1", "m2") for name in NAMES]
    lines = [
        ["scorer", *first[1:], *["me"] * 20],
        ["individuals", *first[1:], *[animal for animal, _ in pairs for _ in "xy"]],
        ["bodyparts", *first[1:], *[name for _, name in pairs for _ in "xy"]],
        ["coords", *first[1:], *["x", "y"] * 10],
    ]
    for name in ("a.png", "b.png"):
        people = [p for p in PEOPLE if p.image == name]
        row = [cell for p in people for point in p.points for cell in cells(point)]
        index = ["labeled-data", "walk", name] if separate else [f"labeled-data/walk/{name}"]
        lines.append([*index, *row, *[""] * (20 - len(row))])
    return "\n".join(",".join(line) for line in lines) + "\n"


def single() -> str:
    lines = [
        ["scorer", *["me"] * 10],
        ["bodyparts", *[name for name in NAMES for _ in "xy"]],
        ["coords", *["x", "y"] * 5],
        ["labeled-data/walk/b.png", *[c for point in PEOPLE[2].points for c in cells(point)]],
        ["labeled-data/walk/empty.png", *[""] * 10],
    ]
    return "\n".join(",".join(line) for line in lines) + "\n"


def project(folder: Path, text: str) -> Path:
    data = draw(folder / "labeled-data" / "walk")
    (folder / "config.yaml").write_text(CONFIG)
    (data / "CollectedData_me.csv").write_text(text)
    return data / "CollectedData_me.csv"


@pytest.mark.parametrize("separate", [False, True], ids=["paths", "columns"])
def test_several_animals(tmp_path: Path, separate: bool) -> None:
    path = project(tmp_path, several(separate))
    posekit.labels(path, out=tmp_path / "coco.json")
    content = check(tmp_path / "coco.json", hidden=False, boxes=False)
    assert [one["track_id"] for one in content["annotations"]] == [0, 1, 0]
    assert content["categories"][0]["skeleton"] == [[1, 2]]


def test_one_animal(tmp_path: Path) -> None:
    found = posekit.labels(project(tmp_path, single()), out=tmp_path / "coco.json")
    check(tmp_path / "coco.json", hidden=False, boxes=False, people=PEOPLE[2:])
    assert found.counts[""]["without labels"] == 1


@pytest.mark.parametrize("name", ["", "config.yaml"])
def test_a_project(tmp_path: Path, name: str) -> None:
    project(tmp_path / "p", several())
    posekit.labels(tmp_path / "p" / name, out=tmp_path / "coco.json")
    check(tmp_path / "coco.json", hidden=False, boxes=False)


@pytest.mark.parametrize("separate", [False, True], ids=["paths", "columns"])
def test_h5_as_pandas_writes_it(tmp_path: Path, separate: bool) -> None:
    pytest.importorskip("h5py")
    pytest.importorskip("tables")
    pandas = pytest.importorskip("pandas")
    path = project(tmp_path, several(separate))
    count = 3 if separate else 1
    index = list(range(count)) if separate else 0
    table = pandas.read_csv(path, header=[0, 1, 2, 3], index_col=index)
    table.to_hdf(path.with_suffix(".h5"), key="df_with_missing", mode="w")
    posekit.labels(path.with_suffix(".h5"), out=tmp_path / "coco.json")
    check(tmp_path / "coco.json", hidden=False, boxes=False)
    path.unlink()
    posekit.labels(tmp_path, out=tmp_path / "coco.json")
    check(tmp_path / "coco.json", hidden=False, boxes=False)


def test_unique_body_parts_are_a_category_of_their_own(tmp_path: Path) -> None:
    """Of DeepLabCut's projects of several animals: what is there once, as a corner of the cage."""
    lines = [
        ["scorer", *["me"] * 14],
        ["individuals", *["m1"] * 10, *["single"] * 4],
        ["bodyparts", *[name for name in NAMES for _ in "xy"], *["c1", "c1", "c2", "c2"]],
        ["coords", *["x", "y"] * 7],
        ["labeled-data/walk/b.png", *[c for p in PEOPLE[2].points for c in cells(p)], *"3456"],
    ]
    text = "\n".join(",".join(line) for line in lines)
    found = posekit.labels(project(tmp_path, text), out=tmp_path / "coco.json")
    assert found.categories == {"animal": NAMES, "single": ("c1", "c2")}
    content = read(tmp_path / "coco.json")
    assert content["annotations"][1]["keypoints"] == [3, 4, 2, 5, 6, 2]
    posekit.labels(tmp_path, out=tmp_path / "animal.json", categories="animal")
    check(tmp_path / "animal.json", hidden=False, boxes=False, people=PEOPLE[2:])


def test_h5_with_pickled_names_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    pytest.importorskip("tables")
    pandas = pytest.importorskip("pandas")
    path = project(tmp_path, several())
    table = pandas.read_csv(path, header=[0, 1, 2, 3], index_col=0)
    table.to_hdf(path.with_suffix(".h5"), key="df_with_missing", mode="w", format="table")
    with pytest.raises(InputError, match=r"names of its columns are a pickle .*use the CSV"):
        posekit.labels(path.with_suffix(".h5"), out=tmp_path / "coco.json")


def test_results_take_frames_and_likely_points(tmp_path: Path) -> None:
    write_clip(tmp_path / "walk.mp4")
    lines = [
        ["scorer", *["net"] * 15],
        ["bodyparts", *[name for name in NAMES for _ in "xyl"]],
        ["coords", *["x", "y", "likelihood"] * 5],
    ]
    for frame in (0, 2):
        row = [f"{x},{y},{0.9 if v == 2 else 0.1}" for x, y, v in PEOPLE[0].points]
        lines.append([str(frame), *row])
    path = tmp_path / "walkDLC_resnet50_t.csv"
    path.write_text("\n".join(",".join(line) for line in lines))
    found = posekit.labels(path, out=tmp_path / "coco.json")
    content = read(tmp_path / "coco.json")
    assert [i["file_name"] for i in content["images"]] == [
        f"coco_frames/walk/00000{at}.jpg" for at in (0, 2)
    ]
    assert [one["num_keypoints"] for one in content["annotations"]] == [4, 4]
    assert any("2 x predicted points of a likelihood below 0.6" in note for note in found.notes)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("50,20", "far,20", r"CollectedData_me.csv, line 5: expected a number or nothing, found"),
        ("50,20", "50,20,1", r"line 5: expected 21 cells, found 22"),
        ("bodyparts", "parts", r"line 1: expected lines bodyparts and coords|formats"),
    ],
)
def test_a_broken_table_is_named_by_its_line(tmp_path: Path, old: str, new: str, what: str) -> None:
    path = project(tmp_path, several().replace(old, new, 1))
    with pytest.raises(InputError, match=what):
        posekit.labels(path, out=tmp_path / "coco.json")


def test_a_damaged_h5_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    path = tmp_path / "CollectedData_me.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(InputError, match="is not a readable HDF5 file") as error:
        posekit.labels(path, out=tmp_path / "coco.json")
    assert "\n" not in str(error.value)
