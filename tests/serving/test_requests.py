"""When a batch is taken out of the queue."""

from __future__ import annotations

import threading

import numpy as np

from posekit.options import PredictOptions
from posekit.serving.requests import Request, RequestQueue
from tests.serving.conftest import SECONDS

IMAGE = np.zeros((4, 4, 3), np.uint8)
OPTIONS = PredictOptions()


def queue(wait: float) -> RequestQueue:
    return RequestQueue(places=16, most=4, wait=wait)


def put(requests: RequestQueue, count: int, options: PredictOptions = OPTIONS) -> None:
    for _ in range(count):
        assert requests.ask().done()
        requests.put(Request(IMAGE, options, None, begun=0.0))


def test_who_is_alone_does_not_wait() -> None:
    requests = queue(wait=1e6)
    for _ in range(2):
        put(requests, 1)
        batch = requests.take()
        assert len(batch) == 1
        requests.note(batch, [ValueError()])


def test_who_is_among_others_waits_for_as_many() -> None:
    requests = queue(wait=1e6)
    put(requests, 3)
    batch = requests.take()
    assert len(batch) == 3
    requests.note(batch, [ValueError()] * 3)
    taken: list[int] = []
    thread = threading.Thread(target=lambda: taken.append(len(requests.take())))
    thread.start()
    put(requests, 3)
    thread.join(SECONDS)
    assert taken == [3]


def test_threads_that_wait_together_share_what_comes() -> None:
    requests = queue(wait=1e6)
    put(requests, 4)
    requests.note(requests.take(), [ValueError()] * 4)
    requests._takers = 1  # another thread is in `take`
    put(requests, 4)
    assert len(requests.take()) == 2
    requests._takers = 0  # which is this one now
    assert len(requests.take()) == 2


def test_others_that_do_not_come_are_not_waited_for() -> None:
    requests = queue(wait=0.01)
    put(requests, 3)
    requests.note(requests.take(), [ValueError()] * 3)
    put(requests, 1)
    assert len(requests.take()) == 1


def test_the_oldest_goes_first_with_all_that_fit() -> None:
    requests = queue(wait=0)
    other = PredictOptions(max_people=1)
    for options in (OPTIONS, other, OPTIONS, OPTIONS, other, OPTIONS, OPTIONS):
        put(requests, 1, options)
    taken = [requests.take() for _ in range(3)]
    assert [len(batch) for batch in taken] == [4, 2, 1]
    assert [batch[0].options is OPTIONS for batch in taken] == [True, False, True]


def test_requests_that_were_cancelled_are_not_given() -> None:
    requests = queue(wait=0)
    put(requests, 2)
    requests._requests[0].answer.cancel()  # its caller is about to take it out
    assert len(requests.take()) == 1
    assert requests.statistics().queued == 0
