"""Options of a call."""

from __future__ import annotations

from pathlib import Path

import pytest

from posekit.errors import InputError
from posekit.options import PredictOptions


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown option 'kpt_th'; did you mean kpt_thr"):
        PredictOptions.from_keywords({"kpt_th": 0.5})


@pytest.mark.parametrize(
    "name, value",
    [
        ("batch_size", 0),
        ("batch_size", 1.5),
        ("batch_size", True),
        ("bbox_thr", 2),
        ("bbox_thr", "high"),
        ("nms_thr", -0.1),
        ("empty", "nothing"),
        ("skeleton_style", "coco"),
        ("on_error", "ignore"),
        ("radius", 0),
        ("kpt_thr", "low"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name):
        PredictOptions.from_keywords({name: value})


def test_out_dir_sets_the_folders_that_are_not_given() -> None:
    options = PredictOptions(out_dir="out", vis_out_dir="pictures")
    assert options.visualization_dir == Path("pictures")
    assert options.predictions_dir == Path("out/predictions")
