"""`posekit predict`: images in, a table, JSON and drawings out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from posekit.commands.option_texts import path_keys
from posekit.compose import compose_command, read_specs
from posekit.config import PACKAGED
from posekit.drawing.window import check_display
from posekit.errors import InputError
from posekit.io import Inputs
from posekit.io.sinks import Format
from posekit.loading import SpeedOptions
from posekit.options import PredictOptions
from posekit.result import PoseResult
from posekit.table import format_table

__all__ = ["predict"]

MAX_TABLE_ROWS = 40


def predict(
    overrides: Sequence[str],
    *,
    config_dir: Path | None = None,
    config_name: str | None = None,
    pred_format: Format | None = None,
) -> int:
    """Runs the command.

    Args:
        overrides: `key=value` each.
        config_dir: a folder with configurations of the user's own.
        config_name: a configuration to use instead of the command's.
        pred_format: another format of predictions than the configuration's.

    Returns:
        The exit status: 1 if an input could not be used.
    """
    config = compose_command(
        "predict",
        overrides,
        config_dir=config_dir,
        config_name=config_name,
        paths=path_keys("predict"),
    )
    SpeedOptions.from_config(config)
    _check_flip_test(overrides, config)
    options = _options(config)
    if pred_format is not None:
        options["pred_format"] = pred_format
    # Everything that can be wrong without a network is checked before torch is imported.
    chosen = PredictOptions.from_keywords(options)
    if config["inputs"] is None:
        config["inputs"] = str(_sample(config))
    elif not config["inputs"]:
        raise InputError("inputs is empty: name an image, a video or a folder, inputs=FILE")
    inputs = Inputs.of(config["inputs"], recursive=config["recursive"], include=config["include"])
    if inputs.is_camera if chosen.show is None else chosen.show:
        check_display()
    if config["on_error"] == "raise" or isinstance(config["inputs"], str):
        inputs.check()
    chosen.check_inputs(inputs)
    config["inputs"] = inputs
    failures: dict[str, InputError] = {}
    if config["on_error"] == "skip":
        options["on_error"] = failures.__setitem__
    rows: dict[tuple[str, str | int | None], _Row] = {}
    try:
        _run(config, options, rows, inputs.count())
    finally:
        # After an interruption and an error too: what was done is there.
        _report(list(rows.values()), failures, options)
    return 1 if failures else 0


@dataclass
class _Row:
    """What the table says of an image or a video."""

    name: str
    size: str
    frames: int = 0
    instances: int = 0
    score: float = 0.0

    def add(self, result: PoseResult) -> None:
        self.frames += 1
        self.instances += len(result)
        if len(result):
            self.score += float(result.keypoint_scores.mean(axis=1).sum())

    def cells(self) -> tuple[str, ...]:
        score = f"{self.score / self.instances:.2f}" if self.instances else ""
        return (self.name, self.size, str(self.frames), str(self.instances), score)


def _sample(config: dict[str, Any]) -> Path:
    """The packaged picture that a model is shown on where no input is named."""
    if config["model"].get("sample"):
        spec = read_specs(config).model
        if spec is not None and spec.sample is not None:
            return PACKAGED / spec.sample
    raise InputError("inputs is missing: name an image, a video or a folder, inputs=FILE")


def _options(config: dict[str, Any]) -> dict[str, Any]:
    """The predictor's options among the command's keys."""
    return {key: value for key, value in config.items() if key in PredictOptions.declared()}


def _run(
    config: dict[str, Any],
    options: dict[str, Any],
    rows: dict[tuple[str, str | int | None], _Row],
    total: int | None,
) -> None:
    """Fills in a row of the table per image and per video."""
    from posekit.parts import composed_parts
    from posekit.predictor import Predictor

    parts = composed_parts(config)
    PredictOptions.from_keywords(options).check_parts(parts)
    predictor = Predictor.from_parts(
        parts,
        lazy_detector=config["bboxes"] is not None,
        speed=config["speed"],
        device=config["device"],
        dtype=config["dtype"],
        backend=config["backend"],
    )
    with tqdm(total=total, unit="frame", file=sys.stderr, disable=None) as bar:
        for result in predictor.stream(config["inputs"], **options):
            width, height = result.image_size
            key = (result.name, result.source if result.frame_id is not None else result.index)
            rows.setdefault(key, _Row(result.name, f"{width}x{height}")).add(result)
            bar.update()


def _check_flip_test(overrides: Sequence[str], config: dict[str, Any]) -> None:
    """Refuses a typed `model.flip_test=true` that the speed makes nothing of."""
    if config["flip_test"] is not None or config["speed"] == "accurate":
        return
    for group in ("model", "lifter"):
        key = f"{group}.flip_test"
        typed = any(word.lstrip("+").partition("=")[0] == key for word in overrides)
        if typed and config[group]["flip_test"]:
            raise InputError(
                f"{key}=true has no effect with speed={config['speed']}: set flip_test=true, "
                "or speed=accurate for the flip test of the configuration"
            )


def _report(rows: list[_Row], failures: dict[str, InputError], options: dict[str, Any]) -> None:
    if rows:
        header = ("input", "size", "frames", "instances", "mean keypoint score")
        print(format_table(header, [row.cells() for row in rows[:MAX_TABLE_ROWS]]))
        if len(rows) > MAX_TABLE_ROWS:
            print(f"... and {len(rows) - MAX_TABLE_ROWS} more")
        instances, frames = sum(row.instances for row in rows), sum(row.frames for row in rows)
        print(f"{instances} instances in {frames} images")
    chosen = PredictOptions.from_keywords(options)
    for what, folder in (
        ("predictions", chosen.predictions_dir),
        ("drawings", chosen.visualization_dir),
        ("crops", chosen.save_crops),
    ):
        if rows and folder is not None:
            print(f"{what} in {folder}")
    for error in failures.values():
        print(f"posekit: skipped: {error}", file=sys.stderr)
