"""A server of a folder on loopback, with the faults that servers have."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class ShardServer:
    """What a server does, which may change while it runs.

    Attributes:
        folder: what it serves.
        ranges: sends the parts that are asked for; False sends whole files.
        most: breaks each connection off after so many bytes of a body; None for none.
        busy: answers so many requests with 503.
        tags: sends ETag and Last-Modified.
        address: its URL.
        asked: method, path, status and range of each request.
        sent: bytes of bodies.
    """

    folder: Path
    ranges: bool = True
    most: int | None = None
    busy: int = 0
    tags: bool = True
    address: str = ""
    asked: list[tuple[str, str, int, str]] = field(default_factory=list)
    sent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answers a GET or a HEAD."""
        with self.lock:
            busy = self.busy > 0
            self.busy -= busy
        path = self.folder / request.path.lstrip("/")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range") or "")
        if busy or not path.is_file():
            self._head(request, 503 if busy else 404, {"Content-Length": "0"})
            return
        size, status, headers = path.stat().st_size, 200, {}
        first, last = 0, size - 1
        if self.ranges and wanted is not None:
            first, last = int(wanted[1]), min(int(wanted[2]), size - 1)
            status, headers = 206, {"Content-Range": f"bytes {first}-{last}/{size}"}
        if self.tags:
            headers["ETag"] = f'"{path.stat().st_mtime_ns}"'
        headers["Content-Length"] = str(last - first + 1)
        self._head(request, status, headers)
        if request.command == "HEAD":
            return
        with path.open("rb") as file:
            file.seek(first)
            body = file.read(last - first + 1)
        whole = self.most is None or len(body) <= self.most
        body = body if whole else body[: self.most]
        try:
            request.wfile.write(body)
        except OSError:  # the other side went away
            whole = False
        with self.lock:
            self.sent += len(body)
        if not whole:
            request.close_connection = True

    def _head(self, request: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
        with self.lock:
            wanted = request.headers.get("Range") or ""
            self.asked.append((request.command, request.path, status, wanted))
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()


@contextmanager
def serving(folder: Path) -> Iterator[ShardServer]:
    """The server of a folder, in a thread."""
    server = ShardServer(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.answer(self)

        def do_HEAD(self) -> None:
            server.answer(self)

        def log_message(self, form: str, *values: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        server.address = f"http://127.0.0.1:{found.server_port}"
        yield server
        found.shutdown()
        thread.join()
