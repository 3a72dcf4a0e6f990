"""Files of several pictures."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from posekit.errors import InputError
from posekit.io import Frame, open_clip, read_frames
from tests.io.test_reader import handler, server  # noqa: F401
from tests.io.test_video import number, numbered

DURATIONS = [50, 100, 150, 100, 100, 200]  # milliseconds
SIZE = (64, 48)


def picture(index: int, *, alpha: bool = False) -> Image.Image:
    """A picture that `number` reads the index from; with alpha it is clear on the right."""
    rgb = numbered(index)[..., ::-1]
    opaque = np.full(rgb.shape[:2], 255, np.uint8)
    if alpha:
        opaque[:, 32:] = 0
    return Image.fromarray(np.dstack([rgb, opaque]) if alpha else np.ascontiguousarray(rgb))


def animation(path: Path, count: int = 6, *, alpha: bool = False, **options: Any) -> Path:
    first, *others = (picture(index, alpha=alpha) for index in range(count))
    first.save(path, save_all=True, append_images=others, **options)
    return path


def read(path: Path) -> list[Frame]:
    with read_frames(path) as frames:
        return list(frames)


def mjpeg(count: int = 6) -> list[bytes]:
    files = []
    for index in range(count):
        file = io.BytesIO()
        picture(index).save(file, "JPEG", quality=95)
        files.append(file.getvalue())
    return files


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.webp", {"lossless": True}),
        ("a.webp", {"quality": 90}),
        ("a.apng", {"format": "PNG"}),
        ("a.png", {}),
        pytest.param(
            *("a.avif", {}),
            marks=pytest.mark.skipif(not features.check("avif"), reason="Pillow has no AVIF"),
        ),
    ],
)
def test_an_animation_is_a_video(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    frames = read(animation(tmp_path / name, duration=DURATIONS, **options))
    clip = frames[0].clip
    assert clip is not None and (clip.num_frames, clip.size) == (6, SIZE)
    assert float(clip.fps) == pytest.approx(6 / 0.7, rel=0.01)
    assert [number(frame.image) for frame in frames] == list(range(6))
    assert [frame.frame_id for frame in frames] == list(range(6))
    times = [frame.time for frame in frames]
    np.testing.assert_allclose(times, np.cumsum([0, *DURATIONS[:-1]]) / 1000, atol=1e-3)


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.tif", "a.jpg", "a.gif"])
def test_a_single_picture_stays_one(tmp_path: Path, name: str) -> None:
    picture(3).save(tmp_path / name)
    assert [frame.clip for frame in read(tmp_path / name)] == [None]


@pytest.mark.parametrize("name", ["a.webp", "a.png"])
def test_an_animation_of_one_frame_is_a_picture(tmp_path: Path, name: str) -> None:
    options: dict[str, Any] = {"lossless": True} if name == "a.webp" else {}
    frames = read(animation(tmp_path / name, 1, duration=50, **options))
    assert [frame.clip for frame in frames] == [None]
    assert frames[0].image.shape == (48, 64, 3)


def test_frames_of_a_webp_as_another_reader_gives_them(tmp_path: Path) -> None:
    path = animation(tmp_path / "a.webp", alpha=True, duration=50, lossless=True)
    frames = read(path)
    with Image.open(path) as image:
        for index, frame in enumerate(frames):
            image.seek(index)
            rgba = np.asarray(image.convert("RGBA")).astype(int)
            seen = rgba[..., 3:] > 0  # of what is clear, colours mean nothing
            difference = np.abs(frame.image[..., ::-1] - rgba[..., :3]) * seen
            assert difference.max() <= 1


def test_frames_that_last_no_time_are_shown_as_browsers_do(tmp_path: Path) -> None:
    frames = read(animation(tmp_path / "a.webp", duration=0))
    assert frames[0].clip is not None and frames[0].clip.fps == 10


def test_the_default_image_of_an_apng_is_no_frame(tmp_path: Path) -> None:
    path = animation(tmp_path / "a.png", default_image=True, duration=100)
    assert [number(frame.image) for frame in read(path)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("name", ["a.webp", "a.png"])
def test_an_animation_that_is_cut_short_gives_its_first_frames(tmp_path: Path, name: str) -> None:
    path = animation(tmp_path / name, duration=50)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    found: list[Frame] = []
    with (
        pytest.raises(InputError, match=r"a\.\w+ is damaged or cut short: \d frames could be read"),
        read_frames(path) as frames,
    ):
        found.extend(frames)
    assert 0 < len(found) < 6
    assert [number(frame.image) for frame in found] == list(range(len(found)))


def test_a_webp_of_a_huge_canvas_is_refused(tmp_path: Path) -> None:
    path = animation(tmp_path / "a.webp")
    data = bytearray(path.read_bytes())
    data[24:30] = b"\xff\x3f\0" * 2  # the sides, less one
    path.write_bytes(data)
    with pytest.raises(InputError, match="16384 x 16384 pixels"):
        read(path)


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"big_tiff": True}])
def test_the_pages_of_a_stack_are_frames(tmp_path: Path, options: dict[str, Any]) -> None:
    frames = read(animation(tmp_path / "a.tif", **options))
    assert [number(frame.image) for frame in frames] == list(range(6))
    assert frames[0].clip is not None and frames[0].clip.num_frames == 6


def test_of_pages_of_several_sizes_the_first_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small = picture(1).resize((32, 24))
    picture(0).save(tmp_path / "a.tif", save_all=True, append_images=[small])
    assert [frame.clip for frame in read(tmp_path / "a.tif")] == [None]
    (message,) = caplog.messages
    assert "a.tif has pages of several sizes: only the first of 2 is read" in message


def test_the_directories_of_a_tiff_that_form_a_ring(tmp_path: Path) -> None:
    path = animation(tmp_path / "a.tif")
    data = bytearray(path.read_bytes())
    first = int.from_bytes(data[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[end : end + 4] = data[4:8]  # the next page is the first one again
    path.write_bytes(data)
    assert len(read(path)) == 1


@pytest.mark.parametrize("name", ["a.mjpeg", "a.MJPG", "a.bin", "a.jpg"])
@pytest.mark.parametrize("between", [b"", b"\0\0", b"\r\n"])
def test_raw_mjpeg_is_a_video(tmp_path: Path, name: str, between: bytes) -> None:
    (tmp_path / name).write_bytes(between.join(mjpeg()))
    frames = read(tmp_path / name)
    assert [number(frame.image) for frame in frames] == list(range(6))
    assert frames[0].clip is not None and frames[0].clip.fps == 25


def test_frames_of_an_mjpeg_may_change_their_size(tmp_path: Path) -> None:
    file = io.BytesIO()
    picture(1).resize((32, 24)).save(file, "JPEG")
    (tmp_path / "a.mjpeg").write_bytes(mjpeg(1)[0] + file.getvalue())
    assert [frame.image.shape[:2] for frame in read(tmp_path / "a.mjpeg")] == [(48, 64), (24, 32)]


def test_an_mjpeg_that_is_cut_short(tmp_path: Path) -> None:
    (tmp_path / "a.mjpeg").write_bytes(b"".join(mjpeg())[:-400])
    with pytest.raises(InputError, match="5 frames could be read"):
        read(tmp_path / "a.mjpeg")


def test_an_mjpeg_of_one_picture_is_a_picture(tmp_path: Path) -> None:
    (tmp_path / "a.mjpeg").write_bytes(mjpeg(1)[0])
    assert [frame.clip for frame in read(tmp_path / "a.mjpeg")] == [None]


def test_a_photograph_with_a_preview_behind_it_is_one_picture(tmp_path: Path) -> None:
    preview = io.BytesIO()
    picture(0).resize((32, 24)).save(preview, "JPEG")
    (tmp_path / "a.jpg").write_bytes(mjpeg(1)[0] + preview.getvalue())
    assert [frame.clip for frame in read(tmp_path / "a.jpg")] == [None]


def test_a_photograph_with_a_second_view_is_one_picture(tmp_path: Path) -> None:
    first, second = mjpeg(2)
    listed = b"\xff\xe2\0\x0aMPF\0II*\0"
    (tmp_path / "a.jpg").write_bytes(first[:2] + listed + first[2:] + second)
    assert [frame.clip for frame in read(tmp_path / "a.jpg")] == [None]


def test_a_folders_animations_are_read_and_its_mjpegs_are_videos(tmp_path: Path) -> None:
    animation(tmp_path / "a.webp", 2, duration=50)
    (tmp_path / "b.mjpeg").write_bytes(b"".join(mjpeg(2)))
    picture(1).save(tmp_path / "c.png")
    assert [frame.name for frame in read(tmp_path)] == ["a.webp", "a.webp", "c.png"]
    with read_frames(tmp_path, recursive=True) as frames:
        names = [frame.name for frame in frames]
    assert names == ["a.webp", "a.webp", "b.mjpeg", "b.mjpeg", "c.png"]


@pytest.mark.parametrize(
    "path", ["a.webp", "a.apng", "a.mjpeg", "chunked/a.webp", "chunked/a.apng"]
)
def test_the_url_of_an_animation(tmp_path: Path, server: str, path: str) -> None:  # noqa: F811
    name = Path(path).name
    if name == "a.mjpeg":
        (tmp_path / name).write_bytes(b"".join(mjpeg()))
    else:
        options: dict[str, Any] = {"format": "PNG"} if name == "a.apng" else {"lossless": True}
        animation(tmp_path / name, duration=50, **options)
    with read_frames(f"{server}/{path}") as frames:
        found = list(frames)
    assert [number(frame.image) for frame in found] == list(range(6))
    clip = found[0].clip
    assert clip is not None and clip.download is not None and not clip.live
    with open_clip(clip.download.path) as again:
        assert [number(image) for image, _ in again] == list(range(6))


def test_raw_mjpeg_without_a_length_is_a_stream(tmp_path: Path, server: str) -> None:  # noqa: F811
    (tmp_path / "a.mjpeg").write_bytes(b"".join(mjpeg()))
    found: list[Frame] = []
    with (
        pytest.raises(InputError, match=r"the stream .* ended after 6 frames"),
        read_frames(f"{server}/chunked/a.mjpeg") as frames,
    ):
        found.extend(frames)
    assert found[-1].clip is not None and found[-1].clip.live
    assert number(found[-1].image) == 5  # the newest; others may have been left out


def test_a_clip_can_be_opened_again(tmp_path: Path) -> None:
    path = animation(tmp_path / "a.webp", duration=50, lossless=True)
    with open_clip(path) as clip:
        again = [image for image, _ in clip]
    for image, frame in zip(again, read(path), strict=True):
        np.testing.assert_array_equal(image, frame.image)
    assert clip.fps == Fraction(20)
