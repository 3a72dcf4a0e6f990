"""What the server gives to whom, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.app.conftest import MOST_MB, Visitor


def test_the_page_comes_with_a_cookie_and_asks_nobody_else(visitor: Visitor) -> None:
    status, headers, page = visitor.ask("GET", "/")
    assert status == 200
    assert "HttpOnly" in headers["set-cookie"] and "SameSite=Strict" in headers["set-cookie"]
    assert b"fonts.googleapis.com/css" not in page
    assert b'"analytics_enabled":false' in page.replace(b" ", b"")


def test_a_file_is_for_who_sent_it_alone(server: str, visitor: Visitor, picture: bytes) -> None:
    home = visitor.open()
    status, _, answer = visitor.ask("PUT", f"{home}/source?name=C%3A%5Cmine.jpg", picture)
    assert status == 200, answer
    assert json.loads(answer)["name"] == "mine.jpg"
    assert visitor.ask("GET", f"{home}/source")[2] == picture
    other = Visitor(server)
    other.open()
    for stranger in (other, Visitor(server)):
        assert stranger.ask("GET", f"{home}/source")[0] == 404
        assert stranger.ask("PUT", f"{home}/source?name=a.jpg", picture)[0] == 404


def test_the_session_of_another_is_nobodys(server: str, visitor: Visitor) -> None:
    visitor.open()
    other = Visitor(server)
    other.open()
    other.session = visitor.session
    assert b"data-visit" not in other.event("load")[2]


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=http://127.0.0.1:1/",
        "/file=/etc/passwd",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/proxy=https://huggingface.co/",
        "/posekit/..%2fpage.py",
        "/posekit/page.css",
        "/gradio_api/stream/a/b/1/playlist.m3u8",
    ],
)
def test_files_of_the_machine_have_no_address(visitor: Visitor, path: str) -> None:
    status, _, answer = visitor.ask("GET", path)
    assert status == 404
    assert b"root:" not in answer


def test_gradio_takes_no_file(visitor: Visitor, picture: bytes) -> None:
    visitor.open()
    assert visitor.form("/gradio_api/upload", picture)[0] == 404


@pytest.mark.parametrize("path", ["/gradio_api/run/predict", "/gradio_api/queue/join"])
def test_a_path_in_an_event_is_not_read(visitor: Visitor, path: str) -> None:
    visitor.open()
    file = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    body = {"fn_index": 0, "data": [file], "session_hash": visitor.session}
    status, _, answer = visitor.post(path, body)
    assert status == 422
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "text",
    [
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"",
    ],
)
def test_what_is_no_picture_is_refused(visitor: Visitor, text: bytes) -> None:
    home = visitor.open()
    status, _, answer = visitor.ask("PUT", f"{home}/source?name=list.mp4", text)
    assert status == 422
    assert json.loads(answer)["error"].startswith("list.mp4 is ")


def test_a_broken_clip_is_refused_without_a_path(visitor: Visitor, clip: Path) -> None:
    home = visitor.open()
    damaged = clip.read_bytes()[:600]
    status, _, answer = visitor.ask("PUT", f"{home}/source?name=broken.mp4", damaged)
    assert status == 422
    error = json.loads(answer)["error"]
    assert error.startswith("broken.mp4 cannot be read") and "/" not in error


def test_too_large_a_file_is_refused(visitor: Visitor) -> None:
    home = visitor.open()
    body = b"\xff\xd8\xff" + bytes(round(MOST_MB * 1e6))
    status, _, answer = visitor.ask("PUT", f"{home}/source?name=a.jpg", body)
    assert status == 413
    assert json.loads(answer) == {
        "error": "the largest file accepted is 0.5 MB: send a smaller one"
    }


def test_too_many_pixels_are_refused(visitor: Visitor) -> None:
    cv2, np = pytest.importorskip("cv2"), pytest.importorskip("numpy")
    png = cv2.imencode(".png", np.zeros((1500, 1500, 3), np.uint8))[1].tobytes()
    home = visitor.open()
    status, _, answer = visitor.ask("PUT", f"{home}/source?name=a.png", png)
    assert status == 422 and b"1500 x 1500 pixels" in answer
    assert visitor.form("/api/predict", png)[0] == 422


def test_another_site_cannot_ask(visitor: Visitor, picture: bytes) -> None:
    status, _, _ = visitor.ask("POST", "/api/predict", picture, origin="https://elsewhere.example")
    assert status == 403
