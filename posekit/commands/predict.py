"""`posekit predict`: images in, a table, JSON and drawings out."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from posekit.commands.table import format_table
from posekit.compose import compose_command
from posekit.errors import InputError
from posekit.media import ImageSource, iter_sources
from posekit.options import PredictOptions

__all__ = ["predict"]

MAX_TABLE_ROWS = 40


def predict(overrides: Sequence[str], *, config_dir: Path | None = None, show: bool = False) -> int:
    """Runs the command.

    Args:
        overrides: `key=value` each.
        config_dir: a folder with configurations of the user's own.
        show: print the composed configuration and stop.

    Returns:
        The exit status: 1 where an input could not be used.
    """
    if show:
        overrides = [*overrides, *([] if _names(overrides, "inputs") else ["inputs=null"])]
    config = compose_command("predict", overrides, config_dir=config_dir)
    if show:
        print(yaml.safe_dump(config, sort_keys=False, default_flow_style=None), end="")
        return 0
    options = _options(config)
    # Everything that can be wrong without a network is checked before torch is imported.
    PredictOptions.from_keywords(options)
    sources = list(iter_sources(config["inputs"]))
    if not sources:
        raise InputError("inputs is empty: name an image or a folder")
    failures: dict[str, InputError] = {}
    if config["on_error"] == "skip":
        options["on_error"] = failures.__setitem__
    search = [] if config_dir is None else [config_dir.resolve()]
    rows = _run(config, sources, options, failures, search)
    _report(rows, failures, options)
    return 1 if failures else 0


def _names(overrides: Sequence[str], key: str) -> bool:
    return any(override.startswith(f"{key}=") for override in overrides)


def _options(config: dict[str, Any]) -> dict[str, Any]:
    """The predictor's options among the command's keys."""
    fields = {field.name for field in dataclasses.fields(PredictOptions)}
    return {key: value for key, value in config.items() if key in fields}


def _run(
    config: dict[str, Any],
    sources: list[ImageSource],
    options: dict[str, Any],
    failures: dict[str, InputError],
    search: Sequence[Path],
) -> list[tuple[str, ...]]:
    """A row of the table per image."""
    from posekit.predictor import Predictor

    names = config["names"]
    predictor = Predictor.from_config(
        names["model"],
        config["model"],
        weights=config["weights"],
        detector=names["detector"],
        detector_config=config.get("detector"),
        detector_weights=config["detector_weights"],
        lazy_detector=config["bboxes"] is not None,
        device=config["device"],
        dtype=config["dtype"],
        search=search,
    )
    rows: list[tuple[str, ...]] = []
    with tqdm(total=len(sources), unit="image", file=sys.stderr, disable=None) as bar:
        for result in predictor.stream(sources, **options):
            width, height = result.image_size
            score = f"{result.keypoint_scores.mean():.2f}" if len(result) else ""
            rows.append((result.name, f"{width}x{height}", str(len(result)), score))
            bar.update(len(rows) + len(failures) - bar.n)
    return rows


def _report(
    rows: list[tuple[str, ...]], failures: dict[str, InputError], options: dict[str, Any]
) -> None:
    if rows:
        header = ("image", "size", "instances", "mean keypoint score")
        print(format_table(header, rows[:MAX_TABLE_ROWS]))
        if len(rows) > MAX_TABLE_ROWS:
            print(f"... and {len(rows) - MAX_TABLE_ROWS} more")
        total = sum(int(row[2]) for row in rows)
        print(f"{total} instances in {len(rows)} images")
    chosen = PredictOptions.from_keywords(options)
    for what, folder in (
        ("predictions", chosen.predictions_dir),
        ("drawings", chosen.visualization_dir),
    ):
        if rows and folder is not None:
            print(f"{what} in {folder}")
    for error in failures.values():
        print(f"posekit: skipped: {error}", file=sys.stderr)
