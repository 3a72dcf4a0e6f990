"""What a server sends over HTTP, on connections that can be ended at any time."""

from __future__ import annotations

import http.client
import socket
import urllib.parse
import urllib.request
from typing import IO, Protocol

from posekit.io.listing import SIGNATURE_LENGTH, reason_of

__all__ = ["Response", "Watcher", "connect", "download"]

URL_TIMEOUT = 30.0  # seconds without a byte
URL_LIMIT = 512 * 1024 * 1024  # bytes of an image
CHUNK = 1 << 18  # bytes


class Watcher(Protocol):
    """Something that may end a connection early."""

    def watch(self, connection: socket.socket) -> None:
        """Registers an open connection."""


class Response:
    """A server's answer; `start` has its first bytes, which `read` returns again."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.start = self._rest = response.read(SIGNATURE_LENGTH)

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, as soon as there are any, so that a live stream does not wait."""
        data, self._rest = self._rest[:size], self._rest[size:]
        try:
            return data or self._response.read1(size)
        except http.client.HTTPException as error:  # as in the middle of a chunk
            raise OSError(f"the connection broke: {reason_of(error)}") from None


def download(stream: Response, file: IO[bytes], size: int | None, limit: int | None) -> None:
    """Writes an answer to a file, and goes back to the file's beginning.

    Raises:
        OSError: it is more than `limit` bytes, or less than the `size` that was announced.
    """
    count = 0
    while data := stream.read(CHUNK):
        count += file.write(data)
        if limit is not None and count > limit:
            raise OSError(f"it is larger than {limit // 2**20} MB")
    if size is not None and count < size:
        raise OSError(f"it ended after {count} of {size} bytes; try again")
    file.seek(0)


def connect(url: str, watcher: Watcher) -> http.client.HTTPResponse:
    """A server's answer.

    Raises:
        OSError, ValueError, http.client.HTTPException: no answer, or an error as the answer.
    """
    # Spaces and letters of other alphabets, as browsers show them.
    quoted = urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")
    request = urllib.request.Request(quoted, headers={"User-Agent": "posekit"})
    response: http.client.HTTPResponse = _opener(watcher).open(request, timeout=URL_TIMEOUT)
    return response


def _opener(watcher: Watcher) -> urllib.request.OpenerDirector:
    """Opens URLs over connections that the watcher can end."""

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            watcher.watch(self.sock)

    class Secure(http.client.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            watcher.watch(self.sock)

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Plain, req)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Secure, req)

    return urllib.request.build_opener(PlainHandler, SecureHandler)
