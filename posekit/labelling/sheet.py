"""A picture of the first labels, to see at a glance whether left, right and order are right."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from posekit.drawing.overlay import draw_pose
from posekit.errors import InputError
from posekit.io.images import read_image
from posekit.labelling.label_set import Category, Image, LabelSet
from posekit.names import all_tokens, flip_indices, side_color
from posekit.skeleton import Skeleton
from posekit.transforms.image import letterbox

__all__ = ["draw_sheet", "skeleton_of"]

TILES, COLUMNS, TILE = 12, 4, 400
LEGEND = 300  # pixels, of the list of names
LINE = 18
GREY = 40


def draw_sheet(labels: LabelSet) -> np.ndarray | None:
    """The first labelled images, cut to their largest person, beside a list of the keypoints.

    Keypoints are numbered. Left is green and right orange, by flip pairs where names tell no side.
    Hidden keypoints are rings.

    Returns:
        (H, W, 3), BGR; None where nobody is labelled.
    """
    chosen = [image for image in labels.images if any(p.labelled for p in image.people)][:TILES]
    tiles = []
    for image in chosen:
        try:
            tiles.append(_tile(image, labels))
        except InputError:
            continue  # its header could be read; who trains on it is told
    if not tiles:
        return None
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    used = {person.category for image in chosen for person in image.people}
    legend = _legend([labels.categories[name] for name in labels.categories if name in used])
    height = max(rows * TILE, len(legend) * LINE + LINE)
    sheet = np.full((height, LEGEND + columns * TILE, 3), GREY, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * TILE, LEGEND + number % columns * TILE
        sheet[top : top + TILE, left : left + TILE] = tile
    for number, (text, color) in enumerate(legend, 1):
        _write(sheet, text, (8, number * LINE), color)
    return sheet


def skeleton_of(category: Category) -> Skeleton:
    """The keypoints of a category with colours that tell left from right."""
    names = category.keypoints
    flips = category.flip_indices or flip_indices(names)
    tokens = all_tokens(names)
    colors = []
    for i, other in enumerate(flips):
        sided = tokens[i][:1] in (("left",), ("right",))
        first = ("left",) if i < other else ("right",)
        colors.append(side_color(tokens[i] if sided or other == i else first))
    return Skeleton(
        name=category.name or "labels",
        names=names,
        flip_indices=tuple(flips),
        links=category.links,
        link_colors=tuple(colors[start] for start, _ in category.links),
        keypoint_colors=tuple(colors),
    )


def _tile(image: Image, labels: LabelSet) -> np.ndarray:
    assert image.path is not None
    pixels = read_image(image.path)
    left, top, right, bottom = _window(image)
    tile = np.empty((TILE, TILE, 3), np.uint8)
    scale = np.array(letterbox(pixels[top:bottom, left:right], tile, GREY))
    marks = []
    for person in image.people:
        category = labels.categories[person.category]
        if not category.keypoints:
            continue
        skeleton = skeleton_of(category)
        points = np.array(person.points, np.float64)
        places, seen = (points[:, :2] - (left, top)) * scale, points[:, 2]
        boxes = None
        if person.box is not None:
            x, y, w, h = person.box
            corners = np.array([(x, y), (x + w, y + h)])
            boxes = ((corners - (left, top)) * scale).reshape(1, 4)
        tile = draw_pose(
            tile, places[None], (seen > 0)[None].astype(float), skeleton, boxes=boxes,
            draw_bbox=boxes is not None, kpt_thr=0.5, dot_opacity=(seen == 2)[None].astype(float),
        )  # fmt: skip
        for number, (place, v) in enumerate(zip(places, seen, strict=True)):
            if v > 0:
                marks.append((number, place, v, skeleton.keypoint_colors[number]))
    for number, place, v, color in marks:
        at = (round(float(place[0])), round(float(place[1])))
        if v == 1:
            cv2.circle(tile, at, 4, color[::-1], 1, cv2.LINE_AA)
        _write(tile, str(number), (at[0] + 4, at[1] - 3), color)
    width, height = np.rint(scale * (right - left, bottom - top)).astype(int)
    tile[height:], tile[:, width:] = GREY, GREY  # of people who are partly beyond what is shown
    _write(tile, image.path.name[-50:], (4, TILE - 6), (255, 255, 255))
    return tile


def _window(image: Image) -> tuple[int, int, int, int]:
    """What is shown: the person whose labels reach the furthest, with a margin."""
    assert image.size is not None
    extents = []
    for person in image.people:
        known = [(x, y) for x, y, v in person.points if v > 0]
        if known and person.box is not None:
            x, y, w, h = person.box
            known += [(x, y), (x + w, y + h)]
        if known:
            xs, ys = zip(*known, strict=True)
            low, high = (min(xs), min(ys)), (max(xs), max(ys))
            extents.append((max(high[0] - low[0], high[1] - low[1]), *low, *high))
    side, *box = max(extents)
    margin = 0.15 * side + 8
    left, top = (max(0, int(start - margin)) for start in box[:2])
    ends = (int(end + margin) + 1 for end in box[2:])
    right, bottom = (min(side, end) for side, end in zip(image.size, ends, strict=True))
    if left >= right or top >= bottom:  # all of it lies beyond the picture
        return (0, 0, *image.size)
    return left, top, right, bottom


def _legend(categories: Sequence[Category]) -> list[tuple[str, tuple[int, int, int]]]:
    lines = [("left green, right orange; ring: hidden", (255, 255, 255))]
    for category in categories:
        lines.append((category.name, (255, 255, 255)))
        if category.keypoints:
            colors = skeleton_of(category).keypoint_colors
            named = enumerate(zip(category.keypoints, colors, strict=True))
            lines += [(f"{i} {name}", color) for i, (name, color) in named]
    return lines


def _write(canvas: np.ndarray, text: str, at: tuple[int, int], color: tuple[int, int, int]) -> None:
    plain = text.encode("ascii", "replace").decode()
    # Not a thicker text behind it: of some versions of OpenCV thick letters are wider.
    for right, down in ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)):
        shade = (0, 0, 0) if right or down else color[::-1]
        place = (at[0] + right, at[1] + down)
        cv2.putText(canvas, plain, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, shade, 1, cv2.LINE_AA)
