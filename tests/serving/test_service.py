"""Many callers, one predictor: what comes back, and what happens when something goes wrong."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from posekit import PoseResult, PoseService
from posekit.errors import BusyError, InputError
from posekit.predictor import Predictor
from tests.serving.conftest import SECONDS, Gate, jpeg, picture, until
from tests.stages.test_lift import Recorder, lifter_of
from tests.stages.test_one_stage import make as one_stage

WIDTHS = [320, 330, 340, 350]


def same(found: PoseResult, expected: PoseResult) -> None:
    assert (found.name, found.index, found.image_size) == (
        expected.name,
        expected.index,
        expected.image_size,
    )
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=0.05)
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=0.5)


@contextmanager
def threads(number: int = 8) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(number) as pool:
        yield pool


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main, SECONDS))


def test_threads_get_what_the_predictor_gives(people: Predictor) -> None:
    gate = Gate(people)
    with pytest.MonkeyPatch.context() as patch, threads() as pool:
        patch.setattr(people, "packets", gate)
        with PoseService(people) as service:
            gate.shut()
            calls = [pool.submit(service.predict, jpeg(310))]
            gate.wait()
            calls.append(pool.submit(service.predict, jpeg(320), max_people=2))
            calls += [pool.submit(service.predict, picture(width)) for width in (330, 340)]
            asyncio.run(put(service, 3))
            gate.open()
            results = [call.result(SECONDS) for call in calls]
    assert sorted(map(sorted, gate.batches)) == [[310], [320], [330, 340]]
    for width, result in zip((310, 320, 330, 340), results, strict=True):
        image = jpeg(width) if width < 330 else picture(width)
        (expected,) = people.stream(image, max_people=2 if width == 320 else None)
        same(result, expected)


def test_coroutines_go_together_without_waiting_for_each_other(
    service: PoseService, gate: Gate
) -> None:
    async def main() -> list[PoseResult]:
        return await asyncio.gather(*(service(jpeg(width)) for width in WIDTHS * 3))

    results = run(main())
    assert [result.image_size[0] for result in results] == WIDTHS * 3
    assert sum(map(len, gate.batches)) == 12 and max(map(len, gate.batches)) > 1
    now = service.statistics()
    assert (now.done, now.failed, now.dropped, now.queued, now.running) == (12, 0, 0, 0, 0)
    assert sum(size * count for size, count in now.batches.items()) == 12
    assert 0 < now.median_seconds <= now.p95_seconds


def test_two_event_loops_share_a_service(service: PoseService) -> None:
    barrier = threading.Barrier(2)

    async def main() -> list[int]:
        barrier.wait(SECONDS)
        results = await asyncio.gather(*(service(picture(width)) for width in WIDTHS))
        return [result.image_size[0] for result in results]

    with threads(2) as pool:
        found = list(pool.map(lambda _: run(main()), range(2)))
    assert found == [WIDTHS, WIDTHS]


def test_only_images_of_the_same_options_go_together(service: PoseService, gate: Gate) -> None:
    async def main() -> list[PoseResult]:
        gate.shut()
        first = asyncio.create_task(service(picture(310)))
        await asyncio.to_thread(gate.wait)
        calls = [
            service(picture(320), max_people=1),
            service(picture(330)),
            service(picture(340), max_people=1, det_cat_ids=[0]),
            service(picture(350), max_people=1, det_cat_ids=np.array([0])),
        ]
        tasks = [first, *map(asyncio.create_task, calls)]
        await put(service, 4)
        gate.open()
        return await asyncio.gather(*tasks)

    results = run(main())
    assert sorted(map(sorted, gate.batches)) == [[310], [320], [330], [340, 350]]
    assert [len(result) for result in results] == [1, 1, 1, 1, 1]


def test_each_image_has_its_own_boxes(service: PoseService, gate: Gate) -> None:
    boxes = {320: [[10, 20, 90, 200]], 330: [], 340: [[5, 5, 80, 90, 0.5], [40, 20, 99, 150, 0.25]]}

    async def main() -> list[PoseResult]:
        gate.shut()
        first = asyncio.create_task(service(picture(310)))
        await asyncio.to_thread(gate.wait)
        tasks = [asyncio.create_task(service(picture(w), bboxes=b)) for w, b in boxes.items()]
        await put(service, 3)
        gate.open()
        return await asyncio.gather(first, *tasks)

    _, one, none, two = run(main())
    assert len(gate.batches) == 2
    np.testing.assert_array_equal(one.boxes_xyxy, boxes[320])
    np.testing.assert_array_equal(two.box_scores, [0.5, 0.25])
    assert (len(one), len(none), len(two)) == (1, 0, 2)


async def put(service: PoseService, count: int) -> None:
    """Until so many requests wait in the queue, their images read."""
    queue = service._queue

    def wait() -> bool:
        with queue._changed:
            return queue._changed.wait_for(lambda: len(queue._requests) == count, SECONDS)

    assert await asyncio.to_thread(wait)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", "empty"),
        (jpeg()[:900], "truncated"),
        (b"\0" * 99, "of an unsupported format"),
        (np.zeros((8, 8, 3)), "must be uint8"),
        (np.zeros((8, 8, 2), np.uint8), "1, 3 or 4 channels"),
        (np.zeros((2, 8, 8, 3), np.uint8), "expected a single image"),
        (np.zeros((0, 8, 3), np.uint8), "must be an array"),
        ("photo.jpg", "expected a single image: .* found str"),
        (None, "found NoneType"),
        (np.zeros((3000, 2000, 3), np.uint8), "2000 x 3000 pixels is larger than max_pixels"),
    ],
)
def test_a_bad_image_fails_alone(demo: Predictor, image: Any, message: str) -> None:
    async def main() -> list[Any]:
        async with PoseService(demo, max_pixels=5_000_000) as service:
            calls = [service(picture()), service(image), service(picture())]
            found = await asyncio.gather(*calls, return_exceptions=True)
            with pytest.raises(InputError, match=message):
                await asyncio.to_thread(service.predict, image)
            now = service.statistics()
            assert (now.done, now.failed, now.queued) == (2, 2, 0)
            return list(found)

    first, error, last = run(main())
    assert isinstance(error, InputError)
    assert len(first) == len(last) == 1


def test_what_one_image_breaks_others_do_not_notice(
    service: PoseService, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    gate.poison = 340
    found = run(held(service, gate, WIDTHS))
    assert isinstance(found[2], RuntimeError) and str(found[2]) == "what an engine says"
    assert [len(found[place]) for place in (0, 1, 3)] == [1, 1, 1]
    assert "4 images in a batch: what an engine says; running each by itself" in caplog.text
    assert len(service.predict(picture())) == 1  # it goes on
    assert service.statistics().failed == 1


async def held(service: PoseService, gate: Gate, widths: Sequence[int]) -> list[Any]:
    """Results or errors of images that go through the networks together."""
    gate.shut()
    first = asyncio.create_task(service(picture(310)))
    await asyncio.to_thread(gate.wait)
    tasks = [asyncio.create_task(service(picture(width))) for width in widths]
    await put(service, len(widths))
    gate.open()
    found = await asyncio.gather(first, *tasks, return_exceptions=True)
    return list(found[1:])


def test_images_that_do_not_fit_together_go_one_by_one(service: PoseService, gate: Gate) -> None:
    gate.most = 1
    assert [len(result) for result in run(held(service, gate, WIDTHS))] == [1, 1, 1, 1]
    gate.most = 0
    assert {type(error) for error in run(held(service, gate, WIDTHS))} == {MemoryError}
    gate.most = 99
    assert len(service.predict(picture())) == 1


def test_a_full_queue_refuses_or_makes_wait(demo: Predictor, gate: Gate) -> None:
    async def main() -> None:
        async with PoseService(demo, max_queue=1, max_batch=1, queue_timeout=0) as service:
            gate.shut()
            running = asyncio.create_task(service(picture(310)))
            await asyncio.to_thread(gate.wait)
            queued = asyncio.create_task(service(picture(320)))
            await put(service, 1)
            with pytest.raises(BusyError, match="queue is full"):
                await service(picture(330))
            with pytest.raises(BusyError, match="queue is full"):
                await asyncio.to_thread(service.predict, b"is not even read")
            assert service.statistics().refused == 2
            gate.open()
            assert [len(await one) for one in (running, queued)] == [1, 1]

    run(main())
    assert gate.batches == [[310], [320]]

    async def patient() -> None:
        async with PoseService(demo, max_queue=1, max_batch=1) as service:
            gate.shut()
            tasks = [asyncio.create_task(service(picture(width))) for width in WIDTHS]
            await asyncio.to_thread(gate.wait)
            await put(service, 1)
            assert service.statistics().waiting == 2
            with pytest.raises(BusyError, match="queue is full"):
                await service(picture(), timeout=0.01)
            gate.open()
            assert [len(result) for result in await asyncio.gather(*tasks)] == [1] * 4

    run(patient())


def test_who_waited_for_too_long_is_taken_out(service: PoseService, gate: Gate) -> None:
    async def main() -> None:
        gate.shut()
        running = asyncio.create_task(service(picture(310)))
        await asyncio.to_thread(gate.wait)
        with pytest.raises(TimeoutError, match=r"no result within timeout=0\.02 seconds"):
            await service(picture(320), timeout=0.02)
        with pytest.raises(TimeoutError, match="no result within"):
            await asyncio.to_thread(service.predict, picture(330), timeout=0.02)
        now = service.statistics()
        assert (now.queued, now.running, now.dropped) == (0, 1, 2)
        gate.open()
        assert len(await running) == 1

    run(main())
    assert gate.batches == [[310]]


def test_who_is_late_in_the_networks_is_forgotten(service: PoseService, gate: Gate) -> None:
    gate.shut()
    for seconds in (0.02, 0.5, 10):  # a busy machine may not begin before the first are over
        with pytest.raises(TimeoutError):
            service.predict(picture(320), timeout=seconds)
        if gate.batches:
            break
    gate.wait()
    gate.open()
    assert len(service.predict(picture(330))) == 1


@pytest.mark.parametrize("where", ["place", "queue", "networks"])
def test_a_caller_that_goes_away_leaves_nothing(demo: Predictor, gate: Gate, where: str) -> None:
    async def main() -> None:
        async with PoseService(demo, max_queue=1, max_batch=1) as service:
            gate.shut()
            tasks = {"networks": asyncio.create_task(service(picture(310)))}
            await asyncio.to_thread(gate.wait)
            tasks["queue"] = asyncio.create_task(service(picture(320)))
            await put(service, 1)
            tasks["place"] = asyncio.create_task(service(picture(330)))
            await asyncio.sleep(0)  # it asks for its place
            assert service.statistics().waiting == 1
            tasks[where].cancel()
            with pytest.raises(asyncio.CancelledError):
                await tasks.pop(where)
            gate.open()
            assert [len(await task) for task in tasks.values()] == [1, 1]
            now = service.statistics()
            assert (now.dropped, now.waiting, now.queued) == (1, 0, 0)

    run(main())
    seen = {"place": [310, 320], "queue": [310, 330], "networks": [310, 320, 330]}
    assert [width for batch in gate.batches for width in batch] == seen[where]


def test_closing_finishes_what_was_taken(demo: Predictor, gate: Gate) -> None:
    service = PoseService(demo, max_batch=1)
    gate.shut()
    with threads(4) as pool:
        calls = [pool.submit(service.predict, picture(310))]
        gate.wait()
        calls += [pool.submit(service.predict, picture(width)) for width in (320, 330)]
        until(service, lambda now: now.queued == 2)
        asyncio.run(put(service, 2))
        closing = pool.submit(service.close)
        until(service, lambda _: service._queue._closed)
        with pytest.raises(BusyError, match="closed"):
            service.predict(picture())
        gate.open()
        assert [len(call.result(SECONDS)) for call in calls] == [1, 1, 1]
        closing.result(SECONDS)
    assert not any(thread.is_alive() for thread in service._threads)
    service.close()  # once more does nothing
    with pytest.raises(BusyError, match="closed"):
        asyncio.run(ask(service))


async def ask(service: PoseService) -> PoseResult:
    return await service(picture())


def test_closing_may_leave_out_what_waits(demo: Predictor, gate: Gate) -> None:
    async def main() -> list[Any]:
        service = PoseService(demo, max_queue=2, max_batch=1)
        gate.shut()
        tasks = [asyncio.create_task(service(picture(310)))]
        await asyncio.to_thread(gate.wait)
        tasks += [asyncio.create_task(service(picture(width))) for width in (320, 330, 340)]
        await put(service, 2)
        closing = asyncio.create_task(service.aclose(drain=False))
        left = await asyncio.gather(*tasks[1:], return_exceptions=True)
        gate.open()
        await closing
        return [await tasks[0], *left]

    first, *left = run(main())
    assert len(first) == 1
    assert [type(error) for error in left] == [BusyError] * 3
    assert gate.batches == [[310]]


def test_a_block_that_fails_does_not_drain(demo: Predictor, gate: Gate) -> None:
    with pytest.raises(KeyError), threads(2) as pool, PoseService(demo, max_batch=1) as service:
        gate.shut()
        first = pool.submit(service.predict, picture(310))
        gate.wait()
        second: Future[PoseResult] = pool.submit(service.predict, picture(320))
        asyncio.run(put(service, 1))
        second.add_done_callback(lambda _: gate.open())
        raise KeyError
    assert len(first.result(SECONDS)) == 1
    with pytest.raises(BusyError):
        second.result(SECONDS)


def test_a_service_that_nobody_holds_ends(demo: Predictor) -> None:
    service = PoseService(demo, workers=2)
    assert len(service.predict(picture())) == 1
    found = service._threads
    del service
    gc.collect()
    for thread in found:
        thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in found)


@pytest.mark.parametrize(("threads_of", "expected"), [(1, 8), (2, 4), (3, 2), (8, 1), (16, 1)])
def test_as_many_batches_as_the_networks_leave_cores_for(
    demo: Predictor, monkeypatch: pytest.MonkeyPatch, threads_of: int, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads_of)
    with PoseService(demo) as service:
        assert len(service._threads) == expected
    with PoseService(demo, workers=3) as service:
        assert len(service._threads) == 3


def test_several_workers_give_everybody_an_answer(demo: Predictor) -> None:
    with PoseService(demo, workers=2, max_batch=2) as service, threads() as pool:
        results = list(pool.map(service.predict, map(picture, WIDTHS * 3)))
    assert [result.image_size[0] for result in results] == WIDTHS * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_is_told(service: PoseService) -> None:
    with service._queue._changed:  # as where another thread holds it at that moment
        child = os.fork()
    if child == 0:
        code = 1
        try:
            service.predict(picture())
        except InputError as error:
            code = 0 if "before its process was forked" in str(error) else 2
        service.close()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(service.predict(picture())) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"track": "iou"}, "track does not apply to a service"),
        ({"out_dir": "out"}, "out_dir does not apply to a service"),
        ({"batch_size": 4}, "batch_size does not apply to a service"),
        ({"start": 3}, "start does not apply"),
        ({"bbox_thr": 2}, "bbox_thr must be a number from 0 to 1"),
        ({"max_peple": 2}, "unknown option 'max_peple'; did you mean max_people"),
        ({"timeout": 0}, "timeout must be a number above 0"),
        ({"bboxes": [[[1, 2, 3, 4]], [[1, 2, 3, 4]]]}, "for one image, found boxes for 2"),
        ({"bboxes": [[3, 2, 1, 4]]}, "x1 <= x2"),
        ({"disable_norm_pose_2d": True}, "applies to models that lift 2D poses only"),
    ],
)
def test_options_that_make_no_sense_are_named(
    service: PoseService, gate: Gate, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        service.predict(picture(), **options)
    with pytest.raises(InputError, match=message):
        run(call_with(service, options))
    assert not gate.batches and service.statistics().queued == 0


async def call_with(service: PoseService, options: dict[str, Any]) -> PoseResult:
    return await service(picture(), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"max_batch": 0}, {"max_batch": "many"}, {"max_wait": -1}, {"max_queue": 0},
        {"queue_timeout": -1}, {"timeout": 0}, {"max_pixels": 0}, {"workers": 0}, {"worker": 1},
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused(demo: Predictor, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        PoseService(demo, **options)


def test_a_name_of_a_model_is_no_predictor() -> None:
    with pytest.raises(InputError, match=r"a predictor, as posekit\.load\(MODEL\) .* found str"):
        PoseService("demo")  # type: ignore[arg-type]


def test_one_stage_models_and_lifters_are_served(demo: Predictor) -> None:
    for predictor, options in (
        (Predictor(one_stage()), {"bbox_thr": 0.1}),
        (Predictor(demo.estimator, lifter=lifter_of(Recorder())), {"disable_norm_pose_2d": True}),
        (Predictor(demo.estimator, speed="fast"), {}),
    ):
        with PoseService(predictor) as service:
            found = asyncio.run(asyncio.wait_for(several(service, options), SECONDS))
        for width, result in zip(WIDTHS, found, strict=True):
            (expected,) = predictor.stream(picture(width), track="none", **options)
            same(result, expected)
            assert (result.pose3d is None) == (expected.pose3d is None)
            if result.pose3d is not None and expected.pose3d is not None:
                np.testing.assert_allclose(
                    result.pose3d.keypoints, expected.pose3d.keypoints, atol=0.05
                )
            assert result.track_ids is None


async def several(service: PoseService, options: dict[str, Any]) -> list[PoseResult]:
    return await asyncio.gather(*(service(picture(width), **options) for width in WIDTHS))
