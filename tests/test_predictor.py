"""The predictor: its options, its errors, its laziness."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import posekit
from posekit.config import PACKAGED
from posekit.drawing.drawer import Drawer, Look
from posekit.errors import (
    InputError,
    OutputError,
    PosekitError,
    UnknownModelError,
    WeightsError,
)
from posekit.finding import PoseFinder
from posekit.io import Clip, Frame
from posekit.io.video import VideoWriter
from posekit.result import Pose3D, PoseResult
from posekit.skeleton import load_skeleton
from posekit.spec import load_spec
from posekit.stages.boxes import Boxes
from posekit.stages.detect import Detector
from posekit.stages.estimate import Poses
from posekit.stages.packet import Packet
from posekit.weights.load import create_model
from tests.networks import assert_same_poses
from tests.stages.test_lift import Recorder, lifter_of

IMAGES = ("000000000785", "000000040083", "000000196141", "000000197388")


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


def test_licences_are_those_of_published_weights() -> None:
    demo = posekit.load("demo", device="cpu")
    assert demo.licenses == {
        "rtmpose-n_drawn-192x128": "Apache-2.0",
        "rtmdet-nano_drawn-256": "Apache-2.0",
    }
    own = posekit.load(
        "demo", weights=PACKAGED / "rtmpose-n_drawn-192x128.safetensors", detector="none"
    )
    assert own.licenses == {}


def test_results_do_not_depend_on_batch_sizes(human: posekit.Predictor, shared: Path) -> None:
    images = [shared / "images" / f"{image}.jpg" for image in IMAGES]
    first, other = (
        list(human.stream(images, batch_size=size, pose_batch_size=size, flip_test=False))
        for size in (1, 3)
    )
    for result, expected in zip(other, first, strict=True):
        np.testing.assert_allclose(result.boxes_xyxy, expected.boxes_xyxy, atol=1e-3)
    assert_same_poses(*poses_of(other), *poses_of(first))


def poses_of(results: list[PoseResult]) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (n, K, 2) and scores (n, K) of all people."""
    keypoints = np.concatenate([result.keypoints for result in results])
    return keypoints, np.concatenate([result.keypoint_scores for result in results])


def test_flip_test_averages_with_the_mirrored_crop(small: posekit.Predictor) -> None:
    crops = np.random.default_rng(0).integers(0, 255, (1, 256, 192, 3), np.uint8)
    mirrored = np.ascontiguousarray(crops[:, :, ::-1])
    order = list(small.estimator.skeleton.flip_indices)

    def asymmetry(flip_test: bool) -> float:
        """How far the scores change when the crop is mirrored."""
        estimator = small.estimator
        _, scores = estimator.codec.decode(estimator.forward(crops, flip_test=flip_test))
        _, other = estimator.codec.decode(estimator.forward(mirrored, flip_test=flip_test))
        return float(np.abs(scores - other[:, order]).max())

    assert asymmetry(True) < 1e-4
    assert asymmetry(False) > 1e-2


@pytest.mark.parametrize(
    ("speed", "flip_test", "mirrored"),
    [
        ("accurate", None, True),
        ("accurate", False, False),
        ("balanced", None, False),
        ("balanced", True, True),
        ("fast", None, False),
        ("fast", True, True),
    ],
)
def test_the_flip_test_goes_by_the_speed_where_a_call_does_not_say(
    small: posekit.Predictor, speed: Any, flip_test: bool | None, mirrored: bool
) -> None:
    predictor = posekit.Predictor(small.estimator, speed=speed)
    image = np.random.default_rng(0).integers(0, 256, (256, 192, 3), np.uint8)
    found = next(predictor.stream(image, flip_test=flip_test)).keypoint_scores
    expected = next(small.stream(image, flip_test=mirrored)).keypoint_scores
    other = next(small.stream(image, flip_test=not mirrored)).keypoint_scores
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(found - other).max() > 1e-2


def test_accurate_does_no_flip_test_that_the_model_does_not_have(
    small: posekit.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small.estimator, "flip_test", False)
    image = np.random.default_rng(0).integers(0, 256, (256, 192, 3), np.uint8)
    predictor = posekit.Predictor(small.estimator, speed="accurate")
    found, plain = (
        next(predictor.stream(image, flip_test=flip_test)).keypoint_scores
        for flip_test in (None, False)
    )
    np.testing.assert_allclose(found, plain, atol=1e-4)


def test_another_speed_is_refused_before_weights_are_looked_for(rtmpose_t: Path) -> None:
    message = "speed must be one of accurate, balanced, fast, found 'faster'"
    for weights in (rtmpose_t, "/nowhere/a.pth"):
        with pytest.raises(InputError, match=message):
            posekit.load("rtmpose-t_body8-256x192", weights=weights, speed="faster")  # type: ignore[arg-type]


def test_out_dir_has_a_drawing_and_the_predictions(
    small: posekit.Predictor, tmp_path: Path
) -> None:
    image = np.full((64, 48, 3), 200, np.uint8)
    (result,) = small(image, out_dir=tmp_path)
    written = json.loads((tmp_path / "predictions" / "00000000.json").read_text())
    assert written == json.loads(json.dumps(result["predictions"][0]))
    assert cv2.imread(str(tmp_path / "visualization" / "00000000.jpg")).shape == image.shape


def test_return_vis_gives_the_drawing_and_leaves_the_image(small: posekit.Predictor) -> None:
    image = np.full((256, 192, 3), 200, np.uint8)
    (result,) = small(image, return_vis=True)
    (drawing,) = result["visualization"]
    assert drawing.shape == image.shape and (drawing != 200).any()
    assert (image == 200).all()


def test_nobody_found(human: posekit.Predictor) -> None:
    blank = np.full((100, 200, 3), 128, np.uint8)
    assert next(human(blank))["predictions"] == [[]]
    ((instance,),) = next(human(blank, empty="whole_image"))["predictions"]
    assert instance["bbox"] == ([0.0, 0.0, 200.0, 100.0],)
    assert instance["bbox_score"] == 1.0


@pytest.mark.parametrize("ids", [1, [0, 7], np.array([80])])
def test_a_class_that_the_detector_does_not_have(human: posekit.Predictor, ids: Any) -> None:
    blank = np.full((100, 200, 3), 128, np.uint8)
    with pytest.raises(InputError, match=r"det_cat_ids must be from 0 to 0, .* found \["):
        next(human(blank, det_cat_ids=ids))
    assert next(human(blank, det_cat_ids=np.int64(0)))["predictions"] == [[]]


def frames_of(*clips: tuple[Clip | None, int]) -> list[Frame]:
    """So many black frames of each clip; None for images."""
    frames: list[Frame] = []
    for clip, count in clips:
        for number in range(count):
            image, index = np.zeros((400, 500, 3), np.uint8), len(frames)
            if clip is None:
                frames.append(Frame(image, index, f"{index}.png"))
            else:
                time = number / 25
                frames.append(Frame(image, index, clip.name, clip.source, clip, number, time))
    return frames


def clip_of(name: str, *, live: bool = False) -> Clip:
    return Clip(name, f"/nowhere/{name}", (500, 400), Fraction(25), live=live)


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterator[Frame]], None]:
    """Has the predictor read these frames, whatever the inputs."""

    def read(frames: Iterator[Frame]) -> None:
        def opened(*_: Any, **__: Any) -> contextlib.AbstractContextManager[Iterator[Frame]]:
            return contextlib.nullcontext(frames)

        monkeypatch.setattr("posekit.predictor.read_frames", opened)

    return read


def body(box: Sequence[float] | np.ndarray) -> np.ndarray:
    """Keypoints (17, 2) spread over a box."""
    spread = np.random.default_rng(0).uniform(0, 1, (17, 2))
    spread[0], spread[1] = 0, 1
    corner, end = np.array(box[:2]), np.array(box[2:4])
    return (corner + spread * (end - corner)).astype(np.float32)


def poses_in(boxes: Sequence[Boxes]) -> list[Poses]:
    """A pose that fills each box, for every image."""
    return [
        Poses(
            np.array([body(box) for box in several.xyxy]), np.ones((len(several), 17), np.float32)
        )
        for several in boxes
    ]


def boxes_of(rows: Sequence[Sequence[float]]) -> Boxes:
    """Of corners and a score each."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Boxes(table[:, :4], table[:, 4])


@pytest.mark.parametrize("smooth", [None, "one-euro"])
@pytest.mark.parametrize("before", [None, clip_of("a.mp4")], ids=["image", "video"])
def test_a_camera_behind_other_inputs_is_lifted_live(
    small: posekit.Predictor,
    reading: Callable[[Iterator[Frame]], None],
    monkeypatch: pytest.MonkeyPatch,
    before: Clip | None,
    smooth: Any,
) -> None:
    camera = clip_of("webcam_0", live=True)
    frames = frames_of((before, 3), (camera, 12), (clip_of("b.mp4"), 12))
    taken: list[Frame] = []
    reading(frame for frame in frames if not taken.append(frame))
    net = Recorder()
    predictor = posekit.Predictor(small.estimator, lifter=lifter_of(net, max_frames=30))
    monkeypatch.setattr(PoseFinder, "_poses", lambda _, __, boxes: poses_in(boxes))
    found = []
    for result in predictor.stream("any", smooth=smooth):
        found.append(result.index)
        if result.name == camera.name:
            # No frame waits, and the picture is still there to be drawn.
            assert len(taken) == result.index + 1
    assert found == list(range(27))
    assert [frames for _, frames in net.shapes[-13:]] == [*range(1, 10), 9, 9, 9, 12]


def test_a_camera_behind_an_image_is_drawn_from_what_was_read(
    small: posekit.Predictor, reading: Callable[[Iterator[Frame]], None]
) -> None:
    camera = clip_of("webcam_0", live=True)
    reading(iter(frames_of((None, 1), (camera, 3))))
    predictor = posekit.Predictor(small.estimator, lifter=lifter_of(Recorder()))
    results = list(predictor.stream("any", flip_test=False, return_vis=True))
    assert [result.visualization is not None for result in results] == [True] * 4


LEFT, RIGHT = [20.0, 100.0, 120.0, 300.0], [300.0, 100.0, 400.0, 300.0]


@pytest.fixture
def played(
    small: posekit.Predictor,
    reading: Callable[[Iterator[Frame]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., list[posekit.PoseResult]]:
    """Results of five frames, from what a detector finds in the first and fourth of them."""

    def play(
        detected: list[list[list[float]]], all_at: Sequence[float] | None = None
    ) -> list[posekit.PoseResult]:
        """`all_at`: where the poses of all boxes of the second frame are."""
        reading(iter(frames_of((clip_of("a.mp4"), 5))))
        turn, number = iter(detected), iter(range(5))

        def detect(*_: Any) -> list[Boxes]:
            return [boxes_of(next(turn))]

        def poses(_: Any, __: Any, boxes: list[Boxes]) -> list[Poses]:
            if next(number) == 1 and all_at is not None:
                return poses_in([boxes_of([[*all_at, 1]] * len(boxes[0]))])
            return poses_in(boxes)

        predictor = posekit.Predictor(small.estimator)
        monkeypatch.setattr(PoseFinder, "_detect", detect)
        monkeypatch.setattr(PoseFinder, "_poses", poses)
        options: dict[str, Any] = {"pose_based_nms": True, "det_interval": 3, "track": "iou"}
        return list(predictor.stream("any", **options))

    return play


def test_ids_stay_with_their_people_where_doubles_are_left_out(
    played: Callable[..., list[posekit.PoseResult]],
) -> None:
    # Who is surer changes with the second detection, and so does the order of the result.
    detected = [[[*LEFT, 0.9], [*RIGHT, 0.7]], [[*LEFT, 0.6], [*RIGHT, 0.8]]]
    results = played(detected)
    for result in results:
        assert result.track_ids is not None
        places = dict(zip(result.track_ids.tolist(), result.boxes_xyxy[:, 0], strict=True))
        assert places == pytest.approx({0: LEFT[0], 1: RIGHT[0]})


def test_a_carried_person_who_becomes_a_double_is_left_out(
    played: Callable[..., list[posekit.PoseResult]],
) -> None:
    detected = [[[*LEFT, 0.7], [*RIGHT, 0.9]]] * 2
    # In the second frame both boxes show the one on the right.
    results = played(detected, all_at=RIGHT)
    # Best first, and so the one on the right has id 0.
    ids = [result.track_ids.tolist() for result in results if result.track_ids is not None]
    assert ids == [[0, 1], [0], [0], [0, 1], [0, 1]]


@pytest.fixture
def turns(
    small: posekit.Predictor,
    reading: Callable[[Iterator[Frame]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., list[int]]:
    """The numbers of the frames that the detector saw, of every fourth and what else it takes."""

    def play(
        frames: list[Frame],
        *,
        found: Sequence[list[float]] = (LEFT,),
        lost_in: int | None = None,
        interval: Any = 4,
        speed: Any = "balanced",
    ) -> list[int]:
        """`found`: in every detection; `lost_in`: the frame in which no carried pose is sure."""
        seen: list[int] = []
        now = 0

        def read() -> Iterator[Frame]:
            nonlocal now
            for now, frame in enumerate(frames):  # noqa: B007 - of the frame under way
                yield frame

        reading(read())

        def detect(*_: Any) -> list[Boxes]:
            seen.append(now)
            return [boxes_of([[*box, 0.9] for box in found])]

        def poses(_: Any, __: Any, boxes: list[Boxes]) -> list[Poses]:
            (pose,) = poses_in(boxes)
            sure = 0.1 if now == lost_in != seen[-1] else 1.0
            return [
                pose._replace(
                    keypoints=pose.keypoints.reshape(-1, 17, 2), scores=sure * pose.scores
                )
            ]

        # Who is never asked; without one, `speed` could not let it rest.
        predictor = posekit.Predictor(small.estimator, lambda: pytest.fail("asked"), speed=speed)
        monkeypatch.setattr(PoseFinder, "_detect", detect)
        monkeypatch.setattr(PoseFinder, "_poses", poses)
        results = predictor.stream("any", det_interval=interval, batch_size=8)
        assert [len(result) for result in results] == [len(found)] * len(frames)
        return seen

    return play


@pytest.mark.parametrize("clip", [None, clip_of("a.mp4")], ids=["images", "video"])
def test_the_detector_has_its_turn_where_everybody_was_lost(
    turns: Callable[..., list[int]], clip: Clip | None
) -> None:
    frames = frames_of((clip, 10))
    assert turns(frames) == [0, 4, 8]
    assert turns(frames, lost_in=1) == [0, 1, 4, 8]
    # Where it finds nobody itself, nobody is lost.
    assert turns(frames, found=()) == [0, 4, 8]


def scene(seed: int) -> np.ndarray:
    """(400, 500, 3), with large shapes."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    return cv2.resize(small, (500, 400), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("interval", [4, "auto"])
def test_the_detector_has_its_turn_in_the_frame_behind_a_cut(
    turns: Callable[..., list[int]], interval: Any
) -> None:
    frames = [
        dataclasses.replace(frame, image=scene(number >= 6))
        for number, frame in enumerate(frames_of((clip_of("a.mp4"), 12)))
    ]
    assert turns(frames, interval=interval) == ([0, 4, 6, 8] if interval == 4 else [0, 6])


def test_a_doubtful_frame_is_looked_at_again_where_the_interval_is_automatic(
    turns: Callable[..., list[int]],
) -> None:
    frames = frames_of((clip_of("a.mp4"), 14))
    assert turns(frames, interval="auto") == [0, 10]
    assert turns(frames, interval="auto", lost_in=3) == [0, 3, 13]


def test_the_detector_rests_where_everybody_stays_in_sight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = posekit.load("demo", device="cpu", speed="fast")
    detector = predictor.detector
    assert detector is not None
    seen: list[int] = []
    find = detector.find_boxes

    def noted(images: Sequence[np.ndarray], *more: Any, **named: Any) -> list[Boxes]:
        seen.extend([1] * len(images))
        return find(images, *more, **named)

    monkeypatch.setattr(detector, "find_boxes", noted)
    picture = cv2.imread(str(PACKAGED / "demo.jpg"))
    path = tmp_path / "walk.mp4"
    with VideoWriter(path, fps=25.0, size=(900, 600)) as writer:
        for number in range(14):  # the camera turns, then shows another place
            shown = picture[20:620, 3 * number :][:, :900]
            writer.write(shown if number < 9 else shown[:, ::-1], number / 25)
    every = list(predictor.stream(path, det_interval=1))
    assert len(seen) == 14
    seen.clear()
    found = list(predictor.stream(path))
    assert 2 <= len(seen) < 14
    for one, other in zip(every, found, strict=True):
        assert len(one) == len(other) > 0
        order = one.boxes_xyxy[:, 0].argsort(), other.boxes_xyxy[:, 0].argsort()
        apart = one.keypoints[order[0]] - other.keypoints[order[1]]
        assert np.median(np.linalg.norm(apart, axis=-1)) < 4


def test_images_are_a_sequence_only_where_a_call_says_so(
    turns: Callable[..., list[int]],
) -> None:
    frames = frames_of((None, 3), (clip_of("a.mp4"), 3))
    assert turns(frames, interval="auto") == [0, 3]
    assert turns(frames, interval=None, speed="fast") == [0, 1, 2, 3]


def test_the_detector_has_its_turn_where_everybody_left_the_image(
    turns: Callable[..., list[int]],
) -> None:
    # A box that is outside of the next frame cannot be carried to it.
    outside = [[600.0, 100.0, 700.0, 300.0]]
    assert turns(frames_of((clip_of("a.mp4"), 4)), found=outside) == [0, 1, 2, 3]


def test_no_box_is_carried_to_an_image_of_another_size_or_from_a_video(
    turns: Callable[..., list[int]],
) -> None:
    frames = frames_of((None, 6))
    other = np.zeros((300, 500, 3), np.uint8)
    frames[2:] = [dataclasses.replace(frame, image=other) for frame in frames[2:]]
    assert turns(frames) == [0, 2, 4]
    assert turns(frames_of((None, 2), (clip_of("a.mp4"), 3), (None, 4))) == [0, 2, 5, 8]


def test_it_is_lazy(small: posekit.Predictor) -> None:
    taken = []

    def images() -> Iterator[np.ndarray]:
        for number in range(1000):
            taken.append(number)
            yield np.zeros((32, 32, 3), np.uint8)

    results = small(images())
    assert taken == []
    next(results)
    results.close()
    assert len(taken) < 20  # some are read ahead


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, [8, 2]), ({"batch_size": 3}, [3, 3, 3, 1]), ({"det_interval": 2}, [1] * 10)],
)
def test_so_many_images_are_taken_at_once(
    small: posekit.Predictor,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    expected: list[int],
) -> None:
    sizes = []
    run = small.estimator.run

    def counted(images: torch.Tensor) -> Any:
        sizes.append(len(images))
        return run(images)

    monkeypatch.setattr(small.estimator, "run", counted)
    images = [np.zeros((64, 64, 3), np.uint8)] * 10
    assert len(list(small.stream(images, flip_test=False, **options))) == 10
    assert sizes == expected


def test_an_iterators_next_image_may_wait_for_a_result(small: posekit.Predictor) -> None:
    given, waited = threading.Event(), []

    def images() -> Iterator[np.ndarray]:
        yield np.zeros((64, 64, 3), np.uint8)
        waited.append(given.wait(60))
        yield np.zeros((64, 64, 3), np.uint8)

    results = small.stream(images())
    next(results)
    given.set()
    next(results)
    assert waited == [True]


@pytest.mark.parametrize(
    "bboxes",
    [
        [[1, 2, 30, 40]],
        [[[1, 2, 30, 40]]],
        [1, 2, 30, 40],
        [[1, 2, 30, 40, 0.5]],
        np.array([[1, 2, 30, 40]]),
        [np.array([[1, 2, 30, 40]])],
        torch.tensor([[1, 2, 30, 40]]),
        [torch.tensor([[1, 2, 30, 40]])],
    ],
    ids=[
        "one image",
        "per image",
        "one box",
        "with score",
        "array",
        "arrays",
        "tensor",
        "tensors",
    ],
)
def test_boxes_in_every_form(small: posekit.Predictor, bboxes: Any) -> None:
    (result,) = small.stream(np.zeros((64, 64, 3), np.uint8), bboxes=bboxes)
    assert result.boxes_xyxy.tolist() == [[1, 2, 30, 40]]
    assert result.box_scores.tolist() in ([1.0], [0.5])


def test_boxes_per_image_with_different_counts(small: posekit.Predictor) -> None:
    images = [np.zeros((64, 64, 3), np.uint8)] * 3
    boxes = [[[1, 2, 30, 40], [5, 5, 9, 9]], [], [[0, 0, 9, 9]]]
    assert [len(result) for result in small.stream(images, bboxes=boxes, batch_size=3)] == [2, 0, 1]


@pytest.mark.parametrize(
    "bboxes, message",
    [
        ([[1, 2, 3]], r"must be \(n, 4\) or \(n, 5\)"),
        ([[30, 2, 1, 40]], "x1 <= x2"),
        ([[1, 2, float("nan"), 40]], "x1 <= x2"),
        ([["a", "b", "c", "d"]], "not numbers"),
        (5, r"must be \(n, 4\) or \(n, 5\)"),
    ],
)
def test_wrong_boxes(small: posekit.Predictor, bboxes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        next(small(np.zeros((64, 64, 3), np.uint8), bboxes=bboxes))


def test_boxes_for_more_images_than_there_are(
    small: posekit.Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    boxes = [[[1, 1, 20, 30]]] * 3
    assert len(list(small([np.zeros((40, 40, 3), np.uint8)] * 2, bboxes=boxes))) == 2
    assert "boxes for 3 images, but there are 2" in caplog.text


def test_empty_texts_name_no_folders(
    small: posekit.Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = dict.fromkeys(("out_dir", "vis_out_dir", "pred_out_dir"), "")
    list(small(np.zeros((40, 40, 3), np.uint8), bboxes=[[1, 1, 20, 30]], **folders))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (None, {}, "^expected the name of a model, found None$"),
        (3, {}, "^expected the name of a model, found 3$"),
        ("human\n", {}, r"^unknown model 'human\\n'; did you mean human"),
        ("/none/x.py", {}, "^unknown model 'x'.* There is no such file either"),
        ("demo", {"weights": 3}, "^weights: expected a file, a folder or a URL, found 3$"),
        ("demo", {"detector_weights": ""}, "^detector_weights: expected a file.* found ''$"),
        ("demo", {"trust": "no"}, "^trust must be true or false, found 'no'$"),
        ("demo", {"config_dir": "/none"}, "^config_dir: no such folder: /none$"),
    ],
)
def test_arguments_of_load_are_checked(name: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PosekitError, match=message):
        posekit.load(name, **options)


def test_boxes_for_fewer_images_than_there_are(small: posekit.Predictor) -> None:
    images = [np.zeros((64, 64, 3), np.uint8)] * 2
    results = small.stream(images, bboxes=[[1, 2, 30, 40]])
    assert len(next(results)) == 1
    with pytest.raises(InputError, match="bboxes has boxes for 1 images"):
        next(results)


def test_a_bad_file_is_raised_or_skipped(
    small: posekit.Predictor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((32, 32, 3), np.uint8))
    (tmp_path / "a.png").write_text("nothing")
    with pytest.raises(InputError, match=r"a\.png"):
        list(small(tmp_path))
    with caplog.at_level(logging.WARNING):
        (result,) = small.stream(tmp_path, on_error="skip")
    assert result.name == "b.png" and result.index == 1
    assert "a.png" in caplog.text
    failed = {}
    assert len(list(small(tmp_path, on_error=failed.__setitem__))) == 1
    assert list(failed) == [str(tmp_path / "a.png")]


def test_options_are_checked_before_anything_is_read(
    small: posekit.Predictor, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="did you mean bbox_thr"):
        small("none.jpg", bbox_th=0.5)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write to the folder"):
        small("none.jpg", out_dir=tmp_path / "file")


def test_boxes_outside_of_the_image_are_no_error(small: posekit.Predictor) -> None:
    (result,) = small.stream(
        np.zeros((64, 64, 3), np.uint8), bboxes=[[-500, -500, -400, -400], [0, 0, 0, 0]]
    )
    assert np.isfinite(result.keypoints).all()


def test_half_precision(rtmpose_t: Path) -> None:
    predictor = posekit.load(
        "rtmpose-t_body8-256x192",
        weights=rtmpose_t,
        detector="whole_image",
        device="cpu",
        dtype="bfloat16",
    )
    assert next(predictor.estimator.net.parameters()).dtype == torch.bfloat16
    (result,) = predictor.stream(np.zeros((64, 64, 3), np.uint8))
    assert result.keypoints.dtype == np.float32


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_a_backend_finds_the_same_keypoints(
    small: posekit.Predictor, rtmpose_t: Path, shared: Path, backend: str
) -> None:
    if backend == "onnxruntime":
        pytest.importorskip("onnxruntime")
    faster = posekit.load(
        "rtmpose-t_body8-256x192",
        weights=rtmpose_t,
        detector="whole_image",
        device="cpu",
        backend=backend,
    )
    images = [shared / "images" / f"{image}.jpg" for image in IMAGES]
    found, expected = (
        np.concatenate([result.keypoints for result in predictor.stream(images)])
        for predictor in (faster, small)
    )
    assert faster.estimator is not small.estimator
    assert np.quantile(np.linalg.norm(found - expected, axis=-1), 0.99) <= 0.1


class TestLoad:
    """What `load` refuses, and when."""

    def test_unknown_model(self) -> None:
        with pytest.raises(UnknownModelError, match="did you mean"):
            posekit.load("rtmpose-m_body8")

    def test_unknown_detector(self, rtmpose_t: Path) -> None:
        with pytest.raises(UnknownModelError, match="rtmdet-nano"):
            posekit.load("rtmpose-t_body8-256x192", weights=rtmpose_t, detector="rtmdet-nano_x")

    def test_a_detector_is_no_pose_model(self) -> None:
        with pytest.raises(InputError, match="is a detector"):
            posekit.load("rtmdet-nano_person-320")

    def test_a_pose_model_is_no_detector(self, rtmpose_t: Path) -> None:
        with pytest.raises(InputError, match="is not a detector"):
            posekit.load(
                "rtmpose-t_body8-256x192", weights=rtmpose_t, detector="rtmpose-t_body8-256x192"
            )

    def test_weights_of_another_model(self, rtmpose_t: Path) -> None:
        with pytest.raises(WeightsError, match="another model, or for another number of keypoints"):
            posekit.load("rtmpose-m_body8-256x192", weights=rtmpose_t, detector="whole_image")

    def test_weights_of_another_number_of_keypoints(self, rtmpose_t: Path) -> None:
        with pytest.raises(WeightsError, match=r"\(17, 384, 7, 7\), expected \(26, 384, 7, 7\)"):
            posekit.load(
                "rtmpose-t_body8-halpe26-256x192", weights=rtmpose_t, detector="whole_image"
            )

    def test_no_such_weights(self) -> None:
        with pytest.raises((WeightsError, InputError), match=r"none\.pth"):
            posekit.load("human", weights="none.pth")

    @pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
    def test_no_cuda(self, rtmpose_t: Path) -> None:
        with pytest.raises(InputError, match="device 'cuda' cannot be used here"):
            posekit.load("rtmpose-t_body8-256x192", weights=rtmpose_t, device="cuda")

    @pytest.mark.parametrize("device", ["gpu", "cpu:x", ""])
    def test_no_such_device(self, rtmpose_t: Path, device: str) -> None:
        with pytest.raises(InputError, match="cannot be used here"):
            posekit.load("rtmpose-t_body8-256x192", weights=rtmpose_t, device=device)

    @pytest.mark.parametrize(
        "backend, message",
        [("tensorrt", "it is for NVIDIA GPUs"), ("onnx", "did you mean onnxruntime")],
    )
    def test_no_such_backend(self, rtmpose_t: Path, backend: str, message: str) -> None:
        with pytest.raises(InputError, match=message):
            posekit.load(
                "rtmpose-t_body8-256x192", weights=rtmpose_t, device="cpu", backend=backend
            )

    @pytest.mark.parametrize("dtype", ["int8", torch.int32, "half-float"])
    def test_no_such_type(self, rtmpose_t: Path, dtype: Any) -> None:
        with pytest.raises(InputError, match="dtype must be"):
            posekit.load("rtmpose-t_body8-256x192", weights=rtmpose_t, dtype=dtype)

    def test_the_models_own_detector_waits_until_it_is_needed(self, rtmpose_t: Path) -> None:
        predictor = posekit.load("rtmpose-t_body8-256x192", weights=rtmpose_t, device="cpu")
        image = np.zeros((64, 64, 3), np.uint8)
        assert len(list(predictor(image, bboxes=[[0, 0, 64, 64]]))) == 1
        with pytest.raises(posekit.errors.DownloadError, match="rtmdet-m_person-640"):
            next(predictor(image))


def test_a_pickled_predictor_is_loaded_again(rtmpose_t: Path) -> None:
    predictor = posekit.load(
        "rtmpose-t_body8-256x192", weights=rtmpose_t, detector="whole_image", device="cpu"
    )
    image = np.full((64, 48, 3), 128, np.uint8)
    again = pickle.loads(pickle.dumps(predictor))
    (expected,), (found,) = predictor.stream(image), again.stream(image)
    # Which maximum of nearly equal ones is highest is not asked.
    np.testing.assert_allclose(found.keypoint_scores, expected.keypoint_scores, atol=1e-4)
    with pytest.raises(TypeError, match=r"posekit\.load"):
        pickle.dumps(posekit.Predictor(predictor.estimator))


def test_threads_load_the_detector_once(small: posekit.Predictor) -> None:
    made = []

    def find() -> Detector:
        name = "rtmdet-nano_drawn-256"
        made.append(name)
        return Detector(create_model(name, weights="published"), load_spec(name))

    predictor = posekit.Predictor(small.estimator, find)
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: predictor.detector, range(4)))
    assert len(found) == len(made) == 1


@pytest.mark.parametrize(("height", "cells"), [(8, 1), (300, 100), (5000, 4)])
def test_plots_are_drawn_beside_pictures_of_any_height(height: int, cells: int) -> None:
    skeleton = load_skeleton("h36m")
    count = skeleton.num_keypoints
    points = np.random.default_rng(0).random((1, count, 3)).astype(np.float32)
    scores = np.ones((1, count), np.float32)
    result = PoseResult(
        keypoints=points[..., :2] * height,
        keypoint_scores=scores,
        boxes_xyxy=np.array([[0, 0, 32, height]], np.float32),
        box_scores=np.ones(1, np.float32),
        skeleton=skeleton,
        image_size=(32, height),
        name="a.png",
        index=0,
        pose3d=Pose3D(points, scores, skeleton, "m", "x right"),
    )
    image = np.zeros((height, 32, 3), np.uint8)
    drawing = Drawer(Look(num_instances=cells)).draw(Packet(result, image=image))
    assert drawing.shape[0] == height
    assert drawing.shape[1] > 32


def test_an_input_that_comes_later_is_not_drawn_over(
    small: posekit.Predictor, tmp_path: Path
) -> None:
    for name in ("a/y.png", "b/x.png"):
        (tmp_path / name).parent.mkdir()
        cv2.imwrite(str(tmp_path / name), np.full((8, 8, 3), 7, np.uint8))
    before = (tmp_path / "b" / "x.png").read_bytes()
    inputs = [str(tmp_path / "a" / "y.png"), str(tmp_path / "b")]
    with pytest.raises(OutputError, match=r"b/x\.png: it is one of the inputs"):
        list(small(inputs, vis_out_dir=tmp_path / "b" / "x.png"))
    assert (tmp_path / "b" / "x.png").read_bytes() == before


FORK = """
import os, sys
import numpy as np
import torch
import posekit
from posekit.backends import default

default.FIRST_PIXELS //= 10  # so that 20 images have enough
image = np.zeros((64, 48, 3), np.uint8)
for case in sys.argv[1:]:
    engine, threads, frames = case.split(":")
    torch.set_num_threads(2)
    predictor = posekit.load("demo", detector="whole_image", device="cpu", backend=engine or None)
    for _ in range(int(frames)):
        list(predictor.stream(image))
    child = os.fork()
    if child == 0:
        torch.set_num_threads(int(threads))
        try:
            print(len(list(predictor.stream(image))))
        except posekit.errors.InputError as error:
            print(error)
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_forked_processes_wait_for_no_threads_that_they_lack(tmp_path: Path) -> None:
    expected = {
        ":2:1": "this predictor was loaded before its process was forked",
        ":1:1": "1",  # as in the workers of a DataLoader
        ":1:20": "1",  # there is an engine by then
    }
    for engine in ("onnxruntime", "openvino"):
        if importlib.util.find_spec(engine):
            said = f"backend={engine} was loaded before its process was forked"
            expected[f"{engine}:1:1"] = said
    command = [sys.executable, "-c", FORK, *expected]
    environment = {**os.environ, "POSEKIT_CACHE": str(tmp_path)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=900, env=environment, check=True
    )
    lines = done.stdout.splitlines()
    for (case, printed), line in zip(expected.items(), lines, strict=True):
        assert line.startswith(printed), case
