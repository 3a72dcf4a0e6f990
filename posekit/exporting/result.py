"""What an export did."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Difference", "ExportResult", "in_pixels"]


@dataclass(frozen=True)
class Difference:
    """How far a file's points are from the network's own.

    Points are keypoints, or the corners of boxes. Distances are in pixels of the network's input,
    for a lifter of 4 mm each, rounded to three digits; None is infinity: a box in an image where
    the other side has none.

    Attributes:
        crops: how many were compared; for a detector, whole images; for a lifter, sequences.
        points: how many there were in them.
        maximum_px: the largest distance.
        mean_px: the mean distance.
        percentile_99_px: the 99th percentile of the distances.
        maximum_score_difference: the largest difference of the points' scores.
    """

    crops: int
    points: int
    maximum_px: float | None
    mean_px: float | None
    percentile_99_px: float | None
    maximum_score_difference: float | None


@dataclass(frozen=True)
class ExportResult:
    """The result of an export.

    Attributes:
        path: the exported file.
        paths: all files written: this one, those that belong to it, and the report.
        description: what a program needs to know to run the file; also stored in the file.
        inputs: the images whose crops file and network were compared on.
        boxes: where the boxes of the crops come from; None for a detector or a lifter.
        calibrated_on: the crops that value ranges were measured on; None without `quantize`.
        difference: how much file and network differ.
        tolerance_px: how much they may differ, in pixels; None with `quantize`.
    """

    path: Path
    paths: tuple[Path, ...]
    description: Mapping[str, Any]
    inputs: str
    boxes: str | None
    calibrated_on: int | None
    difference: Difference
    tolerance_px: float | None

    def __str__(self) -> str:
        found = self.difference
        what = "sequences" if "codec" in self.description else "crops"
        of = "" if self.boxes is None else f", boxes of {self.boxes}"
        return (
            f"{self.path}: largest difference {in_pixels(found.maximum_px)}, mean "
            f"{in_pixels(found.mean_px)}, on {found.crops} {what} of {self.inputs}{of}"
        )

    def to_report(self) -> dict[str, Any]:
        """What `<file>.json` holds: plain values."""
        return {
            "file": self.path.name,
            **self.description,
            "inputs": self.inputs,
            "boxes": self.boxes,
            "calibrated_on": self.calibrated_on,
            **dataclasses.asdict(self.difference),
            "tolerance_px": self.tolerance_px,
        }


def in_pixels(distance: float | None) -> str:
    """A distance of `Difference`, in words."""
    return "a whole box" if distance is None else f"{distance:g} px"
