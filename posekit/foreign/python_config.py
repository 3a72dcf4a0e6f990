"""Reads the configuration files of MMEngine's older style without running them.

Such a file is Python, but of a small kind: assignments of literals, `dict(...)`, earlier names,
arithmetic, a few comprehensions, and `_base_`, a list of files that it changes. Its syntax tree is
evaluated here, so a file cannot import, call or open anything; anything else is an error with its
line, and sizes are bounded.
"""

from __future__ import annotations

import ast
import copy
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from posekit.errors import InputError

__all__ = ["ConfigError", "parse_config", "read_config"]

MAX_BYTES = 1_000_000  # of a file
MAX_SIZE = 100_000  # items of a list, characters of a text
MAX_NUMBER = 10**18
MAX_STEPS = 1_000_000  # expressions evaluated in a file, and items of what they make
MAX_BASES = 16  # files, one upon the other
# They hold hooks, logging, schedules, nothing of a model: a configuration does without them.
WITHOUT_MODEL = re.compile(r"(.*[/:])?(default_runtime|schedule_\w+|\w+_tta)\.py")


class ConfigError(InputError):
    """A file that cannot be read, or has content that is not understood."""


Known = Callable[[str], dict[str, Any] | None]


def read_config(
    path: Path, *, packages: Mapping[str, Path] | None = None, known: Known | None = None
) -> dict[str, Any]:
    """All top-level values of a file, merged into those of its `_base_` files.

    Args:
        path: the file.
        packages: folders by the names that `_base_ = 'name::file.py'` may have.
        known: returns the values of a `name::file.py` of another package; None if it has none.

    Raises:
        ConfigError: a file is missing or too large, not Python of that kind, or its own base.
    """
    return _read(Path(path), packages or {}, known or (lambda location: None), ())


def parse_config(text: str, name: str) -> dict[str, Any]:
    """All top-level values of a configuration that stands by itself, as checkpoints hold it.

    Args:
        text: as `read_config` takes a file's, but without `_base_`.
        name: its name in errors.

    Raises:
        ConfigError: as `read_config`.
    """
    tree = _parse(text, name)
    if _bases(name, tree):
        raise ConfigError(f"{name}: expected a configuration without _base_")
    return _evaluated(tree, {}, name)


def _read(
    path: Path, packages: Mapping[str, Path], known: Known, above: tuple[Path, ...]
) -> dict[str, Any]:
    path = path.resolve()
    if path in above or len(above) >= MAX_BASES:
        raise ConfigError(f"{path}: its _base_ files form a circle, or are nested too deeply")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        hint = f", which _base_ of {above[-1]} names" if above else ""
        raise ConfigError(f"{path}: {error.strerror}{hint}") from None
    except ValueError:
        raise ConfigError(f"{path}: not text in UTF-8") from None
    tree = _parse(text, str(path))
    base: dict[str, Any] = {}
    for location in _bases(str(path), tree):
        values = _base_values(path, location, packages, known, above)
        if twice := base.keys() & values.keys():
            raise ConfigError(f"{path}: two of its _base_ files define '{min(twice)}'")
        base |= values
    return _evaluated(tree, base, str(path))


def _base_values(
    path: Path,
    location: str,
    packages: Mapping[str, Path],
    known: Known,
    above: tuple[Path, ...],
) -> dict[str, Any]:
    """The values of one of a file's bases; none if it is not here and describes no model."""
    package, _, _ = location.rpartition("::")
    if package not in (*packages, ""):
        if WITHOUT_MODEL.fullmatch(location):
            return {}
        if (values := known(location)) is not None:
            return values
    found = _locate(path, location, packages)
    if WITHOUT_MODEL.fullmatch(found.name) and not found.is_file():
        return {}
    return _read(found, packages, known, (*above, path))


def _parse(text: str, name: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise ConfigError(f"{name}: line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{name}: not Python that can be parsed: {error}") from None


def _evaluated(tree: ast.Module, base: Mapping[str, Any], name: str) -> dict[str, Any]:
    try:
        return merge(base, _Evaluator(base).run(tree))
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None


def _bases(name: str, tree: ast.Module) -> list[str]:
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "_base_":
            try:
                found = ast.literal_eval(statement.value)
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                found = None
            found = [found] if isinstance(found, str) else found
            if not isinstance(found, list | tuple) or not all(isinstance(x, str) for x in found):
                raise ConfigError(f"{name}: expected _base_ to be a path or a list of paths")
            return list(found)
    return []


def _locate(path: Path, location: str, packages: Mapping[str, Path]) -> Path:
    package, separator, rest = location.rpartition("::")
    if not separator:
        return path.parent / location
    if package not in packages:
        raise ConfigError(
            f"{path}: its _base_ is in the package {package}, which is not installed: put that "
            "file beside it and name it by its path"
        )
    return packages[package] / rest


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A base with changes: dicts key by key, unless one has `_delete_=True`; all else is replaced.

    Raises:
        ConfigError: a dict that would change a value that is not a dict.
    """
    merged = dict(base)
    for key, value in changes.items():
        if isinstance(value, dict) and key in merged and not value.get("_delete_"):
            if not isinstance(merged[key], dict):
                raise ConfigError(f"'{key}' is a dict here and not one in _base_")
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = _without_delete(value)
    return merged


def _without_delete(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_delete(v) for k, v in value.items() if k != "_delete_"}
    return copy.deepcopy(value)


OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        *(bool, dict, enumerate, float, int, len, list, max, min, range, round, set, sorted, str),
        *(sum, tuple, zip),
    )
}


SCALARS = (str, int, float, type(None))
# Those that look into what they are given, which may contain itself many times.
OF_SCALARS = {"bool", "float", "int", "max", "min", "round", "set", "sorted", "str", "sum"}


class _Evaluator:
    """Evaluates the statements of one file.

    Args:
        base: the values that `_base_.name` means.
    """

    def __init__(self, base: Mapping[str, Any]) -> None:
        self.base = base
        self.names: dict[str, Any] = {}
        self.steps = 0

    def run(self, tree: ast.Module) -> dict[str, Any]:
        """The names that the file assigns, and their values."""
        for statement in tree.body:
            self._statement(statement)
        found = {name: v for name, v in self.names.items() if name != "_base_"}
        _check_size(found)
        return found

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                found = self.value(value)
                for target in targets:
                    self._assign(target, found)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(target, self.value(value))
            case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                before = ast.copy_location(ast.Name(name, ast.Load()), node)
                result = self.value(ast.copy_location(ast.BinOp(before, op, value), node))
                if isinstance(kept := self.names.get(name), list):
                    kept[:] = result  # other names of the list see it too
                    self._bounded(kept, node)
                else:
                    self._assign(target, result)
            case ast.Expr(value=ast.Constant()):
                pass  # a text that stands alone
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr="append"), args=[x])):
                target = self.value(owner)
                if not isinstance(target, list):
                    raise _unknown(node)
                target.append(self.value(x))
                self._bounded(target, node)
            case ast.For(target=target, iter=items, body=body, orelse=[]):
                for item in self._items(items):
                    self._assign(target, item)
                    for inner in body:
                        self._statement(inner)
            case ast.Import() | ast.ImportFrom() | ast.With():
                raise ConfigError(
                    f"line {node.lineno}: imports are not followed, because the file is read and "
                    "never run: write the values themselves, and bases as _base_ = [...]"
                )
            case _:
                raise _unknown(node)

    def _assign(self, target: ast.expr, value: Any) -> None:
        self._count(target, 1)
        match target:
            case ast.Name(id=name):
                self.names[name] = value
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                values = list(value) if isinstance(value, list | tuple) else []
                if len(values) != len(parts):
                    raise _unknown(target)
                for part, item in zip(parts, values, strict=True):
                    self._assign(part, item)
            case ast.Subscript(value=owner, slice=index):
                container, key = self.value(owner), self._key(index)
                if not isinstance(container, dict | list):
                    raise _unknown(target)
                self._apply(target, operator.setitem, container, key, value)
            case _:
                raise _unknown(target)

    def value(self, node: ast.expr) -> Any:
        """The value of an expression."""
        value = self._bounded(self._evaluate(node), node)
        made = isinstance(value, str | list | tuple) and not isinstance(node, ast.Name)
        self._count(node, 1 + (len(value) if made else 0))
        return value

    def _count(self, node: ast.expr, steps: int) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise ConfigError(f"line {node.lineno}: too much to compute")

    def _evaluate(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=str() as value) if "{{" in value:
                return self._template(node, value)
            case ast.Constant(value=str() | int() | float() | None as value):
                return value
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.List(elts=parts):
                return self._parts(parts)
            case ast.Tuple(elts=parts):
                return tuple(self._parts(parts))
            case ast.Set(elts=[ast.Set(elts=[inner])]):  # {{_base_.name}}
                return copy.deepcopy(self.value(inner))
            case ast.Set(elts=parts):
                return set(map(self._key, parts))
            case ast.Dict():
                return self._dict(node, node.keys, node.values)
            case ast.Attribute(value=owner, attr=name):
                return self._apply(node, operator.getitem, self._mapping(owner), name)
            case ast.Subscript(value=owner, slice=ast.Slice() as part):
                bounds = [x and self.value(x) for x in (part.lower, part.upper, part.step)]
                return self._apply(node, operator.getitem, self.value(owner), slice(*bounds))
            case ast.Subscript(value=owner, slice=index):
                return self._apply(node, operator.getitem, self.value(owner), self._key(index))
            case ast.UnaryOp(op=op, operand=operand):
                return self._apply(node, OPERATORS.get(type(op)), self.value(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(node, op, self.value(left), self.value(right))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.value(body if self.value(test) else orelse)
            case ast.JoinedStr(values=parts):
                return "".join(str(self._key(part)) for part in parts)
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                return self.value(value)
            case ast.ListComp(elt=element, generators=generators):
                return self._comprehension(element, generators)
            case ast.DictComp(key=key, value=value, generators=generators):
                pair = ast.copy_location(ast.Tuple([key, value], ast.Load()), node)
                made = self._comprehension(pair, generators)
                if not all(isinstance(name, SCALARS) for name, _ in made):
                    raise _unknown(node)
                return dict(made)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
                return self._call(node, name, args, keywords)
            case _:
                raise _unknown(node)

    def _template(self, node: ast.expr, text: str) -> Any:
        """`"{{_base_.a.b}}"` in quotes; other templates are names of files."""
        found = re.fullmatch(r"\{\{\s*_base_((?:\.\w+)+)\s*\}\}", text)
        if found is None:
            raise _unknown(node)
        value: Any = self.base
        for key in found[1].split(".")[1:]:
            value = self._apply(node, operator.getitem, value, key)
        return copy.deepcopy(value)

    def _name(self, node: ast.expr, name: str) -> Any:
        if name == "_base_":
            return self.base
        if name not in self.names:
            raise ConfigError(f"line {node.lineno}: '{name}' is not defined")
        return self.names[name]

    def _mapping(self, node: ast.expr) -> Mapping[str, Any]:
        found = self.value(node)
        if not isinstance(found, Mapping):
            raise _unknown(node)
        return found

    def _key(self, node: ast.expr) -> Any:
        """A value that is soon hashed, compared or written: a scalar, or a tuple of scalars."""
        value = self.value(node)
        if not all(
            isinstance(x, SCALARS) for x in (value if isinstance(value, tuple) else [value])
        ):
            raise _unknown(node)
        return value

    def _parts(self, nodes: Sequence[ast.expr]) -> list[Any]:
        parts: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                parts.extend(self._items(node.value))
            else:
                parts.append(self.value(node))
        return parts

    def _dict(
        self, node: ast.expr, keys: Sequence[ast.expr | None], values: Sequence[ast.expr]
    ) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for key, value in zip(keys, values, strict=True):
            if key is None:  # **mapping
                made |= self._mapping(value)
            else:
                made[self._key(key)] = self.value(value)
        return made

    def _call(
        self,
        node: ast.expr,
        name: str,
        args: Sequence[ast.expr],
        keywords: Sequence[ast.keyword],
    ) -> Any:
        function = FUNCTIONS.get(name)
        if function is None or name in self.names or (keywords and name != "dict"):
            raise _unknown(node)
        if name == "dict":
            names = [None if k.arg is None else ast.Constant(k.arg) for k in keywords]
            for constant in names:
                if constant is not None:
                    ast.copy_location(constant, node)
            given = {k: v for argument in args for k, v in self._mapping(argument).items()}
            return given | self._dict(node, names, [keyword.value for keyword in keywords])
        parts = self._parts(args)
        if name in OF_SCALARS and not all(_all_scalars(part) for part in parts):
            raise _unknown(node)
        found = self._apply(node, function, *parts)
        if isinstance(found, range | enumerate | zip):  # as lists, since their length is bounded
            if isinstance(found, range) and len(found) > MAX_SIZE:
                raise ConfigError(f"line {node.lineno}: larger than {MAX_SIZE}")
            return list(found)
        return found

    def _binary(self, node: ast.expr, op: ast.operator, left: Any, right: Any) -> Any:
        for text in (left, right):
            if isinstance(text, str) and not isinstance(op, ast.Add):
                raise _unknown(node)  # such as a format, whose width is not bounded
        if isinstance(op, ast.Pow) and not (isinstance(right, int | float) and abs(right) <= 64):
            raise _unknown(node)
        if isinstance(op, ast.Mult):
            for items, times in ((left, right), (right, left)):
                repeats = isinstance(items, list | tuple) and isinstance(times, int)
                if repeats and len(items) * times > MAX_SIZE:
                    raise ConfigError(f"line {node.lineno}: larger than {MAX_SIZE}")
        return self._apply(node, OPERATORS.get(type(op)), left, right)

    def _comprehension(
        self, element: ast.expr, generators: Sequence[ast.comprehension]
    ) -> list[Any]:
        if not generators:
            return [self.value(element)]
        first, *rest = generators
        before, made = dict(self.names), []
        for item in self._items(first.iter):
            self._assign(first.target, item)
            if all(self.value(test) for test in first.ifs):
                made.extend(self._comprehension(element, rest))
        self.names = before
        return made

    def _items(self, node: ast.expr) -> list[Any]:
        found = self.value(node)
        if not isinstance(found, list | tuple | set | dict):
            raise _unknown(node)
        return list(found)

    def _apply(self, node: ast.expr, function: Callable[..., Any] | None, *args: Any) -> Any:
        if function is None:
            raise _unknown(node)
        try:
            return function(*args)
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            reason = str(error) or type(error).__name__
            raise ConfigError(f"line {node.lineno}: {ast.unparse(node)[:60]}: {reason}") from None

    def _bounded(self, value: Any, node: ast.AST) -> Any:
        line = getattr(node, "lineno", 0)
        if isinstance(value, int) and abs(value) > MAX_NUMBER:
            raise ConfigError(f"line {line}: larger than {MAX_NUMBER:.0e}")
        if isinstance(value, str | list | tuple) and len(value) > MAX_SIZE:
            raise ConfigError(f"line {line}: larger than {MAX_SIZE}")
        return value


def _all_scalars(value: Any) -> bool:
    items = value if isinstance(value, list | tuple | set) else [value]
    return all(isinstance(item, SCALARS) for item in items)


def _check_size(value: Any) -> None:
    """Few values can contain each other so often that copying them never ends, or themselves."""
    waiting, count = [value], 0
    while waiting:
        item = waiting.pop()
        count += 1
        if count > MAX_STEPS:
            raise ConfigError(f"more than {MAX_STEPS} values")
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple | set):
            waiting.extend(item)


def _unknown(node: ast.AST) -> ConfigError:
    text = ast.unparse(node).splitlines()[0][:60]
    return ConfigError(f"line {getattr(node, 'lineno', 0)}: not understood: {text}")
