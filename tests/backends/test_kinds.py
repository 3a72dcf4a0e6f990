"""A file in `engines/` is an engine: everything that lists or describes engines asks it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from posekit.backends.engine import Engine
from posekit.backends.kinds import ENGINES, KINDS, auto_candidates, find_engine
from tests.conftest import ROOT
from tests.processes import run_python

FORMATS = {"onnx", "openvino"}  # of graph files
TYPES = {"float16", "float32", "float64", "bfloat16"}


@pytest.mark.parametrize("kind", ENGINES)
def test_every_engine_describes_itself(kind: str) -> None:
    engine = find_engine(kind)
    assert isinstance(engine, Engine)
    assert engine.title and engine.summary and engine.packages
    assert set(engine.reads) <= FORMATS
    assert engine.dtypes is None or set(engine.dtypes) <= TYPES


def test_the_engines_are_those_of_the_folder() -> None:
    files = (ROOT / "posekit" / "backends" / "engines").glob("[!_]*.py")
    assert ("auto", *sorted(file.stem for file in files)) == KINDS
    assert {"compile", "onnxruntime", "openvino", "tensorrt", "torch"} <= set(ENGINES)


def test_auto_tries_pytorch_first_and_nothing_that_compiles_for_long() -> None:
    assert auto_candidates() == ("torch", "openvino", "onnxruntime")


def test_their_names_are_known_without_importing_them_or_torch() -> None:
    program = (
        "import sys; from posekit.backends import KINDS; print(len(KINDS), "
        "[n for n in sys.modules if n in ('torch', 'numpy') or n.startswith('posekit.backends.eng')"
        " or n.startswith(('onnx', 'openvino'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"{len(KINDS)} ['posekit.backends.engines']"


def test_the_documented_table_is_what_they_say() -> None:
    page = (ROOT / "docs" / "predict.md").read_text(encoding="utf-8")
    _, _, table = page.partition("| backend | what it is |\n| --- | --- |\n")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table.partition("\n\n")[0], re.MULTILINE))
    candidates = sorted(rows.pop("auto").split("`")[1::2])
    assert candidates == sorted(auto_candidates())
    assert rows == {kind: find_engine(kind).summary for kind in ENGINES}


ABACUS = """
from posekit.backends.engine import Engine

ENGINE = Engine(
    title="Abacus", summary="beads", make=lambda net, target: net, packages=("abacus",),
    missing=lambda device: None if device.type == "cpu" else "its beads are no GPU's",
)
"""
PROGRAM = """
import sys
from posekit.backends import engines
engines.__path__.append(sys.argv[1])
from posekit.cli import main
for command in sys.stdin.read().splitlines():
    print("exit status", main(command.split()))
"""


def test_a_new_file_is_an_engine_for_all_commands(tmp_path: Path) -> None:
    (tmp_path / "abacus.py").write_text(ABACUS)
    predict = f"predict model=demo out_dir={tmp_path} device="
    commands = [
        "doctor device=cpu",
        f"{predict}cpu backend=abacus",
        f"{predict}cpu backend=abacuss",
        f"{predict}meta backend=abacus",
        "bench model=demo backends=[beads]",
    ]
    done = run_python("-c", PROGRAM, tmp_path, input="\n".join(commands), check=True)
    statuses = re.findall(r"^exit status (\d)$", done.stdout, re.MULTILINE)
    assert statuses == ["0", "0", "1", "1", "1"], done.stderr
    assert re.search(r"(?s)  abacus +not installed\n.*\n  abacus +available\n", done.stdout)
    assert (tmp_path / "predictions" / "demo.json").is_file()
    assert "found 'abacuss'; did you mean abacus?" in done.stderr
    assert "backend=abacus cannot run on meta here: its beads are no GPU's" in done.stderr
    assert "backends must be a list of auto, abacus, compile, " in done.stderr
