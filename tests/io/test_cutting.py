"""Parts of clips are those frames of the whole, with their numbers and times, of every codec."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from posekit.errors import InputError
from posekit.io import cutting
from posekit.io.cutting import Seek
from posekit.io.sequence import open_clip
from posekit.io.video import VideoReader
from posekit.stages.packet import Cut, Stretch

# File, encoder and its options: groups of twelve frames, with frames that need later ones.
KINDS: dict[str, tuple[str, str, dict[str, str]]] = {
    "h264": ("a.mp4", "libx264", {"g": "12", "bf": "3"}),
    "h264 open groups": ("a.mkv", "libx264", {"g": "12", "bf": "3", "x264-params": "open-gop=1"}),
    "h264 stream": ("a.ts", "libx264", {"g": "12", "bf": "2"}),
    "h264 one group": ("a.mp4", "libx264", {"g": "600", "keyint_min": "600", "bf": "2"}),
    "hevc": ("a.mp4", "libx265", {"x265-params": "keyint=12:open-gop=1:log-level=none"}),
    "mpeg4": ("a.avi", "mpeg4", {"g": "12", "bf": "2"}),
    "mpeg2": ("a.mpg", "mpeg2video", {"g": "12", "bf": "2"}),
    "vp9": ("a.webm", "libvpx-vp9", {"g": "12", "cpu-used": "8", "deadline": "realtime"}),
    "vp8": ("a.webm", "libvpx", {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "8"}),
    "mjpeg": ("a.avi", "mjpeg", {}),
    "gif": ("a.gif", "gif", {}),
    "ffv1": ("a.mkv", "ffv1", {}),
}
COUNT = 50


def clip(folder: Path, kind: str, times: list[int] | None = None) -> Path:
    """Fifty frames that are all different, at 25 a second or at the times given, in 1/25 s."""
    name, encoder, options = KINDS[kind]
    if encoder not in av.codecs_available:
        pytest.skip(f"this PyAV has no {encoder}")
    path = folder / name
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(encoder, rate=25, options=options)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(encoder, "yuv420p")
        stream.codec_context.thread_count = 1
        for number in range(COUNT):
            image = np.full((48, 64, 3), 30, np.uint8)
            cv2.putText(image, str(number), (5, 35), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255))
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(
                format=stream.pix_fmt
            )
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


Found = list[tuple[bytes, float, int]]


def read(path: Path, cut: Cut = Cut()) -> Found:  # noqa: B008
    with open_clip(path) as video:
        return [(image.tobytes(), time, number) for image, time, number in video.frames(cut)]


def expected(whole: Found, cut: Cut) -> Found:
    end = np.inf if cut.end is None else cut.end
    return [frame for frame in whole if cut.start - 1e-6 <= frame[1] < end - 1e-6][:: cut.stride]


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_is_what_the_whole_has_there(tmp_path: Path, kind: str) -> None:
    path = clip(tmp_path, kind)
    whole = read(path)
    assert [number for *_, number in whole] == list(range(len(whole)))
    assert len({image for image, *_ in whole}) == len(whole) >= COUNT - 1
    duration = whole[-1][1]
    for start in (0.01, 0.37, 0.48, 1.0, 1.5, whole[30][1], duration):
        for cut in (Cut(start), Cut(start, start + 0.2, 2)):
            assert read(path, cut) == expected(whole, cut), cut
    for cut in (Cut(0, 0.5), Cut(stride=7), Cut(0, 1e-3)):
        assert read(path, cut) == expected(whole, cut), cut


def in_stretches(path: Path, length: int, stride: int = 1) -> tuple[Found, list[Stretch]]:
    """A clip's frames, read in stretches by readers of their own."""
    stretches = [Stretch(first, first + length) for first in range(0, COUNT + 20, length)]
    frames: Found = []
    for stretch in stretches:
        with VideoReader(path) as video:
            cut = Cut(stride=stride)
            frames += [(i.tobytes(), t, n) for i, t, n in video.frames(cut, stretch)]
    return frames, stretches


@pytest.mark.parametrize("kind", KINDS)
def test_stretches_are_the_whole_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(cutting, "LEADING", 4)  # of so short a clip
    path = clip(tmp_path, kind)
    whole = read(path)
    frames, stretches = in_stretches(path, 16)
    assert frames == whole
    times = [time for _, time, _ in whole] + [None] * 40
    assert [one.following for one in stretches] == [times[one.last or 0] for one in stretches]
    assert in_stretches(path, 15, stride=3)[0] == whole[::3]


def test_a_stretch_says_what_is_damaged_in_it(tmp_path: Path) -> None:
    path = clip(tmp_path, "h264 stream")
    data = bytearray(path.read_bytes())
    del data[len(data) // 2 : len(data) // 2 + 188 * 8]  # packets that are numbered
    path.write_bytes(bytes(data))
    with VideoReader(path) as video:
        assert len(list(video.frames(Cut(), Stretch(0, 8)))) == 8
    with VideoReader(path) as video, pytest.raises(InputError, match="damaged or cut short"):
        list(video.frames(Cut(), Stretch(24, None)))


def test_frames_are_numbered_where_times_are_uneven(tmp_path: Path) -> None:
    steps = np.random.default_rng(0).integers(1, 9, COUNT)
    path = clip(tmp_path, "h264", np.cumsum(steps).tolist())
    whole = read(path)
    assert len(set(np.diff([time for _, time, _ in whole]).round(3))) > 4
    for start in np.linspace(0.1, whole[-1][1], 9).tolist():
        assert read(path, Cut(start)) == expected(whole, Cut(start))


def test_joined_files_go_on_where_the_first_ended(tmp_path: Path) -> None:
    part = clip(tmp_path, "h264 stream")
    path = tmp_path / "joined.ts"
    path.write_bytes(3 * part.read_bytes())
    whole = read(path)
    assert len(whole) >= 3 * COUNT - 2
    for start in (1.0, 1.95, 2.0, 2.3, 3.9, 4.5, 5.9):
        found = read(path, Cut(start))
        assert [frame[1:] for frame in found] == [
            frame[1:] for frame in expected(whole, Cut(start))
        ]
        assert found == expected(whole, Cut(start))


def test_what_comes_before_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip(tmp_path, "h264")
    with VideoReader(path) as video:
        converted: list[Any] = []
        convert = VideoReader._converted

        def counting(self: VideoReader, frame: Any) -> np.ndarray | None:
            converted.append(frame)
            return convert(self, frame)

        monkeypatch.setattr(VideoReader, "_converted", counting)
        decoded: list[int] = []
        number_of = Seek.number

        def noting(self: Seek, pts: int | None, before: int) -> int:
            decoded.append(number_of(self, pts, before))
            return decoded[-1]

        monkeypatch.setattr(Seek, "number", noting)
        number = next(number for *_, number in video.frames(Cut(1.64)))
        assert number == 41
        assert len(converted) == 1
        assert decoded[-1] == 41
        assert len(decoded) <= 13  # of the group that it is in, not of the 41 before


def test_a_start_behind_the_end_is_refused(tmp_path: Path) -> None:
    path = clip(tmp_path, "h264")
    with pytest.raises(InputError, match=r"start=9 is past the end of .*, which lasts 2.00 s"):
        read(path, Cut(9))


def test_an_end_behind_the_end_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = clip(tmp_path, "h264")
    assert len(read(path, Cut(1, 9))) == 25
    assert "ends at 2.00 seconds, before end=9" in caplog.text
    caplog.clear()
    read(path, Cut(1, 2))
    assert not caplog.text


def test_pages_are_cut_as_frames_are(tmp_path: Path) -> None:
    pages = [np.full((20, 30, 3), 5 * number, np.uint8) for number in range(20)]
    path = tmp_path / "stack.tif"
    assert cv2.imwritemulti(str(path), pages)
    whole = read(path)
    cut = Cut(0.2, 0.5, 3)
    found = read(path, cut)
    assert found == expected(whole, cut)
    assert [number for *_, number in found] == [5, 8, 11]
    with pytest.raises(InputError, match="start=5 is past the end"):
        read(path, Cut(5))


def test_a_damaged_clip_is_still_told(tmp_path: Path) -> None:
    path = clip(tmp_path, "h264 open groups")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 5])
    numbers: list[int] = []
    with VideoReader(path) as video, pytest.raises(InputError, match="damaged or cut short"):
        numbers.extend(number for *_, number in video.frames(Cut(0.3)))
    assert numbers[:3] == [8, 9, 10]
    assert len(numbers) < 20


class Sent:
    """A clip as a server sends it: nothing can be read twice."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def read(self, size: int, /) -> bytes:
        return self._file.read(size)


def test_a_stream_ends_where_it_is_told_to(tmp_path: Path) -> None:
    path = clip(tmp_path, "h264 stream")
    with VideoReader(Sent(path)) as video:
        assert video.live
        assert list(video.frames(Cut(0, 1e-9))) == []  # no error: it was to end then
    numbers: list[int] = []
    with (
        VideoReader(Sent(path)) as video,
        pytest.raises(InputError, match=r"stream .* ended after"),
    ):
        numbers.extend(number for *_, number in video.frames(Cut(stride=10)))
    assert numbers == [0, 10, 20, 30, 40]
