"""Requests of many callers, and the bounded queue that they wait in."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from posekit.errors import BusyError
from posekit.options import PredictOptions
from posekit.result import PoseResult

__all__ = ["Request", "RequestQueue", "ServiceStatistics", "closed"]

LATEST = 1000  # answers whose times are remembered


@dataclass(eq=False)
class Request:
    """A caller's image.

    Attributes:
        image: (H, W, 3), BGR, uint8.
        options: options of the image, without boxes.
        boxes: (n, 5), xyxy and score, if they were given.
        begun: when the caller came, by `time.monotonic`.
        ready: when its image had been read, likewise.
        answer: the result, or why there is none.
    """

    image: np.ndarray
    options: PredictOptions
    boxes: np.ndarray | None
    begun: float
    ready: float = field(default_factory=time.monotonic)
    answer: Future[PoseResult] = field(default_factory=Future)

    def fits(self, other: Request) -> bool:
        """Whether both can go through the networks together."""
        return (self.boxes is None) == (other.boxes is None) and self.options == other.options


@dataclass(frozen=True)
class ServiceStatistics:
    """Load of a service, and counts since it was made.

    Attributes:
        waiting: callers waiting for a place in the queue.
        queued: images in the queue: those that wait and those that are being read.
        running: images in the networks.
        done, failed: requests answered with a result, and with an error.
        dropped: requests whose callers went away or timed out; those in the networks at that time
            are counted in `done` or `failed` too.
        refused: requests that got no place in the queue.
        batches: number of batches by size.
        median_seconds, p95_seconds: latency of the latest answers, from call to result; 0 without
            any.
    """

    waiting: int
    queued: int
    running: int
    done: int
    failed: int
    dropped: int
    refused: int
    batches: Mapping[int, int]
    median_seconds: float
    p95_seconds: float


class RequestQueue:
    """A bounded queue that hands out requests in batches.

    A caller asks for a place, reads its image and puts the request into it; so no more images are
    in memory than there are places. Every future is answered or cancelled at some time.

    Args:
        places: how many requests it holds.
        most: the largest batch.
        wait: seconds that a request waits for others, if others came just before.
    """

    def __init__(self, *, places: int, most: int, wait: float) -> None:
        self._places, self._most, self._wait = places, most, wait
        self._changed = threading.Condition()
        self._waiting: deque[Future[None]] = deque()
        self._requests: deque[Request] = deque()
        self._free = places
        self._expected = 1  # callers that are around
        self._takers = 0  # threads that wait for a batch
        self._running = 0
        self._closed = False
        self._counts: Counter[str] = Counter()
        self._batches: Counter[int] = Counter()
        self._seconds: deque[float] = deque(maxlen=LATEST)

    def ask(self) -> Future[None]:
        """A place, as soon as there is one and in the order of asking.

        Raises:
            BusyError: it is closed; so does the future.
        """
        with self._changed:
            if self._closed:
                raise closed()
            place: Future[None] = Future()
            self._waiting.append(place)
            self._grant()
            return place

    def give_back(self, place: Future[None], why: Literal["failed", "dropped", "refused"]) -> None:
        """Returns a place, granted or not, of a request that will not come."""
        had = not place.cancel() and place.exception() is None
        with self._changed:
            self._counts[why] += 1
            if had:
                self._release(1)
            elif place in self._waiting:
                self._waiting.remove(place)

    def put(self, request: Request) -> None:
        """Adds a request that has a place.

        Raises:
            BusyError: it is closed.
        """
        with self._changed:
            if self._closed:
                raise closed()
            self._requests.append(request)
            self._changed.notify_all()

    def drop(self, request: Request) -> None:
        """Forgets a request whose caller waits no more; one that is being computed goes on."""
        request.answer.cancel()
        with self._changed:
            self._counts["dropped"] += 1
            if request in self._requests:
                self._requests.remove(request)
                self._release(1)

    def take(self) -> list[Request]:
        """Waits for the next batch; empty once the queue is closed and has no more.

        Threads that wait at the same time get a share each.
        """
        with self._changed:
            self._takers += 1
            try:
                while True:
                    self._changed.wait_for(lambda: self._requests or self._closed)
                    if not self._requests:
                        return []
                    if batch := self._taken():
                        return batch
            finally:
                self._takers -= 1

    def _taken(self) -> list[Request]:
        """The oldest requests that fit together; or none, after a wait for others to join them."""
        first = self._requests[0]
        fitting = [one for one in self._requests if one.fits(first)]
        share = min(-(-max(len(fitting), self._expected) // self._takers), self._most)
        batch = fitting[:share]
        left = first.ready + self._wait - time.monotonic()
        if len(batch) < share and left > 0 and not self._closed:
            self._changed.wait(left)
            return []
        for request in batch:
            self._requests.remove(request)
        self._expected = max(1, self._expected - len(batch))  # for the other threads
        self._release(len(batch))
        batch = [one for one in batch if one.answer.set_running_or_notify_cancel()]
        self._running += len(batch)
        return batch

    def note(self, batch: list[Request], answers: list[PoseResult | BaseException]) -> None:
        """Answers the requests of a batch that was taken."""
        now = time.monotonic()
        with self._changed:
            self._running -= len(batch)
            self._expected = len(batch) + self._places - self._free
            self._batches[len(batch)] += 1
            self._seconds.extend(now - request.begun for request in batch)
            failed = sum(isinstance(answer, BaseException) for answer in answers)
            self._counts.update(failed=failed, done=len(answers) - failed)
        for request, answer in zip(batch, answers, strict=True):
            if isinstance(answer, BaseException):
                request.answer.set_exception(answer)
            else:
                request.answer.set_result(answer)

    def close(self, *, drain: bool) -> None:
        """Accepts no more: callers who have not put their request into it get a `BusyError`.

        Args:
            drain: the requests in it are computed; else they get a `BusyError` too.
        """
        with self._changed:
            self._closed = True
            left: list[Future[None] | Future[PoseResult]] = list(self._waiting)
            self._waiting.clear()
            if not drain:
                left += [request.answer for request in self._requests]
                self._release(len(self._requests))
                self._requests.clear()
            self._changed.notify_all()
        for future in left:
            if future.set_running_or_notify_cancel():
                future.set_exception(closed())

    def statistics(self) -> ServiceStatistics:
        """The current figures."""
        with self._changed:
            seconds = np.array(self._seconds or [0.0])
            return ServiceStatistics(
                waiting=len(self._waiting),
                queued=self._places - self._free,
                running=self._running,
                done=self._counts["done"],
                failed=self._counts["failed"],
                dropped=self._counts["dropped"],
                refused=self._counts["refused"],
                batches=dict(sorted(self._batches.items())),
                median_seconds=float(np.median(seconds)),
                p95_seconds=float(np.percentile(seconds, 95)),
            )

    def _release(self, count: int) -> None:
        self._free += count
        self._grant()
        self._changed.notify_all()

    def _grant(self) -> None:
        while self._waiting and self._free:
            place = self._waiting.popleft()
            if place.set_running_or_notify_cancel():
                self._free -= 1
                place.set_result(None)


def closed() -> BusyError:
    """The error of a service that is closed."""
    return BusyError("the service is closed: make a new one")
