"""Frames of all inputs in order, read ahead in a thread."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from posekit.errors import InputError
from posekit.io.inputs import Inputs, Named
from posekit.io.listing import OnError, Order
from posekit.io.sources import Item, Task, items
from posekit.stages.packet import WHOLE, Clip, Cut, Frame
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
    color: Literal["bgr", "rgb"] | None = None,
    cut: Cut = WHOLE,
) -> FrameReader:
    """The frames of any supported input, in order, read ahead in a thread.

    The content of a file decides its type, not its suffix. A file of several images is a video: an
    animated GIF, WebP, PNG or AVIF, a TIFF with pages of one size, a raw MJPEG.

    Args:
        inputs: any of these, or an iterable of any of these, which is consumed as it is needed: an
            image or a video, as a path or a URL; a folder: its images, in `order`, hidden files
            left out; a pattern such as `shots/*.jpg` or `shots/**/*.mp4`, where no file has that
            very name; an image (H, W, 3), uint8, or a stack (N, H, W, 3) of them; likewise a
            tensor, also (C, H, W) and of floats from 0 to 1; a PIL image; the bytes of an image or
            video file, or such a file that is open; `webcam` or `webcam:1`; a stream, such as
            `rtsp://...` or the URL of an MJPEG camera. Or an `Inputs`, which holds any of these,
            looked up before with its own `recursive`, `include` and `order`.
        on_error: what is done about an input that cannot be read: "raise" ends the reading, "skip"
            logs a warning, a function is called with its name or path and the error.
        recursive: look into a folder's subfolders too, and take its videos too.
        include: patterns such as `*.mp4`: of a folder take only images and videos whose names
            match, in upper or lower case; a pattern with a `/` is for the path within the folder.
        order: of a folder's or a pattern's files: "name" goes character by character (frame10
            before frame2), "natural" takes digits as numbers (frame2 before frame10). A list keeps
            its own order.
        prefetch: the most frames that are read ahead.
        color: channel order of arrays and tensors; None for "bgr".
        cut: which frames of clips are taken; with a cut, an image is an error.

    Raises:
        InputError: inputs of another type, or a wrong option.
    """
    if not isinstance(inputs, Inputs):
        inputs = Inputs.of(inputs, recursive=recursive, include=include, order=order)
    if on_error not in ("raise", "skip") and not callable(on_error):
        raise InputError(f"on_error must be raise, skip or a function, found {on_error!r}")
    if isinstance(prefetch, bool) or not isinstance(prefetch, int) or prefetch < 1:
        raise InputError(f"prefetch must be a whole number of at least 1, found {prefetch!r}")
    if color not in (None, "bgr", "rgb"):
        raise InputError(f"color must be bgr or rgb, found {color!r}")
    return FrameReader(inputs, on_error, prefetch, color=color, cut=cut)


class FrameReader:
    """An iterator over frames that a thread reads ahead; `read_frames` makes one.

    The thread starts with the first frame that is asked for. It ends with the last frame, an error
    that is raised, `close`, the end of a `with` block, or when nobody holds the reader any more.
    Frames of a camera or a stream are not queued: each request gets the newest one.

    Frames come, and `on_error` is called, in the order of the inputs and in the thread that asks.
    An input that gives no frame still uses up an index.
    """

    def __init__(
        self,
        inputs: Inputs,
        on_error: OnError,
        prefetch: int,
        *,
        color: Literal["bgr", "rgb"] | None = None,
        cut: Cut = WHOLE,
    ) -> None:
        self._on_error = on_error
        self._index = 0
        self._clip: Clip | None = None
        self._clip_frames = 0
        self._clip_start = 0.0
        self._channel = _Channel(prefetch)
        task = Task(inputs.listing, self._channel, color, cut)
        # Neither the thread nor the finaliser may hold the reader: it would never be garbage.
        self._thread = threading.Thread(
            target=_fill,
            args=(self._channel, task, inputs.named),
            name="posekit-reader",
            daemon=True,
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

    def _frame(self, item: Item, image: np.ndarray) -> Frame:
        index = self._index
        self._index += 1
        if item.clip is None:
            # An array has no name of its own: it gets its number.
            return Frame(image, index, item.name or f"{index:08d}.jpg", item.source)
        if item.clip is not self._clip:
            self._clip, self._clip_frames = item.clip, 0
            # Of what is live the first frames may be lost before anybody asks.
            counts = item.clip.live and not item.clip.cut.start
            self._clip_start = item.time if counts else 0.0
        # What is lost of a stream has no numbers.
        frame_id = self._clip_frames if item.clip.live else item.number
        self._clip_frames += 1
        seconds = item.time - self._clip_start
        return Frame(image, index, item.name, item.source, item.clip, frame_id, seconds)

    def _report(self, item: Item, error: InputError) -> None:
        self._index += item.uses_index
        if self._on_error == "raise":
            raise error
        if callable(self._on_error):
            self._on_error(item.source or item.name or f"input {self._index - 1}", error)
        else:
            log.warning("skipped: %s", error)


class _Channel:
    """A bounded queue between the reading thread and the one that asks."""

    def __init__(self, size: int) -> None:
        self.closed = False
        self._size = size
        self._items: deque[Item | None] = deque()
        self._socket: socket.socket | None = None
        self._changed = threading.Condition()

    def put(self, item: Item | None) -> bool:
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

    def get(self) -> Item | None:
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


def _fill(channel: _Channel, task: Task, named: list[Named]) -> None:
    """The thread. No variable may hold an image while the next one is waited for."""
    try:
        with contextlib.closing(items(named, task)) as found:
            all(map(channel.put, _traced(found)))
    except BaseException as error:  # the caller's iterator's too: raised in the caller's thread
        channel.put(Item(error))
    else:
        channel.put(None)


def _traced(found: Iterator[Item]) -> Iterator[Item]:
    index = 0
    while True:
        with span("read", frame=index):
            item = next(found, None)
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
