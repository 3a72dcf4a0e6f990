"""The tests that need a GPU, each that fails or skips as a row."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu.rows import Rows, Settings

__all__ = ["HEADER", "add_tests"]

HEADER = ("tests", "outcome", "seconds")
ROOT = Path(__file__).resolve().parents[2]
MARK = "pytest.mark.gpu"


def add_tests(settings: Settings, rows: Rows) -> None:
    """Runs `pytest -m gpu` over the files that have such tests; a row for each file."""
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if MARK in path.read_text()]
    rows.attempt("pytest -m gpu", lambda: _run(sorted(files), settings, rows))


def _run(files: Sequence[Path], settings: Settings, rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu and not slow"]
        # A file that cannot be imported here, for want of a package, stops no other.
        command += ["--continue-on-collection-errors", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, f"--junitxml={report}", *map(str, files)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=max(rows.left, 1),
        )
        if not report.exists():
            lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
            raise RuntimeError(next((line for line in reversed(lines) if line), "no report"))
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    if not cases:
        raise RuntimeError("no test was found")
    outcomes = [_outcome(case) for case in cases]
    counts = Counter(kind for kind, _ in outcomes)
    seconds = sum(float(case.get("time", 0)) for case in cases)
    unrun = settings.device == "cuda" and not counts["passed"]
    rows.add(
        "all", ", ".join(f"{n} {kind}" for kind, n in counts.items()), f"{seconds:.1f}",
        failed="no test passed" if unrun else "",
    )  # fmt: skip
    for case, (kind, reason) in zip(cases, outcomes, strict=True):
        name = f"{case.get('classname')}::{case.get('name')}"
        bad = kind in ("failure", "error")
        rows.add(
            name, kind if bad else f"{kind} {reason}".strip(), f"{float(case.get('time', 0)):.1f}",
            failed=reason if bad else "",
        )  # fmt: skip


def _outcome(case: ElementTree.Element) -> tuple[str, str]:
    """How a test ended, and why."""
    for kind in ("failure", "error", "skipped"):
        for found in case.iter(kind):
            lines = f"{found.get('message') or ''}\n{found.text or ''}".splitlines()
            # Of a file that cannot be imported, the last line has the reason.
            chosen = lines[-1] if kind == "error" else lines[0]
            return kind, " ".join(chosen.split())[:160] or kind
    return "passed", ""
