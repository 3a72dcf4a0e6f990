"""A network as a graph of another format: ONNX and OpenVINO."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["OPSET", "to_onnx", "to_openvino"]

OPSET = 17  # onnxruntime 1.12 and OpenVINO 2023.0 read it


def to_onnx(
    net: nn.Module, example: Tensor, path: Path, *, names: Sequence[str], opset: int = OPSET
) -> None:
    """Writes an ONNX graph with the input `input` and a batch of any size.

    Args:
        net: takes one tensor and returns nested tuples of tensors; in eval mode.
        example: an input, two images.
        path: of the file.
        names: of the outputs.
        opset: version of the operators.
    """
    axes = {name: {0: "batch"} for name in ("input", *names)}
    # The exporter by tracing needs no further package and keeps the data flow as it is written.
    exporter: dict[str, Any] = {"dynamo": False} if _has_two_exporters() else {}
    with _quiet_tracing():
        torch.onnx.export(
            net,
            (example,),
            str(path),
            input_names=["input"],
            output_names=list(names),
            dynamic_axes=axes,
            opset_version=opset,
            **exporter,
        )


def to_openvino(net: nn.Module, example: Tensor, *, names: Sequence[str]) -> Any:
    """An `openvino.Model` with the input `input` and a batch of any size; see `to_onnx`."""
    import openvino

    with _quiet_tracing():
        model = openvino.convert_model(
            net, example_input=example, input=[(-1, *tuple(example.shape[1:]))]
        )
    model.inputs[0].get_tensor().set_names({"input"})
    for output, name in zip(model.outputs, names, strict=True):
        output.get_tensor().set_names({name})
    return model


def _has_two_exporters() -> bool:
    return tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 5)


@contextlib.contextmanager
def _quiet_tracing() -> Iterator[None]:
    """Without gradients, in no inference mode that is on outside, and without tracing's remarks."""
    # Tracing warns of every shape that it takes for constant, and of its own age.
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
