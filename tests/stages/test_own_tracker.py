"""Trackers that users bring."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import posekit
from posekit.errors import InputError
from posekit.options import PredictOptions
from posekit.result import PoseResult
from posekit.skeleton import load_skeleton
from posekit.stages.clip_tracks import ClipTracks
from posekit.stages.packet import Clip, Frame
from posekit.stages.track import Tracker
from tests.conftest import ROOT

COCO = load_skeleton("coco")
SIZE = (640, 480)


class Counting:
    """Numbers people by their places in the frame; has no more than it must."""

    made = 0

    def __init__(self) -> None:
        Counting.made += 1

    def update(self, boxes: Any, scores: Any, keypoints: Any, keypoint_scores: Any) -> Any:
        assert keypoints.shape == (len(boxes), 17, 2) and keypoint_scores.shape[1:] == (17,)
        return [7 + i for i in range(len(boxes))]


class Renewed(Counting):
    resets = 0

    def reset(self) -> None:
        self.resets += 1


def answering(answer: Any) -> Any:
    class Answering(Counting):
        def update(self, *_: Any) -> Any:
            return answer

    return Answering


def people(n: int, shift: float = 0.0) -> PoseResult:
    corners = np.array([[100.0 * i + shift, 50, 100 * i + 60 + shift, 210] for i in range(n)])
    boxes = corners.reshape(n, 4).astype(np.float32)
    spots = np.random.default_rng(0).uniform(0.1, 0.9, (17, 2)) * (60, 160)
    keypoints = (boxes[:, None, :2] + spots).astype(np.float32)
    return PoseResult(
        keypoints=keypoints,
        keypoint_scores=np.ones((n, 17), np.float32),
        boxes_xyxy=boxes,
        box_scores=np.ones(n, np.float32),
        skeleton=COCO,
        image_size=SIZE,
        name="a.mp4",
        index=0,
        source="a.mp4",
    )


def frames(clip: Clip | None, count: int = 3) -> list[Frame]:
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    return [Frame(image, i, "a.mp4", "a.mp4", clip=clip, frame_id=i) for i in range(count)]


def tracks_with(similarity: Any, **options: Any) -> ClipTracks:
    return ClipTracks(COCO, similarity=similarity, threshold=0.3, max_age=30, **options)


def clip() -> Clip:
    return Clip("a.mp4", "a.mp4", SIZE, Fraction(30))


def test_each_clip_gets_a_tracker_of_its_own() -> None:
    Counting.made = 0
    tracks = tracks_with(Counting)
    for _ in range(2):
        for frame in frames(clip()):
            ids = tracks.named(frame, people(2)).track_ids
            assert ids is not None and ids.tolist() == [7, 8]
    assert Counting.made == 2


def test_an_object_with_reset_begins_anew_with_each_clip() -> None:
    tracker = Renewed()
    tracks = tracks_with(tracker)
    for _ in range(3):
        for frame in frames(clip()):
            tracks.named(frame, people(1))
    assert tracker.resets == 3


def test_people_below_zero_are_not_reported() -> None:
    result = tracks_with(answering([-1, 4, -1])).named(frames(clip())[0], people(3))
    assert result.track_ids is not None and result.track_ids.tolist() == [4]
    np.testing.assert_array_equal(result.boxes_xyxy, people(3).boxes_xyxy[1:2])


def test_nobody_is_told_to_the_tracker_as_well() -> None:
    result = tracks_with(answering([])).named(frames(clip())[0], people(0))
    assert len(result) == 0


@pytest.mark.parametrize("answer", [[1], [1, 1], [0.5, 1.5], None, [[1], [2]], ["a", "b"]])
def test_wrong_answers_are_refused(answer: Any) -> None:
    with pytest.raises(InputError, match=r"expected 2 whole numbers from Answering\.update"):
        tracks_with(answering(answer)).named(frames(clip())[0], people(2))


def test_a_tracker_that_carries_no_boxes_detects_in_every_frame() -> None:
    with pytest.raises(InputError, match=r"det_interval .* Counting lacks carry, follow, .*boxes"):
        tracks_with(Counting, det_interval=5)
    assert PredictOptions(track=Counting).det_interval_at("fast", detects=True) == 1


def test_a_tracker_that_carries_boxes_does_so() -> None:
    made: list[Tracker] = []

    def make() -> Tracker:
        made.append(Tracker(similarity="oks", sigmas=COCO.sigmas, max_age=90))
        return made[-1]

    tracks = tracks_with(make, det_interval=3)
    carried = []
    for frame in frames(clip(), 6):
        boxes = tracks.carried(frame)
        carried.append(boxes is not None)
        result = tracks.named(frame, people(2, shift=2.0 * frame.index))
        assert result.track_ids is not None and result.track_ids.tolist() == [0, 1]
    assert carried == [False, True, True, False, True, True]
    assert len(made) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"track": "giou"}, "track must be one of none, iou, oks, .*found 'giou'"),
        ({"track": 3}, "track must be one of none, iou, oks, .*found 3"),
        ({"track": Counting()}, r"one Counting without reset\(\): give a function"),
        ({"track": Counting, "max_age": 9}, "max_age applies to posekit's own tracker only"),
        (
            {"track": Counting, "tracking_thr": 0.5},
            "tracking_thr applies to posekit's own tracker only",
        ),
        ({"track": Counting, "use_oks_tracking": True}, "use_oks_tracking contradicts track"),
    ],
)
def test_what_is_no_tracker_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PredictOptions(**options)


def test_a_function_that_makes_something_else_is_refused() -> None:
    with pytest.raises(InputError, match=r"trackers that have update\(\), found a list"):
        tracks_with(list)


def test_the_predictor_takes_one() -> None:
    predictor = posekit.load("demo", device="cpu")
    images = [np.full((120, 90, 3), 128, np.uint8)] * 2
    boxes = [[[0, 0, 40, 110], [45, 0, 88, 110]]] * 2
    results = list(predictor.stream(images, bboxes=boxes, track=Counting))
    assert len(results) == 2
    for result in results:
        assert result.track_ids is not None and result.track_ids.tolist() == [7, 8]


def test_the_adapter_of_the_documentation_works() -> None:
    pytest.importorskip("trackers")
    text = (ROOT / "docs" / "predict.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n((?:(?!```).)*class ByteTracked.*?)```", text, re.DOTALL)
    adapter, loop, _ = block.partition("\nfor result in ")
    assert loop and len(adapter.splitlines()) <= 20
    found: dict[str, Any] = {}
    exec(adapter, found)
    tracks = tracks_with(found["ByteTracked"])
    ids = []
    for frame in frames(clip(), 6):
        result = tracks.named(frame, people(frame.index % 3 + 1, shift=2.0 * frame.index))
        ids.append([] if result.track_ids is None else result.track_ids.tolist())
    assert ids[-1] and ids[-1][0] == ids[2][0]
    assert len(tracks.named(frames(clip())[0], people(0))) == 0
