"""Programs that track and lift by themselves, as MMPose's body3d_pose_lifter_demo.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import posekit
from posekit import apis
from posekit.apis import (
    LifterModel,
    Pose2DInferencer,
    collate_pose_sequence,
    collect_multi_frames,
    convert_keypoint_definition,
    extract_pose_sequence,
    get_model_aliases,
    inference_pose_lifter_model,
    inference_topdown,
    init_model,
)
from posekit.codecs.lifting import coco_to_h36m
from posekit.errors import InputError
from posekit.skeleton import load_skeleton
from posekit.structures import InstanceData, PoseDataSample
from tests.networks import save_seeded_weights

LIFTER = "motionbert_dstformer-ft-243frm_8xb32-120e_h36m"
SIMCC = "rtmpose-t_8xb256-420e_body8-256x192"
# Of mmpose.apis 1.3.2.
EXPORTED = [
    "init_model", "inference_topdown", "inference_bottomup", "collect_multi_frames",
    "Pose2DInferencer", "MMPoseInferencer", "_track_by_iou", "_track_by_oks", "_compute_iou",
    "inference_pose_lifter_model", "extract_pose_sequence", "convert_keypoint_definition",
    "collate_pose_sequence", "visualize",
]  # fmt: skip


def person(
    keypoints: np.ndarray, track_id: int = 0, box: tuple[float, ...] = (0, 0, 10, 10)
) -> PoseDataSample:
    """One, with keypoints (K, 2)."""
    return PoseDataSample(
        pred_instances=InstanceData(
            keypoints=keypoints[None],
            keypoint_scores=np.ones((1, len(keypoints))),
            bboxes=np.array([box], np.float32),
            areas=np.array([(box[2] - box[0]) * (box[3] - box[1])]),
        ),
        gt_instances=InstanceData(),
        track_id=track_id,
    )


def people_of(value: float, *ids: int) -> list[PoseDataSample]:
    return [person(np.full((17, 2), value + 100.0 * i), i) for i in ids]


def test_everything_that_mmpose_exports_is_there() -> None:
    assert set(EXPORTED) <= set(apis.__all__)
    assert all(callable(getattr(apis, name)) for name in EXPORTED)


def test_an_inferencer_of_2d_models(rtmpose_t: Path) -> None:
    inferencer = Pose2DInferencer(SIMCC, rtmpose_t, "cpu", det_model="whole_image")
    ((instance,),) = next(inferencer(np.full((40, 30, 3), 90, np.uint8)))["predictions"]
    assert np.shape(instance["keypoints"]) == (17, 2)
    with pytest.raises(InputError, match="is a 3D model"):
        Pose2DInferencer("human3d")


def test_aliases() -> None:
    aliases = get_model_aliases("mmpose")
    assert aliases["human"] == "rtmpose-m_8xb256-420e_body8-256x192"
    assert aliases["vitpose"] == "td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192"
    assert aliases["human3d"] == LIFTER and "rtmdet-m" not in aliases


# --- frames and keypoints -------------------------------------------------------------------------


def test_frames_around_a_frame() -> None:
    frames = list("abcde")
    assert collect_multi_frames(frames, 1, [0, -1, 1, -2, 2]) == ["b", "a", "c", "a", "d"]
    assert collect_multi_frames(frames, 4, [-1, 1]) == ["e", "d", "e"]
    assert collect_multi_frames(frames, 2, [-1, 1], online=True) == ["c", "b", "c"]


@pytest.mark.parametrize(
    ("frame", "causal", "length", "step", "expected"),
    [
        (0, False, 3, 1, [0, 0, 1]),
        (4, False, 3, 1, [3, 4, 4]),
        (2, False, 5, 1, [0, 1, 2, 3, 4]),
        (2, True, 3, 1, [0, 1, 2]),
        (1, True, 4, 1, [0, 0, 0, 1]),
        (2, False, 3, 2, [0, 2, 4]),
        (3, False, 5, 2, [0, 1, 3, 4, 4]),
        (2, False, 1, 1, [2]),
    ],
)
def test_a_sequence_around_a_frame(
    frame: int, causal: bool, length: int, step: int, expected: list[int]
) -> None:
    assert extract_pose_sequence(list(range(5)), frame, causal, length, step) == expected


def test_cocos_keypoints_as_joints() -> None:
    keypoints = np.random.default_rng(0).normal(size=(2, 17, 3))
    for name in ("coco", "posetrack18"):
        found = convert_keypoint_definition(keypoints, name, "h36m")
        np.testing.assert_array_equal(found, coco_to_h36m(keypoints))
    for name in ("h36m", "coco_wholebody"):
        np.testing.assert_array_equal(
            convert_keypoint_definition(keypoints, name, "h3wb"), keypoints
        )


@pytest.mark.parametrize("name", ["aic", "crowdpose"])
def test_other_keypoints_as_joints(name: str) -> None:
    names = load_skeleton(name).names
    keypoints = np.random.default_rng(0).normal(size=(1, 14, 2))
    own = dict(zip(names, keypoints[0], strict=True))
    joints = convert_keypoint_definition(keypoints, name, "h36m")[0]
    found = dict(zip(load_skeleton("h36m").names, joints, strict=True))
    for side in ("left", "right"):
        for target, source in (("foot", "ankle"), *[(p, p) for p in ("hip", "knee", "shoulder")]):
            np.testing.assert_array_equal(found[f"{side}_{target}"], own[f"{side}_{source}"])
    np.testing.assert_allclose(found["root"], (own["left_hip"] + own["right_hip"]) / 2)
    top, neck = keypoints[0, 12], keypoints[0, 13]
    np.testing.assert_allclose(joints[9], 0.75 * neck + 0.25 * top)
    np.testing.assert_allclose(joints[10], neck + 7 / 12 * (top - neck))


def test_keypoints_that_are_no_joints() -> None:
    with pytest.raises(InputError, match=r"pose_det_dataset must be coco.*found 'wflw'"):
        convert_keypoint_definition(np.zeros((1, 98, 2)), "wflw", "h36m")
    with pytest.raises(InputError, match="pose_lift_dataset must be h36m or h3wb"):
        convert_keypoint_definition(np.zeros((1, 17, 2)), "coco", "coco")
    for name, count in (("coco", 17), ("aic", 14)):
        with pytest.raises(InputError, match=rf"keypoints \(n, {count}, .* of {name}, found"):
            convert_keypoint_definition(np.zeros((1, 5, 2)), name, "h36m")


# --- who is who -----------------------------------------------------------------------------------


def test_overlap_of_boxes() -> None:
    assert apis._compute_iou([0, 0, 10, 10], [5, 0, 15, 10, 0.9]) == pytest.approx(1 / 3)
    assert apis._compute_iou([0, 0, 10, 10], [10, 10, 20, 20]) == 0
    with pytest.warns(UserWarning, match="without area"):
        assert apis._compute_iou([0, 0, 0, 0], [0, 0, 0, 0]) == 0


def test_people_are_followed() -> None:
    near = person(np.full((17, 2), 50.0), 5, (50, 50, 60, 60))
    last = [person(np.zeros((17, 2)), 3, (0, 0, 10, 10)), near]
    for track in (apis._track_by_iou, apis._track_by_oks):
        here = person(np.full((17, 2), 50.1), box=(51, 50, 61, 60))
        track_id, others, match = track(here, list(last), 0.3)
        assert track_id == 5 and match is near and others == [last[0]]
        away = person(np.full((17, 2), 500.0), box=(500, 500, 510, 510))
        assert track(away, list(last), 0.3) == (-1, last, {})
        assert track(here, [], 0.3) == (-1, [], {})


def test_people_are_collected_over_the_frames() -> None:
    frames = [
        people_of(0, 2),
        people_of(1, 2, 1),
        people_of(2, 1, 2),
        people_of(3, 1),
        people_of(4),
    ]
    first, second = collate_pose_sequence(frames, target_frame=2)
    # Who is not seen keeps the nearest place.
    assert first.pred_instances.keypoints.shape == (1, 5, 17, 2)
    assert first.pred_instances.keypoints[0, :, 0, 0].tolist() == [101, 101, 102, 103, 103]
    assert second.pred_instances.keypoints[0, :, 0, 0].tolist() == [200, 201, 202, 202, 202]
    ordered = [people_of(value, 0, 1) for value in (0, 1, 2)]
    found = collate_pose_sequence(ordered, with_track_id=False)
    assert found[1].pred_instances.keypoints[0, :, 0, 0].tolist() == [100, 101, 102]
    assert collate_pose_sequence([people_of(0, 1), []]) == []
    with pytest.raises(InputError, match="at least one frame"):
        collate_pose_sequence([])
    with pytest.raises(InputError, match=r"the same number of people, found \[1, 0\]"):
        collate_pose_sequence([people_of(0, 1), people_of(0)], with_track_id=False)


# --- lifting --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lifter_weights(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "lifter.safetensors"
    return save_seeded_weights(shared / "reference" / "pose3d" / LIFTER, LIFTER, path)


@pytest.fixture(scope="module")
def lifter(lifter_weights: Path) -> LifterModel:
    path = f"configs/body_3d_keypoint/motionbert/h36m/{LIFTER}.py"
    model = init_model(path, lifter_weights, "cpu")
    assert isinstance(model, LifterModel)
    return model


def test_a_lifter_is_described_as_the_references(lifter: LifterModel) -> None:
    assert lifter.dataset_meta["dataset_name"] == "h36m"
    assert lifter.dataset_meta["stats_info"]["bbox_scale"] == 400
    frames = lifter.cfg.test_dataloader.dataset
    assert (frames.get("causal"), frames.get("seq_len"), frames.get("seq_step")) == (False, 1, 1)
    lifter.cfg.visualizer.det_kpt_color = np.zeros((17, 3), np.uint8)  # as the demo does
    assert sum(parameter.numel() for parameter in lifter.parameters()) > 1e7
    assert lifter.eval().to("cpu") is lifter


def test_lifting_by_hand_equals_the_predictor(
    lifter: LifterModel, lifter_weights: Path, rtmpose_t: Path
) -> None:
    """The demo's steps, from boxes to 3D keypoints."""
    image = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    boxes = [[10.0, 20.0, 150.0, 280.0], [200.0, 10.0, 390.0, 290.0]]
    model = init_model(SIMCC, rtmpose_t, "cpu")
    converted = []
    for track_id, sample in enumerate(inference_topdown(model, image, boxes)):
        joints = convert_keypoint_definition(
            sample.pred_instances.keypoints, model.dataset_meta["dataset_name"], "h36m"
        )
        one = PoseDataSample()
        one.set_field(sample.pred_instances.clone(), "pred_instances")
        one.set_field(sample.gt_instances.clone(), "gt_instances")
        one.pred_instances.set_field(joints, "keypoints")
        one.set_field(track_id, "track_id")
        converted.append(one)
    sequence = extract_pose_sequence([converted], frame_idx=0, causal=False, seq_len=1, step=1)
    results = inference_pose_lifter_model(
        lifter, sequence, image_size=(400, 300), norm_pose_2d=True
    )
    predictor = posekit.load(
        LIFTER, weights=lifter_weights, pose2d=SIMCC, pose2d_weights=rtmpose_t,
        detector="whole_image", device="cpu", speed="accurate",
    )  # fmt: skip
    (expected,) = predictor.stream(image, bboxes=boxes)
    assert expected.pose3d is not None and [one.track_id for one in results] == [0, 1]
    for one, wanted in zip(results, expected.pose3d.keypoints, strict=True):
        assert one.pred_instances.keypoint_scores.shape == (1, 1, 17)
        keypoints = np.squeeze(one.pred_instances.keypoints, axis=1)[..., [0, 2, 1]]
        keypoints[..., 0] = -keypoints[..., 0]
        keypoints[..., 2] = -keypoints[..., 2]
        keypoints[..., 2] -= keypoints[..., 2].min(axis=-1, keepdims=True)
        # Both are rounded to float32 on their way.
        np.testing.assert_allclose(keypoints[0], wanted, atol=1e-2)


def test_nobody_is_lifted_to_nothing(lifter: LifterModel) -> None:
    assert inference_pose_lifter_model(lifter, [[]], image_size=(4, 4)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": None}, r"image_size=\(w, h\) is needed"),
        ({"pose_results_2d": [[person(np.zeros((14, 2)))]]}, r"found \(1, 14, 2\)"),
        ({"pose_results_2d": [[]] * 244}, "at most 243 frames, found 244"),
        ({"model": None}, "a model that lifts from init_model, found NoneType"),
    ],
)
def test_what_cannot_be_lifted(lifter: LifterModel, change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "model": lifter, "pose_results_2d": [people_of(1, 0)], "image_size": (40, 30),
    }  # fmt: skip
    with pytest.raises(InputError, match=message):
        inference_pose_lifter_model(**{**arguments, **change})


def test_a_lifter_takes_no_image(lifter: LifterModel) -> None:
    with pytest.raises(InputError, match="inference_pose_lifter_model takes one that lifts"):
        inference_topdown(lifter, np.zeros((4, 4, 3), np.uint8))  # type: ignore[arg-type]
