"""YAML files as plain values, whoever wrote them. Light: imports nothing heavy.

What could harm the reader is refused in one line: tags that make objects, duplicate keys, of which
one would silently win, and aliases that contain themselves or expand to more than memory holds.
Numbers and dates are read as Hydra reads them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from posekit.errors import InputError

__all__ = ["read_yaml"]

# Far above what describes a model; a data set of many sources has some hundred.
MAX_NODES = 100_000
MAX_DEPTH = 50
_TAG = "tag:yaml.org,2002:"
_KINDS = ("null", "bool", "int", "float", "str", "seq", "map")

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """Makes plain values only."""


_Loader.yaml_constructors = {
    tag: make
    for tag, make in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.removeprefix(_TAG) in _KINDS
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_TAG}timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    f"{_TAG}float", re.compile(r"[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> Any:
    """The value of a YAML file: mappings, lists, texts, numbers, booleans and None.

    Raises:
        InputError: a file that cannot be read, or is not YAML of plain values.
    """
    try:
        return _parse(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        what = error.problem or error.context
        raise InputError(f"{path} is not valid YAML: {line}{what}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def _parse(text: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check(root: yaml.Node) -> None:
    """Walks the nodes as often as they are used, before anything is made of them."""
    rest, seen = [(root, 0)], 0
    while rest:
        node, depth = rest.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_NODES:
            what = f"{MAX_DEPTH} levels" if depth > MAX_DEPTH else f"{MAX_NODES} values"
            _refuse(node, f"more than {what}, or an alias within itself")
        if isinstance(node, yaml.MappingNode):
            keys = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in keys:
                    _refuse(key, f"the key {key.value} is given twice")
                keys.add((key.tag, key.value if isinstance(key, yaml.ScalarNode) else id(key)))
                rest += [(key, depth + 1), (value, depth + 1)]
        elif isinstance(node, yaml.SequenceNode):
            rest += [(item, depth + 1) for item in node.value]


def _refuse(node: yaml.Node, problem: str) -> None:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
