"""MMEngine's `BaseDataElement`: fields and metainfo as attributes. torch is never imported here."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from posekit.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BaseDataElement", "FieldNameError", "FieldValueError", "as_array", "is_tensor"]

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
            lambda value: value.clone() if is_tensor(value) else copy.deepcopy(value)
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
        return self._mapped(lambda value: change(value) if is_tensor(value) else value)

    def _mapped(self, change: Callable[[Any], Any]) -> Self:
        made = type(self)(metainfo=self._metainfo_fields)
        for name, value in self.items():
            nested = isinstance(value, BaseDataElement)
            made.set_field(value._mapped(change) if nested else change(value), name)
        return made


def as_array(values: Any, dtype: npt.DTypeLike | None = None) -> np.ndarray:
    """Numbers as an array; tensors may have a graph, lie on a GPU, or be bfloat16.

    Raises:
        InputError: no numbers, or rows of several lengths.
    """
    if is_tensor(values):
        values = values.detach().cpu()
        if values.dtype == sys.modules["torch"].bfloat16:  # which NumPy does not have
            values = values.float()
    try:
        return np.asarray(values, dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f"expected numbers in rows of one length: {error}") from None


def _name(element: BaseDataElement) -> str:
    return type(element).__name__


def _expect(condition: bool, expected: str, found: Any) -> None:
    if not condition:
        raise FieldValueError(f"{expected}, found {type(found).__name__}")


def _type_names(dtype: type | tuple[type, ...]) -> str:
    return " or ".join(one.__name__ for one in (dtype if isinstance(dtype, tuple) else (dtype,)))


def is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")  # nobody has a tensor without it
    return torch is not None and isinstance(value, torch.Tensor)


def _lines(values: Mapping[str, Any]) -> str:
    """`    name: value` each; the further lines of a value go four columns further in."""
    return "\n".join(
        "    " + f"{name}: {value!r}".replace("\n", "\n" + " " * 8)
        for name, value in values.items()
    )
