"""Peak memory and time of `posekit.load`, beside the size of the weights.

    python -m benchmarks.loading rtmpose-m_body8-256x192 vitpose-h

Weights are random and written to a temporary folder: only sizes matter. Each model is loaded in a
process of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from posekit.config import resolve_name
from posekit.table import format_table

WRITE = """
import sys
from safetensors.torch import save_file
from posekit.build import build_network
from posekit.spec import load_spec
import torch
net = build_network(load_spec(sys.argv[1]).net)
state = {k: torch.zeros(v.shape, dtype=v.dtype) for k, v in net.state_dict().items()}
save_file(state, sys.argv[2], metadata={"model": sys.argv[1]})
"""

LOAD = """
import resource, sys, time
import torch, posekit, posekit.weights.load, posekit.config, posekit.predictor
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
# What the network's own libraries take is not the weights'.
posekit.build.build_network(posekit.spec.load_spec(sys.argv[1]).net)
before, start = peak(), time.perf_counter()
predictor = posekit.load(sys.argv[1], weights=sys.argv[2], detector="whole_image", device="cpu")
taken = time.perf_counter() - start
# Every page of the weights is read, as a forward pass would.
for parameter in predictor.estimator.net.parameters():
    parameter.detach().view(-1)[::512].sum()
print(before, peak(), taken)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    rows = []
    for name in map(resolve_name, parser.parse_args().models):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.safetensors"
            subprocess.run([sys.executable, "-c", WRITE, name, str(path)], check=True)
            size = path.stat().st_size
            done = subprocess.run(
                [sys.executable, "-c", LOAD, name, str(path)],
                check=True,
                capture_output=True,
                text=True,
            )
        before, peak, taken = map(float, done.stdout.split())
        rows.append(
            (
                name,
                f"{size / 1e6:.0f}",
                f"{(peak - before) / 1e6:.0f}",
                f"{(peak - before) / size:.2f}",
                f"{peak / size:.2f}",
                f"{taken:.2f}",
            )
        )
    header = ("model", "weights MB", "added MB", "added / weights", "whole process / weights", "s")
    print(format_table(header, rows))


if __name__ == "__main__":
    main()
