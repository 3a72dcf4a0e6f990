"""Plots in space have one size, the skeleton's colours, and stand still."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posekit.drawing.plot3d import Limits, beside, draw_pose3d, fit_limits
from posekit.errors import InputError
from posekit.result import Pose3D
from posekit.skeleton import Skeleton, load_skeleton

H36M = load_skeleton("h36m")
HANDS = load_skeleton("interhand3d")
GREEN, ORANGE, BLUE = (0, 255, 0), (0, 128, 255), (255, 153, 51)  # BGR: left, right, middle
# A standing adult in metres, the root over the origin.
ADULT = {
    "root": (0, 0, 0.92),
    "right_hip": (0.12, 0, 0.92),
    "right_knee": (0.13, -0.18, 0.5),
    "right_foot": (0.13, 0, 0),
    "left_hip": (-0.12, 0, 0.92),
    "left_knee": (-0.13, 0.12, 0.5),
    "left_foot": (-0.13, 0.4, 0.1),
    "spine": (0, 0, 1.17),
    "thorax": (0, -0.05, 1.42),
    "neck_base": (0, -0.09, 1.52),
    "head": (0, -0.08, 1.63),
    "left_shoulder": (-0.17, 0, 1.4),
    "left_elbow": (-0.23, -0.2, 1.17),
    "left_wrist": (-0.2, -0.42, 1.2),
    "right_shoulder": (0.17, 0, 1.4),
    "right_elbow": (0.24, 0.1, 1.15),
    "right_wrist": (0.26, 0, 0.9),
}


def adults(count: int = 1) -> Pose3D:
    keypoints = np.array([[ADULT[name] for name in H36M.names]], np.float32)
    return pose(np.tile(keypoints, (count, 1, 1)))


def pose(
    keypoints: np.ndarray, scores: np.ndarray | None = None, skeleton: Skeleton = H36M
) -> Pose3D:
    points = np.asarray(keypoints, np.float32).reshape(-1, skeleton.num_keypoints, 3)
    if scores is None:
        scores = np.ones(points.shape[:2])
    return Pose3D(points, np.asarray(scores, np.float32), skeleton, "metres", "z up")


def moved(person: Pose3D, name: str, to: Any, score: float = 1.0) -> Pose3D:
    """One keypoint of the first instance elsewhere."""
    keypoints, scores = person.keypoints.copy(), person.keypoint_scores.copy()
    i = person.skeleton.names.index(name)
    keypoints[0, i], scores[0, i] = to, score
    return pose(keypoints, scores, person.skeleton)


def draw(person: Pose3D, **options: Any) -> np.ndarray:
    return draw_pose3d(person, **{"size_wh": (300, 300), **options})


def count(picture: np.ndarray, color: tuple[int, int, int]) -> int:
    """Pixels of exactly this colour."""
    return int((picture == color).all(axis=-1).sum())


def rows_and_columns(picture: np.ndarray, color: tuple[int, int, int]) -> tuple[float, float]:
    """The middle of the pixels of a colour."""
    row, column = np.argwhere((picture == color).all(axis=-1)).mean(axis=0)
    return float(row), float(column)


@pytest.mark.parametrize("people", [0, 1, 2, 7])
@pytest.mark.parametrize("num_instances", [1, 3, -1])
@pytest.mark.parametrize("size", [(960, 540), (300, 300), (100, 401)])
def test_the_picture_has_the_size_asked_for(
    people: int, num_instances: int, size: tuple[int, int]
) -> None:
    picture = draw(adults(people), size_wh=size, num_instances=num_instances)
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8


def test_the_skeletons_colours_are_there() -> None:
    picture = draw(adults())
    assert all(count(picture, color) > 100 for color in (GREEN, ORANGE, BLUE))


def test_nobody_is_an_empty_stage() -> None:
    picture = draw(adults(0))
    assert not any(count(picture, color) for color in (GREEN, ORANGE, BLUE))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 5  # the floor and the axes


def test_z_is_up_x_to_the_right_and_y_away() -> None:
    def place(at: tuple[float, float, float]) -> tuple[float, float]:
        dot = np.zeros((1, 17, 3))
        dot[0, H36M.names.index("left_wrist")] = at
        scores = np.zeros((1, 17))
        scores[0, H36M.names.index("left_wrist")] = 1
        # A second dot, the root, holds the figure in its place.
        scores[0, 0] = 1
        return rows_and_columns(draw(pose(dot, scores), limits=Limits(2.0)), GREEN)

    row, column = place((0, 0, 1))
    assert abs(column - 150) < 2
    assert place((0, 0, 1.5))[0] < row - 20
    right = place((0.5, 0, 1))
    away = place((0, 0.5, 1))
    assert right[1] > column + 20 and right[0] > row
    assert away[1] > column + 20 and away[0] < row


def test_what_is_near_covers_what_is_far() -> None:
    # Towards the camera, at azimuth -45 and elevation 15 degrees.
    step = 0.3 * np.array([0.68301, -0.68301, 0.25882])
    for sign, front, behind in ((1, GREEN, ORANGE), (-1, ORANGE, GREEN)):
        points = np.zeros((1, 17, 3))
        points[:] = [0, 0, 1]
        scores = np.zeros((1, 17))
        for name, towards in (("left_wrist", sign), ("right_wrist", -sign)):
            points[0, H36M.names.index(name)] = [0, 0, 1] + towards * step
            scores[0, H36M.names.index(name)] = 1
        picture = draw(pose(points, scores), limits=Limits(2.0), radius=8)
        assert count(picture, front) > count(picture, behind)


def test_a_keypoint_below_the_threshold_is_not_drawn_nor_its_links() -> None:
    hidden = [
        draw(moved(adults(), "left_wrist", to, 0.29)) for to in ((-0.2, -0.4, 1.2), (1, 1, 1))
    ]
    np.testing.assert_array_equal(*hidden)
    at_threshold = draw(moved(adults(), "left_wrist", (-0.2, -0.4, 1.2), 0.3))
    assert (at_threshold != hidden[0]).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_left_out(bad: float) -> None:
    expected = draw(moved(adults(), "left_wrist", (0, 0, 0), 0))
    np.testing.assert_array_equal(draw(moved(adults(), "left_wrist", (0, bad, 1))), expected)


@pytest.mark.parametrize("huge", [1e3, 1e9, -1e9, 3e38])
def test_a_keypoint_far_away_leaves_the_others_in_their_place(huge: float) -> None:
    picture = draw(moved(adults(), "left_wrist", (huge, huge, huge)))
    expected = draw(moved(adults(), "left_wrist", (0, 0, 0), 0))
    assert fit_limits(moved(adults(), "left_wrist", (huge, 0, 0))) == fit_limits(adults())
    # Below the title, which the far limb may cross.
    assert (picture != expected).any(axis=-1).mean() < 0.05


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 1e30])
def test_a_figure_of_no_extent_can_be_drawn(value: float) -> None:
    assert draw(pose(np.full((1, 17, 3), value))).shape == (300, 300, 3)


def test_a_figure_stands_on_its_root() -> None:
    limits = Limits(2.0)
    person = adults()
    elsewhere = pose(person.keypoints + [30, -7, 0])
    np.testing.assert_array_equal(draw(elsewhere, limits=limits), draw(person, limits=limits))


def test_a_limb_that_moves_moves_nothing_else() -> None:
    limits = fit_limits(adults())
    before = draw(adults(), limits=limits)
    after = draw(moved(adults(), "left_wrist", (-0.5, -0.3, 1.6)), limits=limits)
    assert (before == ORANGE).all(axis=-1).sum() > 100
    np.testing.assert_array_equal((before == ORANGE).all(axis=-1), (after == ORANGE).all(axis=-1))


@pytest.mark.parametrize("factor", [1.0, 1e-3, 250.0, 7.5e4])
def test_limits_hold_a_figure_in_any_unit(factor: float) -> None:
    limits = fit_limits(pose(adults().keypoints * factor))
    assert 1.63 <= limits.side / factor <= 2.1
    assert limits.on_ground


def test_limits_grow_but_never_shrink() -> None:
    limits = fit_limits(adults())
    assert fit_limits(pose(adults().keypoints * 0.4), limits) == limits
    assert fit_limits(adults(0), limits) == limits
    larger = fit_limits(pose(adults().keypoints * 2), limits)
    assert larger.side >= 1.9 * limits.side
    assert fit_limits(adults(), larger) == larger


def test_a_figure_that_nobody_put_on_the_ground_is_shown_round_its_middle() -> None:
    floating = pose(adults().keypoints - [0, 0, 0.92])
    limits = fit_limits(floating)
    assert not limits.on_ground
    assert fit_limits(adults(), limits) == limits
    picture = draw(floating)
    drawn = (picture == GREEN).all(axis=-1)
    assert drawn.any() and not drawn[-10:].any() and not drawn[:10].any()


def test_the_whole_figure_lies_in_its_cell() -> None:
    for turned in range(0, 360, 45):
        angle = np.radians(turned)
        rotation = np.array(
            [
                [np.cos(angle), -np.sin(angle), 0],
                [np.sin(angle), np.cos(angle), 0],
                [0, 0, 1],
            ]
        )
        picture = draw(pose(adults().keypoints @ rotation.T))
        figure = np.isin(
            picture.reshape(-1, 3).astype(int) @ [1, 256, 65536],
            [np.dot(color, [1, 256, 65536]) for color in (GREEN, ORANGE, BLUE)],
        ).reshape(300, 300)
        assert figure[:, 150:].any() and figure[:, :150].any()
        edge = figure.copy()
        edge[2:-2, 2:-2] = False
        assert not edge.any()


def test_cells_stand_side_by_side_and_the_missing_stay_empty() -> None:
    picture = draw(adults(2), size_wh=(900, 300), num_instances=3)
    cells = np.split(picture, 3, axis=1)
    assert [count(cell, GREEN) > 0 for cell in cells] == [True, True, False]
    np.testing.assert_array_equal(cells[2][:, 1:], draw(adults(0))[:, 1:])


def test_the_first_instances_are_shown() -> None:
    two = pose(np.concatenate([adults().keypoints, adults().keypoints * 0.5]))
    limits = fit_limits(two)
    np.testing.assert_array_equal(draw(two, limits=limits), draw(adults(), limits=limits))


def test_all_instances_are_shown_where_the_number_is_negative() -> None:
    picture = draw(adults(4), size_wh=(600, 600), num_instances=-1)
    quarters = [half for row in np.split(picture, 2) for half in np.split(row, 2, axis=1)]
    assert all(count(quarter, GREEN) > 0 for quarter in quarters)


def test_a_crowd_in_a_small_picture_shows_as_many_as_there_is_room_for() -> None:
    assert draw(adults(50), size_wh=(32, 32), num_instances=-1).shape == (32, 32, 3)


def test_people_keep_their_cells_by_their_track_ids() -> None:
    keypoints = np.concatenate([adults().keypoints, adults().keypoints * 0.5])
    one = draw(pose(keypoints), size_wh=(600, 300), num_instances=2, track_ids=[3, 8])
    other = draw(pose(keypoints[::-1]), size_wh=(600, 300), num_instances=2, track_ids=[8, 3])
    np.testing.assert_array_equal(one, other)
    untitled = draw(pose(keypoints), size_wh=(600, 300), num_instances=2)
    assert (one != untitled).any()


def test_hands_are_drawn_and_an_absent_one_is_not() -> None:
    rng = np.random.default_rng(0)
    # x and z in pixels of an image, y in millimetres.
    keypoints = rng.uniform([300, -60, 0], [520, 60, 200], (1, 42, 3))
    scores = np.ones((1, 42))
    both = draw(pose(keypoints, scores, HANDS))
    scores[0, 21:] = 0
    keypoints[0, 21:] = rng.uniform(0, 5000, (21, 3))
    right = draw(pose(keypoints, scores, HANDS))
    for color in set(HANDS.link_colors):
        assert count(both, color[::-1]) > 30
        assert count(right, color[::-1]) > 15
    # What is not there is nowhere, and the one there is stays in the middle.
    keypoints[0, 21:] = 0
    np.testing.assert_array_equal(draw(pose(keypoints, scores, HANDS)), right)


@pytest.mark.parametrize(
    ("file", "skeleton"), [("human3d__demo.json", H36M), ("hand3d__33.json", HANDS)]
)
def test_what_the_lifters_give_lies_in_the_picture(
    shared: Path, file: str, skeleton: Skeleton
) -> None:
    path = shared / "reference" / "inferencer" / file
    limits = None
    sides = []
    for frame in json.loads(path.read_text(encoding="utf-8"))["result"]:
        found = frame["predictions"][0]
        scores = np.array([person["keypoint_scores"] for person in found])
        # Of seeded networks, whose scores are tiny.
        person = pose(np.array([p["keypoints"] for p in found]), scores, skeleton)
        limits = fit_limits(person, limits, kpt_thr=1e-6)
        sides.append(limits.side)
        picture = draw(person, limits=limits, kpt_thr=1e-6)
        for color in {skeleton.link_colors[0], skeleton.link_colors[-1]}:
            assert count(picture, color[::-1]) > 50
    assert len(set(sides)) <= 2  # the figure hardly ever changes its size


def test_thickness_and_radius_grow_with_the_cell() -> None:
    small, large = draw(adults()), draw(adults(), size_wh=(900, 900))
    share = count(large, GREEN) / count(small, GREEN)
    assert 6 < share < 14  # 9 times the area
    assert count(draw(adults(), radius=8), GREEN) > count(small, GREEN)
    assert count(draw(adults(), thickness=3), GREEN) > count(small, GREEN)


def test_drawing_leaves_no_trace_on_the_next_picture() -> None:
    empty = draw(adults(0))
    draw(adults())[...] = 0
    np.testing.assert_array_equal(draw(adults(0)), empty)


def test_beside_puts_the_image_at_left() -> None:
    image = np.full((40, 70, 3), 7, np.uint8)
    plot = np.full((40, 30, 3), 9, np.uint8)
    both = beside(image, plot)
    assert both.shape == (40, 100, 3)
    assert (both[:, :70] == 7).all() and (both[:, 70:] == 9).all()


@pytest.mark.parametrize("height", [20, 80, 81])
def test_beside_scales_the_plot_to_the_images_height(height: int) -> None:
    image = np.full((40, 70, 3), 7, np.uint8)
    both = beside(image, np.full((height, 2 * height, 3), 9, np.uint8))
    assert both.shape == (40, 150, 3)
    assert (both[:, :70] == 7).all() and (both[:, 70:] == 9).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size_wh": (0, 300)}, "size_wh"),
        ({"size_wh": (300,)}, "size_wh"),
        ({"size_wh": 300}, "size_wh"),
        ({"size_wh": (300.5, 300)}, "size_wh"),
        ({"size_wh": (1 << 20, 300)}, "from 16 to 16384"),
        ({"num_instances": 0}, "num_instances from 1, or negative"),
        ({"num_instances": 1.5}, "num_instances"),
        ({"num_instances": 100_000}, "cells"),
        ({"track_ids": [1, 2]}, r"track_ids \(1,\), found \(2,\)"),
        ({"radius": -1}, "radius between 0"),
        ({"thickness": 0}, "thickness between 1"),
        ({"kpt_thr": "0.3"}, "kpt_thr as a number"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw(adults(), **options)


def test_what_is_not_a_pose_is_refused() -> None:
    with pytest.raises(InputError, match="expected a Pose3D, found ndarray"):
        draw(np.zeros((1, 17, 3)))  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [0, -1, np.nan, np.inf])
def test_limits_of_no_size_are_refused(side: float) -> None:
    with pytest.raises(InputError, match="positive side"):
        Limits(side)


@pytest.mark.parametrize(
    "bad", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8), None]
)
def test_beside_refuses_what_is_no_picture(bad: Any) -> None:
    good = np.zeros((5, 5, 3), np.uint8)
    with pytest.raises(InputError, match="expected the image as BGR"):
        beside(bad, good)
    with pytest.raises(InputError, match="expected the plot as BGR"):
        beside(good, bad)
