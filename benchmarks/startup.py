"""How long `posekit predict` takes for one image, from a cold process to the files.

    python -m benchmarks.startup IMAGE --detector rtmdet_nano_person.pth [--rounds 7]

Beside a process that only imports torch, by turns. RTMDet-nano and RTMPose-m in plain PyTorch, on
the CPU; the pose network's weights are random, which takes as long. Exits with 1 where prediction
takes 4 s, or 1.5 s more than importing torch does (the networks' own time is among these).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import DETECTOR, MODEL, machine, write_random_weights
from posekit.table import format_table

MOST = 4.0  # seconds
MOST_OVER_TORCH = 1.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image")
    parser.add_argument("--detector", required=True, help="trained weights of " + DETECTOR)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "pose.safetensors"
        write_random_weights(weights)
        commands = {
            "import torch": ["-c", "import torch"],
            "posekit predict": [
                *("-m", "posekit", "predict", f"model={MODEL}", f"weights={weights}"),
                *(f"detector={DETECTOR}", f"detector_weights={arguments.detector}", "device=cpu"),
                *(f"inputs={arguments.image}", f"out_dir={folder}/out"),
            ],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(arguments.rounds + 1):
            for name, command in commands.items():
                start = time.perf_counter()
                subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
                if number:  # the first fills the system's file cache
                    times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    over = medians["posekit predict"] - medians["import torch"]
    rows = [(name, f"{value:.2f}") for name, value in medians.items()]
    print(format_table(("process", "median s"), [*rows, ("difference", f"{over:.2f}")]))
    return 0 if medians["posekit predict"] < MOST and over <= MOST_OVER_TORCH else 1


if __name__ == "__main__":
    sys.exit(main())
