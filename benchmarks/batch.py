"""Batches under fire, and what a second worker brings.

    python -m benchmarks.batch                        # both, all runners that are installed
    python -m benchmarks.batch --runners local --clips 40 --kills 3
    python -m benchmarks.batch --only scaling

Under fire: clips, one of twenty broken, go through each runner while workers, actors, jobs and the
command itself are killed at random points; whenever the command has ended it is called again. At
the end there have to be the rows of an undisturbed run, byte for byte, and no clip done twice.

Scaling: frames per second while clips are computed, of one worker on one core and of two on two,
each of one thread.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from posekit.table import format_table
from tests.batching.clips import TYPED, tables, write_clip

NEEDED = {"local": "torch", "ray": "ray", "slurm": "submitit"}
MODEL = ["model=demo", "detector=whole_image", *TYPED]
RUNNERS = {
    "local": ["runner=local", "workers=2"],
    "ray": ["runner=ray", "workers=2"],
    "slurm": ["runner=slurm", "workers=1", "slurm.cluster=local", "slurm.jobs=2"]
    + ["slurm.timeout_min=10"],
}


@dataclass
class Fire:
    """What happened to a runner's batch."""

    runs: int = 0
    kills: int = 0
    drivers: int = 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--runners", default="local,ray,slurm")
    parser.add_argument("--only", choices=("fire", "scaling"))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory(prefix="posekit-batch-") as folder:
        if given.only != "scaling":
            failed |= under_fire(Path(folder), given)
        if given.only != "fire":
            failed |= scaling(Path(folder))
    return int(failed)


def under_fire(folder: Path, given: argparse.Namespace) -> bool:
    """Prints a table; True where rows differ or a clip was done twice."""
    clips = folder / "clips"
    broken = set()
    for number in range(given.clips):
        path = clips / f"cam{number % 4}" / f"{number:03}.mp4"
        write_clip(path, number, frames=4 + number % 5)
        if number % 20 == 7:
            path.write_bytes(path.read_bytes()[:200])
            broken.add(str(path))
    subprocess.run(command(clips, folder / "whole", RUNNERS["local"]), capture_output=True)
    wanted, rows, failed = tables(folder / "whole"), [], False
    for runner in given.runners.split(","):
        if importlib.util.find_spec(NEEDED[runner]) is None:
            print(f"{runner}: {NEEDED[runner]} is not installed")
            continue
        start, out = time.perf_counter(), folder / runner
        fire = disturb(command(clips, out, RUNNERS[runner]), given.kills, given.seed)
        entries = [json.loads(line) for path in out.glob("_manifest*.jsonl")
                   for line in path.read_bytes().splitlines() if line.endswith(b"}")]  # fmt: skip
        done = Counter(entry["path"] for entry in entries if entry["status"] == "done")
        twice = sum(count > 1 for count in done.values())
        missed = {entry["path"] for entry in entries} - set(done) - broken
        same = tables(out) == wanted and len(done) == given.clips - len(broken) and not missed
        failed |= not same or bool(twice)
        rows.append(
            (runner, str(fire.kills), str(fire.drivers), str(fire.runs), str(len(done)),
             "the same" if same else "OTHERS", str(twice),
             f"{time.perf_counter() - start:.0f}")
        )  # fmt: skip
    header = ("runner", "kills", "of the command", "runs", "done", "bytes", "done twice", "seconds")
    print(f"{given.clips} clips, {len(broken)} of them broken")
    print(format_table(header, rows), flush=True)
    return failed


def command(clips: Path, out: Path, more: list[str]) -> list[str]:
    start = [sys.executable, "-m", "posekit", "batch", f"inputs={clips}", f"out_dir={out}"]
    return [*start, *MODEL, *more]


def disturb(batch: list[str], kills: int, seed: int) -> Fire:
    """Calls a batch until it is through, killing what it started, or itself."""
    chance, fire, waiting = random.Random(seed), Fire(), threading.Event()
    while True:
        fire.runs += 1
        before = fire.kills
        # A clip whose worker was killed twice has failed: asked for, it is tried again.
        again = ["retry_failed=true"] if fire.kills >= kills else []
        process = subprocess.Popen(
            [*batch, *again], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        output: list[str] = []
        reader = threading.Thread(target=lambda p=process, o=output: o.append(p.stdout.read()))
        reader.start()
        while fire.kills < kills and process.poll() is None:
            if not (victims := computing(process.pid)):
                waiting.wait(0.1)
                continue
            waiting.wait(chance.uniform(0, 0.5))
            victims = computing(process.pid)
            if chance.random() < 0.3 or not victims:
                victims = [process.pid]
            victim = chance.choice(victims)
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                continue
            fire.kills += 1
            fire.drivers += victim == process.pid
        process.wait()
        reader.join(20)
        # A job outlives the command that submitted it; the next call may find it still at work.
        text = "".join(output)
        through = process.returncode in (0, 1) and text and "not tried" not in text
        if through and again:
            return fire
        if through and fire.kills == before:
            kills = before  # a quick machine leaves nothing to kill


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child))
    except OSError:
        pass
    return found


def computing(pid: int) -> list[int]:
    return [child for child in family(pid)[1:] if computes(child)]


def computes(pid: int) -> bool:
    """A worker, an actor or a job, not what watches over them."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"spawn_main" in words or words.startswith(b"ray::") or b"submitit" in words


def scaling(folder: Path) -> bool:
    """Prints a table; True where two workers do less than 0.9 of twice the frames."""
    clips, rows, rates = folder / "long", [], []
    for number in range(24):
        write_clip(clips / f"{number:02}.mp4", number, frames=160)
    there = sorted(os.sched_getaffinity(0))
    for workers in (1, 2):
        out = folder / f"scaling{workers}"
        start = time.perf_counter()
        subprocess.run(
            command(clips, out, [f"workers={workers}"]),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
            preexec_fn=lambda n=workers: os.sched_setaffinity(0, there[:n]),
        )  # fmt: skip
        wall = time.perf_counter() - start
        lines = (out / "_manifest.jsonl").read_text().splitlines()
        entries = [json.loads(line) for line in lines]
        frames = sum(entry["frames"] for entry in entries)
        rates.append(frames / (sum(entry["seconds"] for entry in entries) / workers))
        share = rates[-1] / (workers * rates[0])
        rows.append((str(workers), f"{rates[-1]:.1f}", f"{share:.2f}", f"{wall:.1f}"))
    print(format_table(("workers", "frames/s", "of linear", "seconds with the start"), rows))
    return rates[1] < 0.9 * 2 * rates[0]


if __name__ == "__main__":
    sys.exit(main())
