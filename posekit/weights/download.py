"""A file from a URL to a local file.

An interrupted download continues where it stopped, at once or at the next call.
"""

from __future__ import annotations

import http.client
import logging
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from time import sleep

from tqdm import tqdm

from posekit.errors import DownloadError
from posekit.hub_client import LONGEST_WAIT, certificate_error, plain, retry_after

__all__ = ["download", "is_resumable"]

log = logging.getLogger(__name__)

TIMEOUT = 30.0  # seconds without a byte
# Seconds before a broken download goes on. After as many and one tries in which nothing arrived it
# is given up.
PAUSES = (0.5, 2.0, 5.0)
BLOCK = 1 << 20

_DROPPED = (ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException)


def download(url: str, path: Path) -> None:
    """Fetches a URL to a file; what an earlier try left in `*.incomplete` is not fetched again.

    Raises:
        DownloadError: the server does not give the file; the message is only the reason.
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
            wait = retry_after(error.headers.get("Retry-After"))
        except urllib.error.URLError as error:  # no connection at all
            reason = plain(error.reason)
            if furthest == begun or certificate_error(error) is not None:
                raise DownloadError(reason) from None
        except (http.client.InvalidURL, ValueError) as error:
            raise DownloadError(f"not a valid URL: {error}") from None
        except _DROPPED as error:
            reason = plain(error)
        if _size(part) > furthest:
            furthest, tries = _size(part), 0
        if tries == len(PAUSES):
            raise DownloadError(f"{reason}, {tries + 1} times")
        _pause(url, reason, PAUSES[tries], wait)
        tries += 1
    part.replace(path)


def is_resumable(folder: Path) -> bool:
    """Whether a folder has a partial file that the next call of `download` would continue."""
    return any(_size(part) and _version(part) for part in folder.rglob("*.incomplete"))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _pause(url: str, reason: str, usual: float, asked: float) -> None:
    wait = min(max(usual, asked), LONGEST_WAIT)
    if asked > usual:  # so long that someone who waits wants to know why
        limit = f" (it asks for {asked:.0f})" if asked > wait else ""
        log.warning("%s: %s; trying again in %.0f seconds%s", url, reason, wait, limit)
    else:
        log.info("%s: %s; continuing", url, reason)
    sleep(wait)


def _status(error: urllib.error.HTTPError) -> str:
    if 300 <= error.code < 400:
        return f"HTTP {error.code}: the server redirects in a circle, or not to a web address"
    return f"HTTP {error.code} {error.reason}"


def _download_rest(url: str, part: Path) -> None:
    """Asks for what `part` lacks and appends it."""
    version = _version(part)
    have = _size(part) if version else 0
    with _ask(url, part, have, version) as response:
        begin = response.headers.get("Content-Range", f"bytes {have}-")
        if response.status == 206 and not begin.startswith(f"bytes {have}-"):
            part.unlink()
            raise ConnectionError(f"the server sent {begin} instead of the bytes from {have}")
        block = _read(response)
        if response.status != 206:  # from the start: the first time, no ranges, or a new file
            if _is_web_page(block):  # what is there stays: this is no new version of the file
                raise DownloadError(
                    "the server sent a web page (HTML) instead of the file; does the address "
                    "or the network require a login?"
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
    # `urlopen` would keep the proxies and, from Python 3.12 on, the certificates of its first call.
    opener = urllib.request.build_opener()
    try:
        response: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        part.unlink()
        raise ConnectionError("the partial file is not part of the server's file") from None
    return response


def _version_file(part: Path) -> Path:
    return part.with_suffix(".version")


def _version(part: Path) -> str:
    """A partial file's ETag or date: it is continued if the server's is the same."""
    path = _version_file(part)
    return path.read_text() if path.exists() else ""
