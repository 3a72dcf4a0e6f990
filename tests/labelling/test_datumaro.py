"""Datumaro's JSON, by hand and as Datumaro itself writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import posekit
from posekit.errors import InputError
from tests.labelling.truth import NAMES, PEOPLE, SIZE, check, draw


def content() -> dict[str, Any]:
    labels = [{"name": "person", "parent": "", "attributes": []}]
    labels += [{"name": name, "parent": "person", "attributes": []} for name in NAMES]
    joints = {"label_id": 0, "labels": list(NAMES), "joints": [[1, 2], [1, 3]]}
    items = []
    for name in ("a.png", "b.png", "empty.png"):
        annotations = []
        for group, person in enumerate((p for p in PEOPLE if p.image == name), 1):
            elements = [
                {"type": "points", "label_id": i, "points": [x, y], "visibility": [v]}
                for i, (x, y, v) in reversed(list(enumerate(person.points, 1)))
            ]
            about = {"label_id": 0, "group": group, "attributes": {}}
            annotations.append({"type": "skeleton", "elements": elements, **about})
            annotations.append({"type": "bbox", "bbox": list(person.box), **about})
        size = [SIZE[1], SIZE[0]]
        image = {"path": name, "size": size}
        items.append({"id": name[:-4], "annotations": annotations, "image": image})
    categories = {"label": {"labels": labels}, "points": {"items": [joints]}}
    return {"info": {}, "categories": categories, "items": items}


def write(folder: Path, data: dict[str, Any], split: str = "train") -> Path:
    draw(folder / "images" / split)
    path = folder / "annotations" / f"{split}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def as_points(data: dict[str, Any]) -> dict[str, Any]:
    """One annotation of all keypoints in place of a skeleton."""
    for item in data["items"]:
        for one in item["annotations"]:
            if one["type"] == "skeleton":
                elements = one.pop("elements")[::-1]
                one["type"] = "points"
                one["points"] = [side for element in elements for side in element["points"]]
                one["visibility"] = [element["visibility"][0] for element in elements]
    return data


@pytest.mark.parametrize("kind", ["skeleton", "points"])
def test_a_file(tmp_path: Path, kind: str) -> None:
    data = content() if kind == "skeleton" else as_points(content())
    found = posekit.labels(write(tmp_path, data), out=tmp_path / "coco.json")
    read = check(tmp_path / "coco.json")
    assert read["categories"][0]["skeleton"] == [[1, 2], [1, 3]]
    assert found.counts[""]["without labels"] == 1


def test_a_folder_has_a_split_per_file(tmp_path: Path) -> None:
    write(tmp_path, content())
    write(tmp_path, content(), "val")
    found = posekit.labels(tmp_path, out=tmp_path / "coco.json")
    assert list(found.files) == ["train", "val"]
    check(tmp_path / "coco_val.json")


def test_what_datumaro_writes(tmp_path: Path) -> None:
    dm = pytest.importorskip("datumaro")
    from datumaro.components.annotation import Points
    from datumaro.components.media import Image

    draw(tmp_path / "source")
    labels = dm.LabelCategories.from_iterable(["person"])
    joints = dm.PointsCategories.from_iterable([(0, list(NAMES), {(1, 2), (1, 3)})])
    items = []
    for name in ("a.png", "b.png"):
        annotations = []
        for group, person in enumerate((p for p in PEOPLE if p.image == name), 1):
            values = np.array(person.points)
            about = {"label": 0, "group": group}
            seen = [Points.Visibility(int(v)) for v in values[:, 2]]
            annotations.append(Points(values[:, :2].ravel(), seen, **about))
            annotations.append(dm.Bbox(*person.box, **about))
        media = Image.from_file(path=str(tmp_path / "source" / name))
        items.append(
            dm.DatasetItem(name[:-4], subset="train", media=media, annotations=annotations)
        )
    kinds = {dm.AnnotationType.label: labels, dm.AnnotationType.points: joints}
    data = dm.Dataset.from_iterable(items, categories=kinds)
    data.export(str(tmp_path / "set"), "datumaro", save_media=True)
    posekit.labels(tmp_path / "set", out=tmp_path / "coco.json")
    check(tmp_path / "coco.json")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"label_id": 3}, r"items\[0\], annotations\[0\]: its label has no keypoints"),
        ({"elements": [{"label_id": 1, "points": [1], "visibility": [2]}]}, "expected 1 x"),
        ({"elements": [{"label_id": 1, "points": [1, 2], "visibility": [7]}]}, "0, 1 or 2"),
        ({"elements": [{"label_id": 99, "points": [1, 2]}]}, r"items\[0\]"),
        ({"elements": [{"points": [1, 2]}]}, r"items\[0\]"),
        ({"elements": 3}, r"items\[0\]"),
    ],
)
def test_a_broken_annotation_is_named(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    data = content()
    data["items"][0]["annotations"][0].update(change)
    path = write(tmp_path, data)
    with pytest.raises(InputError, match=what) as error:
        posekit.labels(path, out=tmp_path / "coco.json")
    assert "train.json" in str(error.value) and "\n" not in str(error.value)
    posekit.labels(path, out=tmp_path / "coco.json", skip_bad=True)
    check(tmp_path / "coco.json", people=PEOPLE[2:])


def test_categories_that_are_others_are_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, content() | {"categories": {"label": [1]}})
    with pytest.raises(InputError, match="its 'categories' are not Datumaro's"):
        posekit.labels(path, out=tmp_path / "coco.json")
