"""Programs that take turns, so that other work of the machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from posekit.table import format_table

__all__ = ["by_turns", "print_comparison"]


def by_turns(measured: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each, after one call of each for warming up."""
    times: dict[str, list[float]] = {name: [] for name in measured}
    for number in range(rounds + 1):
        for name, function in measured.items():
            start = time.perf_counter()
            function()
            if number:
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def print_comparison(
    title: str,
    measured: Mapping[str, Callable[[], int]],
    *,
    base: str,
    images: int,
    rounds: int,
    unit: str = "frame",
) -> None:
    """A table of medians, each beside that of `base`, and of the people that each found.

    Args:
        title: above the table.
        measured: programs by name, which give how many people they found.
        base: the name of what all are compared with.
        images: that one call of a program sees.
        rounds: calls behind a median.
        unit: what an image is called.
    """
    people: dict[str, int] = {}

    def noted(name: str) -> Callable[[], object]:
        def call() -> None:
            people[name] = measured[name]()

        return call

    times = by_turns({name: noted(name) for name in measured}, rounds)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    rows = [
        (
            name,
            f"{median / images:.1f}",
            f"{1e3 * images / median:.2f}",
            f"{medians[base] / median:.2f}",
            f"{min(times[name]) / images:.1f} to {max(times[name]) / images:.1f}",
            f"{people[name] / images:.1f}",
        )
        for name, median in medians.items()
    ]
    header = (
        *("", f"median ms a {unit}", f"{unit}s/s", f"to {base}"),
        *("least to most ms", f"people a {unit}"),
    )
    print(f"\n{title}; {images} {unit}s, {rounds} rounds")
    print(format_table(header, rows), flush=True)
