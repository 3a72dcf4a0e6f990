"""Frames in."""

from __future__ import annotations

import gc
import queue
import struct
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from posekit.errors import InputError
from posekit.io import check_inputs, read_frames, read_image, to_bgr
from tests.io.test_video import number, numbered, record, record_as


def gradient(height: int = 24, width: int = 32) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 4, y * 6, x + y], axis=-1).astype(np.uint8)


def save(path: Path, image: np.ndarray) -> Path:
    done, data = cv2.imencode(path.suffix, image)
    assert done
    path.write_bytes(data.tobytes())
    return path


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG with an EXIF segment that says how it is to be turned."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\x00*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    payload = b"Exif\x00\x00" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


@pytest.mark.parametrize(
    "name", ["clip(1).png", "a,b.png", "x=1.png", "Grüße 写真.png", "~a [b] {c}.png", "$x.png"]
)
def test_any_file_name(tmp_path: Path, name: str) -> None:
    image = gradient()
    np.testing.assert_array_equal(read_image(save(tmp_path / name, image)), image)


@pytest.mark.parametrize(
    "image",
    [
        gradient()[..., 0],
        (gradient().astype(np.uint16) << 8),
        np.dstack([gradient(), np.full((24, 32), 9, np.uint8)]),
        gradient(1, 1),
    ],
    ids=["grey", "16 bit", "RGBA", "1x1"],
)
def test_every_kind_becomes_bgr_uint8(tmp_path: Path, image: np.ndarray) -> None:
    from_file = read_image(save(tmp_path / "a.png", image))
    assert from_file.dtype == np.uint8 and from_file.shape == (*image.shape[:2], 3)
    np.testing.assert_array_equal(to_bgr(image), from_file)


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = np.zeros((16, 32, 3), np.uint8)
    image[:, 16:] = 255
    plain = save(tmp_path / "a.jpg", image)
    turned = tmp_path / "b.jpg"
    turned.write_bytes(with_orientation(plain.read_bytes(), 6))  # to be turned clockwise
    upright = read_image(turned)
    assert upright.shape == (32, 16, 3)
    assert upright[:14].max() < 20 and upright[18:].min() > 235


def test_a_huge_image_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "huge.png", np.zeros((9_000, 12_000), np.uint8))
    assert read_image(path).shape == (9_000, 12_000, 3)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_image(tmp_path / "none.jpg")


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(InputError, match="is empty"):
        read_image(tmp_path / "a.jpg")


def test_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("<html>404</html>")
    with pytest.raises(InputError, match="not an image"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_truncated_file(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = save(tmp_path / f"a{suffix}", noise)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(InputError, match="truncated"):
        read_image(path)


def test_a_thumbnails_end_is_not_the_images(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", gradient())
    data = path.read_bytes()
    thumbnail = b"\xff\xe1" + struct.pack(">H", 6) + b"\xff\xd8\xff\xd9"
    path.write_bytes(data[:2] + thumbnail + data[2:-2])
    with pytest.raises(InputError, match="truncated"):
        read_image(path)


def test_bytes_behind_a_png_do_no_harm(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", gradient())
    path.write_bytes(path.read_bytes() + bytes(5000))
    assert read_image(path).shape == gradient().shape


def test_bytes_behind_a_jpeg_do_no_harm(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", gradient())
    path.write_bytes(path.read_bytes() + b"a maker's trailer")
    assert read_image(path).shape == (24, 32, 3)


def names(inputs: object, **options: object) -> list[str]:
    with read_frames(inputs, **options) as frames:
        return [frame.name for frame in frames]


def reader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "posekit-reader"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    if reader_threads():  # of a reader that is garbage, as in an error's traceback
        gc.collect()
    assert reader_threads() == []


def test_a_folders_images_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.PNG", "._a.png"):
        save(tmp_path / name, gradient())
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "sub").mkdir()
    save(tmp_path / "sub" / "d.png", gradient())
    record(tmp_path / "clip.mp4", 2)
    # An image without a suffix is still one.
    (tmp_path / "plain").write_bytes((tmp_path / "a.png").read_bytes())
    assert names(tmp_path) == ["a.png", "b.png", "c.PNG", "plain"]


def test_a_folder_with_its_subfolders_and_videos(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    save(tmp_path / "sub" / "d.png", gradient())
    save(tmp_path / "z.png", gradient())
    record(tmp_path / "clip.mp4", 2)
    assert names(tmp_path, recursive=True) == ["clip.mp4", "clip.mp4", "d.png", "z.png"]


@pytest.mark.parametrize(
    ("include", "found"),
    [
        ("*.mp4", ["clip.MP4"]),
        (["*.png", "*.mp4"], ["clip.MP4", "z.png"]),
        ("z.*", ["z.png"]),
    ],
)
def test_a_folders_files_of_a_name(tmp_path: Path, include: object, found: list[str]) -> None:
    save(tmp_path / "z.png", gradient())
    (tmp_path / "z.txt").write_text("notes")
    record(tmp_path / "clip.MP4", 1)
    assert names(tmp_path, include=include) == found


@pytest.mark.parametrize(
    ("pattern", "found"), [("*.png", ["a.png", "b.png"]), ("**/*.png", ["a.png", "b.png", "d.png"])]
)
def test_patterns(tmp_path: Path, pattern: str, found: list[str]) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.png", "sub/d.png"):
        save(tmp_path / name, gradient())
    (tmp_path / "notes.txt").write_text("not an image")
    assert names(tmp_path / pattern) == found


def test_a_file_comes_before_a_pattern(tmp_path: Path) -> None:
    save(tmp_path / "a[1].png", gradient())
    save(tmp_path / "a1.png", gradient())
    assert names(tmp_path / "a[1].png") == ["a[1].png"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("", {}, "no images in the folder"),
        ("", {"include": "*.mp4"}, r"no image or video in the folder .* matches \*\.mp4"),
        ("none.jpg", {}, "no such file"),
        ("*.jpg", {}, "no image or video matches the pattern"),
    ],
)
def test_nothing_there(tmp_path: Path, name: str, options: dict[str, Any], message: str) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    for use in (lambda: names(tmp_path / name, **options), lambda: check(tmp_path / name, options)):
        with pytest.raises(InputError, match=message):
            use()


def check(inputs: object, options: dict[str, Any]) -> int | None:
    return check_inputs(inputs, **options)


def test_a_folder_with_nothing_but_videos_says_so(tmp_path: Path) -> None:
    record(tmp_path / "clip.mp4", 1)
    with pytest.raises(InputError, match=r"no images .* but videos"):
        names(tmp_path)


def test_lists_and_arrays_mix(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", gradient())
    stack = np.stack([gradient(), gradient()])
    inputs = [path, gradient(), (str(path), iter([stack]))]
    expected = ["a.png", "00000001.jpg", "a.png", "00000003.jpg", "00000004.jpg"]
    assert names(inputs) == expected
    with read_frames(inputs[:3:2]) as frames:
        assert [frame.index for frame in frames] == [0, 1]  # the iterator is used up


@pytest.mark.parametrize("inputs", [3, None, {"a": 1}, torch.Tensor, object()])
def test_other_types_are_refused(inputs: object) -> None:
    for inner in (inputs, [inputs]):
        with pytest.raises(InputError, match="inputs must be"):
            names(inner)
        with pytest.raises(InputError, match="inputs must be"):
            check_inputs(inner)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("webcam:x", "webcam:NUMBER"),
        ("s4://bucket/a.jpg", "must be a path or a URL"),
        ("", "empty path"),
        ("a\0b.jpg", "no such file|cannot read"),
        ("http://user:secret@[bad/a.jpg", r"http://\*\*\*@\[bad/a.jpg is not a URL"),
        ("rtsp://[bad/x", "is not a URL"),
    ],
)
def test_names_that_mean_nothing(inputs: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_inputs(inputs)
    with pytest.raises(InputError, match=message):
        names(inputs)


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(InputError, match="camera 97 cannot be opened"):
        names("webcam:97")


def test_checking_counts_what_is_known(tmp_path: Path) -> None:
    image = save(tmp_path / "a.png", gradient())
    clip = record(tmp_path / "a.mp4", 1)
    assert check_inputs([image, gradient(), np.stack([gradient()] * 3)]) == 5
    assert check_inputs([image, clip]) is None
    for unknown in ("webcam", "webcam:1", "rtsp://host/a", "http://host/a.jpg"):
        assert check_inputs(unknown) is None
    with pytest.raises(InputError, match="inputs is empty"):
        check_inputs([])


def test_checking_consumes_no_iterator() -> None:
    images = iter([gradient()])
    assert check_inputs(images) is None
    assert names(images) == ["00000000.jpg"]


def test_a_video_is_a_clip_of_frames(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mp4", 3)
    with read_frames([gradient(), path, gradient()]) as reader:
        frames = list(reader)
    assert [frame.index for frame in frames] == list(range(5))
    assert [frame.frame_id for frame in frames] == [None, 0, 1, 2, None]
    assert [frame.name for frame in frames[1:]] == ["a.mp4", "a.mp4", "a.mp4", "00000004.jpg"]
    first, *others = [frame.clip for frame in frames[1:4]]
    assert first is not None and all(clip is first for clip in others)
    assert (first.name, first.source, first.size) == ("a.mp4", str(path), (64, 48))
    assert (first.fps, first.num_frames, first.live) == (10, 3, False)
    np.testing.assert_allclose([frame.time for frame in frames[1:4]], [0, 0.1, 0.2])
    assert [number(frame.image) for frame in frames[1:4]] == [0, 1, 2]


def test_content_decides_what_a_file_is(tmp_path: Path) -> None:
    image = save(tmp_path / "a.jpg", gradient())
    clip = record(tmp_path / "b.mp4", 2)
    image, clip = image.rename(tmp_path / "image.mp4"), clip.rename(tmp_path / "clip.jpg")
    with read_frames([image, clip]) as frames:
        assert [frame.clip is None for frame in frames] == [True, False, False]


def test_a_text_file_is_neither_image_nor_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("<html>404</html>")
    with pytest.raises(InputError, match="neither an image nor a video"):
        names(tmp_path / "a.mp4")


@pytest.mark.parametrize("count", [1, 3])
def test_an_animated_gif_is_a_video(tmp_path: Path, count: int) -> None:
    path = record_as(tmp_path / "a.gif", "gif", "gif", count, "rgb8")
    with read_frames(path) as frames:
        clips = [frame.clip for frame in frames]
    assert len(clips) == count
    assert all((clip is None) == (count == 1) for clip in clips)


@pytest.fixture
def heic(tmp_path: Path) -> Path:
    """What a photograph of an iPhone begins with."""
    path = tmp_path / "photo.heic"
    path.write_bytes(b"\0\0\0\x24ftypheic\0\0\0\0mif1MiHEmiafMiHBheic" + bytes(64))
    return path


def test_a_heic_photograph_says_what_to_do(heic: Path) -> None:
    message = r"photo\.heic is a HEIC image, which is not supported: convert it to JPEG"
    for inputs in (heic, heic.parent, heic.parent / "*.heic"):
        with pytest.raises(InputError, match=message):
            names(inputs)


def test_heic_photographs_of_a_folder_can_be_skipped(heic: Path) -> None:
    save(heic.parent / "z.png", gradient())
    failed: list[str] = []
    found = names(heic.parent, on_error=lambda name, error: failed.append(name))
    assert (found, failed) == (["z.png"], [str(heic)])


def test_an_avif_with_the_general_brand_is_an_image(tmp_path: Path) -> None:
    if not cv2.haveImageWriter(".avif"):
        pytest.skip("this OpenCV has no AVIF")
    path = save(tmp_path / "a.avif", gradient())
    data = bytearray(path.read_bytes())
    assert data[4:12] == b"ftypavif" and b"avif" in data[12:32]
    data[8:12] = b"mif1"
    path.write_bytes(data)
    with read_frames(path) as frames:
        assert [frame.clip for frame in frames] == [None]


class TestErrors:
    def inputs(self, tmp_path: Path) -> list[object]:
        (tmp_path / "bad.png").write_text("no image")
        clip = record_as(tmp_path / "cut.mp4", "mp4", "libx264", 30)
        clip.write_bytes(clip.read_bytes()[:-20_000])
        (tmp_path / "empty").mkdir()
        image = gradient()
        return [image, tmp_path / "bad.png", image, clip, tmp_path / "empty", 3, image]

    def test_raise_ends_the_reading_in_its_turn(self, tmp_path: Path) -> None:
        frames = read_frames(self.inputs(tmp_path))
        assert next(frames).index == 0
        with pytest.raises(InputError, match=r"bad\.png"):
            next(frames)
        assert list(frames) == []

    def test_a_function_is_told_in_order_where_the_frames_are_taken(self, tmp_path: Path) -> None:
        events: list[object] = []

        def on_error(name: str, error: InputError) -> None:
            assert threading.current_thread() is threading.main_thread()
            events.append(Path(name).name)

        with read_frames(self.inputs(tmp_path), on_error=on_error) as frames:
            for frame in frames:
                if frame.clip is None:
                    events.append(frame.index)
                last = frame
        seen = last.index - 5  # of the clip's frames
        assert 0 < seen < 30
        # What gave no frame used up an index; what gave some did not need one more.
        assert events == [0, "bad.png", 2, "cut.mp4", "empty", f"input {seen + 4}", seen + 5]

    def test_skip_logs(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with read_frames(self.inputs(tmp_path), on_error="skip") as frames:
            list(frames)
        assert len(caplog.messages) == 4
        assert all(message.startswith("skipped: ") for message in caplog.messages)

    def test_the_callers_own_errors_pass_through(self) -> None:
        def images() -> Iterator[np.ndarray]:
            yield gradient()
            raise RuntimeError("my own")

        frames = read_frames(images(), on_error="skip")
        next(frames)
        with pytest.raises(RuntimeError, match="my own"):
            next(frames)

    @pytest.mark.parametrize("options", [{"on_error": "ignore"}, {"prefetch": 0}, {"include": [1]}])
    def test_options_are_checked_at_once(self, options: dict[str, Any]) -> None:
        with pytest.raises(InputError):
            read_frames([], **options)


class TestThread:
    """That no thread is left is checked after every test."""

    def test_nothing_runs_before_the_first_frame_is_asked_for(self) -> None:
        frames = read_frames([gradient()])
        assert reader_threads() == []
        frames.close()
        assert list(frames) == []

    def test_reading_ahead_is_bounded(self) -> None:
        given: queue.Queue[int] = queue.Queue()

        def images() -> Iterator[np.ndarray]:
            for index in range(100):
                given.put(index)
                yield gradient()

        with read_frames(images(), prefetch=3) as frames:
            next(frames)
            # One was taken, three wait, and one has no place yet.
            assert [given.get(timeout=300) for _ in range(5)] == list(range(5))
        assert given.empty()

    def test_closing_wakes_a_thread_that_has_no_room(self) -> None:
        frames = read_frames([gradient()] * 100, prefetch=1)
        next(frames)
        frames.close()
        frames.close()
        assert reader_threads() == []

    def test_garbage_is_closed(self) -> None:
        frames = read_frames([gradient()] * 100, prefetch=1)
        next(frames)
        del frames
        gc.collect()
        assert reader_threads() == []

    def test_a_generator_that_is_left_closes_it(self) -> None:
        def results() -> Iterator[int]:
            with read_frames([gradient()] * 100, prefetch=1) as frames:
                for frame in frames:
                    yield frame.index

        running = results()
        next(running)
        running.close()
        assert reader_threads() == []

    def test_a_frame_that_was_given_is_not_kept(self) -> None:
        asked: queue.Queue[int] = queue.Queue()
        proceed = threading.Event()

        def images() -> Iterator[np.ndarray]:
            yield gradient()
            asked.put(1)  # so the thread is done with the first
            assert proceed.wait(300)
            yield gradient()

        with read_frames(images()) as frames:
            frame = next(frames)
            gone = weakref.ref(frame.image)
            asked.get(timeout=300)
            del frame
            gc.collect()
            assert gone() is None
            proceed.set()
            next(frames)

    def test_an_array_that_is_drawn_into_again(self) -> None:
        canvas = np.zeros((4, 4, 3), np.uint8)

        def images() -> Iterator[np.ndarray]:
            for value in range(5):
                canvas[:] = value
                yield canvas

        with read_frames(images()) as frames:
            assert [int(frame.image[0, 0, 0]) for frame in frames] == list(range(5))

    @pytest.mark.usefixtures("ctrl_c")
    def test_ctrl_c_while_waiting(self) -> None:
        program = (
            "import os, signal, threading\n"
            "from posekit.io import read_frames\n"
            "never = threading.Event()\n"
            "def images():\n"
            "    os.kill(os.getpid(), signal.SIGINT)\n"
            "    never.wait()\n"
            "    yield\n"
            "try:\n"
            "    with read_frames(images()) as frames: next(frames)\n"
            "except KeyboardInterrupt:\n"
            "    never.set(); print('stopped')\n"
        )
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, cwd=root, timeout=300
        )
        assert done.stdout == "stopped\n", done.stderr


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8)],
)
def test_other_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(InputError, match="an image must"):
        to_bgr(image)


class Handler(SimpleHTTPRequestHandler):
    """Files of a folder, a camera at /camera, a server that says nothing at /silent."""

    # What the camera shows next; None ends it.
    shots: queue.Queue[np.ndarray | None]
    asked: threading.Event
    release: threading.Event

    def do_GET(self) -> None:
        if self.path.startswith("/camera"):
            self.show()
        elif self.path.startswith("/silent"):
            self.asked.set()
            self.release.wait(300)
        elif self.path.startswith("/chunked/"):
            self.path = self.path.removeprefix("/chunked")
            data = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.end_headers()  # no length: the end is where the connection ends
            self.wfile.write(data)
        elif self.path.startswith("/endless/"):
            self.path = self.path.removeprefix("/endless")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(Path(self.translate_path(self.path)).read_bytes())
            self.release.wait(300)  # the rest has not been filmed yet
        elif self.path.startswith("/broken"):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=shot")
            self.end_headers()
            data = cv2.imencode(".jpg", gradient())[1].tobytes()
            head = f"--shot\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            part = head.encode() + data + b"\r\n"
            for _ in range(5):
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            self.wfile.write(b"ffff\r\nno more")
            self.close_connection = True
        elif self.path.startswith("/short/"):
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"\xff\xd8\xff" + bytes(1000))
        else:
            super().do_GET()

    def show(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=shot")
        self.end_headers()
        while (image := self.shots.get()) is not None:
            data = cv2.imencode(".jpg", image)[1].tobytes()
            head = f"--shot\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def handler() -> type[Handler]:
    class Own(Handler):
        shots = queue.Queue()
        asked = threading.Event()
        release = threading.Event()

    return Own


@pytest.fixture
def server(tmp_path: Path, handler: type[Handler]) -> Iterator[str]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tmp_path)))
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    handler.release.set()
    handler.shots.put(None)
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.mark.parametrize("way", ["", "/chunked"])
def test_url_of_an_image(tmp_path: Path, server: str, way: str) -> None:
    save(tmp_path / "a b.png", gradient())
    url = f"{server}{way}/a%20b.png"
    with read_frames(url) as frames:
        (frame,) = frames
    assert (frame.name, frame.source, frame.clip) == ("a b.png", url, None)
    np.testing.assert_array_equal(frame.image, gradient())


@pytest.mark.parametrize("way", ["", "/chunked"])
def test_url_of_a_video(tmp_path: Path, server: str, way: str) -> None:
    record(tmp_path / "a.mp4", 5)
    with read_frames(f"{server}{way}/a.mp4") as reader:
        frames = list(reader)
    assert [number(frame.image) for frame in frames] == list(range(5))
    assert frames[0].clip is not None
    assert (frames[0].clip.name, frames[0].clip.live) == ("a.mp4", False)


def test_url_of_a_heic_photograph(heic: Path, server: str) -> None:
    with pytest.raises(InputError, match=r"http://.*photo\.heic is a HEIC image"):
        names(f"{server}/photo.heic")


def test_a_stream_that_breaks_off_within_a_chunk_ends_its_clip(tmp_path: Path, server: str) -> None:
    path = save(tmp_path / "a.png", gradient())
    with read_frames([f"{server}/broken", path], on_error="skip") as frames:
        found = [frame.name for frame in frames]
    assert found[-1] == "a.png"
    assert len(found) > 1


def test_a_url_as_a_browser_shows_it(tmp_path: Path, server: str) -> None:
    save(tmp_path / "é 1.png", gradient())
    assert names(f"{server}/é 1.png") == names(f"{server}/%C3%A9%201.png") == ["é 1.png"]


def test_what_was_downloaded_goes_with_its_clip(tmp_path: Path, server: str) -> None:
    recorded = record(tmp_path / "a.mp4", 5)
    with read_frames(f"{server}/a.mp4") as reader:
        frame = next(reader)
    assert frame.clip is not None and frame.clip.download is not None
    path = frame.clip.download.path  # still there: somebody may want to read it again
    assert path.read_bytes() == recorded.read_bytes()
    del frame, reader
    gc.collect()
    assert not path.exists()


def test_errors_that_are_kept_keep_no_download(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    clip = record_as(tmp_path / "cut.mp4", "mp4", "libx264", 30)
    clip.write_bytes(clip.read_bytes()[:-20_000])
    (tmp_path / "page.mp4").write_text("<html>please log in</html>" * 9)
    (tmp_path / "no.mp4").write_bytes(b"\0\0\0\x08ftyp" + bytes(1000))
    inputs = [f"{server}/{name}" for name in ("cut.mp4", "page.mp4", "no.mp4")]
    errors: list[InputError] = []
    with read_frames(inputs, on_error=lambda name, error: errors.append(error)) as reader:
        assert len(list(reader)) > 5
    del reader
    gc.collect()
    assert len(errors) == 3
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("container", "codec"), [("flv", "flv1"), ("matroska", "libx264"), ("mpeg", "mpeg2video")]
)
def test_a_stream_of_a_format_of_videos(
    tmp_path: Path, server: str, container: str, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no end that a download could reach."""
    monkeypatch.setattr("posekit.io.web.URL_TIMEOUT", 60.0)
    # FFmpeg looks at up to six seconds before it gives the first frame.
    record_as(tmp_path / "a", container, codec, 240)
    with read_frames(f"{server}/endless/a") as frames:
        assert [next(frames).frame_id for _ in range(2)] == [0, 1]


def test_a_video_that_says_how_long_it_is_needs_no_length_of_the_server(
    tmp_path: Path, server: str
) -> None:
    record_as(tmp_path / "a.mkv", "matroska", "libx264", 30)
    with read_frames(f"{server}/chunked/a.mkv") as reader:
        frames = list(reader)
    assert [frame.frame_id for frame in frames] == list(range(30))
    assert frames[0].clip is not None and not frames[0].clip.live


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.png", r"cannot get .*none\.png: (Not Found|File not found)"),
        ("page.png", r"neither an image nor a video: .*page\.png"),
        ("short/a.jpg", r"cannot get .*it ended after 1003 of 100000 bytes"),
    ],
)
def test_url_that_gives_nothing(tmp_path: Path, server: str, path: str, message: str) -> None:
    (tmp_path / "page.png").write_text("<html>please log in</html>" * 9)
    with pytest.raises(InputError, match=message):
        names(f"{server}/{path}")


def test_url_without_a_server() -> None:
    with pytest.raises(InputError, match=r"cannot get http://127\.0\.0\.1:1/a\.png"):
        names("http://127.0.0.1:1/a.png")


def test_a_playlist_is_read_by_its_parts(tmp_path: Path, server: str) -> None:
    record_as(tmp_path / "0.ts", "mpegts", "libx264", 10)
    (tmp_path / "a.m3u8").write_text(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.34,\n0.ts\n#EXT-X-ENDLIST\n"
    )
    with read_frames(f"{server}/a.m3u8") as reader:
        frames = list(reader)
    assert len(frames) == 10
    assert frames[0].clip is not None and not frames[0].clip.live


def test_closing_does_not_wait_for_a_silent_server(server: str, handler: type[Handler]) -> None:
    frames = read_frames(f"{server}/silent")
    errors: list[BaseException] = []
    waiting = threading.Thread(target=lambda: errors.extend(list(frames)))
    waiting.start()
    assert handler.asked.wait(300)
    frames.close()
    waiting.join(300)
    assert not waiting.is_alive()
    assert reader_threads() == []


class TestLive:
    """A camera that shows a picture when it is told to."""

    def test_who_is_slow_gets_the_newest(self, server: str, handler: type[Handler]) -> None:
        with read_frames(f"{server}/camera") as frames:
            handler.shots.put(numbered(0))
            first = next(frames)
            for index in range(1, 11):
                handler.shots.put(numbered(index))
            handler.shots.put(None)
            (thread,) = reader_threads()
            thread.join(300)  # it has seen all of them, up to the end
            second = next(frames)
            with pytest.raises(InputError, match="ended after 11 frames: the sender closed it"):
                next(frames)
        assert [number(first.image), number(second.image)] == [0, 10]
        assert [first.frame_id, second.frame_id] == [0, 1]
        assert [first.index, second.index] == [0, 1]
        assert first.time == 0 and second.time is not None and second.time > 0
        assert first.clip is second.clip and first.clip is not None
        assert first.clip.live and first.clip.num_frames is None

    def test_no_frame_waits_for_the_next(self, server: str, handler: type[Handler]) -> None:
        with read_frames(f"{server}/camera") as frames:
            for index in range(10):
                handler.shots.put(numbered(index))
                assert number(next(frames).image) == index

    def test_other_inputs_go_on_behind_its_end(self, server: str, handler: type[Handler]) -> None:
        errors: list[str] = []
        handler.shots.put(numbered(0))
        handler.shots.put(None)
        inputs = [f"{server}/camera", gradient()]
        with read_frames(inputs, on_error=lambda name, error: errors.append(name)) as reader:
            assert [frame.index for frame in reader] == [0, 1]
        assert errors == [inputs[0]]

    def test_closing_ends_the_connection(self, server: str, handler: type[Handler]) -> None:
        with read_frames(f"{server}/camera") as frames:
            handler.shots.put(numbered(0))
            next(frames)
        assert reader_threads() == []
