"""An evaluation's result: a table for people, JSON for programs. Imports no torch."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posekit.files import write_whole
from posekit.table import format_table

__all__ = ["EvaluateResult"]


@dataclass(frozen=True, eq=False)
class EvaluateResult:
    """The metrics of an evaluation, and its settings.

    Attributes:
        metrics: values by name; NaN if there is nothing to measure.
        published: published figures for this model and data set, by the same names.
        settings: the settings that the metrics depend on, by name.
        predictions: the COCO results that were measured; empty unless asked for.
    """

    metrics: dict[str, float]
    published: dict[str, float]
    settings: dict[str, Any]
    predictions: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def __str__(self) -> str:
        lines = [f"{name}: {_setting(value)}" for name, value in self.settings.items()]
        rows = [
            (name, _figure(value), f"{self.published[name]:g}" if name in self.published else "")
            for name, value in self.metrics.items()
        ]
        return "\n".join([*lines, "", format_table(("metric", "value", "published"), rows)])

    def to_json(self) -> str:
        """`metrics`, `published` and `settings`; NaN becomes null."""
        metrics = {name: None if math.isnan(v) else v for name, v in self.metrics.items()}
        report = {"metrics": metrics, "published": self.published, "settings": self.settings}
        return json.dumps(report, indent=2)

    def write(
        self,
        out: str | os.PathLike[str] | None = None,
        predictions: str | os.PathLike[str] | None = None,
    ) -> None:
        """Writes files, each whole or not at all.

        Args:
            out: file for `to_json`; None for none.
            predictions: file for the predictions; None for none.

        Raises:
            OutputError: a file cannot be written.
        """
        if predictions is not None:
            write_whole(Path(predictions), f"{json.dumps(self.predictions)}\n".encode())
        if out is not None:
            write_whole(Path(out), f"{self.to_json()}\n".encode())


def _setting(value: Any) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _figure(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"
