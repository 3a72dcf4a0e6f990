"""ONNX, also in 8 bits; its description is in the metadata, under `posekit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from posekit.exporting.formats import Format, Runner

if TYPE_CHECKING:
    from posekit.exporting.subject import Subject

__all__ = ["FORMAT"]


def write(subject: Subject, path: Path) -> Runner:
    import onnx

    from posekit.backends.engines.onnxruntime import library
    from posekit.backends.graphs import quantize_onnx, to_onnx

    graph = subject.graph
    to_onnx(
        graph,
        subject.example,
        path,
        names=graph.output_names(),
        free_axes=graph.free_axes,
        opset=subject.options.opset,
    )
    if subject.options.quantize is not None:
        images = subject.inputs(subject.samples.calibrating).split(1)
        quantize_onnx(path, [image.numpy() for image in images])
    # What follows a message's end is merged into it, so that the graph need not be read.
    metadata = onnx.ModelProto(
        metadata_props=[onnx.StringStringEntryProto(key="posekit", value=subject.text)]
    )
    with path.open("ab") as file:
        file.write(metadata.SerializeToString())
    session = library().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda inputs: list(session.run(None, {"input": inputs.numpy()}))


FORMAT = Format(
    suffix=".onnx",
    write=write,
    packages=("onnx", "onnxruntime"),
    extra="onnxruntime",
    quantizes=True,
)
