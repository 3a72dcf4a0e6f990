"""What can be used of a file's lists: images that are there, annotations on them, boxes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from posekit.datasets.archives import file_size
from posekit.datasets.image_paths import find_images
from posekit.datasets.plain_coco import Coco
from posekit.datasets.problems import Findings
from posekit.datasets.sources import Source, is_used
from posekit.errors import InputError

__all__ = ["UsableImages", "clipped_box", "usable_annotations"]


class UsableImages:
    """The images of a file; `rows` maps an id to the row of the arrays.

    Raises:
        InputError: none can be used.
    """

    def __init__(self, source: Source, coco: Coco, found: Findings) -> None:
        try:
            paths = find_images(source, coco.images, found)
        except InputError as error:
            raise found.explained(error) from None
        named = [(i, p) for i, p in zip(coco.images, paths, strict=True) if p is not None]
        if not named:
            what = f"{source.annotations}: no image in its list 'images' can be used"
            raise found.explained(InputError(what))
        self.rows = {image["id"]: row for row, (image, _) in enumerate(named)}
        self.stated_sizes = [
            (image["width"], image["height"]) if "width" in image and "height" in image else (0, 0)
            for image, _ in named
        ]
        self.ids = np.array(list(self.rows), np.int64)
        self.paths = np.array([path for _, path in named], np.str_)
        self.sizes = np.array(self.stated_sizes, np.float32).reshape(-1, 2)
        if source.skip_bad:
            self._leave_out_missing(found)

    def _leave_out_missing(self, found: Findings) -> None:
        """Missing images keep their row, but no annotation finds it."""
        for image, row in list(self.rows.items()):
            if file_size(self.paths[row]) <= 0:
                found.add("missing or empty image files", f"{self.paths[row]} (image {image})")
                self.rows[image] = -1

    def report_unused(self, used: np.ndarray, found: Findings) -> None:
        """Adds a warning for the images whose rows are not in `used`."""
        unused = np.setdiff1d(np.arange(len(self.ids)), used)
        for image in self.ids[unused]:
            found.add("images without a usable annotation", f"image {image}", fatal=False)


def usable_annotations(
    source: Source, coco: Coco, images: UsableImages
) -> Iterable[tuple[Mapping[str, Any], str]]:
    """Annotations of used categories and images, each with its name in messages."""
    used = {category["id"] for category in coco.categories if is_used(source, category)}
    for annotation, place in zip(coco.annotations, coco.places, strict=True):
        row = images.rows.get(annotation["image_id"], -1)
        if row >= 0 and annotation["category_id"] in used:
            yield annotation, place


def clipped_box(
    annotation: Mapping[str, Any],
    size_wh: Sequence[float],
    place: str,
    found: Findings,
    fatal: bool = True,
) -> tuple[float, float, float, float] | None:
    """The box as xyxy, clipped to the image; None if nothing of it is left."""
    bbox = annotation.get("bbox")
    try:
        x, y, w, h = (float(value) for value in bbox or ())
    except (TypeError, ValueError):
        x = y = w = h = math.nan
    if not math.isfinite(x + y + w + h):
        found.add("boxes that are not [x, y, width, height]", f"{place} has {bbox}")
        return None
    if w <= 0 or h <= 0:
        found.add("boxes without area", f"{place} has {bbox}", fatal)
        return None
    width, height = size_wh
    if not width:
        return x, y, x + w, y + h
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        found.add(
            "boxes outside of the image", f"{place} has {bbox} of {width:.0f}x{height:.0f}", fatal
        )
        return None
    if x < -1 or y < -1 or x + w > width + 1 or y + h > height + 1:
        found.add("boxes partly outside of the image, clipped", place, fatal=False)
    # To the last pixel's centre, as MMPose clips.
    x1, x2 = (min(max(side, 0.0), width - 1) for side in (x, x + w))
    y1, y2 = (min(max(side, 0.0), height - 1) for side in (y, y + h))
    if x2 <= x1 or y2 <= y1:
        found.add("boxes without area", f"{place} has {bbox}", fatal)
        return None
    return x1, y1, x2, y2
