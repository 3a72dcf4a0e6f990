"""Smoothed keypoints are steadier, nobody's are mixed with another's, and memory stays bounded."""

from __future__ import annotations

import dataclasses
import gc
import math
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy.signal import savgol_filter

from posekit.errors import InputError
from posekit.result import Pose3D, PoseResult
from posekit.skeleton import Skeleton
from posekit.stages.smooth import OneEuroFilter
from tests.stages.packets import one_euro_results as smooth_one_euro
from tests.stages.packets import savgol_results as smooth_savgol

K = 4
DOTS = Skeleton(
    name="dots",
    names=tuple(f"dot{i}" for i in range(K)),
    flip_indices=tuple(range(K)),
    links=(),
    link_colors=(),
    keypoint_colors=((1, 2, 3),) * K,
)
SIZE = 400.0  # of a person, in pixels
Smooth = Callable[[Iterable[PoseResult]], Iterator[PoseResult]]
BOTH = pytest.mark.parametrize("smooth", [smooth_one_euro, smooth_savgol])


def result(
    people: dict[int, np.ndarray],
    frame_id: int | None,
    *,
    scores: float | np.ndarray = 2.5,
    solid: dict[int, np.ndarray] | None = None,
    name: str = "clip.mp4",
) -> PoseResult:
    """People by their track id; scores exceed 1, as SimCC's do."""
    n = len(people)
    keypoints = np.array(list(people.values()), np.float32).reshape(n, K, 2)
    pose3d = None
    if solid is not None:
        points = np.array(list(solid.values()), np.float32).reshape(n, K, 3)
        pose3d = Pose3D(points, np.ones((n, K), np.float32), DOTS, "metres", "z up")
    return PoseResult(
        keypoints=keypoints,
        keypoint_scores=np.broadcast_to(np.float32(scores), (n, K)).astype(np.float32),
        boxes_xyxy=np.tile(np.array([0, 0, SIZE / 3, SIZE], np.float32), (n, 1)),
        box_scores=np.ones(n, np.float32),
        skeleton=DOTS,
        image_size=(640, 480),
        name=name,
        index=frame_id or 0,
        frame_id=frame_id,
        track_ids=np.array(list(people), np.int64),
        pose3d=pose3d,
    )


def clip(paths: np.ndarray, **options: Any) -> list[PoseResult]:
    """One person's result per frame, of keypoints (frames, K, 2)."""
    return [result({0: points}, i, **options) for i, points in enumerate(paths)]


def keypoints_of(results: Iterable[PoseResult], row: int = 0) -> np.ndarray:
    return np.stack([found.keypoints[row] for found in results])


def line(frames: int = 90, speed: float = 3.0) -> np.ndarray:
    """Keypoints (frames, K, 2) that move evenly, in pixels per frame."""
    start = np.arange(K * 2).reshape(K, 2) * 30.0
    return start + speed * np.arange(frames)[:, None, None]


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, shape)


def error(found: np.ndarray, truth: np.ndarray) -> float:
    """Root mean square, after the first third of a second."""
    return float(np.sqrt(((found - truth)[10:] ** 2).mean()))


@BOTH
def test_what_does_not_move_stays(smooth: Smooth) -> None:
    frames = clip(line(30, speed=0))
    np.testing.assert_allclose(keypoints_of(smooth(frames)), keypoints_of(frames), rtol=1e-6)


@BOTH
@pytest.mark.parametrize(("speed", "share"), [(0.0, 0.7), (1.0, 0.95)])
def test_what_is_noisy_gets_nearer_to_the_truth(smooth: Smooth, speed: float, share: float) -> None:
    truth = line(200, speed)
    noisy = truth + noise(truth.shape)
    assert error(keypoints_of(smooth(clip(noisy))), truth) < share * error(noisy, truth)


@BOTH
def test_there_are_as_many_results_in_the_same_order(smooth: Smooth) -> None:
    frames = clip(line(25)) + [result({}, 25), result({}, 26)] + clip(line(3), name="b.mp4")
    smoothed = list(smooth(iter(frames)))
    assert [(r.name, r.frame_id) for r in smoothed] == [(r.name, r.frame_id) for r in frames]


@BOTH
def test_results_keep_everything_else_and_their_types(smooth: Smooth) -> None:
    frames = clip(line(12) + noise((12, K, 2)))
    for before, after in zip(frames, smooth(frames), strict=True):
        assert after.keypoints.dtype == np.float32
        assert not np.shares_memory(before.keypoints, after.keypoints)
        np.testing.assert_array_equal(
            dataclasses.replace(after, keypoints=before.keypoints).keypoint_scores,
            before.keypoint_scores,
        )
        assert after.boxes_xyxy is before.boxes_xyxy
        assert after.index == before.index


@BOTH
def test_the_results_given_are_not_changed(smooth: Smooth) -> None:
    frames = clip(line(12) + noise((12, K, 2)))
    copies = [frame.keypoints.copy() for frame in frames]
    list(smooth(frames))
    for frame, copy in zip(frames, copies, strict=True):
        np.testing.assert_array_equal(frame.keypoints, copy)


@pytest.mark.parametrize(
    ("smooth", "most"),
    [
        (smooth_one_euro, 0),
        (lambda results: smooth_savgol(results, window=9), 4),
        (lambda results: smooth_savgol(results, window=31), 15),
        (lambda results: smooth_savgol(results, window=1, order=0), 0),
    ],
)
def test_a_result_waits_for_half_a_window_at_most(smooth: Smooth, most: int) -> None:
    taken = 0

    def frames() -> Iterator[PoseResult]:
        nonlocal taken
        for frame in clip(line(100)):
            taken += 1
            yield frame

    ahead = [taken - given for given, _ in enumerate(smooth(frames()), start=1)]
    assert max(ahead) == most


@BOTH
def test_each_track_is_smoothed_as_if_it_were_alone(smooth: Smooth) -> None:
    paths = {7: line(40) + noise((40, K, 2), 1), 3: 300 - line(40) + noise((40, K, 2), 2)}
    together = []
    for i in range(40):
        order = (7, 3) if i % 2 else (3, 7)  # the rows change places in every frame
        together.append(result({track: paths[track][i] for track in order}, i))
    smoothed = list(smooth(together))
    for track, path in paths.items():
        alone = keypoints_of(smooth([result({track: p}, i) for i, p in enumerate(path)]))
        for i, found in enumerate(smoothed):
            assert found.track_ids is not None
            row = found.track_ids.tolist().index(track)
            np.testing.assert_array_equal(found.keypoints[row], alone[i])


@BOTH
def test_a_new_clip_knows_nothing_of_the_one_before(smooth: Smooth) -> None:
    noisy = line(20) + noise((20, K, 2))
    alone = keypoints_of(smooth(clip(noisy)))
    resized = [dataclasses.replace(r, image_size=(64, 48)) for r in clip(line(20) + 500)]
    for first in (
        clip(line(20) + 500, name="other.mp4"),
        [
            dataclasses.replace(r, frame_id=r.frame_id - 20) for r in resized
        ],  # a camera that changed
        clip(line(20) + 500),  # of the same name: the frames count from 0 again
        clip(line(1) + 500),
    ):
        both = keypoints_of(smooth(first + clip(noisy)))
        np.testing.assert_array_equal(both[len(first) :], alone)
        np.testing.assert_array_equal(both[: len(first)], keypoints_of(smooth(first)))


@BOTH
def test_still_images_pass_untouched(smooth: Smooth) -> None:
    rng = np.random.default_rng(0)
    images = [
        dataclasses.replace(
            result({0: rng.uniform(0, 400, (K, 2))}, None, name=f"{i}.jpg"), track_ids=None
        )
        for i in range(6)
    ]
    mixed = images[:3] + clip(line(5)) + images[3:]
    smoothed = list(smooth(mixed))
    assert smoothed[:3] == images[:3]
    assert smoothed[-3:] == images[3:]


@BOTH
def test_an_unsure_keypoint_passes_and_drags_nothing_along(smooth: Smooth) -> None:
    truth = line(30, speed=0)
    wrong = truth.copy()
    wrong[12, 1] += 250
    scores = np.full((30, K), 2.5, np.float32)
    scores[12, 1] = 0.05
    frames = [result({0: wrong[i]}, i, scores=scores[i]) for i in range(30)]
    np.testing.assert_allclose(keypoints_of(smooth(frames)), wrong, rtol=1e-6)


@BOTH
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_spreads_to_nothing(smooth: Smooth, bad: float) -> None:
    wrong = line(30, speed=0)
    wrong[12, 1, 0] = bad
    found = keypoints_of(smooth(clip(wrong)))
    np.testing.assert_allclose(found, wrong, rtol=1e-6)


@BOTH
def test_someone_is_smooth_over_a_missed_frame(smooth: Smooth) -> None:
    truth = line(40, speed=1)
    noisy = truth + noise(truth.shape)
    frames = clip(noisy)
    frames[20] = result({}, 20)
    smoothed = list(smooth(frames))
    assert len(smoothed[20]) == 0
    seen = [i for i in range(40) if i != 20]
    found = np.stack([smoothed[i].keypoints[0] for i in seen])
    assert error(found, truth[seen]) < 0.95 * error(noisy[seen], truth[seen])


@BOTH
def test_someone_who_comes_back_elsewhere_starts_there(smooth: Smooth) -> None:
    frames = clip(line(20, speed=0)) + [result({}, i) for i in range(20, 50)]
    frames += [result({0: line(1)[0] + 300}, i) for i in range(50, 60)]
    found = list(smooth(frames))
    for i in range(50, 60):
        np.testing.assert_allclose(found[i].keypoints, frames[i].keypoints, rtol=1e-6)


@BOTH
def test_keypoints_in_3d_are_smoothed_as_well(smooth: Smooth) -> None:
    truth = np.tile(np.random.default_rng(0).uniform(-1, 1, (K, 3)), (100, 1, 1))
    noisy = truth + noise(truth.shape) / 200
    flat = line(100, speed=0)
    smoothed = list(smooth([result({5: flat[i]}, i, solid={5: noisy[i]}) for i in range(100)]))
    found = np.stack([r.pose3d.keypoints[0] for r in smoothed if r.pose3d is not None])
    assert found.dtype == np.float32
    assert error(found, truth) < 0.7 * error(noisy, truth)


@BOTH
def test_a_frame_without_3d_is_left_without(smooth: Smooth) -> None:
    flat = line(20)
    solid = {0: np.zeros((K, 3))}
    frames = [result({0: flat[i]}, i, solid=solid if i % 5 else None) for i in range(20)]
    assert [r.pose3d is None for r in smooth(frames)] == [i % 5 == 0 for i in range(20)]


@BOTH
def test_memory_does_not_grow_with_the_clip(smooth: Smooth) -> None:
    alive: weakref.WeakSet[PoseResult] = weakref.WeakSet()

    def frames() -> Iterator[PoseResult]:
        for i in range(1000):
            # Everyone is there for 20 frames, and nobody comes back.
            frame = result({i // 20: np.full((K, 2), float(i))}, i)
            alive.add(frame)
            yield frame

    most = 0
    for _ in smooth(frames()):
        most = max(most, len(alive))
    assert most <= 2 * 9


def test_one_euro_forgets_who_is_gone() -> None:
    def filters() -> list[OneEuroFilter]:
        gc.collect()
        return [thing for thing in gc.get_objects() if type(thing) is OneEuroFilter]

    before = filters()  # of others, whose ids stay theirs while they are held
    frames = [result({i // 20: np.full((K, 2), float(i))}, i) for i in range(200)]
    smoothed = smooth_one_euro(frames)
    for _ in range(200):
        next(smoothed)
    # Two filters each of the last person and of the one in the half second before.
    assert 1 <= len({*map(id, filters())} - {*map(id, before)}) <= 4


@BOTH
def test_people_without_track_ids_are_refused(smooth: Smooth) -> None:
    untracked = dataclasses.replace(clip(line(1))[0], track_ids=None)
    with pytest.raises(InputError, match=r"found none for .* turn tracking on"):
        list(smooth([untracked]))


@BOTH
def test_a_frame_of_nobody_needs_no_track_ids(smooth: Smooth) -> None:
    nobody = dataclasses.replace(result({}, 0), track_ids=None)
    assert len(list(smooth([nobody]))) == 1


@pytest.mark.parametrize(("window", "order"), [(9, 2), (5, 3), (15, 1), (3, 0)])
def test_the_middle_of_a_clip_is_what_scipy_gives(window: int, order: int) -> None:
    path = line(40) + noise((40, K, 2))
    half = window // 2
    found = keypoints_of(smooth_savgol(clip(path), window=window, order=order))
    expected = savgol_filter(path, window, order, axis=0)
    np.testing.assert_allclose(found[half:-half], expected[half:-half], rtol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 8])
def test_a_clip_shorter_than_the_window_keeps_its_line(frames: int) -> None:
    path = line(frames)
    found = keypoints_of(smooth_savgol(clip(path), window=31))
    np.testing.assert_allclose(found, path, atol=1e-3)


def test_a_parabola_stays_one_also_at_its_ends_and_over_gaps() -> None:
    time = np.arange(30)[:, None, None]
    path = 0.3 * (time - 12.0) ** 2 + np.zeros((1, K, 2))
    kept = [frame for frame in clip(path) if frame.frame_id not in (7, 8, 20)]
    np.testing.assert_allclose(keypoints_of(smooth_savgol(kept)), keypoints_of(kept), atol=1e-3)


def test_one_euro_follows_the_fast_more_closely_than_a_fixed_cutoff() -> None:
    wave = line(120, speed=0) + 100 * np.sin(np.arange(120) / 30 * 2 * math.pi)[:, None, None]
    frames = clip(wave + noise(wave.shape) / 4)
    adaptive = error(keypoints_of(smooth_one_euro(frames)), wave)
    fixed = error(keypoints_of(smooth_one_euro(frames, beta=0.0)), wave)
    assert adaptive < 0.1 * fixed


def test_one_euro_smooths_a_figure_of_any_size_alike() -> None:
    path = line(60) + noise((60, K, 2))
    found = []
    for size in (1.0, 7.0):
        one_euro = OneEuroFilter()
        found.append(
            np.stack([one_euro(p * size, i / 30, size=size) / size for i, p in enumerate(path)])
        )
    np.testing.assert_allclose(found[0], found[1])


def test_one_euro_at_rest_is_a_low_pass_filter_of_min_cutoff() -> None:
    # A step, one time constant later: 1 - 1/e of it, to first order of the frame's length.
    one_euro = OneEuroFilter(min_cutoff=1.0, beta=0.0)
    one_euro(np.zeros((1, 2)), 0.0)
    steps = 200
    constant = 1 / (2 * math.pi)
    for i in range(1, steps + 1):
        found = one_euro(np.ones((1, 2)), i * constant / steps)
    np.testing.assert_allclose(found, 1 - 1 / math.e, atol=2e-3)


def test_one_euro_takes_frames_that_come_at_odd_times() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.01, 0.06, 60))
    path = 100 * times[:, None, None] + np.zeros((1, K, 2))
    frames = clip(path)
    clock = dict(enumerate(times.tolist()))
    found = keypoints_of(smooth_one_euro(frames, time_of=lambda r: clock[r.frame_id or 0]))
    # An even speed over uneven frames: the lag stays even as well.
    lag = (path - found)[20:, 0, 0]
    assert lag.std() < 0.25 * np.diff(path[20:, 0, 0]).std()


def test_one_euro_bears_time_stamps_that_stand_still() -> None:
    found = keypoints_of(smooth_one_euro(clip(line(10)), time_of=lambda _: 1.0))
    assert np.isfinite(found).all()


@pytest.mark.parametrize("time", [1.0, 0.5, math.nan])
def test_a_time_that_is_not_later_is_refused(time: float) -> None:
    one_euro = OneEuroFilter()
    one_euro(np.zeros((K, 2)), 1.0)
    with pytest.raises(InputError, match=r"time"):
        one_euro(np.zeros((K, 2)), time)


def test_points_of_another_shape_are_refused() -> None:
    one_euro = OneEuroFilter()
    one_euro(np.zeros((K, 2)), 1.0)
    with pytest.raises(InputError, match=r"expected points \(4, 2\) as before.*found \(5, 2\)"):
        one_euro(np.zeros((5, 2)), 2.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: smooth_savgol([], window=8), "odd number of frames"),
        (lambda: smooth_savgol([], window=-3), "odd number of frames"),
        (lambda: smooth_savgol([], window=9.0), "window as a whole number"),  # type: ignore[arg-type]
        (lambda: smooth_savgol([], window=5, order=5), "order from 0 to below"),
        (lambda: smooth_savgol([], order=-1), "order from 0"),
        (lambda: smooth_one_euro([], fps=0), "fps above 0"),
        (lambda: smooth_one_euro([], fps=math.nan), "fps as a finite number"),
        (lambda: smooth_one_euro([], min_cutoff=0), "min_cutoff above 0"),
        (lambda: smooth_one_euro([], beta=-1), "beta of at least 0"),
        (lambda: OneEuroFilter(d_cutoff="1"), "d_cutoff as a finite number"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_parameter_is_refused_at_once(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
