"""Configurations of the families beside top-down models: what they say, and what they compute."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import posekit
from posekit.build import build_network
from posekit.errors import InputError
from posekit.locate import locate
from posekit.skeleton import load_skeleton
from posekit.spec import DetectorSpec, LifterSpec, OneStageSpec, PoseSpec, Spec, load_spec

RTMO = """
input_size, widen, deepen = (416, 416), 0.375, 0.33
model = dict(
    type='BottomupPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor', pad_size_divisor=32, mean=[0, 0, 0], std=[1, 1, 1]),
    backbone=dict(type='CSPDarknet', deepen_factor=deepen, widen_factor=widen),
    neck=dict(
        type='HybridEncoder', in_channels=[96, 192, 384], deepen_factor=deepen, widen_factor=widen,
        hidden_dim=256, output_indices=[1, 2],
        encoder_cfg=dict(
            self_attn_cfg=dict(embed_dims=256, num_heads=8, dropout=0.0),
            ffn_cfg=dict(embed_dims=256, feedforward_channels=1024)),
        projector=dict(type='ChannelMapper', in_channels=[256, 256], out_channels=192)),
    head=dict(
        type='RTMOHead', num_keypoints=17, featmap_strides=(16, 32),
        head_module_cfg=dict(
            num_classes=1, in_channels=256, cls_feat_channels=256, channels_per_group=36,
            pose_vec_channels=192, widen_factor=widen, stacked_convs=2),
        prior_generator=dict(type='MlvlPointGenerator', centralize_points=True, strides=[16, 32]),
        dcc_cfg=dict(
            in_channels=192, feat_channels=128, num_bins=(192, 256), spe_channels=128,
            gau_cfg=dict(s=128, expansion_factor=2, pos_enc='add'))),
    test_cfg=dict(input_size=input_size, score_thr=0.1, nms_thr=0.65))
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='BottomupResize', input_size=input_size, pad_val=(114, 114, 114)),
    dict(type='PackPoseInputs')]
test_dataloader = dict(dataset=dict(type='CocoDataset', pipeline=val_pipeline))
"""
# Four keypoints, a smaller network and input, another normalisation.
OWN_RTMO = """
_base_ = ['rtmo-t_8xb32-600e_body7-416x416.py']
model = dict(
    data_preprocessor=dict(mean=[1., 2., 3.], bgr_to_rgb=True),
    backbone=dict(widen_factor=0.25), neck=dict(
        widen_factor=0.25, projector=dict(out_channels=128)),
    head=dict(
        num_keypoints=4, head_module_cfg=dict(widen_factor=0.25, pose_vec_channels=128),
        dcc_cfg=dict(in_channels=128)),
    test_cfg=dict(input_size=(256, 192), score_thr=0.3, nms_thr=0.5))
corners = dict(dataset_name='corners', keypoint_info={
    i: dict(name=f'corner{i}', id=i, color=[0, 0, 0], type='', swap='') for i in range(4)})
val_pipeline = [dict(type='BottomupResize', input_size=(256, 192))]
test_dataloader = dict(dataset=dict(metainfo=corners, pipeline=val_pipeline))
"""
INTERNET = """
codec = dict(
    type='Hand3DHeatmap', image_size=[256, 256], root_heatmap_size=64, heatmap_size=[64, 64, 64],
    sigma=2.5, max_bound=255, depth_size=64)
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(type='ResNet', depth=50),
    head=dict(
        type='InternetHead',
        keypoint_head_cfg=dict(
            in_channels=2048, out_channels=21 * 64, depth_size=codec['depth_size'],
            deconv_out_channels=(256, 256, 256), deconv_kernel_sizes=(4, 4, 4)),
        root_head_cfg=dict(in_channels=2048, heatmap_size=64, hidden_dims=(512, )),
        hand_type_head_cfg=dict(in_channels=2048, num_labels=2, hidden_dims=(512, )),
        decoder=codec),
    test_cfg=dict(flip_test=False))
val_pipeline = [
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['image_size'])]
test_dataloader = dict(dataset=dict(type='InterHand3DDataset', pipeline=val_pipeline))
"""
VIDEO_LIFT = """
codec = dict(type='VideoPoseLifting', num_keypoints=17, zero_center=True, root_index=0)
model = dict(
    type='PoseLifter',
    backbone=dict(
        type='TCN', in_channels=34, stem_channels=1024, num_blocks=2, kernel_sizes=(3, 3, 3),
        dropout=0.25, use_stride_conv=True),
    head=dict(type='TemporalRegressionHead', in_channels=1024, num_joints=17, decoder=codec))
test_dataloader = dict(
    dataset=dict(type='Human36mDataset', seq_len=27, causal=False, pad_video_seq=True))
"""
IMAGE_LIFT = """
codec = dict(
    type='ImagePoseLifting', num_keypoints=17, root_index=0, remove_root=True,
    keypoints_mean=[[500. + i, 400. - i] for i in range(17)], keypoints_std=[[100., 50.]] * 17,
    target_mean=[[[0.1 * i, 0., -0.1] for i in range(16)]], target_std=[[0.1, 0.2, 0.3]] * 16)
model = dict(
    type='PoseLifter',
    backbone=dict(
        type='TCN', in_channels=34, stem_channels=32, num_blocks=2, kernel_sizes=(1, 1, 1)),
    head=dict(type='TemporalRegressionHead', in_channels=32, num_joints=16, decoder=codec))
test_dataloader = dict(dataset=dict(type='Human36mDataset', seq_len=1, causal=True))
"""
SSD = """
classes = ('hand', )
model = dict(
    type='SingleStageDetector',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(type='MobileNetV2', out_indices=(4, 7), norm_cfg=dict(type='BN', eps=0.001)),
    neck=dict(
        type='SSDNeck', in_channels=(96, 1280), out_channels=(96, 1280, 512, 256, 256, 128),
        level_strides=(2, 2, 2, 2), level_paddings=(1, 1, 1, 1), l2_norm_scale=None,
        use_depthwise=True, norm_cfg=dict(type='BN', eps=0.001)),
    bbox_head=dict(
        type='SSDHead', num_classes=1, use_depthwise=True,
        anchor_generator=dict(
            type='SSDAnchorGenerator', scale_major=False, strides=[16, 32, 64, 107, 160, 320],
            ratios=[[2, 3]] * 6, min_sizes=[48, 100, 150, 202, 253, 304],
            max_sizes=[100, 150, 202, 253, 304, 320]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2])),
    test_cfg=dict(nms=dict(type='nms', iou_threshold=0.45), max_per_img=200))
test_pipeline = [dict(type='Resize', scale=(320, 320), keep_ratio=False)]
test_dataloader = dict(dataset=dict(type='CocoDataset', pipeline=test_pipeline))
"""
OFFICIAL = {
    "rtmo-t_8xb32-600e_body7-416x416": (RTMO, "rtmo-t_body7-416x416"),
    "internet_res50_4xb16-20e_interhand3d-256x256": (INTERNET, "internet-r50_interhand3d-256x256"),
    "video-pose-lift_tcn-27frm-supv_8xb128-160e_h36m": (VIDEO_LIFT, "videopose3d-27frm_h36m"),
    "ssdlite_mobilenetv2_scratch_600e_onehand": (SSD, "ssdlite-mobilenetv2_onehand-320"),
}
EDITS = {
    "rtmo-t_8xb32-600e_body7-416x416": ("nms_thr=0.65", "nms_thr=0.5"),
    "internet_res50_4xb16-20e_interhand3d-256x256": (
        "root_heatmap_size=64,",
        "root_heatmap_size=64, root_depth_bound=300.,",
    ),
    "video-pose-lift_tcn-27frm-supv_8xb128-160e_h36m": (
        "model = dict(",
        "model = dict(test_cfg=dict(flip_test=True), ",
    ),
    "ssdlite_mobilenetv2_scratch_600e_onehand": ("min_sizes=[48,", "min_sizes=[40,"),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))


def described(path: Path, text: str, **options: bool) -> Spec:
    path.write_text(text)
    found = locate(str(path), **options)
    return load_spec(found.name, found.search)


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_copy_is_the_published_model_and_an_edited_one_is_not(name: str, tmp_path: Path) -> None:
    text, public = OFFICIAL[name]
    path = tmp_path / f"{name}.py"
    path.write_text(text)
    assert locate(str(path)).name == public
    old, new = EDITS[name]
    assert old in text
    path.write_text(text.replace(old, new))
    found = locate(str(path))
    assert found.name == f"{name}-own"
    assert load_spec(found.name, found.search).net == load_spec(public).net


def test_an_rtmo_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "rtmo-t_8xb32-600e_body7-416x416.py").write_text(RTMO)
    path = tmp_path / "my_corners.py"
    spec = described(path, OWN_RTMO)
    assert isinstance(spec, OneStageSpec)
    assert (spec.input_size, spec.pad_value, spec.keypoints) == ((256, 192), 0, "corners")
    assert (spec.score_threshold, spec.nms_threshold) == (0.3, 0.5)
    assert (spec.mean, spec.color) == ((1.0, 2.0, 3.0), "rgb")
    assert spec.net.arguments == {"deepen_factor": 0.33, "widen_factor": 0.25, "num_keypoints": 4}
    weights = tmp_path / "own.pth"
    torch.manual_seed(0)
    torch.save({"state_dict": build_network(spec.net, device="cpu").state_dict()}, weights)
    predictor = posekit.load(str(path), weights=weights, device="cpu")
    image = np.full((80, 120, 3), 90, np.uint8)
    found = next(predictor(image, bbox_thr=0.0))["predictions"][0]
    assert found
    assert all(len(person["keypoints"]) == 4 for person in found)


def test_an_internet_of_ones_own(tmp_path: Path) -> None:
    text = INTERNET.replace("depth=50", "depth=101").replace("[256, 256]", "[128, 128]")
    text = text.replace("[64, 64, 64]", "[32, 32, 64]")
    spec = described(tmp_path / "hands.py", text)
    assert isinstance(spec, PoseSpec)
    assert spec.keypoints_3d
    assert (spec.input_size, spec.detector) == ((128, 128), "whole_image")
    assert spec.net.arguments["depth"] == 101
    assert spec.codec.arguments["heatmap_size"] == (32, 32, 64)


def test_a_lifter_of_one_frame_and_own_statistics(tmp_path: Path) -> None:
    path = tmp_path / "my_lift.py"
    spec = described(path, IMAGE_LIFT)
    assert isinstance(spec, LifterSpec)
    assert spec.net.arguments["channels"] == 32
    assert spec.net.arguments["gives_root"] is False
    assert spec.codec.arguments["target_mean"][15] == (1.5, 0.0, -0.1)
    assert (spec.center, spec.scale, spec.flip_test) == ((528.0, 427.0), 400.0, False)
    torch.manual_seed(0)
    weights = tmp_path / "own.pth"
    torch.save({"state_dict": build_network(spec.net, device="cpu").state_dict()}, weights)
    net = posekit.create_model(str(path), weights=weights)
    assert net(torch.zeros(1, 2, 17, 2)).shape == (1, 2, 16, 3)


def test_where_the_training_data_had_people_is_taken_from_it(tmp_path: Path) -> None:
    names = load_skeleton("h36m").names
    (tmp_path / "h36m.py").write_text(
        f"names = {list(names)}\n"
        "dataset_info = dict(\n"
        "    dataset_name='h36m_own',\n"
        "    keypoint_info={i: dict(name=name, id=i) for i, name in enumerate(names)},\n"
        "    stats_info=dict(bbox_center=(300., 200.), bbox_scale=150.))\n"
    )
    text = IMAGE_LIFT.replace(
        "type='Human36mDataset'", "type='Human36mDataset', metainfo=dict(from_file='h36m.py')"
    )
    spec = described(tmp_path / "my_lift.py", text)
    assert isinstance(spec, LifterSpec)
    assert (spec.center, spec.scale, spec.keypoints) == ((300.0, 200.0), 150.0, "h36m_own")


def test_a_base_of_mmdetection_is_what_posekit_knows_of_it(tmp_path: Path) -> None:
    path = tmp_path / "my_people.py"
    text = (
        "_base_ = 'mmdet::rtmdet/rtmdet_m_8xb32-300e_coco.py'\n"
        "model = dict(bbox_head=dict(num_classes=1), test_cfg=dict(max_per_img=7))\n"
        "test_dataloader = dict(dataset=dict(metainfo=dict(classes=('person', ))))\n"
    )
    spec = described(path, text, detector=True)
    official = load_spec("rtmdet-m_coco-640")
    assert isinstance(spec, DetectorSpec)
    assert isinstance(official, DetectorSpec)
    assert spec.net == official.net.having(num_classes=1)
    assert (spec.classes, spec.max_detections) == (("person",), 7)
    assert (spec.mean, spec.nms_threshold) == (official.mean, official.nms_threshold)
    copied = shutil.copy(path, tmp_path / "yolox_s_8x8_300e_coco.py")
    Path(copied).write_text("_base_ = ['mmdet::yolox/yolox_s_8xb8-300e_coco.py']\n")
    assert locate(str(copied), detector=True).name == "yolox-s_coco-640"


@pytest.mark.parametrize(
    ("text", "old", "new", "message"),
    [
        (RTMO, "'RTMOHead'", "'DEKRHead'", "head DEKRHead: expected RTMOHead, since RTMO"),
        (RTMO, "num_heads=8", "num_heads=4", "self_attn_cfg.num_heads: posekit has 8 only"),
        (RTMO, "num_bins=(192, 256)", "num_bins=(96, 96)", "num_bins: posekit has [192, 256] only"),
        (INTERNET, "max_bound=255", "max_bound=1", "decoder.max_bound: posekit has 255.0 only"),
        (INTERNET, "hidden_dims=(512, )", "hidden_dims=(9, )", "hidden_dims: posekit has [512]"),
        (VIDEO_LIFT, "causal=False", "causal=True", "causal: posekit has False only"),
        (VIDEO_LIFT, "root_index=0", "root_index=3", "root_index: posekit has 0 only"),
        (VIDEO_LIFT, "'TCN'", "'MyNet'", "backbone MyNet: expected one of DSTFormer, TCN"),
        (IMAGE_LIFT, "]] * 17", "]] * 5", "keypoints_std: expected 17 rows of 2 numbers"),
        (IMAGE_LIFT, "'Human36mDataset'", "'CocoDataset'", "the data set 'coco': posekit lifts"),
        (SSD, "ratios=[[2, 3]] * 6", "ratios=[[2], [2, 3]]", "anchor_generator.ratios"),
        (SSD, "'MobileNetV2'", "'SSDVGG'", "backbone.type: posekit has 'MobileNetV2' only"),
    ],
)
def test_what_has_no_counterpart_is_named(
    tmp_path: Path, text: str, old: str, new: str, message: str
) -> None:
    assert old in text
    path = tmp_path / "mine.py"
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError) as error:
        locate(str(path))
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
