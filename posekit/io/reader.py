"""Frames of all inputs in order, read ahead in a thread."""

from __future__ import annotations

import contextlib
import http.client
import io
import itertools
import logging
import socket
import threading
import urllib.parse
import weakref
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from posekit.errors import InputError
from posekit.io.images import decode_image, read_bytes, to_bgr
from posekit.io.inputs import Camera, Fault, Files, Images, Inputs, Named, Url, parse
from posekit.io.listing import (
    HEIC_SIGNATURE,
    IMAGE_SIGNATURE,
    INDEXED_SIGNATURE,
    MJPEG_SUFFIXES,
    STORE_SCHEMES,
    VIDEO_SIGNATURE,
    WEB_SCHEMES,
    Listing,
    OnError,
    Order,
    hide_password,
    reason_of,
    start_of,
)
from posekit.io.remote import fetch
from posekit.io.sequence import PROBE, PictureReader, kind_of, open_clip
from posekit.io.video import CameraReader, VideoReader
from posekit.io.web import URL_LIMIT, Response, connect, download
from posekit.stages.packet import Clip, Download, Frame
from posekit.timeline import span

__all__ = ["FrameReader", "OnError", "read_frames"]

log = logging.getLogger(__name__)

# Seconds that `close` waits for the thread. Only a server that FFmpeg talks to, or an iterator of
# the caller's that gives nothing, can hold it longer; it ends by itself then.
CLOSE_TIMEOUT = 2.0


def read_frames(
    inputs: Any,
    *,
    on_error: OnError = "raise",
    recursive: bool = False,
    include: str | Sequence[str] | None = None,
    order: Order = "name",
    prefetch: int = 8,
) -> FrameReader:
    """The frames of any supported input, in order, read ahead in a thread.

    What a file is, its content decides, not its suffix. One of several pictures is a video: an
    animated GIF, WebP, PNG or AVIF, a TIFF with pages of one size, a raw MJPEG.

    Args:
        inputs: any of these, or an iterable of any of these, which is consumed as it is needed:
            an image or a video, as a path or a URL;
            a folder: its images, in `order`, hidden files left out;
            a pattern such as `shots/*.jpg` or `shots/**/*.mp4`, where no file has that very name;
            an image (H, W, 3), BGR, uint8, or a stack (N, H, W, 3) of them;
            `webcam` or `webcam:1`; a stream, such as `rtsp://...` or the URL of an MJPEG camera.
            Or `Inputs`, which is any of these looked up before; `recursive`, `include` and `order`
            are then as they were for that.
        on_error: what is done about an input that cannot be read: "raise" ends the reading, "skip"
            logs a warning, a function is called with its name or path and the error.
        recursive: look into a folder's subfolders too, and take its videos too.
        include: patterns such as `*.mp4`: only the files of a folder of such a name, upper or lower
            case, images and videos; with a `/`, of such a path within the folder.
        order: of a folder's or a pattern's files: "name" goes character by character (frame10
            before frame2), "natural" takes digits as numbers (frame2 before frame10). A list keeps
            its own order.
        prefetch: most frames that wait to be taken.

    Raises:
        InputError: something else altogether, or a wrong option.
    """
    if not isinstance(inputs, Inputs):
        inputs = Inputs.of(inputs, recursive=recursive, include=include, order=order)
    if on_error not in ("raise", "skip") and not callable(on_error):
        raise InputError(f"on_error must be raise, skip or a function, found {on_error!r}")
    if isinstance(prefetch, bool) or not isinstance(prefetch, int) or prefetch < 1:
        raise InputError(f"prefetch must be a whole number of at least 1, found {prefetch!r}")
    return FrameReader(inputs, on_error, prefetch)


class FrameReader:
    """An iterator over frames that a thread reads ahead; `read_frames` makes one.

    The thread starts with the first frame that is asked for. It ends with the last frame, an error
    that is raised, `close`, the end of a `with` block, or when nobody holds the reader any more.
    Frames of a camera or a stream are never kept waiting: who asks gets the newest one.

    Frames and on_error's calls come in the order of the inputs, in the thread that asks. An input
    that gives no frame uses up an index.
    """

    def __init__(self, inputs: Inputs, on_error: OnError, prefetch: int) -> None:
        self._on_error = on_error
        self._index = 0
        self._clip: Clip | None = None
        self._clip_frames = 0
        self._clip_start = 0.0
        self._channel = _Channel(prefetch)
        # Neither the thread nor the finaliser may hold the reader: it would never be garbage.
        self._thread = threading.Thread(
            target=_fill, args=(self._channel, inputs), name="posekit-reader", daemon=True
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
        self._index += item.uses_index
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

    @property
    def uses_index(self) -> bool:
        """An image does, and an input without any; of a clip that breaks off, its frames did."""
        return self.clip is None or isinstance(self.content, np.ndarray)


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


def _fill(channel: _Channel, inputs: Inputs) -> None:
    """The thread. No variable may hold an image while the next one is waited for."""
    try:
        with contextlib.closing(_items(inputs.named, inputs.listing, channel)) as items:
            all(map(channel.put, _traced(items)))
    except BaseException as error:  # the caller's iterator's too: raised in the caller's thread
        channel.put(_Item(error))
    else:
        channel.put(None)


def _traced(items: Iterator[_Item]) -> Iterator[_Item]:
    index = 0
    while True:
        with span("read", frame=index):
            item = next(items, None)
        if item is None:
            return
        index += item.uses_index
        yield item
        del item


def _stop(channel: _Channel, thread: threading.Thread) -> None:
    channel.close()
    # Garbage may be collected in the very thread.
    if thread.is_alive() and thread is not threading.current_thread():
        thread.join(CLOSE_TIMEOUT)


def _items(
    several: Iterable[Named], listing: Listing, channel: _Channel
) -> Generator[_Item, None, None]:
    """Every error about an input is an item as well: the next input is read all the same."""
    for named in several:
        if isinstance(named, Images):
            array = named.array
            for image in array if array.ndim == 4 else [array]:
                yield from _attempt(_from_array(image))
                del image
            del array
        elif isinstance(named, Files):
            for path in named.paths:
                yield from _attempt(_from_file(path), path.name, str(path))
        elif isinstance(named, Camera):
            name = f"webcam_{named.number}"  # a colon is not for file names
            yield from _attempt(_from_camera(named.number, name, named.text), name, named.text)
        elif isinstance(named, Url):
            yield from _from_url(named, channel)
        elif isinstance(named, Fault):
            yield _Item(named.error, Path(named.text or "").name, named.text)
        else:
            for item in named.items:
                if isinstance(item, np.ndarray) and not isinstance(named.items, Sequence):
                    item = item.copy()  # an iterator may well draw the next one into it
                yield from _items(parse(item, listing), listing, channel)
                del item
        del named


def _from_url(url: Url, channel: _Channel) -> Iterator[_Item]:
    parts = urllib.parse.urlsplit(url.text)
    name = Path(urllib.parse.unquote(parts.path)).name or parts.hostname or "stream"
    if url.scheme in STORE_SCHEMES:
        name = url.text.rpartition("/")[2]  # in which a ? or % is as good as a letter
        yield from _attempt(_from_store(url.text, name), name, url.text)
    elif url.scheme in WEB_SCHEMES:
        yield from _attempt(_from_http(url.text, name, channel), name, url.text)
    else:
        yield from _attempt(_from_stream(url.text, name), name, url.text)


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


def _from_camera(number: int, name: str, source: str) -> Iterator[_Item]:
    yield from _from_video(CameraReader(number), name, source)


def _from_stream(url: str, name: str) -> Iterator[_Item]:
    yield from _from_video(VideoReader(url), name, url)


def _from_store(url: str, name: str) -> Iterator[_Item]:
    """What fsspec opens, fetched as a whole: FFmpeg goes to and fro in it."""
    fetched = Download(Path(name).suffix)
    fetch(url, fetched.path)
    yield from _from_file(fetched.path, url, fetched)


def _from_file(
    path: Path, url: str | None = None, fetched: Download | None = None
) -> Iterator[_Item]:
    """An image or a video; where it was fetched, it is named after its URL."""
    name = path.name if url is None else url.rpartition("/")[2]
    source = str(path) if url is None else url
    if fetched is not None and not path.stat().st_size:
        raise InputError(f"{source} is empty")
    start = start_of(path)
    if IMAGE_SIGNATURE.match(start):
        data = read_bytes(path, PROBE)
        if kind_of(data, path.name) is None:
            if len(data) == PROBE:
                data = read_bytes(path)
            yield _Item(decode_image(data, source), name, source)
            return
        del data
    with _opening(start, source):
        video = open_clip(path) if url is None else open_clip(path, name=hide_password(url))
    yield from _from_video(video, name, source, fetched)


@contextlib.contextmanager
def _opening(start: bytes, name: str) -> Iterator[None]:
    """Errors about what is no image say more where it does not even begin as a video."""
    if HEIC_SIGNATURE.match(start):
        raise InputError(f"{name} is a HEIC photograph, which is not read: convert it to JPEG")
    try:
        yield
    except InputError as error:
        if VIDEO_SIGNATURE.match(start) or IMAGE_SIGNATURE.match(start):
            raise
        raise InputError(f"neither an image nor a video: {error}") from None


def _from_video(
    video: VideoReader | PictureReader | CameraReader,
    name: str,
    source: str,
    fetched: Download | None = None,
) -> Iterator[_Item]:
    with video:
        if video.is_picture:
            yield from (_Item(image, name, source) for image, _ in video)
            return
        clip = Clip(name, source, video.size, video.fps, video.num_frames, video.live, fetched)
        try:
            # Not a loop: its variable would hold a frame that was given away.
            yield from itertools.starmap(partial(_clip_item, clip), video)
        except InputError as error:
            yield _Item(_bare(error), name, source, clip)


def _clip_item(clip: Clip, image: np.ndarray, time: float) -> _Item:
    return _Item(image, clip.name, clip.source, clip, time)


def _from_http(url: str, name: str, channel: _Channel) -> Iterator[_Item]:
    """An image, a video or a stream: what the server says and the first bytes decide."""
    shown, suffix = hide_password(url), Path(name).suffix.lower()
    with contextlib.ExitStack() as stack:
        file: IO[bytes] | None = None
        fetched: Download | None = None
        try:
            response = stack.enter_context(connect(url, channel))
            size = response.length
            stream = Response(response)
            main_type = response.headers.get_content_maintype()
            multipart = main_type == "multipart"
            playlist = stream.start.startswith(b"#EXTM3U")
            image = IMAGE_SIGNATURE.match(stream.start) and not multipart
            # Pictures one after the other, without an end.
            raw = image and size is None and (main_type == "video" or suffix in MJPEG_SUFFIXES)
            if image and not raw:
                file = io.BytesIO()
            elif INDEXED_SIGNATURE.match(stream.start) or (size is not None and not playlist):
                # Only what has an end: a stream without one would fill the disk.
                fetched = Download()
                file = stack.enter_context(fetched.path.open("w+b"))
            if file is not None:
                download(stream, file, size, URL_LIMIT if image else None)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise InputError(f"cannot get {shown}: {reason_of(error)}") from None
        if isinstance(file, io.BytesIO):
            yield from _from_bytes(file.getvalue(), name, url)
        elif playlist:
            yield from _from_stream(url, name)
        else:
            with _opening(stream.start, shown):
                video = VideoReader(
                    file or stream,
                    name=shown,
                    container_format="mpjpeg" if multipart else "mjpeg" if raw else None,
                )
            yield from _from_video(video, name, url, fetched)


def _from_bytes(data: bytes, name: str, url: str) -> Iterator[_Item]:
    """What was fetched as an image, which may be several."""
    if kind_of(data, name) is None:
        yield _Item(decode_image(data, hide_password(url)), name, url)
        return
    fetched = Download(Path(name).suffix)  # drawing may read it once more
    fetched.path.write_bytes(data)
    yield from _from_video(open_clip(fetched.path, name=hide_password(url)), name, url, fetched)
