"""Label files in other encodings are read; files of other formats are named with a way out."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from posekit.datasets.label_files import read_json
from posekit.datasets.plain_coco import plain_coco
from posekit.datasets.sources import parse_sources
from posekit.errors import InputError
from tests.datasets.sets import coco

DLC = "scorer,me,me\nbodyparts,nose,nose\ncoords,x,y\nlabeled-data/v/img1.png,1,2\n"
VOC = "<annotation><folder>x</folder><object><name>cat</name></object></annotation>"
LABELME = {"version": "5.0", "shapes": [{"label": "nose"}], "imagePath": "a.png"}
STUDIO = [{"id": 1, "data": {"img": "/data/upload/1/a.png"}, "annotations": [{"result": []}]}]
STUDIO_SHORT = [{"id": 1, "img": "a.png", "kp": [{"x": 1, "y": 2, "keypointlabels": ["nose"]}]}]
VIA = {"a.png123": {"filename": "a.png", "size": 123, "regions": [], "file_attributes": {}}}


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_json_in_any_unicode_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "set.json"
    path.write_bytes('{"name": "Müller é"}'.encode(encoding))
    assert read_json(str(path)) == {"name": "Müller é"}


@pytest.mark.parametrize(
    ("name", "content", "what", "way"),
    [
        (
            "data.yaml",
            "path: .\nkpt_shape: [17, 3]\nnames: [a]\n",
            "data.yaml of a YOLO",
            "posekit labels",
        ),
        (
            "custom.yml",
            "train: x\nnc: 1\nnames:\n  0: a\n",
            "data.yaml of a YOLO",
            "posekit labels",
        ),
        ("config.yaml", "Task: x\nbodyparts:\n- nose\n", "DeepLabCut's config", "posekit labels"),
        ("mine.yaml", "skeleton: x\ntrain: a.json\n", "a YAML", "--config-dir FOLDER dataset"),
        ("a.txt", "0 0.5 0.5 0.2 0.3 0.1 0.1 2\n", "a label file of YOLO", "posekit labels"),
        ("list.txt", "images/a.png\nimages/b.png\n", "a text file", "docs/training.md"),
        ("CollectedData_me.csv", DLC, "DeepLabCut's CSV", "posekit labels"),
        ("a.csv", "image,x,y\na.png,1,2\n", "a CSV table", "docs/training.md"),
        ("a.dat", "image;x;y\na.png;1;2\n", "a CSV table", "docs/training.md"),
        (
            "v.csv",
            "filename,region_count,region_shape_attributes\n",
            "VGG Image Ann",
            "posekit labels",
        ),
        ("a.xml", "<?xml version='1.0'?><annotations><version>1.1", "CVAT's XML", "posekit labels"),
        ("a.xml", VOC, "XML of one image (Pascal VOC", "convert it with CVAT"),
        ("a.xml", "<root/>", "XML", "docs/training.md"),
        ("a.json", "<!DOCTYPE html><html>", "a web page", "fetch"),
        ("a.json", "version https://git-lfs.github.com/spec/v1\n", "Git LFS", "git lfs pull"),
        ("a.json", json.dumps(LABELME), "labelme's JSON of one image", "posekit labels"),
        ("a.json", json.dumps(STUDIO), "Label Studio's JSON", "posekit labels"),
        ("a.json", json.dumps(STUDIO_SHORT), "Label Studio's JSON", "posekit labels"),
        ("a.json", json.dumps(VIA), "VGG Image Annotator's labels", "posekit labels"),
        ("a.json", json.dumps({"_via_settings": {}}), "VGG Image Annotator's", "posekit labels"),
        ("a.json", '{"items": [], "categories": {}}', "Datumaro's JSON", "posekit labels"),
        ("a.json", '{"version": 1.3, "people": []}', "OpenPose's result", "docs/training.md"),
        ("a.json", '[{"image_id": 1, "bbox": [1], "score": 1}]', "COCO results", "'boxes'"),
        ("a.json", '[{"image_id": 1, "keypoints": [1]}]', "annotations alone", "'categories'"),
        ("a.json", '{"a": 1}\n{"b": 2}\n', "JSON Lines", "docs/training.md"),
    ],
)
def test_other_formats_are_named_with_what_converts_them(
    tmp_path: Path, name: str, content: str, what: str, way: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as error:
        plain_coco(parse_sources(str(path))[0])
    message = str(error.value)
    assert message.startswith(f"{path}: this is ")
    assert what in message and "not COCO JSON; " in message and way in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (gzip.compress(b"{}", mtime=0), "compressed by gzip, not COCO JSON; unpack it"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (b"\x80\x04\x95", "a pickle"),
        (b"\x89PNG\r\n\x1a\n", "an image"),
    ],
)
def test_binary_files_are_named(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "labels.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"this is {what}"):
        read_json(str(path))


def test_a_csv_in_another_encoding_is_named_too(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes("Größe;x\nMüller;1\n".encode("latin-1"))
    with pytest.raises(InputError, match="a CSV table"):
        read_json(str(path))
    path = tmp_path / "labels.json"
    path.write_bytes('{"Größe": 1}'.encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8 or UTF-16 text; save it again as UTF-8"):
        read_json(str(path))


def test_a_folder_is_named_by_what_it_holds(tmp_path: Path) -> None:
    yolo = tmp_path / "yolo" / "labels"
    yolo.mkdir(parents=True)
    (yolo / "a.txt").write_text("0 0.5 0.5 0.2 0.3\n")
    for folder in (yolo, yolo.parent):
        with pytest.raises(InputError, match="a folder of YOLO's label files, not COCO JSON"):
            read_json(str(folder))
    export = tmp_path / "export" / "annotations"
    export.mkdir(parents=True)
    (export / "person_keypoints_default.json").write_text("{}")
    with pytest.raises(InputError, match=r"name the file in it, such as .*_default\.json"):
        read_json(str(export.parent))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="found a folder without any"):
        read_json(str(tmp_path / "empty"))


def test_a_number_of_too_many_digits_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"id": ' + "9" * 10_000 + "}")
    with pytest.raises(InputError, match="a number is too long"):
        read_json(str(path))


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off_says_so(tmp_path: Path, part: float) -> None:
    text = json.dumps(coco(2))
    path = tmp_path / "a.json"
    path.write_text(text[: int(len(text) * part)])
    with pytest.raises(InputError, match=r"cut off|not valid JSON"):
        read_json(str(path))
