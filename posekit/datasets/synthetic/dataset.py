"""Scenes as a data set in COCO's layout, and the command that writes it."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from posekit.datasets.synthetic.scene import Scene, check_whole, generate_scene, scene_seed
from posekit.errors import InputError
from posekit.files import write_atomically
from posekit.skeleton import load_skeleton

__all__ = ["main", "write_dataset"]

ANNOTATIONS = "annotations.json"
IMAGES = "images"
JPEG_QUALITY = 92


def write_dataset(
    folder: str | Path,
    count: int,
    seed: int,
    *,
    size_wh: tuple[int, int] = (640, 480),
    people: tuple[int, int] = (1, 6),
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Writes `images/*.jpg` and `annotations.json` in COCO's layout; all of it or nothing.

    Args:
        folder: will be made; must be missing or empty, or hold an earlier data set with
            `overwrite`.
        count: number of scenes.
        seed: seed of the data set.
        size_wh: (w, h) of the images in pixels.
        people: the fewest and the most in an image.
        overwrite: whether to replace an earlier data set.
        progress: whether to show a progress bar on a terminal.

    Returns:
        The path of the annotations.

    Raises:
        InputError: the folder holds something, or an argument is out of its range.
    """
    annotations = Path(folder) / ANNOTATIONS
    target = Path(folder).resolve()
    check_whole("count", count, 1)
    check_whole("seed", seed, 0)
    _check_free(target, overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, so that the finished folder is moved there in one step.
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:40]}."))
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from None
    try:
        (staging / "new").mkdir()
        _write_scenes(staging / "new", count, seed, size_wh, people, progress)
        if target.exists():
            target.rename(staging / "old")
        (staging / "new").rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return annotations


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m posekit.datasets.synthetic",
        description="Write a data set of drawn people with COCO keypoints.",
    )
    parser.add_argument("folder", help="where to write images/ and annotations.json")
    parser.add_argument("--scenes", type=int, default=2000, help="number of scenes (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the data set (default 0)")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier data set")
    options = parser.parse_args(arguments)
    try:
        path = write_dataset(
            options.folder,
            options.scenes,
            options.seed,
            size_wh=(options.width, options.height),
            overwrite=options.overwrite,
        )
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(path)
    return 0


def _write_scenes(
    folder: Path,
    count: int,
    seed: int,
    size_wh: tuple[int, int],
    people: tuple[int, int],
    progress: bool,
) -> None:
    (folder / IMAGES).mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in tqdm(range(count), unit="scene", disable=None if progress else True):
        scene_number = scene_seed(seed, index)
        scene = generate_scene(scene_number, size_wh=size_wh, people=people)
        name = f"{index + 1:06d}.jpg"
        done, data = cv2.imencode(".jpg", scene.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not done:
            raise InputError(f"cannot encode an image of {size_wh} as JPEG; use a smaller size")
        (folder / IMAGES / name).write_bytes(data.tobytes())
        images.append(
            {
                "id": index + 1,
                "file_name": name,
                "width": size_wh[0],
                "height": size_wh[1],
                "seed": scene_number,
            }
        )
        for person in range(len(scene)):
            annotations.append(_annotation(scene, person, len(annotations) + 1, index + 1))
    skeleton = load_skeleton("coco")
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.names),
        "skeleton": [[start + 1, end + 1] for start, end in skeleton.links],
    }
    content = {
        "info": {"description": f"posekit synthetic people, seed {seed}"},
        "images": images,
        "annotations": annotations,
        "categories": [category],
    }
    write_atomically(folder / ANNOTATIONS, json.dumps(content, allow_nan=False).encode())


def _annotation(scene: Scene, person: int, number: int, image: int) -> dict[str, Any]:
    keypoints = [
        value
        for x, y, v in scene.keypoints[person].tolist()
        for value in (round(x, 2), round(y, 2), int(v))
    ]
    x1, y1, x2, y2 = (round(value, 2) for value in scene.boxes_xyxy[person].tolist())
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "keypoints": keypoints,
        "num_keypoints": sum(v > 0 for v in keypoints[2::3]),
        "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
        "area": float(scene.areas[person]),
    }


def _check_free(folder: Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder that is missing or empty")
    found = sorted(path.name for path in folder.iterdir())
    if not found:
        return
    foreign = [name for name in found if name not in (ANNOTATIONS, IMAGES)]
    if foreign:
        raise InputError(
            f"{folder} holds '{foreign[0]}', which no data set of drawn people has; "
            "name a folder that is missing or empty"
        )
    if not overwrite:
        raise InputError(f"{folder} already holds a data set; pass overwrite to replace it")
