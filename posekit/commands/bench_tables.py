"""What `posekit bench` prints, each table as soon as it is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from posekit.benchmarking.results import NetworkTimes, StageTimes
from posekit.table import format_table

__all__ = ["Printer"]


@dataclass(frozen=True)
class Printer:
    """Prints what it is called with.

    Attributes:
        people: number of people per frame, for the title of the table of stages.
        flip_test: likewise.
    """

    people: int
    flip_test: bool

    def __call__(self, found: Mapping[str, str] | NetworkTimes | StageTimes) -> None:
        if isinstance(found, NetworkTimes):
            _print_network(found)
        elif isinstance(found, StageTimes):
            self._print_stages(found)
        else:
            print("; ".join(f"{key}: {value}" for key, value in found.items()))

    def _print_stages(self, table: StageTimes) -> None:
        flip = "with" if self.flip_test else "no"
        print(f"\nA frame with {self.people} people, backend={table.backend}, {flip} flip test")
        rows = [
            (stage, f"{value:.1f}", f"{table.cpu_milliseconds[stage]:.1f}")
            for stage, value in table.milliseconds.items()
        ]
        print(format_table(("stage", "ms", "CPU ms"), rows), flush=True)


def _print_network(table: NetworkTimes) -> None:
    medians, noise = table.medians, table.noise
    best = min(medians.values(), default=0.0)
    rows: list[tuple[str, ...]] = [
        (
            name,
            f"{medians[name]:.1f}",
            f"{float(np.percentile(taken, 95)):.1f}",
            f"{1e3 * table.batch / medians[name]:.1f}",
            f"{medians[name] / best:.2f}",
            "{:.2f}-{:.2f}".format(*noise[name]),
            f"{medians[name] / table.floor_ms:.2f}",
        )
        for name, taken in table.milliseconds.items()
    ]
    rows += [(name, "failed", *[""] * 5) for name in table.failed]
    print(
        f"\n{table.model}, batch {table.batch}: {table.gflop:.1f} GFLOP, floor "
        f"{table.floor_ms:.1f} ms at {table.gflop_per_second:.0f} GFLOP/s and "
        f"{table.copied_gb_per_second:.0f} GB/s"
    )
    header = ("engine", "median ms", "p95 ms", "images/s", "to best", "quartiles", "to floor")
    print(format_table(header, rows))
    for name, reason in table.failed.items():
        print(f"{name} failed: {reason}")
    print(end="", flush=True)
