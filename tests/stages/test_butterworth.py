"""The Butterworth filter of keypoints: as scipy on whole signals, in spite of parts and gaps."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from scipy.signal import butter, filtfilt

from posekit.errors import InputError
from posekit.options import PredictOptions
from posekit.stages.butterworth import smooth_butterworth
from posekit.stages.packet import Packet
from posekit.stages.smoothing import smoothed
from tests.people import CLIP, HALPE, figure, packet

SHAPE = figure().shape


def noisy(frames: int, seed: int = 0) -> np.ndarray:
    """Keypoints (T, K, 2) that move, with noise."""
    rng = np.random.default_rng(seed)
    sway = 40 * np.sin(2 * np.pi * np.arange(frames) / 45)
    return figure() + sway[:, None, None] + rng.normal(0, 3, (frames, *SHAPE))


def run(packets: Sequence[Packet], **more: float) -> list[Packet]:
    return list(smooth_butterworth(iter(packets), **more))  # type: ignore[arg-type]


def points_of(packets: Sequence[Packet], track: int) -> np.ndarray:
    found = []
    for one in packets:
        assert one.result.track_ids is not None
        found += list(one.result.keypoints[one.result.track_ids == track])
    return np.stack(found)


def whole(points: np.ndarray, cutoff: float, fps: float = 30) -> np.ndarray:
    return filtfilt(*butter(2, cutoff, fs=fps), points, axis=0)


@pytest.mark.parametrize("cutoff", [1.0, 6.0, 14.0])
def test_a_long_clip_is_filtered_as_in_one_piece(cutoff: float) -> None:
    points = noisy(700)
    packets = [packet(number, {3: one}) for number, one in enumerate(points)]
    found = run(packets, cutoff=cutoff)
    assert [one.result.frame_id for one in found] == list(range(700))
    np.testing.assert_allclose(points_of(found, 3), whole(points, cutoff), atol=0.01)


def test_an_amplitude_is_halved_at_the_cutoff_without_delay() -> None:
    wave = np.sin(2 * np.pi * 3 * np.arange(300) / 30)
    packets = [packet(number, {0: figure() + 10 * value}) for number, value in enumerate(wave)]
    found = points_of(run(packets, cutoff=3), 0)[:, 0, 0] - figure()[0, 0]
    np.testing.assert_allclose(found[60:240], 5 * wave[60:240], atol=0.05)


def test_a_gap_is_bridged_and_a_long_one_starts_anew() -> None:
    points = noisy(200)
    away = {*range(50, 56), *range(100, 140)}
    packets = [
        packet(number, {} if number in away else {0: one}) for number, one in enumerate(points)
    ]
    found = points_of(run(packets, cutoff=6), 0)
    bridged = points[:100].copy()
    for number in range(50, 56):
        bridged[number] = points[49] + (points[56] - points[49]) * (number - 49) / 7
    expected = whole(bridged, 6)
    np.testing.assert_allclose(found[:94], np.delete(expected, range(50, 56), axis=0), atol=0.01)
    np.testing.assert_allclose(found[94:], whole(points[140:], 6), atol=0.01)


def test_a_keypoint_that_is_not_sure_stays_and_counts_for_no_other() -> None:
    points = noisy(80)
    nose = HALPE.names.index("nose")
    points[40, nose] += 500
    packets = [
        packet(number, {0: one}, unseen={0: ("nose",) if number == 40 else ()})
        for number, one in enumerate(points)
    ]
    found = points_of(run(packets, cutoff=6), 0)
    assert np.abs(found[40, nose] - points[40, nose]).max() < 1e-3
    known = points.copy()
    known[40, nose] = (points[39, nose] + points[41, nose]) / 2
    expected = whole(known, 6)
    np.testing.assert_allclose(np.delete(found, 40, 0), np.delete(expected, 40, 0), atol=0.01)


def test_people_are_filtered_apart_and_clips_too() -> None:
    one, other = noisy(60, 1), noisy(60, 2)
    packets = [
        packet(
            number,
            {1: one[number], 2: other[number]}
            if number % 2
            else {2: other[number], 1: one[number]},
        )
        for number in range(60)
    ]
    found = run([*packets, *packets])
    assert len(found) == 120
    for track, points in ((1, one), (2, other)):
        expected = whole(points, 6)
        np.testing.assert_allclose(points_of(found[:60], track), expected, atol=0.01)
        np.testing.assert_allclose(points_of(found[60:], track), expected, atol=0.01)


def test_a_person_of_few_frames_stays_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    points = noisy(60)
    packets = [
        packet(number, {0: one, **({5: one + 50} if number in (3, 4, 30) else {})})
        for number, one in enumerate(points)
    ]
    with caplog.at_level(logging.WARNING):
        found = run(packets)
    np.testing.assert_allclose(points_of(found, 5), points[[3, 4, 30]] + 50, atol=1e-3)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["walk.mp4: keypoints seen in fewer than 10 frames in a row are not smoothed"]


@pytest.mark.parametrize("frames", [0, 1, 2, 5])
def test_short_clips_pass(frames: int) -> None:
    packets = [packet(number, {0: figure()}) for number in range(frames)]
    assert [one.result.frame_id for one in run(packets)] == list(range(frames))


def test_3d_keypoints_are_filtered_too() -> None:
    rng = np.random.default_rng(0)
    solid = np.sin(np.arange(90) / 9)[:, None, None] + rng.normal(0, 0.02, (90, 17, 3))
    packets = [packet(number, {0: figure()}, solid={0: one}) for number, one in enumerate(solid)]
    found = [one.result.pose3d.keypoints[0] for one in run(packets) if one.result.pose3d]
    np.testing.assert_allclose(np.stack(found), whole(solid, 6), atol=1e-4)


def test_every_second_frame_is_half_the_rate() -> None:
    points = noisy(100)
    every = dataclasses.replace(CLIP, fps=CLIP.fps / 2)  # as a clip says it that is read so
    packets = [
        dataclasses.replace(packet(2 * number, {0: one}), clip=every)
        for number, one in enumerate(points)
    ]
    np.testing.assert_allclose(
        points_of(run(packets, cutoff=5), 0), whole(points, 5, 15), atol=0.01
    )


def test_frames_that_are_not_evenly_spaced_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    packets = [packet(number, {0: figure()}) for number in range(20)]
    late = [dataclasses.replace(one, time=one.time + 0.5) for one in packets[10:] if one.time]
    run([*packets[:10], *late])
    assert caplog.messages == [
        "walk.mp4: its frames are not evenly spaced in time; they are smoothed as if at 30 frames "
        "per second"
    ]


def test_images_pass_and_the_rest_waits_for_little() -> None:
    image = dataclasses.replace(packet(0, {0: figure()}).result, frame_id=None, time=None)
    assert run([Packet(image), Packet(image)])[1].result is image
    taken = 0

    def counted() -> object:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield packet(number, {0: figure()})

    next(smooth_butterworth(counted()))  # type: ignore[arg-type]
    assert taken < 60


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"cutoff": 0}, "expected cutoff as a number of Hz above 0, found 0"),
        ({"cutoff": float("nan")}, "expected cutoff"),
        ({"order": 3}, "expected order as 2, 4, 6 or 8, found 3"),
    ],
)
def test_wrong_parameters_are_refused_at_once(more: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        smooth_butterworth(iter(()), **more)  # type: ignore[arg-type]


def test_a_cutoff_too_high_for_the_clip_and_people_without_ids_are_refused() -> None:
    slow = dataclasses.replace(CLIP, fps=Fraction(10))
    first = dataclasses.replace(packet(0, {0: figure()}), clip=slow)
    with pytest.raises(InputError, match=r"to below 5 Hz, half of .* walk.mp4, found 6"):
        run([first])
    with pytest.raises(InputError, match=r"cutoff must be from 0.015 to below 15 Hz"):
        run([packet(0, {0: figure()})], cutoff=1e-6)
    with pytest.raises(InputError, match="turn tracking on"):
        run([packet(0, {0: figure()}, ids=False)])


def test_it_is_an_option_with_a_cutoff() -> None:
    chosen = PredictOptions(smooth="butterworth", cutoff=3)
    assert chosen.similarity == "iou"
    points = noisy(60)
    packets = [packet(number, {0: one}) for number, one in enumerate(points)]
    found = list(smoothed(iter(packets), chosen))
    np.testing.assert_allclose(points_of(found, 0), whole(points, 3), atol=0.01)
    with pytest.raises(InputError, match="cutoff applies to smooth=butterworth only"):
        PredictOptions(smooth="savgol", cutoff=3)
    with pytest.raises(InputError, match="cutoff must be a number above 0"):
        PredictOptions(smooth="butterworth", cutoff=0)
