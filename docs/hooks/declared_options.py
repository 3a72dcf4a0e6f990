"""For mkdocstrings: functions that take declared options are shown as they are called.

`posekit.declared` makes their signatures and docstrings of the declarations when they are imported;
what is read from the source alone would have a group of options and `{options}` in their place.
"""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from typing import Any

import griffe

MAKERS = ("function_takes", "takes", "document")


class DeclaredOptions(griffe.Extension):
    """Replaces parameters and docstrings of decorated functions by those at run time."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        if not _is_made(func):
            return
        known = _imported(func)
        _set_docstring(func, known)
        said = _defaults(known.__doc__ or "")
        parameters = [
            _parameter(parameter, func, said.get(name))
            for name, parameter in inspect.signature(known).parameters.items()
        ]
        func.parameters = griffe.Parameters(*parameters)

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        if _is_made(cls):
            _set_docstring(cls, _imported(cls))


def _is_made(shown: griffe.Function | griffe.Class) -> bool:
    names = [str(decorator.value).partition("(")[0] for decorator in shown.decorators]
    return any(name.rpartition(".")[2] in MAKERS for name in names)


def _imported(shown: griffe.Function | griffe.Class) -> Any:
    known: Any = import_module(shown.module.path)
    for name in shown.path.removeprefix(f"{shown.module.path}.").split("."):
        known = inspect.getattr_static(known, name)
    return getattr(known, "__func__", known)


def _set_docstring(shown: griffe.Function | griffe.Class, known: Any) -> None:
    if shown.docstring is not None:
        text = inspect.cleandoc(known.__doc__ or "")
        # Defaults are shown with the types.
        ends = r"(?=\n *\w+: |\n\s*\n|\s*\Z)"
        said = re.compile(rf"\s+Default:\s.+?\.{ends}", re.DOTALL)
        shown.docstring.value = said.sub("", text)


def _defaults(text: str) -> dict[str, str]:
    """The defaults that a docstring says, also those that a signature calls a factory's."""
    found = {}
    for entry in re.split(r"\n +(?=(?!Default:)\w+: )", text):
        name = entry.partition(":")[0]
        if default := re.search(r"\sDefault:\s+(.+?)\.\s*(?:\n\s*\n|\Z)", entry, re.DOTALL):
            found[name] = " ".join(default[1].split())
    return found


def _parameter(
    parameter: inspect.Parameter, func: griffe.Function, said: str | None
) -> griffe.Parameter:
    annotation: Any = parameter.annotation
    if annotation is not inspect.Parameter.empty and not isinstance(annotation, str):
        annotation = inspect.formatannotation(annotation)
    shown = None
    if annotation is not inspect.Parameter.empty:
        plain = re.sub(r"\btyping\.|\bcollections\.abc\.", "", annotation)
        node = ast.parse(plain, mode="eval").body
        shown = griffe.safe_get_annotation(node, func.parent, log_level=None)
    kind = getattr(griffe.ParameterKind, parameter.kind.name.lower())
    return griffe.Parameter(
        parameter.name, annotation=shown, kind=kind, default=_default(parameter.default, said)
    )


def _default(value: Any, said: str | None) -> str | None:
    if value is inspect.Parameter.empty:
        return None
    return (said or "...") if repr(value).startswith("<") else repr(value)
