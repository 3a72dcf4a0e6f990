"""Ids, scores, angles, names and trails: where they are, and that they are only where asked for."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from posekit.drawing.drawer import Drawer, Look
from posekit.drawing.labels import Labels, text_height
from posekit.drawing.marks import MARKS, draw_marks
from posekit.drawing.overlay import DrawOptions, draw_pose, draw_result
from posekit.drawing.palettes import PALETTES
from posekit.errors import InputError
from posekit.options import PredictOptions
from posekit.result import PoseResult
from posekit.skeleton import load_skeleton
from posekit.stages.packet import Clip, Packet

COCO = load_skeleton("coco")
# A person who stands, in shares of the box; COCO's order.
STANDING = np.array(
    [
        *([0.5, 0.1], [0.55, 0.08], [0.45, 0.08], [0.6, 0.1], [0.4, 0.1]),
        *([0.7, 0.25], [0.3, 0.25], [0.8, 0.4], [0.2, 0.4], [0.85, 0.55], [0.15, 0.55]),
        *([0.65, 0.55], [0.35, 0.55], [0.65, 0.75], [0.35, 0.75], [0.65, 0.95], [0.35, 0.95]),
    ],
    np.float32,
)


def people(
    *boxes: tuple[float, float, float, float],
    size: tuple[int, int] = (320, 240),
    ids: list[int] | None = None,
    **changes: Any,
) -> PoseResult:
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    n = len(corners)
    result = PoseResult(
        keypoints=corners[:, None, :2] + STANDING * (corners[:, None, 2:] - corners[:, None, :2]),
        keypoint_scores=np.ones((n, 17), np.float32),
        boxes_xyxy=corners,
        box_scores=np.linspace(0.9, 0.5, n, dtype=np.float32),
        skeleton=COCO,
        image_size=size,
        name="a.jpg",
        index=0,
        track_ids=None if ids is None else np.array(ids),
    )
    return dataclasses.replace(result, **changes)


def grey(size: tuple[int, int] = (320, 240), value: int = 128) -> np.ndarray:
    return np.full((size[1], size[0], 3), value, np.uint8)


def marked(result: PoseResult, *marks: str, value: int = 128) -> np.ndarray:
    """Which pixels a result's marks changed."""
    image = grey(result.image_size, value)
    draw_marks(image, result, marks, PALETTES["mmpose"], kpt_thr=0.3)  # type: ignore[arg-type]
    changed: np.ndarray = (image != value).any(axis=-1)
    return changed


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def test_ids_are_drawn_where_there_are_any() -> None:
    box = (100, 80, 160, 220)
    image, bare, known = grey(), people(box), people(box, ids=[7])
    options = DrawOptions()
    plain = draw_pose(image, bare.keypoints, bare.keypoint_scores, COCO)
    np.testing.assert_array_equal(draw_result(image, bare, options), plain)
    drawn = draw_result(image, known, options)
    x1, y1, x2, y2 = extent((drawn != plain).any(axis=-1))
    # A plate of the track's colour right above the box.
    assert (x1, y2) == (100, 80)
    assert y1 > 60 and x2 < 130
    color = PALETTES["mmpose"].person(7)[::-1]
    assert (drawn[y1:y2, x1:x2] == color).all(axis=-1).mean() > 0.4
    np.testing.assert_array_equal(draw_result(image, known, DrawOptions(draw=[])), plain)


def test_different_ids_are_different_texts() -> None:
    box = (100, 80, 160, 220)
    pictures = [marked(people(box, ids=[number]), "ids") for number in (1, 12, 123)]
    widths = [extent(picture)[2] - 100 for picture in pictures]
    assert widths == sorted(set(widths))
    assert marked(people(box), "ids").sum() == 0  # nobody knows who it is
    assert extent(marked(people(box, ids=[1]), "ids", "scores"))[2] - 100 > widths[0]


@pytest.mark.parametrize(
    "box",
    [
        (100, -20, 160, 200),  # cut by the upper edge
        (-40, 60, 20, 200),
        (300, 60, 360, 200),
        (290, 0, 320, 60),
        (0, 0, 320, 240),  # all of it
        (100, 230, 160, 300),
        (-90, -90, -20, -10),  # beside it
        (1e9, 1e9, 2e9, 2e9),
    ],
)
def test_a_label_lies_inside_the_image(box: tuple[float, float, float, float]) -> None:
    with_edges = marked(people(box, ids=[42]), "ids", "scores")
    assert with_edges.sum() > 100
    x1, y1, x2, y2 = extent(with_edges)
    filled = with_edges[y1:y2, x1:x2].mean()
    assert filled == 1.0  # the whole plate, none of it cut off


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (12, 8), (40, 30), (64, 64), (2000, 1500)])
def test_any_size_of_image_does(size: tuple[int, int]) -> None:
    width, height = size
    result = people((0.2 * width, 0.2 * height, 0.7 * width, 0.9 * height), size=size, ids=[3])
    drawn = marked(result, *MARKS)
    assert drawn.shape == (height, width)
    if min(size) >= 30:
        text = marked(result, "ids")
        x1, y1, x2, y2 = extent(text)
        assert text[y1:y2, x1:x2].all()
        assert y2 - y1 < height / 2


def test_text_grows_with_the_person_and_the_image() -> None:
    assert text_height((320, 240), (0, 0, 20, 60)) == 8
    assert text_height((3840, 2160), (0, 0, 600, 1200)) == 60
    assert text_height((3840, 2160), (0, 0, 1800, 2100)) == 90  # a share of the image at most


def test_a_label_keeps_away_from_faces() -> None:
    below, above = (100, 90, 160, 230), (95, 10, 155, 95)
    # The lower one's plate would be where the upper one's face is if that were upside down.
    upper = people(above)
    turned = upper.keypoints.copy()
    turned[..., 1] = above[1] + above[3] - turned[..., 1]
    result = people(below, above, ids=[1, 2])
    keypoints = np.concatenate([result.keypoints[:1], turned])
    result = dataclasses.replace(result, keypoints=keypoints)
    drawn = marked(result, "ids", "scores")
    face = turned[0, :5]
    (x1, y1), (x2, y2) = face.min(axis=0).astype(int), face.max(axis=0).astype(int)
    assert not drawn[y1 : y2 + 1, x1 : x2 + 1].any()
    assert drawn.sum() > 0


def test_labels_do_not_cover_each_other() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform([0, 0], [280, 180], (12, 2))
    boxes = [(x, y, x + 30, y + 60) for x, y in corners]
    result = people(*boxes, ids=list(range(12)))
    single = sum(int(marked(result[np.array([row])], "ids").sum()) for row in range(len(result)))
    assert marked(result, "ids").sum() > 0.98 * single


@pytest.mark.parametrize("value", [0, 60, 128, 200, 255])
def test_text_is_read_on_any_background(value: int) -> None:
    image = grey(value=value)
    labels = Labels(image, np.zeros((0, 4)))
    assert labels.at_point("nose", (100, 100), 14, 3)
    labels.of_person("12 0.9", (20, 40, 60, 120), (0, 114, 178), 14)
    labels.draw()
    beside = image[85:115, 95:170].reshape(-1, 3)
    # OpenCV 4 has thinner letters, nowhere quite white.
    assert (beside > 200).all(axis=1).sum() > 20
    assert (beside < 40).all(axis=1).sum() > 20
    plate = image[15:40, 20:110].reshape(-1, 3)
    assert (plate == (178, 114, 0)).all(axis=1).sum() > 100
    assert (plate > 200).all(axis=1).sum() > 20 or value > 200


def test_lines_to_names_are_as_wide_as_the_picture_asks_for() -> None:
    widths = []
    for side in (200, 720, 2000):
        image = grey((side, side))
        labels = Labels(image, np.array([[side * 0.3, side * 0.45, side * 0.7, side * 0.55]]))
        assert labels.at_point("nose", (side / 2, side / 2), side / 10, 3)  # above the face
        labels.draw()
        widths.append(int((image[round(side * 0.47), :, 0] != 128).sum()))
    assert 0 < widths[0] < widths[1] < widths[2]


def test_names_stand_beside_their_keypoints() -> None:
    result = people((100, 60, 200, 230), size=(400, 300))
    scores = np.zeros_like(result.keypoint_scores)
    scores[0, 13] = 1  # a knee alone
    drawn = marked(dataclasses.replace(result, keypoint_scores=scores), "names")
    x, y = result.keypoints[0, 13]
    x1, y1, x2, y2 = extent(drawn)
    assert x < x1 < x + 12 and y1 < y < y2
    assert x2 - x1 > 3 * (y2 - y1)


def test_angles_are_those_of_the_joints() -> None:
    result = people((100, 60, 200, 230), size=(400, 300))
    assert marked(result, "angles").sum() > 200
    hidden = dataclasses.replace(result, keypoint_scores=np.zeros_like(result.keypoint_scores))
    assert not marked(hidden, "angles").any()
    with pytest.raises(
        InputError, match="draw=angles does not apply: skeleton 'coco_wholebody_hand"
    ):
        PredictOptions(draw="angles").check_drawn(load_skeleton("coco_wholebody_hand"))


def test_boxes_have_the_colours_of_people() -> None:
    image = grey()
    result = people((20, 60, 80, 200), (150, 60, 210, 200), ids=[4, 9])
    palette = PALETTES["colorblind"]
    drawn = draw_result(image, result, DrawOptions(draw=["boxes"], palette="colorblind"))
    assert tuple(drawn[150, 20][::-1]) == palette.person(4)
    assert tuple(drawn[150, 150][::-1]) == palette.person(9)
    both = draw_result(image, result, DrawOptions(draw=[], draw_bbox=True))
    assert tuple(both[150, 20]) == (0, 255, 0)


def test_a_trail_goes_where_a_person_has_been() -> None:
    clip = Clip("a.mp4", "a.mp4", (320, 240), Fraction(25))
    drawings = []
    with Drawer(Look(draw=["trail"])) as drawer:
        for number in range(60):
            x = 20.0 + 4 * number
            result = people((x, 80, x + 20, 140), ids=[5], frame_id=number, name="a.mp4")
            drawings.append(drawer.draw(Packet(result, clip, number / 25, grey())))
        color = PALETTES["mmpose"].person(5)[::-1]
        along = (np.abs(drawings[-1][110].astype(int) - color).max(axis=-1) < 40).nonzero()[0]
        # Of the last forty frames: the middles of the boxes.
        assert 100 <= along.min() <= 115 and along.max() >= 240
        other = Clip("b.mp4", "b.mp4", (320, 240), Fraction(25))
        alone = drawer.draw(Packet(result, other, 0.0, grey()))
    assert not (alone[110, :240] == color).all(axis=-1).any()


@pytest.mark.parametrize("draw", ["id", ["boxes", 3], 5, {"ids": 1}, b"ids"])
def test_a_wrong_mark_is_refused(draw: Any) -> None:
    with pytest.raises(InputError, match="draw must be one or several of boxes, ids, scores"):
        DrawOptions(draw=draw)


@pytest.mark.parametrize("mark", ["ids", "trail"])
def test_who_is_who_needs_tracks(mark: str) -> None:
    with pytest.raises(InputError, match=f"draw={mark} needs track ids: set track=iou"):
        PredictOptions(draw=mark)
    PredictOptions(draw=mark, track="iou")


def test_a_style_with_its_own_colours_has_no_palette() -> None:
    with pytest.raises(InputError, match="palette=colorblind does not apply to skeleton_style"):
        DrawOptions(palette="colorblind", skeleton_style="openpose")
