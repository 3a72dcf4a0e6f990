"""Milliseconds of each engine on the four networks that matter most, beside the machine's best.

    python -m benchmarks.backends [--rounds 9] [--compile] [--models rtmpose-m vitpose-b]

Weights are random: only shapes matter for time. All engines take turns in every round, so that
what else the machine does meets all of them; ratios are of medians of the same run. "direct" is
ONNX Runtime or OpenVINO called by itself on the exported ONNX file, with its default settings
(OpenVINO: latency hint, float32). The floor is the network's operations over the measured rate
of a large float32 matrix product.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from posekit.backends import make_backend
from posekit.backends.auto import processor_name
from posekit.backends.graphs import to_onnx
from posekit.backends.outputs import describe_outputs, output_names
from posekit.build import create_model
from posekit.commands.table import format_table
from posekit.config import read_config
from posekit.models.fuse import fold_batch_norms

CASES = {
    "rtmpose-m": ("rtmpose-m_body8-256x192", (1, 8)),
    "rtmdet-nano": ("rtmdet-nano_person-320", (1, 8)),
    "rtmdet-m": ("rtmdet-m_person-640", (1,)),
    "vitpose-b": ("vitpose-b_coco-256x192", (1, 8)),
}
MATRIX_SIZE = 1536


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--compile", action="store_true", help="also AOTInductor, minutes more")
    parser.add_argument("--models", nargs="*", choices=CASES, default=list(CASES))
    arguments = parser.parse_args()
    print(
        f"{processor_name()}, {torch.get_num_threads()} threads; torch {torch.__version__}, "
        f"onnxruntime {onnxruntime.__version__}, openvino {openvino.__version__.split('-')[0]}"
    )
    # The average over a minute, so before the first network it is that of other programs.
    print(f"load of other programs before the run: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        for short in arguments.models:
            model, batches = CASES[short]
            for batch in batches:
                measure(model, batch, arguments.rounds, Path(folder), compiled=arguments.compile)


def measure(model: str, batch: int, rounds: int, folder: Path, *, compiled: bool) -> None:
    """Prints the table of one network and batch size."""
    width, height = read_config(model)["preprocess"]["input_size"]
    torch.manual_seed(0)
    net = create_model(model).requires_grad_(False)
    images = torch.randn(batch, 3, height, width)
    engines = {
        "eager": net,
        "eager, folded": fold_batch_norms(net),
        **direct(net, model, images, folder),
    }
    for kind in ("torch", *(["compile"] if compiled else []), "onnxruntime", "openvino"):
        engines[f"posekit {kind}"] = make_backend(
            net, kind, input_size=(width, height), cache_dir=folder
        )
    a, b = torch.rand(2, MATRIX_SIZE, MATRIX_SIZE)
    times: dict[str, list[float]] = {name: [] for name in ["matmul", *engines]}
    with torch.inference_mode():
        for engine in engines.values():
            engine(images)
        for _ in range(rounds):
            times["matmul"].append(milliseconds(lambda: a @ b))
            for name, engine in engines.items():
                times[name].append(milliseconds(lambda engine=engine: engine(images)))
    # The least of the products, which no other program held up.
    rate = 2 * MATRIX_SIZE**3 / min(times.pop("matmul"))
    report(model, batch, times, operations(net, images) / rate, rate)


def direct(
    net: nn.Module, model: str, images: Tensor, folder: Path
) -> dict[str, Callable[[Tensor], object]]:
    """ONNX Runtime and OpenVINO on the exported file, without posekit."""
    path = folder / f"{model}.onnx"
    height, width = images.shape[2:]
    names = output_names(describe_outputs(net, (width, height)))
    to_onnx(net, images[:1].repeat(2, 1, 1, 1), path, names=names)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(path, "CPU", options).create_infer_request()
    array: np.ndarray = images.numpy()
    return {
        "onnxruntime, direct": lambda _: session.run(None, {"input": array}),
        "openvino, direct": lambda _: request.infer([array]),
    }


def report(
    model: str, batch: int, times: dict[str, list[float]], floor: float, rate: float
) -> None:
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    best = min(medians["onnxruntime, direct"], medians["openvino, direct"])
    rows = [
        (
            name,
            f"{medians[name]:.1f}",
            f"{float(np.percentile(taken, 95)):.1f}",
            f"{min(taken):.1f}",
            f"{medians[name] / best:.2f}",
            f"{medians[name] / floor:.2f}",
        )
        for name, taken in times.items()
    ]
    print(f"\n{model}, batch {batch}: floor {floor:.1f} ms at {rate / 1e6:.0f} GFLOP/s, ", end="")
    print(f"{len(next(iter(times.values())))} rounds, load {os.getloadavg()[0]:.1f}")
    header = ("engine", "median ms", "p95 ms", "least ms", "to best direct", "to floor")
    print(format_table(header, rows), flush=True)


def milliseconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - start)


def operations(net: nn.Module, batch: Tensor) -> int:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net(batch)
    return counter.get_total_flops()


if __name__ == "__main__":
    main()
