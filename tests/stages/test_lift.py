"""2D tracks -> 3D: alone, in windows, live."""

from __future__ import annotations

import dataclasses
import json
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posekit.build import build_network
from posekit.codecs.lifting import stand_up
from posekit.errors import InputError
from posekit.models.motionbert import MotionBERT
from posekit.result import PoseResult
from posekit.skeleton import load_skeleton
from posekit.spec import LifterSpec, load_spec
from posekit.stages.lift import Lifter
from posekit.stages.windows import LIVE_WINDOW
from tests.networks import reference_state
from tests.stages.packets import lift_results as lift_stream
from weights_convert import convert_state_dict

SPEC = load_spec("motionbert-ft_h36m")
assert isinstance(SPEC, LifterSpec)
COCO = load_skeleton("coco")
H36M = load_skeleton("h36m")
SIZE = (500, 400)  # half its width times 4 mm is a metre: units of the network are metres


class Recorder(nn.Module):
    """Gives x and y back, and as depth each frame's position in its window; notes the windows."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(1))
        self.shapes: list[tuple[int, int]] = []  # (N, T) of each call

    def forward(self, keypoints: Tensor) -> Tensor:
        count, frames = keypoints.shape[:2]
        self.shapes.append((count, frames))
        out = keypoints.clone()
        out[..., 2] = torch.arange(frames)[:, None]
        return out


def lifter_of(net: nn.Module, *, max_frames: int = 9, flip_test: bool = False) -> Lifter:
    spec = replace(SPEC, net=SPEC.net.having(max_frames=max_frames), flip_test=flip_test)
    return Lifter(net, spec, H36M)


def small_network(max_frames: int = 9) -> MotionBERT:
    torch.manual_seed(0)
    return MotionBERT(
        channels=16, depth=1, num_heads=2, representation_channels=8, max_frames=max_frames
    ).eval()


def keypoints_of(track_id: int, time: float) -> np.ndarray:
    """A person (17, 2) who walks at a constant speed and moves the limbs."""
    phase = np.arange(17) * 0.7 + track_id
    spread = np.stack([30 * np.cos(phase + time / 3), 80 * np.sin(phase)], axis=1)
    return (spread + [200 + 3 * time, 180 + 5 * track_id]).astype(np.float32)


def frame(
    number: int | None,
    ids: Sequence[int] = (1,),
    *,
    name: str = "a.mp4",
    index: int = 0,
    **changes: Any,
) -> PoseResult:
    keypoints = [keypoints_of(i, number or 0) for i in ids]
    centers = [k.mean(axis=0) for k in keypoints]
    boxes = [[*(c - [40, 90]), *(c + [40, 90])] for c in centers]
    n = len(ids)
    result = PoseResult(
        keypoints=np.array(keypoints, np.float32).reshape(n, 17, 2),
        keypoint_scores=np.full((n, 17), 0.5, np.float32),
        boxes_xyxy=np.array(boxes, np.float32).reshape(n, 4),
        box_scores=np.full(n, 0.9, np.float32),
        skeleton=COCO,
        image_size=SIZE,
        name=name,
        index=index,
        source=f"/videos/{name}",
        frame_id=number,
        track_ids=None if number is None else np.array(ids, np.int64),
    )
    return dataclasses.replace(result, **changes)


def clip(length: int, **changes: Any) -> list[PoseResult]:
    return [frame(i, **changes) for i in range(length)]


def lifted(results: Iterable[PoseResult], lifter: Lifter, **options: Any) -> list[PoseResult]:
    return list(lift_stream(results, lifter, **options))


def depths(results: Iterable[PoseResult], index: int = 0) -> list[float]:
    """What `Recorder` said of the position in the window, per result."""
    found = []
    for result in results:
        assert result.pose3d is not None
        found.append(float(result.pose3d.keypoints[index, 1, 1]))
    return found


# As the reference: a window of one frame.


@pytest.fixture(scope="module")
def reference_lifter(shared: Path) -> Lifter:
    """The whole network with the weights that the reference's results were made with."""
    folder = shared / "reference" / "pose3d" / "motionbert_dstformer-ft-243frm_8xb32-120e_h36m"
    net = build_network(SPEC.net)
    net.load_state_dict(convert_state_dict(reference_state(folder), net=net), assign=True)
    return Lifter(net.eval(), SPEC, H36M)


def recorded(shared: Path, name: str) -> list[list[dict[str, Any]]]:
    text = (shared / "reference" / "inferencer" / f"{name}.json").read_text()
    results = json.loads(text)["result"]
    return [r["predictions"][0] for r in (results if isinstance(results, list) else [results])]


def as_result(
    people: list[dict[str, Any]], size: tuple[int, int], frame_id: int | None
) -> PoseResult:
    return PoseResult(
        keypoints=np.array([p["keypoints"] for p in people], np.float32),
        keypoint_scores=np.array([p["keypoint_scores"] for p in people], np.float32),
        boxes_xyxy=np.array([p["bbox"][0] for p in people], np.float32),
        box_scores=np.array([p["bbox_score"] for p in people], np.float32),
        skeleton=COCO,
        image_size=size,
        name="demo",
        index=frame_id or 0,
        frame_id=frame_id,
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("human3d__demo", {}),
        (
            "human3d__demo_oks_nonorm_norebase",
            {"disable_norm_pose_2d": True, "disable_rebase_keypoint": True},
        ),
    ],
)
def test_clip_matches_the_reference(
    shared: Path, reference_lifter: Lifter, name: str, options: dict[str, bool]
) -> None:
    video = enumerate(recorded(shared, "video2d__demo"))
    results = [as_result(people, (960, 540), number) for number, people in video]
    found = lifted(results, reference_lifter, window=1, **options)
    for result, expected in zip(found, recorded(shared, name), strict=True):
        assert result.pose3d is not None and len(result) == len(expected)
        wanted = np.array([person["keypoints"] for person in expected])
        # Its tracker lists people in another order.
        errors = np.abs(result.pose3d.keypoints[:, None] - wanted[None]).max(axis=(2, 3))
        assert errors.min(axis=0).max() < 1e-4
        assert errors.min(axis=1).max() < 1e-4


def test_photograph_matches_the_reference(shared: Path, reference_lifter: Lifter) -> None:
    image = cv2.imread(str(shared / "images" / "000000000785.jpg"))
    people = recorded(shared, "rtmpose-m_8xb256-420e_body8-256x192__000000000785")[0]
    result = as_result(people, (image.shape[1], image.shape[0]), None)
    (found,) = lifted([result], reference_lifter)
    (wanted,) = recorded(shared, "human3d__000000000785")[0]
    (instance,) = found.instances()
    assert list(instance) == list(wanted)
    np.testing.assert_allclose(instance["keypoints"], wanted["keypoints"], atol=1e-4)
    np.testing.assert_array_equal(instance["keypoint_scores"], wanted["keypoint_scores"])


def test_people_of_a_frame_go_through_the_network_together() -> None:
    net = Recorder()
    (found,) = lifted([frame(0, [4, 2, 9])], lifter_of(net), window=1)
    assert net.shapes == [(3, 1)]
    assert found.interpolated is None
    assert found.track_ids is not None and found.track_ids.tolist() == [4, 2, 9]


def test_images_are_lifted_alone_whatever_the_window() -> None:
    net = Recorder()
    source = iter([frame(None), frame(None)])
    stream = lift_stream(source, lifter_of(net), window=9)
    next(stream)
    assert next(source, None) is not None  # the second one was not needed for the first
    assert net.shapes == [(1, 1)]


def test_nobody_in_the_frame() -> None:
    for window in (1, 3):
        found = lifted([frame(0, []), frame(1, [])], lifter_of(Recorder()), window=window)
        for result in found:
            assert result.pose3d is not None
            assert result.pose3d.keypoints.shape == (0, 17, 3)
            assert result.instances() == []


# The lifter.


def test_batch_is_bounded_and_does_not_change_the_result() -> None:
    lifter = lifter_of(small_network(), flip_test=True)
    keypoints = np.stack([[keypoints_of(i, t) for t in range(4)] for i in range(5)])
    boxes = np.tile(np.array([100, 50, 300, 350], np.float32), (5, 4, 1))
    whole = lifter(keypoints, boxes, image_size=SIZE)
    parts = lifter(keypoints, boxes, image_size=SIZE, batch_size=1)
    assert whole.dtype == np.float32 and whole.shape == (5, 4, 17, 3)
    np.testing.assert_allclose(whole, parts, atol=1e-5)
    recorder = Recorder()
    lifter_of(recorder)(keypoints, boxes, image_size=SIZE, batch_size=9)
    assert recorder.shapes == [(2, 4), (2, 4), (1, 4)]


def test_flip_test_averages_with_the_mirrored_sequence() -> None:
    lifter = lifter_of(small_network())
    keypoints = np.stack([[keypoints_of(1, t) for t in range(4)]])
    boxes = np.tile(np.array([100, 50, 300, 350], np.float32), (1, 4, 1))
    mirrored = keypoints[:, :, list(COCO.flip_indices)] * [-1, 1] + [SIZE[0], 0]
    options: dict[str, Any] = {"image_size": SIZE, "normalize": False, "on_ground": False}
    plain = lifter(keypoints, boxes, **options)
    other = lifter(mirrored, boxes, **options)[:, :, list(H36M.flip_indices)] * [-1, 1, 1]
    averaged = lifter(keypoints, boxes, flip_test=True, **options)
    np.testing.assert_allclose(averaged, (plain + other) / 2, atol=1e-5)
    assert np.abs(averaged - plain).max() > 1e-3


def test_sequence_has_one_size_and_place() -> None:
    lifter = lifter_of(Recorder())
    still = np.tile(keypoints_of(1, 0), (1, 9, 1, 1))
    jitter = np.random.default_rng(0).uniform(-20, 20, (1, 9, 4))
    boxes = (np.array([100, 50, 300, 350]) + jitter).astype(np.float32)
    together = lifter(still, boxes, image_size=SIZE)[..., 0]
    assert np.ptp(together, axis=1).max() < 1e-6  # boxes that jitter do not move anybody
    apart = lifter(still[0, :, None], boxes[0, :, None], image_size=SIZE)[:, 0, :, 0]
    assert np.ptp(apart, axis=0).max() > 1e-2


def test_one_wild_box_does_not_change_the_size() -> None:
    lifter = lifter_of(Recorder())
    still = np.tile(keypoints_of(1, 0), (1, 5, 1, 1))
    boxes = np.tile(np.array([100, 50, 300, 350], np.float32), (1, 5, 1))
    wild = boxes.copy()
    wild[0, 2] = [0, -400, 400, 800]  # the same centre
    found, expected = (lifter(still, b, image_size=SIZE) for b in (wild, boxes))
    np.testing.assert_array_equal(found, expected)


def test_box_without_area_gives_numbers() -> None:
    found = lifter_of(small_network())(
        np.zeros((1, 2, 17, 2), np.float32), np.zeros((1, 2, 4), np.float32), image_size=SIZE
    )
    assert np.isfinite(found).all()


@pytest.mark.parametrize("frames", [1, 2, 27, 243])
def test_any_number_of_frames_up_to_the_networks(frames: int) -> None:
    lifter = lifter_of(small_network(243), max_frames=243)
    boxes = np.tile(np.array([100, 50, 300, 350], np.float32), (2, frames, 1))
    keypoints = np.stack([[keypoints_of(i, t) for t in range(frames)] for i in range(2)])
    assert lifter(keypoints, boxes, image_size=SIZE).shape == (2, frames, 17, 3)


def test_more_frames_than_the_networks_are_refused() -> None:
    lifter = lifter_of(small_network())
    with pytest.raises(InputError, match="at most 9 frames, found 10; lift longer"):
        lifter(np.zeros((1, 10, 17, 2)), np.zeros((1, 10, 4)), image_size=SIZE)


def test_wrong_shapes_are_refused() -> None:
    lifter = lifter_of(Recorder())
    with pytest.raises(ValueError, match=r"found \(1, 2, 26, 2\) and \(1, 2, 4\)"):
        lifter(np.zeros((1, 2, 26, 2)), np.zeros((1, 2, 4)), image_size=SIZE)


def test_units_and_axes_say_what_is_not_known() -> None:
    def words(**options: bool) -> str:
        (found,) = lifted([frame(None)], lifter_of(Recorder()), **options)
        assert found.pose3d is not None and found.pose3d.skeleton is H36M
        return f"{found.pose3d.unit} {found.pose3d.axes}"

    assert "1.6 m" in words() and "lowest keypoint" in words()
    assert "a pixel of the image is 4 mm" in words(disable_norm_pose_2d=True)
    assert "lowest keypoint" not in words(disable_rebase_keypoint=True)


# Windows.


def test_overlapping_windows_are_averaged_by_distance_from_the_nearer_end() -> None:
    found = depths(lifted(clip(15), lifter_of(Recorder()), window=9))
    # Windows [0, 9), [3, 12), [6, 15).
    assert found[:3] == [0, 1, 2]
    weights = {3: (4, 1), 4: (5, 2), 5: (4, 3)}
    for number, (first, second) in weights.items():
        expected = (first * number + second * (number - 3)) / (first + second)
        assert found[number] == pytest.approx(expected)
    assert found[7] == pytest.approx((2 * 7 + 5 * 4 + 2 * 1) / 9)
    assert found[12:] == [6, 7, 8]


def test_last_window_ends_with_the_track() -> None:
    net = Recorder()
    found = depths(lifted(clip(11), lifter_of(net), window=9))
    assert net.shapes == [(1, 9), (1, 9)]  # [0, 9), [2, 11)
    assert found[10] == 8
    assert found[2] == pytest.approx((3 * 2 + 1 * 0) / 4)


def test_windows_agree_with_the_network_called_by_hand() -> None:
    lifter = lifter_of(small_network(), flip_test=True)
    results = clip(20)
    keypoints = np.stack([r.keypoints[0] for r in results])
    boxes = np.stack([r.boxes_xyxy[0] for r in results])
    totals, weights = np.zeros((20, 17, 3)), np.zeros(20)
    for first in (0, 3, 6, 9, 11):
        part = slice(first, first + 9)
        (one,) = lifter(keypoints[None, part], boxes[None, part], image_size=SIZE, on_ground=False)
        share = np.minimum(np.arange(9) + 1, 9 - np.arange(9))
        totals[part] += share[:, None, None] * one
        weights[part] += share
    expected = totals / weights[:, None, None]
    expected[..., 2] -= expected[..., 2].min(axis=1, keepdims=True)
    for result, wanted in zip(lifted(results, lifter), expected, strict=True):
        assert result.pose3d is not None
        np.testing.assert_allclose(result.pose3d.keypoints[0], wanted, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 8, 9])
def test_short_clip_is_one_window(length: int) -> None:
    net = Recorder()
    found = lifted(clip(length), lifter_of(net))
    assert net.shapes == [(1, length)]
    assert depths(found) == list(range(length))


def test_noise_of_boxes_is_smaller_than_frame_by_frame() -> None:
    rng = np.random.default_rng(0)
    noisy = [
        dataclasses.replace(
            r, boxes_xyxy=r.boxes_xyxy + rng.normal(0, 8, (1, 4)).astype(np.float32)
        )
        for r in clip(60)
    ]

    def jitter(window: int) -> float:
        poses = []
        for results in (noisy, clip(60)):
            found = lifted(results, lifter_of(Recorder()), window=window)
            x = np.array([r.pose3d.keypoints[0, 1:, 0] for r in found if r.pose3d is not None])
            poses.append(x - x.mean(axis=1, keepdims=True))  # not the place
        return float(np.abs(np.diff(poses[0] - poses[1], axis=0)).mean())

    assert jitter(9) < 0.3 * jitter(1)


def test_results_leave_in_order_after_at_most_a_window() -> None:
    taken = 0

    def source() -> Iterator[PoseResult]:
        nonlocal taken
        for i in range(40):
            taken += 1
            # Somebody comes and goes.
            yield frame(i, [1, 2] if i % 11 < 4 else [1], index=100 + i)

    delays = []
    for left, result in enumerate(lift_stream(source(), lifter_of(Recorder()), window=9)):
        assert result.index == 100 + left
        delays.append(taken - 1 - left)
    assert len(delays) == 40
    assert max(delays) == 9


def test_windows_due_together_go_in_one_batch() -> None:
    net = Recorder()
    lifted(clip(12, ids=[1, 2, 3]), lifter_of(net), window=9)
    assert net.shapes == [(3, 9), (3, 9)]


def test_cost_is_three_network_frames_per_frame() -> None:
    net = Recorder()
    lifted(clip(900), lifter_of(net), window=9)
    assert sum(n * t for n, t in net.shapes) / 900 == pytest.approx(3, abs=0.05)


def test_people_keep_their_places_and_ids() -> None:
    results = [frame(i, [5, 7] if i % 2 else [7, 5]) for i in range(12)]
    options: dict[str, Any] = {"disable_norm_pose_2d": True, "disable_rebase_keypoint": True}
    found = lifted(results, lifter_of(Recorder()), window=9, **options)
    alone = lifted(results, lifter_of(Recorder()), window=1, **options)
    for result, single in zip(found, alone, strict=True):
        assert result.track_ids is not None and single.track_ids is not None
        assert result.track_ids.tolist() == single.track_ids.tolist()
        assert result.pose3d is not None and single.pose3d is not None
        np.testing.assert_allclose(
            result.pose3d.keypoints[..., ::2], single.pose3d.keypoints[..., ::2], atol=1e-5
        )


def test_clips_never_mix() -> None:
    net = Recorder()
    clips = [*clip(4), *clip(5, name="b.mp4"), *clip(6, name="b.mp4"), frame(None), *clip(2)]
    found = lifted(clips, lifter_of(net), window=9)
    assert [t for _, t in net.shapes] == [4, 5, 6, 1, 2]
    assert [r.name for r in found] == [r.name for r in clips]
    assert depths(found) == [*range(4), *range(5), *range(6), 0, *range(2)]


def test_clip_is_complete_before_the_next_begins() -> None:
    source = iter([*clip(4), *clip(5, name="b.mp4")])
    stream = lift_stream(source, lifter_of(Recorder()), window=9)
    assert [next(stream).name for _ in range(4)] == ["a.mp4"] * 4
    assert len(list(source)) == 4  # one frame of the second had come


def test_broken_input_comes_after_what_was_read_before() -> None:
    def source() -> Iterator[PoseResult]:
        yield from clip(4)
        raise InputError("a.mp4 is damaged after frame 3")

    stream = lift_stream(source(), lifter_of(Recorder()), window=9)
    assert [next(stream).frame_id for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(InputError, match="damaged"):
        next(stream)


# Gaps.


def test_gap_is_filled_on_a_straight_line() -> None:
    results = [frame(i, [1, 2] if i not in (4, 5) else [1]) for i in range(12)]
    results[6] = dataclasses.replace(
        results[6],
        keypoint_scores=np.full((2, 17), 0.4, np.float32),
        box_scores=np.array([0.7, 0.7], np.float32),
    )
    found = lifted(results, lifter_of(Recorder()), window=9)
    before, after = results[3], results[6]
    for number, share in ((4, 1 / 3), (5, 2 / 3)):
        result = found[number]
        assert result.track_ids is not None and result.track_ids.dtype == np.int64
        assert result.track_ids.tolist() == [1, 2]
        assert result.interpolated is not None and result.interpolated.tolist() == [False, True]
        for name in ("keypoints", "boxes_xyxy"):
            one, other = getattr(before, name)[1], getattr(after, name)[1]
            np.testing.assert_allclose(
                getattr(result, name)[1], one + share * (other - one), rtol=1e-5
            )
            assert getattr(result, name).dtype == np.float32
        assert result.keypoint_scores[1] == pytest.approx(0.4)  # the lower one
        assert result.box_scores == pytest.approx([0.9, 0.7])
        assert result.pose3d is not None and len(result.pose3d.keypoints) == 2
        assert result.instances()[1]["interpolated"] is True
    for number in (0, 3, 6, 11):
        flags = found[number].interpolated
        assert flags is not None and flags.tolist() == [False, False]
    assert depths(found, 1)[:3] == [0, 1, 2]  # one track, from the start on


def test_longer_gap_splits_the_track() -> None:
    net = Recorder()
    results = [frame(i, [1] if not 4 <= i < 7 else []) for i in range(10)]
    found = lifted(results, lifter_of(net), window=9, max_gap=2)
    assert [len(r) for r in found] == [1] * 4 + [0] * 3 + [1] * 3
    assert depths(found[:4]) == [0, 1, 2, 3]
    assert depths(found[7:]) == [0, 1, 2]


def test_no_gap_is_filled_with_max_gap_0() -> None:
    results = [frame(i, [1] if i != 4 else []) for i in range(10)]
    found = lifted(results, lifter_of(Recorder()), window=9, max_gap=0)
    assert [len(r) for r in found] == [1] * 4 + [0] + [1] * 5
    assert all(r.interpolated is None for r in found)


def test_track_of_a_single_frame() -> None:
    results = [frame(i, [1, 2] if i == 5 else [1]) for i in range(30)]
    net = Recorder()
    found = lifted(results, lifter_of(net), window=9)
    assert depths([found[5]], 1) == [0]
    assert Counter(net.shapes)[(1, 1)] == 1
    assert [len(r) for r in found] == [2 if i == 5 else 1 for i in range(30)]


def test_gap_at_the_end_of_a_window_is_filled_without_delay() -> None:
    taken = 0

    def source() -> Iterator[PoseResult]:
        nonlocal taken
        for i in range(25):
            taken += 1
            yield frame(i, [] if 8 <= i < 11 else [1])

    found = []
    for left, result in enumerate(lift_stream(source(), lifter_of(Recorder()), window=9)):
        assert taken - 1 - left <= 9
        found.append(result)
    assert [len(r) for r in found] == [1] * 25
    filled = [i for i, r in enumerate(found) if r.interpolated is not None and r.interpolated[0]]
    assert filled == [8, 9, 10]


@pytest.mark.parametrize("seed", range(8))
def test_everybody_is_lifted_however_they_come_and_go(seed: int) -> None:
    rng = np.random.default_rng(seed)
    window, max_gap = int(rng.integers(2, 13)), int(rng.integers(0, 16))
    length = int(rng.integers(1, 120))
    present = rng.random((length, 4)) < rng.uniform(0.1, 0.95)
    results = [frame(i, [int(t) for t in np.flatnonzero(row)]) for i, row in enumerate(present)]
    net = Recorder()
    found = lifted(
        results,
        lifter_of(net, max_frames=window),
        max_gap=max_gap,
        disable_norm_pose_2d=True,
        disable_rebase_keypoint=True,
    )
    assert len(found) == length
    assert max([t for _, t in net.shapes], default=0) <= window
    for result, given in zip(found, results, strict=True):
        # `Recorder` gives keypoints back, so each window must say what alone is said.
        (alone,) = lifted(
            [dataclasses.replace(result, frame_id=None)],
            lifter_of(Recorder()),
            disable_norm_pose_2d=True,
            disable_rebase_keypoint=True,
        )
        assert result.pose3d is not None and alone.pose3d is not None
        np.testing.assert_allclose(
            result.pose3d.keypoints[..., ::2], alone.pose3d.keypoints[..., ::2], atol=1e-4
        )
        np.testing.assert_array_equal(result.keypoints[: len(given)], given.keypoints)
        assert result.track_ids is not None and result.track_ids.dtype == np.int64
        for track_id in result.track_ids[len(given) :]:  # between two sightings, near enough
            row = present[:, track_id]
            before = np.flatnonzero(row[: result.frame_id])[-1]
            after = np.flatnonzero(row[result.frame_id :])[0] + result.frame_id
            assert after - before - 1 <= max_gap


@pytest.mark.parametrize(("live", "length"), [(False, 2000), (True, 1000)])
def test_memory_is_bounded_by_the_window(live: bool, length: int) -> None:
    alive = 0

    def freed() -> None:
        nonlocal alive
        alive -= 1

    def source() -> Iterator[PoseResult]:
        nonlocal alive
        for i in range(length):
            # A new person every 20 frames, a short gap in each track.
            result = frame(i, [i // 20] if i % 20 != 10 else [])
            owner = result.keypoints.base  # what rows of it keep alive
            assert owner is not None
            weakref.finalize(owner, freed).atexit = False
            alive += 1
            yield result

    most = 0
    for _ in lift_stream(source(), lifter_of(Recorder()), window=9, live=live, max_gap=3):
        most = max(most, alive)
    assert 9 <= most <= 30


# Live.


def test_live_results_leave_at_once() -> None:
    source = iter(clip(30))
    stream = lift_stream(source, lifter_of(Recorder()), live=True)
    for i in range(29):
        assert next(stream).frame_id == i
    assert len(list(source)) == 1


def test_live_windows_hold_the_past_only() -> None:
    net = Recorder()
    found = lifted(clip(12), lifter_of(net, max_frames=243), live=True, window=5)
    assert net.shapes == [(1, min(i + 1, 5)) for i in range(12)]
    assert depths(found) == [min(i, 4) for i in range(12)]
    assert all(r.interpolated is None for r in found)


def test_live_window_is_short_unless_told_otherwise() -> None:
    net = Recorder()
    lifted(clip(30), lifter_of(net, max_frames=243), live=True)
    assert max(t for _, t in net.shapes) == LIVE_WINDOW


def test_live_gap_counts_as_context_and_is_not_added() -> None:
    net = Recorder()
    results = [frame(i, [] if i in (3, 4) else [1]) for i in range(6)]
    found = lifted(results, lifter_of(net), live=True, max_gap=2)
    assert [len(r) for r in found] == [1, 1, 1, 0, 0, 1]
    assert depths([found[5]]) == [5]
    found = lifted(results, lifter_of(net), live=True, max_gap=1)
    assert depths([found[5]]) == [0]  # too long: begins anew


def test_live_people_of_different_pasts_are_not_confused() -> None:
    results = [frame(i, [2, 1] if i >= 3 else [1]) for i in range(6)]
    found = lifted(results, lifter_of(Recorder()), live=True)
    assert depths(found[3:], 0) == [0, 1, 2]
    assert depths(found[3:], 1) == [3, 4, 5]


def test_each_clip_is_lifted_as_what_it_is() -> None:
    names = {None: "a.jpg", 30: "a.mp4", 12: "webcam_0", 29: "b.mp4"}
    source = [frame(None, name="a.jpg")]
    source += [result for n, name in names.items() if n for result in clip(n, name=name)]
    waiting: Counter[str] = Counter()
    most: Counter[str] = Counter()

    def counted() -> Iterator[PoseResult]:
        for result in source:
            waiting[result.name] += 1
            yield result

    net, found = Recorder(), []
    lifter = lifter_of(net, max_frames=20)
    for result in lift_stream(counted(), lifter, live=lambda result: result.name == "webcam_0"):
        found.append((result.name, result.frame_id))
        waiting[result.name] -= 1
        most[result.name] = max(most[result.name], waiting[result.name])
    assert found == [(result.name, result.frame_id) for result in source]
    assert most == {"a.jpg": 0, "a.mp4": 20, "webcam_0": 0, "b.mp4": 20}
    assert max(frames for _, frames in net.shapes) == 20


# What a caller may get wrong.


@pytest.mark.parametrize("window", [0, 10, -1, True, 2.5, "9"])
def test_windows_that_the_network_does_not_take_are_refused_at_once(window: Any) -> None:
    with pytest.raises(InputError, match="window must be 1 to 9 frames, found"):
        lift_stream([], lifter_of(Recorder()), window=window)


@pytest.mark.parametrize(("option", "value"), [("max_gap", -1), ("batch_size", 0)])
def test_other_options_are_checked_at_once(option: str, value: int) -> None:
    with pytest.raises(InputError, match=f"{option} must be a whole number"):
        lift_stream([], lifter_of(Recorder()), **{option: value})


@pytest.mark.parametrize("live", [False, True])
def test_windows_need_tracks(live: bool) -> None:
    results = [frame(0, track_ids=None)]
    with pytest.raises(ValueError, match=r"expected results with track_ids, found none for a\.mp4"):
        lifted(results, lifter_of(Recorder()), live=live)
    assert len(lifted(results, lifter_of(Recorder()), window=1)) == 1


def test_track_twice_in_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"each track once .* \[3, 3\]"):
        lifted([frame(0, [3, 3])], lifter_of(Recorder()))


def test_other_keypoints_than_cocos_are_refused() -> None:
    result = frame(None, skeleton=H36M)
    with pytest.raises(InputError, match="takes COCO's 17 keypoints, found 17 of 'h36m'"):
        lifted([result], lifter_of(Recorder()))


def test_every_lifter_has_a_configuration_that_lifts(shared: Path) -> None:
    for name in ("motionbert-ft_h36m", "motionbert_h36m"):
        spec = load_spec(name)
        assert isinstance(spec, LifterSpec)
        lifter = Lifter(Recorder(), spec, H36M)
        stats = json.loads((shared / "reference" / "metainfo" / "h36m.json").read_text())
        assert list(lifter.center) == stats["stats_info"]["bbox_center"]
        assert lifter.scale == stats["stats_info"]["bbox_scale"]
        assert lifter.max_frames == 243


def test_ground_is_found_after_the_average() -> None:
    found = lifted(clip(15), lifter_of(small_network()))
    for result in found:
        assert result.pose3d is not None
        assert result.pose3d.keypoints[0, :, 2].min() == 0


def test_standing_up_leaves_the_argument_alone() -> None:
    keypoints = np.ones((2, 17, 3), np.float32)
    stand_up(keypoints)
    assert (keypoints == 1).all()
