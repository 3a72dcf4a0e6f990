"""One predictor for many callers, threads and coroutines, with images batched together."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import logging
import os
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from posekit.cores import usable_cores
from posekit.declared import document, takes
from posekit.errors import BusyError, InputError, PosekitError, first_line
from posekit.io.single import read_single
from posekit.options import PredictOptions
from posekit.predictor import Predictor
from posekit.result import PoseResult
from posekit.serving.options import ServiceOptions, image_options
from posekit.serving.requests import Request, RequestQueue, ServiceStatistics, closed
from posekit.stages.boxes import GivenBoxes
from posekit.stages.packet import AUTO_SIZE, AUTO_SIZE_GPU, Frame

__all__ = ["PoseService"]

log = logging.getLogger(__name__)

T = TypeVar("T")

NAME = "00000000.jpg"  # as a predictor calls an array
READERS = 4  # threads that decode images for coroutines, where there are so many cores


@document(ServiceOptions)
class PoseService:
    """Finds poses in single images for any number of callers at once.

    Images that arrive at the same time are computed in one batch, whatever their sizes, if their
    options are the same. Threads call `predict`; coroutines of any event loop await the service
    itself. An image that fails raises an error for its own caller only.

        service = PoseService(posekit.load("human"))
        result = service.predict(jpeg)        # in a thread
        result = await service(jpeg)          # in a coroutine

    The networks and their engines are loaded at once. `close`, or the end of a `with` or
    `async with` block, finishes what is queued and ends the threads.

    Args:
        predictor: may be used elsewhere at the same time.
        {options}

    Raises:
        InputError: an option that does not apply, or a predictor from before a fork.
        WeightsError, DownloadError: the detector, loaded now, has no usable weights.
    """

    @takes(ServiceOptions)
    def __init__(self, predictor: Predictor, options: ServiceOptions) -> None:
        if not isinstance(predictor, Predictor):
            raise InputError(
                "expected a predictor, as posekit.load(MODEL) returns it, found "
                f"{type(predictor).__name__}"
            )
        predictor.prepared(PredictOptions())
        predictor.settle()
        self.predictor, self.options = predictor, options
        on_gpu = predictor.estimator.device.type == "cuda"
        auto = AUTO_SIZE_GPU if on_gpu else AUTO_SIZE
        self._queue = RequestQueue(
            places=options.max_queue,
            most=auto if options.max_batch == "auto" else options.max_batch,
            wait=options.max_wait,
        )
        self._readers = ThreadPoolExecutor(
            min(READERS, os.cpu_count() or 1), thread_name_prefix="posekit-service-reader"
        )
        self._process = os.getpid()
        # No thread holds the service: else it would never be garbage, and its threads not end.
        self._threads = [
            threading.Thread(
                target=_work, args=(self._queue, predictor), name="posekit-service", daemon=True
            )
            for _ in range(_batches_at_once(options, on_gpu=on_gpu))
        ]
        for thread in self._threads:
            thread.start()
        self._finish = weakref.finalize(
            self, _stop, self._queue, self._threads, self._readers, self._process
        )

    def predict(self, image: Any, *, timeout: float | None = None, **options: Any) -> PoseResult:
        """Waits for the people of an image, and returns them.

        Args:
            image: an array (H, W, 3), BGR, uint8; the bytes of an image's file; a tensor or a PIL
                image, as a predictor takes them.
            timeout: in seconds, instead of the service's own.
            options: options of `Predictor.stream`, among those in `IMAGE_OPTIONS`.

        Returns:
            The result, as from `Predictor.stream`.

        Raises:
            InputError: an image or an option that cannot be used, or a forked process.
            BusyError: the queue stays full, or the service is closed.
            TimeoutError: the result does not come in time.
            WeightsError, RuntimeError, ...: what the predictor raises.
        """
        with _Call(self, timeout, options) as call:
            _wait(call.place, *call.patience())
            call.put(self._read(image, call.options))
            return _wait(call.answer, *call.left())

    async def __call__(
        self, image: Any, *, timeout: float | None = None, **options: Any
    ) -> PoseResult:
        """As `predict`, for coroutines; one that is cancelled takes its request back."""
        with _Call(self, timeout, options) as call:
            await _wait_async(call.place, *call.patience())
            try:
                reading = self._readers.submit(self._read, image, call.options)
            except RuntimeError:  # they are shut down
                raise closed() from None
            call.put(await _wait_async(reading, *call.left()))
            return await _wait_async(call.answer, *call.left())

    def statistics(self) -> ServiceStatistics:
        """Current load and counts since the start."""
        return self._queue.statistics()

    def close(self, *, drain: bool = True) -> None:
        """Accepts no more callers and ends the threads; more calls do nothing.

        Args:
            drain: waiting images are computed first; else their callers get a `BusyError`. What is
                in the networks is finished in any case.
        """
        if os.getpid() == self._process:
            self._queue.close(drain=drain)
            for thread in self._threads:
                thread.join()
            self._finish()

    async def aclose(self, *, drain: bool = True) -> None:
        """As `close`, without blocking the event loop."""
        await asyncio.to_thread(self.close, drain=drain)

    def __enter__(self) -> PoseService:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(drain=kind is None)

    async def __aenter__(self) -> PoseService:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.aclose(drain=kind is None)

    def _read(self, image: Any, options: PredictOptions) -> np.ndarray:
        return read_single(image, self.options.max_pixels, rgb=options.color == "rgb")


class _Call:
    """A caller's way: a place in the queue, the image, the answer. Leaving it leaves nothing."""

    def __init__(self, service: PoseService, timeout: float | None, named: dict[str, Any]) -> None:
        if os.getpid() != service._process:
            raise InputError(
                "this service was made before its process was forked, and its threads are not in "
                "this one: make a service in each process"
            )
        ServiceOptions.declared()["timeout"].check(timeout)
        self._begun = time.monotonic()
        self._seconds = service.options.timeout if timeout is None else timeout
        self._queue_seconds = service.options.queue_timeout
        options = service.predictor.prepared(image_options(named))
        self._boxes = None if options.bboxes is None else _boxes_of(options.bboxes)
        self.options = dataclasses.replace(
            options,
            bboxes=None,
            det_cat_ids=options.det_categories,  # in one form, to be compared
            det_interval=1,
            lift_window=1,
        )
        self._queue = service._queue
        self._request: Request | None = None
        self.place = self._queue.ask()

    def left(self) -> tuple[float | None, Exception]:
        """Seconds for a result, and the error where they are over."""
        if self._seconds is None:
            return None, TimeoutError()
        error = TimeoutError(f"no result within timeout={self._seconds:g} seconds")
        return self._begun + self._seconds - time.monotonic(), error

    def patience(self) -> tuple[float | None, Exception]:
        """Seconds for a place in the queue, likewise."""
        given = [limit for limit in (self._queue_seconds, self.left()[0]) if limit is not None]
        error = BusyError("the service's queue is full: try again later, or raise queue_timeout")
        return min(given, default=None), error

    def put(self, image: np.ndarray) -> None:
        """The image has been read."""
        request = Request(image, self.options, self._boxes, self._begun)
        self._queue.put(request)
        self._request = request

    @property
    def answer(self) -> Future[PoseResult]:
        assert self._request is not None
        return self._request.answer

    def __enter__(self) -> _Call:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._request is None:
            self._queue.give_back(self.place, _why(error))
        elif not self.answer.done():
            self._queue.drop(self._request)


def _why(error: BaseException | None) -> Literal["failed", "dropped", "refused"]:
    if isinstance(error, BusyError):
        return "refused"
    return "failed" if isinstance(error, PosekitError) else "dropped"


def _wait(future: Future[T], seconds: float | None, late: Exception) -> T:
    concurrent.futures.wait([future], None if seconds is None else max(0.0, seconds))
    if not future.done():
        raise late
    return future.result()


async def _wait_async(future: Future[T], seconds: float | None, late: Exception) -> T:
    waited = asyncio.wrap_future(future)
    try:
        await asyncio.wait([waited], timeout=None if seconds is None else max(0.0, seconds))
        if not waited.done():
            raise late
        return waited.result()
    finally:
        waited.cancel()


def _batches_at_once(options: ServiceOptions, *, on_gpu: bool) -> int:
    """A network of one thread leaves the second core to another batch."""
    if options.workers != "auto":
        return options.workers
    return 1 if on_gpu else max(1, len(usable_cores()) // torch.get_num_threads())


def _boxes_of(bboxes: Any) -> np.ndarray:
    """Boxes and scores (n, 5) of the option of a single image."""
    given = GivenBoxes(bboxes)
    if (count := len(given.per_image)) != 1:
        raise InputError(
            f"bboxes must be (n, 4) or (n, 5), for one image, found boxes for {count} images"
        )
    boxes = given.of(0)
    return np.column_stack([boxes.xyxy, boxes.scores])


def _work(queue: RequestQueue, predictor: Predictor) -> None:
    """A thread of the service. No variable may hold images while the next ones are waited for."""
    while batch := queue.take():
        queue.note(batch, _answers(predictor, batch))
        del batch


def _answers(predictor: Predictor, batch: Sequence[Request]) -> list[PoseResult | BaseException]:
    """A result or an error for each."""
    try:
        return list(_results(predictor, batch))
    except BaseException as error:
        if len(batch) == 1:
            return [error]
        if not isinstance(error, PosekitError):
            log.warning(
                "%d images in a batch: %s; running each by itself", len(batch), first_line(error)
            )
    # Only who is at fault shall have the error; and one of them may fit where all do not.
    return [answer for request in batch for answer in _answers(predictor, [request])]


def _results(predictor: Predictor, batch: Sequence[Request]) -> list[PoseResult]:
    first = batch[0]
    boxes = None if first.boxes is None else [request.boxes for request in batch]
    options = dataclasses.replace(first.options, bboxes=boxes, batch_size=len(batch))
    frames = (Frame(request.image, place, NAME) for place, request in enumerate(batch))
    packets = predictor.packets(frames, options)
    return [
        dataclasses.replace(packet.result, index=0)
        for packet, _ in zip(packets, batch, strict=True)
    ]


def _stop(
    queue: RequestQueue, threads: list[threading.Thread], readers: ThreadPoolExecutor, process: int
) -> None:
    if os.getpid() != process:  # a fork has neither the threads nor, for sure, the lock
        return
    queue.close(drain=False)
    readers.shutdown(wait=False)
    for thread in threads:
        if thread is not threading.current_thread():  # garbage may be collected in any
            thread.join()
