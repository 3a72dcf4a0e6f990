"""Options of a call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posekit.errors import InputError
from posekit.loading import Speed
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
        ("radius", 1001),
        ("num_instances", 101),
        ("bbox_thr", True),
        ("bbox_thr", np.float32("nan")),
        ("kpt_thr", "low"),
        ("flip_test", "no"),
        ("flip_test", 0),
        ("show", "yes"),
        ("show", 1),
        ("det_interval", 0),
        ("det_interval", 2.0),
        ("det_interval", "often"),
        ("det_interval", True),
        ("det_cat_ids", "0"),
        ("det_cat_ids", "person"),
        ("det_cat_ids", b"0"),
        ("det_cat_ids", []),
        ("det_cat_ids", [0, "1"]),
        ("det_cat_ids", 0.0),
        ("det_cat_ids", -1),
        ("det_cat_ids", True),
        ("det_cat_ids", np.array([0.5])),
        ("det_cat_ids", np.array(1.5)),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name):
        PredictOptions.from_keywords({name: value})


@pytest.mark.parametrize("value", [2, "auto"])
def test_an_interval_needs_boxes_that_can_be_carried(value: Any) -> None:
    with pytest.raises(InputError, match="det_interval needs tracks, but track is 'none'"):
        PredictOptions(det_interval=value, track="none")
    with pytest.raises(InputError, match="det_interval does not apply where bboxes are given"):
        PredictOptions(det_interval=value, bboxes=[[1, 2, 3, 4]])
    assert PredictOptions(det_interval=value).similarity == "iou"


@pytest.mark.parametrize(
    ("options", "speed", "detects", "expected"),
    [
        ({}, "accurate", True, 1),
        ({}, "balanced", True, 1),
        ({}, "fast", True, "auto"),
        ({}, "fast", False, 1),
        ({"track": "none"}, "fast", True, 1),
        ({"track": "oks"}, "fast", True, "auto"),
        ({"bboxes": [[1, 2, 3, 4]]}, "fast", True, 1),
        ({"det_interval": 1}, "fast", True, 1),
        ({"det_interval": 5}, "fast", True, 5),
        ({"det_interval": "auto"}, "accurate", True, "auto"),
    ],
)
def test_the_interval_goes_by_the_speed_where_a_call_does_not_say(
    options: dict[str, Any], speed: Speed, detects: bool, expected: Any
) -> None:
    assert PredictOptions(**options).det_interval_at(speed, detects=detects) == expected


def test_numbers_of_numpy_are_numbers() -> None:
    values = {"bbox_thr": np.float32(0.5), "kpt_thr": np.float64(0.2), "batch_size": np.int64(2)}
    options = PredictOptions.from_keywords(values)
    assert (options.bbox_thr, options.kpt_thr, options.batch_size) == (0.5, 0.2, 2)


@pytest.mark.parametrize(
    "ids, expected",
    [
        (None, None),
        (3, (3,)),
        (np.int64(3), (3,)),
        ([0, 3], (0, 3)),
        ((0,), (0,)),
        (range(2), (0, 1)),
        (np.array([0, 3]), (0, 3)),
    ],
)
def test_classes_of_the_detector_in_every_form(ids: Any, expected: Any) -> None:
    found = PredictOptions(det_cat_ids=ids).det_categories
    assert found == expected
    assert found is None or all(type(number) is int for number in found)


@pytest.mark.parametrize(
    "options",
    [
        {"lift_window": 9},
        {"disable_norm_pose_2d": True},
        {"disable_rebase_keypoint": True},
        {"num_instances": 2},
        {"use_oks_tracking": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_the_five_options_of_3d_are_refused_for_2d(options: dict[str, Any]) -> None:
    chosen = PredictOptions.from_keywords(options)
    with pytest.raises(InputError, match=f"{next(iter(options))}=.* applies to .*; leave it out"):
        chosen.check_applies(pose3d=False, lifted=False)
    chosen.check_applies(pose3d=True, lifted=True)


def test_out_dir_sets_the_folders_that_are_not_given() -> None:
    options = PredictOptions(out_dir="out", vis_out_dir="pictures")
    assert options.visualization_dir == Path("pictures")
    assert options.predictions_dir == Path("out/predictions")


@pytest.mark.parametrize(
    ("vis_out_dir", "folder", "name"),
    [
        ("out/a.jpg", "out", "a.jpg"),
        ("a.PNG", ".", "a.PNG"),
        (Path("out") / "clip.mp4", "out", "clip.mp4"),
        ("out/a.gif", "out", "a.gif"),
        ("out/a.wmv", "out", "a.wmv"),
        ("out/v1.0", "out/v1.0", None),
        ("out/a.jpg/", "out/a.jpg", None),
        ("out", "out", None),
    ],
)
def test_drawings_may_have_a_name(vis_out_dir: Any, folder: str, name: str | None) -> None:
    options = PredictOptions(vis_out_dir=vis_out_dir, out_dir="other")
    assert options.visualization_dir == Path(folder) and options.drawing_name == name
    assert options.predictions_dir == Path("other/predictions")


def test_a_folder_that_is_there_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    options = PredictOptions(vis_out_dir=tmp_path / "a.jpg")
    assert options.visualization_dir == tmp_path / "a.jpg" and options.drawing_name is None


@pytest.mark.parametrize("field", ["out_dir", "vis_out_dir", "pred_out_dir"])
def test_folders_are_paths(field: str) -> None:
    with pytest.raises(
        InputError, match=f"^{field} must be a text or a path, or left out, found 5"
    ):
        PredictOptions(**{field: 5})
