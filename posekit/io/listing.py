"""Which files, cameras and URLs the inputs name, and in what order."""

from __future__ import annotations

import fnmatch
import glob
import logging
import os
import re
import sys
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np

from posekit.declared import Options, option
from posekit.errors import InputError
from posekit.files import PACKAGED
from posekit.stages.packet import Cut

__all__ = [
    "HEIC_SIGNATURE",
    "IMAGE_SIGNATURE",
    "IMAGE_SUFFIXES",
    "INDEXED_SIGNATURE",
    "MJPEG_SUFFIXES",
    "MOVING_SUFFIXES",
    "OWN",
    "SIGNATURE_LENGTH",
    "STORE_SCHEMES",
    "VIDEO_SIGNATURE",
    "VIDEO_SUFFIXES",
    "WEB_SCHEMES",
    "ErrorOptions",
    "InputOptions",
    "Listing",
    "OnError",
    "Order",
    "camera_number",
    "check_type",
    "hide_password",
    "is_pil",
    "is_tensor",
    "is_webcam",
    "natural_key",
    "reason_of",
    "scheme_of",
    "start_of",
]

log = logging.getLogger(__name__)

Order = Literal["name", "natural"]

OWN = "posekit:"  # before the names of inputs that are in the package


@dataclass(frozen=True, kw_only=True)
class InputOptions(Options):
    """Folders, patterns and parts of videos."""

    recursive: bool = option(False, "search subfolders too, and include the videos of a folder")
    include: str | Sequence[str] | None = option(
        None,
        'only files of a folder that match a pattern, such as `"*.mp4"`, or one of several',
    )
    order: Order | None = option(
        None,
        "how files of a folder or a pattern are sorted: `name` compares characters, `natural` "
        "compares digits as numbers (frame2 before frame10); if unset, `natural` where "
        "successive images are treated as a sequence, else `name`; always `name` with "
        "`bboxes`, which are given in that order",
    )

    color: Literal["bgr", "rgb"] | None = option(
        None,
        "channel order of images that are arrays or tensors; if unset, `bgr`; files and PIL "
        "images carry their own",
        python=True,
    )
    start: float | str | None = option(
        None,
        "where a video begins: seconds, or text such as `00:01:30`; for a camera or stream, "
        "counted from its first frame",
        unit="seconds",
        least=0,
    )
    end: float | str | None = option(
        None,
        "where a video ends, in the same form; a frame at exactly that time is excluded",
        unit="seconds",
        above=0,
    )
    stride: int = option(
        1, "use every n-th frame of a video; times and `frame_id` stay those of the video", least=1
    )

    def check(self) -> None:
        Listing.of(self.recursive, self.include)
        _ = self.cut

    @property
    def cut(self) -> Cut:
        """Which frames of clips are taken."""
        start = 0.0 if self.start is None else _seconds("start", self.start)
        end = None if self.end is None else _seconds("end", self.end)
        if end is not None and end <= start:
            raise InputError(f"end={self.end} must be after start={self.start or 0}")
        return Cut(start, end, self.stride)


OnError = Literal["raise", "skip"] | Callable[[str, InputError], None]


@dataclass(frozen=True, kw_only=True)
class ErrorOptions(Options):
    """Unusable inputs."""

    on_error: OnError = option(
        "raise",
        "what to do with an input that cannot be used: `raise` stops, `skip` warns and "
        "continues with the others (the command exits with 1); in Python also a function, "
        "called with the input's name and the error",
        as_key="skip",
    )

    def check(self) -> None:
        if self.on_error not in ("raise", "skip") and not callable(self.on_error):
            raise InputError(f"on_error must be raise, skip or a function, found {self.on_error!r}")


IMAGE_SUFFIXES = frozenset(
    [
        ".apng",
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
    ]
)
VIDEO_SUFFIXES = frozenset(
    [
        ".3gp",
        ".asf",
        ".avi",
        ".flv",
        ".gif",
        ".m2ts",
        ".m4v",
        ".mjpeg",
        ".mjpg",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".ts",
        ".webm",
        ".wmv",
    ]
)
MJPEG_SUFFIXES = frozenset((".mjpeg", ".mjpg"))
# Of pictures that often are several.
MOVING_SUFFIXES = frozenset((".apng", ".avif", ".tif", ".tiff", ".webp"))
# How the files of an image that OpenCV reads begin.
IMAGE_SIGNATURE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|BM.{4}\0\0\0\0|II[*+]\0|MM\0[*+]|RIFF.{4}WEBP|P[1-7Ff]\s"
    rb"|\0\0\0\x0cjP  \r\n|\xff\x4f\xff\x51|.{4}ftyp(avi[fs]|m[is]f1.*avi[fs])"
    rb"|#\?R|\x76\x2f\x31\x01|\x59\xa6\x6a\x95",
    re.DOTALL,
)
# FFmpeg has to go to and fro in these videos; live streams are sent in the formats of the others.
INDEXED_SIGNATURE = re.compile(rb"GIF8|.{4}(ftyp|moov|mdat|wide|free|skip)|RIFF.{4}AVI ", re.DOTALL)
VIDEO_SIGNATURE = re.compile(
    INDEXED_SIGNATURE.pattern + rb"|\x1a\x45\xdf\xa3|FLV\x01|\0\0\x01[\xba\xb3]|\x30\x26\xb2\x75",
    re.DOTALL,
)
# Photographs that FFmpeg would take for a video of a single frame, or of a part of it.
HEIC_SIGNATURE = re.compile(rb".{4}ftyp(hei[cxms]|hev[cxms]|m[is]f1)", re.DOTALL)
SIGNATURE_LENGTH = 64  # bytes
WEB_SCHEMES = frozenset(("http", "https"))
# Of file systems that fsspec opens.
STORE_SCHEMES = frozenset(
    ["abfs", "abfss", "adl", "az", "file", "ftp", "gcs", "gs", "hdfs", "hf", "memory", "oss", "s3"]
    + ["s3a", "sftp", "smb"]
)
STREAM_SCHEMES = frozenset(
    ["rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "tcp", "srt", "mms", "mmsh"]
)


def _seconds(name: str, value: float | str) -> float:
    """Seconds of a number or of `SS`, `MM:SS` or `HH:MM:SS`, with or without a fraction."""
    if not isinstance(value, str):
        return float(value)
    found = re.fullmatch(r"(?:(?:(\d+):)?([0-5]?\d):)?(\d+(?:\.\d*)?)", value.strip(), re.ASCII)
    if found is None or (found[2] and float(found[3]) >= 60):
        raise InputError(f"{name} must be seconds, such as 90, or 00:01:30, found {value!r}")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds


def is_webcam(inputs: Any) -> bool:
    """True for `webcam` and `webcam:1`."""
    return isinstance(inputs, str) and camera_number(inputs) is not None


@dataclass(frozen=True)
class Listing:
    """Which files of a folder are taken, and how those of a folder or a pattern are sorted.

    Attributes:
        recursive: take its subfolders and its videos too.
        include: patterns that names must fit.
        order: "name" goes character by character, as `sorted` does (frame10 before frame2);
            "natural" takes digits as numbers (frame2 before frame10).
    """

    recursive: bool = False
    include: tuple[str, ...] = ()
    order: Order = "name"

    @classmethod
    def of(
        cls, recursive: bool, include: str | Sequence[str] | None, order: Order = "name"
    ) -> Listing:
        patterns = (include,) if isinstance(include, str) else tuple(include or ())
        if not all(isinstance(pattern, str) and pattern for pattern in patterns):
            raise InputError(f"include must be a pattern such as *.mp4, found {include!r}")
        if order not in ("name", "natural"):
            raise InputError(f"order must be name or natural, found {order!r}")
        return cls(recursive, patterns, order)

    def files(self, text: str) -> list[Path]:
        """The files that a path, a folder or a pattern stands for, sorted.

        Raises:
            InputError: there are none.
        """
        if not text:
            raise InputError("inputs has an empty path: name an image, a video or a folder")
        if text.startswith(OWN):
            return [_packaged(text)]
        try:
            path = Path(text)
            if path.is_dir():
                return self._in_folder(path)
            if path.exists():
                return [path]
            if not glob.has_magic(text):
                raise InputError(f"no such file: {text}")
            found = self.sorted(map(Path, glob.glob(text, recursive=True)))  # noqa: PTH207
            # A link to nothing is no folder: it fails when its turn comes, as what cannot be read.
            found = [
                file
                for file in found
                if not os.path.isdir(file)  # noqa: PTH112 -- Path raises where it may not look
                and _is_media(file)
                and not ("**" in text and _in_loop(file))
            ]
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            # Of a folder in a folder, the one that cannot be read.
            place = getattr(error, "filename", None) or text
            raise InputError(f"cannot read {place!r}: {reason_of(error)}") from None
        if not found:
            raise InputError(f"no such file, and no image or video matches the pattern: {text}")
        return found

    def _in_folder(self, folder: Path) -> list[Path]:
        names: list[Path] = []
        links: list[Path] = []
        for root, folders, files in os.walk(folder, onerror=_reraise):
            folders[:] = [name for name in folders if self.recursive and not name.startswith(".")]
            names += [Path(root, name) for name in files if not name.startswith(".")]
            links += [path for path in map(Path(root).joinpath, folders) if path.is_symlink()]
        if links:
            log.warning(
                "%s: links to folders are not followed (%d, such as %s); '%s' takes them too",
                folder,
                len(links),
                min(links),
                folder / "**" / "*",
            )
        videos = self.recursive or bool(self.include)
        chosen = [name for name in self.sorted(names) if self.fits(name.relative_to(folder))]
        found = [file for file in chosen if _is_media(file, videos=videos)]
        if found:
            return found
        if self.include:
            raise InputError(
                f"no image or video in the folder {folder} matches {' or '.join(self.include)}"
            )
        if any(map(_is_media, names)):
            raise InputError(
                f"no images in the folder {folder}, but videos: name them, for instance "
                f"'{folder / '*'}'"
            )
        kinds = "images or videos" if videos else "images"
        raise InputError(f"no {kinds} in the folder {folder}")

    def sorted(self, paths: Iterable[Path]) -> list[Path]:
        """Files of a folder in its order."""
        return sorted(paths, key=natural_key if self.order == "natural" else None)

    def fits(self, path: Path) -> bool:
        """Whether a file, by its path within the folder, matches `include`."""
        return not self.include or any(
            fnmatch.fnmatchcase(
                (path.as_posix() if "/" in pattern else path.name).lower(), pattern.lower()
            )
            for pattern in self.include
        )


def natural_key(path: Path) -> tuple[Any, ...]:
    """A sort key for paths in which digits, of any alphabet, count as numbers.

    Case is ignored; names that differ in nothing else, such as `a1` and `A01`, are ordered by their
    characters. Folders come one after the other.
    """
    # The suffix by itself: `a.png` comes before `a1.png`.
    parts = map(Path, path.parts)
    return tuple((_numbered(part.stem), _numbered(part.suffix), part.name) for part in parts)


def _numbered(text: str) -> list[str | int]:
    """Text and numbers in turn, beginning with text."""
    runs = re.split(r"(\d+)", text.casefold())
    return [int(run) if index % 2 else run for index, run in enumerate(runs)]


def _in_loop(path: Path) -> bool:
    """Whether a path comes by the same folder twice, through a link to a folder above."""
    links = [folder for folder in path.parents if folder.is_symlink()]
    return any(link.samefile(above) for link in links for above in link.parents)


def _reraise(error: OSError) -> NoReturn:
    raise error


def _is_media(path: Path, *, videos: bool = True) -> bool:
    """True for the suffix or the first bytes of an image (or a video).

    A HEIC photograph is an image too: that it cannot be read is said when its turn comes.
    """
    suffix = path.suffix.lower()
    if suffix in MJPEG_SUFFIXES and not videos:  # though it begins as a JPEG
        return False
    if suffix in IMAGE_SUFFIXES or (videos and suffix in VIDEO_SUFFIXES):
        return True
    try:
        start = start_of(path)
    except InputError:
        return False
    signatures = [IMAGE_SIGNATURE, HEIC_SIGNATURE, *([VIDEO_SIGNATURE] if videos else [])]
    return any(signature.match(start) for signature in signatures)


def start_of(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file")
        with path.open("rb") as file:
            start = file.read(SIGNATURE_LENGTH)
    except FileNotFoundError:
        if path.is_symlink():
            where = path.readlink()
            raise InputError(f"{path} is a link to {where}, which is not there") from None
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason_of(error)}") from None
    if not start:
        raise InputError(f"{path} is empty")
    return start


def check_type(inputs: Any) -> None:
    """Checks that inputs have a type that can be read; `parse` finds out which.

    Raises:
        InputError: they are something else.
    """
    if isinstance(inputs, dict | type) or not isinstance(
        inputs, str | os.PathLike | np.ndarray | Iterable
    ):
        raise InputError(
            "inputs must be a path, a URL, a folder, an image (NumPy, PIL, a tensor), an encoded "
            f"one (bytes, an open file) or a list of these, found {type(inputs).__name__}"
        )


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor."""
    return hasattr(value, "__torch_function__") and not isinstance(value, type)


def is_pil(value: Any) -> bool:
    """Whether a value is a PIL image."""
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(value, pil.Image)


def camera_number(text: str) -> int | None:
    """1 for `webcam:1`; None for a text that is not a camera."""
    name, _, number = text.partition(":")
    if name != "webcam":
        return None
    if text != "webcam" and not (number.isascii() and number.isdigit()):
        raise InputError(f"a camera is webcam or webcam:NUMBER, found {text}")
    return int(number or 0)


def scheme_of(text: str) -> str:
    """`rtsp` for `rtsp://host`; empty for a path."""
    scheme, separator, _ = text.partition("://")
    scheme = scheme.lower()
    if not separator or not re.fullmatch(r"[a-z][a-z0-9+.-]+", scheme):
        return ""
    if scheme not in WEB_SCHEMES | STREAM_SCHEMES | STORE_SCHEMES:
        known = ", ".join(sorted(WEB_SCHEMES | STREAM_SCHEMES | STORE_SCHEMES))
        raise InputError(f"{hide_password(text)} must be a path or a URL of {known}")
    try:
        urllib.parse.urlsplit(text)
    except ValueError as error:
        raise InputError(f"{hide_password(text)} is not a URL: {error}") from None
    return scheme


def _packaged(text: str) -> Path:
    """The file of the package that `posekit:NAME` is."""
    samples = {path.name: path for path in PACKAGED.glob("demo.*")}
    try:
        return samples[text.removeprefix(OWN)]
    except KeyError:
        known = " or ".join(f"{OWN}{name}" for name in sorted(samples))
        raise InputError(f"{text} is not in the package: expected {known}") from None


def reason_of(error: Exception) -> str:
    """The reason of a system or connection error, in a few words."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return str(reason or error or type(error).__name__)


def hide_password(url: str) -> str:
    """A URL without the password in it."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if not separator or "@" not in host:
        return url
    return f"{scheme}://***@{host.rpartition('@')[2]}{slash}{path}"
