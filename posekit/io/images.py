"""The bytes of an image file -> pixels, after a check that the file can be whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from posekit.errors import InputError, OutputError
from posekit.io.avif import stored_turn

__all__ = [
    "JPEG",
    "PNG",
    "check_whole",
    "claimed_size",
    "decode",
    "decode_image",
    "encode_jpeg",
    "jpeg_scan_start",
    "jpeg_size",
    "png_chunks",
    "read_bytes",
    "read_image",
    "read_open",
    "to_bgr",
]

JPEG_QUALITY = 95
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# How a file begins that is an image, whatever is wrong with the rest.
KNOWN = (JPEG, PNG[:4], b"BM", b"GIF8", b"II*\0", b"MM\0*", b"RIFF")
# Scans of a progressive JPEG. Ten are usual and libjpeg writes no more than these; each one that a
# file claims to have costs a pass over the whole picture.
MAX_SCANS = 100
# What a byte can stand for at most. Deflate: 1032 bytes; Huffman codes: a bit for a block of 8 x 8.
PNG_BYTES_PER_BYTE, JPEG_PIXELS_PER_BYTE = 1032, 8 * 64
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type


def read_image(path: Path) -> np.ndarray:
    """Reads an image file as (H, W, 3), BGR, uint8, turned upright by its EXIF tag.

    Raises:
        InputError: no such file, not an image, damaged.
    """
    return decode_image(read_bytes(path), str(path))


def read_bytes(path: Path, limit: int = -1) -> bytes:
    """A file's content, or the beginning of it.

    Args:
        path: the file; unlike with `cv2.imread`, any name works on any system.
        limit: the most bytes to read; -1 reads all.

    Raises:
        InputError: no such file, or it cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            # A single read, into memory of the right size, for an ordinary file.
            data = file.read(min(limit, size) if limit >= 0 else size)
            while limit < 0 and (rest := file.read(1 << 20)):  # it has grown, or has no size
                data += rest
            return data
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None


def read_open(file: Any, name: str, size: int = -1) -> bytes:
    """The next `size` bytes of an open file, all of them for -1; none at its end.

    Raises:
        InputError: it is closed, was opened as text or for writing, or cannot be read.
    """
    try:
        data = file.read(size)
    except Exception as error:  # of whatever object this is
        raise InputError(f"{name} cannot be read: {error or type(error).__name__}") from None
    if isinstance(data, str):
        raise InputError(f"{name} was opened as text: open it with mode 'rb'")
    return bytes(data or b"")


def decode_image(data: bytes | np.ndarray, name: str) -> np.ndarray:
    """Decodes the bytes of an image file to (H, W, 3), BGR, uint8; the first of several images.

    Args:
        data: bytes, or (n,), uint8.
        name: for messages.

    Raises:
        InputError: empty, not an image, cut short, damaged.
    """
    content = data.tobytes() if isinstance(data, np.ndarray) else data
    check_whole(content, name)
    if (turn := stored_turn(content)) is not None:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        return turn.upright(decode(content, name, flags))
    return decode(content, name, cv2.IMREAD_COLOR)


def decode(data: bytes | bytearray, name: str, flags: int) -> np.ndarray:
    """The pixels as OpenCV decodes them with its `flags`, without a check of the bytes before."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE" in error.err:
            raise InputError(f"{name} is too large: OpenCV reads 2^30 pixels at most") from None
        raise InputError(f"{name} cannot be decoded: {error.err}") from None
    if image is None:
        if bytes(data[:4]).startswith(KNOWN) or data[4:8] == b"ftyp":
            raise InputError(
                f"{name} is damaged, cut short, or an image of a kind that OpenCV cannot read; "
                "copy it again, or convert it to JPEG or PNG"
            )
        raise InputError(f"{name} is not an image, or has a format that OpenCV cannot read")
    return np.asarray(image)


def encode_jpeg(image: np.ndarray) -> bytes:
    """A picture (H, W, 3), BGR, or (H, W), uint8, as a JPEG that labels can be drawn on."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise OutputError(
            f"an image of {image.shape[1]}x{image.shape[0]} pixels is too large for JPEG"
        )
    return data.tobytes()


def check_whole(data: bytes, name: str) -> None:
    """Checks that a file can hold what its header says, before memory and time go into it.

    Raises:
        InputError: empty, cut short, or a header that its bytes cannot fill.
    """
    if not data:
        raise InputError(f"{name} is empty")
    if _is_truncated(data):
        raise InputError(f"{name} is truncated: its end is missing; copy or download it again")
    if data.startswith(JPEG) and (count := _scan_count(data)) > MAX_SCANS:
        raise InputError(f"{name} is damaged: it has {count} scans, expected {MAX_SCANS} at most")
    width, height, most = claimed_size(data)
    if width * height > most:
        raise InputError(
            f"{name} is damaged: {len(data)} bytes cannot hold the {width} x {height} pixels that "
            "it says it has; copy or download it again"
        )


def _is_truncated(data: bytes) -> bool:
    """True where a JPEG, PNG or WebP lacks its end: OpenCV would fill the rest with grey."""
    if data.startswith(JPEG):
        return data.find(b"\xff\xd9", jpeg_scan_start(data)) < 0
    if data.startswith(PNG):
        return b"IEND" not in (kind for kind, _, _ in png_chunks(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return len(data) < int.from_bytes(data[4:8], "little") + 8
    return False


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The complete chunks, in order: type, and where the content begins and ends."""
    position = len(PNG)
    while position + 8 <= len(data):
        begin = position + 8
        end = begin + int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : begin]
        if end > len(data):
            return
        yield kind, begin, end
        if kind == b"IEND":
            return
        position = end + 4  # behind the checksum


def jpeg_scan_start(data: bytes) -> int:
    """Where the first scan begins; a thumbnail's end marker may come before it."""
    return _jpeg_header(data)[0]


def jpeg_size(data: bytes) -> tuple[int, int]:
    """(w, h) in pixels from a JPEG's header; zeros if it does not say."""
    return _jpeg_header(data)[1]


def _jpeg_header(data: bytes) -> tuple[int, tuple[int, int], int]:
    """Where the first scan begins, (w, h), and the marker that these stand behind."""
    position, size, frame = 2, (0, 0), 0
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == 0xDA:
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and not frame:
            height, width = (
                int.from_bytes(data[position + n : position + n + 2], "big") for n in (5, 7)
            )
            size, frame = (width, height), marker
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return min(position, len(data)), size, frame


def _scan_count(data: bytes) -> int:
    """How many scans a progressive JPEG seems to have; 1 of the other kinds."""
    start, _, frame = _jpeg_header(data)
    return data.count(b"\xff\xda", start) if frame == 0xC2 else 1


def claimed_size(data: bytes) -> tuple[int, int, float]:
    """(w, h) that a PNG or a JPEG claims, and the most pixels that its bytes can hold."""
    if data.startswith(JPEG):
        _, (width, height), frame = _jpeg_header(data)
        # Arithmetic codes take less than a bit.
        return width, height, len(data) * JPEG_PIXELS_PER_BYTE if frame <= 0xC7 else float("inf")
    if data.startswith(PNG) and data[12:16] == b"IHDR":
        width, height = (int.from_bytes(data[n : n + 4], "big") for n in (16, 20))
        bits = max(1, data[24]) * PNG_CHANNELS.get(data[25], 1)
        return width, height, len(data) * PNG_BYTES_PER_BYTE * 8 / bits
    return 0, 0, float("inf")


def to_bgr(image: np.ndarray, *, rgb: bool = False) -> np.ndarray:
    """Converts an array to (H, W, 3), BGR, uint8, also from grey, BGRA or 16 bits.

    Args:
        image: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
        rgb: whether its channels are RGB or RGBA.

    Raises:
        InputError: another shape or type.
    """
    if not isinstance(image, np.ndarray) or image.ndim not in (2, 3) or 0 in image.shape:
        raise InputError(
            f"an image must be an array (H, W, 3), found {getattr(image, 'shape', type(image))}"
        )
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise InputError(f"an image must be uint8 (0 to 255), found {image.dtype}")
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels == 1:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_GRAY2BGR))
    if channels not in (3, 4):
        raise InputError(
            f"an image must be (H, W, C) with 1, 3 or 4 channels, which come last, "
            f"found {image.shape}"
        )
    return np.ascontiguousarray(image[..., 2::-1] if rgb else image[..., :3])
