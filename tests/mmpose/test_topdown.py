"""Programs for `init_model` and `inference_topdown`: heat maps, and the model as a module."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from posekit.apis import (
    VISUALIZERS,
    MMPoseInferencer,
    TopdownModel,
    imread,
    inference_bottomup,
    inference_topdown,
    init_model,
    merge_data_samples,
    split_instances,
)
from posekit.errors import InputError
from posekit.weights.load import create_model
from tests.networks import save_seeded_weights

HRNET = "td-hm_hrnet-w32_8xb64-210e_coco-256x192"
SIMCC = "rtmpose-t_8xb256-420e_body8-256x192"
BOXES = [[100.0, 40.0, 300.0, 380.0], [250.0, 10.0, 420.0, 330.0]]
WITH_HEATMAPS = {"model": {"test_cfg": {"output_heatmaps": True}}}


@pytest.fixture(scope="module")
def hrnet_weights(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "hrnet.safetensors"
    return save_seeded_weights(shared / "reference" / "pose2d" / HRNET, HRNET, path)


@pytest.fixture(scope="module")
def hrnet(hrnet_weights: Path) -> TopdownModel:
    model = init_model(HRNET, hrnet_weights, "cpu", cfg_options=WITH_HEATMAPS)
    assert isinstance(model, TopdownModel)
    return model


@pytest.fixture
def rtmpose(rtmpose_t: Path) -> TopdownModel:
    model = init_model(SIMCC, rtmpose_t, "cpu")
    assert isinstance(model, TopdownModel)
    return model


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """400 x 450 pixels."""
    noise = np.random.default_rng(0).integers(0, 255, (400, 450, 3), np.uint8)
    return np.asarray(cv2.blur(noise, (9, 9)), np.uint8)


# --- heat maps ------------------------------------------------------------------------------------


def test_every_keypoint_of_every_person_has_a_heat_map(
    hrnet: TopdownModel, image: np.ndarray
) -> None:
    samples = inference_topdown(hrnet, image, BOXES)
    for sample in samples:
        maps = sample.pred_fields.heatmaps
        assert isinstance(maps, torch.Tensor) and maps.shape == (17, 64, 48)
        assert maps.dtype == torch.float32 and sample.pred_fields.shape == (64, 48)
        maps.mul_(1)  # users may change them
        # The highest value is the keypoint's score, and lies within a cell of it.
        scores = maps.flatten(1).amax(dim=1).numpy()
        np.testing.assert_allclose(scores, sample.pred_instances.keypoint_scores[0], rtol=1e-5)
        best = maps.flatten(1).argmax(dim=1).numpy()
        cells = np.column_stack([best % 48, best // 48])
        size = sample.input_scale / [48, 64]
        places = sample.input_center - sample.input_scale / 2 + cells * size
        assert (np.abs(places - sample.pred_instances.keypoints[0]) <= size).all()


def test_merged_heat_maps_lie_on_the_people(hrnet: TopdownModel, image: np.ndarray) -> None:
    samples = inference_topdown(hrnet, image, BOXES)
    merged = merge_data_samples(samples)
    maps = merged.pred_fields.heatmaps
    assert isinstance(maps, np.ndarray) and maps.shape == (17, 400, 450)
    assert len(merged.pred_instances) == 2
    alone = merge_data_samples(samples[:1]).pred_fields.heatmaps
    other = merge_data_samples(samples[1:]).pred_fields.heatmaps
    np.testing.assert_array_equal(maps, np.maximum(alone, other))
    left = int(samples[1].input_center[0] - samples[1].input_scale[0] / 2)
    assert not other[:, :, : left - 8].any() and other.any()


@pytest.mark.usefixtures("same_crops")
def test_merged_heat_maps_are_drawn_as_the_reference_draws_them(
    shared: Path, hrnet: TopdownModel
) -> None:
    recorded = shared / "reference" / "inferencer" / f"{HRNET}__000000000785.json"
    (instances,) = json.loads(recorded.read_text())["result"]["predictions"]
    path = shared / "images" / "000000000785.jpg"
    boxes = [instance["bbox"][0] for instance in instances]
    sample = merge_data_samples(inference_topdown(hrnet, path, boxes))
    visualizer = VISUALIZERS.build(hrnet.cfg.visualizer)
    visualizer.set_dataset_meta(hrnet.dataset_meta)
    found = visualizer.add_datasample(
        "result", imread(path, channel_order="rgb"), sample, draw_gt=False, draw_heatmap=True
    )
    picture = shared / "reference" / "visualization" / "heatmap_hrnet-w32.png"
    expected = imread(picture, channel_order="rgb")
    assert found.shape == expected.shape
    height = len(expected) // 2
    for part in (slice(height), slice(height, None)):  # the drawing, the heat maps
        assert np.abs(found[part].astype(int) - expected[part]).mean() < 0.1


def test_maps_of_simcc_are_the_products_of_both_axes(
    rtmpose: TopdownModel, image: np.ndarray
) -> None:
    rtmpose.test_cfg["output_heatmaps"] = True
    (sample,) = inference_topdown(rtmpose, image, BOXES[:1])
    maps = sample.pred_fields.heatmaps
    assert maps.shape == (17, 512, 384) and maps.min() >= 0 and maps.max() <= 1
    x = sample.pred_instances.keypoint_x_labels
    y = sample.pred_instances.keypoint_y_labels
    assert x.shape == (1, 17, 384) and y.shape == (1, 17, 512)
    np.testing.assert_allclose(maps, y[0, :, :, None] * x[0, :, None], rtol=1e-6)
    best = maps.flatten(1).argmax(dim=1).numpy()
    bins = np.column_stack([best % 384, best // 384])
    places = sample.input_center + (bins / [384, 512] - 0.5) * sample.input_scale
    np.testing.assert_allclose(places, sample.pred_instances.keypoints[0], atol=1e-3)
    assert merge_data_samples([sample]).pred_fields.heatmaps.shape == (17, 400, 450)


def test_heat_maps_only_where_asked_for(rtmpose: TopdownModel, image: np.ndarray) -> None:
    (sample,) = inference_topdown(rtmpose, image, BOXES[:1])
    assert "pred_fields" not in sample and "input_center" not in sample
    assert "keypoint_x_labels" not in sample.pred_instances


def test_many_boxes_go_in_batches(
    rtmpose: TopdownModel, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = [[x, 10.0, x + 60, 150.0] for x in (0.0, 50.0, 100.0, 150.0, 200.0)]
    together = inference_topdown(rtmpose, image, boxes)
    monkeypatch.setattr("posekit.mmpose.topdown.BATCH_SIZE", 2)
    rtmpose.test_cfg.output_heatmaps = True
    apart = inference_topdown(rtmpose, image, boxes)
    assert len(together) == len(apart) == 5
    for one, other, box in zip(together, apart, boxes, strict=True):
        np.testing.assert_array_equal(one.pred_instances.bboxes, [box])
        np.testing.assert_array_equal(other.pred_instances.bboxes, [box])
        found = other.pred_instances.keypoint_scores
        np.testing.assert_allclose(one.pred_instances.keypoint_scores, found, rtol=0.05, atol=0.02)
        assert other.input_center[0] == box[0] + 30


# --- the model as a module ------------------------------------------------------------------------


def scores(model: TopdownModel, image: np.ndarray) -> np.ndarray:
    return inference_topdown(model, image, BOXES[:1])[0].pred_instances.keypoint_scores


def test_the_model_has_a_modules_methods(rtmpose: TopdownModel, image: np.ndarray) -> None:
    before = scores(rtmpose, image)
    assert rtmpose.eval() is rtmpose.train(False) is rtmpose.requires_grad_(False) is rtmpose
    assert not rtmpose.training and rtmpose.train().training
    rtmpose.eval()
    assert rtmpose.to("cpu") is rtmpose.cpu() is rtmpose.float() is rtmpose
    assert rtmpose.device == torch.device("cpu")
    np.testing.assert_array_equal(scores(rtmpose, image), before)
    count = sum(parameter.numel() for parameter in rtmpose.parameters())
    assert count == sum(parameter.numel() for _, parameter in rtmpose.named_parameters()) > 1e6
    assert not any(parameter.requires_grad for parameter in rtmpose.parameters())
    assert {type(module) for module in rtmpose.modules()} >= {torch.nn.Conv2d}


def test_the_state_dict_can_be_saved_and_loaded(
    rtmpose: TopdownModel, image: np.ndarray, tmp_path: Path
) -> None:
    before = scores(rtmpose, image)
    torch.save(rtmpose.state_dict(), tmp_path / "state.pth")
    with torch.no_grad():
        for parameter in rtmpose.parameters():
            parameter.zero_()
    assert (scores(rtmpose, image) != before).any()
    rtmpose.load_state_dict(torch.load(tmp_path / "state.pth"))
    np.testing.assert_array_equal(scores(rtmpose, image), before)


def test_the_model_changes_its_type(rtmpose: TopdownModel, image: np.ndarray) -> None:
    before = scores(rtmpose, image)
    rtmpose.to(torch.float64)
    assert next(rtmpose.parameters()).dtype == torch.float64
    np.testing.assert_allclose(scores(rtmpose, image), before, rtol=0.05, atol=0.02)
    for change, dtype in (
        (rtmpose.half, torch.float16), (rtmpose.bfloat16, torch.bfloat16),
        (rtmpose.double, torch.float64), (rtmpose.float, torch.float32),
    ):  # fmt: skip
        assert change() is rtmpose and next(rtmpose.parameters()).dtype == dtype
        assert scores(rtmpose, image).shape == before.shape


@pytest.mark.gpu
def test_the_model_moves_to_a_gpu(rtmpose: TopdownModel, image: np.ndarray) -> None:
    before = scores(rtmpose, image)
    assert rtmpose.cuda().device.type == "cuda"
    rtmpose.test_cfg.output_heatmaps = True
    (sample,) = inference_topdown(rtmpose, image, BOXES[:1])
    assert sample.pred_fields.heatmaps.is_cuda
    assert merge_data_samples([sample]).pred_fields.heatmaps.shape == (17, 400, 450)
    np.testing.assert_allclose(sample.pred_instances.keypoint_scores, before, rtol=0.05, atol=0.02)
    assert rtmpose.cpu().device.type == "cpu"


def test_the_model_can_be_copied(rtmpose: TopdownModel, image: np.ndarray) -> None:
    for parameter in rtmpose.parameters():
        # In a file they begin anywhere, copies at multiples of 64: PyTorch 2.4 rounds otherwise.
        parameter.data = parameter.data.clone()
    before = scores(rtmpose, image)
    for other in (copy.deepcopy(rtmpose), pickle.loads(pickle.dumps(rtmpose))):
        np.testing.assert_array_equal(scores(other, image), before)


def test_what_the_model_does_not_have(rtmpose: TopdownModel) -> None:
    with pytest.raises(AttributeError, match="TopdownModel has no 'test_step'"):
        _ = rtmpose.test_step
    assert not hasattr(rtmpose, "neither")


def test_the_demo_of_an_image(rtmpose: TopdownModel, image: np.ndarray, tmp_path: Path) -> None:
    """What image_demo.py and topdown_demo_with_mmdet.py do with the model."""
    visualizer_cfg: Any = rtmpose.cfg.visualizer
    visualizer_cfg.radius, visualizer_cfg.alpha, visualizer_cfg.line_width = 4, 0.8, 2
    assert rtmpose.cfg.get("default_scope", "mmpose") == "mmpose"
    visualizer = VISUALIZERS.build(rtmpose.cfg.visualizer)
    visualizer.set_dataset_meta(rtmpose.dataset_meta, skeleton_style="openpose")
    results = merge_data_samples(inference_topdown(rtmpose, image, np.array(BOXES)))
    visualizer.add_datasample(
        "result", image[..., ::-1], data_sample=results, draw_gt=False, draw_bbox=True,
        kpt_thr=0.3, draw_heatmap=False, show_kpt_idx=True, skeleton_style="mmpose", show=False,
        wait_time=0, out_file=str(tmp_path / "out.jpg"),
    )  # fmt: skip
    assert imread(tmp_path / "out.jpg").shape == image.shape
    assert (visualizer.get_image() != image[..., ::-1]).any()
    instances = split_instances(results.get("pred_instances", None))
    assert len(instances) == 2 and instances[0]["bbox"] == (BOXES[0],)
    text = json.dumps({"meta_info": rtmpose.dataset_meta, "instance_info": instances},
                      default=lambda array: array.tolist())  # fmt: skip
    assert json.loads(text)["meta_info"]["dataset_name"] == "coco"


def test_options_of_the_visualizer(rtmpose_t: Path) -> None:
    options = {"visualizer": {"radius": 5}, "model.test_cfg.output_heatmaps": True}
    model = init_model(SIMCC, rtmpose_t, "cpu", cfg_options=options)
    assert VISUALIZERS.build(model.cfg.visualizer).radius == 5
    assert model.test_cfg.output_heatmaps is True


def test_there_is_no_bottom_up_model(rtmpose: TopdownModel, image: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"no bottom-up models: .*inference_topdown"):
        inference_bottomup(rtmpose, image)


def test_a_network_of_ones_own_is_built_where_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trusted_net.py").write_text(
        "from posekit.models.hrnet import HRNetPose\n\n\nclass Mine(HRNetPose):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "model" / "mine.yaml"
    path.parent.mkdir()
    path.write_text(
        "net: {_target_: trusted_net.Mine, width: 18}\ninput_size: [64, 64]\nkeypoints: coco\n"
        "codec: {_target_: posekit.codecs.heatmap.MSRAHeatmap}\ndetector: whole_image\n"
    )
    weights = tmp_path / "mine.pth"
    torch.manual_seed(0)
    torch.save(create_model(str(path), trust=True).state_dict(), weights)
    with pytest.raises(InputError, match="pass trust=true"):
        init_model(path, weights, device="cpu")
    with pytest.raises(InputError, match="pass trust=true"):
        MMPoseInferencer(path, weights, device="cpu")
    image = np.zeros((64, 64, 3), np.uint8)
    [sample] = inference_topdown(init_model(path, weights, device="cpu", trust=True), image)
    inferencer = MMPoseInferencer(path, weights, device="cpu", trust=True)
    found = next(inferencer(image))["predictions"][0][0]["keypoints"]
    np.testing.assert_allclose(found, sample.pred_instances.keypoints[0], atol=1e-3)
