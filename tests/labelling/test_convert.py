"""What holds for labels of every tool: files, pictures, errors, the command."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import posekit
from posekit.cli import main
from posekit.datasets.pose_labels import read_pose_labels
from posekit.datasets.source_skeletons import dataset_skeleton
from posekit.datasets.sources import parse_dataset, parse_sources
from posekit.datasets.validate import validate
from posekit.errors import InputError, OutputError
from posekit.labelling.label_set import Category
from posekit.labelling.sheet import LEGEND, TILE, skeleton_of
from tests.labelling import test_labelme as labelme
from tests.labelling import test_yolo as yolo
from tests.labelling.truth import NAMES, PEOPLE, check, draw, read


def test_the_command_prints_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = yolo.data_set(tmp_path / "set")
    out = tmp_path / "out.json"
    assert main(["labels", str(folder), f"out={out}", "keypoints=[a, b, c, d, e]"]) == 0
    printed = capsys.readouterr().out
    assert "without labels" in printed and "person: 5 keypoints: a, b, c, d, e" in printed
    assert "mirror images, by the source: b/c, d/e" in printed
    assert f"look at {out.with_suffix('.jpg')}" in printed
    row = next(line for line in printed.splitlines() if "out_train.json" in line)
    assert row.split()[1:] == ["2", "1", "2", "8", "1", "1"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "out is missing: name the file to write, such as out=coco.json"),
        (["out=coco.yaml"], "out must end in .json"),
        (["coco.json"], "expected key=value, found 'coco.json'"),
        (["out=a.json", "colour=red"], "unknown option 'colour'"),
        (["out=a.json", "keypoints=koko"], "no skeleton is called 'koko'"),
        (["out=a.json", "keypoints=[a, a, b]"], "keypoints has a name twice"),
        (["out=a.json", "keypoints=3"], "keypoints must be a list of names, found 3"),
        (["out=a.json", "categories=[dog]"], "none is called 'dog'; there are person"),
        (["out=a.json", "images=nowhere"], "no such folder or video: nowhere"),
        (["out=a.json", "skip_bad=perhaps"], "skip_bad must be"),
    ],
)
def test_wrong_words_are_one_line(
    words: list[str],
    what: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    yolo.data_set(tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    assert main(["labels", "set", *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert what in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("missing.json", None, "no such file or folder"),
        ("coco.json", '{"images": [], "annotations": [], "categories": []}', "no conversion"),
        ("a.txt", "0 0.5 0.5 0.1 0.1 0.5 0.5 2", "label file of YOLO, .*name its data.yaml"),
        ("a.xml", "<annotation></annotation>", "Pascal VOC"),
        ("a.bin", "\0\1\2", "not in a supported format"),
        ("empty.json", "", "not in a supported format"),
        ("cut.json", '{"shapes": [', "cut off"),
        ("a.pkl", b"\x80\x04\x95", "a pickle"),
        ("mine.yaml", "train: a.json\n", "a YAML, which cannot be converted"),
    ],
)
def test_other_files_are_named(
    tmp_path: Path, name: str, content: str | bytes | None, what: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=what) as error:
        posekit.labels(path, out=tmp_path / "out.json")
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(InputError, match="a folder not in a supported format"):
        posekit.labels(tmp_path / "set", out=tmp_path / "out.json")


def test_the_input_is_not_written_over(tmp_path: Path) -> None:
    folder = labelme.folder_of(tmp_path / "set")
    before = (folder / "a.json").read_bytes()
    with pytest.raises(OutputError, match="it is the input itself"):
        posekit.labels(folder / "a.json", out=folder / "a.json")
    with pytest.raises(OutputError, match=r"is one of the files that are read"):
        posekit.labels(folder, out=folder / "a.json")
    (folder / "b.png").rename(folder / "b.jpg")
    with pytest.raises(OutputError, match=r"b.jpg: it is one of the files that are read"):
        posekit.labels(folder, out=folder / "b.JSON")
    assert (folder / "a.json").read_bytes() == before


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    folder = labelme.folder_of(tmp_path / "set")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot make the folder .*out: "):
        posekit.labels(folder, out=tmp_path / "out" / "coco.json")


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    folder = labelme.folder_of(tmp_path / "set")
    posekit.labels(folder, out=tmp_path / "coco.json")
    before = (tmp_path / "coco.json").read_bytes(), (tmp_path / "coco.jpg").read_bytes()
    (folder / "b.json").write_text('{"shapes": [')
    with pytest.raises(InputError):
        posekit.labels(folder, out=tmp_path / "coco.json")
    assert ((tmp_path / "coco.json").read_bytes(), (tmp_path / "coco.jpg").read_bytes()) == before


def test_missing_pictures_are_an_error_and_can_be_left_out(tmp_path: Path) -> None:
    folder = labelme.folder_of(tmp_path / "set")
    (folder / "b.png").unlink()
    with pytest.raises(InputError, match=r"images that are missing: .*b.png"):
        posekit.labels(folder, out=tmp_path / "coco.json")
    found = posekit.labels(folder, out=tmp_path / "coco.json", skip_bad=True)
    check(tmp_path / "coco.json", people=PEOPLE[:2])
    assert any("images that are missing" in note for note in found.notes)


def test_labels_without_keypoints_are_refused(tmp_path: Path) -> None:
    draw(tmp_path)
    content = labelme.file_of("b.png")
    content["shapes"] = content["shapes"][:1]
    (tmp_path / "b.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"b.json: no keypoints in it, only boxes or nothing"):
        posekit.labels(tmp_path / "b.json", out=tmp_path / "coco.json")


def test_a_clip_for_labels_of_pictures_is_refused(tmp_path: Path) -> None:
    folder = labelme.folder_of(tmp_path / "set")
    (tmp_path / "walk.mp4").write_bytes(b"clip")
    with pytest.raises(InputError, match=r"walk.mp4 is a file, but the labels are of images"):
        posekit.labels(folder, out=tmp_path / "coco.json", images=tmp_path / "walk.mp4")


def test_a_point_that_is_absent_is_zero(tmp_path: Path) -> None:
    draw(tmp_path)
    content = labelme.file_of("b.png")
    content["shapes"][1]["description"] = "0"
    (tmp_path / "b.json").write_text(json.dumps(content))
    posekit.labels(tmp_path / "b.json", out=tmp_path / "coco.json")
    assert read(tmp_path / "coco.json")["annotations"][0]["keypoints"][:3] == [0, 0, 0]


def test_pictures_of_another_folder(tmp_path: Path) -> None:
    folder = labelme.folder_of(tmp_path / "set")
    (tmp_path / "photos").mkdir()
    for path in folder.glob("*.png"):
        path.rename(tmp_path / "photos" / path.name)
    posekit.labels(folder, out=tmp_path / "out" / "coco.json", images=tmp_path / "photos")
    content = check(tmp_path / "out" / "coco.json")
    assert content["images"][0]["file_name"] == "../photos/a.png"


def test_a_picture_that_its_exif_turns_has_the_size_that_is_seen(tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    folder = labelme.folder_of(tmp_path / "set")
    with pil.open(folder / "b.png") as picture:
        turned = picture.rotate(90, expand=True)
    exif = turned.getexif()
    exif[274] = 6  # turned by a quarter to be upright
    turned.save(folder / "b.jpg", exif=exif)
    content = labelme.file_of("b.png") | {"imagePath": "b.jpg"}
    (folder / "b.json").write_text(json.dumps(content))
    posekit.labels(folder, out=tmp_path / "coco.json")
    check(tmp_path / "coco.json")


def test_several_classes_are_several_categories_or_a_choice(tmp_path: Path) -> None:
    config = yolo.CONFIG.replace("{0: person}", "{0: person, 1: dog}")
    folder = yolo.data_set(tmp_path / "set", config)
    path = folder / "labels" / "train" / "a.txt"
    lines = path.read_text().splitlines()
    path.write_text(f"{lines[0]}\n1{lines[1][1:]}\n")
    found = posekit.labels(folder, out=tmp_path / "both.json", split="train")
    content = read(tmp_path / "both.json")
    assert [one["name"] for one in content["categories"]] == ["person", "dog"]
    assert [one["category_id"] for one in content["annotations"]] == [1, 2]
    found = posekit.labels(folder, out=tmp_path / "dog.json", split="train", categories="dog")
    content = read(tmp_path / "dog.json")
    assert [one["name"] for one in content["categories"]] == ["dog"]
    assert len(content["annotations"]) == 1
    assert any("1 x people of other categories" in note for note in found.notes)


def test_training_and_pycocotools_read_the_file(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    folder = labelme.folder_of(tmp_path / "set")
    posekit.labels(folder, out=tmp_path / "coco.json")
    path = str(tmp_path / "coco.json")
    report = validate({"train": path})
    assert not report.errors and report.instances == 3
    dataset = parse_dataset(path)
    found, problems = read_pose_labels(parse_sources(path)[0], dataset_skeleton(dataset))
    assert not any(problem.fatal for problem in problems)
    wanted = np.array([person.points for person in PEOPLE])
    np.testing.assert_allclose(found.keypoints[1], wanted[1, :, :2], atol=2e-3)
    np.testing.assert_array_equal(found.visible, wanted[..., 2] > 0)
    assert dataset_skeleton(dataset).names == NAMES
    assert len(coco.COCO(path).getAnnIds()) == 3


def test_training_takes_the_sources_mirror_images(tmp_path: Path) -> None:
    config = yolo.CONFIG.rpartition("kpt_names")[0]
    found = posekit.labels(yolo.data_set(tmp_path / "set", config), out=tmp_path / "coco.json")
    path = found.files["train"]
    # Names tell no side; the pairs do.
    assert dataset_skeleton(parse_dataset(str(path))).flip_indices == (0, 2, 1, 4, 3)
    content = json.loads(path.read_text())
    content["categories"][0]["flip_pairs"] = [["keypoint_1", "keypoint_9"]]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="'flip_pairs': expected pairs of its keypoints' names"):
        dataset_skeleton(parse_dataset(str(path)))


def test_coco_keypoints_get_cocos_links(tmp_path: Path) -> None:
    config = yolo.CONFIG.rpartition("kpt_names")[0].replace("[5, 3]", "[17, 3]")
    config = config.replace("flip_idx: [0, 2, 1, 4, 3]\n", "")
    folder = tmp_path / "set"
    draw(folder / "images" / "train", ("a.png",))
    (folder / "labels" / "train").mkdir(parents=True)
    line = "0 0.5 0.5 0.4 0.4" + 17 * " 0.5 0.5 2"
    (folder / "labels" / "train" / "a.txt").write_text(line)
    (folder / "data.yaml").write_text(config.replace("val: images/val\n", ""))
    posekit.labels(folder, out=tmp_path / "coco.json")
    category = read(tmp_path / "coco.json")["categories"][0]
    assert category["keypoints"][0] == "nose" and len(category["skeleton"]) == 19


def test_the_sheet_tells_left_from_right_and_hidden_from_seen(tmp_path: Path) -> None:
    folder = labelme.folder_of(tmp_path / "set")
    found = posekit.labels(folder, out=tmp_path / "coco.json")
    assert found.sheet == tmp_path / "coco.jpg"
    sheet = cv2.imread(str(found.sheet)).astype(int)
    assert sheet.shape == (TILE, LEGEND + 2 * TILE, 3)
    # Green dots of the left side lie right of the orange ones of people who look at us.
    tile = sheet[:, LEGEND + TILE :]
    b, g, r = np.moveaxis(tile, -1, 0)
    green, orange = (g > 180) & (r < 90) & (b < 90), (r > 180) & (g < 180) & (b < 90)
    middle = slice(TILE // 4, TILE * 3 // 4)
    assert green[middle].sum() > 20 and orange[middle].sum() > 20
    assert np.nonzero(orange)[1].mean() < np.nonzero(green)[1].mean()


def test_colours_follow_flip_pairs_where_names_tell_no_side() -> None:
    skeleton = skeleton_of(Category("x", ("a", "b", "c"), flip_indices=(0, 2, 1)))
    assert skeleton.keypoint_colors == ((51, 153, 255), (0, 255, 0), (255, 128, 0))


def test_the_picture_shows_nobody_beside_the_part_that_is_shown(tmp_path: Path) -> None:
    """Of the first picture the first 145 of 200 pixels; the second person reaches beyond."""
    folder = labelme.folder_of(tmp_path / "set")
    content = labelme.file_of("a.png")
    content["shapes"][6]["points"] = [[180, 20], [120, 122]]  # smaller than the first person
    (folder / "a.json").write_text(json.dumps(content))
    found = posekit.labels(folder, out=tmp_path / "coco.json")
    assert found.sheet is not None
    first = cv2.imread(str(found.sheet))[:390, LEGEND : LEGEND + TILE].astype(int)
    assert np.abs(first[:, 300:] - 40).max() < 20 < np.abs(first[:, :280] - 40).max()
