"""Images are found whatever machine wrote their paths; what is ambiguous is an error."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from posekit.datasets.image_paths import find_images
from posekit.datasets.problems import Findings
from posekit.datasets.sources import Source
from posekit.errors import InputError


def find(folder: Path, *images: Any, given: bool = True) -> tuple[list[str | None], str]:
    """The paths of images by name, or by dictionary; and what is said."""
    rows = [
        {"id": 7 + i, **(image if isinstance(image, dict) else {"file_name": image})}
        for i, image in enumerate(images)
    ]
    source = Source(
        annotations=str(folder / "set.json"), images=str(folder / "images") if given else None
    )
    found = Findings(source)
    paths = find_images(source, rows, found)
    return paths, "\n".join(map(str, found.problems()))


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize(
    "name",
    [
        r"C:\data\a.png",
        r"..\..\media\upload\4\a.png",
        r"D:/photos/a.png",
        "/home/somebody/set/a.png",
        "/data/upload/1/a.png",
        "train2017/a.png",
        "http://example.org/x/a.png",
        "https://example.org/x/a.png?token=1&v=2",
        "file:///C:/data/a.png",
        "s3://bucket/x/a.png",
        "/data/local-files/?d=photos/a.png",
        "http://host:8080/data/local-files/?d=photos%2Fa.png",
        "%61.png",
        "./a.png",
        " a.png",
        "a.PNG",
        "A.png",
        "/data/upload/1/0a1b2c3d-a.png",
        "0a1b2c3d-a.png",
    ],
)
def test_paths_of_other_machines_lead_to_the_image(tmp_path: Path, name: str, given: bool) -> None:
    touch(tmp_path, "a.png")
    paths, said = find(tmp_path, name, given=given)
    assert paths == [str(tmp_path / "images" / "a.png")]
    assert said.count("\n") == 0
    assert name == "./a.png" or "1 images are " in said


def test_what_exists_is_taken_as_it_is_and_nothing_is_said(tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "a.png"
    other.parent.mkdir()
    other.write_bytes(b"x")
    touch(tmp_path, "a.png", "b%20c.png", "sub/a.png", "50%.png", r"x\y.png")
    names = ["a.png", "b%20c.png", "sub/a.png", "50%.png", r"x\y.png"]
    paths, said = find(tmp_path, *names, str(other))
    assert paths == [*(str(tmp_path / "images" / name) for name in names), str(other)]
    assert said == ""


def test_addresses_of_files_are_followed(tmp_path: Path) -> None:
    other = tmp_path / "with space" / "a.png"
    other.parent.mkdir()
    other.write_bytes(b"x")
    touch(tmp_path, "b.png")
    paths, said = find(tmp_path, other.as_uri())
    assert paths == [str(other)]
    assert "1 images are given by addresses of files" in said


def test_the_longest_end_of_a_path_counts(tmp_path: Path) -> None:
    touch(tmp_path, "cam1/0.png", "cam2/0.png", "0.png")
    paths, _ = find(tmp_path, r"D:\set\cam1\0.png", "/x/cam2/0.png", "/y/0.png")
    assert paths == [
        str(tmp_path / "images" / name) for name in ("cam1/0.png", "cam2/0.png", "0.png")
    ]


def test_a_base_name_is_found_in_folders_within(tmp_path: Path) -> None:
    touch(tmp_path, "day1/a.png", "day2/b.png")
    paths, said = find(tmp_path, "/x/a.png", "b.png")
    assert paths == [str(tmp_path / "images" / name) for name in ("day1/a.png", "day2/b.png")]
    assert "2 images are found by their base name in a folder within" in said


def test_an_ambiguous_base_name_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "day1/a.png", "day2/a.png")
    _, said = find(tmp_path, "/x/a.png")
    assert "base names of several files" in said and "day1/a.png" in said and "day2/a.png" in said


def test_two_images_never_share_a_file_that_was_guessed(tmp_path: Path) -> None:
    touch(tmp_path, "0.png")
    _, said = find(tmp_path, r"cam1\0.png", r"cam2\0.png")
    assert "1 x images whose names lead to one file" in said and "(images 7 and 8)" in said
    _, said = find(tmp_path, "0.png", "old/0.png")
    assert "1 x images whose names lead to one file" in said


def test_forms_of_unicode_are_one_name(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "Müller.png") for form in ("NFC", "NFD")]
    assert names[0] != names[1]
    touch(tmp_path, names[1])
    paths, said = find(tmp_path, names[0])
    assert paths == [str(tmp_path / "images" / names[1])]
    assert "1 images are spelled in another way" in said


def test_case_tells_files_apart_where_both_are_there(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "A.png")
    paths, said = find(tmp_path, "a.png", "A.png")
    assert (paths, said) == ([str(tmp_path / "images" / n) for n in ("a.png", "A.png")], "")
    paths, _ = find(tmp_path, "a.PNG")  # either
    assert paths == [str(tmp_path / "images" / "a.PNG")]


@pytest.mark.parametrize("key", ["path", "filename", "image", "coco_url", "url", "name"])
def test_another_key_names_the_file(tmp_path: Path, key: str) -> None:
    touch(tmp_path, "a.png")
    value = "http://example.org/a.png" if "url" in key else "a.png"
    paths, said = find(tmp_path, {key: value})
    assert paths == [str(tmp_path / "images" / "a.png")]
    assert "1 images are " in said


@pytest.mark.parametrize("name", ["7.jpg", "000000000007.jpg", "000007.png"])
def test_an_id_names_the_file(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)
    paths, said = find(tmp_path, {"file_name": None})
    assert paths == [str(tmp_path / "images" / name)]
    assert "1 images are named only by their ids" in said


def test_no_name_at_all_is_an_error_that_says_what_was_tried(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    paths, said = find(tmp_path, "a.png", {})
    assert paths[1] is None
    assert "1 x images without 'file_name': image 8 (nor path, " in said


def test_a_missing_image_keeps_its_own_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    paths, said = find(tmp_path, "a.png", "b.png", r"x\c.png")
    assert paths[1:] == [str(tmp_path / "images" / name) for name in ("b.png", r"x\c.png")]
    assert said == ""


def test_web_addresses_are_not_fetched_and_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"web addresses are not fetched: do so first"):
        find(tmp_path, "http://example.org/a.png", given=False)


def test_no_name_breaks_the_search(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    names: list[Any] = ["a.png", "x\0y", "http://[", "/" * 50, "..", ".", "a" * 5000, "?d=", "%zz"]
    names += [{"file_name": value} for value in (3, [], {}, True, 1.5, "  ")]
    paths, _ = find(tmp_path, *names)
    assert paths[0] == str(tmp_path / "images" / "a.png")
