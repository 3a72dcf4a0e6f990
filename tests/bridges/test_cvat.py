"""The function for CVAT's automatic annotation, called by CVAT's SDK without a server."""

from __future__ import annotations

import logging
import sys
from typing import Any

import numpy as np
import pytest

import posekit
from posekit.bridges.cvat import Annotator, create, raw_label
from posekit.errors import InputError
from posekit.files import PACKAGED
from posekit.skeleton import load_skeleton

aa = pytest.importorskip("cvat_sdk.auto_annotation")
Image = pytest.importorskip("PIL.Image")


class Context(aa.DetectionFunctionContext):
    """What CVAT says of a frame."""

    frame_name = "demo.jpg"
    conv_mask_to_poly = False

    def __init__(self, threshold: float | None = None) -> None:
        self._threshold = threshold

    @property
    def conf_threshold(self) -> float | None:
        return self._threshold


@pytest.fixture(scope="module")
def annotator() -> Annotator:
    return create("demo", device="cpu")


@pytest.fixture(scope="module")
def picture() -> Any:
    return Image.open(PACKAGED / "demo.jpg")


def test_the_spec_is_a_skeleton_of_the_models_keypoints(annotator: Annotator) -> None:
    assert isinstance(annotator.spec, aa.DetectionFunctionSpec)
    (label,) = annotator.spec.labels
    assert (label.name, label.type) == ("person", "skeleton")
    assert tuple(part.name for part in label.sublabels) == load_skeleton("coco").names


def test_skeletons_are_what_the_predictor_finds(annotator: Annotator, picture: Any) -> None:
    found = annotator.detect(Context(), picture)
    bgr = np.ascontiguousarray(np.asarray(picture.convert("RGB"))[..., ::-1])
    (result,) = posekit.load("demo", device="cpu").stream(bgr, bbox_thr=0.3)
    assert len(found) == len(result) >= 2
    for skeleton, points, scores in zip(
        found, result.keypoints, result.keypoint_scores, strict=True
    ):
        assert skeleton.type.value == "skeleton" and skeleton.label_id == 0
        assert [part.label_id for part in skeleton.elements] == list(range(17))
        assert [part.outside for part in skeleton.elements] == (scores < 0.3).tolist()
        given = np.array([part.points for part in skeleton.elements])
        inside = ~np.array([part.outside for part in skeleton.elements])
        limit = np.subtract(result.image_size, 1)
        np.testing.assert_allclose(given, np.clip(points, 0, limit), atol=0.05)
        assert inside.sum() >= 10


def test_the_sdk_takes_the_skeletons_to_a_task(annotator: Annotator, picture: Any) -> None:
    """What `annotate_task` does between the function and the server."""
    from cvat_sdk import models
    from cvat_sdk.auto_annotation.driver import _AnnotationMapper

    names = load_skeleton("coco").names
    parts = [models.Sublabel(name=name, id=100 + i, type="points") for i, name in enumerate(names)]
    for part in parts:
        part._data_store["attributes"] = []
    task = models.Label(name="person", id=7, type="skeleton", sublabels=parts[::-1])
    task._data_store["attributes"] = []
    mapper = _AnnotationMapper(
        logging.getLogger("cvat"),
        annotator.spec.labels,
        [task],
        allow_unmatched_labels=False,
        conv_mask_to_poly=False,
    )
    shapes = annotator.detect(Context(), picture)
    # Older versions change what they are given.
    tags, shapes = mapper.validate_and_remap(shapes, 3) or ([], shapes)
    assert not tags and len(shapes) >= 2
    assert {shape.frame for shape in shapes} == {3} and shapes[0].label_id == 7
    assert [part.label_id for part in shapes[0].elements] == list(range(100, 117))


def test_a_threshold_of_cvats_leaves_people_out(annotator: Annotator, picture: Any) -> None:
    assert annotator.detect(Context(1.0), picture) == []


def test_the_raw_label_is_one_of_the_sdks(annotator: Annotator) -> None:
    from cvat_sdk import models

    (label,) = raw_label(load_skeleton("coco"))
    assert [part["name"] for part in label["sublabels"]] == list(load_skeleton("coco").names)
    assert label["svg"].count("<circle") == 17
    assert label["svg"].count("<line") == len(load_skeleton("coco").links)
    request = models.PatchedLabelRequest(
        name=label["name"],
        type=label["type"],
        svg=label["svg"],
        sublabels=[
            models.SublabelRequest(**{**part, "attributes": []}) for part in label["sublabels"]
        ],
    )
    assert request.name == "person"


def test_cvats_command_line_loads_it() -> None:
    common = pytest.importorskip("cvat_cli._internal.common")
    parameters = {"model": "demo", "device": "cpu", "label": "figure"}
    found = common.FunctionLoader("posekit.bridges.cvat", None, parameters).load()
    assert isinstance(found.spec, aa.DetectionFunctionSpec)
    assert found.spec.labels[0].name == "figure"


def test_without_the_sdk_a_line_says_what_brings_it(
    annotator: Annotator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cvat_sdk.auto_annotation", None)
    with pytest.raises(InputError, match=r'pip install "posekit\[cvat\]"'):
        Annotator(annotator._predictor)
