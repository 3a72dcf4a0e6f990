"""Files that others wrote, read as plain values or refused in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from posekit.errors import InputError
from posekit.plain_yaml import read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {k: v}\n" + "".join(
    f"{after}: &{after} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_values_are_plain(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "a: [1, 2.5, 1e3, true, null, text, 2020-01-01]\nb: &b {x: 1, y: 2}\nc: {<<: *b, y: 3}\n"
    )
    assert read_yaml(path) == {
        "a": [1, 2.5, 1000.0, True, None, "text", "2020-01-01"],
        "b": {"x": 1, "y": 2},
        "c": {"x": 1, "y": 3},
    }


def test_an_empty_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbf# nothing\n")
    assert read_yaml(path) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key a is given twice"),
        ("x: {a: 1, a: 2}\n", "line 1: the key a is given twice"),
        ("a: !!python/object/apply:os.system [ls]\n", "line 1: could not determine a constructor"),
        ("a: !!set {0}\n", "could not determine a constructor"),
        ("a: !!binary aGVsbG8=\n", "could not determine a constructor"),
        ("a: [\n", "line 2: "),
        ("a: 1\n---\nb: 2\n", "line 2: but found another document"),
        ("? [a, b]\n: 1\n", "found unhashable key"),
        ("a: &a [*a]\n", "an alias within itself"),
        ("&a {b: *a}\n", "an alias within itself"),
        ("a: " + "[" * 100 + "]" * 100, "more than 50 levels"),
        ("a: " + "[" * 9000 + "]" * 9000, r"nesting depth|more than 50 levels"),
        (BOMB, "more than 100000 values"),
        (MERGES, "more than 100000 values"),
        ("a: \x00\n", "not valid YAML"),
    ],
)
def test_what_a_file_may_not_do(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"a\.yaml is not valid YAML") as caught:
        read_yaml(path)
    assert re.search(message, str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["ü".encode("latin-1"), "a: b".encode("utf-16")])
def test_other_encodings_are_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="utf-8"):
        read_yaml(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_yaml(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_yaml(tmp_path / "none.yaml")
