"""The notebooks: without outputs in the repository, and each runs from top to bottom."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pages import working_in

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = ["evaluate", "fine-tune", "predict"]


def cells_of(path: Path, kind: str) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == NAMES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_that_was_computed_is_kept(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text) < 20_000
    for cell in json.loads(text)["cells"]:
        assert cell["source"] and cell["id"]
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cell_installs_only_where_posekit_is_missing(path: Path) -> None:
    first, *others = cells_of(path, "code")
    guard, install = first.splitlines()[-2:]
    assert guard == 'if importlib.util.find_spec("posekit") is None:'
    assert install.startswith('    %pip install -q "posekit')
    assert not any("%" + "pip" in cell or cell.startswith("!") for cell in others)
    extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for name in install.partition("[")[2].partition("]")[0].split(","):
        assert f"\n{name} = [" in extras


def test_the_cells_of_prediction_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process; the kernel is started by the slow test below."""
    pytest.importorskip("pandas")
    pytest.importorskip("IPython")
    shown: list[object] = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    _, *cells = cells_of(ROOT / "notebooks" / "predict.ipynb", "code")
    names: dict[str, object] = {}
    with working_in(tmp_path):
        for cell in cells:
            if "matplotlib" not in cell:
                exec(compile(cell.replace("end=2", "end=0.3"), "predict.ipynb", "exec"), names)
    assert [image.size for image in shown] == [(960, 640), (640, 360)]  # type: ignore[attr-defined]
    assert len(names["table"]) > len(names["frames"])  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    folder = tmp_path / "work"
    folder.mkdir()
    client = nbclient.NotebookClient(
        notebook, timeout=1200, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    if keep := os.environ.get("POSEKIT_NOTEBOOKS"):  # to look at what it shows
        nbformat.write(notebook, Path(keep, path.name))
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    tables = [o for o in outputs if "text/html" in o.get("data", {})]
    assert pictures and tables
    assert not any(output.output_type == "error" for output in outputs)
