"""Results and their files, in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from posekit.drawing.delivery import deliver
from posekit.drawing.drawer import Drawer, Look
from posekit.drawing.window import ShowOptions
from posekit.errors import InputError, OutputError
from posekit.io.write import ResultWriter
from posekit.stages.packet import Clip, Packet
from tests.io.test_write import result

CLIP = Clip("walk.mp4", "/videos/walk.mp4", (64, 48), Fraction(25))


def packets(count: int, taken: list[int], clip: Clip | None = None) -> Iterator[Packet]:
    for number in range(count):
        taken.append(number)
        image = np.zeros((48, 64, 3), np.uint8)
        yield Packet(result(f"{number}.png"), clip, image=image)


def delivered(
    made: Iterator[Packet], writer: ResultWriter, ahead: int
) -> Iterator[tuple[str, bool]]:
    """Names, and whether the prediction was there."""
    with Drawer(Look()) as drawer, writer:
        for found in deliver(
            made, ShowOptions(), drawer=drawer, writer=writer, window=None, ahead=ahead
        ):
            assert writer.predictions is not None
            there = (writer.predictions / found.name).with_suffix(".json").exists()
            yield found.name, there


@pytest.mark.parametrize("ahead", [0, 3])
def test_an_image_is_given_when_it_is_written(tmp_path: Path, ahead: int) -> None:
    taken: list[int] = []
    results = delivered(packets(6, taken), ResultWriter(tmp_path, tmp_path), ahead)
    assert next(results) == ("0.png", True)
    assert len(taken) == ahead + 1  # others are made while its files are written
    assert list(results) == [(f"{number}.png", True) for number in range(1, 6)]


def test_frames_of_a_clip_are_given_at_once(tmp_path: Path) -> None:
    taken: list[int] = []
    results = delivered(packets(6, taken, CLIP), ResultWriter(tmp_path, None), 3)
    next(results)
    assert len(taken) == 1


def test_what_was_written_before_an_error_is_given_before_it(tmp_path: Path) -> None:
    def broken() -> Iterator[Packet]:
        yield from packets(3, [])
        raise InputError("no more")

    results = delivered(broken(), ResultWriter(tmp_path, None), 8)
    assert [next(results) for _ in range(3)] == [(f"{number}.png", True) for number in range(3)]
    with pytest.raises(InputError, match="no more"):
        next(results)


def test_results_come_up_to_the_one_that_cannot_be_written(tmp_path: Path) -> None:
    before = threading.active_count()
    results = delivered(packets(9, []), ResultWriter(tmp_path, None), 4)
    (tmp_path / "2.json").mkdir()
    names = []
    with pytest.raises(OutputError, match=r"2\.json"):
        for name, _ in results:
            names.append(name)
    assert names == ["0.png", "1.png"]
    assert threading.active_count() == before
