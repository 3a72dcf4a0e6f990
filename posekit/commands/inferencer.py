"""`posekit-inferencer`: the flags of MMPose's demo/inferencer_demo.py, as `posekit predict`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from posekit import cli
from posekit.apis import check_applies, check_dimension, detector_categories, without_defaults
from posekit.commands.key_help import plain
from posekit.drawing.window import check_display
from posekit.errors import InputError, PosekitError
from posekit.io import is_webcam
from posekit.loading import LoadOptions
from posekit.mmpose.arguments import ARGUMENTS
from posekit.options import PredictOptions
from posekit.weights.hub import naming_weights

__all__ = ["add_flags", "add_options", "command_parser", "join_flags", "main", "override", "parse"]

TRUTH = dict.fromkeys(("true", "t", "yes", "y", "1"), True)
TRUTH |= dict.fromkeys(("false", "f", "no", "n", "0"), False)
FLAGS = (
    ("--show-progress", "accepted: on a terminal there always is a progress bar"),
    ("--show-alias", "list the aliases and stop"),
)
# The arguments of the drop-in that a command line can have, and their keys of `posekit predict`.
OPTIONS = {
    f"--{name.replace('_', '-')}": name
    for name, option in PredictOptions.declared().items()
    if name in ARGUMENTS and not (option.about.python or option.free)
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = command_parser()
    arguments = parse(parser, argv)
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


def add_options(parser: argparse.ArgumentParser, options: Mapping[str, str]) -> None:
    """Options of `posekit predict`, as they are declared.

    Args:
        options: the name of each by its flag.
    """
    known = {**PredictOptions.declared(), **LoadOptions.declared()}
    for flag, name in options.items():
        option = known[name]
        default = "" if option.default is None else f" Default: {str(option.default).lower()}."
        text = f"{plain(option.text())}{default}".replace("%", "%%")
        if bool in option.kinds:
            parser.add_argument(
                flag, dest=name, type=_truth, metavar="BOOL", default=None, help=text
            )
        elif option.choices and not option.kinds:
            parser.add_argument(flag, dest=name, choices=option.choices, help=text)
        else:
            numbers = () if option.choices else (int, float)
            kind = next((kind for kind in numbers if kind in option.kinds), str)
            metavar = flag.strip("-").replace("-", "_").upper()
            parser.add_argument(flag, dest=name, type=kind, metavar=metavar, help=text)


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of a command with such flags."""
    flags = [
        f for action in parser._actions if action.type is _truth for f in action.option_strings
    ]
    return parser.parse_args(join_flags(sys.argv[1:] if argv is None else argv, flags))


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
    options = {name: getattr(arguments, name) for name in OPTIONS.values()}
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
        "speed": "accurate",
        "empty": None if one_stage else "whole_image",
        "lift_window": 1 if isinstance(spec, LifterSpec) else None,
        **given,
    }
    return [override(key, value) for key, value in values.items() if value is not None]


def _truth(text: str) -> bool:
    if text.lower() not in TRUTH:
        raise argparse.ArgumentTypeError(f"expected true or false, found '{text}'")
    return TRUTH[text.lower()]


def command_parser() -> argparse.ArgumentParser:
    """Its arguments."""
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
    add_options(parser, {"--device": "device"})
    add_options(parser, OPTIONS)
    add_flags(parser, FLAGS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
