"""The benchmark of a GPU, on the CPU: its tables are there, and what fails is a row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import parity, rates
from benchmarks.gpu.device_tests import MARK
from benchmarks.gpu.rows import Row, Rows, Settings, read_rows
from tests.conftest import ROOT

CPU = Settings("cpu", fast=True)


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    return Rows(tmp_path / "rows", seconds=60)


def test_rates_of_each_type_are_measured(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rates.SIZES, "cpu", 32)
    rates.add_rates(CPU, rows)
    found = read_rows(tmp_path / "rows")
    assert [row.cells[0] for row in found] == [
        "matrix product, float32", "matrix product, bfloat16", "copy on the device",
    ]  # fmt: skip
    assert not any(row.failed for row in found)


def test_keypoints_are_compared_with_those_of_float32(rows: Rows, tmp_path: Path) -> None:
    case = parity.Case("rtmpose-n_drawn-192x128", None, 1, halves=False)
    parity._add_case(case, CPU, rows)
    (row,) = read_rows(tmp_path / "rows")
    model, weights, kind, compared, p50, p99, again = row.cells
    assert (model, weights, kind) == (case.model, "packaged", "float32")
    assert int(compared) > 17 and float(p50) <= float(p99) < parity.LIMITS["float32"]
    assert len(set(again.split(" of "))) == 1
    assert not row.failed


def test_a_network_that_learns_gets_better(rows: Rows) -> None:
    from benchmarks.gpu.learn import learn_poses
    from posekit.build import build_network
    from posekit.datasets.synthetic import generate_scene
    from posekit.skeleton import load_skeleton
    from posekit.spec import PoseSpec, load_spec
    from posekit.stages.estimate import PoseEstimator

    spec = load_spec("rtmpose-n_drawn-192x128")
    assert isinstance(spec, PoseSpec)
    net = build_network(spec.net, device="cpu").eval()
    estimator = PoseEstimator(net, spec, load_skeleton(spec.keypoints))
    scene = generate_scene(3)

    def scores() -> float:
        return float(estimator([scene.image], [scene.boxes_xyxy], flip_test=False)[0].scores.mean())

    before = scores()
    learn_poses(estimator, [scene], 12, rows)
    assert scores() > before
    assert not net.training


def test_what_is_raised_is_a_row_and_so_is_what_has_no_time_left(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    Rows(path, 60).attempt("first", lambda: json.loads("{"))
    Rows(path, -1).attempt("second", lambda: pytest.fail("it ran"))
    first, second = read_rows(path)
    assert first.cells == ("first",) and first.failed.startswith("JSONDecodeError: Expecting")
    assert second == Row(("second",), "no time was left for it")


def test_a_part_that_dies_is_named_with_its_last_words_and_the_status_is_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The process of the part does not know it.
    monkeypatch.setitem(gpu.PARTS, "nowhere", gpu.Part("rates", "add_rates", 30, "A table"))
    assert gpu.run_parts(["nowhere"], CPU, tmp_path, "a machine") == 1
    text = (tmp_path / "nowhere.txt").read_text()
    assert text.startswith("a machine\n\nA table\nwhat ")
    assert "FAILED" in text and "exit status 2" in text and "no part 'nowhere'" in text
    assert "exit status 2" in (tmp_path / "summary.txt").read_text()
    assert capsys.readouterr().out.rstrip().endswith(str(tmp_path))


def test_a_part_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "GRACE", 0.01)
    (row,) = gpu.run_part("rates", CPU, seconds=0.0)
    assert row.cells == ("rates",) and row.failed.startswith("stopped after 0 s")


def test_a_table_has_a_column_of_failures_only_where_there_are_some() -> None:
    good, bad = Row(("a", "1")), Row(("b",), "why")
    assert gpu.formatted(("name", "value"), [good]).splitlines()[0].split() == ["name", "value"]
    lines = gpu.formatted(("name", "value"), [good, bad]).splitlines()
    assert lines[0].split() == ["name", "value", "FAILED"]
    assert lines[-1].split() == ["b", "why"]


def test_where_there_is_no_gpu_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpu.main([f"--out={tmp_path}"]) == 1
    assert "DEVICE=cpu FAST=1" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["summary.txt"]


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        gpu.main(["rate"])
    assert "no part 'rate': choose among rates, tests" in capsys.readouterr().err


def test_the_machine_is_named_with_its_commit() -> None:
    text = gpu.describe(CPU)
    assert text.startswith("commit: ") and "\nsystem: " in text and "torch: " in text


def test_all_parts_stay_below_eight_minutes() -> None:
    assert sum(part.seconds + gpu.GRACE for part in gpu.PARTS.values()) < 480


def test_no_test_of_a_gpu_looks_for_one_itself() -> None:
    """Marked ones are those that `make gpu` runs."""
    asking = [
        path.name
        for path in (ROOT / "tests").rglob("test_*.py")
        if "skipif(not torch.cuda" in path.read_text() and path != Path(__file__)
    ]
    assert not asking, f"use @{MARK} in {', '.join(asking)}"
