"""Pictures whose headers ask for more than their bytes can be."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps, features

from posekit.errors import InputError
from posekit.io import decode_image


def encoded(suffix: str) -> bytearray:
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    return bytearray(cv2.imencode(suffix, image)[1].tobytes())


def test_a_png_chunk_that_is_longer_than_the_file() -> None:
    data = encoded(".png")
    place = data.index(b"IDAT") - 4
    data[place : place + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(InputError, match="a is truncated"):
        decode_image(bytes(data), "a")


def test_a_png_that_says_it_is_larger_than_its_bytes_can_be() -> None:
    data = encoded(".png")
    data[16:24] = struct.pack(">II", 30_000, 30_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(InputError, match=r"a is damaged: \d+ bytes cannot hold the 30000 x 30000"):
        decode_image(bytes(data), "a")


def test_a_jpeg_that_says_it_is_larger_than_its_bytes_can_be() -> None:
    data = encoded(".jpg")
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", 30_000, 30_000)
    with pytest.raises(InputError, match=r"a is damaged: \d+ bytes cannot hold the 30000 x 30000"):
        decode_image(bytes(data), "a")


@pytest.mark.parametrize("progressive", [False, True])
def test_a_plain_jpeg_is_not_too_small(progressive: bool) -> None:
    file = io.BytesIO()
    grey = Image.fromarray(np.full((2000, 3000), 128, np.uint8))
    grey.save(file, "JPEG", quality=5, optimize=True, progressive=progressive)
    assert decode_image(file.getvalue(), "a").shape == (2000, 3000, 3)


def test_a_plain_png_is_not_too_small() -> None:
    data = cv2.imencode(".png", np.zeros((3000, 4000), np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert decode_image(data[1], "a").shape == (3000, 4000, 3)


def test_a_progressive_jpeg_of_very_many_scans() -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(InputError, match=r"a is damaged: it has \d+ scans, expected 100 at most"):
        decode_image(data[:-2] + scan * 200 + data[-2:], "a")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_turned_and_mirrored_as_it_says(orientation: int) -> None:
    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    image = np.zeros((40, 60, 3), np.uint8)
    image[:20, :30], image[:20, 30:] = 255, 120
    exif = Image.Exif()
    exif[0x112] = orientation
    file = io.BytesIO()
    Image.fromarray(image).save(file, "AVIF", exif=exif, quality=95)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(file)).convert("RGB"))
    found = decode_image(file.getvalue(), "a")
    assert found.shape == expected.shape and np.abs(found.astype(int) - expected).mean() < 2


@pytest.mark.parametrize("length", [12, 40, 200, 300])
def test_the_turn_of_an_avif_that_is_cut_short(length: int) -> None:
    if not cv2.haveImageWriter(".avif"):
        pytest.skip("this OpenCV has no AVIF")
    with pytest.raises(InputError, match="a is damaged, cut short"):
        decode_image(bytes(encoded(".avif")[:length]), "a")


def test_a_known_kind_that_cannot_be_decoded_is_called_damaged() -> None:
    data = encoded(".png")
    data[len(data) // 2] ^= 255
    with pytest.raises(InputError, match="a is damaged, cut short, or an image of a kind"):
        decode_image(bytes(data), "a")


def test_more_pixels_than_opencv_reads() -> None:
    with pytest.raises(InputError, match="a is too large"):
        decode_image(b"P6\n100000 100000\n255\n" + bytes(99), "a")
