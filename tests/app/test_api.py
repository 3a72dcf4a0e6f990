"""`POST /api/predict` and its schema."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import posekit
from tests.app.conftest import Visitor


def test_people_of_a_picture_are_those_of_the_predictor(visitor: Visitor, picture: bytes) -> None:
    status, found = visitor.form("/api/predict", picture, model="demo", max_people=2)
    assert status == 200, found
    assert found["about"]["size"] == [960, 640]
    assert found["meta_info"]["keypoint_id2name"]["0"] == "nose"
    (expected,) = posekit.load("demo").stream(picture, max_people=2)
    keypoints = [person["keypoints"] for person in found["instance_info"]]
    np.testing.assert_allclose(keypoints, expected.keypoints, atol=0.5)
    assert len(found["instance_info"][0]["bbox"][0]) == 4


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"model": "/etc/passwd"}, "unknown model"),
        ({"model": "hf://a/b"}, "unknown model"),
        ({"model": "human"}, "unknown model"),  # not of this server
        ({"max_people": 0}, "max_people: "),
        ({"bbox_thr": "high"}, "bbox_thr: "),
        ({"empty": "all"}, "empty: "),
    ],
)
def test_wrong_fields_are_named(
    visitor: Visitor, picture: bytes, fields: dict[str, object], part: str
) -> None:
    status, answer = visitor.form("/api/predict", picture, **fields)
    assert status == 422
    assert answer.keys() == {"error"} and part in answer["error"]


def test_what_is_no_picture_has_its_status(visitor: Visitor, clip: Path, picture: bytes) -> None:
    status, answer = visitor.form("/api/predict", clip.read_bytes())
    assert status == 415 and "a video" in answer["error"]
    assert visitor.form("/api/predict", b"some text")[0] == 415
    status, _, answer = visitor.ask("POST", "/api/predict", picture, content_type="image/jpeg")
    assert status == 415 and b"multipart/form-data" in answer
    assert visitor.form("/api/predict", picture[:2000])[0] == 422
    assert visitor.form("/api/predict", b"\xff\xd8\xff" + bytes(700_000))[0] == 413


def test_the_schema_has_the_options_of_a_picture(visitor: Visitor) -> None:
    schema = json.loads(visitor.ask("GET", "/openapi.json")[2])
    assert set(schema["paths"]) == {"/api/predict", "/api/models"}
    answers = schema["paths"]["/api/predict"]["post"]["responses"]
    assert {"200", "413", "415", "422", "503", "504"} <= set(answers)
    (body,) = (one for name, one in schema["components"]["schemas"].items() if "Body" in name)
    assert body["required"] == ["file"]
    assert {"bbox_thr", "max_people", "select", "flip_test"} <= set(body["properties"])
    assert "Poses" in schema["components"]["schemas"]


def test_models_are_those_of_the_server(visitor: Visitor) -> None:
    (model,) = json.loads(visitor.ask("GET", "/api/models")[2])
    assert (model["aliases"], model["task"]) == (["demo"], "demo")


def test_errors_have_their_status() -> None:
    pytest.importorskip("gradio")
    from posekit.app.networks import status_of
    from posekit.errors import BusyError, DownloadError, InputError, UnknownModelError

    assert [status_of(InputError("")), status_of(UnknownModelError(""))] == [422, 422]
    assert [status_of(DownloadError("")), status_of(BusyError(""))] == [503, 503]
    assert [status_of(TimeoutError()), status_of(ValueError())] == [504, 500]
