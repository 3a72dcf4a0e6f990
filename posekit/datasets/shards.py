"""Labels in tar shards, as WebDataset has them: beside each image a JSON of its own.

`00000042.jpg` has `00000042.json`, which is a COCO file of that image alone: its entry in `images`,
its annotations, the categories. Beyond COCO, `places` says where the image and its annotations
stood in the file that the shards were made from, so that its order is kept.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from posekit.datasets.archives import expanded, is_archive, read_file, read_labels
from posekit.errors import InputError, OutputError
from posekit.files import make_folder, replacing

__all__ = ["are_shards", "label_name", "read_shards", "write_shards"]

LISTS = ("images", "annotations", "categories")


def are_shards(annotations: str) -> bool:
    """Whether this names labels in shards: a tar, or a pattern of several."""
    return is_archive(annotations) and annotations.lower().endswith(".tar")


def label_name(annotations: str) -> str:
    """The name of labels: their file's name, for shards without the numbers."""
    path = Path(annotations)
    if not are_shards(annotations):
        return path.stem
    return re.sub(r"\{.*?\}|[*?\[\]]", "", path.stem).strip("-_. ") or path.parent.name or "shards"


def read_shards(pattern: str) -> dict[str, list[Any]]:
    """COCO's three lists of all images in shards, in the order of the file they were made from.

    Raises:
        InputError: a shard cannot be read, or a JSON in it is no COCO file; the message names it.
    """
    lists: dict[str, list[Any]] = {key: [] for key in LISTS}
    places: dict[str, list[Any]] = {key: [] for key in LISTS}
    categories: dict[str, Any] = {}
    for name, data in read_labels(pattern):
        content = _content(name, data)
        noted = content.get("places") or {}
        for key in ("images", "annotations"):
            lists[key] += content[key]
            places[key] += noted.get(key) or []
        for category in content["categories"]:
            categories.setdefault(json.dumps(category, sort_keys=True), category)
    if not lists["images"]:
        raise InputError(
            f"{pattern}: no labels in it: expected a JSON beside each image, as `posekit labels` "
            "writes them; where the labels are a file: {annotations: FILE, images: SHARDS}"
        )
    lists["categories"] = list(categories.values())
    for key in ("images", "annotations"):
        if len(places[key]) == len(lists[key]):  # others' shards have none
            order = sorted(range(len(lists[key])), key=places[key].__getitem__)
            lists[key] = [lists[key][row] for row in order]
    return lists


def _content(name: str, data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise InputError(f"{name} is not JSON: {error}; the shard is damaged") from None
    listed = isinstance(content, dict) and all(isinstance(content.get(k), list) for k in LISTS)
    if not listed:
        raise InputError(
            f"{name}: expected COCO's lists {', '.join(LISTS)} of one image, as `posekit labels` "
            "writes them"
        )
    return dict(content)


def write_shards(pattern: str, content: Mapping[str, Any], paths: Sequence[str]) -> list[Path]:
    """Writes labels and images as shards of about equally many images, each whole or not at all.

    Args:
        pattern: `shards/{000..012}.tar`, or a single tar.
        content: COCO's three lists.
        paths: the path of each image of `images`.

    Raises:
        InputError: an image cannot be read, or there are fewer images than shards.
        OutputError: a shard cannot be written.
    """
    shards = [Path(name) for name in expanded(pattern)]
    images = content["images"]
    if len(images) < len(shards):
        raise InputError(f"{len(images)} images are too few for {len(shards)} shards")
    of_image: dict[Any, list[int]] = {}
    for row, annotation in enumerate(content["annotations"]):
        of_image.setdefault(annotation["image_id"], []).append(row)
    for number, shard in enumerate(shards):
        first, last = (len(images) * (number + step) // len(shards) for step in (0, 1))
        make_folder(shard.parent)
        try:
            with replacing(shard) as temporary, tarfile.open(temporary, "w") as archive:
                for row in range(first, last):
                    for name, data in _sample(row, content, of_image, paths[row]):
                        entry = tarfile.TarInfo(name)
                        entry.size = len(data)
                        archive.addfile(entry, io.BytesIO(data))
        except OSError as error:
            raise OutputError(f"cannot write {shard}: {error.strerror or error}") from None
    return shards


def _sample(
    row: int, content: Mapping[str, Any], of_image: Mapping[Any, list[int]], path: str
) -> Iterator[tuple[str, bytes]]:
    """The members of an image: itself, as it is, and its labels."""
    image = content["images"][row]
    rows = of_image.get(image["id"], [])
    try:
        data = read_file(path).tobytes()
    except OSError as error:
        raise InputError(f"image {path} cannot be read: {error.strerror or error}") from None
    stem = f"{row:08d}"
    name = f"{stem}{Path(path).suffix.lower() or '.jpg'}"
    labels = {
        "images": [{**image, "file_name": name, "original": image.get("file_name")}],
        "annotations": [content["annotations"][place] for place in rows],
        "categories": content["categories"],
        "places": {"images": [row], "annotations": rows},
    }
    yield name, data
    yield f"{stem}.json", json.dumps(labels, ensure_ascii=False).encode()
