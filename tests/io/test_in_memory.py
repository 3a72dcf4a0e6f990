"""Images that are no files: PIL's, bytes, open files, tensors; colours as they are meant."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
import torch

from posekit.errors import InputError
from posekit.io import Frame, read_frames, read_image
from posekit.io.video import VideoWriter
from posekit.stages.packet import Cut

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 17, 3), np.uint8)  # BGR
RGB = np.ascontiguousarray(IMAGE[..., ::-1])


def frames(inputs: Any, **options: Any) -> list[Frame]:
    with read_frames(inputs, **options) as found:
        return list(found)


def image(inputs: Any, **options: Any) -> np.ndarray:
    (frame,) = frames(inputs, **options)
    return frame.image


def png(pixels: np.ndarray = IMAGE) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def video(path: Path, count: int = 10) -> Path:
    with VideoWriter(path, fps=5, size=(64, 48)) as writer:
        for number in range(count):
            writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    return path


TENSORS = {
    "HWC": torch.from_numpy(RGB.copy()),
    "CHW": torch.from_numpy(RGB.copy()).permute(2, 0, 1),
    "floats": torch.from_numpy(RGB.copy()).permute(2, 0, 1) / 255,
    "doubles": torch.from_numpy(RGB.copy()).double() / 255,
    "gradient": (torch.from_numpy(RGB.copy()) / 255).requires_grad_(),
    "halves": (torch.from_numpy(RGB.copy()) / 255).half(),
    "alpha": torch.from_numpy(np.dstack([RGB, RGB[..., :1]])),
    "stack": torch.from_numpy(RGB.copy())[None],
}


@pytest.mark.parametrize("kind", TENSORS)
def test_a_tensor_is_its_image(kind: str) -> None:
    found = image(TENSORS[kind], color="rgb")
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - IMAGE).max() <= (1 if kind == "halves" else 0)


def test_a_grey_tensor_is_grey() -> None:
    grey = torch.from_numpy(IMAGE[..., 0].copy())
    for tensor in (grey, grey[None], grey[..., None], grey[None, None]):
        np.testing.assert_array_equal(image(tensor), np.repeat(IMAGE[..., :1], 3, axis=2))


def test_a_stack_of_tensors_is_several_images() -> None:
    stack = torch.stack([torch.full((3, 8, 9), value / 4) for value in range(4)])
    found = frames([stack, iter(stack)], color="bgr")
    assert [frame.image[0, 0, 0] for frame in found] == 2 * [0, 64, 128, 191]
    assert [frame.index for frame in found] == list(range(8))


def test_tensors_without_a_colour_are_bgr_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tensor = torch.from_numpy(IMAGE.copy())
    for frame in frames([tensor, tensor]):
        np.testing.assert_array_equal(frame.image, IMAGE)
    assert caplog.text.count("tensors are taken as BGR") == 1
    caplog.clear()
    frames([tensor], color="bgr")
    assert not caplog.text


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(3, 9, 3), r"a tensor \(3, 9, 3\) of float32: channels may come first or last"),
        (torch.zeros(2, 1, 9, 4), "channels may come first or last"),
        (torch.zeros(5, 8, 9), "expected 1, 3 or 4 channels"),
        (torch.zeros(9), r"expected \(H, W\), \(C, H, W\)"),
        (torch.zeros(1, 1, 3, 8, 9), r"expected \(H, W\)"),
        (torch.zeros(3, 0, 9), r"expected \(H, W\)"),
        (torch.full((3, 8, 9), 255.0), "values from 255 to 255, expected 0 to 1: divide by 255"),
        (torch.full((3, 8, 9), -1.5), "undo the normalisation"),
        (torch.full((3, 8, 9), float("nan")), "NaN or infinite"),
        (torch.full((3, 8, 9), float("inf")), "NaN or infinite"),
        (torch.zeros(3, 8, 9, dtype=torch.int64), "expected uint8"),
        (torch.zeros(3, 8, 9, dtype=torch.bool), "expected uint8"),
        (torch.zeros(3, 8, 9, dtype=torch.complex64), "expected uint8"),
        (torch.zeros(3, 8, 9, device="meta"), "has no numbers that can be read"),
    ],
)
def test_a_tensor_that_may_mean_anything_is_refused(tensor: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        image(tensor)


def test_arrays_are_bgr_unless_they_are_said_to_be_rgb() -> None:
    np.testing.assert_array_equal(image(IMAGE), IMAGE)
    np.testing.assert_array_equal(image(RGB, color="rgb"), IMAGE)
    alpha = np.dstack([RGB, RGB[..., :1]])
    np.testing.assert_array_equal(image(alpha, color="rgb"), IMAGE)
    np.testing.assert_array_equal(image(np.stack([RGB]), color="rgb"), IMAGE)
    wide = (RGB.astype(np.uint16) << 8) + 99
    np.testing.assert_array_equal(image(wide, color="rgb"), IMAGE)
    with pytest.raises(InputError, match="color must be bgr or rgb"):
        image(IMAGE, color="hsv")


def test_files_keep_their_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png())
    options: list[Literal["bgr", "rgb"]] = ["bgr", "rgb"]
    for color in options:
        np.testing.assert_array_equal(image(path, color=color), IMAGE)
        np.testing.assert_array_equal(image(png(), color=color), IMAGE)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBX", "CMYK", "L", "LA", "P", "1", "YCbCr"])
@pytest.mark.parametrize("color", ["bgr", "rgb"])
def test_a_pil_image_says_its_colours_itself(mode: str, color: str) -> None:
    pil = pytest.importorskip("PIL.Image")
    smooth = cv2.GaussianBlur(cv2.resize(RGB, (64, 48)), (0, 0), 3)
    given = pil.fromarray(smooth).convert(mode)
    expected = np.asarray(given.convert("RGB"))[..., ::-1]
    np.testing.assert_array_equal(image(given, color=color), expected)


def test_a_pil_image_of_a_file_is_the_file(tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    exif = pil.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    path = tmp_path / "turned.png"
    pil.fromarray(RGB).save(path, exif=exif)
    with pil.open(path) as opened:
        (frame,) = frames(opened)
        assert (frame.name, frame.source) == ("turned.png", str(path))
        np.testing.assert_array_equal(frame.image, read_image(path))
        assert frame.image.shape == (17, 12, 3)
    wide = tmp_path / "wide.png"
    cv2.imwrite(str(wide), (IMAGE[..., 0].astype(np.uint16) << 8) + 200)
    with pil.open(wide) as opened:
        np.testing.assert_array_equal(image(opened), read_image(wide))


def test_a_pil_image_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    for mode in ("F", "I"):
        with pytest.raises(InputError, match=f"the mode {mode}, which has no fixed value range"):
            image(pil.fromarray(RGB).convert(mode))
    path = tmp_path / "cut.jpg"
    path.write_bytes(cv2.imencode(".jpg", np.tile(IMAGE, (9, 9, 1)))[1].tobytes()[:4000])
    with pytest.raises(InputError, match=r"cut\.jpg cannot be read: .*truncated"):
        image(pil.open(path))
    whole = tmp_path / "whole.png"
    whole.write_bytes(png())
    opened = pil.open(whole)
    opened.close()
    with pytest.raises(InputError, match="cannot be read"):
        image(opened)


def test_bytes_are_the_file_that_they_are_of(tmp_path: Path) -> None:
    for data in (png(), bytearray(png()), memoryview(png())):
        (frame,) = frames(data)
        np.testing.assert_array_equal(frame.image, IMAGE)
        assert (frame.name, frame.source, frame.clip) == ("00000000.jpg", None, None)
    path = video(tmp_path / "a.mp4")
    (first, *_) = frames(path.read_bytes())
    assert (first.name, first.source) == ("video.mp4", "<video.mp4>")
    by_path, by_bytes = frames(path), frames(path.read_bytes())
    assert len(by_bytes) == 10
    for one, other in zip(by_path, by_bytes, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert (one.frame_id, one.time) == (other.frame_id, other.time)


def test_an_open_file_is_read_from_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png())
    with path.open("rb") as file:
        (frame,) = frames(file)
        assert (frame.name, frame.source) == ("a.png", str(path))
        np.testing.assert_array_equal(frame.image, IMAGE)
        with pytest.raises(InputError, match="nothing left to read; an open file is read from"):
            frames(file)
    inside = io.BytesIO(b"header" + png())
    inside.seek(6)
    np.testing.assert_array_equal(image(inside), IMAGE)
    with video(tmp_path / "b.mp4").open("rb") as file:
        found = frames(file, cut=Cut(0.4, None, 2))
    assert [frame.frame_id for frame in found] == [2, 4, 6, 8]
    assert {frame.name for frame in found} == {"b.mp4"}


class Broken(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise OSError("the cable is out")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: closed(path.open("rb")), "closed file"),
        (lambda path: path.open("r", encoding="latin-1"), "opened as text: open it with mode 'rb'"),
        (lambda path: path.with_suffix(".b").open("wb"), "cannot be read"),
        (lambda path: Broken(), "the cable is out"),
        (lambda path: io.BytesIO(), "nothing left to read"),
        (lambda path: b"", "nothing left to read"),
        (lambda path: png()[:100], "the encoded input is truncated"),
        (lambda path: b"no image at all" * 9, "neither an image nor a video: the encoded input"),
        (lambda path: io.BytesIO(png()[:100]), "the open file is truncated"),
    ],
)
def test_what_holds_no_image_is_refused(tmp_path: Path, make: Any, message: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png())
    given = make(path)
    with pytest.raises(InputError, match=message):
        frames(given)
    # It is skipped like a file.
    assert len(frames([make(path), png()], on_error="skip")) == 1
    if hasattr(given, "close"):
        given.close()


def closed(file: Any) -> Any:
    file.close()
    return file


def test_kinds_mix_in_lists_and_iterators(tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    path = tmp_path / "a.png"
    path.write_bytes(png())

    def each() -> Iterator[Any]:
        yield path
        yield str(path)
        yield png()
        yield io.BytesIO(png())
        yield pil.fromarray(RGB)
        yield RGB
        yield torch.from_numpy(RGB.copy()).permute(2, 0, 1)

    for inputs in (each(), list(each()), [each()], tuple(each())):
        found = frames(inputs, color="rgb")
        assert [frame.index for frame in found] == list(range(7))
        for frame in found:
            np.testing.assert_array_equal(frame.image, IMAGE)


@pytest.mark.parametrize(
    "inputs", [IMAGE, png(), [png()], iter([IMAGE]), io.BytesIO(png()), torch.zeros(3, 9, 8)]
)
def test_an_image_has_no_parts(inputs: Any) -> None:
    with pytest.raises(InputError, match="start, end and stride apply to videos and streams: "):
        frames(inputs, cut=Cut(stride=2))


def test_each_clip_of_several_is_cut(tmp_path: Path) -> None:
    paths = [video(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    found = frames(paths, cut=Cut(0.6, 1.7, 3))
    assert [(frame.name, frame.frame_id) for frame in found] == [
        *itertools.product(["a.mp4"], [3, 6]),
        *itertools.product(["b.mp4"], [3, 6]),
    ]
    assert [frame.index for frame in found] == [0, 1, 2, 3]
    assert [frame.time for frame in found[:2]] == pytest.approx([0.6, 1.2])
    clip = found[0].clip
    assert clip is not None
    assert float(clip.fps) == pytest.approx(5 / 3)
