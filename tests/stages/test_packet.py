"""What goes with a result through the stages."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import numpy as np
import pytest

from posekit.stages.packet import AUTO_BYTES, Clip, Frame, Packet, in_chunks
from posekit.stages.smooth import smooth_one_euro, smooth_savgol
from posekit.stages.windows import lift_stream
from tests.stages.test_lift import Recorder, frame, lifter_of

CLIP = Clip("a.mp4", "/videos/a.mp4", (500, 400), Fraction(25))


def packets(count: int, alive: list[int]) -> Iterator[Packet]:
    """Of a clip, each with an image of its own; `alive` has the images that somebody holds."""
    for number in range(count):
        image = np.zeros((4, 4, 3), np.uint8)
        weakref.finalize(image, alive.remove, number).atexit = False
        alive.append(number)
        yield Packet(frame(number), CLIP, number / 25, image, np.full((4, 4), number))
        del image


STAGES = [
    (smooth_one_euro, 0),
    (lambda packets: smooth_savgol(packets, window=9), 4),
    (lambda packets: lift_stream(packets, lifter_of(Recorder()), window=1), 0),
    (lambda packets: lift_stream(packets, lifter_of(Recorder()), window=5), 5),
]


@pytest.mark.parametrize(("stage", "held"), STAGES, ids=["one-euro", "savgol", "alone", "windows"])
def test_stages_pass_on_what_they_are_given(
    stage: Callable[[Iterable[Packet]], Iterator[Packet]], held: int
) -> None:
    alive: list[int] = []
    for number, packet in enumerate(stage(packets(30, alive))):
        assert packet.result.frame_id == number
        assert packet.time == number / 25 and packet.clip is CLIP
        assert packet.image is not None
        assert packet.heatmap is not None and packet.heatmap[0, 0] == number
        # What waits, what is looked at, and what the loops have in hand: nothing of before.
        assert len(alive) <= held + 3
        assert number - min(alive) <= 2
    assert number == 29


def frames(count: int, size: int, clip: Clip | None = None) -> Iterator[Frame]:
    """Images of so many bytes, none of which is ever touched."""
    for index in range(count):
        yield Frame(np.empty((1, size, 1), np.uint8), index, "a", clip=clip)


@pytest.mark.parametrize(
    ("size", "gpu", "expected"),
    [
        (100, False, [8, 8, 4]),
        (100, True, [16, 4]),
        (AUTO_BYTES // 2, False, [2] * 10),
        (AUTO_BYTES // 2, True, [4] * 5),
        (AUTO_BYTES + 1, False, [1] * 20),
    ],
)
def test_large_images_are_taken_together_as_far_as_memory_goes(
    size: int, gpu: bool, expected: list[int]
) -> None:
    chunks = in_chunks(frames(20, size), "auto", gpu=gpu)
    assert [len(chunk) for chunk in chunks] == expected


def test_a_number_of_frames_is_taken_as_it_is_said() -> None:
    assert [len(chunk) for chunk in in_chunks(frames(7, AUTO_BYTES), 5)] == [5, 2]


def test_frames_of_a_camera_are_taken_one_by_one() -> None:
    live = Clip("webcam_0", "webcam", (500, 400), Fraction(25), live=True)
    assert [len(chunk) for chunk in in_chunks(frames(3, 10, live), "auto")] == [1, 1, 1]
