"""Runs all parts, each in a process and a time of its own, and writes their tables.

    make gpu [DEVICE=cuda] [FAST=1] [OUT=benchmarks/results/gpu]
    python -m benchmarks.gpu [PART ...] [--device cuda] [--fast] [--out FOLDER]

Nothing is installed or downloaded; what cannot be imported is a row of the part that needs it. A
part that fails is a row that says why, the others run all the same, and the exit status is 1. All
parts together stay below 8 minutes.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu.rows import Row, Rows, Settings, read_rows
from posekit.table import format_table
from posekit.version import __version__

ROOT = Path(__file__).resolve().parents[2]
GRACE = 12.0  # seconds that a part gets to end what it had begun
ON_CPU = 3  # times as long, for which nobody holds a GPU


class Part(NamedTuple):
    """A table.

    Attributes:
        module: of this package, with `HEADER` and what adds the rows.
        function: the latter's name.
        seconds: in which it begins new rows, besides what the parts before left over.
        title: of the table.
    """

    module: str
    function: str
    seconds: float
    title: str


PARTS = {
    "rates": Part("rates", "add_rates", 25, "What the device does at best"),
    "tests": Part("device_tests", "add_tests", 95, "Tests that need a GPU"),
    "parity": Part("parity", "add_parity", 110, "Distances from float32 on the CPU"),
    "networks": Part("networks", "add_networks", 110, "Networks, as `posekit bench` has them"),
    "clip": Part("clip", "add_clip", 65, "A clip of 960x540 from end to end"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--fast", action="store_true", help="small networks and batches")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "gpu")
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)  # of the process of a part
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)  # likewise
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.parts if name not in PARTS]:
        parser.error(f"no part {unknown[0]!r}: choose among {', '.join(PARTS)}")
    settings = Settings(chosen.device, chosen.fast)
    if chosen.rows is not None:
        part = PARTS[chosen.parts[0]]
        module = importlib.import_module(f"benchmarks.gpu.{part.module}")
        getattr(module, part.function)(settings, Rows(chosen.rows, chosen.seconds))
        return 0
    chosen.out.mkdir(parents=True, exist_ok=True)
    head = describe(settings)
    print(head, flush=True)
    if reason := why_unusable(settings):
        (chosen.out / "summary.txt").write_text(f"{head}\n\nnothing was run: {reason}\n")
        print(f"nothing was run: {reason}")
        return 1
    return run_parts(chosen.parts or list(PARTS), settings, chosen.out, head)


def run_parts(names: Sequence[str], settings: Settings, out: Path, head: str) -> int:
    """Writes a table for each part and one of all; gives the exit status."""
    summary, spare = [], 0.0
    for name in names:
        start = time.monotonic()
        allowed = PARTS[name].seconds * (ON_CPU if settings.device == "cpu" else 1) + spare
        rows = run_part(name, settings, allowed)
        seconds = time.monotonic() - start
        spare = max(allowed - seconds, 0.0)
        header = importlib.import_module(f"benchmarks.gpu.{PARTS[name].module}").HEADER
        text = f"{PARTS[name].title}\n{formatted(header, rows)}\n"
        (out / f"{name}.txt").write_text(f"{head}\n\n{text}", encoding="utf-8")
        print(f"\n{text}", flush=True)
        bad = [row for row in rows if row.failed]
        why = "; ".join(f"{' '.join(filter(None, row.cells[:3]))}: {row.failed}" for row in bad)
        summary.append((name, f"{len(rows)}", f"{len(bad)}", f"{seconds:.0f}", why))
    text = format_table(("part", "rows", "failed", "seconds", "why"), summary)
    (out / "summary.txt").write_text(f"{head}\n\n{text}\n", encoding="utf-8")
    print(f"\n{text}\n{out}", flush=True)
    return 1 if any(row[2] != "0" for row in summary) else 0


def run_part(name: str, settings: Settings, seconds: float) -> list[Row]:
    """The rows of a part that ran in a process of its own, whatever became of it."""
    with tempfile.TemporaryDirectory() as folder:
        path, log = Path(folder, "rows"), Path(folder, "log")
        command = [sys.executable, "-m", "benchmarks.gpu", name, f"--device={settings.device}"]
        command += [
            f"--rows={path}",
            f"--seconds={seconds:.1f}",
            *(["--fast"] if settings.fast else []),
        ]
        limit = seconds + GRACE
        with log.open("wb") as file:
            try:
                done = subprocess.run(
                    command, cwd=ROOT, env=_environment(), stderr=file, timeout=limit
                )
                ended = f"exit status {done.returncode}" if done.returncode else ""
            except subprocess.TimeoutExpired:
                ended = f"stopped after {limit:.0f} s"
        rows = read_rows(path)
        if ended:
            lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            print("\n".join(lines[-15:]), file=sys.stderr, flush=True)
            rows.append(Row((name,), f"{ended}: {lines[-1] if lines else 'no message'}"))
        return rows or [Row((name,), "no rows")]


def _environment() -> dict[str, str]:
    """With this checkout before an installed posekit, and without the network."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}


def formatted(header: Sequence[str], rows: Sequence[Row]) -> str:
    """A table whose last column has what failed, if anything did."""
    failed = any(row.failed for row in rows)
    columns = (*header, *(["FAILED"] if failed else []))
    cells = [
        (*row.cells, *[""] * (len(header) - len(row.cells)), *([row.failed] if failed else []))
        for row in rows
    ]
    return format_table(columns, cells)


def why_unusable(settings: Settings) -> str:
    """Why nothing can run; empty where something can."""
    try:
        import torch
    except ImportError as error:
        return str(error)
    if settings.device == "cuda" and not torch.cuda.is_available():
        return "PyTorch has no CUDA device here; DEVICE=cpu FAST=1 proves the script without one"
    return ""


def describe(settings: Settings) -> str:
    """Machine, driver, versions and commit, a line each."""
    lines = [f"commit: {commit()}, posekit {__version__}"]
    lines.append(f"system: {platform.platform()}, Python {platform.python_version()}")
    try:
        import torch
    except ImportError:
        return "\n".join(lines)
    from posekit.backends.machine import processor_name

    lines.append(f"processor: {processor_name()}, {torch.get_num_threads()} threads")
    if settings.device == "cuda" and torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        lines.append(
            f"device: {card.name}, {card.total_memory / 2**30:.0f} GiB, "
            f"{card.multi_processor_count} multiprocessors, driver {driver()}"
        )
        cudnn = torch.backends.cudnn.version()
        lines.append(f"torch: {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {cudnn}")
    else:
        lines.append(f"device: {settings.device}; torch: {torch.__version__}")
    if hasattr(os, "getloadavg"):
        lines.append(f"load of other programs before the run: {os.getloadavg()[0]:.1f}")
    return "\n".join(lines)


def commit() -> str:
    """Of the checkout, or what `COMMIT` says where it is a copy without its history."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    return _first_line(command) or os.environ.get("COMMIT") or "unknown: no history here"


def driver() -> str:
    """NVIDIA's version of it."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return _first_line(query) or "unknown"


def _first_line(command: Sequence[str]) -> str:
    """Of what a program prints; empty where it cannot run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip().partition("\n")[0] if done.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
