"""OpenVINO: `.xml` and, beside it, `.bin`; its description is in `rt_info`, under `posekit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from posekit.exporting.formats import Format, Runner

if TYPE_CHECKING:
    from posekit.exporting.subject import Subject

__all__ = ["FORMAT"]


def write(subject: Subject, path: Path) -> Runner:
    from posekit.backends.engines.openvino import openvino_core
    from posekit.backends.graphs import save_openvino, to_openvino

    graph = subject.graph
    names, free_axes = graph.output_names(), graph.free_axes
    model = to_openvino(graph, subject.example, names=names, free_axes=free_axes)
    model.set_rt_info(subject.text, "posekit")
    save_openvino(model, path, in_half_precision=subject.options.precision == "float16")
    exactly = {"INFERENCE_PRECISION_HINT": "f32"}
    try:
        compiled = openvino_core().compile_model(path, "CPU", exactly)
    except RuntimeError:  # OpenVINO 2024 does not say that it could not write all
        raise OSError("OpenVINO cannot read it back; is the disk full?") from None
    return lambda inputs: list(compiled([inputs.numpy()]).values())


FORMAT = Format(suffix=".xml", write=write, packages=("openvino",), extra="openvino", halves=True)
