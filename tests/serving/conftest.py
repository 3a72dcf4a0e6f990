"""A service whose networks a test can hold back."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import posekit
from posekit import PoseService
from posekit.files import PACKAGED
from posekit.predictor import Predictor
from posekit.serving.requests import ServiceStatistics

SECONDS = 60.0  # by when anything that a test waits for has come


@pytest.fixture(autouse=True)
def networks_with_all_cores() -> Iterator[None]:
    """So that a service has one batch under way, which a test can hold back."""
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


class Gate:
    """Stands before the networks of a predictor.

    Attributes:
        batches: widths of the images of each batch that came.
        poison: an image of that width makes its batch fail.
        most: larger batches do not fit into memory.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._packets = predictor.packets
        self._came = threading.Semaphore(0)
        self._open = threading.Event()
        self._open.set()
        self.batches: list[list[int]] = []
        self.poison: int | None = None
        self.most = 99

    def __call__(self, frames: Any, options: Any) -> Any:
        frames = list(frames)
        widths = [frame.size[0] for frame in frames]
        self.batches.append(widths)
        self._came.release()
        assert self._open.wait(SECONDS)
        if len(frames) > self.most:
            raise MemoryError("no room for so many")
        if self.poison in widths:
            raise RuntimeError("what an engine says")
        return self._packets(iter(frames), options)

    def shut(self) -> None:
        """Where nothing is on its way."""
        self._came = threading.Semaphore(0)
        self._open.clear()

    def wait(self) -> None:
        """Until one more batch has come."""
        assert self._came.acquire(timeout=SECONDS)

    def open(self) -> None:
        self._open.set()


def load(**parts: str) -> Predictor:
    logging.disable(logging.WARNING)
    try:
        return posekit.load("demo", device="cpu", backend="eager", **parts)
    finally:
        logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def people() -> Predictor:
    """Finds four of them."""
    return load()


@pytest.fixture(scope="session")
def demo() -> Predictor:
    """Takes the image as one person, which is fast."""
    return load(detector="whole_image")


@pytest.fixture
def gate(demo: Predictor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(demo)
    monkeypatch.setattr(demo, "packets", gate)
    yield gate
    gate.open()


@pytest.fixture
def service(demo: Predictor, gate: Gate) -> Iterator[PoseService]:
    with PoseService(demo, max_batch=4, max_queue=4, timeout=SECONDS) as service:
        yield service
        gate.open()


def until(service: PoseService, holds: Callable[[ServiceStatistics], bool]) -> None:
    """Waits for the queue to be so."""
    with service._queue._changed:
        assert service._queue._changed.wait_for(lambda: holds(service.statistics()), SECONDS)


def jpeg(width: int = 320) -> bytes:
    """The picture of drawn people, so wide."""
    return bytes(cv2.imencode(".jpg", picture(width))[1].tobytes())


def picture(width: int = 320) -> np.ndarray:
    image = cv2.imread(str(PACKAGED / "demo.jpg"))
    assert image is not None
    height = round(image.shape[0] * width / image.shape[1])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
