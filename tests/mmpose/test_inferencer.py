"""Whole photographs, from the file to the documented dict, against what MMPose returned."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import posekit
from tests.networks import save_seeded_weights

CASES = (
    "rtmpose-m_8xb256-120e_face6-256x256__001766",
    "rtmpose-m_8xb256-210e_hand5-256x256__33",
    "rtmpose-m_8xb256-420e_body8-256x192__000000000785",
    "rtmpose-m_8xb256-420e_body8-256x192__000000040083",
    "rtmpose-m_8xb256-420e_body8-256x192__000000196141",
    "rtmpose-m_8xb256-420e_body8-256x192__000000197388",
    "rtmpose-m_8xb512-700e_body8-halpe26-256x192__000000000785",
    "rtmpose-m_8xb64-210e_ap10k-256x256__000000037516",
    "rtmpose-m_8xb64-270e_coco-wholebody-256x192__000000000785",
    "td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192__000000000785",
    "td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192__000000196141",
    "td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192__000000000785",
    "td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192__000000197388",
    "td-hm_hrnet-w32_8xb64-210e_coco-256x192__000000000785",
    "td-hm_hrnet-w32_8xb64-210e_coco-256x192__000000196141",
    "td-hm_hrnetv2-w18_8xb64-60e_aflw-256x256__001766",
)


@pytest.fixture(scope="module")
def load(
    shared: Path, person_detector: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, str], posekit.Predictor]]:
    """Loads a model with the seeded weights that the reference used, once."""
    folder = tmp_path_factory.mktemp("weights")

    @lru_cache(maxsize=1)  # the cases are sorted by model
    def load(name: str, detector: str) -> posekit.Predictor:
        weights = folder / f"{name}.safetensors"
        save_seeded_weights(shared / "reference" / "pose2d" / name, name, weights)
        predictor = posekit.load(
            name,
            weights=weights,
            detector=detector,
            detector_weights=None if detector == "whole_image" else person_detector,
            device="cpu",
            speed="accurate",
        )
        weights.unlink()  # mapped by now
        return predictor

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSEKIT_CACHE", str(folder / "cache"))
        yield load


# A smaller sibling is compared at every run, or the same model on another image.
SLOW = (
    "rtmpose-m_8xb256-420e_body8-256x192__000000040083",
    "rtmpose-m_8xb256-420e_body8-256x192__000000196141",
    "td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192__000000000785",
    "td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192__000000196141",
    "td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192__000000000785",
    "td-hm_hrnet-w32_8xb64-210e_coco-256x192__000000196141",
)


@pytest.mark.usefixtures("same_crops")
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW)) for case in CASES],
)
def test_results_match(
    load: Callable[[str, str], posekit.Predictor], shared: Path, case: str
) -> None:
    recorded = json.loads((shared / "reference" / "inferencer" / f"{case}.json").read_text())
    (expected,) = recorded["result"]["predictions"]
    predictor = load(recorded["pose2d"], recorded["detector"])
    image = shared / "images" / recorded["image"]

    (found,) = next(predictor(image))["predictions"]
    assert len(found) == len(expected)
    for instance, wanted in zip(found, expected, strict=True):
        assert list(instance) == list(wanted)
        assert np.shape(instance["keypoints"]) == np.shape(wanted["keypoints"])
        np.testing.assert_allclose(instance["bbox"], wanted["bbox"], atol=0.5)
        assert instance["bbox_score"] == pytest.approx(wanted["bbox_score"], abs=5e-3)

    boxes = [[*wanted["bbox"][0], wanted["bbox_score"]] for wanted in expected]
    (found,) = next(predictor(image, bboxes=boxes))["predictions"]
    assert_keypoints_match(found, expected)


def assert_keypoints_match(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """95 % within half a pixel and a hundredth of a score: an untrained network has near ties."""

    def array(instances: list[dict[str, Any]], key: str) -> np.ndarray:
        return np.array([instance[key] for instance in instances])

    distances = np.linalg.norm(array(found, "keypoints") - array(expected, "keypoints"), axis=-1)
    assert (distances <= 0.5).mean() >= 0.95
    scores = array(expected, "keypoint_scores")
    differences = np.abs(array(found, "keypoint_scores") - scores)
    # Untrained heat maps have scores of up to 90.
    assert (differences <= 1e-2 * max(1.0, scores.std())).mean() >= 0.95
