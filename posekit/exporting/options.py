"""The options of an export, checked in one place. Light: no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from posekit.declared import Options, option
from posekit.errors import InputError
from posekit.exporting.formats import FORMATS, load_format
from posekit.loading import ModelOptions

__all__ = [
    "CompareOptions",
    "ExportOptions",
    "FileOptions",
    "FormatOptions",
    "GraphOptions",
]


@dataclass(frozen=True)  # not kw_only: `export(model, output)`
class FileOptions(Options):
    """The file."""

    output: str | os.PathLike[str] | None = option(
        None, "the file to write; if unset, the model's name in the working directory"
    )


@dataclass(frozen=True, kw_only=True)
class FormatOptions(Options):
    """The file's format."""

    format: str = option(
        "onnx",
        f"{', '.join(f'`{name}`' for name in FORMATS)}; `safetensors` holds the weights only",
        choices=FORMATS,
    )
    dtype: Literal["float32", "float16"] | None = option(
        "float32",
        "type of the weights: `float16` halves the file; inputs and outputs stay `float32`",
    )
    quantize: Literal["int8"] | None = option(
        None,
        "`int8` computes in 8-bit integers, for `format=onnx`; value ranges are measured on "
        "`inputs`",
    )
    # Attention came with 14.
    opset: int = option(17, "ONNX operator set version, for `format=onnx`", least=14, most=20)

    def check(self) -> None:
        wanted = load_format(self.format)
        if self.quantize is not None and (not wanted.quantizes or self.dtype == "float16"):
            able = [name for name in FORMATS if load_format(name).quantizes]
            raise InputError(
                f"quantize={self.quantize} is for format={' or '.join(able)} with dtype=float32"
            )


@dataclass(frozen=True, kw_only=True)
class GraphOptions(Options):
    """The graph."""

    preprocess: bool = option(
        False, "the graph takes images (n, h, w, 3), BGR, uint8, instead of normalised ones"
    )
    decode: bool = option(
        False,
        "the graph gives keypoints, or boxes after suppression, in pixels of the input, "
        "instead of raw outputs",
    )


@dataclass(frozen=True, kw_only=True)
class CompareOptions(Options):
    """The comparison of file and network."""

    inputs: Any = option(
        None,
        "images to compare the file and the network on, as a predictor takes them; the first "
        "80 are used; if unset, images of drawn people",
    )
    detector: str | None = option(
        None,
        "what finds people in `inputs`: a detector's name, or `none` or `whole_image` to use "
        "each image as one box; if unset, the model's own; `detector=` of the command",
        python=True,
    )
    detector_weights: str | os.PathLike[str] | None = option(None, "as `weights`, for the detector")


@dataclass(frozen=True, kw_only=True)
class ExportOptions(FileOptions, FormatOptions, GraphOptions, CompareOptions, ModelOptions):
    """The options of `posekit.export`."""

    config_dir: str | os.PathLike[str] | None = option(
        None,
        "a folder with your own `model/`, `detector/` and `keypoints/`, searched before the "
        "packaged ones; `--config-dir` of the command",
        python=True,
    )

    def check(self) -> None:
        wanted = load_format(self.format)
        for key in ("preprocess", "decode"):
            if getattr(self, key) and not wanted.is_graph:
                raise InputError(
                    f"{key}=true is for graphs: format={self.format} writes weights alone"
                )
        if self.output is not None and Path(self.output).suffix != wanted.suffix:
            raise InputError(
                f"output of format={self.format} must end in {wanted.suffix}, found '{self.output}'"
            )

    @property
    def precision(self) -> Literal["float32", "float16", "int8"]:
        """The precision of the file's arithmetic."""
        return self.quantize or self.dtype or "float32"

    def path_for(self, name: str) -> Path:
        """The file to write for a model of this name."""
        suffix = load_format(self.format).suffix
        return Path(f"{name}{suffix}" if self.output is None else self.output).expanduser()
