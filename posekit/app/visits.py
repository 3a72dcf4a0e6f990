"""Visitors, each with a folder of their own, which is removed when they leave."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
import time
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from posekit.errors import BusyError

if TYPE_CHECKING:
    from posekit.app.jobs import Job
    from posekit.app.media import Source

__all__ = ["Visit", "Visits"]

MOST_VISITS = 200  # pages that are open at the same time
LOOKS = 10  # how often idle visitors are looked for while one may stay


@dataclass(eq=False)
class Visit:
    """A page that somebody has open.

    Attributes:
        number: what its addresses begin with; nobody can guess it.
        owner: the browser's cookie; the files are for this browser only.
        folder: all of its files.
        used: when it was last heard of, by `time.monotonic`.
        source: what was sent last.
        job: the current or the last computation.
        closed: whether the page was left.
    """

    number: str
    owner: str
    folder: Path
    used: float = field(default_factory=time.monotonic)
    source: Source | None = None
    job: Job | None = None
    closed: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def busy(self) -> bool:
        """Whether something is computed for it."""
        return self.job is not None and self.job.is_alive()

    def new_folder(self, name: str) -> Path:
        """An empty folder within the visit's folder."""
        folder = self.folder / f"{name}-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        return folder

    def keep(self, *folders: Path, among: str = "*") -> None:
        """Removes all its other folders whose names match a pattern."""
        for folder in self.folder.glob(among):
            if folder not in folders:
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Stops what is computed and removes the files; more calls do nothing."""
        with self.lock:
            self.closed = True
            if self.job is not None:
                self.job.stop()
        # A job that is alive removes them again at its end: it may write until then.
        self.remove()

    def remove(self) -> None:
        """Removes the files."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Visits:
    """All visitors of a server.

    Args:
        keep: seconds that a visitor may be idle.

    Attributes:
        root: the folder of all of their folders, for this user of the machine only; it is removed
            when these are closed, and at the end of the process.
    """

    def __init__(self, keep: float) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._open: dict[str, Visit] = {}  # by the page's own name of its session
        self.root = Path(tempfile.mkdtemp(prefix="posekit-app-"))
        self._finish = weakref.finalize(self, shutil.rmtree, self.root, ignore_errors=True)
        self._ended = threading.Event()
        watcher = threading.Thread(
            target=_watch, args=(weakref.ref(self), self._ended, keep / LOOKS), daemon=True,
            name="posekit-app-visits",
        )  # fmt: skip
        watcher.start()

    def open(self, session: str, owner: str) -> Visit:
        """The visit of a page, made at the first call.

        Raises:
            BusyError: too many pages are open.
        """
        with self._lock:
            visit = self._open.get(session)
            if visit is not None and secrets.compare_digest(visit.owner, owner):
                visit.used = time.monotonic()
                return visit
            if visit is not None or len(self._open) >= MOST_VISITS:
                raise BusyError("too many visitors have this page open: try again later")
            number = secrets.token_urlsafe(24)
            folder = self.root / secrets.token_hex(16)
            folder.mkdir(mode=0o700)
            visit = self._open[session] = Visit(number, owner, folder)
            return visit

    def of_session(self, session: str | None, owner: str) -> Visit | None:
        """The visit of a page that is open in this browser."""
        with self._lock:
            visit = self._open.get(session or "")
        return self._checked(visit, owner)

    def find(self, number: str, owner: str) -> Visit | None:
        """The visit of that number, if it is this browser's."""
        with self._lock:
            found = next((one for one in self._open.values() if one.number == number), None)
        return self._checked(found, owner)

    def leave(self, session: str | None, owner: str) -> None:
        """Closes the visit of a page that was left, if it is this browser's."""
        with self._lock:
            visit = self._open.get(session or "")
            if visit is None or not secrets.compare_digest(visit.owner, owner):
                return
            del self._open[session or ""]
        visit.close()

    def drop_idle(self) -> None:
        """Closes visits that were not heard of for too long."""
        now = time.monotonic()
        with self._lock:
            idle = [
                (session, visit.owner)
                for session, visit in self._open.items()
                if now - visit.used > self._keep and not visit.busy
            ]
        for session, owner in idle:
            self.leave(session, owner)

    def close(self) -> None:
        """Closes all and removes the folder; more calls do nothing."""
        self._ended.set()
        with self._lock:
            visits = list(self._open.values())
            self._open.clear()
        for visit in visits:
            visit.close()
        for visit in visits:
            if visit.job is not None:
                visit.job.join(5)  # one that downloads cannot be stopped
        self._finish()

    def _checked(self, visit: Visit | None, owner: str) -> Visit | None:
        if visit is None or visit.closed or not secrets.compare_digest(visit.owner, owner):
            return None
        visit.used = time.monotonic()
        return visit


def _watch(visits: weakref.ref[Visits], ended: threading.Event, seconds: float) -> None:
    while not ended.wait(seconds):
        found = visits()
        if found is None:
            return
        found.drop_idle()
        del found
