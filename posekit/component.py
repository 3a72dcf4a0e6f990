"""A class and the arguments that make an object of it: networks and codecs as descriptions."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from posekit.errors import InputError, first_line
from posekit.models.family import Family, family_of

__all__ = ["Component", "find_class", "plain"]


@dataclass(frozen=True)
class Component:
    """A class and the arguments that make an object of it.

    Attributes:
        target: the class, as `package.module.Class`.
        arguments: its keyword arguments, checked against its signature.
    """

    target: str
    arguments: Mapping[str, Any]

    @property
    def family(self) -> Family:
        """What the module of a network says about its kind."""
        return family_of(find_class(self.target))

    @property
    def name(self) -> str:
        """The class's own name."""
        return self.target.rpartition(".")[2]

    def make(self, **more: Any) -> Any:
        """A new object.

        Raises:
            InputError: the class does not take the values.
        """
        try:
            return find_class(self.target)(**{**self.arguments, **more})
        except Exception as error:  # whatever a constructor says to values that it does not know
            raise InputError(f"{self.name} cannot be made: {first_line(error)}") from error

    def having(self, **arguments: Any) -> Component:
        """The same with some arguments replaced."""
        return Component(self.target, {**self.arguments, **arguments})

    def to_config(self) -> dict[str, Any]:
        """Its form in a YAML, without what stands elsewhere in the YAML."""
        arguments = {k: plain(v) for k, v in self.arguments.items() if k != "input_size"}
        return {"_target_": self.target, **arguments}


def find_class(target: str) -> type[Any]:
    """The class of a `_target_`, `package.module.Class`; importing it may run code.

    Raises:
        InputError: there is no such class.
    """
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # a user's module may fail in any way
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"_target_ {target} cannot be imported: {reason}") from error
    if not inspect.isclass(found):
        raise InputError(f"_target_ {target}: the module {module} has no such class")
    return found


def plain(value: Any) -> Any:
    """A value as YAML has it: tuples as lists, components as mappings."""
    if isinstance(value, Component):
        return value.to_config()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
