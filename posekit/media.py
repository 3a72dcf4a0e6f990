"""Frames in: images, folders, videos, URLs, streams, cameras and arrays. BGR, uint8, upright."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import http.client
import io
import itertools
import logging
import os
import re
import socket
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

import cv2
import numpy as np

from posekit.errors import InputError
from posekit.video import CameraReader, VideoReader, hide_password

__all__ = [
    "Clip",
    "Download",
    "Frame",
    "FrameReader",
    "check_inputs",
    "decode_image",
    "input_files",
    "is_webcam",
    "read_frames",
    "read_image",
    "to_bgr",
]

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset(
    [
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
STREAM_SCHEMES = frozenset(
    ["rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "tcp", "srt", "mms", "mmsh"]
)
URL_TIMEOUT = 30.0  # seconds without a byte
URL_LIMIT = 512 * 1024 * 1024  # bytes of an image
CHUNK = 1 << 18  # bytes
# Seconds that `close` waits for the thread. Only a server that FFmpeg talks to, or an iterator of
# the caller's that gives nothing, can hold it longer; it ends by itself then.
CLOSE_TIMEOUT = 2.0

OnError = Literal["raise", "skip"] | Callable[[str, InputError], None]


class Download:
    """The file that a video of a URL goes to; deleted when nobody holds this any more."""

    def __init__(self) -> None:
        handle, path = tempfile.mkstemp(prefix="posekit-")
        os.close(handle)
        self.path = Path(path)
        weakref.finalize(self, self.path.unlink, missing_ok=True)


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
        download: its file, where a URL's was fetched as a whole.
    """

    name: str
    source: str
    size: tuple[int, int]
    fps: Fraction
    num_frames: int | None = None
    live: bool = False
    download: Download | None = None


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


def read_frames(
    inputs: Any,
    *,
    on_error: OnError = "raise",
    recursive: bool = False,
    include: str | Sequence[str] | None = None,
    prefetch: int = 8,
) -> FrameReader:
    """The frames of any supported input, in order, read ahead in a thread.

    What a file is, its content decides, not its suffix. An animated GIF is a video, one with a
    single picture an image; of an animated WebP, PNG or AVIF the first picture is read.

    Args:
        inputs: any of these, or an iterable of any of these, which is consumed as it is needed:
            an image or a video, as a path or a URL;
            a folder: its images, sorted by name, hidden files left out;
            a pattern such as `shots/*.jpg` or `shots/**/*.mp4`, where no file has that very name;
            an image (H, W, 3), BGR, uint8, or a stack (N, H, W, 3) of them;
            `webcam` or `webcam:1`; a stream, such as `rtsp://...` or the URL of an MJPEG camera.
        on_error: what is done about an input that cannot be read: "raise" ends the reading, "skip"
            logs a warning, a function is called with its name or path and the error.
        recursive: look into a folder's subfolders too, and take its videos too.
        include: patterns such as `*.mp4`: only the files of a folder of such a name, upper or lower
            case, images and videos; with a `/`, of such a path within the folder.
        prefetch: most frames that wait to be taken.

    Raises:
        InputError: something else altogether, or a wrong option.
    """
    _check_type(inputs)
    if on_error not in ("raise", "skip") and not callable(on_error):
        raise InputError(f"on_error must be raise, skip or a function, found {on_error!r}")
    if isinstance(prefetch, bool) or not isinstance(prefetch, int) or prefetch < 1:
        raise InputError(f"prefetch must be a whole number of at least 1, found {prefetch!r}")
    return FrameReader(inputs, _Listing.of(recursive, include), on_error, prefetch)


def check_inputs(
    inputs: Any, *, recursive: bool = False, include: str | Sequence[str] | None = None
) -> int | None:
    """Sees that files, folders and patterns are there. Nothing is decoded, no iterator consumed.

    Returns:
        How many frames there are to come; None where videos, URLs or iterators are among them.

    Raises:
        InputError: no such file, a folder without images, a pattern that nothing matches, a list
            without elements, or something else altogether.
    """
    count = _count(inputs, _Listing.of(recursive, include))
    if count == 0:
        raise InputError("inputs is empty: name an image, a video or a folder")
    return count


def is_webcam(inputs: Any) -> bool:
    """True for `webcam` and `webcam:1`."""
    return isinstance(inputs, str) and _camera_number(inputs) is not None


class FrameReader:
    """An iterator over frames that a thread reads ahead; `read_frames` makes one.

    The thread starts with the first frame that is asked for. It ends with the last frame, an error
    that is raised, `close`, the end of a `with` block, or when nobody holds the reader any more.
    Frames of a camera or a stream are never kept waiting: who asks gets the newest one.

    Frames and on_error's calls come in the order of the inputs, in the thread that asks. An input
    that gives no frame uses up an index.
    """

    def __init__(self, inputs: Any, listing: _Listing, on_error: OnError, prefetch: int) -> None:
        self._on_error = on_error
        self._index = 0
        self._clip: Clip | None = None
        self._clip_frames = 0
        self._clip_start = 0.0
        self._channel = _Channel(prefetch)
        # Neither the thread nor the finaliser may hold the reader: it would never be garbage.
        self._thread = threading.Thread(
            target=_fill, args=(self._channel, inputs, listing), name="posekit-reader", daemon=True
        )
        self._finish = weakref.finalize(self, _stop, self._channel, self._thread)

    def __iter__(self) -> FrameReader:
        return self

    def __next__(self) -> Frame:
        """The next frame.

        Raises:
            InputError: an input cannot be read, where on_error is "raise".
        """
        try:
            if self._thread.ident is None and not self._channel.closed:
                self._thread.start()
            while (item := self._channel.get()) is not None:
                if isinstance(item.content, np.ndarray):
                    return self._frame(item, item.content)
                if not isinstance(item.content, InputError):
                    raise item.content
                self._report(item, item.content)
            raise StopIteration
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stops the thread and closes what it has open; more calls do nothing."""
        self._finish()

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _frame(self, item: _Item, image: np.ndarray) -> Frame:
        index = self._index
        self._index += 1
        if item.clip is None:
            # An array has no name of its own: it gets its number.
            return Frame(image, index, item.name or f"{index:08d}.jpg", item.source)
        if item.clip is not self._clip:
            self._clip, self._clip_frames, self._clip_start = item.clip, 0, item.time
        frame_id = self._clip_frames
        self._clip_frames += 1
        seconds = item.time - self._clip_start if item.clip.live else item.time
        return Frame(image, index, item.name, item.source, item.clip, frame_id, seconds)

    def _report(self, item: _Item, error: InputError) -> None:
        if item.clip is None:  # otherwise its frames have used up indices
            self._index += 1
        if self._on_error == "raise":
            raise error
        if callable(self._on_error):
            self._on_error(item.source or item.name or f"input {self._index - 1}", error)
        else:
            log.warning("skipped: %s", error)


@dataclass(frozen=True)
class _Item:
    """What the thread hands over: an image, or why there is none. `time` is of a clip's frame."""

    content: np.ndarray | BaseException
    name: str = ""
    source: str | None = None
    clip: Clip | None = None
    time: float = 0.0

    @property
    def live(self) -> bool:
        return self.clip is not None and self.clip.live and isinstance(self.content, np.ndarray)


class _Channel:
    """A bounded queue between the reading thread and the one that asks."""

    def __init__(self, size: int) -> None:
        self.closed = False
        self._size = size
        self._items: deque[_Item | None] = deque()
        self._socket: socket.socket | None = None
        self._changed = threading.Condition()

    def put(self, item: _Item | None) -> bool:
        """Waits for room; False where it is closed. None is the end."""
        with self._changed:
            if item is not None and item.live:
                last = self._items[-1] if self._items else None
                if last is not None and last.live and last.clip is item.clip:
                    self._items.pop()  # nobody took it in time
            else:
                self._changed.wait_for(lambda: self.closed or len(self._items) < self._size)
            if self.closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self) -> _Item | None:
        """Waits for an item; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._items)
            item = None if self.closed else self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Wakes up both sides, and the thread that waits for a server too."""
        with self._changed:
            self.closed = True
            self._items.clear()
            self._changed.notify_all()
            self._shut()

    def watch(self, connection: socket.socket) -> None:
        """`close` will end this connection."""
        with self._changed:
            self._socket = connection
            if self.closed:
                self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # closed already
                # Not SSLSocket's own, which pulls the rug from under a read.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _fill(channel: _Channel, inputs: Any, listing: _Listing) -> None:
    """The thread. No variable may hold an image while the next one is waited for."""
    try:
        with contextlib.closing(_items(inputs, listing, channel)) as items:
            all(map(channel.put, items))
    except BaseException as error:  # the caller's iterator's too: raised in the caller's thread
        channel.put(_Item(error))
    else:
        channel.put(None)


def _stop(channel: _Channel, thread: threading.Thread) -> None:
    channel.close()
    # Garbage may be collected in the very thread.
    if thread.is_alive() and thread is not threading.current_thread():
        thread.join(CLOSE_TIMEOUT)


@dataclass(frozen=True)
class _Listing:
    """Which files of a folder are taken."""

    recursive: bool = False
    include: tuple[str, ...] = ()

    @classmethod
    def of(cls, recursive: bool, include: str | Sequence[str] | None) -> _Listing:
        patterns = (include,) if isinstance(include, str) else tuple(include or ())
        if not all(isinstance(pattern, str) and pattern for pattern in patterns):
            raise InputError(f"include must be a pattern such as *.mp4, found {include!r}")
        return cls(recursive, patterns)

    def files(self, text: str) -> list[Path]:
        """The files that a path, a folder or a pattern stands for, sorted.

        Raises:
            InputError: there are none.
        """
        if not text:
            raise InputError("inputs has an empty path: name an image, a video or a folder")
        try:
            path = Path(text)
            if path.is_dir():
                return self._in_folder(path)
            if path.exists():
                return [path]
            if not glob.has_magic(text):
                raise InputError(f"no such file: {text}")
            found = sorted(map(Path, glob.glob(text, recursive=True)))  # noqa: PTH207
            found = [file for file in found if file.is_file() and _is_media(file)]
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"cannot read {text!r}: {_reason(error)}") from None
        if not found:
            raise InputError(f"no such file, and no image or video matches the pattern: {text}")
        return found

    def _in_folder(self, folder: Path) -> list[Path]:
        names: list[Path] = []
        for root, folders, files in os.walk(folder, onerror=_reraise):
            folders[:] = [name for name in folders if self.recursive and not name.startswith(".")]
            names += [Path(root, name) for name in files if not name.startswith(".")]
        videos = self.recursive or bool(self.include)
        chosen = [name for name in sorted(names) if self._matches(name.relative_to(folder))]
        found = [file for file in chosen if file.is_file() and _is_media(file, videos=videos)]
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
        raise InputError(f"no images in the folder {folder}")

    def _matches(self, path: Path) -> bool:
        return not self.include or any(
            fnmatch.fnmatchcase(
                (path.as_posix() if "/" in pattern else path.name).lower(), pattern.lower()
            )
            for pattern in self.include
        )


def _reraise(error: OSError) -> NoReturn:
    raise error


def _is_media(path: Path, *, videos: bool = True) -> bool:
    """True for the suffix or the first bytes of an image (or a video).

    A HEIC photograph is an image too: that it cannot be read is said when its turn comes.
    """
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES or (videos and suffix in VIDEO_SUFFIXES):
        return True
    try:
        start = _start_of(path)
    except InputError:
        return False
    signatures = [IMAGE_SIGNATURE, HEIC_SIGNATURE, *([VIDEO_SIGNATURE] if videos else [])]
    return any(signature.match(start) for signature in signatures)


def _start_of(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file")
        with path.open("rb") as file:
            start = file.read(SIGNATURE_LENGTH)
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {_reason(error)}") from None
    if not start:
        raise InputError(f"{path} is empty")
    return start


def _check_type(inputs: Any) -> None:
    # A tensor is iterable too: over its rows.
    refused = isinstance(inputs, bytes | bytearray | dict) or hasattr(inputs, "__torch_function__")
    if refused or not isinstance(inputs, str | os.PathLike | np.ndarray | Iterable):
        raise InputError(
            "inputs must be a path, a URL, a folder, a NumPy image or a list of these, "
            f"found {type(inputs).__name__}"
        )


def _count(inputs: Any, listing: _Listing) -> int | None:
    """How many frames, None where that is not known."""
    _check_type(inputs)
    if isinstance(inputs, np.ndarray):
        return len(inputs) if inputs.ndim == 4 else 1
    if isinstance(inputs, str | os.PathLike):
        text = os.fsdecode(inputs)
        if _camera_number(text) is not None or _scheme(text):
            return None
        files = listing.files(text)
        images = all(file.suffix.lower() in IMAGE_SUFFIXES for file in files)
        return len(files) if images else None
    if not isinstance(inputs, Sequence):
        return None
    counts = [_count(item, listing) for item in inputs]
    return None if None in counts else sum(count for count in counts if count is not None)


def input_files(
    inputs: Any, *, recursive: bool = False, include: str | Sequence[str] | None = None
) -> list[Path]:
    """The files that inputs name, as far as is known before they are read; see `read_frames`."""
    if isinstance(inputs, Sequence) and not isinstance(inputs, str | bytes):
        lists = [input_files(item, recursive=recursive, include=include) for item in inputs]
        return [file for files in lists for file in files]
    if not isinstance(inputs, str | os.PathLike):
        return []
    text = os.fsdecode(inputs)
    try:
        if _camera_number(text) is None and not _scheme(text):
            return _Listing.of(recursive, include).files(text)
    except InputError:  # which is told when its turn comes
        pass
    return []


def _camera_number(text: str) -> int | None:
    """1 of `webcam:1`, None for what is no camera."""
    name, _, number = text.partition(":")
    if name != "webcam":
        return None
    if text != "webcam" and not (number.isascii() and number.isdigit()):
        raise InputError(f"a camera is webcam or webcam:NUMBER, found {text}")
    return int(number or 0)


def _scheme(text: str) -> str:
    """`rtsp` of `rtsp://host`, nothing for a path."""
    scheme, separator, _ = text.partition("://")
    scheme = scheme.lower()
    if not separator or not re.fullmatch(r"[a-z][a-z0-9+.-]+", scheme):
        return ""
    if scheme not in WEB_SCHEMES | STREAM_SCHEMES:
        known = ", ".join(sorted(WEB_SCHEMES | STREAM_SCHEMES))
        raise InputError(f"{hide_password(text)} must be a path or a URL of {known}")
    try:
        urllib.parse.urlsplit(text)
    except ValueError as error:
        raise InputError(f"{hide_password(text)} is not a URL: {error}") from None
    return scheme


def _items(inputs: Any, listing: _Listing, channel: _Channel) -> Generator[_Item, None, None]:
    """Every error about an input is an item as well: the next input is read all the same."""
    if isinstance(inputs, np.ndarray):
        for image in inputs if inputs.ndim == 4 else [inputs]:
            yield from _attempt(_from_array(image))
    elif isinstance(inputs, str | os.PathLike):
        yield from _from_text(os.fsdecode(inputs), listing, channel)
    else:
        try:
            _check_type(inputs)
        except InputError as error:
            yield _Item(error)
            return
        for item in inputs:
            if isinstance(item, np.ndarray) and not isinstance(inputs, Sequence):
                item = item.copy()  # an iterator may well draw the next one into it
            yield from _items(item, listing, channel)
            del item


def _attempt(items: Iterator[_Item], name: str = "", source: str | None = None) -> Iterator[_Item]:
    """The items, then why there are no more."""
    try:
        yield from items
    except InputError as error:
        yield _Item(_bare(error), name, source)


def _bare(error: InputError) -> InputError:
    """The error without its frames: who keeps it would keep what they hold, such as a download."""
    error.__context__ = None
    return error.with_traceback(None)


def _from_array(image: np.ndarray) -> Iterator[_Item]:
    yield _Item(to_bgr(image))


def _from_text(text: str, listing: _Listing, channel: _Channel) -> Iterator[_Item]:
    try:
        camera, scheme = _camera_number(text), _scheme(text)
        paths = [] if scheme or camera is not None else listing.files(text)
    except InputError as error:
        yield _Item(error, Path(text).name, text)
        return
    if camera is not None:
        name = f"webcam_{camera}"  # a colon is not for file names
        yield from _attempt(_from_camera(camera, name, text), name, text)
    elif scheme:
        parts = urllib.parse.urlsplit(text)
        name = Path(urllib.parse.unquote(parts.path)).name or parts.hostname or "stream"
        read = (
            _from_http(text, name, channel) if scheme in WEB_SCHEMES else _from_stream(text, name)
        )
        yield from _attempt(read, name, text)
    for path in paths:
        yield from _attempt(_from_file(path), path.name, str(path))


def _from_camera(number: int, name: str, source: str) -> Iterator[_Item]:
    yield from _from_video(CameraReader(number), name, source)


def _from_stream(url: str, name: str) -> Iterator[_Item]:
    yield from _from_video(VideoReader(url), name, url)


def _from_file(path: Path) -> Iterator[_Item]:
    start = _start_of(path)
    if IMAGE_SIGNATURE.match(start):
        yield _Item(read_image(path), path.name, str(path))
        return
    with _opening(start, str(path)):
        video = VideoReader(path)
    yield from _from_video(video, path.name, str(path))


@contextlib.contextmanager
def _opening(start: bytes, name: str) -> Iterator[None]:
    """Errors about what is no image say more where it does not even begin as a video."""
    if HEIC_SIGNATURE.match(start):
        raise InputError(f"{name} is a HEIC photograph, which is not read: convert it to JPEG")
    try:
        yield
    except InputError as error:
        if VIDEO_SIGNATURE.match(start):
            raise
        raise InputError(f"neither an image nor a video: {error}") from None


def _from_video(
    video: VideoReader | CameraReader, name: str, source: str, download: Download | None = None
) -> Iterator[_Item]:
    with video:
        if isinstance(video, VideoReader) and video.is_picture:
            yield from (_Item(image, name, source) for image, _ in video)
            return
        clip = Clip(name, source, video.size, video.fps, video.num_frames, video.live, download)
        try:
            # Not a loop: its variable would hold a frame that was given away.
            yield from itertools.starmap(partial(_clip_item, clip), video)
        except InputError as error:
            yield _Item(_bare(error), name, source, clip)


def _clip_item(clip: Clip, image: np.ndarray, time: float) -> _Item:
    return _Item(image, clip.name, clip.source, clip, time)


def _from_http(url: str, name: str, channel: _Channel) -> Iterator[_Item]:
    """An image, a video or a stream: what the server says and the first bytes decide."""
    # Spaces and letters of other alphabets, as browsers show them.
    quoted = urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")
    request = urllib.request.Request(quoted, headers={"User-Agent": "posekit"})
    with contextlib.ExitStack() as stack:
        file: IO[bytes] | None = None
        download: Download | None = None
        try:
            response = stack.enter_context(_opener(channel).open(request, timeout=URL_TIMEOUT))
            size = response.length
            stream = _Response(response)
            multipart = response.headers.get_content_maintype() == "multipart"
            playlist = stream.start.startswith(b"#EXTM3U")
            image = IMAGE_SIGNATURE.match(stream.start) and not multipart
            if image:
                file = io.BytesIO()
            elif INDEXED_SIGNATURE.match(stream.start) or (size is not None and not playlist):
                # Only what has an end: a stream without one would fill the disk.
                download = Download()
                file = stack.enter_context(download.path.open("w+b"))
            if file is not None:
                _download(stream, file, size, URL_LIMIT if image else None)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise InputError(f"cannot get {hide_password(url)}: {_reason(error)}") from None
        if isinstance(file, io.BytesIO):
            data = np.frombuffer(file.getbuffer(), np.uint8)
            yield _Item(decode_image(data, hide_password(url)), name, url)
        elif playlist:
            yield from _from_stream(url, name)
        else:
            with _opening(stream.start, hide_password(url)):
                video = VideoReader(
                    file or stream,
                    name=hide_password(url),
                    container_format="mpjpeg" if multipart else None,
                )
            yield from _from_video(video, name, url, download)


class _Response:
    """A server's answer from its beginning, which `start` shows ahead."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.start = self._rest = response.read(SIGNATURE_LENGTH)

    def read(self, size: int, /) -> bytes:
        """At most so many bytes, as soon as there are any: what is live does not wait."""
        data, self._rest = self._rest[:size], self._rest[size:]
        try:
            return data or self._response.read1(size)
        except http.client.HTTPException as error:  # as in the middle of a chunk
            raise OSError(f"the connection broke: {_reason(error)}") from None


def _download(stream: _Response, file: IO[bytes], size: int | None, limit: int | None) -> None:
    count = 0
    while data := stream.read(CHUNK):
        count += file.write(data)
        if limit is not None and count > limit:
            raise OSError(f"it is larger than {limit // 2**20} MB")
    if size is not None and count < size:
        raise OSError(f"it ended after {count} of {size} bytes; try again")
    file.seek(0)


def _opener(channel: _Channel) -> urllib.request.OpenerDirector:
    """Opens URLs over connections that the channel can end."""

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            channel.watch(self.sock)

    class Secure(http.client.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            channel.watch(self.sock)

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Plain, req)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Secure, req)

    return urllib.request.build_opener(PlainHandler, SecureHandler)


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return str(reason or error or type(error).__name__)


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
        return data.rfind(b"IEND") < 0
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
