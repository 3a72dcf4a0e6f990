"""`posekit-inferencer`: the flags of MMPose's demo/inferencer_demo.py, as `posekit predict`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from posekit import cli
from posekit.apis import check_applies, check_dimension, detector_categories, without_defaults
from posekit.drawing.window import check_display
from posekit.errors import InputError, PosekitError
from posekit.io import is_webcam
from posekit.weights.hub import naming_weights

__all__ = ["add_flags", "join_flags", "main", "override"]

TRUTH = dict.fromkeys(("true", "t", "yes", "y", "1"), True)
TRUTH |= dict.fromkeys(("false", "f", "no", "n", "0"), False)
FLAGS = (
    ("--show", "open a window with the drawings; a camera has one anyway"),
    ("--show-progress", "accepted: on a terminal there always is a progress bar"),
    ("--draw-bbox", "draw the boxes"),
    ("--draw-heatmap", "the heat maps below the drawing (2D)"),
    ("--black-background", "draw on black (2D)"),
    ("--pose-based-nms", "of instances whose keypoints lie on each other keep the best"),
    ("--use-oks-tracking", "track by the overlap of poses instead of boxes (3D)"),
    ("--disable-norm-pose-2d", "do not move people to the middle of the training data (3D)"),
    ("--disable-rebase-keypoint", "do not put the lowest keypoint at height 0 (3D)"),
    ("--show-alias", "list the aliases and stop"),
)
# Flags whose key of `posekit predict` has the same name.
SAME = (
    "show",
    "wait_time",
    "draw_bbox",
    "draw_heatmap",
    "black_background",
    "skeleton_style",
    "pose_based_nms",
    "use_oks_tracking",
    "tracking_thr",
    "disable_norm_pose_2d",
    "disable_rebase_keypoint",
    "num_instances",
    "bbox_thr",
    "nms_thr",
    "kpt_thr",
    "radius",
    "thickness",
    "batch_size",
    "out_dir",
    "vis_out_dir",
    "pred_out_dir",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = _parser()
    flags = [flag for flag, _ in FLAGS]
    arguments = parser.parse_args(join_flags(sys.argv[1:] if argv is None else argv, flags))
    if arguments.show_alias:
        return cli.main(["models", "--show-alias"])
    if arguments.inputs is None:
        parser.error("name an input: an image, a video, a folder, a URL or webcam")
    try:
        overrides = _overrides(arguments)
    except PosekitError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 1
    keys = {
        "weights=": "--pose2d-weights " if arguments.pose3d is None else "--pose3d-weights ",
        "pose2d_weights=": "--pose2d-weights ",
        "detector_weights=": "--det-weights ",
    }
    with naming_weights(keys):
        return cli.main(["predict", *overrides])


def add_flags(parser: argparse.ArgumentParser, flags: Sequence[tuple[str, str]]) -> None:
    """Flags that may be bare or have a value: `--show`, `--show=true`, `--show False`."""
    for flag, explanation in flags:
        parser.add_argument(flag, type=_truth, metavar="BOOL", default=None, help=explanation)


def join_flags(argv: Sequence[str], flags: Sequence[str]) -> list[str]:
    """Each flag with its value in one word, so that a bare one does not take the next argument."""
    joined: list[str] = []
    words = iter(range(len(argv)))
    for i in words:
        if argv[i] not in flags:
            joined.append(argv[i])
        elif i + 1 < len(argv) and argv[i + 1].lower() in TRUTH:
            joined.append(f"{argv[i]}={argv[i + 1]}")
            next(words)
        else:
            joined.append(f"{argv[i]}=true")
    return joined


def override(key: str, value: Any) -> str:
    """`key=value` as Hydra reads it."""
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, list | tuple):
        value = "[" + ",".join(map(str, value)) + "]"
    return f"{key}={value}"


def _overrides(arguments: argparse.Namespace) -> list[str]:
    from posekit.spec import LifterSpec, OneStageSpec  # which load torch

    three_d = arguments.pose3d is not None
    model = arguments.pose3d if three_d else arguments.pose2d
    if model is None:
        raise InputError("name a model: --pose2d human or --pose3d human3d; see --show-alias")
    if not three_d and arguments.pose3d_weights is not None:
        raise InputError("--pose3d-weights are given, but no --pose3d to load them into")
    spec, _ = check_dimension(model, three_d=three_d)
    options = {name: getattr(arguments, name) for name in SAME}
    given = without_defaults({k: value for k, value in options.items() if value is not None})
    check_applies(given, three_d=three_d)
    one_stage = isinstance(spec, OneStageSpec)
    if one_stage:  # the demo's own defaults of these; an explicit 0.3 is not among them
        own = {"bbox_thr": None, "nms_thr": None, "pose_based_nms": True}
        given |= {k: v if options[k] is None else options[k] for k, v in own.items()}
    if given.get("show", is_webcam(arguments.inputs)):
        check_display()  # before any weights are fetched
    categories = arguments.det_cat_ids
    if categories is None:
        categories = detector_categories(arguments.det_model)
    values = {
        "inputs": arguments.inputs,
        "model": model,
        "weights": arguments.pose3d_weights if three_d else arguments.pose2d_weights,
        "pose2d": arguments.pose2d if three_d else None,
        "pose2d_weights": arguments.pose2d_weights if three_d else None,
        "detector": arguments.det_model,
        "detector_weights": arguments.det_weights,
        "det_cat_ids": categories,
        "device": arguments.device,
        # As the reference does.
        "empty": None if one_stage else "whole_image",
        "lift_window": 1 if isinstance(spec, LifterSpec) else None,
        **given,
    }
    return [override(key, value) for key, value in values.items() if value is not None]


def _truth(text: str) -> bool:
    if text.lower() not in TRUTH:
        raise argparse.ArgumentTypeError(f"expected true or false, found '{text}'")
    return TRUTH[text.lower()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="posekit-inferencer",
        description="MMPose's inferencer_demo.py on posekit; `posekit predict` has more options.",
        allow_abbrev=False,
    )
    parser.add_argument("inputs", nargs="?", help="image, video, folder, URL, webcam or webcam:ID")
    model = "alias, name, official config name or path"
    weights = "file or URL; left out, the published ones"
    parser.add_argument("--pose2d", help=f"2D model: {model}")
    parser.add_argument("--pose2d-weights", help=weights)
    parser.add_argument("--pose3d", help=f"3D model: {model}")
    parser.add_argument("--pose3d-weights", help=weights)
    parser.add_argument("--det-model", help=f"detector: {model}, or whole_image")
    parser.add_argument("--det-weights", help=weights)
    parser.add_argument("--det-cat-ids", type=int, nargs="+", help="the detector's classes to take")
    parser.add_argument("--scope", help="accepted and ignored")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; left out, the best there is")
    parser.add_argument("--bbox-thr", type=float, help="least score of a box (0.3)")
    parser.add_argument("--nms-thr", type=float, help="most IoU of two boxes (0.3)")
    parser.add_argument("--kpt-thr", type=float, help="least score of a keypoint drawn (0.3)")
    parser.add_argument("--tracking-thr", type=float, help="least similarity to a track (0.3) (3D)")
    parser.add_argument("--num-instances", type=int, help="3D plots (1); -1 draws everybody")
    parser.add_argument("--radius", type=int, help="of a keypoint's dot, in pixels (3)")
    parser.add_argument("--thickness", type=int, help="of a link's line, in pixels (1)")
    parser.add_argument("--skeleton-style", choices=("mmpose", "openpose"), help="(2D)")
    parser.add_argument("--wait-time", type=float, help="seconds an image is shown (0: a key)")
    parser.add_argument("--batch-size", type=int, help="images that are detected at once (1)")
    parser.add_argument("--out-dir", help="gets visualization/ and predictions/")
    parser.add_argument("--vis-out-dir", help="folder of the drawings, or the file of the only one")
    parser.add_argument("--pred-out-dir", help="folder of the predictions, as JSON")
    add_flags(parser, FLAGS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
