"""Data samples print, index and merge as the documentation shows."""

from __future__ import annotations

import copy
import pickle
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from posekit.errors import InputError
from posekit.mmpose.elements import BaseDataElement, as_array
from posekit.mmpose.instances import InstanceData
from posekit.mmpose.structures import (
    PixelData,
    PoseDataSample,
    merge_data_samples,
    revert_heatmap,
    split_instances,
)


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
        (np.array([2, 0], np.int16), [2, 0]),
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


@pytest.mark.parametrize(
    "chosen",
    [
        3, -4, [0, 3], np.ones(2, bool), 0.5, [[0]],
        np.ones(3, np.uint8), torch.ones(3, dtype=torch.uint8),  # a mask, or indices
    ],
)  # fmt: skip
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
    for wrong in (np.zeros(2), 5, np.array(5)):
        with pytest.raises(AssertionError):  # as MMEngine
            data["labels"] = wrong
    data.labels = np.zeros(3)
    assert len(data.labels) == 3
    data.set_field(np.zeros(2), "unchecked")
    assert len(data.unchecked) == 2


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
    merged = merge_data_samples([sample(count=2), sample(count=1)])
    assert merged.img_path == "a.jpg" and len(merged.pred_instances) == 3
    assert merged.pred_instances.names == ["person0", "person1", "person0"]
    assert merged.pred_instances.masks.tolist() == [0, 1, 0]
    assert merged.gt_instances.bboxes.shape == (3, 4)
    assert "pred_fields" not in merged


@pytest.mark.parametrize("kind", [torch.from_numpy, np.asarray])
def test_heat_maps_merge_where_their_crops_are(kind: Callable[[np.ndarray], Any]) -> None:
    """A crop of 8 x 8 pixels, with a map of 4 x 4: every second pixel of it."""
    samples = []
    for center, peak in (((10.0, 8.0), 1.0), ((12.0, 8.0), 2.0)):
        one = sample()
        one.set_metainfo(
            {"ori_shape": (20, 30), "input_center": np.array(center), "input_scale": np.full(2, 8)}
        )
        maps = np.zeros((3, 4, 4), np.float32)
        maps[1, 2, 1] = peak  # at the crop's (2, 4), (8, 8) and (10, 8) in the image
        one.pred_fields = PixelData(heatmaps=kind(maps))
        samples.append(one)
    merged = merge_data_samples(samples)
    found = merged.pred_fields.heatmaps
    assert isinstance(found, np.ndarray) and found.shape == (3, 20, 30)
    assert not found[[0, 2]].any()
    assert found[1, 8, 8] == 1 and found[1, 8, 10] == 2
    assert found[1, 8, 9] == 1  # between both the higher one
    assert found[1, 8, 11] == 1 and found[1, 8, 12] == 0 and found[1, 8, 7] == 0.5
    flat = revert_heatmap(maps[1], np.array(center), np.full(2, 8), (20, 30))
    assert flat.shape == (20, 30) and flat[8, 10] == 2


def test_heat_maps_without_a_place_do_not_merge() -> None:
    one = sample()
    one.pred_fields = PixelData(heatmaps=np.zeros((1, 4, 6)))
    with pytest.raises(AttributeError, match="no 'input_center'"):
        merge_data_samples([one])


def test_no_sample_merges_to_an_empty_one() -> None:
    assert repr(merge_data_samples([])) == "<PoseDataSample()>"


def test_true_heat_maps_merge_too() -> None:
    one = sample()
    one.set_metainfo({"input_center": np.array([3, 2]), "input_scale": np.array([6, 4])})
    one.gt_fields = PixelData(heatmaps=np.ones((2, 4, 6), np.float32))
    assert merge_data_samples([one]).gt_fields.heatmaps.tolist() == np.ones((2, 4, 6)).tolist()


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
    with pytest.raises(InputError, match="different fields"):
        InstanceData.cat([people(), people().new(metainfo={"img_id": 1})])
    for nothing in ([], [{"keypoints": [1]}]):
        with pytest.raises(AssertionError, match="list of InstanceData"):
            InstanceData.cat(nothing)  # type: ignore[arg-type]


# --- MMEngine's operations ------------------------------------------------------------------------


def test_items_are_set_and_deleted() -> None:
    data = InstanceData(metainfo={"img_shape": (4, 6)})
    data["labels"] = torch.tensor([2, 3])
    data["scores"] = np.array([0.5, 1])
    assert data.labels.tolist() == [2, 3] and len(data) == 2
    del data["labels"], data.img_shape
    assert data.all_keys() == ["scores"]
    for name in ("labels", "img_shape"):
        with pytest.raises(AttributeError, match=f"no '{name}'"):
            del data[name]


def test_every_list_of_names_and_values() -> None:
    data = BaseDataElement(metainfo={"path": "a"}, x=1, y=2)
    assert data.keys() == ["x", "y"] and data.values() == [1, 2]
    assert dict(data.items()) == {"x": 1, "y": 2}
    assert data.metainfo_keys() == ["path"] and data.metainfo_values() == ["a"]
    assert dict(data.metainfo_items()) == {"path": "a"}
    assert data.all_keys() == ["path", "x", "y"] and data.all_values() == ["a", 1, 2]
    assert dict(data.all_items()) == {"path": "a", "x": 1, "y": 2} == data.to_dict()
    assert next(data.all_items()) == ("path", "a")


def test_elements_take_over_another() -> None:
    data = BaseDataElement(metainfo={"path": "a", "size": 1}, x=1)
    data.update(BaseDataElement(metainfo={"path": "b"}, x=2, z=3))
    assert data.to_dict() == {"path": "b", "size": 1, "x": 2, "z": 3}
    data.set_data({"x": 5})
    assert data.x == 5
    for call in (data.update, data.set_data, data.set_metainfo):
        with pytest.raises(AssertionError):
            call([1])  # type: ignore[arg-type]


def test_metainfo_and_data_are_taken_out() -> None:
    data = BaseDataElement(metainfo={"path": "a"}, x=1)
    assert data.pop("path") == "a" and data.pop("x") == 1 and data.all_keys() == []
    assert data.pop("x", None) is None
    with pytest.raises(KeyError, match="x"):
        data.pop("x")
    with pytest.raises(AssertionError):
        data.pop("x", 1, 2)


@pytest.mark.parametrize("name", ["keys", "metainfo", "_data_fields", "_metainfo_fields"])
def test_names_that_are_taken(name: str) -> None:
    data = BaseDataElement()
    with pytest.raises(AttributeError, match=f"'{name}' cannot be the name"):
        setattr(data, name, 1)
    with pytest.raises(AttributeError, match=f"'{name}' cannot be the name"):
        data.set_metainfo({name: 1})


def test_names_may_begin_with_an_underscore() -> None:
    data = BaseDataElement(_hidden=1)
    assert data._hidden == 1 and copy.deepcopy(data).keys() == ["_hidden"]


def test_fields_have_a_type() -> None:
    data = BaseDataElement()
    data.set_field(1, "x", dtype=(int, float))
    data.set_field("a", "path", field_type="metainfo")
    assert data.metainfo == {"path": "a"}
    with pytest.raises(AssertionError, match="must be int or float, found str"):
        data.set_field("1", "x", dtype=(int, float))
    with pytest.raises(AssertionError, match="'data' or 'metainfo'"):
        data.set_field(1, "x", field_type="other")
    with pytest.raises(AssertionError, match="must be InstanceData, found ndarray"):
        PoseDataSample().pred_instances = np.zeros(3)


def test_tensors_move_and_lose_their_graph() -> None:
    weights = torch.ones(3, requires_grad=True)
    data = sample(count=3)
    data.pred_instances.logits = weights * 2
    for made in (data.clone(), data.cpu(), data.to("cpu")):
        assert made.pred_instances.logits.requires_grad
    assert not data.detach().pred_instances.logits.requires_grad
    assert data.to(torch.float64).pred_instances.logits.dtype == torch.float64
    assert data.pred_instances.logits.dtype == torch.float32
    assert isinstance(data.numpy().pred_instances.logits, np.ndarray)
    tensors = data.to_tensor().pred_instances
    assert isinstance(tensors.keypoints, torch.Tensor) and isinstance(tensors.names, list)
    np.testing.assert_array_equal(tensors.keypoints, data.pred_instances.keypoints)
    assert data.to_tensor().img_path == "a.jpg"


@pytest.mark.gpu
def test_tensors_move_to_a_gpu() -> None:
    data = people().cuda()
    assert data.masks.is_cuda and isinstance(data.keypoints, np.ndarray)
    assert data[torch.tensor([True, False, True], device="cuda")].masks.tolist() == [0, 2]
    assert data.numpy().masks.tolist() == [0, 1, 2]


class Rows:
    """An object of rows, as programs of their own bring them."""

    def __init__(self, rows: list[int]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: Any) -> Rows:
        return Rows(self.rows[chosen])

    @staticmethod
    def cat(parts: list[Rows]) -> Rows:
        return Rows([row for part in parts for row in part.rows])


def test_rows_of_any_kind_are_chosen_and_joined() -> None:
    data = InstanceData(text="abc", pairs=(1, 2, 3), own=Rows([7, 8, 9]), inner=people())
    for chosen in ([2, 0], torch.tensor([2, 0]), np.array([2, 0], np.int32)):
        found = data[chosen]
        assert found.text == "ca" and found.pairs == (3, 1) and found.own.rows == [9, 7]
        assert found.inner.names == ["person2", "person0"]
    found = data[torch.tensor([False, False, False])]
    assert found.text == "" and found.pairs == () and found.own.rows == []
    joined = InstanceData.cat([data, data[1:]])
    assert joined.text == "abcbc" and joined.pairs == (1, 2, 3, 2, 3)
    assert joined.own.rows == [7, 8, 9, 8, 9] and len(joined.inner) == 5
    assert InstanceData.cat([data]) is data


def test_rows_that_cannot_be_chosen() -> None:
    data = InstanceData(sets={1, 2, 3})
    with pytest.raises(ValueError, match="no 'cat'"):
        data[[0]]
    with pytest.raises(ValueError, match="no 'cat'"):
        InstanceData.cat([data, data])
    with pytest.raises(AssertionError, match="a mask of 3 instances"):
        people()[torch.tensor([True])]


def test_chosen_instances_keep_their_metainfo() -> None:
    data = people().new(metainfo={"img_shape": (4, 6)})
    assert data[0].img_shape == (4, 6) and data[:2].metainfo == {"img_shape": (4, 6)}


def pixels() -> PixelData:
    return PixelData(
        metainfo={"img_id": 1},
        image=np.arange(48.0).reshape(2, 4, 6),
        maps=torch.arange(24).reshape(1, 4, 6),
    )


def test_pixels_have_a_shape() -> None:
    assert PixelData().shape is None and pixels().shape == (4, 6)
    data = pixels()
    with pytest.warns(UserWarning, match="taken as"):
        data.flat = np.zeros((4, 6))
    assert data.flat.shape == (1, 4, 6)
    for wrong in (np.zeros((1, 4, 5)), np.zeros((1, 1, 4, 6)), [[1]], np.zeros(4)):
        with pytest.raises(AssertionError):
            data.other = wrong


@pytest.mark.parametrize(
    ("chosen", "shape"),
    [
        ((slice(1, 3), slice(2, 6)), (2, 4)),
        ((1, 2), (1, 1)),
        ((-1, slice(None)), (1, 6)),
        ((slice(None, None, 2), -6), (2, 1)),
    ],
)
def test_pixels_are_sliced(chosen: Any, shape: tuple[int, int]) -> None:
    found = pixels()[chosen]
    assert found.shape == shape and found.img_id == 1
    rows, columns = (
        [one % size] if isinstance(one, int) else list(range(size))[one]
        for one, size in zip(chosen, (4, 6), strict=True)
    )
    expected = pixels().image[:, rows][:, :, columns]
    np.testing.assert_array_equal(found.image, expected)
    np.testing.assert_array_equal(found.maps, expected[:1])


@pytest.mark.parametrize(
    ("chosen", "error"),
    [
        (slice(1), TypeError),
        (([0], 1), TypeError),
        ((0, 0, 0), AssertionError),
        ((4, 0), IndexError),
        (1, TypeError),
    ],
)
def test_pixels_that_cannot_be_sliced(chosen: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        pixels()[chosen]


def test_instances_are_split() -> None:
    data = InstanceData(
        keypoints=np.ones((2, 3, 2)),
        keypoint_scores=np.zeros((2, 3), np.float32),
        bboxes=np.array([[0, 1, 2, 3], [4, 5, 6, 7.5]]),
        bbox_scores=np.array([0.5, 1], np.float32),
    )
    first, second = split_instances(data)
    assert list(first) == ["keypoints", "keypoint_scores", "bbox", "bbox_score"]
    assert first["keypoints"] == [[1.0, 1.0]] * 3 and first["keypoint_scores"] == [0.0] * 3
    assert second["bbox"] == ([4.0, 5.0, 6.0, 7.5],) and type(second["bbox_score"]) is float
    del data.bbox_scores
    assert list(split_instances(data)[0]) == ["keypoints", "keypoint_scores", "bbox"]
    del data.bboxes
    assert list(split_instances(data)[0]) == ["keypoints", "keypoint_scores"]
    assert split_instances(None) == [] and split_instances(data[:0]) == []


def test_tensors_of_any_kind_as_arrays() -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        tensor = torch.tensor([0.5, 2], dtype=dtype, requires_grad=True)
        assert as_array(tensor).tolist() == [0.5, 2]
    assert as_array([1, 2], np.float32).dtype == np.float32
    assert as_array(torch.tensor([1, 2])).dtype == np.int64


@pytest.mark.parametrize("values", ["nose", [[1], [1, 2]], [None], {}])
def test_what_is_no_array_of_numbers(values: Any) -> None:
    with pytest.raises(InputError, match="expected numbers in rows of one length"):
        as_array(values, np.int64)
