"""What a visitor sent: what it is, and how a browser shows it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import av
import cv2
import numpy as np

from posekit.errors import InputError, OutputError
from posekit.io.images import claimed_size, decode_image, read_bytes
from posekit.io.listing import (
    HEIC_SIGNATURE,
    IMAGE_SIGNATURE,
    IMAGE_SUFFIXES,
    SIGNATURE_LENGTH,
    VIDEO_SIGNATURE,
    VIDEO_SUFFIXES,
)
from posekit.io.sequence import kind_of, open_clip
from posekit.io.video_writer import VideoWriter

__all__ = ["ACCEPTED", "Source", "is_media", "read_source", "shown", "stored_name"]

# What the browser's dialogue offers.
ACCEPTED = ",".join(sorted({*IMAGE_SUFFIXES, *VIDEO_SUFFIXES}))
# Pictures and clips that all browsers show as they are.
SHOWN_PICTURES = {".jpg": b"\xff\xd8\xff", ".png": b"\x89PNG", ".webp": b"RIFF", ".gif": b"GIF8"}
SHOWN_CODECS = {"mp4": ("h264", "av1"), "webm": ("vp8", "vp9", "av1")}
MPEG_TS, OGG = b"\x47", b"OggS"
LONGEST_NAME = 80


@dataclass(frozen=True)
class Source:
    """A picture or a clip that a visitor sent.

    Attributes:
        path: of the file, in the visitor's folder.
        name: as the visitor calls it.
        kind: a picture or a clip.
        size: (w, h) in pixels.
        frames: number of frames of a clip, if it states one.
        fps: frames per second of a clip; 0 for a picture.
    """

    path: Path
    name: str
    kind: Literal["picture", "clip"]
    size: tuple[int, int]
    frames: int | None = None
    fps: float = 0.0


def stored_name(name: str) -> str:
    """A visitor's file name, made safe for every file system and program."""
    path = PurePosixPath(re.split(r"[\\/]", name)[-1])
    known = path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES
    stem, suffix = (path.stem, path.suffix.lower()) if known else (path.name, "")
    plain = re.sub(r"[^\w.-]+", "_", stem, flags=re.ASCII).strip("._-")
    return f"{plain[:LONGEST_NAME].strip('._-') or 'file'}{suffix}"


def is_media(start: bytes) -> bool:
    """Whether a file begins as a picture or a clip does.

    Other files that FFmpeg reads, such as playlists, may name files of this machine.
    """
    known = IMAGE_SIGNATURE.match(start) or VIDEO_SIGNATURE.match(start)
    return bool(known) or start.startswith((MPEG_TS, OGG))


def read_source(path: Path, name: str, *, max_pixels: int) -> Source:
    """Looks at a file that was sent.

    Args:
        path: where it lies.
        name: what messages call it.
        max_pixels: the most that a picture or a frame may have.

    Raises:
        InputError: neither a picture nor a clip, a damaged one, or one that is too large.
    """
    start = read_bytes(path, SIGNATURE_LENGTH)
    if not start:
        raise InputError(f"{name} is empty")
    if HEIC_SIGNATURE.match(start) and not IMAGE_SIGNATURE.match(start):
        raise InputError(f"{name} is a HEIC image, which is not supported: convert it to JPEG")
    if not is_media(start):
        raise InputError(f"{name} is neither an image nor a video")
    if IMAGE_SIGNATURE.match(start):
        data = read_bytes(path)
        width, height, _ = claimed_size(data)
        _check_pixels(name, width, height, max_pixels)
        if kind_of(data, path.name) is None:
            height, width = decode_image(data, name).shape[:2]
            _check_pixels(name, width, height, max_pixels)
            return Source(path, name, "picture", (width, height))
    with open_clip(path, name=name) as clip:
        _check_pixels(name, *clip.size, max_pixels)
        if clip.is_picture:
            return Source(path, name, "picture", clip.size)
        return Source(path, name, "clip", clip.size, clip.num_frames, float(clip.fps))


def shown(source: Source, folder: Path, *, most_seconds: float | None = None) -> Path:
    """The file itself if browsers can show it, else one in the folder that they can.

    Args:
        source: of a visitor.
        folder: where another file goes.
        most_seconds: length to show of a clip, if only its beginning is wanted.

    Raises:
        InputError: nothing of it can be read.
        OutputError: it cannot be written.
    """
    if source.kind == "picture":
        return source.path if _shows_picture(source.path) else _as_jpeg(source, folder)
    return source.path if _plays(source.path) else _as_mp4(source, folder, most_seconds)


def _check_pixels(name: str, width: int, height: int, most: int) -> None:
    if width * height > most:
        raise InputError(
            f"{name} has {width} x {height} pixels, the limit is {most}: make it smaller"
        )


def _shows_picture(path: Path) -> bool:
    start = SHOWN_PICTURES.get(path.suffix.lower().replace(".jpeg", ".jpg"))
    return start is not None and read_bytes(path, SIGNATURE_LENGTH).startswith(start)


def _plays(path: Path) -> bool:
    """Whether browsers play a clip, by its container and its codec."""
    try:
        with path.open("rb") as file, av.open(file) as container:
            stream = container.streams.best("video")
            if stream is None or stream.codec_context is None:
                return False
            codec, pixels = stream.codec_context.name, getattr(stream.codec_context, "pix_fmt", "")
            names = container.format.name.split(",")
    except (av.FFmpegError, OSError, ValueError):
        return False
    kind = "webm" if "webm" in names and path.suffix.lower() == ".webm" else "mp4"
    in_it = kind == "webm" or "mp4" in names
    return in_it and codec in SHOWN_CODECS[kind] and pixels in ("yuv420p", "yuvj420p")


def _as_jpeg(source: Source, folder: Path) -> Path:
    path = folder / "source.jpg"
    if source.path.suffix == ".gif":
        with open_clip(source.path, name=source.name) as clip:
            image = next(iter(clip))[0]
    else:
        image = decode_image(read_bytes(source.path), source.name)
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(image))
    if not done:
        raise OutputError(f"{source.name} cannot be written as a JPEG")
    path.write_bytes(data.tobytes())
    return path


def _as_mp4(source: Source, folder: Path, most_seconds: float | None) -> Path:
    path = folder / "source.mp4"
    with (
        open_clip(source.path, name=source.name) as clip,
        VideoWriter(path, fps=clip.fps, size=clip.size) as video,
    ):
        for image, time in clip:
            if most_seconds is not None and time > most_seconds:
                break
            if image.shape[:2] != (clip.size[1], clip.size[0]):
                image = cv2.resize(image, clip.size)
            video.write(image, time)
    return path
