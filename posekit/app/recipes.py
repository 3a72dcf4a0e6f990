"""The command and the Python lines that do what the page did."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import yaml

__all__ = ["command", "python"]


def command(model: str, name: str, settings: Mapping[str, Any]) -> str:
    """A line for a shell, which writes drawing and results to `out/`."""
    words = [f"model={model}", f"inputs={name}", "out_dir=out"]
    words += [f"{key}={_as_word(value)}" for key, value in settings.items()]
    return shlex.join(["posekit", "predict", *words])


def python(model: str, name: str, settings: Mapping[str, Any]) -> str:
    """A program that does the same."""
    keywords = [repr(name), 'out_dir="out"']
    keywords += [f"{key}={value!r}" for key, value in settings.items()]
    inside = ", ".join(keywords)
    call = f"for result in predictor.stream({inside}):"
    if len(call) > 88:
        lines = "".join(f"    {keyword},\n" for keyword in keywords)
        call = f"results = predictor.stream(\n{lines})\nfor result in results:"
    return (
        "import posekit\n\n"
        f"predictor = posekit.load({model!r})\n"
        f"{call}\n"
        "    print(result.index, result.track_ids, result.keypoints.shape)\n"
    )


def _as_word(value: Any) -> str:
    """As Hydra reads it."""
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    text: str = yaml.safe_dump(value, default_flow_style=True).removesuffix("\n")
    return text.removesuffix("\n...")
