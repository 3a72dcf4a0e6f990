"""The tests that need a GPU, each that fails or skips as a row."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from benchmarks.gpu.rows import Rows, Settings

__all__ = ["HEADER", "add_tests"]

HEADER = ("tests", "outcome", "seconds")
ROOT = Path(__file__).resolve().parents[2]
MARK = "pytest.mark.gpu"


def add_tests(settings: Settings, rows: Rows) -> None:
    """Runs `pytest -m gpu` over the files that have such tests."""
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if MARK in path.read_text()]
    for path in sorted(files):  # each alone: one that cannot be imported here stops no other
        name = path.relative_to(ROOT).as_posix()
        rows.attempt(name, lambda path=path, name=name: _run(path, name, settings, rows))  # type: ignore[misc]


def _run(path: Path, name: str, settings: Settings, rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu and not slow", str(path)]
        done = subprocess.run(
            [*command, f"--junitxml={report}", "-p", "no:cacheprovider"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=max(rows.left, 1),
        )
        if not report.exists():
            lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
            raise RuntimeError(next((line for line in reversed(lines) if line), "no report"))
        suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    counts = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
    bad = counts["failures"] + counts["errors"]
    passed = counts["tests"] - bad - counts["skipped"]
    outcome = f"{passed} passed, {bad} failed, {counts['skipped']} skipped"
    unrun = settings.device == "cuda" and not passed and not bad
    rows.add(
        name,
        outcome,
        f"{float(suite.get('time', 0)):.1f}",
        failed="no test ran" if unrun else f"{bad} failed" if bad else "",
    )
    for case in suite.iter("testcase"):
        for kind in ("failure", "error", "skipped"):
            for found in case.iter(kind):
                reason = " ".join(str(found.get("message")).split())[:160]
                rows.add(f"  {case.get('name')}", f"{kind}: {reason}", str(case.get("time")))
