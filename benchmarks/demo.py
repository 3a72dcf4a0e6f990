"""Average precision of the packaged models on drawn scenes that they have not seen.

    python -m benchmarks.demo [--scenes 300] [--seed 2]

Training saw seed 0, and seed 1 chose the best weights. Exits with 1 where keypoints in the boxes of
the packaged detector have an AP below 0.90.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from posekit.cli import main as posekit
from posekit.config import PACKAGED
from posekit.datasets.synthetic import main as synthetic
from posekit.table import format_table

GOAL = 0.90


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "drawn")
        synthetic([str(data), "--scenes", str(arguments.scenes), "--seed", str(arguments.seed)])
        labels = data / "annotations.json"
        detector = "rtmdet-nano_drawn-256"
        cases = {
            "keypoints in the detector's boxes": ["model=demo", "detector=demo", "dataset=custom"],
            "keypoints in the labelled boxes": ["model=demo", "dataset=custom"],
            "boxes": [f"model={detector}", "dataset=custom"],
        }
        rows = []
        for name, options in cases.items():
            out = Path(folder, "out.json")
            if posekit(["evaluate", *options, f"dataset.val={labels}", f"out={out}"]):
                return 1
            metrics = json.loads(out.read_text())["metrics"]
            shown = ("AP", "AP50", "AP75", "AR")
            rows.append((name, metrics["AP"], *(f"{metrics[key]:.3f}" for key in shown)))
    size = sum(path.stat().st_size for path in PACKAGED.glob("*.safetensors"))
    print(f"{arguments.scenes} scenes of seed {arguments.seed}; both files: {size / 1e6:.1f} MB")
    print(format_table(("", "AP", "AP50", "AP75", "AR"), [(row[0], *row[2:]) for row in rows]))
    return 0 if rows[0][1] >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
