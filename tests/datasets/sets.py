"""Small COCO-style sets on disk, whose images show a coloured disc at each keypoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

NAMES = ["nose", "left_eye", "right_eye", "left_hip", "right_hip"]
# BGR, one per keypoint; far from each other and from the background.
COLORS = [(0, 0, 250), (0, 250, 0), (250, 0, 0), (0, 250, 250), (250, 0, 250)]
POINTS = [(0.5, 0.2), (0.65, 0.15), (0.3, 0.1), (0.7, 0.8), (0.35, 0.9)]  # of the box


def coco(
    count: int = 4, size_wh: tuple[int, int] = (320, 240), per_image: int = 1
) -> dict[str, Any]:
    """`count` images of `per_image` instances, with boxes that differ."""
    width, height = size_wh
    images, annotations = [], []
    for i in range(count):
        images.append({"id": 10 + i, "file_name": f"{i}.png", "width": width, "height": height})
        for j in range(per_image):
            w, h = width * (0.4 + 0.02 * i), height * (0.6 + 0.03 * j)
            x, y = width * 0.2 + 5 * i + 20 * j, height * 0.2 + 3 * i
            points = [(x + w * u, y + h * v) for u, v in POINTS]
            annotations.append(
                {
                    "id": 100 + len(annotations),
                    "image_id": 10 + i,
                    "category_id": 1,
                    "bbox": [x, y, w, h],
                    "area": w * h / 2,
                    "iscrowd": 0,
                    "num_keypoints": len(NAMES),
                    "keypoints": [value for u, v in points for value in (u, v, 2)],
                }
            )
    links = [[1, 2], [1, 3], [2, 4], [3, 5]]
    category = {"id": 1, "name": "person", "keypoints": NAMES, "skeleton": links}
    return {"images": images, "annotations": annotations, "categories": [category]}


def save(folder: Path, data: dict[str, Any], name: str = "set.json", radius: int = 5) -> str:
    """Writes the JSON and the images of it that are not there; the path of the JSON."""
    folder.mkdir(exist_ok=True)
    for image in data["images"]:
        path = folder / image["file_name"]
        if not path.exists():
            pixels = np.full((image["height"], image["width"], 3), 90, np.uint8)
            for annotation in data["annotations"]:
                if annotation["image_id"] == image["id"]:
                    _draw(pixels, annotation["keypoints"], radius)
            assert cv2.imwrite(str(path), pixels)
    path = folder / name
    path.write_text(json.dumps(data), encoding="utf-8")
    return str(path)


def _draw(pixels: np.ndarray, keypoints: list[float], radius: int) -> None:
    for k, color in enumerate(COLORS):
        x, y = keypoints[3 * k : 3 * k + 2]
        cv2.circle(pixels, (round(x), round(y)), radius, color, -1)


def unpack_coco(shared: Path, root: Path) -> Path:
    """Lays a folder out as COCO 2017 is, with four images."""
    (root / "annotations").mkdir()
    (root / "val2017").mkdir()
    for name in ("person_keypoints_val2017", "instances_val2017"):
        shutil.copy(shared / "annotations/test_coco.json", root / "annotations" / f"{name}.json")
    for image in (shared / "images").glob("0*.jpg"):
        shutil.copy(image, root / "val2017")
    return root
