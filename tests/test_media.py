"""Images in."""

from __future__ import annotations

import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from posekit.errors import InputError
from posekit.media import iter_sources, read_image, to_bgr


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


def test_bytes_behind_a_jpeg_do_no_harm(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", gradient())
    path.write_bytes(path.read_bytes() + b"a maker's trailer")
    assert read_image(path).shape == (24, 32, 3)


def test_a_folders_images_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.PNG"):
        save(tmp_path / name, gradient())
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "sub").mkdir()
    # An image without a suffix is still one.
    (tmp_path / "plain").write_bytes((tmp_path / "a.png").read_bytes())
    assert [source.name for source in iter_sources(tmp_path)] == [
        "a.png",
        "b.png",
        "c.PNG",
        "plain",
    ]


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no images in the folder"):
        list(iter_sources(tmp_path))


def test_lists_and_arrays_mix(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", gradient())
    stack = np.stack([gradient(), gradient()])
    names = [source.name for source in iter_sources([path, gradient(), stack])]
    assert names == ["a.png", "00000001.jpg", "00000002.jpg", "00000003.jpg"]


@pytest.mark.parametrize("inputs", [3, None, {"a": 1}, b"a.jpg"])
def test_other_types_are_refused(inputs: object) -> None:
    with pytest.raises(InputError, match="inputs must be"):
        list(iter_sources(inputs))


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8)],
)
def test_other_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(InputError, match="an image must"):
        to_bgr(image)


@pytest.fixture
def server(tmp_path: Path) -> str:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    httpd.server_close()


def test_url(tmp_path: Path, server: str) -> None:
    save(tmp_path / "a b.png", gradient())
    (source,) = iter_sources(f"{server}/a%20b.png?size=large")
    assert source.name == "a b.png"
    np.testing.assert_array_equal(source.load(), gradient())


def test_url_that_is_not_there(server: str) -> None:
    (source,) = iter_sources(f"{server}/none.png")
    with pytest.raises(InputError, match=r"cannot get .*none.png"):
        source.load()
