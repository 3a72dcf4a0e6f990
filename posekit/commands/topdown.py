"""`posekit-topdown`: the flags of MMPose's topdown_demo_with_mmdet.py, as `posekit predict`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posekit.apis import check_dimension
from posekit.commands.inferencer import add_flags, add_options, override, parse
from posekit.commands.predict import predict
from posekit.commands.reporting import report_errors
from posekit.drawing.window import check_display
from posekit.errors import InputError, PosekitError
from posekit.io import Clip, is_webcam
from posekit.io.sinks import Run, Sink
from posekit.io.sinks.json import JsonSink
from posekit.mmpose.visualizer import dataset_meta
from posekit.skeleton import load_skeleton
from posekit.weights.hub import naming_weights

__all__ = ["command_parser", "main"]

KEYS = {"weights=": "pose_weights ", "detector_weights=": "det_weights "}
FLAGS = (("--save-predictions", "write OUTPUT_ROOT/results_<name>.json"),)
# The keys of `posekit predict` by the demo's names.
OPTIONS = {
    "--bbox-thr": "bbox_thr",
    "--nms-thr": "nms_thr",
    "--kpt-thr": "kpt_thr",
    "--radius": "radius",
    "--thickness": "thickness",
    "--skeleton-style": "skeleton_style",
    "--show": "show",
    "--show-interval": "wait_time",
    "--draw-heatmap": "draw_heatmap",
    "--draw-bbox": "draw_bbox",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = command_parser()
    arguments = parse(parser, argv)
    try:
        overrides = _overrides(arguments)
        written_as = None
        if arguments.save_predictions:
            overrides.append(override("pred_out_dir", arguments.output_root))
            written_as = _DemoFormat(arguments.pose_config)
        with naming_weights(KEYS):
            return report_errors(lambda: predict(overrides, pred_format=written_as))
    except PosekitError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 1


def _overrides(arguments: argparse.Namespace) -> list[str]:
    check_dimension(arguments.pose_config, three_d=False)
    if arguments.save_predictions and arguments.output_root is None:
        raise InputError("--save-predictions needs --output-root")
    if arguments.show or (arguments.show is None and is_webcam(arguments.input)):
        check_display()  # before any weights are fetched
    values = {
        "inputs": arguments.input,
        "model": arguments.pose_config,
        "weights": arguments.pose_weights,
        "detector": arguments.det_config,
        "detector_weights": arguments.det_weights,
        "det_cat_ids": None if arguments.det_cat_id is None else [arguments.det_cat_id],
        "device": arguments.device,
        "vis_out_dir": arguments.output_root,
        # As the reference does.
        "speed": "accurate",
        "empty": "whole_image",
        **{name: getattr(arguments, name) for name in OPTIONS.values()},
    }
    return [override(key, value) for key, value in values.items() if value is not None]


class _DemoFormat:
    """`results_<name>.json` as MMPose's demo writes it: predictions with its two keys around."""

    def __init__(self, pose_config: str) -> None:
        spec, located = check_dimension(pose_config, three_d=False)
        skeleton = load_skeleton(spec.keypoints, search=located.search)
        meta = json.dumps(dataset_meta(skeleton), default=_plain)
        self._before = f'{{"meta_info": {meta}, "instance_info": '.encode()

    def file_name(self, name: str, clip: Clip | None) -> str:
        return f"results_{Path(name).stem}.json"

    def open_sink(self, path: Path, clip: Clip | None, run: Run) -> Sink:
        return JsonSink(path, clip, before=self._before, after=b"}\n")


def _plain(value: Any) -> Any:
    assert isinstance(value, np.ndarray)
    return value.tolist()


def command_parser() -> argparse.ArgumentParser:
    """Its arguments."""
    parser = argparse.ArgumentParser(
        prog="posekit-topdown",
        description="MMPose's topdown_demo_with_mmdet.py on posekit.",
        allow_abbrev=False,
    )
    model = "alias, name, official config name or path"
    parser.add_argument("det_config", help=f"detector: {model}")
    parser.add_argument("det_weights", help="file or URL")
    parser.add_argument("pose_config", help=f"2D pose model: {model}")
    parser.add_argument("pose_weights", help="file or URL")
    parser.add_argument("--input", required=True, help="image, video, folder, URL or webcam")
    parser.add_argument("--output-root", help="folder of the drawings and predictions")
    add_options(parser, {"--device": "device"})
    parser.add_argument("--det-cat-id", type=int, help="the detector's class to take")
    add_options(parser, OPTIONS)
    add_flags(parser, FLAGS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
