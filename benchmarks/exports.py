"""Exports every kind of network that the models and detectors of conf/ have, with random weights.

    python -m benchmarks.exports [--format onnx] [--most 450] [--only PATTERN]

Models whose networks differ in the number of keypoints only count as one kind; of each kind the
first is exported by `posekit.export`, which compares the file with the network and refuses one
that differs. Prints, class by class, how many kinds and models there are and how far 99 % of the
points are off at most, and exits with 1 where one cannot be exported. Networks of more than
`--most` million parameters are left out, and named.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from fnmatch import fnmatchcase
from pathlib import Path

import posekit
from posekit.build import build_network
from posekit.config import CONF_DIR
from posekit.errors import PosekitError
from posekit.spec import load_spec
from posekit.table import format_table
from tests.page_folders import write_weights


def kinds(pattern: str) -> list[list[str]]:
    """Names of models and detectors, those of one kind together."""
    found: dict[object, list[str]] = defaultdict(list)
    for group in ("model", "detector"):
        for path in sorted((CONF_DIR / group).glob("*.yaml")):
            spec = load_spec(path.stem)
            arguments = {k: v for k, v in spec.net.arguments.items() if k != "num_keypoints"}
            if fnmatchcase(path.stem, pattern):
                key = (group, spec.net.target, repr(arguments), repr(spec.codec), spec.input_size)
                found[key].append(path.stem)
    return list(found.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--format", default="onnx")
    parser.add_argument("--most", type=float, default=450, help="million parameters")
    parser.add_argument("--only", default="*", help="a pattern of names")
    arguments = parser.parse_args()
    rows: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0])
    failed, large = [], []
    for names in kinds(arguments.only):
        name = names[0]
        net = build_network(load_spec(name).net, device="meta")
        if sum(p.numel() for p in net.parameters()) > arguments.most * 1e6:
            large.append(name)
            continue
        row = rows[type(net).__name__]
        row[0] += 1
        row[1] += len(names)
        with tempfile.TemporaryDirectory() as folder:
            weights, output = Path(folder, "weights.safetensors"), Path(folder, "out.onnx")
            write_weights(name, weights)
            try:
                result = posekit.export(
                    name, weights=weights, format=arguments.format, output=output
                )
            except PosekitError as error:
                failed.append(f"{name}: {error}")
                continue
        print(f"{name}: {result.difference}", file=sys.stderr, flush=True)
        row[2] = max(row[2], result.difference.percentile_99_px or 0)
    header = ("network", "kinds", "models", "px, 99 % of points")
    table = [
        [name, f"{row[0]:.0f}", f"{row[1]:.0f}", f"{row[2]:.2g}"] for name, row in rows.items()
    ]
    print(format_table(header, table))
    for name in large:
        print(f"left out, too large: {name}")
    for line in failed:
        print(f"FAILED {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
