"""A user's own models of MMPose and MMDetection, from their files as they are."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

import posekit
from posekit.apis import MMPoseInferencer
from posekit.cli import main
from posekit.errors import InputError
from posekit.locate import locate
from posekit.skeleton import load_skeleton
from posekit.spec import DetectorSpec, PoseSpec, load_spec
from tests.conftest import ROOT
from tests.networks import assert_small, reference_case, relative_errors

POSE = ROOT / "tests" / "data" / "pose2d" / "rtmpose-t_8xb256-420e_body8-256x192"
DETECTOR = ROOT / "tests" / "data" / "detector" / "rtmdet_nano_320-8xb32_coco-person"

BASE = """
_base_ = ['../_base_/default_runtime.py']
codec = dict(
    type='SimCCLabel', input_size=(192, 256), sigma=(4.9, 5.66), simcc_split_ratio=2.0,
    normalize=False, use_dark=False)
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor', mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        _scope_='mmdet', type='CSPNeXt', arch='P5', expand_ratio=0.5, deepen_factor=0.167,
        widen_factor=0.375, out_indices=(4, ), channel_attention=True,
        norm_cfg=dict(type='SyncBN'), act_cfg=dict(type='SiLU')),
    head=dict(
        type='RTMCCHead', in_channels=384, out_channels=17, input_size=codec['input_size'],
        in_featuremap_size=tuple([s // 32 for s in codec['input_size']]),
        simcc_split_ratio=codec['simcc_split_ratio'], final_layer_kernel_size=7,
        gau_cfg=dict(
            hidden_dims=256, s=128, expansion_factor=2, dropout_rate=0., drop_path=0.,
            act_fn='SiLU', use_rel_bias=False, pos_enc=False),
        loss=dict(type='KLDiscretLoss', use_target_weight=True, beta=10., label_softmax=True),
        decoder=codec),
    test_cfg=dict(flip_test=True))
dataset_type = 'CocoDataset'
backend_args = dict(backend='local')
val_pipeline = [
    dict(type='LoadImage', backend_args=backend_args),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs')
]
val_dataloader = dict(
    batch_size=64, dataset=dict(type=dataset_type, ann_file='val.json', pipeline=val_pipeline))
test_dataloader = val_dataloader
"""
# Four keypoints, another size and another normalisation, upon the one above.
OWN = """
_base_ = ['base.py']
dataset_info = dict(
    dataset_name='Corners',
    keypoint_info={
        0: dict(name='left_top', id=0, color=[255, 0, 0], type='upper', swap='right_top'),
        1: dict(name='right_top', id=1, color=[0, 255, 0], type='upper', swap='left_top'),
        2: dict(name='handle', id=2, color=[0, 0, 255], type='lower', swap=''),
        3: dict(name='foot', id=3, color=[9, 9, 9], type='lower', swap=''),
    },
    skeleton_info={0: dict(link=('left_top', 'handle'), id=0, color=[1, 2, 3])},
    joint_weights=[1., 1., 1.5, 1.],
    sigmas=[0.026, 0.025, 0.03, 0.04])
input_size = (96, 128)
scale = f"{input_size[0]}x{input_size[1]}"
codec = dict(input_size=input_size)
model = dict(
    data_preprocessor=dict(mean=[0., 0., 0.], std=[255., 255., 255.], bgr_to_rgb=False),
    head=dict(
        out_channels=4, input_size=input_size,
        in_featuremap_size=tuple([s // 32 for s in input_size]),
        loss=dict(_delete_=True, type='MyLoss'), decoder=dict(input_size=input_size)),
    test_cfg=dict(flip_test=False))
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.1),
    dict(type='TopdownAffine', input_size=input_size, use_udp=True),
    dict(type='PackPoseInputs')
]
test_dataloader = dict(dataset=dict(metainfo=dataset_info, pipeline=val_pipeline))
"""
RTMDET = """
model = dict(
    type='RTMDet',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395],
        bgr_to_rgb=False),
    backbone=dict(type='CSPNeXt', deepen_factor=0.33, widen_factor=0.25),
    neck=dict(type='CSPNeXtPAFPN', out_channels=64, num_csp_blocks=1),
    bbox_head=dict(
        type='RTMDetSepBNHead', num_classes=1, in_channels=64, feat_channels=64,
        anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16, 32]),
        with_objectness=False, exp_on_reg=False, share_conv=False, use_depthwise=True),
    test_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), score_thr=0.05, max_per_img=77))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(320, 320), keep_ratio=True),
    dict(type='Pad', size=(320, 320), pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs')]
test_dataloader = dict(
    dataset=dict(metainfo=dict(classes=('fish', )), pipeline=test_pipeline))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "base.py").write_text(BASE)
    return tmp_path / "base.py"


@pytest.fixture
def own(base: Path) -> Path:
    path = base.with_name("my_corners.py")
    path.write_text(OWN)
    return path


def save(state: dict[str, torch.Tensor], path: Path, **meta: object) -> Path:
    """As MMEngine saves a checkpoint."""
    torch.save({"meta": {"epoch": 210, **meta}, "state_dict": state, "message_hub": {}}, path)
    return path


def test_a_copy_computes_what_the_reference_does(base: Path) -> None:
    case = reference_case(POSE)
    weights = save(case.state, base.with_suffix(".pth"))
    net = posekit.create_model(str(base), weights=weights)
    assert_small(case, relative_errors(case, net), case.tolerance)


def test_what_the_file_says_is_the_model(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = locate(str(own))
    spec = load_spec(found.name, found.search)
    assert isinstance(spec, PoseSpec)
    assert (spec.name, spec.input_size, spec.padding, spec.udp) == (
        "my_corners",
        (96, 128),
        1.1,
        True,
    )
    assert (spec.mean, spec.std, spec.color) == ((0.0,) * 3, (255.0,) * 3, "bgr")
    assert spec.flip_test is False
    assert spec.net.arguments["deepen_factor"] == 0.167
    assert spec.net.arguments["num_keypoints"] == 4
    skeleton = load_skeleton(spec.keypoints, search=found.search)
    assert skeleton.names == ("left_top", "right_top", "handle", "foot")
    assert skeleton.flip_indices == (1, 0, 2, 3)
    assert skeleton.sigmas == (0.026, 0.025, 0.03, 0.04)
    assert skeleton.weights == (1.0, 1.0, 1.5, 1.0)
    assert (skeleton.links, skeleton.link_colors) == (((0, 2),), ((1, 2, 3),))
    assert skeleton.keypoint_colors[2] == (0, 0, 255)
    assert skeleton.upper_body_ids == (0, 1)
    assert "loss MyLoss: training uses the usual loss" in caplog.text
    assert "each image is used as one box" in caplog.text


def own_weights(own: Path) -> Path:
    """Weights of four keypoints, in OpenMMLab's layout."""
    state = reference_case(POSE).state
    state["head.final_layer.weight"] = state["head.final_layer.weight"][:4]
    state["head.final_layer.bias"] = state["head.final_layer.bias"][:4]
    state["head.mlp.1.weight"] = state["head.mlp.1.weight"][:, :12]
    state["head.cls_x.weight"] = state["head.cls_x.weight"][:192]
    state["head.cls_y.weight"] = state["head.cls_y.weight"][:256]
    return save(state, own.with_name("epoch_210.pth"))


def test_it_predicts_wherever_a_model_is_named(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = own_weights(own)
    image = np.full((120, 100, 3), 90, np.uint8)
    predictor = posekit.load(str(own), weights=weights, device="cpu")
    expected = next(predictor(image))["predictions"][0][0]["keypoints"]
    assert len(expected) == 4
    inferencer = MMPoseInferencer(
        pose2d=str(own), pose2d_weights=str(weights), det_model="whole_image", device="cpu"
    )
    found = next(inferencer(image))["predictions"][0][0]["keypoints"]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    import cv2

    picture, out = own.with_name("a.png"), own.with_name("out")
    cv2.imwrite(str(picture), image)
    words = [f"model={own}", f"weights={weights}", f"inputs={picture}", f"out_dir={out}"]
    assert main(["predict", *words, "device=cpu"]) == 0
    written = json.loads((out / "predictions" / "a.json").read_text())
    np.testing.assert_allclose(written[0]["keypoints"], expected, atol=1e-3)
    capsys.readouterr()


def test_a_checkpoint_with_its_configuration_needs_no_file(own: Path) -> None:
    """`meta.cfg` is one file without bases; names come from `dataset_meta` where it has none."""
    weights = own_weights(own)
    text = BASE.replace("_base_ = ['../_base_/default_runtime.py']", "")
    for old, new in (
        ("out_channels=17", "out_channels=4"),
        ("(192, 256)", "(96, 128)"),
        ("type=dataset_type, ", "type=dataset_type, metainfo=dict(from_file='my/corners.py'), "),
    ):
        assert old in text
        text = text.replace(old, new)
    names = {0: "left_top", 1: "right_top", 2: "handle", 3: "foot"}
    meta = {"keypoint_id2name": names, "flip_pairs": [["left_top", "right_top"]]}
    state = torch.load(weights, weights_only=True)["state_dict"]
    path = save(state, own.with_name("epoch_9.pth"), cfg=text, dataset_meta=meta)
    predictor = posekit.load(str(path), device="cpu")
    assert predictor.estimator.skeleton.names == tuple(names.values())
    assert predictor.estimator.skeleton.flip_indices == (1, 0, 2, 3)
    image = np.full((120, 100, 3), 90, np.uint8)
    assert len(next(predictor(image))["predictions"][0][0]["keypoints"]) == 4


def test_a_checkpoint_without_a_configuration_says_so(own: Path) -> None:
    with pytest.raises(InputError, match="holds no configuration: name the model"):
        posekit.load(str(own_weights(own)))


def test_a_detector_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "my_fish.py"
    path.write_text(RTMDET)
    found = locate(str(path), detector=True)
    spec = load_spec(found.name, found.search)
    assert isinstance(spec, DetectorSpec)
    assert (spec.classes, spec.nms_threshold, spec.max_detections) == (("fish",), 0.5, 77)
    assert (spec.input_size, spec.pad_value, spec.color) == ((320, 320), 114, "bgr")
    case = reference_case(DETECTOR)
    net = posekit.create_model(str(path), weights=save(case.state, tmp_path / "fish.pth"))
    assert_small(case, relative_errors(case, net), case.tolerance)


def test_an_edited_copy_of_an_official_file_is_not_the_published_model(base: Path) -> None:
    official = base.with_name("rtmpose-t_8xb256-420e_body8-256x192.py")
    official.write_text(BASE)
    assert locate(str(official)).name == "rtmpose-t_body8-256x192"
    official.write_text(BASE + "\nmodel['test_cfg'] = dict(flip_test=False)\n")
    found = locate(str(official))
    assert found.name == "rtmpose-t_8xb256-420e_body8-256x192-own"
    assert load_spec(found.name, found.search).flip_test is False


def test_a_path_that_does_not_exist_is_still_a_name() -> None:
    name = "configs/body/rtmpose-t_8xb256-420e_body8-256x192.py"
    assert locate(name).name == "rtmpose-t_body8-256x192"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("type='CSPNeXt'", "type='LiteHRNet'", "backbone LiteHRNet: expected one of CSPNeXt"),
        ("expand_ratio=0.5", "expand_ratio=0.7", "backbone.expand_ratio: posekit has 0.5 only"),
        ("type='RTMCCHead'", "type='RLEHead'", "head RLEHead on CSPNeXt: expected RTMCCHead"),
        ("type='SimCCLabel'", "type='SPR'", "decoder SPR: expected SimCCLabel, MSRAHeatmap"),
        ("'TopdownPoseEstimator'", "'FasterRCNN'", "a FasterRCNN has no counterpart here; use"),
        ("out_channels=17", "out_channels=5", "head has 5 keypoints and the data set 'coco' 17"),
        ("_base_ =", "import os\n_base_ =", "line 2: imports are not followed"),
        ("head=dict(\n", "head2=dict(\n", "model.head is missing"),
    ],
)
def test_what_has_no_counterpart_is_named(base: Path, old: str, new: str, message: str) -> None:
    assert old in BASE
    base.write_text(BASE.replace(old, new))
    with pytest.raises(InputError) as error:
        posekit.load(str(base))
    assert message in str(error.value)
    assert str(error.value).startswith(str(base))
    assert "\n" not in str(error.value)


def test_import_writes_a_folder_that_stands_by_itself(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, out = own_weights(own), tmp_path / "imported"
    assert main(["import", str(own), str(weights), f"out={out}"]) == 0
    assert f"the model is {out}" in capsys.readouterr().out
    image = np.full((120, 100, 3), 90, np.uint8)
    expected = next(posekit.load(str(own), weights=weights, device="cpu")(image))
    own.unlink()
    found = next(posekit.load(str(out), device="cpu")(image))
    keypoints = [np.array(r["predictions"][0][0]["keypoints"]) for r in (found, expected)]
    # A near tie of an untrained network may turn.
    assert (np.linalg.norm(keypoints[0] - keypoints[1], axis=1) < 1e-2).sum() >= 3
    assert main(["import", str(weights), f"out={out}"]) == 1
    assert "already exists: name a new folder" in capsys.readouterr().err


def test_notes_are_said_once(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        posekit.create_model(str(own))
        posekit.create_model(str(own))
    assert caplog.text.count("MyLoss") == 1


def test_what_changes_while_a_program_runs_is_read_again(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def width() -> float:
        found = locate(str(own))
        return float(load_spec(found.name, found.search).net.arguments["widen_factor"])

    assert width() == 0.375
    base = own.with_name("base.py")  # not the file that is named
    base.write_text(BASE.replace("widen_factor=0.375", "widen_factor=0.5"))
    assert width() == 0.5
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "another"))
    assert width() == 0.5
