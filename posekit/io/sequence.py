"""Files of several pictures that begin as one picture does: animations, stacks, raw MJPEG.

FFmpeg reads APNG, AVIF and MJPEG, but neither animated WebP nor the pages of a TIFF. These are
taken apart here into single pictures that OpenCV decodes one by one: memory does not grow with
their number.

Sources: WebP Container Specification; TIFF 6.0 and BigTIFF; W3C PNG (third edition).
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np

from posekit.errors import InputError
from posekit.io.cutting import cut_out
from posekit.io.images import (
    JPEG,
    PNG,
    decode,
    jpeg_scan_start,
    jpeg_size,
    png_chunks,
    read_bytes,
)
from posekit.io.listing import IMAGE_SIGNATURE, MJPEG_SUFFIXES, SIGNATURE_LENGTH
from posekit.io.video import DEFAULT_FPS, VideoReader
from posekit.stages.packet import WHOLE, Cut

__all__ = ["PROBE", "Kind", "PictureReader", "kind_of", "open_clip"]

log = logging.getLogger(__name__)

Kind = Literal["apng", "avif", "mjpeg", "tiff", "webp"]

PROBE = 64 << 20  # bytes of a file within which its first picture has to end, to be one of several
HEADER = 1 << 20  # bytes, more than those of a JPEG before its first scan
MAX_CANVAS = 1 << 26  # pixels of an animated WebP: few bytes may ask for any number
# Browsers, and FFmpeg for GIF, show a frame for so long that says it lasts no more than 10 ms.
MIN_DURATION, DEFAULT_DURATION = 11, 100  # milliseconds


def kind_of(data: bytes, name: str) -> Kind | None:
    """The kind of a file of several pictures; None for a single picture or a video.

    Args:
        data: the file, or its beginning.
        name: the file's name; its suffix counts for a raw MJPEG whose frames change their size.
    """
    if data.startswith(PNG):
        return "apng" if _apng_count(data) > 1 else None
    if data.startswith(JPEG):
        return "mjpeg" if _is_mjpeg(data, Path(name).suffix.lower() in MJPEG_SUFFIXES) else None
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X":
        return "webp" if data[20:21] and data[20] & 2 else None
    if data[4:8] == b"ftyp":
        brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
        return "avif" if b"avis" in brands and b"moov" in data else None
    if data[:4] in _TIFF_STARTS:
        return "tiff" if len(_tiff_pages(data, name)) > 1 else None
    return None


def open_clip(path: Path, *, name: str | None = None) -> VideoReader | PictureReader:
    """A reader for the frames of a video, or of a file of several pictures.

    Args:
        path: the file.
        name: for messages; None takes the path.

    Raises:
        InputError: no such file, or no frame of it can be decoded.
    """
    name = name or str(path)
    if not IMAGE_SIGNATURE.match(read_bytes(path, SIGNATURE_LENGTH)):
        return VideoReader(path, name=name)
    data = read_bytes(path, PROBE)
    kind = kind_of(data, path.name)
    if kind in ("tiff", "webp"):
        read = _read_tiff if kind == "tiff" else _read_webp
        return read(data if len(data) < PROBE else read_bytes(path), name)
    if kind == "apng":
        return VideoReader(path, name=name, container_format="apng", timing=_apng_timing(data))
    return VideoReader(path, name=name, container_format="mjpeg" if kind == "mjpeg" else None)


class PictureReader:
    """The frames of a file of several pictures, once, with the interface of `VideoReader`.

    Args:
        name: for messages.
        images: each frame (H, W, 3), BGR, uint8; an InputError where there are no more.
        durations: milliseconds of each frame; all 0 where they are not known.

    Attributes:
        size: (w, h) of the first frame, in pixels.
        fps: frames per second, on average.
        num_frames: how many there are.
        live: False.
        is_picture: whether there is only one.

    Raises:
        InputError: the first frame cannot be decoded.
    """

    live = False

    def __init__(self, name: str, images: Iterator[np.ndarray], durations: list[int]) -> None:
        self.name = name
        self.num_frames: int | None = len(durations)
        self.is_picture = len(durations) == 1
        total = Fraction(sum(durations), 1000)
        self.fps = len(durations) / total if total else DEFAULT_FPS
        steps = [Fraction(ms, 1000) if total else 1 / self.fps for ms in durations]
        self._times = itertools.accumulate(steps, initial=Fraction())
        try:
            first = next(images)
        except InputError as error:
            raise InputError(f"{name} is damaged: {error}") from None
        self.size = (first.shape[1], first.shape[0])
        # An iterator lets go of what it has given; a list would keep the image.
        self._images: Iterator[np.ndarray] = itertools.chain(iter([first]), images)

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        """Images (H, W, 3), BGR, uint8, each with the seconds since the first.

        Raises:
            InputError: where a frame is damaged or missing.
        """
        count = 0
        try:
            for time in self._times:
                image = next(self._images, None)
                if image is None:
                    return
                yield image, float(time)
                del image
                count += 1
        except InputError as error:
            raise InputError(
                f"{self.name} is damaged or cut short: {count} frames could be read: {error}; "
                "copy or download it again"
            ) from None

    def frames(self, cut: Cut = WHOLE) -> Iterator[tuple[np.ndarray, float, int]]:
        """As `VideoReader.frames`."""
        return cut_out(self, cut, self.name, self.fps)

    def close(self) -> None:
        """Releases the file's content."""
        self._images = iter(())

    def __enter__(self) -> PictureReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Patch(NamedTuple):
    """A frame of an animated WebP: what it changes on the canvas.

    Attributes:
        begin, end: where its picture lies in the file.
        x, y, width, height: where it goes, in pixels.
        duration: milliseconds.
        blend: transparent pixels leave what was there.
        dispose: its place is cleared when its time is over.
    """

    begin: int
    end: int
    x: int
    y: int
    width: int
    height: int
    duration: int
    blend: bool
    dispose: bool


def _read_webp(data: bytes, name: str) -> PictureReader:
    """An animated WebP. What is transparent is black."""
    # What stands behind its end does not belong to it.
    whole = _number(data, 4, 4) + 8
    patches = list(_patches(data[:whole]))
    canvas = _number(data, 24, 3) + 1, _number(data, 27, 3) + 1
    if canvas[0] * canvas[1] > MAX_CANVAS:
        raise InputError(f"{name} is damaged: its header says {canvas[0]} x {canvas[1]} pixels")
    if not patches:
        raise InputError(f"{name} is damaged or cut short: no frame of it is whole")
    images = _webp_images(data, patches, canvas, cut=len(data) < whole)
    return PictureReader(name, images, [patch.duration for patch in patches])


def _webp_images(
    data: bytes, patches: list[_Patch], canvas_wh: tuple[int, int], *, cut: bool
) -> Iterator[np.ndarray]:
    canvas = np.zeros((canvas_wh[1], canvas_wh[0], 4), np.uint8)
    for number, patch in enumerate(patches):
        place = canvas[patch.y : patch.y + patch.height, patch.x : patch.x + patch.width]
        pixels = _decode_patch(data, patch, f"frame {number}")
        if pixels.shape[:2] != place.shape[:2]:
            raise InputError(f"frame {number} has another size than the file says")
        _put(pixels, place, blend=patch.blend)
        yield canvas[..., :3].copy()
        if patch.dispose:
            place[:] = 0
    if cut:
        raise InputError("its end is missing")


def _decode_patch(data: bytes, patch: _Patch, name: str) -> np.ndarray:
    """(h, w, 3 or 4), of a still WebP made from the frame's own chunks."""
    chunks = b"".join(
        data[begin - 8 : end + (end - begin) % 2]
        for kind, begin, end in _riff_chunks(data, patch.begin, patch.end)
        if kind in (b"ALPH", b"VP8 ", b"VP8L")
    )
    if chunks[:4] == b"ALPH":
        corner = [(side - 1).to_bytes(3, "little") for side in (patch.width, patch.height)]
        chunks = b"VP8X\x0a\0\0\0\x10\0\0\0" + b"".join(corner) + chunks
    webp = b"RIFF" + (len(chunks) + 4).to_bytes(4, "little") + b"WEBP" + chunks
    return decode(webp, name, cv2.IMREAD_UNCHANGED)


def _put(pixels: np.ndarray, place: np.ndarray, *, blend: bool) -> None:
    """Lays pixels (h, w, 3 or 4) over a part (h, w, 4) of a canvas, which is changed."""
    if pixels.shape[2] == 3:
        place[..., :3], place[..., 3] = pixels, 255
        return
    alpha = pixels[..., 3:]
    if not blend:
        place[:] = pixels * (alpha > 0)
        return
    # Of colours that are not multiplied by their alpha, both of them.
    over = alpha.astype(np.float32) / 255
    under = place[..., 3:].astype(np.float32) / 255 * (1 - over)
    total = over + under
    colours = pixels[..., :3] * over + place[..., :3] * under
    place[..., :3] = np.rint(colours / np.where(total > 0, total, 1))
    place[..., 3:] = np.rint(total * 255)


def _patches(data: bytes) -> Iterator[_Patch]:
    """The frames that are whole."""
    for kind, begin, end in _riff_chunks(data, 12, len(data)):
        if kind == b"ANMF" and end - begin > 16:
            x, y, width, height, duration = (_number(data, begin + n, 3) for n in range(0, 15, 3))
            if duration < MIN_DURATION:
                duration = DEFAULT_DURATION
            flags = data[begin + 15]
            yield _Patch(
                *(begin + 16, end, 2 * x, 2 * y, width + 1, height + 1, duration),
                blend=not flags & 2,
                dispose=bool(flags & 1),
            )


def _riff_chunks(data: bytes, position: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """The chunks that are whole: type, and where the content begins and ends."""
    while position + 8 <= stop:
        begin = position + 8
        end = begin + _number(data, position + 4, 4)
        if end > stop:
            return
        yield data[position : position + 4], begin, end
        position = end + (end - begin) % 2


def _number(data: bytes, position: int, size: int) -> int:
    return int.from_bytes(data[position : position + size], "little")


# Byte order, and whether offsets take eight bytes.
_TIFF_STARTS: dict[bytes, tuple[Literal["little", "big"], bool]] = {
    b"II*\0": ("little", False),
    b"MM\0*": ("big", False),
    b"II+\0": ("little", True),
    b"MM\0+": ("big", True),
}
_SUBFILE_TYPE, _WIDTH, _HEIGHT = 254, 256, 257
_REDUCED, _MASK = 1, 4  # bits of the type
MAX_PAGES = 1 << 20


def _read_tiff(data: bytes, name: str) -> PictureReader:
    """The pages of a TIFF that are all of one size, such as a stack of a microscope."""
    pages = _tiff_pages(data, name)
    return PictureReader(name, _tiff_images(bytearray(data), pages), [0] * len(pages))


def _tiff_images(data: bytearray, pages: list[int]) -> Iterator[np.ndarray]:
    order, big = _TIFF_STARTS[bytes(data[:4])]
    for number, offset in enumerate(pages):
        # OpenCV decodes the page that the header names as the first.
        data[8 if big else 4 : 16 if big else 8] = offset.to_bytes(8 if big else 4, order)
        yield decode(data, f"page {number}", cv2.IMREAD_COLOR)


def _tiff_pages(data: bytes, name: str) -> list[int]:
    """Offsets of the pages' directories; the first one's alone where sizes differ.

    Smaller versions of a page, and masks, are no pages.
    """
    offsets, sizes = [], []
    for offset, tags in _tiff_directories(data):
        if not tags.get(_SUBFILE_TYPE, 0) & (_REDUCED | _MASK):
            offsets.append(offset)
            sizes.append((tags.get(_WIDTH), tags.get(_HEIGHT)))
    if len(set(sizes)) > 1:
        log.warning("%s has pages of several sizes: only the first of %d is read", name, len(sizes))
        return offsets[:1]
    return offsets


def _tiff_directories(data: bytes) -> Iterator[tuple[int, dict[int, int]]]:
    """Each directory's offset, and its tags of a single whole number."""
    order, big = _TIFF_STARTS[data[:4]]
    word, count_size, entry_size = (8, 8, 20) if big else (4, 2, 12)

    def number(position: int, size: int) -> int:
        return int.from_bytes(data[position : position + size], order)

    offset, seen = number(8 if big else 4, word), set[int]()
    while offset and offset not in seen and len(seen) < MAX_PAGES:
        seen.add(offset)
        begin, count = offset + count_size, number(offset, count_size)
        end = begin + count * entry_size
        if end + word > len(data) or count > 0xFFFF:
            return  # it is cut short or damaged
        tags = {}
        for entry in range(begin, end, entry_size):
            if tag_size := {3: 2, 4: 4, 16: 8}.get(number(entry + 2, 2)):  # SHORT, LONG, LONG8
                tags[number(entry, 2)] = number(entry + 4 + word, tag_size)
        yield offset, tags
        offset = number(end, word)


def _apng_count(data: bytes) -> int:
    """How many frames a PNG says it has; 0 for one that is not animated."""
    for kind, begin, _ in png_chunks(data):
        if kind == b"acTL":
            return int.from_bytes(data[begin : begin + 4], "big")
        if kind == b"IDAT":
            break
    return 0


def _apng_timing(data: bytes) -> tuple[int, Fraction] | None:
    """The number of frames and their average rate; None where not all of them are there."""
    total, count = Fraction(), 0
    for kind, begin, end in png_chunks(data):
        if kind == b"fcTL" and end - begin >= 24:
            over, under = (int.from_bytes(data[begin + n : begin + n + 2], "big") for n in (20, 22))
            total, count = total + Fraction(over, under or 100), count + 1
    return (count, count / total) if total and count == _apng_count(data) else None


_NEXT_JPEG = re.compile(rb"[\0\r\n ]*(?=\xff\xd8\xff)")


def _is_mjpeg(data: bytes, named: bool) -> bool:
    """Whether another JPEG follows right behind the first, as large as it is.

    Cameras put a preview or a second view behind a photograph; these are smaller, or the header has
    a list of them (MPF). In a file `named` as a video sizes may differ.
    """
    start = jpeg_scan_start(data)
    end = data.find(b"\xff\xd9", start)
    if end < 0:
        return False
    next_one = _NEXT_JPEG.match(data, end + 2)
    if next_one is None or named:
        return next_one is not None
    listed = b"MPF\0" in data[:start]
    return not listed and jpeg_size(data[next_one.end() : next_one.end() + HEADER]) == jpeg_size(
        data
    )
