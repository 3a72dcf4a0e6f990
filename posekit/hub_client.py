"""What posekit asks of the Hugging Face Hub's client, and its errors in a line each.

Nothing of `huggingface_hub` is imported before it is needed: it takes a second. Its exceptions, and
those of the HTTP library beneath, differ from version to version.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import ssl
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from posekit.errors import DownloadError, InputError

__all__ = [
    "LONGEST_WAIT",
    "bounded_waits",
    "certificate_error",
    "download_from_hub",
    "endpoint",
    "fetch_file",
    "is_offline",
    "one_line",
    "parse_hub",
    "plain",
    "quiet_hub",
    "reason_of",
    "retry_after",
    "status_of",
]

log = logging.getLogger(__name__)

LONGEST_WAIT = 60.0  # seconds, of what a server may ask for

_TALKATIVE = ("file_download", "utils._http")  # modules of huggingface_hub
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


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


def endpoint() -> str | None:
    """Another server than the public one, as HF_ENDPOINT names it now."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def download_from_hub(location: str) -> Path:
    """A file in the cache of `huggingface_hub`, which shows a bar and retries by itself.

    Raises:
        DownloadError: the Hub does not give the file; the message is the reason alone.
    """
    return fetch_file(*parse_hub(location))


def fetch_file(
    repository: str, file: str, revision: str | None, *, cache: Path | None = None
) -> Path:
    """As `download_from_hub`.

    Args:
        cache: another folder than the client's own.
    """
    from huggingface_hub import hf_hub_download

    offline = is_offline()
    try:
        with bounded_waits():
            return Path(
                hf_hub_download(
                    repository,
                    file,
                    revision=revision,
                    endpoint=endpoint(),
                    local_files_only=offline,
                    cache_dir=cache,
                )
            )
    except Exception as error:
        if offline:
            raise DownloadError("not in the Hub's cache, and HF_HUB_OFFLINE is set") from None
        raise DownloadError(reason_of(error)) from None


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Passes each kind of line that `huggingface_hub` logs to posekit's log, once.

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
def bounded_waits() -> Iterator[None]:
    """Limits how long a server can make the client wait, to `LONGEST_WAIT`."""
    from huggingface_hub import get_session

    session: Any = get_session()  # of requests or httpx, whose hooks are alike
    hooks = session.event_hooks if hasattr(session, "event_hooks") else session.hooks
    hooks["response"].append(_shorten_wait)
    # Versions 1.0 to 1.26 close it when a connection is refused, and then try again with it: all
    # that they say is that it is closed.
    session.close = lambda: None
    try:
        yield
    finally:
        hooks["response"].remove(_shorten_wait)
        vars(session).pop("close", None)  # unless another thread was faster


def _shorten_wait(response: Any, *args: object, **kwargs: object) -> None:
    if retry_after(response.headers.get("Retry-After")) > LONGEST_WAIT:
        response.headers["Retry-After"] = f"{LONGEST_WAIT:.0f}"


# --- reasons


def reason_of(error: BaseException) -> str:
    """Why the Hub did not give or take something, in a line."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return f"cannot write to the Hub's own cache: {error}; free some space or set HF_HOME"
    # This kind says only that there was no connection; its cause says why.
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
    return plain(cause or error)


def status_of(error: BaseException) -> int | None:
    """The status that the Hub answered with; None where it did not answer."""
    status: int | None = getattr(getattr(error, "response", None), "status_code", None)
    return status


def certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The fault of a server's certificate that is behind an error, if any."""
    for _ in range(10):
        if error is None or isinstance(error, ssl.SSLCertVerificationError):
            return error
        reason = getattr(error, "reason", None)
        inner = reason if isinstance(reason, BaseException) else None
        error = inner or error.__cause__ or error.__context__
    return None


def plain(error: BaseException | str) -> str:
    """An error in a line, without the codes of the library that raised it."""
    if isinstance(error, str):
        return error
    if (fault := certificate_error(error)) is not None:
        return (
            f"the server's TLS certificate is not accepted: {fault.verify_message}; is the clock "
            "right, or does a proxy need SSL_CERT_FILE?"
        )
    return one_line(error)


def one_line(error: BaseException) -> str:
    """An error's message without its line breaks, shortened."""
    return textwrap.shorten(str(error) or type(error).__name__, 400, placeholder=" ...")


def retry_after(header: str | None) -> float:
    """Seconds that a server asks to wait, given as a number or as a date; 0 for none."""
    text = (header or "").strip()
    if re.fullmatch(r"\d+", text, re.ASCII):
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0
