"""How fast networks are in large batches, and which share of the matrix rate they reach."""

from __future__ import annotations

import copy
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from benchmarks.gpu.rates import as_type, matmul_rate, torch_type
from benchmarks.gpu.rows import Rows, Settings
from posekit.benchmarking.machine import Speed
from posekit.benchmarking.networks import MeasuredPart, measure_network
from posekit.benchmarking.options import BenchOptions
from posekit.benchmarking.results import NetworkTimes
from posekit.build import build_network
from posekit.spec import DetectorSpec, OneStageSpec, PoseSpec, load_spec

__all__ = ["HEADER", "add_networks"]

HEADER = (
    *("network", "batch", "type", "engine", "median ms", "images/s", "TFLOP/s"),
    *("matrix product TFLOP/s", "share", "aim"),
)
ROUNDS = 5
# What is aimed at, of an H200.
SHARE = {f"vitpose-{size}_coco-256x192": 0.45 for size in "blh"}  # in bfloat16
IMAGES_PER_SECOND = {"rtmpose-m_body8-256x192": 15_000.0}  # in the best type


class Case(NamedTuple):
    """A network, images at once, and whether one type is enough."""

    model: str
    batch: int
    one_type: bool = False


FULL = tuple(
    Case(model, 64)
    for model in (
        *("rtmpose-m_body8-256x192", "rtmo-s_body7-640x640", "rtmdet-m_person-640"),
        *("vitpose-b_coco-256x192", "vitpose-l_coco-256x192", "vitpose-h_coco-256x192"),
    )
)
FAST = (
    Case("rtmpose-n_drawn-192x128", 8),
    Case("rtmdet-nano_drawn-256", 2, one_type=True),
    Case("rtmo-t_body7-416x416", 1, one_type=True),
    Case("vitpose-h_coco-256x192", 1, one_type=True),
)


def add_networks(settings: Settings, rows: Rows) -> None:
    """Rows for each network, type and engine; the matrix rate is measured beside each type."""
    device = torch.device(settings.device)
    rates = {name: matmul_rate(device, name)[0] for name in settings.types}
    for case in FAST if settings.fast else FULL:
        rows.attempt(case.model, lambda case=case: _add_case(case, rates, settings, rows))  # type: ignore[misc]


def _add_case(case: Case, rates: dict[str, float], settings: Settings, rows: Rows) -> None:
    spec = load_spec(case.model)
    assert isinstance(spec, PoseSpec | OneStageSpec | DetectorSpec)
    torch.manual_seed(0)
    # Made on the device: random numbers for a huge network take a processor half a minute.
    net = build_network(spec.net, device=settings.device).eval().requires_grad_(False)
    for name in settings.types[:1] if case.one_type else settings.types:
        rows.attempt(
            case.model,
            lambda name=name: _add_type(case, spec, net, name, rates[name], settings, rows),  # type: ignore[misc]
        )


def _add_type(
    case: Case,
    spec: PoseSpec | OneStageSpec | DetectorSpec,
    net: nn.Module,
    name: str,
    rate: float,
    settings: Settings,
    rows: Rows,
) -> None:
    dtype = torch_type(name)
    options = BenchOptions(
        backends=["torch"], direct=False, rounds=1 if settings.fast else ROUNDS, dtype=str(dtype)
    )
    with tempfile.TemporaryDirectory() as folder, as_type(name):
        part = MeasuredPart(spec, copy.deepcopy(net).to(dtype), [case.batch], Path(folder))
        speed = Speed(torch.device(settings.device), dtype, options.rounds)
        (table,) = measure_network(part, options, speed)
    for engine, taken in table.milliseconds.items():
        _add_engine(table, name, engine, statistics.median(taken), rate, rows)
    for engine, reason in table.failed.items():
        rows.add(case.model, str(case.batch), name, engine, failed=reason)


def _add_engine(
    table: NetworkTimes, name: str, engine: str, median: float, rate: float, rows: Rows
) -> None:
    images = 1e3 * table.batch / median
    reached = table.gflop / median  # 1e9 per ms are 1e12 per s
    aim = ""
    if engine == "backend=torch" and table.model in SHARE and name == "bfloat16":
        wanted = SHARE[table.model]
        aim = f"{wanted:.0%}: {'reached' if reached / rate >= wanted else 'missed'}"
    if engine == "backend=torch" and table.model in IMAGES_PER_SECOND and name != "float32":
        least = IMAGES_PER_SECOND[table.model]
        aim = f"{least:.0f} images/s: {'reached' if images >= least else 'missed'}"
    rows.add(
        table.model, str(table.batch), name, engine, f"{median:.2f}", f"{images:.0f}",
        f"{reached:.3g}", f"{rate:.3g}", f"{reached / rate:.0%}", aim,
    )  # fmt: skip
