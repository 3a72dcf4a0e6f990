"""Inputs are looked up once."""

from __future__ import annotations

from collections import UserList
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import posekit
from posekit.errors import InputError
from posekit.io import Inputs, read_frames
from posekit.io.listing import Listing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), np.zeros((16, 16, 3), np.uint8))
    return tmp_path


def test_files_are_sorted_anew_without_being_looked_up_again(folder: Path) -> None:
    looked_up = Inputs.of(folder)
    (folder / "frame3.png").write_bytes((folder / "frame1.png").read_bytes())
    natural = ["frame1.png", "frame2.png", "frame10.png"]
    for inputs, expected in (
        (looked_up, sorted(natural)),
        (Inputs.of(looked_up, order="natural"), natural),
    ):
        assert [path.name for path in inputs.files()] == expected
        with read_frames(inputs) as frames:
            assert [frame.name for frame in frames] == expected


def test_a_call_looks_a_folder_up_once(
    small: posekit.Predictor, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []
    files = Listing.files

    def counted(self: Listing, text: str) -> list[Path]:
        asked.append(text)
        return files(self, text)

    monkeypatch.setattr(Listing, "files", counted)
    for _ in range(2):  # the second time there are files to be written over
        asked.clear()
        options: dict[str, Any] = {"out_dir": tmp_path / "out", "flip_test": False}
        assert len(list(small.stream(Inputs.of(str(folder)), **options))) == 3
        assert asked == [str(folder)]


def test_a_fault_is_told_when_its_turn_comes(folder: Path) -> None:
    inputs = Inputs.of([str(folder), "none.jpg", np.zeros((8, 8, 3), np.uint8)])
    assert inputs.count() is None
    with pytest.raises(InputError, match=r"no such file: none\.jpg"):
        inputs.check()
    failed: dict[str, InputError] = {}
    with read_frames(inputs, on_error=failed.__setitem__) as frames:
        assert [frame.index for frame in frames] == [0, 1, 2, 4]
    assert list(failed) == ["none.jpg"]


def test_a_sequence_of_ones_own_is_not_gone_through_before() -> None:
    class Made(UserList[Any]):
        def __getitem__(self, index: Any) -> Any:
            made.append(index)
            return np.zeros((8, 8, 3), np.uint8)

    made: list[int] = []
    inputs = Inputs.of(Made([None]))
    assert inputs.count() is None and not made


def test_the_files_of_any_sequence_are_known(folder: Path) -> None:
    inputs = Inputs.of(UserList([folder / "frame1.png", np.zeros((8, 8, 3), np.uint8)]))
    assert inputs.files() == [folder / "frame1.png"]
