"""Stand-ins for the data samples of MMPose and MMEngine: fields, metainfo, indexing, printing.

They behave as those do where users touch results: `sample.pred_instances.keypoints`,
`"bboxes" in instances`, `instances[scores > 0.5]`, `print(sample)`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from posekit.errors import InputError

__all__ = ["BaseDataElement", "InstanceData", "PixelData", "PoseDataSample", "merge_data_samples"]


class BaseDataElement:
    """Named data fields, and metainfo that describes them; both are attributes.

    Args:
        metainfo: names and values that are not data.
        fields: the data.
    """

    _metainfo: dict[str, Any]
    _fields: dict[str, Any]

    def __init__(self, *, metainfo: Mapping[str, Any] | None = None, **fields: Any) -> None:
        object.__setattr__(self, "_metainfo", {})
        object.__setattr__(self, "_fields", {})
        self.set_metainfo(metainfo or {})
        for name, value in fields.items():
            self.set_field(value, name)

    @property
    def metainfo(self) -> dict[str, Any]:
        """A copy of what is not data."""
        return dict(self._metainfo)

    def set_metainfo(self, metainfo: Mapping[str, Any]) -> None:
        """Adds metainfo, or replaces that of the same name."""
        for name, value in metainfo.items():
            if name in self._fields:
                raise InputError(f"'{name}' is a data field already; metainfo needs another name")
            self._metainfo[name] = copy.deepcopy(value)

    def set_field(self, value: Any, name: str, dtype: type | None = None) -> None:
        """Sets a data field, of a type if one is named.

        Raises:
            InputError: metainfo of that name, a wrong type, or (in instances) a wrong length.
        """
        if dtype is not None and not isinstance(value, dtype):
            raise InputError(f"'{name}' must be {dtype.__name__}, found {type(value).__name__}")
        if name in self._metainfo:
            raise InputError(f"'{name}' is metainfo; use set_metainfo")
        self._check_field(name, value)
        self._fields[name] = value

    def keys(self) -> list[str]:
        """Names of the data fields."""
        return list(self._fields)

    def values(self) -> list[Any]:
        """The data fields."""
        return list(self._fields.values())

    def items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of the data fields."""
        return iter(list(self._fields.items()))

    def metainfo_keys(self) -> list[str]:
        """Names of the metainfo."""
        return list(self._metainfo)

    def get(self, name: str, default: Any = None) -> Any:
        """A field or metainfo, or the default."""
        return self._fields.get(name, self._metainfo.get(name, default))

    def pop(self, name: str, *default: Any) -> Any:
        """Takes a field out; without a default, one that is not there is a KeyError."""
        return self._fields.pop(name, *default)

    def new(self, *, metainfo: Mapping[str, Any] | None = None, **fields: Any) -> Any:
        """Another element of this class; what is not given is this one's."""
        return type(self)(
            metainfo=self._metainfo if metainfo is None else metainfo,
            **(fields or self._fields),
        )

    def clone(self) -> Any:
        """A deep copy."""
        return copy.deepcopy(self)

    def cpu(self) -> Any:
        """A copy whose tensors lie on the CPU."""
        return self._mapped(lambda value: value.cpu() if hasattr(value, "cpu") else value)

    def numpy(self) -> Any:
        """A copy whose tensors are arrays."""
        return self._mapped(lambda value: value.numpy() if hasattr(value, "numpy") else value)

    def to_dict(self) -> dict[str, Any]:
        """Metainfo and fields as a dict; elements within become dicts too."""
        return {
            name: value.to_dict() if isinstance(value, BaseDataElement) else value
            for name, value in (*self._metainfo.items(), *self._fields.items())
        }

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):  # also keeps copying from asking for its own storage
            for store in (self._fields, self._metainfo):
                if name in store:
                    return store[name]
            known = ", ".join([*self._fields, *self._metainfo]) or "none"
            raise AttributeError(f"{type(self).__name__} has no '{name}'; it has: {known}")
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self.set_field(value, name)

    def __delattr__(self, name: str) -> None:
        for store in (self._fields, self._metainfo):
            if name in store:
                del store[name]
                return
        raise AttributeError(f"{type(self).__name__} has no '{name}'")

    def __contains__(self, name: object) -> bool:
        return name in self._fields or name in self._metainfo

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        nested = {k: v for k, v in self._fields.items() if isinstance(v, BaseDataElement)}
        plain = {k: v for k, v in self._fields.items() if k not in nested}
        blocks = [_lines(block) for block in (self._metainfo, plain) if block]
        blocks += [_lines({name: value}) for name, value in nested.items()]
        if not blocks:
            return f"<{type(self).__name__}()>"
        start = "\n\n" if self._metainfo or nested else "\n"
        return f"<{type(self).__name__}({start}" + "\n\n".join(blocks) + "\n)>"

    def _mapped(self, change: Any) -> Any:
        fields = {
            name: value._mapped(change) if isinstance(value, BaseDataElement) else change(value)
            for name, value in self._fields.items()
        }
        return type(self)(metainfo=self._metainfo, **fields)

    def _check_field(self, name: str, value: Any) -> None:
        if name.startswith("_") or hasattr(type(self), name):
            raise InputError(f"'{name}' cannot be the name of a field of {type(self).__name__}")


class InstanceData(BaseDataElement):
    """What is known of n instances: every field has n rows (arrays, tensors, lists).

    Indexing by a name gives the field; by an integer, a slice, a mask (n,) or indices it gives
    the `InstanceData` of those instances.
    """

    def __len__(self) -> int:
        return len(next(iter(self._fields.values()))) if self._fields else 0

    def __getitem__(self, chosen: Any) -> Any:
        if isinstance(chosen, str):
            return getattr(self, chosen)
        rows = _rows(chosen, len(self))
        fields = {name: _take(value, rows) for name, value in self._fields.items()}
        return type(self)(metainfo=self._metainfo, **fields)

    @staticmethod
    def cat(instances: Sequence[InstanceData]) -> InstanceData:
        """The instances of all, in order; all must have the same fields."""
        if not instances:
            return InstanceData()
        first = instances[0]
        for other in instances[1:]:
            if set(other.keys()) != set(first.keys()):
                raise InputError(
                    f"instances with different fields: {first.keys()} and {other.keys()}"
                )
        fields = {name: _joined([one[name] for one in instances]) for name in first.keys()}  # noqa: SIM118
        return InstanceData(metainfo=first.metainfo, **fields)

    def _check_field(self, name: str, value: Any) -> None:
        super()._check_field(name, value)
        if not hasattr(value, "__len__"):
            raise InputError(f"'{name}' must have a row per instance, found {value!r}")
        others = [field for field in self._fields if field != name]
        if others and len(value) != len(self._fields[others[0]]):
            raise InputError(
                f"'{name}' must have {len(self._fields[others[0]])} rows, one per instance, "
                f"found {len(value)}"
            )


class PixelData(BaseDataElement):
    """Maps over the pixels: `heatmaps` (C, H, W)."""


class PoseDataSample(BaseDataElement):
    """What is known of one image.

    Fields, as far as they are there: `gt_instances` and `pred_instances` (`InstanceData`),
    `gt_instance_labels`, `pred_fields` (`PixelData`). Metainfo: `ori_shape` and `img_shape`
    (h, w), `img_path`, `input_size` (w, h), `flip_indices`.
    """

    def _check_field(self, name: str, value: Any) -> None:
        super()._check_field(name, value)
        expected = {
            "gt_instances": InstanceData,
            "gt_instance_labels": InstanceData,
            "pred_instances": InstanceData,
            "gt_fields": PixelData,
            "pred_fields": PixelData,
        }.get(name)
        if expected is not None and not isinstance(value, expected):
            raise InputError(f"'{name}' must be {expected.__name__}, found {type(value).__name__}")


def merge_data_samples(data_samples: list[PoseDataSample]) -> PoseDataSample:
    """One sample with the instances of several samples of the same image.

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
    if all("pred_fields" in sample for sample in data_samples):
        maps = [sample.pred_fields.heatmaps for sample in data_samples]
        merged.set_field(PixelData(heatmaps=np.maximum.reduce(maps)), "pred_fields")
    return merged


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
    rows = np.asarray(chosen.cpu() if hasattr(chosen, "cpu") else chosen)
    if rows.dtype == bool:
        if rows.shape != (count,):
            raise IndexError(f"a mask of {count} instances must be ({count},), found {rows.shape}")
        return rows
    if not rows.size:
        rows = rows.astype(int)
    if rows.dtype.kind not in "iu" or rows.ndim > 1:
        raise IndexError(f"expected an integer, a slice, a mask or indices, found {chosen!r}")
    if ((rows < -count) | (rows >= count)).any():
        raise IndexError(f"index {chosen} is out of range: there are {count} instances")
    return np.atleast_1d(rows)


def _take(values: Any, rows: Any) -> Any:
    if isinstance(values, list | tuple):
        chosen = np.arange(len(values))[rows]
        return type(values)(values[i] for i in chosen)
    return values[rows]


def _joined(values: list[Any]) -> Any:
    if all(isinstance(value, np.ndarray) for value in values):
        return np.concatenate(values)
    if all(isinstance(value, list | tuple) for value in values):
        return [item for value in values for item in value]
    import torch

    return torch.cat(values)
