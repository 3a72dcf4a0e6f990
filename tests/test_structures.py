"""Data samples print, index and merge as the documentation shows."""

from __future__ import annotations

import copy
import pickle
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from posekit.errors import InputError
from posekit.structures import InstanceData, PixelData, PoseDataSample, merge_data_samples


def people(count: int = 3) -> InstanceData:
    return InstanceData(
        keypoints=np.arange(count * 4.0).reshape(count, 2, 2),
        bbox_scores=np.linspace(0, 1, count),
        names=[f"person{i}" for i in range(count)],
        masks=torch.arange(count),
    )


def sample(path: str = "a.jpg", count: int = 1) -> PoseDataSample:
    return PoseDataSample(
        metainfo={"img_path": path, "ori_shape": (4, 6)},
        gt_instances=InstanceData(bboxes=np.zeros((count, 4))),
        pred_instances=people(count),
    )


def test_prints_as_documented(shared: Path) -> None:
    text = (shared / "docs" / "000_ed151ab22076b1ac.txt").read_text()
    found = re.search(r"```python\n(\[\n    <PoseDataSample\(.*?)\n```", text, re.DOTALL)
    assert found is not None
    printed = found[1]

    def field(name: str, part: str) -> np.ndarray:
        value = re.search(rf"{name}: array\((.*?)(, dtype=float32)?\)\n", part, re.DOTALL)
        assert value is not None
        numbers = eval(value[1], {"__builtins__": {}})
        return np.array(numbers, np.float32 if value[2] else np.float64)

    true, predicted = printed.split("pred_instances")
    documented = PoseDataSample(
        metainfo={
            "ori_shape": (425, 640),
            "img_path": "tests/data/coco/000000000785.jpg",
            "input_size": (192, 256),
            "flip_indices": [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15],
            "img_shape": (425, 640),
        },
        gt_instances=InstanceData(
            **{
                name: field(name, true)
                for name in ("bboxes", "bbox_centers", "bbox_scales", "bbox_scores")
            }
        ),
        gt_instance_labels=InstanceData(),
        pred_instances=InstanceData(
            **{
                name: field(name, predicted)
                for name in (
                    "keypoints", "bbox_scores", "bboxes", "keypoint_scores", "keypoints_visible"
                )
            }
        ),
    )  # fmt: skip
    assert "[\n" + textwrap.indent(repr(documented), "    ") + "\n]" == printed


def test_an_empty_element_prints_on_one_line() -> None:
    assert repr(InstanceData()) == "<InstanceData()>"
    assert repr(PoseDataSample()) == "<PoseDataSample()>"


def test_fields_are_attributes() -> None:
    data = sample()
    assert data.img_path == "a.jpg" and data.pred_instances.keypoints.shape == (1, 2, 2)
    assert "pred_instances" in data and "img_path" in data and "pred_fields" not in data
    data.extra = 3
    assert data.get("extra") == 3 and data.pop("extra") == 3 and data.get("extra", 5) == 5
    assert data.keys() == ["gt_instances", "pred_instances"]
    assert [name for name, _ in data.items()] == data.keys() and len(data.values()) == 2
    del data.gt_instances
    assert "gt_instances" not in data


def test_an_unknown_field_names_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"no 'keypoint'; it has: keypoints, bbox_scores"):
        _ = people().keypoint


def test_metainfo_is_apart_from_data() -> None:
    data = sample()
    data.set_metainfo({"img_id": 7})
    assert data.img_id == 7 and data.metainfo["img_id"] == 7
    assert data.metainfo_keys() == ["img_path", "ori_shape", "img_id"]
    data.metainfo["img_id"] = 8  # of the copy
    assert data.img_id == 7
    with pytest.raises(InputError, match="set_metainfo"):
        data.img_path = "b.jpg"
    with pytest.raises(InputError, match="data field"):
        data.set_metainfo({"pred_instances": 1})


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (1, [1]),
        (-1, [2]),
        (np.int64(0), [0]),
        (slice(1, None), [1, 2]),
        (np.array([True, False, True]), [0, 2]),
        ([True, False, True], [0, 2]),
        ([2, 0], [2, 0]),
        (np.array([2, 0]), [2, 0]),
        (torch.tensor([1]), [1]),
        ([], []),
        (np.zeros(3, bool), []),
    ],
)
def test_instances_are_chosen(chosen: object, expected: list[int]) -> None:
    found = people()[chosen]
    assert isinstance(found, InstanceData) and len(found) == len(expected)
    np.testing.assert_array_equal(found.keypoints, people().keypoints[expected])
    assert found.names == [f"person{i}" for i in expected]
    assert found.masks.tolist() == expected


@pytest.mark.parametrize("chosen", [3, -4, [0, 3], np.ones(2, bool), 0.5, [[0]]])
def test_instances_that_are_not_there(chosen: object) -> None:
    with pytest.raises(IndexError):
        people()[chosen]


def test_iterating_ends() -> None:
    assert [len(one) for one in people()] == [1, 1, 1]


def test_instances_by_name() -> None:
    assert people()["names"] == ["person0", "person1", "person2"]


def test_every_field_has_a_row_per_instance() -> None:
    data = people()
    with pytest.raises(InputError, match="must have 3 rows"):
        data.labels = np.zeros(2)
    with pytest.raises(InputError, match="row per instance"):
        data.labels = 5
    data.labels = np.zeros(3)
    assert len(data.labels) == 3


def test_samples_hold_instances() -> None:
    with pytest.raises(InputError, match="must be InstanceData, found dict"):
        PoseDataSample(pred_instances={"keypoints": 1})
    with pytest.raises(InputError, match="cannot be the name"):
        PoseDataSample(keys=1)
    with pytest.raises(InputError, match="must be list"):
        sample().set_field(3, "labels", dtype=list)


def test_copies_are_apart() -> None:
    data = sample()
    for other in (data.clone(), copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        other.pred_instances.keypoints[:] = -1
        assert data.pred_instances.keypoints.min() == 0 and other.img_path == "a.jpg"
    assert data.new(metainfo={}).keys() == data.keys()
    assert people().new(keypoints=np.zeros((9, 2, 2))).keys() == ["keypoints"]


def test_tensors_become_arrays() -> None:
    found = sample().cpu().numpy()
    assert isinstance(found.pred_instances.masks, np.ndarray)
    assert found.to_dict()["pred_instances"]["bbox_scores"].shape == (1,)
    assert found.to_dict()["ori_shape"] == (4, 6)


def test_samples_of_an_image_merge() -> None:
    first, second = sample(count=2), sample(count=1)
    for one, level in ((first, 1.0), (second, 2.0)):
        one.pred_fields = PixelData(heatmaps=np.full((1, 4, 6), level))
    merged = merge_data_samples([first, second])
    assert merged.img_path == "a.jpg" and len(merged.pred_instances) == 3
    assert merged.pred_instances.names == ["person0", "person1", "person0"]
    assert merged.pred_instances.masks.tolist() == [0, 1, 0]
    assert merged.gt_instances.bboxes.shape == (3, 4)
    assert merged.pred_fields.heatmaps.max() == merged.pred_fields.heatmaps.min() == 2


def test_no_sample_merges_to_an_empty_one() -> None:
    assert repr(merge_data_samples([])) == "<PoseDataSample()>"


def test_samples_of_different_images_do_not_merge() -> None:
    with pytest.raises(InputError, match="different images"):
        merge_data_samples([sample("a.jpg"), sample("b.jpg")])


@pytest.mark.parametrize("samples", [sample(), [people()], None, "a.jpg"])
def test_only_lists_of_samples_merge(samples: object) -> None:
    with pytest.raises(InputError, match="list of PoseDataSample"):
        merge_data_samples(samples)  # type: ignore[arg-type]


def test_instances_with_other_fields_do_not_join() -> None:
    with pytest.raises(InputError, match="different fields"):
        InstanceData.cat([people(), InstanceData(keypoints=np.zeros((1, 2, 2)))])
    assert len(InstanceData.cat([])) == 0
