"""Where the time of a running program goes: named spans, thread by thread.

    with recording() as timeline:
        ...  # whatever runs, in any thread
    timeline.save(path)

The file is a Chrome trace, which https://ui.perfetto.dev shows (Trace Event Format, "complete"
events). While nothing records, a span costs a look at a variable.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from posekit.files import write_whole

__all__ = ["Span", "Timeline", "recording", "span"]


class Span(NamedTuple):
    """Something that one thread did.

    Attributes:
        name: what was done.
        thread: the thread's number.
        start, end: nanoseconds of `time.perf_counter_ns`.
        cpu: nanoseconds that the thread was computing meanwhile.
        about: what it was done to, such as {"frame": 3}; inner spans inherit it from outer ones.
    """

    name: str
    thread: int
    start: int
    end: int
    cpu: int
    about: dict[str, Any]


class Timeline:
    """The spans of all threads.

    Args:
        wait: called at both ends of each span, such as to wait for a GPU.

    Attributes:
        spans: in the order in which they ended.
        threads: names by number.
    """

    def __init__(self, wait: Callable[[], object] = lambda: None) -> None:
        self.spans: list[Span] = []
        self.threads: dict[int, str] = {}
        self._wait = wait
        self._of_thread = threading.local()

    @contextlib.contextmanager
    def span(self, name: str, about: dict[str, Any]) -> Iterator[None]:
        """Records what happens within the context."""
        outer = getattr(self._of_thread, "about", {})
        self._of_thread.about = {**outer, **about}
        thread = threading.get_ident()
        self.threads.setdefault(thread, threading.current_thread().name)
        self._wait()
        start, busy = time.perf_counter_ns(), time.thread_time_ns()
        try:
            yield
        finally:
            self._wait()
            busy, end = time.thread_time_ns() - busy, time.perf_counter_ns()
            self.spans.append(Span(name, thread, start, end, busy, self._of_thread.about))
            self._of_thread.about = outer

    def to_json(self) -> dict[str, Any]:
        """As in the file; times are in microseconds since the first span began."""
        process = os.getpid()
        begin = min((span.start for span in self.spans), default=0)
        named = [
            {
                "ph": "M",
                "name": "thread_name",
                "pid": process,
                "tid": number,
                "args": {"name": name},
            }
            for number, name in self.threads.items()
        ]
        spans = [
            {
                "ph": "X",
                "name": span.name,
                "cat": "posekit",
                "pid": process,
                "tid": span.thread,
                "ts": (span.start - begin) / 1e3,
                "dur": (span.end - span.start) / 1e3,
                "tdur": span.cpu / 1e3,
                "args": span.about,
            }
            for span in sorted(self.spans, key=lambda span: (span.start, -span.end))
        ]
        return {"traceEvents": named + spans, "displayTimeUnit": "ms"}

    def save(self, path: Path) -> None:
        """Writes it as JSON.

        Raises:
            OutputError: the file cannot be written.
        """
        write_whole(path, json.dumps(self.to_json()).encode())


_NOTHING = contextlib.nullcontext()
_recorded: Timeline | None = None


def span(name: str, **about: Any) -> AbstractContextManager[None]:
    """A context that is recorded if a recording is on.

    Args:
        name: of what happens in it.
        about: numbers or texts that go with it, such as `frame=3`.
    """
    timeline = _recorded
    return _NOTHING if timeline is None else timeline.span(name, about)


@contextlib.contextmanager
def recording(wait: Callable[[], object] = lambda: None) -> Iterator[Timeline]:
    """Records the spans of all threads within the context; see `Timeline`."""
    global _recorded
    before, _recorded = _recorded, Timeline(wait)
    try:
        yield _recorded
    finally:
        _recorded = before
