"""ONNX, also in 8 bits; its description is in the metadata, under `posekit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from posekit.exporting.formats import Format, Runner
from posekit.packages import import_package

if TYPE_CHECKING:
    from posekit.exporting.subject import Subject

__all__ = ["FORMAT", "gather_weights"]


def write(subject: Subject, path: Path) -> Runner:
    import onnx

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
    gather_weights(path)
    if subject.options.quantize is not None:
        images = subject.inputs(subject.samples.calibrating).split(1)
        quantize_onnx(path, [image.numpy() for image in images])
    # What follows a message's end is merged into it, so that the graph need not be read.
    metadata = onnx.ModelProto(
        metadata_props=[onnx.StringStringEntryProto(key="posekit", value=subject.text)]
    )
    with path.open("ab") as file:
        file.write(metadata.SerializeToString())
    session = import_package("onnxruntime").InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    return lambda inputs: list(session.run(None, {"input": inputs.numpy()}))


def gather_weights(path: Path) -> None:
    """Puts a graph's weights into one file beside it, where they are in many.

    A message holds 2 GB at most; what is larger, torch writes as a file for each tensor.

    Args:
        path: the graph.
    """
    import onnx
    from onnx.external_data_helper import uses_external_data

    graph = onnx.load(str(path), load_external_data=False)
    loose = {
        entry.value
        for tensor in graph.graph.initializer
        if uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    if not loose:
        return
    whole = onnx.load(str(path))
    for name in loose:
        (path.parent / name).unlink()
    location = f"{path.name}.data"
    onnx.save(whole, str(path), save_as_external_data=True, location=location)


FORMAT = Format(
    suffix=".onnx",
    write=write,
    packages=("onnx", "onnxruntime"),
    extra="onnxruntime",
    quantizes=True,
)
