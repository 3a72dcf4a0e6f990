"""In what order files come."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest

from posekit.apis import MMPoseInferencer
from posekit.errors import InputError
from posekit.io import read_frames
from posekit.io.listing import Listing, natural_key
from tests.io.test_reader import save


@pytest.mark.parametrize(
    "names",
    [
        ["frame1", "frame2", "frame10", "frame100"],
        ["frame001", "frame2", "frame010", "frame11"],
        ["s1_f2", "s1_f10", "s2_f1", "s10_f1"],
        ["a", "a1", "a1b", "a2", "b"],
        ["a1.jpg", "a1.png", "a2.jpg"],
        ["a.png", "a1.png", "a10.png"],
        ["1", "2", "10", "a"],
        ["frame.1", "frame.2", "frame.10"],
        ["フレーム１", "フレーム２", "フレーム１０"],
        ["f٢", "f3", "f١٠"],  # noqa: RUF001
        ["A1", "a1", "A2", "a10", "B1"],
        ["a01", "a1", "a02"],
        ["2/10", "10/1", "10/2"],
        ["v1.2.9", "v1.2.10", "v1.10.0"],
    ],
)
def test_natural_order(names: list[str]) -> None:
    mixed = list(map(Path, names))
    random.Random(0).shuffle(mixed)
    assert sorted(mixed, key=natural_key) == list(map(Path, names))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("frame2.png", "frame10.png", "frame1.png"):
        save(tmp_path / name, np.zeros((4, 4, 3), np.uint8))
    return tmp_path


def names(inputs: object, **options: object) -> list[str]:
    with read_frames(inputs, **options) as frames:
        return [frame.name for frame in frames]


@pytest.mark.parametrize("pattern", ["", "*.png"])
def test_folders_and_patterns_come_in_the_order_asked_for(folder: Path, pattern: str) -> None:
    inputs = folder / pattern
    assert names(inputs) == ["frame1.png", "frame10.png", "frame2.png"]
    assert names(inputs, order="natural") == ["frame1.png", "frame2.png", "frame10.png"]


def test_a_list_keeps_its_own_order(folder: Path) -> None:
    chosen = [folder / "frame10.png", folder / "frame2.png"]
    assert names(chosen, order="natural") == ["frame10.png", "frame2.png"]


def test_no_other_order(folder: Path) -> None:
    with pytest.raises(InputError, match="order must be name or natural, found 'size'"):
        names(folder, order="size")


def test_a_program_for_the_reference_has_its_order(tmp_path: Path) -> None:
    for height in (1, 2, 10):
        save(tmp_path / f"frame{height}.png", np.zeros((height, 16, 3), np.uint8))
    inferencer = MMPoseInferencer("demo", det_model="whole_image", device="cpu")
    drawings = [
        result["visualization"][0]
        for result in inferencer(str(tmp_path), return_vis=True, track="iou")
    ]
    assert [len(drawing) for drawing in drawings] == [1, 10, 2]


@pytest.mark.skipif(os.name == "nt", reason="about permissions of Unix")
def test_a_closed_folder_in_a_folder_is_named() -> None:
    user = os.geteuid()
    # Not `tmp_path`, whose parents only their owner may look into.
    with tempfile.TemporaryDirectory() as name:
        (closed := Path(name) / "closed").mkdir()
        Path(name).chmod(0o755)
        closed.chmod(0)
        try:
            if user == 0:  # may read everything
                os.seteuid(65534)
            with pytest.raises(InputError, match=f"cannot read '{closed}': Permission denied"):
                Listing(recursive=True).files(name)
        finally:
            os.seteuid(user)
