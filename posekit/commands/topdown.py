"""`posekit-topdown`: the flags of MMPose's topdown_demo_with_mmdet.py, as `posekit predict`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posekit import cli
from posekit.apis import check_dimension
from posekit.commands.inferencer import add_flags, join_flags, override
from posekit.commands.predict import predict
from posekit.drawing.window import check_display
from posekit.errors import InputError, PosekitError
from posekit.io import Clip, is_webcam
from posekit.io.sinks import Sink
from posekit.io.sinks.json import JsonSink
from posekit.mmpose.visualizer import dataset_meta
from posekit.skeleton import load_skeleton
from posekit.weights.hub import naming_weights

__all__ = ["main"]

KEYS = {"weights=": "pose_weights ", "detector_weights=": "det_weights "}
FLAGS = (
    ("--show", "open a window with the drawings"),
    ("--save-predictions", "write OUTPUT_ROOT/results_<name>.json"),
    ("--draw-heatmap", "the heat maps below the drawing"),
    ("--draw-bbox", "draw the boxes"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = _parser()
    flags = [flag for flag, _ in FLAGS]
    arguments = parser.parse_args(join_flags(sys.argv[1:] if argv is None else argv, flags))
    try:
        overrides = _overrides(arguments)
        written_as = None
        if arguments.save_predictions:
            overrides.append(override("pred_out_dir", arguments.output_root))
            written_as = _DemoFormat(arguments.pose_config)
        with naming_weights(KEYS):
            return cli.report_errors(lambda: predict(overrides, pred_format=written_as))
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
        "empty": "whole_image",  # as the reference does
        "bbox_thr": arguments.bbox_thr,
        "nms_thr": arguments.nms_thr,
        "kpt_thr": arguments.kpt_thr,
        "radius": arguments.radius,
        "thickness": arguments.thickness,
        "skeleton_style": arguments.skeleton_style,
        "show": arguments.show,
        "wait_time": arguments.show_interval,
        "draw_heatmap": arguments.draw_heatmap,
        "draw_bbox": arguments.draw_bbox,
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

    def open_sink(self, path: Path, clip: Clip | None) -> Sink:
        return JsonSink(path, clip, before=self._before, after=b"}\n")


def _plain(value: Any) -> Any:
    assert isinstance(value, np.ndarray)
    return value.tolist()


def _parser() -> argparse.ArgumentParser:
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
    parser.add_argument("--device", help="cpu, cuda:1, ...; left out, the best there is")
    parser.add_argument("--det-cat-id", type=int, help="the detector's class to take")
    parser.add_argument("--bbox-thr", type=float, help="least score of a box (0.3)")
    parser.add_argument("--nms-thr", type=float, help="most IoU of two boxes (0.3)")
    parser.add_argument("--kpt-thr", type=float, help="least score of a keypoint drawn (0.3)")
    parser.add_argument("--radius", type=int, help="of a keypoint's dot, in pixels (3)")
    parser.add_argument("--thickness", type=int, help="of a link's line, in pixels (1)")
    parser.add_argument("--skeleton-style", choices=("mmpose", "openpose"))
    parser.add_argument("--show-interval", type=float, help="seconds an image is shown (0: a key)")
    add_flags(parser, FLAGS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
