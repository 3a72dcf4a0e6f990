"""A one-stage model is a predictor like any other, without a detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import posekit
from posekit.cli import main
from posekit.errors import InputError
from posekit.files import PACKAGED
from posekit.locate import choose_parts
from posekit.mmpose.inferencer import MMPoseInferencer
from posekit.mmpose.topdown import init_model
from posekit.predictor import Predictor
from tests.stages.test_one_stage import make

MODEL = "rtmo-t"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random ones that find a few people in the image."""
    net = make().net
    with torch.no_grad():
        for head in net.heads:
            head.class_pred.bias -= 4
    path = tmp_path_factory.mktemp("weights") / "rtmo.safetensors"
    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    save_file(state, path, metadata={"model": "rtmo-t_body7-416x416"})
    return path


@pytest.fixture(scope="module")
def predictor(weights: Path) -> Predictor:
    return posekit.load(MODEL, weights=weights, device="cpu")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8)
    return cv2.resize(noise, (300, 180), interpolation=cv2.INTER_CUBIC)


def test_people_have_boxes_scores_and_keypoints(predictor: Predictor, image: np.ndarray) -> None:
    (result,) = predictor.stream(image, bbox_thr=0.02)
    assert len(result) > 0
    assert result.keypoints.shape == (len(result), 17, 2)
    assert result.keypoint_scores.shape == (len(result), 17)
    assert (np.diff(result.box_scores) <= 0).all() and result.box_scores.min() > 0.02
    person = next(iter(predictor(image, bbox_thr=0.02)))["predictions"][0][0]
    assert set(person) == {"keypoints", "keypoint_scores", "bbox", "bbox_score"}


def test_thresholds_are_the_models_own_where_none_are_given(
    predictor: Predictor, image: np.ndarray
) -> None:
    (own,) = predictor.stream(image)
    (same,) = predictor.stream(image, bbox_thr=0.1, nms_thr=0.65)
    np.testing.assert_allclose(own.box_scores, same.box_scores, atol=1e-5)
    (fewer,) = predictor.stream(image, bbox_thr=0.02, nms_thr=0.1)
    (more,) = predictor.stream(image, bbox_thr=0.02, nms_thr=0.9)
    assert len(fewer) < len(more)


def test_a_folder_is_tracked_smoothed_and_drawn(
    predictor: Predictor, image: np.ndarray, tmp_path: Path
) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.roll(image, 2 * number, axis=1))
    results = list(
        predictor.stream(
            tmp_path,
            bbox_thr=0.02,
            track="iou",
            smooth="one-euro",
            batch_size=2,
            pose_based_nms=True,
            out_dir=tmp_path / "out",
        )
    )
    assert [result.name for result in results] == ["0.png", "1.png", "2.png"]
    assert all(result.track_ids is not None and len(result) for result in results)
    assert set(results[0].track_ids) & set(results[2].track_ids)
    assert (tmp_path / "out" / "visualization" / "0.png").is_file()
    assert (tmp_path / "out" / "predictions" / "2.json").is_file()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("bboxes", [[1, 2, 30, 40]]),
        ("bboxes", np.array([[1.0, 2, 30, 40]])),
        ("bboxes", []),
        ("det_cat_ids", [0]),
        ("det_cat_ids", 0),
        ("det_interval", 2),
        ("empty", "whole_image"),
        ("pose_batch_size", 8),
        ("flip_test", True),
    ],
)
def test_options_of_boxes_are_refused_by_name(
    predictor: Predictor, image: np.ndarray, option: str, value: object
) -> None:
    with pytest.raises(InputError, match=rf"^{option}.* apply.*rtmo-t_body7-416x416") as error:
        predictor.stream(image, **{option: value})
    assert "\n" not in str(error.value)


def test_options_that_say_nothing_are_taken(predictor: Predictor, image: np.ndarray) -> None:
    for options in ({"flip_test": False}, {"empty": "none"}, {"bboxes": None}, {"det_interval": 1}):
        assert len(list(predictor.stream(image, **options))) == 1


@pytest.mark.parametrize("detector", ["rtmdet-m", "human", "whole_image"])
def test_a_detector_is_refused_by_name(detector: str) -> None:
    with pytest.raises(InputError, match=f"^detector does not apply.*detector={detector} out$"):
        posekit.load(MODEL, detector=detector)


def test_no_detector_may_be_said() -> None:
    assert choose_parts(MODEL, detector="none").detector is None


def test_weights_of_a_detector_are_refused(weights: Path) -> None:
    with pytest.raises(InputError, match="detector_weights are given"):
        posekit.load(MODEL, weights=weights, detector_weights=weights)


@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino"])
def test_engines_give_the_same_people(
    weights: Path, predictor: Predictor, image: np.ndarray, backend: str
) -> None:
    if backend != "torch":
        pytest.importorskip(backend)
    (expected,) = predictor.stream(image, bbox_thr=0.02)
    other = posekit.load(MODEL, weights=weights, device="cpu", backend=backend)
    (found,) = other.stream(image, bbox_thr=0.02)
    np.testing.assert_allclose(found.box_scores[:3], expected.box_scores[:3], atol=1e-4)
    np.testing.assert_allclose(found.keypoints[:3], expected.keypoints[:3], atol=0.2)


def test_the_inferencer_of_mmpose_runs_it(weights: Path, image: np.ndarray) -> None:
    inferencer = MMPoseInferencer(MODEL, pose2d_weights=weights, device="cpu")
    (own,) = inferencer(image)
    (sure,) = inferencer(image, bbox_thr=0.3)
    scores = [person["bbox_score"] for person in own["predictions"][0]]
    assert [score for score in scores if score > 0.3] == [
        person["bbox_score"] for person in sure["predictions"][0]
    ]
    (sample,) = next(iter(inferencer(image, return_datasamples=True)))["predictions"]
    assert len(sample.pred_instances.keypoints) == len(scores)


def test_nobody_is_no_instance_for_the_inferencer_too(weights: Path, image: np.ndarray) -> None:
    inferencer = MMPoseInferencer(MODEL, pose2d_weights=weights, device="cpu")
    assert next(iter(inferencer(image, bbox_thr=1.0)))["predictions"] == [[]]


def test_the_function_for_boxes_names_what_runs_it() -> None:
    with pytest.raises(InputError, match="MMPoseInferencer"):
        init_model(MODEL)


def test_the_command_line_runs_it(
    weights: Path, image: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), image)
    arguments = [f"model={MODEL}", f"weights={weights}", f"inputs={path}", "device=cpu"]
    assert main(["predict", *arguments, "bbox_thr=0.02"]) == 0
    assert "a.png" in capsys.readouterr().out
    assert main(["predict", *arguments, "detector=human"]) == 1
    assert "detector does not apply" in capsys.readouterr().err


def test_a_graph_is_refused_since_it_lacks_the_classifier(tmp_path: Path, weights: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from posekit.backends.graphs import to_onnx
    from posekit.backends.outputs import describe_outputs, output_names

    net = make().net
    names = output_names(describe_outputs(net, (416, 416)))
    assert names[0] == "cls_0" and names[-1] == "pose_1"
    to_onnx(net, torch.zeros(2, 3, 416, 416), tmp_path / "a.onnx", names=names)
    assert len(onnx.load(tmp_path / "a.onnx").graph.output) == 8
    with pytest.raises(InputError, match="give the checkpoint as weights"):
        posekit.load(MODEL, weights=tmp_path / "a.onnx", device="cpu")


@pytest.mark.parametrize("option", ["bboxes=[[[1,2,3,4]]]", "lift_window=3", "det_interval=2"])
def test_what_has_no_effect_is_told_before_weights_are_fetched(
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    picture = str(PACKAGED / "demo.jpg")
    assert main(["predict", "model=rtmo-s", f"inputs={picture}", option]) == 1
    error = capsys.readouterr().err
    assert option.partition("=")[0] in error and "appl" in error
    assert not (tmp_path / "cache").exists()


def visible(result: posekit.PoseResult) -> np.ndarray:
    """How many pixels of the image each person's box has."""
    size = np.tile(result.image_size, 2)
    boxes = np.clip(result.boxes_xyxy, 0, size)
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def test_one_stage_models_choose_too(
    predictor: Predictor,
    image: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wide = np.pad(image, ((0, 0), (0, 90), (0, 0)))
    everybody = list(predictor.stream([image, wide], bbox_thr=0.02, batch_size=2))
    assert min(map(len, everybody)) > 2
    classified: list[int] = []
    classify = type(predictor.estimator).classify

    def counting(self: Any, vectors: Any, *rest: Any) -> Any:
        classified.append(len(vectors))
        return classify(self, vectors, *rest)

    monkeypatch.setattr(type(predictor.estimator), "classify", counting)
    chosen = list(predictor.stream([image, wide], bbox_thr=0.02, select="largest", batch_size=2))
    assert sum(classified) == 2
    for all_of, one in zip(everybody, chosen, strict=True):
        assert len(one) == 1
        assert visible(one)[0] > 0.98 * visible(all_of).max()
