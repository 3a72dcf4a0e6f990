"""In what order files come."""

from __future__ import annotations

import errno
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


@pytest.mark.parametrize("pattern", ["", "*"])
def test_what_cannot_be_read_in_a_folder_is_said(folder: Path, pattern: str) -> None:
    (folder / "gone.png").symlink_to("nothing.png")
    (folder / "round.png").symlink_to("round.png")
    (folder / "notes").symlink_to("nothing")  # by its name no image
    skipped: list[str] = []
    with read_frames(
        folder / pattern, on_error=lambda _, error: skipped.append(str(error))
    ) as frames:
        assert len(list(frames)) == 3
    assert skipped == [
        f"{folder / 'gone.png'} is a link to nothing.png, which is not there",
        f"cannot read {folder / 'round.png'}: {os.strerror(errno.ELOOP)}",
    ]
    with pytest.raises(InputError, match=r"is a link to nothing\.png"):
        names(folder / pattern)


def test_links_to_folders(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / ".store").mkdir()
    save(folder / ".store" / "a.png", np.zeros((4, 4, 3), np.uint8))
    inside = folder / "in"
    inside.mkdir()
    (inside / "up").symlink_to("..")
    (inside / "other").symlink_to(folder / ".store")
    pictures = ["frame1.png", "frame10.png", "frame2.png"]
    assert names(folder) == pictures
    assert not caplog.messages
    assert names(folder, recursive=True) == pictures
    assert caplog.messages == [
        f"{folder}: links to folders are not followed (2, such as {inside / 'other'}); "
        f"'{folder / '**' / '*'}' takes them too"
    ]
    # `up` leads to what is there already.
    assert sorted(names(folder / "**" / "*")) == ["a.png", *pictures]
