"""Exports every kind of network that the models of conf/ have, with random weights.

    python -m benchmarks.exports [--format onnx] [--most 450] [--only PATTERN]

Models whose networks differ in the number of keypoints only count as one kind, whose first model is
exported. The raw outputs of the file are compared with those of the network, not keypoints: at
random the largest place of a heat map is often one of several, and a refined one far away. Prints,
class by class, how many kinds and models there are and the largest difference of an output, in
multiples of its deviation, and how far the network itself then is from its float64 self: random
layers, one after another, enlarge rounding, in RTMDet-x to half a deviation. Exits with 1 where a
file cannot be written, or differs by more than 1e-2 and than four times that rounding, or by NaN.
Networks of more than `--most` million parameters are left out, and named.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import Tensor

from posekit.build import build_network
from posekit.config import CONF_DIR
from posekit.exporting.formats import load_format
from posekit.exporting.graph import ExportGraph, with_processing
from posekit.exporting.options import ExportOptions
from posekit.exporting.samples import take_samples
from posekit.exporting.subject import Subject, describe
from posekit.spec import LifterSpec, load_spec
from posekit.table import format_table
from posekit.weights.load import load_network
from tests.page_folders import write_weights

TOLERANCE = 1e-2  # of an output, in multiples of its deviation; a wrong graph differs by 1 or more
ROUNDINGS = 4  # the file and the network each round, in orders of their own


def kinds(pattern: str) -> list[list[str]]:
    """Names of models, detectors and lifters, those of one kind together."""
    found: dict[object, list[str]] = defaultdict(list)
    for group in ("model", "detector", "lifter"):
        for path in sorted((CONF_DIR / group).glob("*.yaml")):
            if not fnmatchcase(path.stem, pattern):
                continue
            spec = load_spec(path.stem)
            arguments = {k: v for k, v in spec.net.arguments.items() if k != "num_keypoints"}
            size = None if isinstance(spec, LifterSpec) else spec.input_size
            key = (group, spec.net.target, repr(arguments), repr(spec.codec), size)
            found[key].append(path.stem)
    return list(found.values())


@torch.inference_mode()
def difference(name: str, folder: Path, wanted: str) -> tuple[float, float]:
    """Writes a file and runs it: the largest difference of any output, and that of rounding."""
    spec, weights = load_spec(name), folder / "weights.safetensors"
    write_weights(name, weights)
    net = load_network(spec, weights)
    network = with_processing(net, spec)
    graph = ExportGraph(network, preprocess=False, decode=False, dtype=torch.float32)
    samples = take_samples(network, [])
    output = folder / f"out{load_format(wanted).suffix}"
    options = ExportOptions(format=wanted, output=output)
    subject = Subject(graph, spec, samples, options, describe(graph, spec, options), output)
    run = load_format(wanted).write(subject, output)
    images = subject.inputs(samples.compared[:2])
    ours = graph(images)
    found = largest(ours, [torch.as_tensor(output) for output in run(images)])
    if found < TOLERANCE:
        return found, 0.0
    exact = ExportGraph(network, preprocess=False, decode=False, dtype=torch.float64)
    return found, largest(ours, exact(images))


def largest(ours: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """The largest difference of any output, NaN where one is."""
    pairs = zip(ours, others, strict=True)
    off = [(own - other).abs().max() / own.std() for own, other in pairs]
    return float(torch.stack(off).max())  # Python's max may pass over NaN


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--format", default="onnx")
    parser.add_argument("--most", type=float, default=450, help="million parameters")
    parser.add_argument("--only", default="*", help="a pattern of names")
    arguments = parser.parse_args()
    rows: dict[str, list[tuple[int, float, float]]] = defaultdict(list)  # models of a kind
    failed, large = [], []
    for names in kinds(arguments.only):
        name = names[0]
        net = build_network(load_spec(name).net, device="meta")
        if sum(p.numel() for p in net.parameters()) > arguments.most * 1e6:
            large.append(name)
            continue
        try:
            with tempfile.TemporaryDirectory() as folder:
                found, rounding = difference(name, Path(folder), arguments.format)
        except Exception as error:  # each format has its own
            failed.append(f"{name}: {error}")
            continue
        print(f"{name}: {found:.2g}", file=sys.stderr, flush=True)
        if not found < max(TOLERANCE, ROUNDINGS * rounding):
            failed.append(f"{name}: differs by {found:.2g}, of which rounding is {rounding:.2g}")
        rows[type(net).__name__].append((len(names), found, rounding))
    header = ("network", "kinds", "models", "largest difference", "rounding there")
    table = []
    for name, row in rows.items():
        models = sum(count for count, _, _ in row)
        _, found, rounding = max(row, key=lambda one: one[1])
        own = f"{rounding:.1g}" if rounding else "not measured"
        table.append([name, str(len(row)), str(models), f"{found:.1g}", own])
    print(format_table(header, table))
    for name in large:
        print(f"left out, too large: {name}")
    for line in failed:
        print(f"FAILED {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
