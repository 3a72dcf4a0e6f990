"""Configurations in Python are read, never run."""

from __future__ import annotations

from pathlib import Path

import pytest

from posekit.foreign.python_config import ConfigError, parse_config, read_config


def read(folder: Path, text: str, **others: str) -> dict:
    """The values of a file with this text, beside others by their stems."""
    for stem, other in others.items():
        (folder / f"{stem}.py").write_text(other)
    (folder / "main.py").write_text(text)
    return read_config(folder / "main.py", packages={"other": folder})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x = dict(a=1, b=[2, (3, -4)], **dict(c=None))", {"a": 1, "b": [2, (3, -4)], "c": None}),
        ("s = (192, 256)\nx = tuple([v // 32 for v in s if v])", (6, 8)),
        ("c = dict(r=2.0)\nx = c['r'] * 3 - 0.5", 5.5),
        ("a, b = 3, 'w'\nx = f'{b}-{a}.pth'", "w-3.pth"),
        ("x = [(i, j) for i in range(2) for j in [7]] + [*(1, 2)]", [(0, 7), (1, 7), 1, 2]),
        (
            "x = []\nfor i, n in enumerate(['p', 'q']):\n    y = n + str(i)\n    x.append(y)",
            ["p0", "q1"],
        ),
        ("x = {'k': list(range(3))[1:]}", {"k": [1, 2]}),
        ("x = {f'{i}': [i] for i in range(3) if i}", {"1": [1], "2": [2]}),
        ("'a text'\nx = 1 if not [] else 2", 1),
        ("d = dict(a=1)\nd['b'] = 2\nx = d", {"a": 1, "b": 2}),
        ("a = b = [1]\nx: list = a\na += [2]\nb += [3]", [1, 2, 3]),
        ("x = 2\nx *= 3\nx -= 1", 5),
    ],
)
def test_values_are_those_that_python_gives(tmp_path: Path, text: str, value: object) -> None:
    names: dict = {}
    exec(text, names)  # the tests' own text
    assert read(tmp_path, text)["x"] == value == names["x"]


def test_a_file_changes_what_its_bases_say(tmp_path: Path) -> None:
    base = "model = dict(head=dict(loss=dict(type='A', beta=1), size=3), neck=[1])\nlr = 0.1"
    text = (
        "_base_ = ['base.py', 'other::more.py']\n"
        "model = dict(neck=[2], head=dict(\n"
        "    loss=dict(_delete_=True, type='B'), size={{_base_.lr}}))\n"
        "copied = _base_.model.head.size + _base_.more"
    )
    values = read(tmp_path, text, base=base, more="more = 4")
    assert values["model"] == {"head": {"loss": {"type": "B"}, "size": 0.1}, "neck": [2]}
    assert values["copied"] == 7
    assert values["lr"] == 0.1


# A trillion numbers, if all were counted.
NESTED = "a0 = (1,)\n" + "".join(f"a{i + 1} = (a{i}, a{i})\n" for i in range(40))


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        "from mmengine.config import read_base",
        "x = open('secret')",
        "x = __import__('os').system('true')",
        "x = ().__class__.__bases__",
        "x = (lambda: 1)()",
        "x = eval('1')",
        "def f():\n    return 1",
        "while True:\n    pass",
        "with open('a') as f:\n    pass",
        "x = 'a' * 1000000000",
        "x = '%999999999d' % 1",
        "x = f'{1:>999999999}'",
        "x = [0] * 1000000000",
        "x = [[0] * 1000] * 1000 * 1000",
        "x = list(range(10**12))",
        "x = 9 ** 9 ** 9",
        "x = 10 ** 60",
        "x = 2 ** 'a'",
        "x = [" + "i for i in range(99999) " + "for j in range(99999)]",
        "x = " + "(" * 5000 + ")" * 5000,
        "x = " + "-" * 5000 + "1",
        "x = []\nx.append(x)",
        "x = []\nx += [x]",
        "x = 'a'\nfor i in range(99):\n    x += x",
        "x = y = undefined",
        "x: int",
        "n = [0] * 99999\nfor i in n:\n    for j in n:\n        'nothing'",
        "x = [[0] * 100000 for i in range(100000)]",
        NESTED + "x = str(a40)",
        NESTED + "x = f'{a40}'",
        NESTED + "x = {a40}",
        NESTED + "x = {a40: 1}",
        NESTED + "x = dict(a=1)[a40]",
        NESTED + "x = max([a40, a40])",
        NESTED,
        "x = undefined",
        "x = 1 / 0",
        "x = [1][5]",
        "x = '{{ fileDirname }}'",
        "dict = list\nx = dict()",
        "_base_ = 'main.py'",
        "_base_ = 'missing.py'",
        "_base_ = 'unknown::a.py'",
        "_base_ = open('a')",
        "_base_ = 3",
        "_base_ = ['twice.py', 'two.py']",
        "_base_ = 'two.py'\nx = dict(a=1)",
        "x = (",
    ],
)
def test_what_is_of_another_kind_is_an_error_and_nothing_is_run(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        read(tmp_path, text, twice="x = 1", two="x = 2")


def test_an_error_names_the_file_and_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"main\.py: line 2: imports are not followed"):
        read(tmp_path, "x = 1\nimport os")


def test_a_template_in_quotes_is_the_value_of_the_base(tmp_path: Path) -> None:
    base = "a = dict(b=(3, 4))"
    text = "_base_ = 'base.py'\nx = '{{_base_.a.b}}'\ny = ['{{ _base_.a }}']"
    values = read(tmp_path, text, base=base)
    assert (values["x"], values["y"]) == ((3, 4), [{"b": (3, 4)}])


def test_a_base_without_a_model_may_be_missing(tmp_path: Path) -> None:
    for base in ("../../default_runtime.py", "mmpose::_base_/default_runtime.py"):
        assert read(tmp_path, f"_base_ = ['{base}']\nx = 1")["x"] == 1


def test_a_text_is_read_as_a_file_is() -> None:
    assert parse_config("a = 2\nb = dict(c=a * 3)", "meta.cfg")["b"] == {"c": 6}
    with pytest.raises(ConfigError, match=r"meta\.cfg: line 1: 'a' is not defined"):
        parse_config("b = a", "meta.cfg")
    with pytest.raises(ConfigError, match="without _base_"):
        parse_config("_base_ = 'a.py'", "meta.cfg")
