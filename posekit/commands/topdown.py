"""`posekit-topdown`: the flags of MMPose's topdown_demo_with_mmdet.py, as `posekit predict`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np

from posekit import cli
from posekit.apis import check_dimension
from posekit.commands.inferencer import add_flags, add_options, override, parse
from posekit.commands.predict import SCRATCH
from posekit.drawing.window import check_display
from posekit.errors import InputError, OutputError, PosekitError
from posekit.io import is_webcam
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
        with ExitStack() as opened:
            opened.enter_context(naming_weights(KEYS))
            overrides = _overrides(arguments)
            if not arguments.save_predictions:
                return cli.main(["predict", *overrides])
            root = Path(arguments.output_root)
            folder = _scratch_folder(root)
            # After an interruption and an error too: what was done is there.
            opened.callback(_collect, folder, root, arguments.pose_config)
            return cli.main(["predict", *overrides, override("pred_out_dir", folder)])
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
        **{name: getattr(arguments, name) for name in OPTIONS.values()},
    }
    return [override(key, value) for key, value in values.items() if value is not None]


def _scratch_folder(root: Path) -> Path:
    """For predictions that get their form at the end; in the root, so that they can be moved."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=root, prefix=SCRATCH))
    except OSError as error:
        raise InputError(f"cannot make a folder in {root}: {error.strerror}") from None


def _collect(folder: Path, root: Path, pose_config: str) -> None:
    """`<name>.json` of posekit -> `results_<name>.json`, with MMPose's two keys around it."""
    spec, located = check_dimension(pose_config, three_d=False)
    skeleton = load_skeleton(spec.keypoints, search=located.search)
    meta = json.dumps(dataset_meta(skeleton), default=_plain)
    paths = sorted(folder.glob("*.json"))
    for path in paths:
        target, partial = root / f"results_{path.name}", path.with_suffix(".partial")
        try:
            with path.open("rb") as found, partial.open("wb") as wrapped:
                wrapped.write(f'{{"meta_info": {meta}, "instance_info": '.encode())
                shutil.copyfileobj(found, wrapped)
                wrapped.write(b"}\n")
            partial.replace(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OutputError(
                f"cannot write {target}: {error.strerror or error}; the predictions are in {folder}"
            ) from None
        path.unlink()
    with suppress(OSError):  # somebody looks into it
        folder.rmdir()
    if paths:
        print(f"predictions in {root}")


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
