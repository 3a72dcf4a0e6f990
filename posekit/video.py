"""Videos, streams and cameras in, MP4 out. Pixels are BGR, uint8."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Protocol

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from posekit.errors import InputError, OutputError

__all__ = ["CameraReader", "Readable", "VideoReader", "VideoWriter", "hide_password"]

TIMEOUT = 10.0  # seconds without anything from a server
DAMAGED = "data is missing or damaged"
DEFAULT_FPS = Fraction(25)  # of what does not say, or nothing that can be
MIN_FPS, MAX_FPS = Fraction(1, 1001), 1000
FRAGMENT = 0.5  # seconds of a video that a killed process may lose, besides what is being encoded
TICKS = 90_000  # per second, at least: how finely an MP4 keeps times
# OpenCV's constants for quarter turns against the clock.
TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class Readable(Protocol):
    """A binary file that is open, or a part of one."""

    def read(self, size: int, /) -> bytes: ...


class VideoReader:
    """The frames of a video or a stream, once, in the order in which they are shown.

    Frames are upright: turned by quarters as the file says. Pixels that are not square are left
    so, and a mirroring that a file asks for is not done, as in OpenCV.

    Args:
        source: a path, a URL that FFmpeg knows, such as `rtsp://...`, or an open binary file.
        name: for messages; None takes the path or the URL.
        container_format: FFmpeg's name of it; None finds out from the content.
        timeout: seconds without anything from a server after which it is given up.

    Attributes:
        name: for messages.
        size: (w, h) of the first frame, upright, in pixels.
        fps: frames per second, on average.
        num_frames: how many the file says it has; None where it does not say.
        live: it is not a file, and does not say how long it lasts.
        is_picture: a GIF that is not animated.

    Raises:
        InputError: no such file, or no frame of it can be decoded.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Readable,
        *,
        name: str | None = None,
        container_format: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        text = os.fspath(source) if isinstance(source, str | os.PathLike) else None
        self.name = name or hide_password(text or "the video")
        self._file: BinaryIO | None = None
        self._container: av.container.InputContainer | None = None
        self._fault: Exception | str | None = None
        try:
            if text is not None and "://" not in text:
                # FFmpeg never sees the name: it would take "a:b.mp4" for a URL.
                self._file = _open_file(Path(text))
                source = self._file
            self._open(source, container_format, timeout)
        except BaseException:
            self.close()
            raise

    def _open(self, source: Any, container_format: str | None, timeout: float) -> None:
        url = isinstance(source, str)
        try:
            self._container = av.open(
                source,
                format=container_format,
                timeout=timeout if url else None,
                options={"rtsp_flags": "prefer_tcp"} if url else {},
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            why = _why(error)
            if self._file is not None and _is_mp4(self._file):
                why += "; its index (moov) may be missing, as in a recording that was cut off"
            raise InputError(f"{self.name} cannot be read as a video: {why}") from None
        stream = self._container.streams.best("video")
        if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
            raise InputError(f"{self.name} has no pictures: it may be a sound or a text file")
        self._stream = stream
        rates = (stream.average_rate, stream.guessed_rate, DEFAULT_FPS)
        self.fps = next(Fraction(rate) for rate in rates if rate and MIN_FPS <= rate <= MAX_FPS)
        self.num_frames = stream.frames or None
        seekable = getattr(source, "seekable", lambda: False)
        self.is_picture = self._container.format.name == "gif" and self.num_frames == 1
        self.live = not seekable() and not self._container.duration  # FLV says 0
        # Frame threads would keep several frames back, which delays what is live.
        stream.thread_type = "SLICE" if self.live else "AUTO"
        self._frames = self._decode()
        first = next(self._frames, None)
        if first is None:
            raise InputError(
                f"{self.name} cannot be read as a video: no frame of it can be decoded: "
                f"{_why(self._fault or 'it has none')}"
            )
        self._start = first.pts
        height, width = _upright(first).shape[:2]
        self.size = (width, height)
        self._frames = itertools.chain([first], self._frames)

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        """Images (H, W, 3), BGR, uint8, each with the seconds since the first.

        The seconds of a live source are those of the clock on the wall.

        Raises:
            InputError: after the last frame, where frames are damaged or missing, or where a live
                source has ended.
        """
        begin = time.monotonic()
        for count in itertools.count():
            frame = next(self._frames, None)
            if frame is None:
                self._check_end(count)
                return
            seconds: Fraction | float = count / self.fps
            if self.live:  # a stream's own times may be invented, as those of MJPEG are
                seconds = time.monotonic() - begin
            elif frame.pts is not None and self._start is not None and self._stream.time_base:
                seconds = (frame.pts - self._start) * self._stream.time_base
            yield _upright(frame), float(seconds)

    def close(self) -> None:
        """Closes the file; frames that were given stay as they are."""
        if self._container is not None:
            self._container.close()
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _decode(self) -> Iterator[av.VideoFrame]:
        """All frames that can be decoded; why others cannot is kept in `_fault`."""
        for packet in self._packets():
            try:
                frames = self._stream.codec_context.decode(packet)
            except (av.FFmpegError, OSError) as error:
                self._fault = self._fault or error
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self._fault = self._fault or DAMAGED
                yield frame

    def _packets(self) -> Iterator[Packet[Any] | None]:
        """The stream's packets, then None, which asks the decoder for what it still holds."""
        assert self._container is not None
        end = Fraction(0)
        # Sound is read along, though not decoded: it shows where a file was cut off.
        packets = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                self._fault = self._fault or error
                break
            if packet is None:
                break
            if packet.is_corrupt:
                self._fault = self._fault or DAMAGED
            if packet.pts is not None and packet.time_base is not None:
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet.size and packet.stream.index == self._stream.index:
                yield packet
        yield None
        duration = Fraction(self._container.duration or 0, av.time_base)
        # Matroska and WebM stop without a word where they were cut; other formats may be wrong
        # about how long they last.
        if "matroska" in self._container.format.name and 0 < end < duration - 1:
            self._fault = self._fault or (
                f"it ends at {float(end):.1f} of {float(duration):.1f} seconds"
            )

    def _check_end(self, count: int) -> None:
        if self.live:
            why = _why(self._fault or "the sender closed it")
            raise InputError(f"the stream {self.name} ended after {count} frames: {why}")
        if self._fault is not None:
            total = f" of {self.num_frames}" if self.num_frames else ""
            raise InputError(
                f"{self.name} is damaged or cut short: {count}{total} frames could be read: "
                f"{_why(self._fault)}; copy or download it again"
            )


class CameraReader:
    """The frames of a camera, once, as they come; the same face as `VideoReader`.

    Args:
        device: its number, or what else OpenCV opens, such as `/dev/video0`.

    Raises:
        InputError: it cannot be opened, or gives no frame.
    """

    num_frames = None
    live = True

    def __init__(self, device: int | str = 0) -> None:
        self.name = f"camera {device}"
        self._capture = cv2.VideoCapture(device)
        # What the driver keeps is old by the time that it is asked for.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        done, image = self._capture.read()
        if not done:
            self.close()
            raise InputError(
                f"{self.name} cannot be opened: it is not there, another program has it, or it may "
                "not be used; webcam:0 is the first, webcam:1 the second"
            )
        self._first: np.ndarray | None = image
        self.size = (int(image.shape[1]), int(image.shape[0]))
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        # Many a driver says 0 or nothing.
        self.fps = Fraction(rate).limit_denominator(1001) if 1 <= rate <= 1000 else Fraction(30)

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        """Images (H, W, 3), BGR, uint8, each with the seconds since the first.

        Raises:
            InputError: after the last frame: a camera does not end by itself.
        """
        start = time.monotonic()
        for count in itertools.count():
            done, image = (True, self._first) if self._first is not None else self._capture.read()
            self._first = None
            if not done:
                raise InputError(
                    f"the stream of {self.name} ended after {count} frames: it is gone"
                )
            yield image, time.monotonic() - start
            del image

    def close(self) -> None:
        """Gives the camera back."""
        self._capture.release()

    def __enter__(self) -> CameraReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class VideoWriter:
    """Writes an MP4 with H.264 that browsers play, and that plays if it is never finished.

    The file is written in fragments of half a second, each complete: after a crash or on a full
    disk, what `frames_written` counts is there. `close` makes an ordinary MP4 of it. Colours are
    BT.709, limited range, and say so. H.264 in 4:2:0 needs even sizes: an odd one gets its last
    column or row once more, since no way of cutting it off again is heeded by all players.

    Args:
        path: of the file, which is overwritten; MP4 whatever its suffix says.
        fps: frames per second, for frames without a time.
        size: (w, h) of the images in pixels.

    Attributes:
        path: of the file.
        size: (w, h) of the images in pixels.
        frames_written: how many frames are in the file for sure.

    Raises:
        InputError: a rate or a size that no video has.
        OutputError: the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        fps: Fraction | float,
        size: tuple[int, int],
    ) -> None:
        self.path = Path(path)
        self.size = size
        self.frames_written = 0
        if not math.isfinite(fps) or not 0 < fps <= MAX_FPS:
            raise InputError(f"fps must be above 0 and at most {MAX_FPS}, found {fps}")
        if min(size) < 1:
            raise InputError(f"a video's size must be (w, h) in pixels, found {size}")
        rate = Fraction(fps).limit_denominator(1001)
        if not rate:
            raise InputError(f"fps must be at least 1/1001, found {fps}")
        # Whole ticks per frame: a constant rate is kept exactly.
        ticks = rate.numerator * math.ceil(TICKS / rate.numerator)
        self._step = ticks // rate.numerator * rate.denominator
        self._time_base = Fraction(1, ticks)
        self._last = -self._step
        self._begin = 0.0
        self._encoded = 0
        self._file = _FragmentFile(self.path)
        self._closed = False
        try:
            self._container, self._stream = _open_output(self._file, rate, self._time_base, size)
        except (av.FFmpegError, ValueError) as error:
            self._closed = True
            self._file.close()
            self.path.unlink(missing_ok=True)
            raise OutputError(f"cannot write {self.path}: {_why(error)}") from None

    def write(self, image: np.ndarray, time: float | None = None) -> None:
        """Appends a frame.

        Args:
            image: (H, W, 3), BGR, uint8, of the writer's size.
            time: seconds; the first frame's is where the video begins. One that does not lie behind
                the last frame's is moved just behind it. None is 1 / fps behind the last frame.

        Raises:
            InputError: another size or type.
            OutputError: the file can no longer be written.
        """
        if self._closed:
            raise InputError(f"{self.path} is closed: no frame can be added")
        width, height = self.size
        if image.shape != (height, width, 3) or image.dtype != np.uint8:
            raise InputError(
                f"a frame of {self.path} must be ({height}, {width}, 3), uint8, "
                f"found {image.shape}, {image.dtype}"
            )
        if width % 2 or height % 2:
            image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.pts, frame.time_base = self._next_pts(time), self._time_base
        self._encode(frame)

    def close(self) -> None:
        """Finishes the file; more calls do nothing. A file without a frame is removed.

        Raises:
            OutputError: the file could not be finished; it has `frames_written` frames.
        """
        if self._closed:
            return
        if self._last >= 0:
            self._encode(None)
        self._closed = True
        self._container.close()
        if self._file.error is not None:
            self._fail(self._file.error)
        self._file.close()
        self.frames_written = self._encoded
        if not self._encoded:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _next_pts(self, time: float | None) -> int:
        if time is None:
            pts = self._last + self._step
        elif not math.isfinite(time):
            raise InputError(f"a frame's time must be a number of seconds, found {time}")
        else:
            if self._last < 0:
                self._begin = time
            pts = round((time - self._begin) / self._time_base)
        self._last = max(pts, self._last + 1, 0)
        return self._last

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                size = self._file.size
                self._container.mux(packet)
                if self._file.error is None and self._file.size > size:
                    # A packet that does not belong to a fragment any more has it written.
                    self._file.mark()
                    self.frames_written = self._encoded
                self._encoded += 1
        except (av.FFmpegError, ValueError) as error:
            self._fail(error)
        if self._file.error is not None:
            self._fail(self._file.error)

    def _fail(self, error: Exception) -> NoReturn:
        """Leaves the fragments that are complete, and says how many frames they have."""
        self._closed = True
        self._file.error = self._file.error or OSError("not finished")
        with contextlib.suppress(av.FFmpegError, ValueError):
            self._container.close()  # its writing is discarded
        self._file.close()
        kept = f"the first {self.frames_written} frames are in it and play"
        if not self.frames_written:
            self.path.unlink(missing_ok=True)
            kept = "no frame was written"
        raise OutputError(f"cannot write {self.path}: {_why(error)}; {kept}")


class _FragmentFile:
    """A file for FFmpeg that only grows, until it is closed.

    To finish, FFmpeg changes the beginning, in some versions before the new end is written, and
    even if that fails. So changes wait for `close`, and after an error nothing is written any more.
    """

    def __init__(self, path: Path) -> None:
        self.error: Exception | None = None
        self.size = 0
        self._position = 0
        self._good = 0
        self._changes: list[tuple[int, bytes]] = []
        try:
            self._raw = path.open("wb", buffering=0)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from None

    def write(self, data: bytes) -> int:
        if self._position < self.size:
            self._changes.append((self._position, bytes(data)))
        else:
            self._put(data)
        self._position += len(data)
        self.size = max(self.size, self._position)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = (0, self._position, self.size)[whence] + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def mark(self) -> None:
        """What is written so far is complete."""
        self._good = self.size

    def close(self) -> None:
        """Closes the file, cut back to what is complete where there was an error."""
        with self._raw:
            for position, data in self._changes if self.error is None else ():
                self._raw.seek(position)
                self._put(data)
            if self.error is not None:
                with contextlib.suppress(OSError):  # no file but a device
                    self._raw.truncate(self._good)

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest and self.error is None:
                rest = rest[self._raw.write(rest) :]
        except OSError as error:
            self.error = error


def _open_output(
    file: _FragmentFile, rate: Fraction, time_base: Fraction, size: tuple[int, int]
) -> tuple[OutputContainer, VideoStream]:
    # Since FFmpeg 7.1 fragments become an ordinary MP4 when it is closed.
    hybrid = av.library_versions["libavformat"] >= (61, 7, 0)
    flags = "hybrid_fragmented" if hybrid else "frag_keyframe+empty_moov+default_base_moof"
    options = {
        "movflags": flags,
        "frag_duration": str(round(FRAGMENT * 1e6)),
        "flush_packets": "1",
    }
    container = av.open(file, "w", format="mp4", options=options)
    stream = container.add_stream("libx264", rate=rate)
    stream.width, stream.height = size[0] + size[0] % 2, size[1] + size[1] % 2
    stream.pix_fmt = "yuv420p"
    stream.time_base = stream.codec_context.time_base = time_base
    stream.options = {
        "preset": "veryfast",
        "crf": "19",
        # Frames lie in the file in the order of time: what is cut off is the end.
        "bf": "0",
        "colorspace": "bt709",
        "color_primaries": "bt709",
        "color_trc": "bt709",
        "color_range": "tv",
    }
    return container, stream


def hide_password(url: str) -> str:
    """A URL without its user's password."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if not separator or "@" not in host:
        return url
    return f"{scheme}://***@{host.rpartition('@')[2]}{slash}{path}"


def _open_file(path: Path) -> BinaryIO:
    try:
        if path.is_file() and not path.stat().st_size:
            raise InputError(f"{path} is empty")
        return path.open("rb")
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None


def _is_mp4(file: BinaryIO) -> bool:
    file.seek(4)
    return file.read(4) in (b"ftyp", b"mdat", b"free", b"wide")


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """(H, W, 3), BGR, uint8."""
    # PyAV before 18 heeds a frame's matrix only where another one is named for the result, which
    # has none: it is BGR.
    source, result = ("ITU709", "ITU601") if frame.colorspace == 1 else (None, None)
    bgr = frame.reformat(format="bgr24", src_colorspace=source, dst_colorspace=result)
    image = bgr.to_ndarray()
    turn = TURNS.get(round(frame.rotation / 90) * 90 % 360)
    return np.asarray(image if turn is None else cv2.rotate(image, turn))


def _why(fault: Exception | str) -> str:
    return getattr(fault, "strerror", None) or str(fault)
