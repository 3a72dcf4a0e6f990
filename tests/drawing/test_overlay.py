"""Drawings equal the reference's, and odd input neither crashes nor draws elsewhere."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posekit.drawing.overlay import Style, draw_heatmap, draw_pose
from posekit.errors import InputError
from posekit.skeleton import Skeleton, load_skeleton
from posekit.transforms.heatmaps import project_heatmaps

COCO = load_skeleton("coco")
GREEN = (0, 255, 0)


def grey(height: int = 60, width: int = 80) -> np.ndarray:
    return np.full((height, width, 3), 100, np.uint8)


def dots(*places: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, Skeleton]:
    """One person of unlinked blue-green dots."""
    skeleton = Skeleton(
        name="dots",
        names=tuple(f"dot{i}" for i in range(len(places))),
        flip_indices=tuple(range(len(places))),
        links=(),
        link_colors=(),
        keypoint_colors=((10, 20, 30),) * len(places),
    )
    return np.array([places], np.float64), np.ones((1, len(places))), skeleton


def stick(start: tuple[float, float], end: tuple[float, float]) -> Any:
    """One person of two keypoints with a link."""
    keypoints, scores, skeleton = dots(start, end)
    return (
        keypoints,
        scores,
        dataclasses.replace(skeleton, links=((0, 1),), link_colors=((200, 0, 0),)),
    )


def someone(width: int, height: int) -> np.ndarray:
    """A COCO person (1, 17, 2) spread over an image."""
    places = np.random.default_rng(0).uniform(0.1, 0.9, (1, 17, 2))
    return np.multiply(places, [width, height])


def read(path: Path) -> Any:
    image = cv2.imread(str(path))
    assert image is not None
    return image


def changed(image: np.ndarray) -> np.ndarray:
    """Which pixels of a grey() were drawn on."""
    drawn: np.ndarray = np.any(image != 100, axis=-1)
    return drawn


@pytest.mark.parametrize(
    ("picture", "options"),
    [
        ("mmpose", {}),
        ("mmpose_bbox", {"draw_bbox": True}),
        ("mmpose_black", {"black_background": True}),
        ("mmpose_radius4_thickness2", {"radius": 4, "thickness": 2}),
        ("openpose", {"style": "openpose"}),
    ],
)
def test_a_style_equals_the_reference(shared: Path, picture: str, options: dict[str, Any]) -> None:
    folder = shared / "reference" / "visualization"
    given = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
    image = read(shared / "images" / given["image"])
    expected = read(folder / f"{picture}.png").astype(int)
    drawn = draw_pose(
        image, given["keypoints"], given["keypoint_scores"], COCO, boxes=given["bboxes"], **options
    )
    # OpenCV's versions decode JPEG and rasterise with small differences; here they are equal.
    assert np.abs(drawn - expected).mean() < 0.2


def test_a_heat_map_overlay_equals_the_reference(shared: Path) -> None:
    folder = shared / "reference" / "visualization"
    image = read(shared / "images" / "000000000785.jpg")
    expected = read(folder / "heatmap_hrnet-w32.png")[len(image) :]
    # The levels that the reference coloured, found again by trying each.
    levels = np.full(image.shape[:2], -1.0)
    for level in range(256):
        color = cv2.applyColorMap(np.array([[level]], np.uint8), cv2.COLORMAP_JET)
        layer = np.tile(color, (*image.shape[:2], 1))
        same = cv2.addWeighted(image, 0.5, layer, 0.5, 0) == expected
        levels[same.all(axis=-1)] = level
    if (levels < 0).any() or levels.min() != 0 or levels.max() != 255:
        pytest.skip("this OpenCV decodes the photograph differently from the reference")
    np.testing.assert_array_equal(draw_heatmap(image, levels), expected)


def test_the_image_given_stays_as_it_was() -> None:
    image = grey()
    drawn = draw_pose(image, someone(80, 60), np.ones((1, 17)), COCO)
    assert not changed(image).any()
    assert changed(drawn).any()


def test_colours_are_rgb_in_the_skeleton_and_bgr_in_the_image() -> None:
    assert tuple(draw_pose(grey(), *dots((20, 30)))[30, 20]) == (30, 20, 10)


def test_the_radius_is_that_of_the_dots() -> None:
    columns = changed(draw_pose(grey(), *dots((20, 30)), radius=5)).any(axis=0)
    assert np.flatnonzero(columns).tolist() == list(range(15, 26))


def test_the_thickness_is_that_of_the_links() -> None:
    def rows(thickness: int) -> list[int]:
        drawn = draw_pose(grey(), *stick((10, 30), (70, 30)), radius=0, thickness=thickness)
        return np.flatnonzero(changed(drawn)[:, 40]).tolist()

    assert rows(1) == [30]
    assert set(rows(1)) < set(rows(3)) < set(rows(9))


def test_black_background_shows_nothing_of_the_image() -> None:
    drawn = draw_pose(grey(), *dots((20, 30)), black_background=True)
    assert (drawn[:20] == 0).all()


@pytest.mark.parametrize(("score", "is_drawn"), [(0.29, False), (0.3, True), (np.nan, False)])
def test_only_scores_from_the_threshold_on_are_drawn(score: float, is_drawn: bool) -> None:
    keypoints, _, skeleton = dots((20, 30))
    drawn = draw_pose(grey(), keypoints, np.array([[score]], np.float32), skeleton, kpt_thr=0.3)
    assert changed(drawn).any() == is_drawn


def test_a_link_needs_both_of_its_ends() -> None:
    keypoints, _, skeleton = stick((10, 30), (70, 30))
    drawn = draw_pose(grey(), keypoints, [[0.9, 0.1]], skeleton)
    assert not changed(drawn)[:, 20:].any()


@pytest.mark.parametrize("far", [np.nan, np.inf, -np.inf, 1e30, -1e30, 2.0**31, 40000.0, -50.0])
@pytest.mark.parametrize("style", ["mmpose", "openpose"])
def test_a_keypoint_that_is_nowhere_is_left_out(far: float, style: Style) -> None:
    people = someone(80, 60)
    people[0, 9] = far
    scores = np.ones((1, 17))
    drawn = draw_pose(grey(), people, scores, COCO, style=style)
    scores[0, 9] = 0
    without = draw_pose(grey(), people, scores, COCO, style=style)
    np.testing.assert_array_equal(drawn, without)


def test_a_dot_at_the_border_is_cut_off() -> None:
    drawn = changed(draw_pose(grey(), *dots((-2, 30), (79, 59)), radius=3))
    assert drawn[30, 0]
    assert drawn[59, 79]


@pytest.mark.parametrize("style", ["mmpose", "openpose"])
@pytest.mark.parametrize("empty", [[], np.zeros((0, 17, 2))])
def test_nobody_gives_the_image(style: Style, empty: Any) -> None:
    scores = np.zeros((0, 17))
    drawn = draw_pose(
        grey(), empty, scores, COCO, boxes=np.zeros((0, 4)), style=style, draw_bbox=True
    )
    np.testing.assert_array_equal(drawn, grey())


@pytest.mark.parametrize("style", ["mmpose", "openpose"])
def test_an_image_of_one_pixel_can_be_drawn_on(style: Style) -> None:
    keypoints = np.zeros((1, 17, 2))
    drawn = draw_pose(grey(1, 1), keypoints, np.ones((1, 17)), COCO, style=style)
    assert drawn.shape == (1, 1, 3)


def test_a_view_of_an_image_can_be_drawn_on() -> None:
    image = grey()[::-1, ::-1]
    assert changed(draw_pose(image, *dots((20, 30))))[30, 20]


def test_boxes_are_drawn_only_when_asked_for() -> None:
    keypoints, scores, skeleton = dots((20, 30))
    boxes = [[5.9, 10.2, 60, 50]]
    with_boxes = draw_pose(grey(), keypoints, scores, skeleton, boxes=boxes, draw_bbox=True)
    assert tuple(with_boxes[10, 5]) == GREEN
    without = draw_pose(grey(), keypoints, scores, skeleton, boxes=boxes)
    assert not changed(without)[10].any()


def test_a_box_beyond_the_image_shows_the_edges_that_lie_inside() -> None:
    keypoints, scores, skeleton = dots((40, 40))
    boxes = [[-1e12, 10, 1e12, 1e12]]
    drawn = changed(draw_pose(grey(), keypoints, scores, skeleton, boxes=boxes, draw_bbox=True))
    assert drawn[10].all()
    assert not drawn[11:35].any()


def test_a_box_with_nan_is_left_out() -> None:
    keypoints, scores, skeleton = dots((40, 40))
    boxes = [[np.nan, 10, 20, 20]]
    drawn = draw_pose(grey(), keypoints, scores, skeleton, boxes=boxes, draw_bbox=True)
    np.testing.assert_array_equal(drawn, draw_pose(grey(), keypoints, scores, skeleton))


def test_openpose_puts_a_neck_between_the_shoulders() -> None:
    people = np.full((1, 17, 2), -50.0)
    people[0, 5], people[0, 6] = (60, 30), (20, 30)
    drawn = draw_pose(grey(), people, np.ones((1, 17)), COCO, style="openpose")
    assert tuple(drawn[30, 40]) == (0, 85, 255)  # the neck's colour, as BGR


def test_openpose_leaves_the_neck_out_without_one_shoulder() -> None:
    people = np.full((1, 17, 2), -50.0)
    people[0, 5], people[0, 6] = (60, 30), (20, 30)
    scores = np.ones((1, 17))
    scores[0, 6] = 0
    drawn = changed(draw_pose(grey(), people, scores, COCO, style="openpose"))
    assert not drawn[:, 30:50].any()


def test_openpose_limbs_let_the_image_through() -> None:
    people = np.full((1, 17, 2), -50.0)
    people[0, 5], people[0, 7] = (10, 30), (70, 30)  # left upper arm
    drawn = draw_pose(grey(), people, np.ones((1, 17)), COCO, style="openpose")
    # 40 % of grey 100, 60 % of the limb's RGB (170, 255, 0)
    assert drawn[30, 40].tolist() == [40, 193, 142]


def test_openpose_halves_the_dots_of_the_face_and_hides_black_ones() -> None:
    wholebody = load_skeleton("coco_wholebody")
    people = np.full((1, 133, 2), -50.0)
    people[0, wholebody.names.index("face-0")] = (20, 30)
    people[0, wholebody.names.index("left_big_toe")] = (60, 30)
    drawn = changed(draw_pose(grey(), people, np.ones((1, 133)), wholebody, style="openpose"))
    assert np.flatnonzero(drawn[30]).tolist() == [19, 20, 21]


def test_a_skeleton_without_an_openpose_style_is_refused() -> None:
    with pytest.raises(InputError, match="'dots' has no OpenPose style"):
        draw_pose(grey(), *dots((20, 30)), style="openpose")


def test_an_openpose_skeleton_of_other_keypoints_is_refused() -> None:
    keypoints, scores, skeleton = dots((20, 30))
    other = dataclasses.replace(skeleton, openpose=COCO.openpose)
    with pytest.raises(InputError, match="it has no nose, neck"):
        draw_pose(grey(), keypoints, scores, other, style="openpose")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((5, 5), np.uint8), r"BGR image .* found \(5, 5\) of uint8; cv2.cvtColor"),
        (np.zeros((5, 5, 4), np.uint8), r"found \(5, 5, 4\)"),
        (np.zeros((5, 5, 3), np.float32), "of float32"),
        (np.zeros((0, 5, 3), np.uint8), r"found \(0, 5, 3\)"),
        ([[1]], "found list"),
    ],
)
def test_what_is_not_a_bgr_image_is_refused(image: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw_pose(image, *dots((1, 1)))
    with pytest.raises(InputError, match=message):
        draw_heatmap(image, np.zeros((5, 5)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": -1}, "radius between 0"),
        ({"radius": 2.5}, "radius as a whole number"),
        ({"thickness": 0}, "thickness between 1"),
        ({"style": "cubist"}, "'mmpose' or 'openpose', found 'cubist'"),
        ({"draw_bbox": True}, "draw_bbox needs the boxes"),
        ({"draw_bbox": True, "boxes": [[1, 2, 3]]}, r"expected boxes \(1, 4\), found \(1, 3\)"),
        ({"dot_opacity": [[1, 0]]}, r"dot_opacity as a number or \(1, \d+\), found \(1, 2\)"),
        ({"box_color": "gren"}, "box_color: unknown colour 'gren'"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw_pose(grey(), *dots((20, 30)), **options)


def test_keypoints_of_another_skeleton_are_refused() -> None:
    with pytest.raises(InputError, match=r"keypoints \(n, 17, 2\).*'coco', found \(1, 21, 2\)"):
        draw_pose(grey(), np.zeros((1, 21, 2)), np.ones((1, 21)), COCO)


def test_a_heat_map_goes_from_blue_to_red() -> None:
    heatmap = np.zeros((2, 60, 80), np.float32)
    heatmap[1, 30, 20] = 7
    black = np.zeros((60, 80, 3), np.uint8)
    drawn = draw_heatmap(black, heatmap)
    blue, red = drawn[0, 0].tolist(), drawn[30, 20].tolist()
    assert blue[0] > 50 and blue[1:] == [0, 0]
    assert red[2] > 50 and red[:2] == [0, 0]


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan])
def test_a_flat_heat_map_is_drawn(value: float) -> None:
    drawn = draw_heatmap(grey(), np.full((60, 80), value))
    assert (drawn == drawn[0, 0]).all()


def test_a_heat_map_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"image's \(60, 80\) pixels.*found \(17, 64, 48\)"):
        draw_heatmap(grey(), np.zeros((17, 64, 48)))


def test_heat_maps_land_where_their_people_are() -> None:
    heatmaps = np.zeros((2, 40, 8, 6), np.float32)  # more keypoints than are warped at a time
    heatmaps[0, 3, 2, 4] = 5
    heatmaps[1, 39, 0, 0] = 3
    to_image = np.array([[[2, 0, 10], [0, 2, 20]], [[2, 0, 50], [0, 2, 30]]], np.float64)
    heat = project_heatmaps(heatmaps, to_image, (80, 60))
    assert heat.shape == (60, 80)
    assert heat[24, 18] == pytest.approx(5)
    assert heat[30, 50] == pytest.approx(3)
    assert not heat[:, 30:45].any()


def test_a_heat_map_equals_a_warp_over_the_whole_image() -> None:
    maps = np.random.default_rng(0).random((1, 3, 16, 12), np.float32)
    warp = np.array([[5.3, 0, -14.2], [0, 5.3, 9.7]])
    whole = cv2.warpAffine(np.ascontiguousarray(maps[0].transpose(1, 2, 0)), warp, (80, 60))
    heat = project_heatmaps(maps, warp[None], (80, 60))
    # OpenCV rounds source positions to 1/32 of a pixel.
    np.testing.assert_allclose(heat, whole.max(axis=-1), atol=1 / 16)


@pytest.mark.parametrize("offset", [1e9, -1e9, np.nan])
def test_a_heat_map_outside_the_image_is_left_out(offset: float) -> None:
    warp = np.array([[[1, 0, offset], [0, 1, 0]]])
    assert not project_heatmaps(np.ones((1, 2, 8, 6)), warp, (80, 60)).any()


def test_no_heat_maps_give_an_empty_one() -> None:
    heat = project_heatmaps(np.zeros((0, 17, 64, 48)), np.zeros((0, 2, 3)), (80, 60))
    assert heat.shape == (60, 80)
    assert not heat.any()


def test_heat_maps_without_their_places_are_refused() -> None:
    with pytest.raises(InputError, match=r"found \(2, 17, 8, 6\) and \(1, 2, 3\)"):
        project_heatmaps(np.zeros((2, 17, 8, 6)), np.zeros((1, 2, 3)), (80, 60))
