"""A file from a URL, or from the Hub, to a local file.

What breaks off goes on where it broke, now and at the next call.
"""

from __future__ import annotations

import errno
import http.client
import logging
import os
import re
import ssl
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import sleep
from typing import Any

from tqdm import tqdm

from posekit.errors import DownloadError, InputError

__all__ = [
    "download",
    "download_from_hub",
    "is_offline",
    "is_resumable",
    "one_line",
    "parse_hub",
    "quiet_hub",
]

log = logging.getLogger(__name__)

TIMEOUT = 30.0  # seconds without a byte
# Seconds before a broken download goes on. After as many and one tries in which nothing arrived it
# is given up.
PAUSES = (0.5, 2.0, 5.0)
LONGEST_WAIT = 60.0  # seconds, of what a server may ask for
BLOCK = 1 << 20

_DROPPED = (ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException)
_TALKATIVE = ("file_download", "utils._http")  # modules of huggingface_hub
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


def download(url: str, path: Path) -> None:
    """Fetches a URL to a file; what an earlier try left in `*.incomplete` is not fetched again.

    Raises:
        DownloadError: the server does not give the file; the message is the reason alone.
        OSError: the file cannot be written.
    """
    part = path.with_name(f"{path.name}.incomplete")
    furthest, tries = _size(part), 0
    begun = furthest
    while True:
        wait = 0.0
        try:
            _download_rest(url, part)
            break
        except urllib.error.HTTPError as error:
            reason = _status(error)
            if error.code not in (408, 425, 429) and error.code < 500:
                raise DownloadError(reason) from None
            wait = _retry_after(error.headers.get("Retry-After"))
        except urllib.error.URLError as error:  # no connection at all
            reason = _plain(error.reason)
            if furthest == begun or _certificate_error(error) is not None:
                raise DownloadError(reason) from None
        except (http.client.InvalidURL, ValueError) as error:
            raise DownloadError(f"not a URL that can be asked: {error}") from None
        except _DROPPED as error:
            reason = _plain(error)
        if _size(part) > furthest:
            furthest, tries = _size(part), 0
        if tries == len(PAUSES):
            raise DownloadError(f"{reason}, {tries + 1} times")
        _pause(url, reason, PAUSES[tries], wait)
        tries += 1
    part.replace(path)


def is_resumable(folder: Path) -> bool:
    """Whether a folder has a part of a file that the next call of `download` goes on with."""
    return any(_size(part) and _version(part) for part in folder.rglob("*.incomplete"))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _pause(url: str, reason: str, usual: float, asked: float) -> None:
    wait = min(max(usual, asked), LONGEST_WAIT)
    if asked > usual:  # so long that someone who waits wants to know why
        limit = f" (it asks for {asked:.0f})" if asked > wait else ""
        log.warning("%s: %s; asking again in %.0f seconds%s", url, reason, wait, limit)
    else:
        log.info("%s: %s; going on", url, reason)
    sleep(wait)


def _retry_after(header: str | None) -> float:
    """Seconds that a server asks to wait, given as a number or as a date; 0 for none."""
    text = (header or "").strip()
    if re.fullmatch(r"\d+", text, re.ASCII):
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _status(error: urllib.error.HTTPError) -> str:
    if 300 <= error.code < 400:
        return f"HTTP {error.code}: it redirects in a circle, or not to a web address"
    return f"HTTP {error.code} {error.reason}"


def _download_rest(url: str, part: Path) -> None:
    """Asks for what `part` lacks and appends it."""
    version = _version(part)
    have = _size(part) if version else 0
    with _ask(url, part, have, version) as response:
        begin = response.headers.get("Content-Range", f"bytes {have}-")
        if response.status == 206 and not begin.startswith(f"bytes {have}-"):
            part.unlink()
            raise ConnectionError(f"the server sent {begin} in place of the bytes from {have}")
        block = _read(response)
        if response.status != 206:  # from the start: the first time, no ranges, or a new file
            if _is_web_page(block):  # what is there stays: this is no new version of the file
                raise DownloadError(
                    "the server sent a web page (HTML) in place of the file; does the address or "
                    "the network ask to log in?"
                )
            have = 0
            part.unlink(missing_ok=True)
            tag = response.headers.get("ETag", "")
            # Not a weak one, which cannot tell contents apart.
            strong = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
            _version_file(part).write_text(strong)
        length = response.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        with (
            part.open("ab" if have else "wb") as file,
            # No bar where stderr is not a terminal.
            tqdm(total=total, initial=have, unit="B", unit_scale=True, disable=None) as bar,
        ):
            bar.set_description(part.stem, refresh=False)
            while block:
                file.write(block)
                bar.update(len(block))
                block = _read(response)
    if total is not None and (found := part.stat().st_size) != total:
        raise ConnectionError(f"the connection broke after {found} of {total} bytes")


def _is_web_page(start: bytes) -> bool:
    text = start[:2000].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return text.startswith(b"<") and any(tag in text for tag in (b"<!doctype html", b"<html"))


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(BLOCK)
    except OSError as error:  # such as no route to the host, which is no matter of the disk
        raise ConnectionError(str(error) or type(error).__name__) from error


def _ask(url: str, part: Path, have: int, version: str) -> http.client.HTTPResponse:
    headers = {"User-Agent": "posekit", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    request = urllib.request.Request(url, headers=headers)
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        part.unlink()
        raise ConnectionError("the part that was there is not of the server's file") from None
    return response


def _version_file(part: Path) -> Path:
    return part.with_suffix(".version")


def _version(part: Path) -> str:
    """A partial file's ETag or date: it goes on while the server's is the same."""
    path = _version_file(part)
    return path.read_text() if path.exists() else ""


# --- the Hub


def parse_hub(location: str) -> tuple[str, str, str | None]:
    """`hf://org/repo/path/of/file@revision` -> repository, file, revision."""
    path, _, revision = location.removeprefix("hf://").partition("@")
    parts = path.split("/", 2)
    if len(parts) != 3 or not all(parts):
        raise InputError(f"expected hf://organisation/repository/file, found '{location}'")
    return "/".join(parts[:2]), parts[2], revision or None


def is_offline() -> bool:
    """Whether the user has switched off downloads of any kind."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def download_from_hub(location: str) -> Path:
    """A file in the cache of `huggingface_hub`, which shows a bar and resumes by itself.

    Raises:
        DownloadError: the Hub does not give the file; the message is the reason alone.
    """
    from huggingface_hub import hf_hub_download

    repository, file, revision = parse_hub(location)
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
    offline = is_offline()
    try:
        with _bounded_waits():
            return Path(
                hf_hub_download(
                    repository, file, revision=revision, endpoint=endpoint, local_files_only=offline
                )
            )
    except Exception as error:
        # Its exceptions, and those of the HTTP library beneath, differ from version to version.
        if offline:
            raise DownloadError("not in the Hub's cache, and HF_HUB_OFFLINE is set") from None
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise DownloadError(f"cannot write to the Hub's own cache: {error}") from None
        # This kind says only that there was no connection; its cause says why.
        cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
        raise DownloadError(_plain(cause or error)) from None


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Each kind of line that `huggingface_hub` logs comes once, by way of posekit's log.

    It has a line per attempt, which its own handler and the program's both print.
    """
    loggers = [logging.getLogger(f"huggingface_hub.{name}") for name in _TALKATIVE]
    once = _Once()
    for logger in loggers:
        logger.addFilter(once)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(once)


class _Once(logging.Filter):
    """Lets nothing through, and logs anew what differs in more than numbers and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        kind = re.sub(r"https?://\S+|\d+", "", text)
        if kind not in self.seen:
            self.seen.add(kind)
            log.log(record.levelno, "huggingface_hub: %s", " ".join(text.split()))
        return False


@contextmanager
def _bounded_waits() -> Iterator[None]:
    """The client waits for as long as a server asks: what it sees is at most `LONGEST_WAIT`."""
    from huggingface_hub import get_session

    session: Any = get_session()  # of requests or httpx, whose hooks are alike
    hooks = session.event_hooks if hasattr(session, "event_hooks") else session.hooks
    hooks["response"].append(_shorten_wait)
    try:
        yield
    finally:
        hooks["response"].remove(_shorten_wait)


def _shorten_wait(response: Any, *args: object, **kwargs: object) -> None:
    if _retry_after(response.headers.get("Retry-After")) > LONGEST_WAIT:
        response.headers["Retry-After"] = f"{LONGEST_WAIT:.0f}"


# --- reasons


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The fault of a server's certificate that is behind an error, if any."""
    for _ in range(10):
        if error is None or isinstance(error, ssl.SSLCertVerificationError):
            return error
        reason = getattr(error, "reason", None)
        inner = reason if isinstance(reason, BaseException) else None
        error = inner or error.__cause__ or error.__context__
    return None


def _plain(error: BaseException | str) -> str:
    """An error in a line, without the codes of the library that raised it."""
    if isinstance(error, str):
        return error
    if (fault := _certificate_error(error)) is not None:
        return (
            f"the server's TLS certificate is not accepted: {fault.verify_message}; is the clock "
            "right, or does a proxy need SSL_CERT_FILE?"
        )
    return one_line(error)


def one_line(error: BaseException) -> str:
    """An error's message without its line breaks, shortened."""
    return textwrap.shorten(str(error) or type(error).__name__, 400, placeholder=" ...")
