"""Figures of plotly, as plain values: lines of angles and heights, and a view in 3D."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from posekit.app.findings import Findings, Person, is_joint, shown_angle
from posekit.packages import need

__all__ = ["figures", "plotly_script"]

# Shown at first; the others at a click on their names.
HEIGHTS_SHOWN = ("nose", "head", "left_wrist", "right_wrist", "left_ankle", "right_ankle")
# Apart for nearly everybody (Okabe and Ito, 2008); read on light and dark ground.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DIGITS = 4


def plotly_script() -> str:
    """The library that draws the figures in the browser.

    Raises:
        InputError: it is not installed.
    """
    script: str = need("plotly.offline", "posekit[web]", "app").get_plotlyjs()
    return script


def figures(found: Findings) -> dict[str, Any]:
    """What the page draws.

    Returns:
        "angles" and "heights": a figure for each person; "space": one figure with a frame for each
        time, of results in 3D. Figures without data are empty.
    """
    people = [person for person in found.people.values() if person.times]
    joints = [name for name in found.angle_names if is_joint(name)]
    return {
        "angles": [_angles(person, found, joints) for person in people] if joints else [],
        "heights": [_heights(person, found) for person in people],
        "space": _space(found) if found.poses else None,
    }


def to_json(values: Any) -> bytes:
    """JSON, in which unknown numbers are null."""
    return json.dumps(values, separators=(",", ":"), allow_nan=False).encode()


def _angles(person: Person, found: Findings, joints: Sequence[str]) -> dict[str, Any]:
    values = np.array(person.angles)
    lines = [
        _line(person.times, values[:, found.angle_names.index(name)], shown_angle(name), number)
        for number, name in enumerate(joints)
    ]
    return _figure(person.name, lines, "degrees", found)


def _heights(person: Person, found: Findings) -> dict[str, Any]:
    values, names = np.array(person.heights), found.skeleton.names
    at_first = [name for name in HEIGHTS_SHOWN if name in names] or list(names[:4])
    lines = []
    for number, name in enumerate(names[:40]):
        shown = name in at_first
        colour = at_first.index(name) if shown else number
        lines.append(
            _line(person.times, values[:, number], name.replace("_", " "), colour, shown=shown)
        )
    # Those that are shown have the first places in the legend.
    lines.sort(key=lambda line: line["visible"] is not True)
    unit = "pixels above the lower edge"
    if found.unit != "pixels":
        unit = "the height (z) of the model"
    return _figure(person.name, lines, unit, found)


def _line(
    times: Sequence[float], values: np.ndarray, name: str, number: int, *, shown: bool = True
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines" if len(times) > 1 else "markers",
        "name": name,
        "x": [round(time, DIGITS) for time in times],
        "y": _plain(values),
        "line": {
            "color": COLOURS[number % len(COLOURS)],
            "width": 2,
            "dash": ("solid", "dot", "dash")[number // len(COLOURS) % 3],
        },
        "visible": True if shown else "legendonly",
    }


def _figure(title: str, lines: list[dict[str, Any]], unit: str, found: Findings) -> dict[str, Any]:
    below = {"ticksuffix": " s"} if found.timed else {}
    return {"title": title, "unit": unit, "data": lines, "layout": {"xaxis": below, "yaxis": {}}}


def _space(found: Findings) -> dict[str, Any]:
    """Points and links of everybody at each time, and the sides of the box around all of them."""
    everything = [points for _, people in found.poses for _, points in people]
    if not everything:
        return {}
    points = np.concatenate(everything)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return {}
    middle, reach = (
        (points.max(0) + points.min(0)) / 2,
        max(1e-6, float(np.ptp(points, axis=0).max())),
    )
    sides = [[round(float(m - 0.55 * reach), 5), round(float(m + 0.55 * reach), 5)] for m in middle]
    return {
        "links": [list(link) for link in found.skeleton.links],
        "colours": list(COLOURS),
        "sides": sides,
        "unit": found.unit,
        "times": [round(time, DIGITS) for time, _ in found.poses],
        "frames": [
            [{"name": name, "points": [_plain(axis) for axis in place.T]} for name, place in people]
            for _, people in found.poses
        ],
    }


def _plain(values: np.ndarray) -> list[float | None]:
    return [None if not np.isfinite(value) else round(float(value), DIGITS) for value in values]
