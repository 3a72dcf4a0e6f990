"""Modules and functions stay of a length that one reads at once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

MODULE_LINES = 500
FUNCTION_LINES = 60  # without the docstring
REASON = "Long because"  # what a longer module says in its docstring

MODULES = sorted(
    path.relative_to(ROOT).as_posix()
    for package in ("posekit", "weights_convert")
    for path in (ROOT / package).rglob("*.py")
)


def too_long(path: Path) -> list[str]:
    """What is longer than the limits in a file; empty for one that keeps them."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    found = []
    lines = len(text.splitlines())
    if lines > MODULE_LINES and REASON not in (ast.get_docstring(tree) or ""):
        found.append(f"the module has {lines} lines")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count = length_of(node)
            if count > FUNCTION_LINES:
                found.append(f"{node.name}, line {node.lineno}, has {count} lines")
    return found


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, without those of the docstring."""
    assert function.end_lineno is not None
    length = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        assert docstring.end_lineno is not None
        length -= docstring.end_lineno - docstring.lineno + 1
    return length


def test_modules_and_their_functions_are_short() -> None:
    assert MODULES
    found = [f"{module}: {what}" for module in MODULES for what in too_long(ROOT / module)]
    assert not found, f"cut these by topic, or say '{REASON} ...' in a module's docstring: {found}"


@pytest.mark.parametrize(
    ("lines", "docstring", "found"),
    [
        (500, "A module.", []),
        (501, "A module.", ["the module has 501 lines"]),
        (501, "A module. Long because of a table.", []),
    ],
)
def test_modules_are_counted(tmp_path: Path, lines: int, docstring: str, found: list[str]) -> None:
    path = tmp_path / "module.py"
    path.write_text(f'"""{docstring}"""\n' + "x = 1\n" * (lines - 1), encoding="utf-8")
    assert too_long(path) == found


@pytest.mark.parametrize(("lines", "found"), [(60, []), (61, ["f, line 1, has 61 lines"])])
def test_functions_are_counted_without_docstrings(
    tmp_path: Path, lines: int, found: list[str]
) -> None:
    path = tmp_path / "module.py"
    body = '    """Says\n\n    much.\n    """\n' + "    x = 1\n" * (lines - 1)
    path.write_text(f"def f():\n{body}", encoding="utf-8")
    assert too_long(path) == found
