"""Videos in and out."""

from __future__ import annotations

import gc
import io
import struct
import subprocess
import sys
import weakref
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from posekit.errors import InputError, OutputError
from posekit.files import PACKAGED
from posekit.io.listing import hide_password
from posekit.io.video import CameraReader, VideoReader, VideoWriter
from tests.conftest import ROOT
from tests.processes import run_python

SATURATED = [(0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 0), (0, 255, 255), (255, 0, 255)]

UNSPECIFIED, Y_CG_CO = 2, 8  # how colours are coded: ISO/IEC 23091-2, matrix coefficients


def numbered(index: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """A grey image whose level tells its number, 0 to 15."""
    return np.full((size[1], size[0], 3), 12 * index + 36, np.uint8)


def number(image: np.ndarray) -> int:
    return round((float(image.mean()) - 36) / 12)


def assert_same_picture(found: np.ndarray, expected: np.ndarray) -> None:
    """That two decoders agree; their conversions from YUV may round otherwise by processor."""
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 2


def noise(seed: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)


def record(path: Path, count: int = 12, fps: float = 10, **size: tuple[int, int]) -> Path:
    with VideoWriter(path, fps=fps, size=size.get("size", (64, 48))) as video:
        for index in range(count):
            video.write(numbered(index % 16, **size))
    return path


def record_as(
    path: Path,
    container: str,
    codec: str,
    count: int,
    pixels: str = "yuv420p",
    matrix: int = UNSPECIFIED,
) -> Path:
    """A noisy video of any container and codec, which `VideoWriter` does not write."""
    options = {"movflags": "faststart"} if container == "mp4" else {}
    with av.open(str(path), "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        stream.codec_context.colorspace = matrix
        # Or the file, and what of it is where it is cut, depends on the machine.
        stream.codec_context.thread_count = 1
        for index in range(count):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(noise(index), format="bgr24")))
        output.mux(stream.encode(None))
    return path


def record_sound(path: Path) -> Path:
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def turn(path: Path, degrees: int) -> Path:
    """Has an MP4 say that it is to be turned clockwise, as a phone does."""
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    return place(path, cos, sin, -sin, cos)


def place(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Has an MP4 say that the pixel x, y is to be seen at ax + cy, bx + dy."""
    data = bytearray(path.read_bytes())
    header = data.rindex(b"tkhd")  # before it lies that of the first fragment
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    data[header + 44 : header + 80] = matrix
    path.write_bytes(data)
    return path


def boxes(path: Path) -> list[str]:
    """The names of an MP4's outermost boxes; fails where their sizes do not add up."""
    data, position, names = path.read_bytes(), 0, []
    while position < len(data):
        size, name = struct.unpack_from(">I4s", data, position)
        names.append(name.decode())
        assert size >= 8
        position += size
    assert position == len(data)
    return names


def read_until_error(path: Path) -> tuple[int, str]:
    """How many frames came before the error, and what it says."""
    count = 0
    with VideoReader(path) as video, pytest.raises(InputError) as caught:
        for _ in video:
            count += 1
    return count, str(caught.value)


class TestReader:
    def test_says_what_it_is(self, tmp_path: Path) -> None:
        with VideoReader(record(tmp_path / "a.mp4")) as video:
            assert video.size == (64, 48)
            assert video.fps == 10 and isinstance(video.fps, Fraction)
            assert video.num_frames == 12
            assert not video.live

    def test_a_rate_that_no_video_has_is_not_believed(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mkv"
        with av.open(str(path), "w") as output:
            stream = output.add_stream("libx264", rate=90_000)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for index in range(3):
                output.mux(stream.encode(av.VideoFrame.from_ndarray(noise(index), format="bgr24")))
            output.mux(stream.encode(None))
        with av.open(str(path)) as video:
            assert video.streams.video[0].average_rate > 1000
        with VideoReader(path) as video:
            assert len(list(video)) == 3
            # What is read can be written.
            VideoWriter(tmp_path / "b.mp4", fps=video.fps, size=video.size).close()

    def test_a_stream_that_says_it_lasts_no_time_is_live(self) -> None:
        class Pipe(io.BytesIO):
            def seekable(self) -> bool:
                return False

        pipe = Pipe()
        with av.open(pipe, "w", format="flv") as output:
            stream = output.add_stream("flv1", rate=30)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for index in range(3):
                output.mux(stream.encode(av.VideoFrame.from_ndarray(noise(index), format="bgr24")))
            output.mux(stream.encode(None))
        pipe.seek(0)
        with VideoReader(pipe) as video:
            assert video.live

    def test_frames_in_order_with_their_times(self, tmp_path: Path) -> None:
        with VideoReader(record(tmp_path / "a.mp4")) as video:
            frames = list(video)
        assert [number(image) for image, _ in frames] == list(range(12))
        np.testing.assert_allclose([time for _, time in frames], np.arange(12) / 10, atol=1e-4)
        assert frames[0][0].dtype == np.uint8 and frames[0][0].flags.c_contiguous

    def test_decodes_as_opencv_does(self, shared: Path) -> None:
        path = shared / "video" / "demo.mp4"
        capture = cv2.VideoCapture(str(path))
        with VideoReader(path) as video:
            images = [image for image, _ in video]
        assert len(images) == video.num_frames > 0
        for image in images:
            assert_same_picture(image, capture.read()[1])

    @pytest.mark.parametrize("degrees", [90, 180, 270])
    def test_phone_videos_are_upright(self, tmp_path: Path, degrees: int) -> None:
        image = np.zeros((48, 64, 3), np.uint8)
        image[:24, :32] = 255  # white top left
        path = tmp_path / "a.mp4"
        with VideoWriter(path, fps=5, size=(64, 48)) as video:
            video.write(image)
        turn(path, degrees)
        with VideoReader(path) as video:
            ((found, _),) = list(video)
        expected = np.rot90(image, -degrees // 90)
        assert video.size == (expected.shape[1], expected.shape[0])
        assert np.abs(found.astype(int) - expected).mean() < 4

    @pytest.mark.parametrize(
        ("matrix", "expected"),
        [
            ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
            ((1, 0, 0, -1), lambda image: image[::-1]),
            ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
            ((0, -1, -1, 0), lambda image: np.rot90(image.swapaxes(0, 1), 2)),
            ((0, 0, 0, 0), lambda image: image),
        ],
    )
    def test_mirrored_videos(
        self,
        tmp_path: Path,
        matrix: tuple[int, int, int, int],
        expected: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        image = np.zeros((48, 64, 3), np.uint8)
        image[:24, :32], image[:24, 32:] = 255, 120
        path = tmp_path / "a.mp4"
        with VideoWriter(path, fps=5, size=(64, 48)) as video:
            video.write(image)
        with VideoReader(place(path, *matrix)) as video:
            ((found, _),) = list(video)
        assert found.shape == expected(image).shape
        assert np.abs(found.astype(int) - expected(image)).mean() < 4

    def test_a_gif_with_a_damaged_block_is_not_taken_for_a_short_one(self, tmp_path: Path) -> None:
        path = tmp_path / "a.gif"
        pictures = [Image.fromarray(np.full((40, 60), n * 20, np.uint8)) for n in range(9)]
        pictures[0].save(path, save_all=True, append_images=pictures[1:])
        data = bytearray(path.read_bytes())
        (tmp_path / "b.gif").write_bytes(data[:-1])
        with VideoReader(tmp_path / "b.gif") as video:  # only the mark at its end is missing
            assert len(list(video)) == 9
        place = data.index(b"!\xf9", len(data) // 2)
        path.write_bytes(data[:place] + b"\x99" + data[place + 1 :])
        count, message = read_until_error(path)
        assert 0 < count < 9 and "data is missing or damaged" in message

    @pytest.mark.parametrize("name", ["a:b.mp4", "写真 %03d.mp4", "http", "x?y=1#z.mp4"])
    def test_any_file_name(self, tmp_path: Path, name: str) -> None:
        with VideoReader(str(record(tmp_path / name, 3))) as video:
            assert len(list(video)) == 3

    @pytest.mark.parametrize(
        ("container", "codec"),
        [("mp4", "libx264"), ("matroska", "libx264"), ("avi", "mpeg4"), ("mpegts", "libx264")],
    )
    def test_a_damaged_video_gives_what_decodes_then_one_error(
        self, tmp_path: Path, container: str, codec: str
    ) -> None:
        path = record_as(tmp_path / "a", container, codec, 90)
        with av.open(str(path)) as whole:
            starts = sorted(p.pos for p in whole.demux(video=0) if p.pos is not None)
        # In the middle of a frame: nothing tells a stream that ends after one from a whole one.
        path.write_bytes(path.read_bytes()[: (starts[54] + starts[55]) // 2])
        count, message = read_until_error(path)
        assert 40 < count < 60
        assert f"{count} " in message and "frames could be read" in message and str(path) in message

    def test_damage_in_the_middle_does_not_end_the_video(self, tmp_path: Path) -> None:
        path = record_as(tmp_path / "a.mp4", "mp4", "libx264", 60)
        data = bytearray(path.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 2000] = b"\x55" * 2000
        path.write_bytes(data)
        count, message = read_until_error(path)
        assert 50 < count <= 60
        assert f"{count} of 60 frames" in message

    @pytest.mark.parametrize(
        ("container", "codec", "name"),
        [
            ("mp4", "libx264", b"avc1"),
            ("avi", "mpeg4", b"FMP4"),
            ("matroska", "libx264", b"V_MPEG4"),
        ],
    )
    def test_a_codec_that_nobody_knows(
        self, tmp_path: Path, container: str, codec: str, name: bytes
    ) -> None:
        path = record_as(tmp_path / "a", container, codec, 3)
        data = path.read_bytes()
        assert name in data
        path.write_bytes(data.replace(name, b"ZZZZ" + name[4:]))
        with pytest.raises(InputError, match="FFmpeg does not know its codec"):
            VideoReader(path)

    @pytest.mark.parametrize(("container", "codec"), [("mp4", "libx264"), ("matroska", "ffv1")])
    def test_colours_that_cannot_be_converted(
        self, tmp_path: Path, container: str, codec: str
    ) -> None:
        path = record_as(tmp_path / "a", container, codec, 3, matrix=Y_CG_CO)
        with pytest.raises(InputError, match=r"a cannot be read as a video: .* its colours are of"):
            VideoReader(path)

    def test_colours_of_av1_that_cannot_be_converted(self) -> None:
        # A file: as root, the encoder's threads take turns before all others of the machine, which
        # on two cores may wait for them for minutes.
        with pytest.raises(InputError, match=r"ycgco\.avif cannot be .* its colours are of"):
            VideoReader(ROOT / "tests" / "data" / "videos" / "ycgco.avif")

    def test_videos_that_made_it_fail(self, shared: Path) -> None:
        media = shared / "cases" / "media"
        for path in (*media.glob("codec_*"), *media.glob("vid_X_*")):
            with pytest.raises(InputError, match=f"{path.name} cannot be read as a video"):
                VideoReader(path)

    @pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
    def test_joined_transport_streams_are_whole(self, tmp_path: Path, codec: str) -> None:
        path = record_as(tmp_path / "a.ts", "mpegts", codec, 30)
        path.write_bytes(path.read_bytes() * 3)
        with VideoReader(path) as video:
            times = [seconds for _, seconds in video]
        assert len(times) == 90
        # The parts follow each other in time.
        np.testing.assert_allclose(np.diff(times), 1 / 30, atol=2e-3)

    def test_a_transport_stream_that_lacks_packets_is_damaged(self, tmp_path: Path) -> None:
        path = record_as(tmp_path / "a.ts", "mpegts", "libx264", 60)
        data = path.read_bytes()
        middle = len(data) // 188 // 2 * 188
        path.write_bytes(data[:middle] + data[middle + 5 * 188 :])
        count, message = read_until_error(path)
        assert count > 50 and "data is missing or damaged" in message

    def test_a_joined_stream_changes_its_size(self, shared: Path) -> None:
        with VideoReader(shared / "cases" / "media" / "reschange.ts") as video:
            sizes = [image.shape[:2] for image, _ in video]
        assert sizes == [(214, 320)] * 6 + [(108, 160)] * 6

    def test_an_mp4_without_its_index(self, tmp_path: Path) -> None:
        path = record(tmp_path / "a.mp4")
        data = path.read_bytes()
        path.write_bytes(data[: data.index(b"moov") - 4])
        with pytest.raises(InputError, match=r"a\.mp4 cannot be read as a video.*moov"):
            VideoReader(path)

    def test_sound_only(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"a\.mp4 has no frames"):
            VideoReader(record_sound(tmp_path / "a.mp4"))

    @pytest.mark.parametrize(
        ("content", "message"),
        [(b"", "is empty"), (b"not a video\n" * 50, "cannot be read as a video")],
    )
    def test_other_files(self, tmp_path: Path, content: bytes, message: str) -> None:
        (tmp_path / "a.mp4").write_bytes(content)
        with pytest.raises(InputError, match=message):
            VideoReader(tmp_path / "a.mp4")

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no such file"):
            VideoReader(tmp_path / "a.mp4")

    def test_a_frame_that_was_given_is_not_kept(self, tmp_path: Path) -> None:
        with VideoReader(record(tmp_path / "a.mp4")) as video:
            frames = iter(video)
            image = next(frames)[0]
            gone = weakref.ref(image)
            del image
            next(frames)
            gc.collect()
            assert gone() is None

    def test_passwords_are_not_shown(self) -> None:
        assert hide_password("rtsp://me:secret@host:554/a?b=1") == "rtsp://***@host:554/a?b=1"

    def test_a_stream_that_is_not_there(self) -> None:
        with pytest.raises(InputError, match=r"rtsp://\*\*\*@127\.0\.0\.1:1/a cannot be read"):
            VideoReader("rtsp://me:secret@127.0.0.1:1/a", timeout=5)


class TestCamera:
    def test_one_that_is_not_there(self) -> None:
        with pytest.raises(InputError, match="camera 99 cannot be opened"):
            CameraReader(99)

    def test_one_that_goes_away(self, tmp_path: Path) -> None:
        # OpenCV opens files as it does cameras.
        path = record_as(tmp_path / "a.avi", "avi", "mjpeg", 3, "yuvj420p")
        count = 0
        with CameraReader(str(path)) as camera, pytest.raises(InputError) as caught:
            for image, _ in camera:
                assert image.shape == (48, 64, 3)
                count += 1
        assert count == 3
        assert "ended after 3 frames" in str(caught.value)


class TestWriter:
    def test_a_finished_file_is_an_ordinary_mp4(self, tmp_path: Path) -> None:
        path = record(tmp_path / "a.mp4", 30)
        assert "moof" not in boxes(path) and "moov" in boxes(path)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.frames == 30
            assert stream.codec_context.pix_fmt == "yuv420p"
            assert stream.codec_context.codec_tag == "avc1"
            assert container.duration == 3_000_000

    @pytest.mark.parametrize("fps", [24, 29.97, Fraction(30000, 1001), Fraction(24000, 1001), 0.5])
    def test_the_rate_is_kept(self, tmp_path: Path, fps: float) -> None:
        with VideoReader(record(tmp_path / "a.mp4", fps=fps)) as video:
            assert video.fps == Fraction(fps).limit_denominator(1001)

    def test_times_are_kept(self, tmp_path: Path) -> None:
        times = [0, 0.04, 0.05, 0.5, 2.25]
        with VideoWriter(tmp_path / "a.mp4", fps=10, size=(64, 48)) as video:
            for index, time in enumerate(times):
                video.write(numbered(index), time=7 + time)
        with VideoReader(tmp_path / "a.mp4") as video:
            found = [(number(image), time) for image, time in video]
        np.testing.assert_allclose(found, list(enumerate(times)), atol=1e-4)

    def test_times_always_increase(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "a.mp4", fps=10, size=(64, 48)) as video:
            for index, time in enumerate([0, 0.1, 0.1, 0.05, 0.2]):
                video.write(numbered(index), time=time)
        with VideoReader(tmp_path / "a.mp4") as video:
            found = [(number(image), time) for image, time in video]
        assert [index for index, _ in found] == list(range(5))
        assert (np.diff([time for _, time in found]) > 0).all()

    @pytest.mark.parametrize("size", [(63, 47), (64, 47), (1, 1)])
    def test_an_odd_size_repeats_the_edge(self, tmp_path: Path, size: tuple[int, int]) -> None:
        with VideoReader(record(tmp_path / "a.mp4", 3, size=size)) as video:
            assert video.size == (size[0] + size[0] % 2, size[1] + size[1] % 2)
            images = [image for image, _ in video]
        assert [number(image) for image in images] == [0, 1, 2]
        assert number(images[2][-1:]) == number(images[2][:, -1:]) == 2

    def test_colours_survive(self, tmp_path: Path) -> None:
        image = np.repeat(np.repeat(np.array([SATURATED], np.uint8), 32, 0), 32, 1)
        with VideoWriter(tmp_path / "a.mp4", fps=5, size=(192, 32)) as video:
            video.write(image)
        with VideoReader(tmp_path / "a.mp4") as video:
            ((found, _),) = list(video)
        assert np.abs(found[8:24, 8::32].astype(int) - image[8:24, 8::32]).max() <= 6

    def test_colours_are_tagged(self, tmp_path: Path) -> None:
        path = record(tmp_path / "a.mp4")
        # The box of an MP4: primaries, transfer and matrix 1 (BT.709), not full range.
        assert b"colrnclx" + struct.pack(">3HB", 1, 1, 1, 0) in path.read_bytes()
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))  # what the coded frames themselves say
            assert (frame.colorspace, frame.color_range) == (1, 1)

    def test_closing_twice(self, tmp_path: Path) -> None:
        video = VideoWriter(tmp_path / "a.mp4", fps=5, size=(64, 48))
        video.write(numbered(0))
        video.close()
        video.close()
        assert video.frames_written == 1
        with pytest.raises(InputError, match="is closed"):
            video.write(numbered(1))

    def test_no_frames_no_file(self, tmp_path: Path) -> None:
        VideoWriter(tmp_path / "a.mp4", fps=5, size=(64, 48)).close()
        assert not (tmp_path / "a.mp4").exists()

    def test_the_first_image_gives_the_size(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        path.write_bytes(b"of a run before")
        VideoWriter(path).close()
        assert path.read_bytes() == b"of a run before"  # nothing came
        image = np.zeros((32, 48, 3), np.uint8)
        with VideoWriter(path) as video:
            for wrong in (image[..., 0], image[:0]):
                with pytest.raises(InputError, match="must be"):
                    video.write(wrong)
            assert path.read_bytes() == b"of a run before"
            video.write(image, 1.5)
            assert video.size == (48, 32)
            video.write(image, 2.0)
            with pytest.raises(InputError, match="must be"):
                video.write(image[:16])
        with VideoReader(path) as reader:
            assert reader.size == (48, 32)
            assert [time for _, time in reader] == pytest.approx([0, 0.5])

    def test_the_source_is_not_written_over(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        path.write_bytes(b"a clip")
        (tmp_path / "link.mp4").symlink_to(path)
        for source in (path, str(tmp_path / "link.mp4")):
            with pytest.raises(InputError, match="is the input video"):
                VideoWriter(path, source=source)
        for source in ("webcam", "rtsp://camera/a.mp4", tmp_path / "b.mp4", np.zeros(3), None):
            VideoWriter(path, source=source).close()
        assert path.read_bytes() == b"a clip"

    def test_another_size_is_refused(self, tmp_path: Path) -> None:
        with (
            VideoWriter(tmp_path / "a.mp4", fps=5, size=(64, 48)) as video,
            pytest.raises(InputError, match=r"must be \(48, 64, 3\), uint8, found \(64, 48, 3\)"),
        ):
            video.write(numbered(0, (48, 64)))

    @pytest.mark.parametrize("time", [float("nan"), float("inf")])
    def test_impossible_times_are_refused(self, tmp_path: Path, time: float) -> None:
        with (
            VideoWriter(tmp_path / "a.mp4", fps=5, size=(64, 48)) as video,
            pytest.raises(InputError, match="seconds"),
        ):
            video.write(numbered(0), time=time)

    @pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 1e6, 1e-6])
    def test_impossible_rates_are_refused(self, tmp_path: Path, fps: float) -> None:
        with pytest.raises(InputError, match="fps must be"):
            VideoWriter(tmp_path / "a.mp4", fps=fps, size=(64, 48))

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match=r"cannot write .*a\.mp4: No such file"):
            VideoWriter(tmp_path / "none" / "a.mp4", fps=5, size=(64, 48))

    def test_a_killed_process_leaves_what_it_wrote(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        program = (
            "import sys; from tests.io.test_video import *\n"
            "video = VideoWriter(sys.argv[1], fps=10, size=(64, 48))\n"
            "for index in range(10**9):\n"
            "    video.write(numbered(index % 16))\n"
            "    print(video.frames_written, flush=True)\n"
        )
        root = Path(__file__).resolve().parents[2]
        with subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True, cwd=root
        ) as process:
            assert process.stdout is not None
            written = next(int(line) for line in process.stdout if int(line) >= 20)
            process.kill()
        with VideoReader(path) as video:
            found = [number(image) for image, _ in video]
        assert len(found) >= written
        assert found == [index % 16 for index in range(len(found))]

    @pytest.mark.skipif(sys.platform == "win32", reason="no limits on files")
    def test_a_full_disk_leaves_what_was_written(self, tmp_path: Path) -> None:
        # A limit on the size of files stands in for the disk: both make a write fail.
        path = tmp_path / "a.mp4"
        program = (
            "import resource, sys; from tests.io.test_video import *\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
            "video = VideoWriter(sys.argv[1], fps=10, size=(64, 48))\n"
            "try:\n"
            "    for index in range(1000): video.write(noise(index))\n"
            "except OutputError as error:\n"
            "    print(video.frames_written, error)\n"
        )
        root = Path(__file__).resolve().parents[2]
        output = run_python("-c", program, path, cwd=root).stdout
        written = int(output.split()[0])
        assert written > 20
        assert f"cannot write {path}" in output
        assert f"the first {written} frames are in it" in output
        with VideoReader(path) as video:
            assert len(list(video)) == written
        assert "moof" in boxes(path)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
    def test_a_disk_without_any_room(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        path.symlink_to("/dev/full")
        video = VideoWriter(path, fps=10, size=(64, 48))
        with pytest.raises(OutputError, match="No space left on device; no frame was written"):
            for index in range(100):
                video.write(noise(index))
        assert video.frames_written == 0

    def test_a_disk_that_is_full_at_the_end(self, tmp_path: Path) -> None:
        """Whatever byte of the finished file has no room, the fragments before it play."""
        whole = record(tmp_path / "whole.mp4", 30)
        size = whole.stat().st_size
        program = (
            "import resource, sys; from tests.io.test_video import *\n"
            "for limit in map(int, sys.argv[2:]):\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
            "    video = VideoWriter(sys.argv[1], fps=10, size=(64, 48))\n"
            "    try:\n"
            "        for index in range(30): video.write(numbered(index % 16))\n"
            "        video.close()\n"
            "    except OutputError:\n"
            "        with VideoReader(sys.argv[1]) as written:\n"
            "            print(limit, len(list(written)) == video.frames_written > 0, sep=':')\n"
        )
        limits = [str(size - missing) for missing in (1, 100, 600, 1000, 1300)]
        root = Path(__file__).resolve().parents[2]
        result = run_python("-c", program, tmp_path / "a.mp4", *limits, cwd=root)
        assert result.stdout.split() == [f"{limit}:True" for limit in limits], result.stderr


def test_messages_of_ffmpeg_stay_out_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    av.logging.set_level(av.logging.ERROR)  # as torchvision does, in versions that have videos
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(InputError):
        VideoReader(tmp_path / "a.png")
    assert caplog.messages == []


def test_a_list_that_is_called_a_clip_opens_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "private.mp4").write_bytes((PACKAGED / "demo.mp4").read_bytes())
    with VideoReader(tmp_path / "private.mp4") as video:
        assert video.num_frames
    listed = tmp_path / "clip.mp4"
    listed.write_text("ffconcat version 1.0\nfile private.mp4\n")
    with pytest.raises(InputError, match="cannot be read as a video"):
        VideoReader(listed)
