"""Videos, streams and cameras in. Pixels are BGR, uint8."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import av
import cv2
import numpy as np
from av.packet import Packet
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from posekit.errors import InputError
from posekit.io import gif
from posekit.io.cutting import Clock, Seek, check_end, cut_out
from posekit.io.listing import hide_password
from posekit.io.video_writer import MAX_FPS, VideoWriter, silence_ffmpeg
from posekit.stages.packet import WHOLE, Cut, Stretch

__all__ = ["CameraReader", "Readable", "VideoReader", "VideoWriter", "duration_of"]

TIMEOUT = 10.0  # seconds without anything from a server
DAMAGED = "data is missing or damaged"
UNKNOWN_COLOURS = "its colours are of a kind that FFmpeg does not convert"
DEFAULT_FPS = Fraction(25)  # of what does not say, or nothing that can be
MIN_FPS = Fraction(1, 1001)
# OpenCV's constants for what is mirrored: left and right, top and bottom.
FLIPS = {(True, False): 1, (False, True): 0, (True, True): -1}


class Readable(Protocol):
    """An open binary file, or a part of one."""

    def read(self, size: int, /) -> bytes: ...


class VideoReader:
    """The frames of a video or a stream, once, in the order in which they are shown.

    Frames are turned by the quarter turns, and mirrored, as the file asks for. As in OpenCV, pixels
    that are not square stay so.

    Args:
        source: a path, a URL that FFmpeg knows, such as `rtsp://...`, or an open binary file.
        name: for messages; None takes the path or the URL.
        container_format: FFmpeg's name of the format; None detects it from the content.
        timing: the number of frames and their rate, if known better than FFmpeg does.
        timeout: seconds without data from a server after which reading fails.

    Attributes:
        name: for messages.
        size: (w, h) of the first frame, upright, in pixels.
        fps: frames per second, on average.
        num_frames: how many the file says it has; None where it does not say.
        live: whether it is not a file and has no known end.
        is_picture: whether it is a GIF or an AVIF that is not animated.

    Raises:
        InputError: no such file, or no frame of it can be decoded.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Readable,
        *,
        name: str | None = None,
        container_format: str | None = None,
        timing: tuple[int, Fraction] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        text = os.fspath(source) if isinstance(source, str | os.PathLike) else None
        self.name = name or hide_password(text or "the video")
        self._file: BinaryIO | None = None
        self._container: av.container.InputContainer | None = None
        self._fault: Exception | str | None = None
        # One for all frames: it keeps what each of them would have to set up.
        self._to_bgr = VideoReformatter()
        self.num_frames: int | None = None
        self._seek: Seek | None = None
        # Stamps of the packets that were decoded to find the first frame.
        self._given: list[int | None] | None = []
        try:
            if text is not None and "://" not in text:
                # FFmpeg never sees the name: it would take "a:b.mp4" for a URL.
                self._file = _open_file(Path(text))
                source = self._file
            self._open(source, container_format, timeout)
            if timing is not None:
                self.num_frames, self.fps = timing
        except BaseException:
            self.close()
            raise

    def _open(self, source: Any, container_format: str | None, timeout: float) -> None:
        url = isinstance(source, str)
        options = {"rtsp_flags": "prefer_tcp"} if url else {"protocol_whitelist": "none"}
        silence_ffmpeg()
        try:
            self._container = av.open(
                source,
                format=container_format,
                timeout=timeout if url else None,
                # A list of other files, whatever its name says, may not open those. As options of
                # streams too, PyAV before 17.1 crashes where streams appear later (FLV, MPEG).
                container_options=options,
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            why = _why(error)
            if self._file is not None and _is_mp4(self._file):
                why += "; its index (moov) may be missing, as in a recording that was cut off"
            raise InputError(f"{self.name} cannot be read as a video: {why}") from None
        self._stream = stream = self._video_stream()
        rates = (stream.average_rate, stream.guessed_rate, DEFAULT_FPS)
        self.fps = next(Fraction(rate) for rate in rates if rate and MIN_FPS <= rate <= MAX_FPS)
        self.num_frames = stream.frames or None
        seekable = getattr(source, "seekable", lambda: False)
        self.is_picture = self.num_frames == 1 and self._is_animation()
        self.live = not seekable() and not self._container.duration  # FLV says 0
        # Frame threads would keep several frames back, which delays what is live.
        stream.thread_type = "SLICE" if self.live else "AUTO"
        decoded = self._decode()
        found = ((self._converted(frame), stamp, number) for frame, stamp, number in decoded)
        image, self._start, number = next(
            (first for first in found if first[0] is not None), (None, None, 0)
        )
        if image is None:
            raise InputError(
                f"{self.name} cannot be read as a video: no frame of it can be decoded: "
                f"{_why(self._fault or 'it has none')}"
            )
        self.size = (image.shape[1], image.shape[0])
        # An iterator lets go of what it has given; a list would keep the image.
        self._frames: Iterator[tuple[av.VideoFrame | np.ndarray, int | None, int]]
        self._frames = itertools.chain(iter([(image, self._start, number)]), decoded)

    def _video_stream(self) -> VideoStream:
        """The best stream of pictures that FFmpeg has a decoder for."""
        assert self._container is not None
        best = self._container.streams.best("video")
        streams = [stream for stream in (best, *self._container.streams.video) if stream]
        pictures = [
            stream
            for stream in streams
            if isinstance(stream, VideoStream) and not stream.disposition & Disposition.attached_pic
        ]
        if not pictures:
            raise InputError(
                f"{self.name} has no frames: it may be an audio or a text file, or FFmpeg does "
                "not know its codec"
            )
        # PyAV has no context, whatever its types say, for a codec that FFmpeg has no decoder for.
        known = next((stream for stream in pictures if stream.codec_context is not None), None)
        if known is None:
            raise InputError(
                f"{self.name} cannot be read as a video: FFmpeg does not know its codec, or "
                "its header is damaged; convert it to H.264, or copy it again"
            )
        return known

    def _is_animation(self) -> bool:
        """Whether it is of a kind that has single pictures too."""
        assert self._container is not None
        if self._container.format.name == "gif":
            return True
        if self._file is None:
            return False
        # It was opened already: what FFmpeg reads next it looks for itself.
        position = self._file.tell()
        self._file.seek(4)
        brand = self._file.read(8)
        self._file.seek(position)
        return brand in (b"ftypavif", b"ftypavis")

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        """Images (H, W, 3), BGR, uint8, each with the seconds since the first; see `frames`."""
        return ((image, seconds) for image, seconds, _ in self.frames())

    @property
    def seeks(self) -> bool:
        """Whether a part can be read without decoding everything before it."""
        return not self.live and self._start is not None and Seek.can(self._stream)

    @property
    def duration(self) -> float | None:
        """The duration in seconds that the file states; None if it states none."""
        assert self._container is not None
        return float(self._container.duration or 0) / av.time_base or None

    def frames(
        self, cut: Cut = WHOLE, stretch: Stretch | None = None
    ) -> Iterator[tuple[np.ndarray, float, int]]:
        """Images (H, W, 3), BGR, uint8, with their seconds since the first and their numbers.

        Where times go back, as in a file joined from several, each part continues the times of the
        part before. A live source is timed by the wall clock. Before the cut, only what later
        frames need is decoded.

        Args:
            cut: which frames to give; seconds and numbers stay those of the whole clip.
            stretch: a range of frame numbers to give; no error if it has no frames.

        Raises:
            InputError: after the last frame, if frames are damaged or missing or a live source has
                ended; or the cut begins after the last frame.
        """
        begin = time.monotonic()
        clock = Clock(self._start, self._stream.time_base, self.fps)
        first = 0 if stretch is None else stretch.first
        self._begin(clock, cut.start, first)
        seconds, position, count = 0.0, -1, 0
        while (found := next(self._frames, None)) is not None:
            source, pts, number = found
            del found
            exact, count = clock.seconds(pts, number), number + 1
            # A stream's own times may be invented, as those of MJPEG are.
            seconds = time.monotonic() - begin if self.live else float(exact)
            if cut.is_behind(seconds):
                return
            if stretch is not None and stretch.is_behind(number):
                stretch.following = seconds
                break
            if cut.is_before(seconds) or number < first:
                continue
            self._seek, position = None, position + 1
            image = None if position % cut.stride else self._converted(source)
            del source
            if image is not None:
                yield image, seconds, number
            del image
        self._check_end(count)
        if stretch is None:
            check_end(cut, self.name, seconds + float(1 / self.fps), found=position >= 0)

    def _begin(self, clock: Clock, start: float, first: int) -> None:
        """Leaves out what frames from a time, or a number, on do not need."""
        given, self._given = self._given or [], None
        stamps = [pts for pts in given if pts is not None]
        if (start or first) and self.seeks and len(stamps) == len(given):
            self._seek = Seek(clock, stamps, start=start, first=first)

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

    def _decode(self) -> Iterator[tuple[av.VideoFrame, int | None, int]]:
        """All frames that can be decoded and are not left out, their stamps and numbers.

        Why others cannot is kept in `_fault`.
        """
        number = -1
        for packet in self._packets():
            for ready in self._needed(packet):
                try:
                    frames = self._stream.codec_context.decode(ready)
                except (av.FFmpegError, OSError) as error:
                    self._fault = self._fault or error
                    continue
                for frame in frames:
                    if frame.is_corrupt:
                        self._fault = self._fault or DAMAGED
                    seek = self._seek
                    number = number + 1 if seek is None else seek.number(frame.pts, number)
                    yield frame, frame.pts, number

    def _needed(self, packet: Packet[Any] | None) -> list[Packet[Any] | None]:
        """The packets that are decoded next, where the next one was read; None is the end."""
        if self._seek is not None:
            ready = self._seek.take(packet)
            if ready and self._seek.flush:
                self._seek.flush = False
                self._stream.codec_context.flush_buffers()
            return ready
        if self._given is not None and packet is not None and not packet.is_discard:
            self._given.append(packet.pts)
        return [packet]

    def _converted(self, frame: av.VideoFrame | np.ndarray) -> np.ndarray | None:
        """Its image (H, W, 3), BGR, uint8, upright; None where it has none, and why in `_fault`."""
        if isinstance(frame, np.ndarray):
            return frame
        try:
            return _upright(frame, self._to_bgr)
        except (av.FFmpegError, OSError, ValueError) as error:
            self._fault = self._fault or f"{UNKNOWN_COLOURS}: {_why(error)}"
            return None

    def _packets(self) -> Iterator[Packet[Any] | None]:
        """The stream's packets, then None, which asks the decoder for what it still holds."""
        assert self._container is not None
        end = Fraction(0)
        gaps = _Gaps()
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
            if gaps.is_behind(packet):
                self._fault = self._fault or DAMAGED
            if packet.pts is not None and packet.time_base is not None:
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet.size and packet.stream.index == self._stream.index:
                yield packet
        if gaps.pending:
            self._fault = self._fault or DAMAGED
        if self._container.format.name == "gif" and self._file and not gif.is_whole(self._file):
            self._fault = self._fault or DAMAGED
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
            total = f" of {self.num_frames}" if (self.num_frames or 0) > count else ""
            raise InputError(
                f"{self.name} is damaged or cut short: {count}{total} frames could be read: "
                f"{_why(self._fault)}; copy or download it again"
            )


class _Gaps:
    """Tells where packets are missing from where files were joined.

    Transport streams number their packets, and where the numbers jump, FFmpeg marks what comes just
    before. In files that were joined nothing is missing there if a key frame comes next, and comes
    when it is due: right then, or back at where a file begins.

    Attributes:
        pending: of streams by their index, how many packets may come before such a key frame.
    """

    # FFmpeg's parsers keep the last packet back, so that the mark may be on the one before.
    PATIENCE = 2

    def __init__(self) -> None:
        self.pending: dict[int, int] = {}
        self._last: dict[int, Packet[Any]] = {}

    def is_behind(self, packet: Packet[Any]) -> bool:
        """Takes the next packet; True where others are missing before it."""
        if not packet.size:
            return False
        stream = packet.stream.index
        missing = False
        if stream in self.pending:
            self.pending[stream] -= 1
            joined = self._begins_a_file(packet)
            if joined or not self.pending[stream]:
                del self.pending[stream]
                missing = not joined
        if packet.is_corrupt:
            self.pending.setdefault(stream, self.PATIENCE)
        self._last[stream] = packet
        return missing

    def _begins_a_file(self, packet: Packet[Any]) -> bool:
        last = self._last[packet.stream.index]
        if not packet.is_keyframe or packet.dts is None or last.dts is None:
            return False
        return packet.dts <= last.dts + 1.5 * (last.duration or 0)


class CameraReader:
    """The frames of a camera, once, as they come, with the interface of `VideoReader`.

    Args:
        device: its number, or what else OpenCV opens, such as `/dev/video0`.

    Raises:
        InputError: it cannot be opened, or gives no frame.
    """

    num_frames = None
    live = True
    is_picture = False

    def __init__(self, device: int | str = 0) -> None:
        self.name = f"camera {device}"
        self._capture = cv2.VideoCapture(device)
        # What the driver keeps is old by the time that it is asked for.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        done, image = self._capture.read()
        if not done:
            self.close()
            raise InputError(
                f"{self.name} cannot be opened: it does not exist, another program uses it, or "
                "access is denied; webcam:0 is the first camera, webcam:1 the second"
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
                    f"the stream of {self.name} ended after {count} frames: the camera was "
                    "disconnected"
                )
            yield image, time.monotonic() - start
            del image

    def frames(self, cut: Cut = WHOLE) -> Iterator[tuple[np.ndarray, float, int]]:
        """As `VideoReader.frames`."""
        return cut_out(self, cut, self.name, self.fps)

    def close(self) -> None:
        """Releases the camera."""
        self._capture.release()

    def __enter__(self) -> CameraReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def duration_of(path: Path) -> float:
    """The duration in seconds that a file states, read without decoding; 0 if it states none."""
    try:
        # FFmpeg never sees the name: it would take "a:b.mp4" for a URL.
        with path.open("rb") as file, av.open(file, "r") as container:
            return float(container.duration or 0) / av.time_base
    except (av.FFmpegError, OSError, ValueError):
        return 0.0


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


def _upright(frame: av.VideoFrame, to_bgr: VideoReformatter) -> np.ndarray:
    """(H, W, 3), BGR, uint8."""
    image: np.ndarray = to_bgr.reformat(frame, format="bgr24").to_ndarray()
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return image
    # (3, 3): (x, y, 1) times it is where a pixel is to be seen.
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32).tolist()
    if abs(b) > abs(a):
        image = cv2.transpose(image)
        a, d = c, b
    flip = FLIPS.get((a < 0, d < 0))
    return np.asarray(image if flip is None else cv2.flip(image, flip))


def _why(fault: Exception | str) -> str:
    return getattr(fault, "strerror", None) or str(fault)
