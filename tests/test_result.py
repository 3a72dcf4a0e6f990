"""Results and their forms."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.io.test_write import result


def test_the_dict_has_plain_values_and_the_references_nesting() -> None:
    found = result("a.jpg", n=2).to_mmpose()
    assert found["visualization"] == []
    (instances,) = found["predictions"]
    assert len(instances) == 2
    assert type(instances[0]["keypoints"][0][0]) is float
    assert type(instances[0]["bbox"]) is tuple and type(instances[0]["bbox_score"]) is float


def test_nobody_found() -> None:
    assert result("a.jpg", n=0).to_mmpose() == {"visualization": [], "predictions": [[]]}


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"box_scores must be \(2,\) for 2 instances"):
        dataclasses.replace(result("a.jpg", n=2), box_scores=np.ones(3))
