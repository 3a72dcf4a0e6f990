"""MMEngine's `InstanceData`: fields that have a row per instance, with indexing and joining."""

from __future__ import annotations

import sys
from collections.abc import Sequence, Sized
from typing import Any

import numpy as np

from posekit.errors import InputError
from posekit.mmpose.elements import BaseDataElement, FieldValueError, as_array, is_tensor

__all__ = ["InstanceData"]


class InstanceData(BaseDataElement):
    """The data of n instances: every field has n rows.

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
            joined.set_field(_concatenate(name, [one[name] for one in instances_list]), name)
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
    if isinstance(values, np.ndarray) or is_tensor(values):
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


def _concatenate(name: str, values: list[Any]) -> Any:
    first = values[0]
    if is_tensor(first):
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
