"""Images in: files, folders, URLs and arrays. Colour order is decided here: BGR, uint8."""

from __future__ import annotations

import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from posekit.errors import InputError

__all__ = ["ImageSource", "decode_image", "iter_sources", "to_bgr"]

IMAGE_SUFFIXES = frozenset(
    (
        ".avif",
        ".bmp",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    )
)
URL_TIMEOUT = 30.0  # seconds
URL_LIMIT = 512 * 1024 * 1024  # bytes


@dataclass(frozen=True)
class ImageSource:
    """An image that has not been read yet.

    Attributes:
        name: file name for what is written about it.
        source: path or URL, None for an array.
        load: gives the image (H, W, 3), BGR, uint8; raises `InputError`.
    """

    name: str
    source: str | None
    load: Callable[[], np.ndarray]


def iter_sources(inputs: Any) -> Iterator[ImageSource]:
    """The images of any supported input, in order, none of them read yet.

    Args:
        inputs: a path or URL of an image, a folder (its images, sorted by name), an array
            (H, W, 3), BGR, or (N, H, W, 3), or an iterable of any of these.

    Raises:
        InputError: a folder without images, or something else altogether.
    """
    for index, source in enumerate(_walk(inputs)):
        # An array has no name of its own: it gets its number.
        yield source if source.name else ImageSource(f"{index:08d}.jpg", None, source.load)


def _walk(inputs: Any) -> Iterator[ImageSource]:
    if isinstance(inputs, ImageSource):
        yield inputs
    elif isinstance(inputs, np.ndarray):
        if inputs.ndim == 4:
            yield from (_from_array(image) for image in inputs)
        else:
            yield _from_array(inputs)
    elif isinstance(inputs, str | os.PathLike):
        yield from _from_path(os.fspath(inputs))
    elif isinstance(inputs, Iterable) and not isinstance(inputs, bytes | dict):
        for item in inputs:
            yield from _walk(item)
    else:
        raise InputError(
            "inputs must be a path, a URL, a folder, a NumPy image or a list of these, "
            f"found {type(inputs).__name__}"
        )


def _from_array(image: np.ndarray) -> ImageSource:
    return ImageSource("", None, lambda: to_bgr(image))


def _from_path(text: str) -> Iterator[ImageSource]:
    if text.startswith(("http://", "https://")):
        name = Path(urllib.parse.unquote(urllib.parse.urlsplit(text).path)).name or "image"
        yield ImageSource(name, text, lambda: read_url(text))
        return
    path = Path(text)
    if not path.is_dir():
        yield ImageSource(path.name, text, lambda: read_image(path))
        return
    try:
        files = sorted(entry for entry in path.iterdir() if entry.is_file() and is_image(entry))
    except OSError as error:
        raise InputError(f"cannot list the folder {path}: {error.strerror}") from None
    if not files:
        raise InputError(f"no images in the folder {path}")
    for file in files:
        yield ImageSource(file.name, str(file), lambda file=file: read_image(file))  # type: ignore[misc]


def is_image(path: Path) -> bool:
    """True for an image's suffix or an image's first bytes."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        return bool(cv2.haveImageReader(str(path)))
    except cv2.error:
        return False


def read_image(path: Path) -> np.ndarray:
    """A file as (H, W, 3), BGR, uint8, turned upright as its EXIF tag says.

    Raises:
        InputError: no such file, not an image, damaged.
    """
    try:
        data = np.fromfile(path, np.uint8)  # unlike cv2.imread, any file name on any system
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    return decode_image(data, str(path))


def read_url(url: str) -> np.ndarray:
    """The image behind a URL, as `read_image` gives it.

    Raises:
        InputError: the server does not give it, or it is not an image.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "posekit"})
    try:
        with urllib.request.urlopen(request, timeout=URL_TIMEOUT) as response:
            data = response.read(URL_LIMIT + 1)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise InputError(f"cannot get {url}: {getattr(error, 'reason', None) or error}") from None
    if len(data) > URL_LIMIT:
        raise InputError(f"{url} is larger than {URL_LIMIT // 2**20} MB")
    return decode_image(np.frombuffer(data, np.uint8), url)


def decode_image(data: np.ndarray, name: str) -> np.ndarray:
    """The bytes of an image file -> (H, W, 3), BGR, uint8.

    Args:
        data: (n,), uint8.
        name: for messages.

    Raises:
        InputError: empty, not an image, cut short.
    """
    if not data.size:
        raise InputError(f"{name} is empty")
    if _is_truncated(data.tobytes()):
        raise InputError(f"{name} is truncated: its end is missing; copy or download it again")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InputError(f"{name} cannot be decoded: {error.err}") from None
    if image is None:
        raise InputError(f"{name} is not an image, or of a kind that OpenCV cannot read")
    return np.asarray(image)


def _is_truncated(data: bytes) -> bool:
    """True where a JPEG, PNG or WebP lacks its end: OpenCV would fill the rest with grey."""
    if data.startswith(b"\xff\xd8\xff"):
        return data.find(b"\xff\xd9", _jpeg_scan_start(data)) < 0
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND" not in data[-4096:]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return len(data) < int.from_bytes(data[4:8], "little") + 8
    return False


def _jpeg_scan_start(data: bytes) -> int:
    """Where the first scan begins: a thumbnail's end marker may stand before it."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == 0xDA:
            break
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return min(position, len(data))


def to_bgr(image: np.ndarray) -> np.ndarray:
    """An array as (H, W, 3), BGR, uint8: grey, BGRA and 16-bit ones are converted.

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
    if channels == 4:
        return np.ascontiguousarray(image[..., :3])
    if channels != 3:
        raise InputError(f"an image must have 1, 3 or 4 channels, found {image.shape}")
    return np.ascontiguousarray(image)


@dataclass(frozen=True, eq=False)
class Clip:
    """A video, a stream or a camera that frames come from.

    Attributes:
        name: file name for what is written about it, such as `demo.mp4`.
        source: path or URL, or `webcam:0`.
        size: (w, h) of its frames as they are shown, in pixels.
        fps: frames per second, on average.
        num_frames: how many it says it has; None where it does not say, as a camera.
        live: frames come as time passes; those that nobody takes in time are lost.
    """

    name: str
    source: str
    size: tuple[int, int]
    fps: Fraction
    num_frames: int | None = None
    live: bool = False


@dataclass(frozen=True, eq=False)
class Frame:
    """An image that was read.

    Attributes:
        image: (H, W, 3), BGR, uint8, upright.
        index: its position in the inputs, from 0; every frame of a video counts.
        name: file name for what is written about it; a clip's name for its frames.
        source: path or URL; None for an array.
        clip: what it is a frame of; None for an image.
        frame_id: its number in its clip, from 0; None for an image.
        time: seconds since the clip began; None for an image.
    """

    image: np.ndarray
    index: int
    name: str
    source: str | None = None
    clip: Clip | None = None
    frame_id: int | None = None
    time: float | None = None
