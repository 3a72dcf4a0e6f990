"""`python -m weights_convert SRC --model NAME -o OUT`: a foreign checkpoint -> safetensors."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from posekit.config import resolve_name
from posekit.errors import PosekitError
from posekit.files import check_working_folder

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        check_working_folder()
        model = resolve_name(arguments.model)
        output = Path(arguments.output)
        if output.is_dir() or arguments.output.endswith(("/", os.sep)):
            output = output / f"{model}.safetensors"
        print(f"{output}: {_convert(arguments.source, model, output)}")
    except (PosekitError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m weights_convert",
        description="Convert a checkpoint, also of another program, to posekit's safetensors. "
        "Nothing that the file contains is run.",
    )
    parser.add_argument(
        "source",
        type=Path,
        help="a file (.pth, .pt, .bin, .safetensors, .onnx), or a folder with one",
    )
    parser.add_argument(
        "--model",
        required=True,
        metavar="NAME",
        help="what the weights are for: see `posekit models`",
    )
    parser.add_argument(
        "-o", "--output", default=".", help="file or folder to write to (default: NAME.safetensors)"
    )
    return parser


def _convert(source: Path, model: str, output: Path) -> str:
    # Imported late, because PyTorch comes with them: `--help` stays fast.
    from safetensors import safe_open

    from weights_convert.convert import convert_file

    convert_file(source, model, output)
    with safe_open(output, framework="pt") as file:
        count = len(file.keys())
    return f"{count} tensors, {output.stat().st_size / 1e6:.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
