"""Parts of remote files, each read by a request of its own, so that no copy of a file is needed.

A request that breaks off goes on from the byte that it came to. What is read belongs to the file
that was looked up: one that changes meanwhile is refused.
"""

from __future__ import annotations

import errno
import io
import logging
import random
import re
import time
from typing import Any, NamedTuple

from posekit.errors import InputError
from posekit.io.listing import WEB_SCHEMES, hide_password, reason_of, scheme_of
from posekit.io.remote import describe, store_errors, store_of

__all__ = ["PartsFile", "RemoteAbout", "copy_parts", "look_up", "read_part"]

log = logging.getLogger(__name__)

BLOCK = 4 << 20  # bytes of a request, where much is read
WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each further try
LONGEST_WAIT = 60.0  # that a server may ask for
TIMEOUT = 60.0  # seconds in which nothing comes
GONE = (404, 410)
BUSY = (408, 425, 429, 500, 502, 503, 504)
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class RemoteAbout(NamedTuple):
    """What is known of a remote file.

    Attributes:
        url: of the file.
        size: in bytes; None where the server does not say.
        changed: a tag of its content or a time; None where there is neither.
        in_parts: whether the server sends parts of it.
    """

    url: str
    size: int | None
    changed: str | float | None
    in_parts: bool


class _Busy(Exception):
    """An answer after which another try is worth it, with the seconds that the server asks for."""

    def __init__(self, what: str, wait: float = 0.0) -> None:
        super().__init__(what)
        self.wait = wait


class _Changed(OSError):
    """The file is another one than the one that was looked up."""


def look_up(url: str) -> RemoteAbout:
    """The size of a file, its tag, and whether the server sends parts of it.

    Raises:
        InputError: there is none, the server cannot be asked, or the package for it is missing.
    """
    if scheme_of(url) not in WEB_SCHEMES:
        about = describe(url)
        return RemoteAbout(url, about.size, about.changed, about.size is not None)
    with store_errors(url):
        answer = _tried(url, lambda: _ask(url, 0, 1, bytearray()))
        return RemoteAbout(url, answer.size, answer.changed, answer.in_parts)


def read_part(about: RemoteAbout, start: int, size: int) -> bytes:
    """Bytes of a file, fewer where it ends before; tried again where the connection breaks.

    Raises:
        OSError: they cannot be read, or the file has changed since it was looked up.
        InputError: the package for the store is missing.
    """
    end = start + size if about.size is None else min(start + size, about.size)
    if end <= start:
        return b""
    shown = hide_password(about.url)
    received = bytearray()

    def more() -> None:
        _receive(about, start + len(received), end, received)
        if len(received) < end - start:
            raise _Busy(f"received {len(received)} of {end - start} bytes")

    try:
        _tried(about.url, more, received)
    except _Changed:
        raise OSError(errno.ESTALE, f"{shown} has changed since it was listed") from None
    except (FileNotFoundError, PermissionError) as error:
        raise OSError(error.errno or errno.EIO, f"{shown}: {reason_of(error)}") from None
    except ImportError as error:
        raise InputError(f"cannot open {shown}: {error}") from None
    except Exception as error:  # each store has kinds of its own
        tries = len(WAITS) + 1
        raise OSError(errno.EIO, f"{shown}: {reason_of(error)}, {tries} times in a row") from None
    return bytes(received[: end - start])


def copy_parts(about: RemoteAbout, file: Any) -> None:
    """Appends to a local file what it lacks of a remote one.

    Raises:
        OSError: as `read_part`, or the local file cannot be written.
    """
    assert about.size is not None
    while (there := file.tell()) < about.size:
        file.write(read_part(about, there, BLOCK))


class PartsFile(io.RawIOBase):
    """A remote file to read and seek in; it holds one block of `BLOCK` bytes.

    Far seeks skip what lies between, for the next block begins where it is read.
    """

    def __init__(self, about: RemoteAbout) -> None:
        assert about.size is not None
        self.about, self.size = about, about.size
        self.place = self.start = 0
        self.block = b""

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a byte, as of any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"expected a place in the file, found {base + offset}")
        self.place = base + offset
        return self.place

    def readinto(self, buffer: Any) -> int:
        """Reads what is left of the block, or of the next one.

        Raises:
            OSError: as `read_part`.
        """
        if not self.start <= self.place < self.start + len(self.block):
            self.start, self.block = self.place, read_part(self.about, self.place, BLOCK)
        found = self.block[self.place - self.start :][: len(buffer)]
        buffer[: len(found)] = found
        self.place += len(found)
        return len(found)


def _receive(about: RemoteAbout, start: int, end: int, received: bytearray) -> None:
    """Appends the bytes, as far as they come."""
    if scheme_of(about.url) in WEB_SCHEMES:
        answer = _ask(about.url, start, end, received)
        if (answer.size, answer.changed) != (about.size, about.changed):
            raise _Changed
        return
    from fsspec import AbstractFileSystem

    system, inside = store_of(about.url)
    # Where a store has no request for a part, a file that reads ahead would read far more.
    # Those that read asynchronously have theirs on each object, not on its class.
    plain = getattr(system.cat_file, "__func__", None) is AbstractFileSystem.cat_file
    received += system.cat_file(
        inside, start=start, end=end, **({"cache_type": "none"} if plain else {})
    )


def _tried(url: str, act: Any, received: bytearray | None = None) -> Any:
    """What `act` gives, in the first try that succeeds; one that came further counts anew.

    Raises:
        Exception: that of the last try, or one that no other try would help.
    """
    failed = had = 0
    while True:
        try:
            return act()
        except (FileNotFoundError, PermissionError, ImportError, _Changed, InputError):
            raise
        except Exception as error:  # each store has kinds of its own
            if received is not None and len(received) > had:
                had, failed = len(received), 0
            if failed == len(WAITS):
                raise
            wait = max(WAITS[failed], min(getattr(error, "wait", 0.0), LONGEST_WAIT))
            failed += 1
            level = logging.INFO if failed < 3 else logging.WARNING
            log.log(level, "%s: %s; trying again", hide_password(url), reason_of(error))
            time.sleep(wait * random.uniform(1.0, 1.5))  # not all processes at once


class _Answer(NamedTuple):
    size: int | None
    changed: str | None
    in_parts: bool


def _ask(url: str, start: int, end: int, received: bytearray) -> _Answer:
    """A request for a part; what comes of it is appended, also where it breaks off."""
    from fsspec.asyn import sync

    system, inside = store_of(url)
    answer = sync(system.loop, _asked, system, inside, start, end, received)
    assert isinstance(answer, _Answer)
    return answer


async def _asked(system: Any, url: str, start: int, end: int, received: bytearray) -> _Answer:
    from aiohttp import ClientTimeout

    session = await system.set_session()
    given = dict(system.kwargs)
    headers = {**given.pop("headers", {}), "Accept-Encoding": "identity"}
    headers["Range"] = f"bytes={start}-{end - 1}"
    given.setdefault("timeout", ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=TIMEOUT))
    async with session.get(system.encode_url(url), headers=headers, **given) as response:
        answer = _answer(response, start)
        if answer.in_parts:
            async for piece in response.content.iter_any():
                received += piece
        elif start > 0 or end > 1:
            raise _Busy("the server sent the whole file where a part was asked for")
        return answer


def _answer(response: Any, start: int) -> _Answer:
    """What an answer's headers say.

    Raises:
        _Busy: it is none, but may be in another try.
        OSError: there is no such file, or it may not be read.
    """
    status, headers = response.status, response.headers
    said = f"{status} {response.reason}"
    if status in GONE:
        raise FileNotFoundError(errno.ENOENT, said)
    if status in BUSY:
        asked = headers.get("Retry-After", "")
        raise _Busy(said, float(asked) if asked.isdigit() else 0.0)
    if status == 416 and start > 0:
        raise _Changed
    if status not in (200, 206, 416):
        raise PermissionError(errno.EACCES, said)
    changed = headers.get("ETag") or headers.get("Last-Modified")
    found = _RANGE.fullmatch(headers.get("Content-Range", ""))
    if status == 206 and found is not None and int(found[1]) == start:
        return _Answer(None if found[2] == "*" else int(found[2]), changed, found[2] != "*")
    if status == 416:  # an empty file has no first byte
        return _Answer(0, changed, True)
    return _Answer(response.content_length if status == 200 else None, changed, False)
