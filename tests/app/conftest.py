"""A server of the page on the loopback, and visitors who ask it as a browser does."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from posekit.files import PACKAGED
from posekit.io.video_writer import VideoWriter

SECONDS = 300
MOST_MB = 0.5


@dataclass
class Visitor:
    """A browser with the page open."""

    url: str
    cookie: str = ""
    session: str = field(default_factory=lambda: uuid.uuid4().hex[:11])

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Any, bytes]:
        """The status, the headers and the body of an answer."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=SECONDS)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            named["cookie"] = self.cookie
        try:
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def open(self) -> str:
        """Opens the page; the path that its files have."""
        _, headers, _ = self.ask("GET", "/")
        self.cookie = headers["set-cookie"].partition(";")[0]
        status, _, answer = self.event("load")
        assert status == 200
        return "/visit/" + answer.decode().split('data-visit=\\"visit/')[1].partition("\\")[0]

    def event(self, name: str, data: tuple[Any, ...] = ()) -> tuple[int, Any, bytes]:
        """What gradio answers to an event that does not wait."""
        config = json.loads(self.ask("GET", "/config")[2])
        number = next(one["id"] for one in config["dependencies"] if one["targets"][0][1] == name)
        body = {"fn_index": number, "data": list(data), "session_hash": self.session}
        return self.post("/gradio_api/run/predict", body)

    def post(self, path: str, body: Any) -> tuple[int, Any, bytes]:
        return self.ask("POST", path, json.dumps(body).encode(), content_type="application/json")

    def form(self, path: str, file: bytes, **fields: Any) -> tuple[int, dict[str, Any]]:
        """A picture and fields as multipart/form-data."""
        parts = [
            f'--end\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        head = b'--end\r\ncontent-disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
        body = b"".join([*parts, head, file, b"\r\n--end--\r\n"])
        kind = "multipart/form-data; boundary=end"
        status, _, answer = self.ask("POST", path, body, content_type=kind)
        return status, json.loads(answer)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a page that has the demo model alone."""
    for name in ("gradio", "plotly", "pyarrow"):
        pytest.importorskip(name)
    from posekit.app.options import AppOptions
    from posekit.app.run import started

    options = AppOptions(
        model="demo", models=["demo"], max_upload_mb=MOST_MB, max_pixels=2_000_000, max_seconds=200
    )
    with started(options) as url:
        yield url.rstrip("/")


@pytest.fixture
def visitor(server: str) -> Visitor:
    return Visitor(server)


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A JPEG with drawn people."""
    return (PACKAGED / "demo.jpg").read_bytes()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames with drawn people."""
    image = cv2.imread(str(PACKAGED / "demo.jpg"))
    image = cv2.resize(image, (480, 320), interpolation=cv2.INTER_AREA)
    path = tmp_path_factory.mktemp("clip") / "a clip (1).mp4"
    with VideoWriter(path, fps=10, size=(480, 320)) as video:
        for number in range(4):
            video.write(np.ascontiguousarray(np.roll(image, 3 * number, axis=1)))
    return path
