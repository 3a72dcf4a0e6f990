"""Stand-ins for the data samples of MMPose and MMEngine: fields, metainfo, indexing, printing.

They behave as those do where users touch results: `sample.pred_instances.keypoints`,
`"bboxes" in instances`, `instances[scores > 0.5]`, `print(sample)`. torch is never imported here.
"""

from __future__ import annotations

import copy
import functools
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from posekit.errors import InputError
from posekit.transforms.affine import crop_matrices

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "BaseDataElement",
    "FieldNameError",
    "FieldValueError",
    "InstanceData",
    "PixelData",
    "PoseDataSample",
    "as_array",
    "merge_data_samples",
    "revert_heatmap",
    "split_instances",
]

# Heat maps that are warped at once: bounded by OpenCV's channels.
WARP_CHANNELS = 32
STORES = ("_metainfo_fields", "_data_fields")


class FieldNameError(InputError, AttributeError):
    """A name that a field cannot have, or that no field has; an AttributeError as in MMEngine."""


class FieldValueError(InputError, AssertionError):
    """A value that does not fit an element; an AssertionError as in MMEngine."""


class BaseDataElement:
    """Named data fields, and metainfo that describes them; both are attributes.

    Args:
        metainfo: names and values that are not data.
        fields: the data.

    Raises:
        FieldNameError: a name that is metainfo and data, or a method's.
        FieldValueError: a value of the wrong type or shape.
    """

    _metainfo_fields: dict[str, Any]
    _data_fields: dict[str, Any]

    def __init__(self, *, metainfo: Mapping[str, Any] | None = None, **fields: Any) -> None:
        for store in STORES:
            object.__setattr__(self, store, {})
        if metainfo is not None:
            self.set_metainfo(metainfo)
        self.set_data(fields)

    # --- setting ---

    def set_metainfo(self, metainfo: Mapping[str, Any]) -> None:
        """Adds metainfo, or replaces that of the same name; the values are copied."""
        _expect(isinstance(metainfo, Mapping), "metainfo must be a dict", metainfo)
        for name, value in metainfo.items():
            self.set_field(copy.deepcopy(value), name, field_type="metainfo")

    def set_data(self, data: Mapping[str, Any]) -> None:
        """Sets data fields, each as an assignment of the attribute does."""
        _expect(isinstance(data, Mapping), "data must be a dict", data)
        for name, value in data.items():
            setattr(self, name, value)

    def set_field(
        self,
        value: Any,
        name: str,
        dtype: type | tuple[type, ...] | None = None,
        field_type: str = "data",
    ) -> None:
        """Sets a field as it is: lengths and shapes are not compared with those of the others.

        Args:
            value: of the field.
            name: of the field.
            dtype: what it must be.
            field_type: "data" or "metainfo".
        """
        if dtype is not None:
            _expect(isinstance(value, dtype), f"'{name}' must be {_type_names(dtype)}", value)
        if field_type not in ("data", "metainfo"):
            raise FieldValueError(f"field_type must be 'data' or 'metainfo', found {field_type!r}")
        if name in STORES or hasattr(type(self), name):
            raise FieldNameError(f"'{name}' cannot be the name of a field of {_name(self)}")
        if field_type == "metainfo":
            if name in self._data_fields:
                raise FieldNameError(f"'{name}' is a data field: metainfo needs another name")
            self._metainfo_fields[name] = value
            return
        if name in self._metainfo_fields:
            raise FieldNameError(f"'{name}' is metainfo; use set_metainfo")
        self._data_fields[name] = value

    def update(self, instance: BaseDataElement) -> None:
        """Takes all metainfo and data of another element."""
        _expect(isinstance(instance, BaseDataElement), "expected a data element", instance)
        self.set_metainfo(instance.metainfo)
        self.set_data(instance._data_fields)

    def _checked(self, name: str, value: Any) -> Any:
        """The value that an assignment sets; raises what `FieldValueError` says."""
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        self.set_field(self._checked(name, value), name)

    # --- getting ---

    @property
    def metainfo(self) -> dict[str, Any]:
        """A copy of what is not data."""
        return dict(self._metainfo_fields)

    def keys(self) -> list[str]:
        """Names of the data fields."""
        return list(self._data_fields)

    def values(self) -> list[Any]:
        """The data fields."""
        return list(self._data_fields.values())

    def items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of the data fields."""
        return iter(list(self._data_fields.items()))

    def metainfo_keys(self) -> list[str]:
        """Names of the metainfo."""
        return list(self._metainfo_fields)

    def metainfo_values(self) -> list[Any]:
        """The metainfo."""
        return list(self._metainfo_fields.values())

    def metainfo_items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of the metainfo."""
        return iter(list(self._metainfo_fields.items()))

    def all_keys(self) -> list[str]:
        """Names of metainfo and data."""
        return self.metainfo_keys() + self.keys()

    def all_values(self) -> list[Any]:
        """Metainfo and data."""
        return self.metainfo_values() + self.values()

    def all_items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of metainfo and data."""
        return iter([*self._metainfo_fields.items(), *self._data_fields.items()])

    def get(self, key: str, default: Any = None) -> Any:
        """A field, metainfo or a property; or the default."""
        return getattr(self, key, default)

    def pop(self, *args: Any) -> Any:
        """`pop(name)` or `pop(name, default)`: takes data or metainfo out.

        Raises:
            KeyError: it is not there, and there is no default.
        """
        if len(args) not in (1, 2):
            raise FieldValueError(f"pop takes a name and a default, found {len(args)} arguments")
        for store in (self._metainfo_fields, self._data_fields):
            if args[0] in store:
                return store.pop(args[0])
        if len(args) == 2:
            return args[1]
        raise KeyError(f"{args[0]} is neither metainfo nor data")

    def to_dict(self) -> dict[str, Any]:
        """Metainfo and fields as a dict; elements within become dicts too."""
        return {
            name: value.to_dict() if isinstance(value, BaseDataElement) else value
            for name, value in self.all_items()
        }

    def __getattr__(self, name: str) -> Any:
        for store in STORES:  # not there yet while a copy is being made
            if name in self.__dict__.get(store, {}):
                return self.__dict__[store][name]
        known = ", ".join([*self.__dict__.get(STORES[1], {}), *self.__dict__.get(STORES[0], {})])
        raise FieldNameError(f"{_name(self)} has no '{name}'; it has: {known or 'none'}")

    def __delattr__(self, name: str) -> None:
        for store in (self._metainfo_fields, self._data_fields):
            if name in store:
                del store[name]
                return
        raise FieldNameError(f"{_name(self)} has no '{name}' to delete")

    def __delitem__(self, name: str) -> None:
        delattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in self._data_fields or name in self._metainfo_fields

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        fields = self._data_fields
        nested = {k: v for k, v in fields.items() if isinstance(v, BaseDataElement)}
        plain = {k: v for k, v in fields.items() if k not in nested}
        blocks = [_lines(block) for block in (self._metainfo_fields, plain) if block]
        blocks += [_lines({name: value}) for name, value in nested.items()]
        if not blocks:
            return f"<{_name(self)}()>"
        start = "\n\n" if self._metainfo_fields or nested else "\n"
        return f"<{_name(self)}({start}" + "\n\n".join(blocks) + "\n)>"

    # --- copies ---

    def new(self, *, metainfo: Mapping[str, Any] | None = None, **fields: Any) -> Self:
        """Another element of this class; what is not given is this one's."""
        made = type(self)(metainfo=self._metainfo_fields if metainfo is None else metainfo)
        made.set_data(fields or self._data_fields)
        return made

    def clone(self) -> Self:
        """A copy that shares nothing; tensors keep their graph."""
        return self._mapped(
            lambda value: value.clone() if _is_tensor(value) else copy.deepcopy(value)
        )

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """A copy whose tensors were told `to(...)`: another device or another type."""
        return self._mapped(
            lambda value: value.to(*args, **kwargs) if hasattr(value, "to") else value
        )

    def cpu(self) -> Self:
        """A copy whose tensors lie on the CPU."""
        return self._of_tensors(lambda tensor: tensor.cpu())

    def cuda(self) -> Self:
        """A copy whose tensors lie on the GPU."""
        return self._of_tensors(lambda tensor: tensor.cuda())

    def detach(self) -> Self:
        """A copy whose tensors have no graph."""
        return self._of_tensors(lambda tensor: tensor.detach())

    def numpy(self) -> Self:
        """A copy whose tensors are arrays."""
        return self._of_tensors(lambda tensor: tensor.detach().cpu().numpy())

    def to_tensor(self) -> Self:
        """A copy whose arrays are tensors."""
        import torch

        return self._mapped(
            lambda value: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        )

    def _of_tensors(self, change: Callable[[Any], Any]) -> Self:
        return self._mapped(lambda value: change(value) if _is_tensor(value) else value)

    def _mapped(self, change: Callable[[Any], Any]) -> Self:
        made = type(self)(metainfo=self._metainfo_fields)
        for name, value in self.items():
            nested = isinstance(value, BaseDataElement)
            made.set_field(value._mapped(change) if nested else change(value), name)
        return made


class InstanceData(BaseDataElement):
    """What is known of n instances: every field has n rows.

    Fields are arrays, tensors, lists, tuples, texts, or objects with `__len__`, `__getitem__` and
    `cat`. Indexing by a name gives the field; by an integer, a slice, a mask (n,) or indices it
    gives the `InstanceData` of those instances.
    """

    def __len__(self) -> int:
        return len(next(iter(self._data_fields.values()))) if self._data_fields else 0

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __getitem__(self, chosen: Any) -> Any:
        if isinstance(chosen, str):
            return getattr(self, chosen)
        rows = _rows(chosen, len(self))
        found = type(self)(metainfo=self._metainfo_fields)
        for name, value in self.items():
            found.set_field(_take(name, value, rows), name)
        return found

    @staticmethod
    def cat(instances_list: Sequence[InstanceData]) -> InstanceData:
        """The instances of all, in order; all must have the same fields and metainfo names.

        A single element is given back as it is.

        Raises:
            FieldValueError: no element, something else, or other fields.
        """
        alike = all(isinstance(one, InstanceData) for one in instances_list)
        if not alike or not len(instances_list):
            raise FieldValueError(f"expected a list of InstanceData, found {instances_list!r}")
        first = instances_list[0]
        if len(instances_list) == 1:
            return first
        for other in instances_list[1:]:
            if set(other.all_keys()) != set(first.all_keys()):
                raise FieldValueError(
                    f"instances with different fields: {first.all_keys()} and {other.all_keys()}"
                )
        joined = type(first)(metainfo=first.metainfo)
        for name in first._data_fields:
            joined.set_field(_joined(name, [one[name] for one in instances_list]), name)
        return joined

    def _checked(self, name: str, value: Any) -> Any:
        # NumPy's array of no dimension says that it has a length, and has none.
        if not isinstance(value, Sized) or getattr(value, "ndim", 1) == 0:
            raise FieldValueError(f"'{name}' must have a row per instance, found {value!r}")
        count = len(self)
        if count and len(value) != count:
            raise FieldValueError(
                f"'{name}' must have {count} rows, one per instance, found {len(value)}"
            )
        return value


class PixelData(BaseDataElement):
    """Maps over the same pixels: arrays or tensors (C, H, W), such as `heatmaps`.

    `pixels[10:20, 30]` is the `PixelData` of a part: rows, then columns. A map (H, W) becomes
    (1, H, W) where it is assigned.
    """

    @property
    def shape(self) -> tuple[int, int] | None:
        """(H, W); None where there is no map."""
        if not self._data_fields:
            return None
        height, width = next(iter(self._data_fields.values())).shape[-2:]
        return int(height), int(width)

    def __getitem__(self, item: tuple[int | slice, int | slice]) -> Self:
        if not isinstance(item, tuple):
            raise TypeError(f"expected pixels[rows, columns], found {type(item).__name__}")
        if len(item) != 2:
            raise FieldValueError(f"only height and width can be sliced, found {len(item)} slices")
        parts = [slice(None)]
        for one, size in zip(item, self.shape or (0, 0), strict=True):
            if not isinstance(one, int | slice):
                raise TypeError(f"rows and columns must be int or slice, found {type(one)}")
            if isinstance(one, int):
                if not -size <= one < size:
                    raise IndexError(f"{one} is out of range: there are {size} pixels")
                one = slice(one, None, size)
            parts.append(one)
        found = type(self)(metainfo=self._metainfo_fields)
        for name, value in self.items():
            found.set_field(value[tuple(parts)], name)
        return found

    def _checked(self, name: str, value: Any) -> Any:
        if not isinstance(value, np.ndarray) and not _is_tensor(value):
            raise FieldValueError(
                f"'{name}' must be an array or a tensor, found {type(value).__name__}"
            )
        if value.ndim not in (2, 3):
            raise FieldValueError(f"'{name}' must be (C, H, W), found {tuple(value.shape)}")
        if self.shape and tuple(value.shape[-2:]) != self.shape:
            raise FieldValueError(
                f"'{name}' must have {self.shape} pixels as the other maps, found "
                f"{tuple(value.shape[-2:])}"
            )
        if value.ndim == 2:
            warnings.warn(f"'{name}' (H, W) is taken as (1, H, W)", stacklevel=3)
            value = value[None]
        return value


class PoseDataSample(BaseDataElement):
    """What is known of one image.

    Fields, as far as they are there: `gt_instances` and `pred_instances` (`InstanceData`),
    `gt_instance_labels`, `gt_fields` and `pred_fields` (`PixelData`). Metainfo: `ori_shape` and
    `img_shape` (h, w), `img_path`, `input_size` (w, h), `flip_indices`; with heat maps
    `input_center` and `input_scale` (2,), the crop that they lie in, in pixels of the image.
    """

    def set_field(
        self,
        value: Any,
        name: str,
        dtype: type | tuple[type, ...] | None = None,
        field_type: str = "data",
    ) -> None:
        """As every element's; the fields of the class have their types."""
        if dtype is None and field_type == "data":
            dtype = SAMPLE_FIELDS.get(name)
        super().set_field(value, name, dtype, field_type)


SAMPLE_FIELDS: dict[str, type] = {
    "gt_instances": InstanceData,
    "gt_instance_labels": InstanceData,
    "pred_instances": InstanceData,
    "gt_fields": PixelData,
    "pred_fields": PixelData,
}


def merge_data_samples(data_samples: list[PoseDataSample]) -> PoseDataSample:
    """One sample with the instances of several samples of the same image.

    Heat maps (K, h, w) of each are laid where their crop is in the image, and the highest value of
    all is kept: (K, H, W), an array.

    Args:
        data_samples: such as `inference_topdown` gives, one per box; an empty list gives an
            empty sample.

    Raises:
        InputError: something else than a list of samples, or samples of different images.
    """
    if not isinstance(data_samples, list | tuple) or not all(
        isinstance(sample, PoseDataSample) for sample in data_samples
    ):
        raise InputError(f"expected a list of PoseDataSample, found {type(data_samples).__name__}")
    if not data_samples:
        return PoseDataSample()
    for name in ("img_path", "ori_shape"):
        found = [sample.get(name) for sample in data_samples]
        if any(value != found[0] for value in found):
            raise InputError(f"samples of different images cannot be merged: {name} are {found}")
    merged = PoseDataSample(metainfo=data_samples[0].metainfo)
    for name in ("gt_instances", "pred_instances"):
        if all(name in sample for sample in data_samples):
            merged.set_field(InstanceData.cat([sample.get(name) for sample in data_samples]), name)
    for name in ("gt_fields", "pred_fields"):
        if all("heatmaps" in sample.get(name, ()) for sample in data_samples):
            # One after the other: (K, H, W) of many samples would not fit into memory.
            maps = functools.reduce(
                np.maximum, (_reverted(sample, name) for sample in data_samples)
            )
            merged.set_field(PixelData(heatmaps=maps), name)
    return merged


def revert_heatmap(
    heatmap: Any, input_center: Any, input_scale: Any, img_shape: Sequence[int]
) -> np.ndarray:
    """A crop's heat maps where the crop lies in the image, 0 around it.

    Args:
        heatmap: (K, h, w) or (h, w), array or tensor.
        input_center: (2,), the crop's centre in pixels of the image.
        input_scale: (2,), its size.
        img_shape: (H, W) of the image.

    Returns:
        (K, H, W) or (H, W), float32.
    """
    maps = as_array(heatmap, np.float32)
    size = (maps.shape[-1], maps.shape[-2])
    center, scale = (np.reshape(value, (1, 2)) for value in (input_center, input_scale))
    (matrix,) = crop_matrices(center, scale, input_size=size, udp=False)
    to_image = cv2.invertAffineTransform(matrix)
    height, width = img_shape[:2]
    if maps.ndim == 2:
        return np.asarray(cv2.warpAffine(maps, to_image, (width, height)))
    reverted = np.empty((len(maps), height, width), np.float32)
    # Together, as the reference does: OpenCV rounds a single layer in another way.
    for start in range(0, len(maps), WARP_CHANNELS):
        part = slice(start, start + WARP_CHANNELS)
        layers = np.ascontiguousarray(maps[part].transpose(1, 2, 0))
        warped = cv2.warpAffine(layers, to_image, (width, height), flags=cv2.INTER_LINEAR)
        reverted[part] = warped.reshape(height, width, -1).transpose(2, 0, 1)
    return reverted


def as_array(values: Any, dtype: npt.DTypeLike | None = None) -> np.ndarray:
    """Numbers as an array; tensors may have a graph, lie on a GPU, or be bfloat16.

    Raises:
        InputError: no numbers, or rows of several lengths.
    """
    if _is_tensor(values):
        values = values.detach().cpu()
        if values.dtype == sys.modules["torch"].bfloat16:  # which NumPy does not have
            values = values.float()
    try:
        return np.asarray(values, dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f"expected numbers in rows of one length: {error}") from None


def split_instances(instances: InstanceData | None) -> list[dict[str, Any]]:
    """One documented dict of plain values per instance; none for None.

    `keypoints`, `keypoint_scores`, and, where the instances have boxes, `bbox` (a tuple of one
    box, as the reference's) and `bbox_score`.
    """
    if instances is None:
        return []
    results = []
    for i in range(len(instances.keypoints)):
        one = {
            "keypoints": instances.keypoints[i].tolist(),
            "keypoint_scores": instances.keypoint_scores[i].tolist(),
        }
        if "bboxes" in instances:
            one["bbox"] = (instances.bboxes[i].tolist(),)
            if "bbox_scores" in instances:
                one["bbox_score"] = float(instances.bbox_scores[i])
        results.append(one)
    return results


def _reverted(sample: PoseDataSample, name: str) -> np.ndarray:
    center, scale = sample.input_center, sample.input_scale
    return revert_heatmap(sample.get(name).heatmaps, center, scale, sample.ori_shape)


def _name(element: BaseDataElement) -> str:
    return type(element).__name__


def _expect(condition: bool, expected: str, found: Any) -> None:
    if not condition:
        raise FieldValueError(f"{expected}, found {type(found).__name__}")


def _type_names(dtype: type | tuple[type, ...]) -> str:
    return " or ".join(one.__name__ for one in (dtype if isinstance(dtype, tuple) else (dtype,)))


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")  # nobody has a tensor without it
    return torch is not None and isinstance(value, torch.Tensor)


def _lines(values: Mapping[str, Any]) -> str:
    """`    name: value` each; the further lines of a value go four columns further in."""
    return "\n".join(
        "    " + f"{name}: {value!r}".replace("\n", "\n" + " " * 8)
        for name, value in values.items()
    )


def _rows(chosen: Any, count: int) -> Any:
    """A slice, or an array of indices or of booleans."""
    if isinstance(chosen, slice):
        return chosen
    rows = as_array(chosen)
    if rows.dtype == bool:
        if rows.shape != (count,):
            raise _RowError(f"a mask of {count} instances must be ({count},), found {rows.shape}")
        return rows
    if not rows.size:
        rows = rows.astype(int)
    # To torch bytes are a mask, to NumPy indices.
    if rows.dtype.kind not in "iu" or rows.dtype == np.uint8 or rows.ndim > 1:
        raise _RowError(f"expected an integer, a slice, a mask or indices, found {chosen!r}")
    if ((rows < -count) | (rows >= count)).any():
        raise IndexError(f"index {chosen} is out of range: there are {count} instances")
    return np.atleast_1d(rows).astype(np.int64)


class _RowError(FieldValueError, IndexError):
    """What cannot be an index: an AssertionError as in MMEngine."""


def _take(name: str, values: Any, rows: Any) -> Any:
    if isinstance(values, np.ndarray) or _is_tensor(values):
        return values[rows]
    if isinstance(rows, slice) and hasattr(values, "__getitem__"):
        return values[rows]
    if isinstance(values, str | list | tuple):
        taken = [values[i] for i in np.arange(len(values))[rows]]
        return "".join(taken) if isinstance(values, str) else type(values)(taken)
    if hasattr(values, "__getitem__") and hasattr(values, "cat"):
        parts = [values[slice(i, i + 1)] for i in np.arange(len(values))[rows].tolist()]
        return values.cat(parts) if parts else values[:0]
    raise InputError(
        f"'{name}' is a {type(values).__name__}, whose rows cannot be chosen: it has no 'cat'"
    )


def _joined(name: str, values: list[Any]) -> Any:
    first = values[0]
    if _is_tensor(first):
        return sys.modules["torch"].cat(values)
    if isinstance(first, np.ndarray):
        return np.concatenate(values)
    if isinstance(first, str | list | tuple):
        joined = first[:]
        for value in values[1:]:
            joined = joined + value
        return joined
    if hasattr(first, "cat"):
        return first.cat(values)
    raise InputError(f"'{name}' is a {type(first).__name__}, which cannot be joined: no 'cat'")
