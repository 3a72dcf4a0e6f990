"""One small set of labels, which every tool's test writes in that tool's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

NAMES = ("nose", "left_hand", "right_hand", "left_foot", "right_foot")
SIZE = (200, 160)  # w, h


class Truth(NamedTuple):
    """A person: whose picture, x, y, v of each keypoint, and x, y, width, height."""

    image: str
    points: tuple[tuple[float, float, int], ...]
    box: tuple[float, float, float, float]


# Two on the first picture, one with a hidden keypoint and one without a label; one on the second.
PEOPLE = (
    Truth(
        "a.png",
        ((50, 20, 2), (70.5, 50, 2), (30, 50.25, 1), (60, 110, 2), (40, 110, 2)),
        (20, 10, 60, 110),
    ),
    Truth(
        "a.png",
        ((150, 30, 2), (170, 60, 2), (130, 60, 2), (0, 0, 0), (140, 120, 2)),
        (120, 20, 60, 110),
    ),
    Truth(
        "b.png",
        ((100, 40, 2), (120, 70, 2), (80, 70, 2), (110, 130, 2), (90, 130, 2)),
        (70, 30, 60, 110),
    ),
)
IMAGES = ("a.png", "b.png", "empty.png")


def draw(folder: Path, names: tuple[str, ...] = IMAGES) -> Path:
    """Writes the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        pixels = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
        for person in PEOPLE:
            if person.image == name:
                for x, y, v in person.points:
                    if v:
                        cv2.circle(pixels, (round(x), round(y)), 3, (250, 250, 250), -1)
        cv2.imwrite(str(folder / name), pixels)
    return folder


def read(path: Path) -> dict[str, Any]:
    """A COCO file; each person under the picture's base name, in order."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for image in content["images"]:
        assert (path.parent / image["file_name"]).is_file()
        assert (image["width"], image["height"]) == SIZE
    return content


def check(
    path: Path,
    *,
    hidden: bool = True,
    boxes: bool = True,
    people: tuple[Truth, ...] = PEOPLE,
    atol: float = 2e-3,
) -> dict[str, Any]:
    """Compares a file with the truth, and returns its content.

    Args:
        path: of the file.
        hidden: the tool tells hidden keypoints from seen ones.
        boxes: it has boxes.
        people: in the file's order.
        atol: pixels.
    """
    content = read(path)
    names = {image["id"]: Path(image["file_name"]).name for image in content["images"]}
    assert content["categories"][0]["keypoints"] == list(NAMES)
    found = content["annotations"]
    assert [names[one["image_id"]].split(".")[0] for one in found] == [
        person.image.split(".")[0] for person in people
    ]
    for one, person in zip(found, people, strict=True):
        wanted = np.array(person.points)
        if not hidden:
            wanted[:, 2] = 2 * (wanted[:, 2] > 0)
        np.testing.assert_allclose(np.reshape(one["keypoints"], (-1, 3)), wanted, atol=atol)
        assert one["num_keypoints"] == (wanted[:, 2] > 0).sum()
        if boxes:
            np.testing.assert_allclose(one["bbox"], person.box, atol=atol)
    return content
