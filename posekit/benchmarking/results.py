"""What was measured, as objects and as JSON. Light: no torch."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posekit.files import write_whole

__all__ = ["BenchResult", "NetworkTimes", "StageTimes"]


@dataclass(frozen=True)
class NetworkTimes:
    """Times of a network with each engine.

    Attributes:
        model: its name.
        batch: images at once.
        gflop: its operations, in 1e9.
        gflop_per_second: operations of a large matrix product here, in 1e9 per second.
        copied_gb_per_second: memory copied here, in 1e9 bytes per second.
        floor_ms: a lower bound of the network's time.
        milliseconds: the time of each round, by engine.
        failed: why an engine could not be measured, by its name.
    """

    model: str
    batch: int
    gflop: float
    gflop_per_second: float
    copied_gb_per_second: float
    floor_ms: float
    milliseconds: Mapping[str, list[float]]
    failed: Mapping[str, str]

    @property
    def medians(self) -> dict[str, float]:
        """Median milliseconds by engine."""
        return {name: statistics.median(taken) for name, taken in self.milliseconds.items()}

    @property
    def noise(self) -> dict[str, tuple[float, float]]:
        """By engine, the quartiles of its times divided by the best engine's of the same rounds.

        If 1 is between an engine's quartiles, the rounds do not show whether it is slower than the
        best.
        """
        medians = self.medians
        if not medians:
            return {}
        best = self.milliseconds[min(medians, key=medians.__getitem__)]
        return {name: _quartiles(taken, best) for name, taken in self.milliseconds.items()}

    def to_json(self) -> dict[str, Any]:
        """As in the file that `out` names."""
        return {
            "model": self.model,
            "batch": self.batch,
            "GFLOP": self.gflop,
            "GFLOP/s": self.gflop_per_second,
            "copied GB/s": self.copied_gb_per_second,
            "floor ms": self.floor_ms,
            "milliseconds": dict(self.milliseconds),
            "quartiles to best": {name: list(pair) for name, pair in self.noise.items()},
            "failed": dict(self.failed),
        }


def _quartiles(taken: Sequence[float], best: Sequence[float]) -> tuple[float, float]:
    ratios = [own / other for own, other in zip(taken, best, strict=True)]
    if len(ratios) == 1:
        return ratios[0], ratios[0]
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return low, high


@dataclass(frozen=True)
class StageTimes:
    """The stages of a frame with one engine.

    Attributes:
        backend: the engine.
        milliseconds: by stage.
        cpu_milliseconds: by stage, the thread's processor time; the threads of engines and of
            FFmpeg count only in `decode`.
    """

    backend: str
    milliseconds: Mapping[str, float]
    cpu_milliseconds: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """As in the file that `out` names."""
        return {
            "backend": self.backend,
            "milliseconds": dict(self.milliseconds),
            "cpu milliseconds": dict(self.cpu_milliseconds),
        }


@dataclass(frozen=True)
class BenchResult:
    """The measurements of a benchmark.

    Attributes:
        machine: the machine and versions that the figures depend on.
        networks: each network with each batch size.
        stages: the time of each stage of a frame, with each engine; empty for a detector alone.
        frame: what the stages were measured with; empty without stages.
    """

    machine: Mapping[str, str]
    networks: tuple[NetworkTimes, ...]
    stages: tuple[StageTimes, ...]
    frame: Mapping[str, Any]

    @property
    def failed(self) -> bool:
        """Whether an engine could not be measured."""
        return any(table.failed for table in self.networks)

    def to_json(self) -> dict[str, Any]:
        """As in the file that `out` names."""
        content: dict[str, Any] = {
            "machine": dict(self.machine),
            "networks": [table.to_json() for table in self.networks],
            "stages": [table.to_json() for table in self.stages],
        }
        return content | ({"frame": dict(self.frame)} if self.stages else {})

    def save(self, path: Path) -> None:
        """Writes it as JSON.

        Raises:
            OutputError: the file cannot be written.
        """
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n"
        write_whole(path, text.encode())
