"""The predictor: its options, its errors, its laziness."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import posekit
from posekit.errors import InputError, UnknownModelError, WeightsError

IMAGES = ("000000000785", "000000040083", "000000196141", "000000197388")


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


def test_results_do_not_depend_on_batch_sizes(human: posekit.Predictor, shared: Path) -> None:
    images = [shared / "images" / f"{image}.jpg" for image in IMAGES]
    first, *others = (
        list(human.stream(images, batch_size=size, pose_batch_size=size, flip_test=False))
        for size in (1, 3, 8)
    )
    for other in others:
        for result, expected in zip(other, first, strict=True):
            np.testing.assert_array_equal(result.boxes_xyxy, expected.boxes_xyxy)
            np.testing.assert_allclose(result.keypoints, expected.keypoints, atol=1e-3)
            np.testing.assert_allclose(result.keypoint_scores, expected.keypoint_scores, atol=1e-4)


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


def test_flip_test_can_be_turned_off(small: posekit.Predictor, shared: Path) -> None:
    image = shared / "images" / "000000000785.jpg"
    scores = [
        next(small.stream(image, flip_test=flip_test)).keypoint_scores
        for flip_test in (None, True, False)
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.abs(scores[1] - scores[2]).max() > 1e-2


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
    "bboxes",
    [
        [[1, 2, 30, 40]],
        [[[1, 2, 30, 40]]],
        [1, 2, 30, 40],
        [[1, 2, 30, 40, 0.5]],
        np.array([[1, 2, 30, 40]]),
        [np.array([[1, 2, 30, 40]])],
    ],
    ids=["one image", "per image", "one box", "with score", "array", "arrays"],
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
    ],
)
def test_wrong_boxes(small: posekit.Predictor, bboxes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        next(small(np.zeros((64, 64, 3), np.uint8), bboxes=bboxes))


def test_boxes_for_fewer_images_than_there_are(small: posekit.Predictor) -> None:
    images = [np.zeros((64, 64, 3), np.uint8)] * 2
    with pytest.raises(InputError, match="bboxes has boxes for 1 images"):
        list(small(images, bboxes=[[1, 2, 30, 40]]))


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
        with pytest.raises(WeightsError, match="another model or number of keypoints"):
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
