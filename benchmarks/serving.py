"""Images per second of 8 callers at once beside one caller after the other.

    python -m benchmarks.serving [--images 64] [--rounds 5] [--threads 1 2] [--only demo]

The same JPEGs of 640x480 pixels go through one service: one after the other by a single caller, by
8 threads and by 8 coroutines, in turn, round after round; "ratio" is that of the medians. The row
"predictor" is `predictor.stream(jpeg)`, one after the other. The models: the packaged one, which
finds the four people, and RTMPose-m with RTMDet-nano of random weights, which finds nobody and then
takes the image as one person. "cores busy" says where the end is: no way of calling brings more
where all are. "CPU ms" is what all threads of the process computed for an image.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CALLERS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--workers", type=int, help="left out, as a service chooses")
    parser.add_argument("--only", choices=("demo", "rtmpose-m"))
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        measure(given, given.child)
        return
    # Engines keep the number of threads that they were made with: a process for each.
    for threads in given.threads:
        subprocess.run(
            [sys.executable, "-m", "benchmarks.serving", *sys.argv[1:], "--child", str(threads)],
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            check=True,
        )


def measure(given: argparse.Namespace, threads: int) -> None:
    import cv2
    import torch

    import posekit
    from benchmarks.common import DETECTOR, MODEL, machine, write_random_weights
    from posekit.table import format_table

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    print(f"\n{machine()}; workers: {given.workers or 'auto'}")
    rows = []
    with tempfile.TemporaryDirectory(prefix="posekit-serving-") as folder:
        for name in ("demo", "rtmpose-m"):
            if given.only not in (None, name):
                continue
            if name == "demo":
                predictor = posekit.load("demo", device="cpu")
            else:
                predictor = posekit.load(
                    MODEL,
                    weights=write_random_weights(Path(folder) / "pose.safetensors"),
                    detector=DETECTOR,
                    detector_weights=write_random_weights(
                        Path(folder) / "boxes.safetensors", DETECTOR
                    ),
                    device="cpu",
                )
            rows += compare(name, predictor, given)
    header = (
        "model", "threads", "", "images/s", "ratio", "median ms", "cores busy", "CPU ms", "batches"
    )  # fmt: skip
    print(format_table(header, [(row[0], str(threads), *row[1:]) for row in rows]), flush=True)


def compare(name, predictor, given) -> list[tuple[str, ...]]:
    """Rows of a table: who calls, images per second, beside one after the other."""
    from posekit import PoseService

    jpegs = [picture(number) for number in range(given.images)]
    options = {} if name == "demo" else {"empty": "whole_image"}
    rates: dict[str, list[float]] = {}
    rows = []
    used: dict[str, list[float]] = {}
    with PoseService(predictor, workers=given.workers or "auto") as service:

        def ask(jpeg: bytes) -> None:
            service.predict(jpeg, **options)

        def by_threads() -> None:
            with ThreadPoolExecutor(CALLERS) as pool:
                list(pool.map(ask, jpegs))

        async def coroutines() -> None:
            left = iter(jpegs)

            async def caller() -> None:
                for jpeg in left:
                    await service(jpeg, **options)

            await asyncio.gather(*(caller() for _ in range(CALLERS)))

        ways: dict[str, Callable[[], object]] = {
            "predictor": lambda: [list(predictor.stream(jpeg, **options)) for jpeg in jpegs],
            "one after the other": lambda: list(map(ask, jpegs)),
            f"{CALLERS} threads": by_threads,
            f"{CALLERS} coroutines": lambda: asyncio.run(coroutines()),
        }
        batches: dict[str, str] = {}
        for way in ways.values():  # the first ones make ready
            way()
        for _ in range(given.rounds):
            for text, way in ways.items():
                before = service.statistics()
                start, computed = time.perf_counter(), time.process_time()
                way()
                used.setdefault(text, []).append((time.process_time() - computed) / len(jpegs))
                rates.setdefault(text, []).append(len(jpegs) / (time.perf_counter() - start))
                now = service.statistics()
                sizes = {
                    size: count - before.batches.get(size, 0)
                    for size, count in now.batches.items()
                    if count > before.batches.get(size, 0)
                }
                batches[text] = " ".join(f"{count}x{size}" for size, count in sizes.items())
                print(name, text, f"{rates[text][-1]:.1f}", file=sys.stderr, flush=True)
    base = statistics.median(rates["one after the other"])
    for text, found in rates.items():
        rate = statistics.median(found)
        each = CALLERS if text.startswith(str(CALLERS)) else 1
        rows.append(
            (name, text, f"{rate:.1f}", f"{rate / base:.2f}", f"{1000 * each / rate:.0f}",
             f"{rate * statistics.median(used[text]):.2f}",
             f"{1000 * statistics.median(used[text]):.1f}", batches[text])
        )  # fmt: skip
    return rows


def picture(seed: int) -> bytes:
    """The packaged drawing, a little moved, as a JPEG of 640x480."""
    import cv2
    import numpy as np

    from posekit.files import PACKAGED

    image = cv2.resize(cv2.imread(str(PACKAGED / "demo.jpg")), (640, 480))
    return bytes(cv2.imencode(".jpg", np.roll(image, 3 * seed, axis=1))[1].tobytes())


if __name__ == "__main__":
    main()
