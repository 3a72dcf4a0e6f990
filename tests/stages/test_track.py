"""People keep their ids, and are followed between detections."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posekit.errors import InputError
from posekit.skeleton import load_skeleton
from posekit.stages.track import Similarity, Tracker

SIGMAS = load_skeleton("coco").sigmas
# Where a person's 17 keypoints are in their box, from -0.4 to 0.4 of its sides.
BODY = np.random.default_rng(0).uniform(-0.4, 0.4, (17, 2))
BODY[0], BODY[1] = (-0.4, -0.4), (0.4, 0.4)
WIDTH, HEIGHT = 60.0, 160.0
BOTH = pytest.mark.parametrize("similarity", ["iou", "oks"])


def people(*centers: tuple[float, float], size: float = 1.0, score: float = 2.5) -> Any:
    """Boxes, their scores, keypoints and their scores; these exceed 1, as SimCC's do."""
    middle = np.array(centers, np.float64).reshape(-1, 2)
    side = size * np.array([WIDTH, HEIGHT])
    boxes = np.concatenate([middle - side / 2, middle + side / 2], axis=1).astype(np.float32)
    keypoints = (middle[:, None] + BODY * side).astype(np.float32)
    n = len(middle)
    return (
        boxes,
        np.full(n, 0.9, np.float32),
        keypoints,
        np.full((n, 17), score, np.float32),
    )


def ids_of(tracker: Tracker, *centers: tuple[float, float]) -> list[int]:
    ids = tracker.update(*people(*centers))
    assert ids.dtype == np.int64
    return list(ids.tolist())


def crossing(tracker: Tracker, *, hidden: range = range(0)) -> list[tuple[int, int]]:
    """Two people walk through each other; (id of who goes right, id of who goes left) per frame.

    In the hidden frames the one going left is behind the other.
    """
    seen = []
    for frame in range(60):
        right, left = (100.0 + 8 * frame, 300.0), (572.0 - 8 * frame, 304.0)
        if frame in hidden:
            ids_of(tracker, right)
            continue
        # The detector's order changes from frame to frame.
        if frame % 2:
            one, other = ids_of(tracker, right, left)
        else:
            other, one = ids_of(tracker, left, right)
        seen.append((one, other))
    return seen


@BOTH
def test_ids_count_from_zero_and_stay(similarity: Similarity) -> None:
    tracker = Tracker(similarity=similarity, sigmas=SIGMAS)
    for frame in range(10):
        x = 5.0 * frame
        assert ids_of(tracker, (100 + x, 200), (400 - x, 200), (700, 200 + x)) == [0, 1, 2]


@BOTH
def test_the_order_of_the_instances_does_not_matter(similarity: Similarity) -> None:
    tracker = Tracker(similarity=similarity, sigmas=SIGMAS)
    assert ids_of(tracker, (100, 200), (400, 200), (700, 200)) == [0, 1, 2]
    assert ids_of(tracker, (702, 200), (101, 200), (403, 200)) == [2, 0, 1]


@BOTH
def test_two_who_cross_keep_their_ids(similarity: Similarity) -> None:
    tracker = Tracker(similarity=similarity, sigmas=SIGMAS)
    assert set(crossing(tracker)) == {(1, 0)}


@BOTH
def test_one_hidden_behind_the_other_keeps_the_id(similarity: Similarity) -> None:
    tracker = Tracker(similarity=similarity, sigmas=SIGMAS)
    assert set(crossing(tracker, hidden=range(26, 35))) == {(1, 0)}


@BOTH
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [3, 8])
def test_two_who_cross_and_jitter_stay_two(similarity: Similarity, noise: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tracker = Tracker(similarity=similarity, sigmas=SIGMAS)
    for frame in range(60):
        arrays = people((100.0 + 8 * frame, 300.0), (572.0 - 8 * frame, 304.0), size=1.5)
        for array in (arrays[0], arrays[2]):
            array += rng.normal(0, noise, array.shape)
        ids = tracker.update(*arrays).tolist()
        assert set(ids) == {0, 1}
    # Of one size and pose, they are told apart by their ways alone.
    assert ids == [0, 1] or noise == 8


def test_without_motion_people_who_cross_change_their_ids() -> None:
    swaps = 0
    for frame in range(59):
        tracker = Tracker()  # one that knows the frame before only, and so no speeds
        for step in (frame, frame + 1):
            ids = ids_of(tracker, (100.0 + 8 * step, 300.0), (572.0 - 8 * step, 304.0))
        swaps += ids == [1, 0]
    assert swaps == 1


def test_someone_fast_is_found_where_they_are_heading() -> None:
    tracker = Tracker()
    # From 15 pixels per frame to 90, which is beyond the box's own width.
    x, speed = 100.0, 15.0
    for _ in range(16):
        assert ids_of(tracker, (x, 200)) == [0]
        x, speed = x + speed, speed + 5


@BOTH
@pytest.mark.parametrize(("frames", "expected"), [(1, 0), (5, 0), (6, 1)])
def test_an_id_comes_back_until_max_age(similarity: Similarity, frames: int, expected: int) -> None:
    tracker = Tracker(similarity=similarity, sigmas=SIGMAS, max_age=5)
    for _ in range(4):
        assert ids_of(tracker, (100, 200)) == [0]
    for _ in range(frames):
        assert ids_of(tracker) == []
    assert ids_of(tracker, (100, 200)) == [expected]


def test_one_who_walks_out_and_comes_back_at_the_same_edge_keeps_the_id() -> None:
    tracker = Tracker()
    for x in range(200, 20, -8):
        ids_of(tracker, (x, 200))
    for _ in range(12):
        ids_of(tracker)
    assert ids_of(tracker, (30, 200)) == [0]


@BOTH
def test_one_who_walks_out_and_turns_back_stays_one(similarity: Similarity) -> None:
    tracker = Tracker(similarity=similarity, sigmas=SIGMAS)
    for x in range(200, 20, -8):
        ids_of(tracker, (x, 200))
    for _ in range(12):
        ids_of(tracker)
    # The speed from before the absence would lead out of the image once more.
    assert [ids_of(tracker, (x, 200)) for x in range(30, 200, 8)] == [[0]] * 22


def test_a_newcomer_in_the_place_of_one_who_left_long_ago_gets_a_new_id() -> None:
    tracker = Tracker(max_age=3)
    ids_of(tracker, (100, 200), (500, 200))
    for _ in range(10):
        assert ids_of(tracker, (500, 200)) == [1]
    assert ids_of(tracker, (100, 200), (500, 200)) == [2, 1]


def test_one_who_was_just_seen_comes_before_one_who_was_away() -> None:
    tracker = Tracker()
    ids_of(tracker, (100, 200), (600, 200))  # 0 stays away from now on
    for x in range(600, 120, -20):
        ids = ids_of(tracker, (x, 200))
    assert ids == [1]
    # Nearer to where 0 was than to where 1 is expected.
    assert ids_of(tracker, (103, 200)) == [1]


@pytest.mark.parametrize("hidden", [range(0), range(63, 72)])
def test_two_in_one_place_are_told_apart_by_how_their_boxes_swing(hidden: range) -> None:
    tracker = Tracker()
    seen = []
    for frame in range(100):
        boxes, *others = people((300, 300), (302, 300))
        middle = (boxes[:, [0]] + boxes[:, [2]]) / 2
        # One opens the legs while the other closes them; every ten frames they are alike.
        half = (
            WIDTH / 2 * np.exp(0.3 * np.cos(2 * np.pi * frame / 20 + 0.5) * np.array([[1], [-1]]))
        )
        boxes[:, [0, 2]] = middle + half * [-1, 1]
        if frame in hidden:
            tracker.update(boxes[:0], *(array[:0] for array in others))
            continue
        turn = 1 if frame % 3 else -1  # the order is the detector's
        ids = tracker.update(boxes[::turn], *(array[::turn] for array in others))[::turn]
        seen.append(tuple(ids.tolist()))
    assert len(set(seen[30:])) == 1  # once the first steps are seen


@BOTH
@pytest.mark.parametrize("sides", [(0, 1), (1, 0), (0, 0)])
def test_boxes_without_an_area_leave_all_numbers_finite(
    similarity: Similarity, sides: tuple[int, int]
) -> None:
    tracker = Tracker(similarity=similarity)
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        for frame in range(60):
            boxes, *others = people((300, 300), (500, 300))
            if frame % 7 == 0:
                boxes[:, 2:] = boxes[:, :2] + (boxes[:, 2:] - boxes[:, :2]) * sides
            tracker.update(boxes, *others)
            assert np.isfinite(tracker.predicted_boxes()[0]).all()


def test_nobody_is_followed() -> None:
    tracker = Tracker()
    _, _, ids = tracker.carry((64, 48))
    assert tracker.follow(ids, np.zeros((0, 17, 2)), np.zeros((0, 17))).tolist() == []


def test_an_empty_clip_has_no_ids() -> None:
    tracker = Tracker()
    for empty in ([], np.zeros((0, 4))):
        ids = tracker.update(empty, [], np.zeros((0, 17, 2)), np.zeros((0, 17)))
        assert ids.shape == (0,)
        assert ids.dtype == np.int64
    boxes, scores, ids = tracker.carry((640, 480))
    assert (boxes.shape, scores.shape, ids.shape) == ((0, 4), (0,), (0,))
    assert tracker.follow(ids, np.zeros((0, 17, 2)), np.zeros((0, 17))).shape == (0,)
    assert ids_of(tracker, (100, 200)) == [0]


@pytest.mark.parametrize(("threshold", "expected"), [(0.49, 0), (0.51, 1)])
def test_a_pair_below_the_threshold_is_never_one_person(threshold: float, expected: int) -> None:
    tracker = Tracker(threshold=threshold)
    ids_of(tracker, (100, 200))
    assert ids_of(tracker, (120, 200)) == [expected]  # an IoU of 40 / 80


def test_without_a_threshold_there_must_be_some_overlap() -> None:
    tracker = Tracker(threshold=0)
    ids_of(tracker, (100, 200))
    assert ids_of(tracker, (300, 200)) == [1]


def test_a_forbidden_pair_takes_nothing_from_an_allowed_one() -> None:
    tracker = Tracker(threshold=0.49)
    assert ids_of(tracker, (100, 200), (140, 200)) == [0, 1]
    # IoU of 0: 0.48, 0; of 1: 0.52, 0.5. The pairs of 0.48 and 0.5 are worth more than that of
    # 0.52, but were the first only left out afterwards, 1 would go to the worse place.
    assert ids_of(tracker, (121, 200), (160, 200)) == [1, 2]


def test_the_assignment_is_the_best_for_the_frame_as_a_whole() -> None:
    tracker = Tracker(threshold=0.2)
    assert ids_of(tracker, (100, 200), (130, 200)) == [0, 1]
    # 1 overlaps the first instance most (0.71 against 0.5), but then 0 would have nobody.
    assert ids_of(tracker, (120, 200), (150, 200)) == [0, 1]


@BOTH
def test_the_same_input_gives_the_same_ids(similarity: Similarity) -> None:
    rng = np.random.default_rng(1)
    frames = [rng.uniform(0, 500, (rng.integers(0, 12), 2)) for _ in range(40)]

    def run() -> list[list[int]]:
        tracker = Tracker(similarity=similarity, sigmas=SIGMAS)
        return [ids_of(tracker, *map(tuple, frame)) for frame in frames]

    assert run() == run()


@BOTH
def test_no_id_is_given_twice_in_a_frame(similarity: Similarity) -> None:
    rng = np.random.default_rng(2)
    tracker = Tracker(similarity=similarity, sigmas=SIGMAS, threshold=0.05)
    for _ in range(40):
        ids = ids_of(tracker, *map(tuple, rng.uniform(0, 300, (8, 2))))
        assert len(set(ids)) == 8


def test_oks_tells_poses_in_the_same_box_apart() -> None:
    boxes, scores, keypoints, confidences = people((100, 200), (104, 200))
    keypoints[1] = keypoints[0] * [-1, 1] + [200, 0]  # mirrored within the box
    ids = {}
    for similarity in ("iou", "oks"):
        tracker = Tracker(similarity=similarity, sigmas=SIGMAS)
        tracker.update(boxes, scores, keypoints, confidences)
        # The boxes have changed sides, the poses have not.
        ids[similarity] = tracker.update(boxes[::-1], scores, keypoints, confidences).tolist()
    assert ids == {"iou": [1, 0], "oks": [0, 1]}


def test_oks_is_that_of_coco() -> None:
    # 10 pixels off in all keypoints: mean of exp(-d^2 / (2 k^2 area)) with k = 2 sigma.
    area = WIDTH * HEIGHT
    oks = np.exp(-100 / (2 * (2 * np.array(SIGMAS)) ** 2 * area)).mean()
    for threshold, expected in ((oks - 1e-4, [0]), (oks + 1e-4, [1])):
        tracker = Tracker(similarity="oks", sigmas=SIGMAS, threshold=float(threshold))
        ids_of(tracker, (100, 200))
        assert ids_of(tracker, (110, 200)) == expected


@pytest.mark.parametrize("bad", [np.nan, 1e6])
def test_unsure_keypoints_do_not_count(bad: float) -> None:
    tracker = Tracker(similarity="oks", sigmas=SIGMAS, threshold=0.9)
    boxes, scores, keypoints, confidences = people((100, 200))
    tracker.update(boxes, scores, keypoints, confidences)
    keypoints[0, 8:] = bad
    confidences[0, 8:] = 0.1
    assert tracker.update(boxes, scores, keypoints, confidences).tolist() == [0]


def test_predicted_boxes_are_one_frame_on() -> None:
    tracker = Tracker()
    for frame in range(8):
        ids_of(tracker, (100 + 6 * frame, 200))
    boxes, ids = tracker.predicted_boxes()
    np.testing.assert_allclose(boxes, people((148, 200))[0], atol=1e-3)
    assert ids.tolist() == [0]


def walk(tracker: Tracker, frames: int, interval: int, step: float, growth: float) -> float:
    """Follows someone between detections; the lowest IoU of a carried box with the true one."""
    lowest = 1.0
    for frame in range(frames):
        x, size = 100 + step * frame, 1 + growth * frame
        boxes, scores, keypoints, confidences = people((x, 300), size=size)
        if frame % interval == 0:
            assert tracker.update(boxes, scores, keypoints, confidences).tolist() == [0]
            continue
        carried, box_scores, ids = tracker.carry((2000, 600))
        assert ids.tolist() == [0]
        np.testing.assert_allclose(box_scores, 0.9, rtol=1e-6)
        low = np.maximum(carried[0, :2], boxes[0, :2])
        high = np.minimum(carried[0, 2:], boxes[0, 2:])
        overlap = np.maximum(high - low, 0).prod()
        areas = [(box[2:] - box[:2]).prod() for box in (carried[0], boxes[0])]
        lowest = min(lowest, overlap / (sum(areas) - overlap))
        assert tracker.follow(ids, keypoints, confidences).tolist() == [True]
    return float(lowest)


@BOTH
def test_someone_who_walks_is_carried_between_detections(similarity: Similarity) -> None:
    # The second frame knows no speed yet: 8 of 60 pixels off are an IoU of 0.76.
    tracker = Tracker(similarity=similarity, sigmas=SIGMAS)
    assert walk(tracker, 61, 10, 8, 0) > 0.75


def test_someone_who_comes_nearer_is_carried_in_growing_boxes() -> None:
    assert walk(Tracker(), 41, 10, 4, 0.02) > 0.8


def test_a_box_goes_with_the_keypoints_when_the_person_turns_round() -> None:
    tracker = Tracker()
    for frame in range(5):
        ids_of(tracker, (100 + 10 * frame, 300))
    for frame in range(10):
        _, _, keypoints, confidences = people((140 - 10 * frame, 300))
        _, _, ids = tracker.carry()
        assert tracker.follow(ids, keypoints, confidences).all()
    boxes, _, _ = tracker.carry()
    np.testing.assert_allclose(boxes, people((40, 300))[0], atol=4)


def test_a_keypoint_that_goes_unseen_leaves_the_box_as_it_is() -> None:
    tracker = Tracker()
    ids_of(tracker, (100, 300))
    _, _, keypoints, confidences = people((100, 300))
    confidences[0, 1] = 0.01  # the lowest right one
    keypoints[0, 1] = 0
    assert tracker.follow([0], keypoints, confidences).all()
    np.testing.assert_allclose(tracker.carry()[0], people((100, 300))[0], atol=1e-3)


def test_a_box_does_not_run_after_a_keypoint_that_jumps() -> None:
    tracker = Tracker()
    ids_of(tracker, (100, 300))
    _, _, keypoints, confidences = people((100, 300))
    keypoints[0, 1] += [400, 0]
    tracker.follow([0], keypoints, confidences)
    sides = tracker.carry()[0][0, 2:] - tracker.carry()[0][0, :2]
    assert sides[0] <= 1.25 * WIDTH + 1e-6


@pytest.mark.parametrize(("share", "kept"), [(0.6, True), (0.4, False)])
def test_someone_is_lost_when_the_scores_fall(share: float, kept: bool) -> None:
    tracker = Tracker()
    ids_of(tracker, (100, 300), (500, 300))
    _, _, ids = tracker.carry()
    _, _, keypoints, confidences = people((100, 300), (500, 300))
    confidences[1] *= share
    assert tracker.follow(ids, keypoints, confidences).tolist() == [True, kept]
    assert tracker.carry()[2].tolist() == ([0, 1] if kept else [0])


def test_someone_lost_gets_the_id_back_at_the_next_detection() -> None:
    tracker = Tracker()
    ids_of(tracker, (100, 300))
    _, _, keypoints, confidences = people((100, 300), score=0.1)
    assert not tracker.follow([0], keypoints, confidences).any()
    assert tracker.carry()[2].tolist() == []
    assert ids_of(tracker, (105, 300)) == [0]


def test_someone_who_leaves_the_image_is_not_carried() -> None:
    tracker = Tracker()
    ids_of(tracker, (20, 300), (-20, 300), (640, 479), (300, 300))
    # 5/6, 1/6, 1/4 and all of the box are inside.
    assert tracker.carry((640, 480))[2].tolist() == [0, 2, 3]
    assert tracker.carry()[2].tolist() == [0, 1, 2, 3]


def test_of_two_with_the_same_pose_the_one_that_jumped_is_lost() -> None:
    tracker = Tracker()
    ids_of(tracker, (140, 300), (100, 300))
    _, _, keypoints, confidences = people((100, 300), (100, 300))
    assert tracker.follow([0, 1], keypoints, confidences).tolist() == [False, True]


def test_frames_without_detection_count_for_max_age() -> None:
    tracker = Tracker(max_age=2)
    ids_of(tracker, (100, 300), (500, 300))
    _, _, keypoints, confidences = people((500, 300))
    for _ in range(3):
        assert tracker.follow([1], keypoints, confidences).all()
    assert ids_of(tracker, (100, 300), (500, 300)) == [2, 1]


def test_arrays_given_are_neither_kept_nor_changed() -> None:
    tracker = Tracker()
    given = people((100, 300))
    copies = [array.copy() for array in given]
    ids = tracker.update(*given)
    for array, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
        array[...] = 0
    ids[0] = 77
    assert ids_of(tracker, (100, 300)) == [0]


def test_two_hundred_people_are_told_apart() -> None:
    tracker = Tracker(similarity="oks", sigmas=SIGMAS)
    places = np.random.default_rng(3).uniform(0, 4000, (200, 2))
    for step in range(3):
        assert ids_of(tracker, *map(tuple, places + 2 * step)) == list(range(200))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"similarity": "giou"}, "'iou' or 'oks', found 'giou'"),
        ({"threshold": 1.5}, "between 0 and 1, found 1.5"),
        ({"threshold": float("nan")}, "between 0 and 1"),
        ({"threshold": "0.3"}, "as a number, found '0.3'"),
        ({"max_age": -1}, "number of frames from 0, found -1"),
        ({"max_age": 1.5}, "number of frames from 0, found 1.5"),
        ({"sigmas": [0.1, 0]}, "positive and finite"),
        ({"sigmas": [[0.1]]}, r"sigmas \(K,\)"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Tracker(**options)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, np.zeros((1, 5)), r"boxes_xyxy \(n, 4\), found \(1, 5\)"),
        (0, [[0, 0, np.nan, 9]], "finite x1, y1, x2, y2"),
        (0, [[9, 0, 0, 9]], "x1 <= x2"),
        (1, [0.5, 0.5], r"box_scores \(1,\), found \(2,\)"),
        (2, np.zeros((2, 17, 2)), r"keypoints \(1, K, 2\) .* found \(2, 17, 2\)"),
        (2, np.zeros((1, 17, 3)), r"found \(1, 17, 3\)"),
        (3, np.zeros((1, 16)), r"keypoint_scores \(1, 17\), found \(1, 16\)"),
    ],
)
def test_wrong_arrays_are_refused(position: int, value: Any, message: str) -> None:
    arrays = list(people((100, 200)))
    arrays[position] = value
    with pytest.raises(InputError, match=message):
        Tracker().update(*arrays)


def test_another_number_of_keypoints_is_refused() -> None:
    tracker = Tracker()
    ids_of(tracker, (100, 200))
    boxes, scores, _, _ = people((100, 200))
    with pytest.raises(InputError, match=r"expected 17 keypoints.*found 21"):
        tracker.update(boxes, scores, np.zeros((1, 21, 2)), np.ones((1, 21)))


@pytest.mark.parametrize("ids", [[7], [0, 0], [0.5]])
def test_following_somebody_unknown_is_refused(ids: list[Any]) -> None:
    tracker = Tracker()
    ids_of(tracker, (100, 200))
    points, scores = np.zeros((len(ids), 17, 2)), np.ones((len(ids), 17))
    with pytest.raises(InputError, match=r"expected (each id once|ids)"):
        tracker.follow(ids, points, scores)


@pytest.mark.parametrize("size", [(640,), (0, 480), (640, -1)])
def test_a_wrong_image_size_is_refused(size: Any) -> None:
    tracker = Tracker()
    ids_of(tracker, (100, 200))
    with pytest.raises(InputError, match="image_size"):
        tracker.carry(size)


def test_the_people_of_a_real_clip_keep_their_ids(shared: Path) -> None:
    path = shared / "reference" / "inferencer" / "video2d__demo.json"
    frames = json.loads(path.read_text(encoding="utf-8"))["result"]
    tracker = Tracker()
    seen: list[set[int]] = []
    for frame in frames:
        found = frame["predictions"][0]
        boxes = np.array([person["bbox"][0] for person in found])
        points = np.array([person["keypoints"] for person in found])
        scores = np.array([person["keypoint_scores"] for person in found])
        ids = tracker.update(boxes, [person["bbox_score"] for person in found], points, scores)
        seen.append(set(ids.tolist()))
    # Four are found in every frame; one at the edge of the threshold is missed in the second.
    assert set.intersection(*seen) == {0, 1, 2, 4}
    assert [5 in ids for ids in seen] == [True, False, True, True, True]


def test_somebody_who_should_be_in_sight_is_missing() -> None:
    size = (640, 480)
    tracker = Tracker()
    for _ in range(3):
        ids_of(tracker, (100, 300), (300, 300))
        assert not tracker.is_missing(size, 30)
    ids_of(tracker, (300, 300))
    assert tracker.is_missing(size, 1) and not tracker.is_missing(size, 0)
    assert not tracker.is_missing((20, 480), 30)  # has left the image


def test_asking_who_is_still_there_changes_nothing() -> None:
    tracker = Tracker()
    ids_of(tracker, (100, 300), (500, 300))
    _, _, keypoints, confidences = people((104, 300), (500, 300))
    confidences[1] *= 0.1
    before = tracker.carry()[0]
    assert tracker.still_there([0, 1], keypoints, confidences).tolist() == [True, False]
    np.testing.assert_array_equal(tracker.carry()[0], before)
    assert tracker.follow([0, 1], keypoints, confidences).tolist() == [True, False]
    np.testing.assert_allclose(tracker.boxes_of([0]), people((104, 300))[0], atol=1e-3)
