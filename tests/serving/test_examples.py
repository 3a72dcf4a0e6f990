"""The servers in examples/ run and answer, on the loopback."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.serving.conftest import SECONDS, jpeg

EXAMPLES = ROOT / "examples"


def post(port: int, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("POST", path, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of uvicorn with the example of FastAPI."""
    pytest.importorskip("fastapi")
    uvicorn = pytest.importorskip("uvicorn")
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listening:
        patch.syspath_prepend(str(EXAMPLES))
        server = uvicorn.Server(uvicorn.Config("serve_fastapi:app", log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(SECONDS)
        assert not thread.is_alive()


def test_fastapi_answers_many_at_once(port: int) -> None:
    images = [jpeg(300 + 10 * number) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda image: post(port, "/poses?max_people=2", image), images))
    assert [status for status, _ in answers] == [200] * 8
    assert [found["size"][0] for _, found in answers] == [300 + 10 * number for number in range(8)]
    for _, found in answers:
        assert len(found["people"]) == 2
        assert len(found["people"][0]["keypoints"]) == len(found["names"]) == 17


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/poses", b"no image", 422, "of an unsupported format"),
        ("/poses", jpeg()[:900], 422, "truncated"),
        ("/poses?max_people=0", jpeg(), 422, "max_people must be a whole number of at least 1"),
        ("/poses?max_people=all", jpeg(), 422, "max_people"),
        ("/poses", bytes(10_000_001), 413, "10000000 bytes"),
    ],
)
def test_fastapi_says_what_is_wrong(
    port: int, path: str, body: bytes, status: int, said: str
) -> None:
    found, answer = post(port, path, body)
    assert found == status and said in json.dumps(answer)


RAY = """
import json, sys, urllib.error, urllib.request, ray
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from ray import serve
from serve_ray import app
from posekit.errors import InputError

image = Path(sys.argv[1]).read_bytes()
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
serve.start(http_options={"port": int(sys.argv[2]), "host": "127.0.0.1"})
handle = serve.run(app({"model": "demo"}))
calls = [handle.find.remote(image, max_people=1 + number % 2) for number in range(8)]
print([len(call.result(timeout_s=60)["predictions"][0]) for call in calls])
try:
    handle.find.remote(b"no image").result(timeout_s=60)
except InputError as error:
    print("of an unsupported format" in str(error))
try:
    urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[2]}/", b"no image", timeout=60)
except urllib.error.HTTPError as error:
    print(error.code)
with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[2]}/", image, timeout=60) as answer:
    print(len(json.load(answer)["predictions"][0]))
"""


@pytest.mark.slow
def test_ray_serve_answers(tmp_path: Any) -> None:
    pytest.importorskip("ray.serve")
    (tmp_path / "a.jpg").write_bytes(jpeg())
    path = os.pathsep.join([str(EXAMPLES), str(ROOT), os.environ.get("PYTHONPATH", "")])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ended = subprocess.run(
        [sys.executable, "-c", RAY, str(tmp_path / "a.jpg"), str(port)],
        env={**os.environ, "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=240,
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    # Ray prints too.
    found = [line for line in ended.stdout.splitlines() if "ray" not in line]
    assert found[:4] == ["[1, 2, 1, 2, 1, 2, 1, 2]", "True", "422", "4"]
