"""Each kind of input -> items: the images that the reading thread hands over."""

from __future__ import annotations

import contextlib
import http.client
import io
import itertools
import logging
import os
import urllib.parse
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from posekit.errors import InputError
from posekit.io.images import decode_image, read_bytes, read_open, to_bgr
from posekit.io.in_memory import from_pil, from_tensor
from posekit.io.inputs import (
    Camera,
    Encoded,
    Fault,
    Files,
    Images,
    Later,
    Named,
    PartOfClip,
    Picture,
    Tensors,
    Url,
    no_clip,
    parse,
)
from posekit.io.listing import (
    HEIC_SIGNATURE,
    IMAGE_SIGNATURE,
    INDEXED_SIGNATURE,
    MJPEG_SUFFIXES,
    SIGNATURE_LENGTH,
    STORE_SCHEMES,
    VIDEO_SIGNATURE,
    WEB_SCHEMES,
    Listing,
    hide_password,
    reason_of,
    start_of,
)
from posekit.io.remote import fetch
from posekit.io.sequence import PROBE, PictureReader, kind_of, open_clip
from posekit.io.video import CameraReader, VideoReader
from posekit.io.web import URL_LIMIT, Response, Watcher, connect, download
from posekit.stages.packet import WHOLE, Clip, Cut, Download, Stretch

__all__ = ["Item", "Task", "items"]

log = logging.getLogger("posekit.io.reader")


@dataclass(frozen=True)
class Item:
    """What the thread hands over: an image, or why there is none.

    Attributes:
        time, number: seconds and number of a clip's frame within the clip.
    """

    content: np.ndarray | BaseException
    name: str = ""
    source: str | None = None
    clip: Clip | None = None
    time: float = 0.0
    number: int = 0

    @property
    def live(self) -> bool:
        return self.clip is not None and self.clip.live and isinstance(self.content, np.ndarray)

    @property
    def uses_index(self) -> bool:
        """Whether it uses up an index: an image, or an input without any; not a clip's error."""
        return self.clip is None or isinstance(self.content, np.ndarray)


class Task:
    """What the thread knows besides the inputs.

    Args:
        listing: the rules by which items of an iterator are looked up.
        channel: ends connections once nobody asks any more.
        color: channel order of arrays and tensors; None if unset.
        cut: which frames of clips are taken.
    """

    def __init__(
        self,
        listing: Listing,
        channel: Watcher,
        color: Literal["bgr", "rgb"] | None,
        cut: Cut,
    ) -> None:
        self.listing = listing
        self.channel = channel
        self.rgb = color == "rgb"
        self.cut = cut
        self._color_known = color is not None

    def take_tensor(self) -> None:
        """Warns once that BGR is assumed, since most programs keep tensors in RGB."""
        if not self._color_known:
            self._color_known = True
            log.warning("tensors are taken as BGR: set color='rgb' if they are RGB, or color='bgr'")

    def image(self, image: np.ndarray, name: str = "", source: str | None = None) -> Item:
        """The item of an image that is not a frame of a clip.

        Raises:
            InputError: only clips are wanted.
        """
        if self.cut != WHOLE:
            raise no_clip(f"{source or name or 'one of the inputs'} is an image")
        return Item(image, name, source)


def items(several: Iterable[Named], task: Task) -> Generator[Item, None, None]:
    """The items of all inputs; an error is an item too, and the next input is still read."""
    for named in several:
        if isinstance(named, Later):
            for item in named.items:
                if isinstance(item, np.ndarray) and not isinstance(named.items, Sequence):
                    item = item.copy()  # an iterator may well draw the next one into it
                yield from items(parse(item, task.listing), task)
                del item
        elif isinstance(named, Images):
            array = named.array
            for image in array if array.ndim == 4 else [array]:
                yield from _attempt(_from_array(image, task))
                del image
            del array
        elif isinstance(named, Files):
            for path in named.paths:
                yield from _attempt(_from_file(path, task), path.name, str(path))
        else:
            yield from _from_other(named, task)
        del named


def _from_other(
    named: PartOfClip | Camera | Url | Tensors | Picture | Encoded | Fault, task: Task
) -> Iterator[Item]:
    if isinstance(named, Camera):
        name = f"webcam_{named.number}"  # a colon is not for file names
        yield from _attempt(_from_camera(named.number, name, named.text, task), name, named.text)
    elif isinstance(named, PartOfClip):
        yield from _attempt(_from_part(named, task), named.path.name, str(named.path))
    elif isinstance(named, Url):
        yield from _from_url(named, task)
    elif isinstance(named, Tensors):
        yield from _attempt(_from_tensor(named.tensor, task))
    elif isinstance(named, Picture):
        text = os.fsdecode(getattr(named.image, "filename", "") or "")
        name, source = Path(text).name, text or None
        yield from _attempt(_from_picture(named.image, name, source, task), name, source)
    elif isinstance(named, Encoded):
        path = named.path
        name, source = ("", None) if path is None else (path.name, str(path))
        yield from _attempt(_from_encoded(named.data, name, source, task), name, source)
    else:
        yield Item(named.error, Path(named.text or "").name, named.text)


def _from_url(url: Url, task: Task) -> Iterator[Item]:
    parts = urllib.parse.urlsplit(url.text)
    name = Path(urllib.parse.unquote(parts.path)).name or parts.hostname or "stream"
    if url.scheme in STORE_SCHEMES:
        name = url.text.rpartition("/")[2]  # in which a ? or % is as good as a letter
        yield from _attempt(_from_store(url.text, name, task), name, url.text)
    elif url.scheme in WEB_SCHEMES:
        yield from _attempt(_from_http(url.text, name, task), name, url.text)
    else:
        yield from _attempt(_from_stream(url.text, name, task), name, url.text)


def _attempt(items: Iterator[Item], name: str = "", source: str | None = None) -> Iterator[Item]:
    """The items, then why there are no more."""
    try:
        yield from items
    except InputError as error:
        yield Item(_bare(error), name, source)


def _bare(error: InputError) -> InputError:
    """The error without its frames: who keeps it would keep what they hold, such as a download."""
    error.__context__ = None
    return error.with_traceback(None)


def _from_array(image: np.ndarray, task: Task) -> Iterator[Item]:
    yield task.image(to_bgr(image, rgb=task.rgb))


def _from_tensor(tensor: Any, task: Task) -> Iterator[Item]:
    task.take_tensor()
    yield from map(task.image, from_tensor(tensor, rgb=task.rgb))


def _from_picture(image: Any, name: str, source: str | None, task: Task) -> Iterator[Item]:
    yield task.image(from_pil(image), name, source)


def _from_encoded(
    data: bytes | IO[bytes], name: str, source: str | None, task: Task
) -> Iterator[Item]:
    """An image or a video of its bytes, or of an open file from where it stands."""
    shown = source or ("the encoded input" if isinstance(data, bytes) else "the open file")
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    start = read_open(file, shown, SIGNATURE_LENGTH)
    if not start:
        raise InputError(
            f"{shown}: there is nothing left to read; an open file is read from its position on"
        )
    if IMAGE_SIGNATURE.match(start):
        content = start + read_open(file, shown)
        yield from _from_bytes(content, name, source, shown, task)
        return
    try:
        fetched = Download(Path(name).suffix)
        with fetched.path.open("wb") as copy:
            copy.write(start)
            while block := read_open(file, shown, 1 << 20):
                copy.write(block)
    except OSError as error:
        raise InputError(f"cannot copy {shown} to a file: {reason_of(error)}") from None
    with _opening(start, shown):
        video = open_clip(fetched.path, name=shown)
    name = name or "video.mp4"  # what is written about it is named alike
    yield from _from_video(video, name, source, task, fetched)


def _from_camera(number: int, name: str, source: str, task: Task) -> Iterator[Item]:
    yield from _from_video(CameraReader(number), name, source, task)


def _from_stream(url: str, name: str, task: Task) -> Iterator[Item]:
    yield from _from_video(VideoReader(url), name, url, task)


def _from_store(url: str, name: str, task: Task) -> Iterator[Item]:
    """What fsspec opens, fetched as a whole: FFmpeg goes to and fro in it."""
    fetched = Download(Path(name).suffix)
    fetch(url, fetched.path)
    yield from _from_file(fetched.path, task, url, fetched)


def _from_file(
    path: Path, task: Task, url: str | None = None, fetched: Download | None = None
) -> Iterator[Item]:
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
            yield task.image(decode_image(data, source), name, source)
            return
        del data
    with _opening(start, source):
        video = open_clip(path) if url is None else open_clip(path, name=hide_password(url))
    yield from _from_video(video, name, source, task, fetched)


def _from_part(part: PartOfClip, task: Task) -> Iterator[Item]:
    video = VideoReader(part.path)
    yield from _from_video(video, part.path.name, str(part.path), task, stretch=part.stretch)


@contextlib.contextmanager
def _opening(start: bytes, name: str) -> Iterator[None]:
    """Errors about what is no image say more where it does not even begin as a video."""
    if HEIC_SIGNATURE.match(start):
        raise InputError(f"{name} is a HEIC image, which is not supported: convert it to JPEG")
    try:
        yield
    except InputError as error:
        if VIDEO_SIGNATURE.match(start) or IMAGE_SIGNATURE.match(start):
            raise
        raise InputError(f"neither an image nor a video: {error}") from None


def _from_video(
    video: VideoReader | PictureReader | CameraReader,
    name: str,
    source: str | None,
    task: Task,
    fetched: Download | None = None,
    stretch: Stretch | None = None,
) -> Iterator[Item]:
    with video:
        if video.is_picture:
            yield from (task.image(image, name, source) for image, _ in video)
            return
        cut = task.cut
        count = video.num_frames
        if count is not None and cut != WHOLE:
            count = -(-count // cut.stride) if cut == Cut(stride=cut.stride) else None
        clip = Clip(
            name=name,
            source=source or f"<{name}>",
            size=video.size,
            fps=video.fps / cut.stride,
            num_frames=count,
            live=video.live,
            download=fetched,
            cut=cut,
        )
        try:
            # Not a loop: its variable would hold a frame that was given away.
            if isinstance(video, VideoReader):
                frames = video.frames(cut, stretch)
            else:
                frames = video.frames(cut)
            yield from itertools.starmap(partial(_clip_item, clip), frames)
        except InputError as error:
            yield Item(_bare(error), name, clip.source, clip)


def _clip_item(clip: Clip, image: np.ndarray, time: float, number: int) -> Item:
    return Item(image, clip.name, clip.source, clip, time, number)


def _from_http(url: str, name: str, task: Task) -> Iterator[Item]:
    """An image, a video or a stream: what the server says and the first bytes decide."""
    shown, suffix = hide_password(url), Path(name).suffix.lower()
    with contextlib.ExitStack() as stack:
        file: IO[bytes] | None = None
        fetched: Download | None = None
        try:
            response = stack.enter_context(connect(url, task.channel))
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
            yield from _from_bytes(file.getvalue(), name, url, shown, task)
        elif playlist:
            yield from _from_stream(url, name, task)
        else:
            with _opening(stream.start, shown):
                video = VideoReader(
                    file or stream,
                    name=shown,
                    container_format="mpjpeg" if multipart else "mjpeg" if raw else None,
                )
            yield from _from_video(video, name, url, task, fetched)


def _from_bytes(
    data: bytes, name: str, source: str | None, shown: str, task: Task
) -> Iterator[Item]:
    """What begins as an image, which may be several."""
    if kind_of(data, name) is None:
        yield task.image(decode_image(data, shown), name, source)
        return
    fetched = Download(Path(name).suffix)  # drawing may read it once more
    fetched.path.write_bytes(data)
    video = open_clip(fetched.path, name=shown)
    yield from _from_video(video, name or "video.mp4", source, task, fetched)
