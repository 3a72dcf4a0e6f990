"""A network as a graph of another format: ONNX and OpenVINO."""

from __future__ import annotations

import contextlib
import errno
import logging
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from posekit.backends.moving import moved
from posekit.errors import first_line
from posekit.packages import import_package

__all__ = [
    "BATCH",
    "OPSET",
    "FreeAxis",
    "example_images",
    "for_export",
    "quantize_onnx",
    "quiet_tracing",
    "save_openvino",
    "to_onnx",
    "to_openvino",
]

_quiet = threading.RLock()

OPSET = 17  # onnxruntime 1.12 and OpenVINO 2023.0 read it


class FreeAxis(NamedTuple):
    """An axis of a graph's input and outputs that may have another length each time.

    Attributes:
        name: the same for all that have this length.
        most: its greatest length; None for any.
    """

    name: str
    most: int | None = None


BATCH = {0: FreeAxis("batch")}  # of a network that sees images


def for_export(net: nn.Module) -> nn.Module:
    """The network on the CPU in float32; itself where it is that already."""
    return moved(net, torch.device("cpu"), torch.float32)


def example_images(input_size: tuple[int, int]) -> Tensor:
    """Two images (2, 3, h, w) for tracing; with one, the batch size would become a constant."""
    width, height = input_size
    return torch.zeros(2, 3, height, width)


def to_onnx(
    net: nn.Module,
    example: Tensor,
    path: Path,
    *,
    names: Sequence[str],
    free_axes: Mapping[int, FreeAxis] = BATCH,
    opset: int = OPSET,
) -> None:
    """Writes an ONNX graph with the input `input`.

    Args:
        net: takes one tensor and returns nested tuples of tensors; in eval mode.
        example: an input of two images, and at least 2 along each other free axis.
        path: the file to write.
        names: names of the outputs.
        free_axes: of the input and of each output.
        opset: version of the operator set.
    """
    axes = {number: axis.name for number, axis in free_axes.items()}
    # The exporter by tracing needs no further package and keeps the data flow as it is written.
    exporter: dict[str, Any] = {"dynamo": False} if _has_two_exporters() else {}
    with quiet_tracing():
        torch.onnx.export(
            net,
            (example,),
            str(path),
            input_names=["input"],
            output_names=list(names),
            dynamic_axes=dict.fromkeys(("input", *names), axes),
            opset_version=opset,
            **exporter,
        )


def to_openvino(
    net: nn.Module,
    example: Tensor,
    *,
    names: Sequence[str],
    free_axes: Mapping[int, FreeAxis] = BATCH,
) -> Any:
    """An `openvino.Model` with the input `input`; see `to_onnx`."""
    openvino = import_package("openvino")
    # Not by `openvino.convert_model`: it reports every conversion to its makers over the network,
    # unless the user has told it not to, and runs the traced network twice more to compare.
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with quiet_tracing(), _root_logger_as_it_was():
        # This frontend reads traced graphs. Not checked by running twice more, for what the graph
        # computes is compared with the network where it is exported.
        graph = TorchScriptPythonDecoder(torch.jit.trace(net, (example,), check_trace=False))
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(graph))
    shape = [openvino.Dimension(length) for length in example.shape]
    for number, axis in free_axes.items():
        # Without bounds its engine tries lengths that a kernel over time may not fit into.
        free = axis.most is None
        shape[number] = openvino.Dimension(-1) if free else openvino.Dimension(1, axis.most)
    model.reshape(openvino.PartialShape(shape))
    model.inputs[0].get_tensor().set_names({"input"})
    for output, name in zip(model.outputs, names, strict=True):
        output.get_tensor().set_names({name})
    return model


def save_openvino(model: Any, path: Path, *, in_half_precision: bool = False) -> None:
    """Writes `.xml` and, beside it, `.bin`.

    Raises:
        OSError: it cannot be written.
    """
    openvino = import_package("openvino")

    try:
        openvino.save_model(model, path, compress_to_fp16=in_half_precision)
    except RuntimeError as error:  # its own kind for all
        raise OSError(errno.EIO, first_line(error), str(path)) from None


def quantize_onnx(path: Path, images: Sequence[np.ndarray]) -> None:
    """Makes an ONNX graph's convolutions and products compute in 8-bit integers.

    Depthwise convolutions, which hardly take time, and the layers that give the outputs stay as
    they are: their rounding costs most accuracy.

    Args:
        path: the graph's file, which is changed.
        images: batches of inputs; the ranges of activations are averaged over these.
    """
    import onnx

    import_package("onnxruntime")  # first, so that it is kept from reporting
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"input": batch}

    prepared = path.with_suffix(".prepared.onnx")
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    # What it does to weights whose biases would overflow is no news to a user.
    with _root_logger_as_it_was():
        logging.getLogger().setLevel(logging.ERROR)
        quantize_static(
            str(prepared),
            str(path),
            Reader(),
            quant_format=QuantFormat.QDQ,
            # Where the time goes.
            op_types_to_quantize=["Conv", "MatMul", "Gemm"],
            # Unsigned: x86 has instructions for products of unsigned with signed bytes only.
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # Weights of 7 bits: processors without VNNI add two products in 16 bits, and of 8 bits
            # the sum saturates, which doubles the error.
            reduce_range=True,
            nodes_to_exclude=_kept_in_float(onnx.load(prepared).graph),
            # Of all images the extremes are outliers, which leave few steps to the rest.
            extra_options={"CalibMovingAverage": True, "CalibMovingAverageConstant": 0.1},
        )
    prepared.unlink()
    onnx.checker.check_model(str(path))


def _kept_in_float(graph: Any) -> list[str]:
    """Names of the depthwise convolutions and of the last weighted nodes before each output."""
    producers = {output: node for node in graph.node for output in node.output}
    stored = {tensor.name for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        groups = [a.i for a in node.attribute if a.name == "group"]
        if node.op_type == "Conv" and groups and groups[0] > 1:
            kept.append(node.name)
    behind, seen = [output.name for output in graph.output], set()
    while behind:
        node = producers.get(behind.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        if node.op_type in ("Conv", "MatMul", "Gemm") and stored.intersection(node.input):
            kept.append(node.name)
        else:
            behind.extend(node.input)
    return kept


@contextlib.contextmanager
def _root_logger_as_it_was() -> Iterator[None]:
    """Restores the level, handlers and filters of now at the end."""
    logger = logging.getLogger()
    level, handlers, filters = logger.level, list(logger.handlers), list(logger.filters)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.handlers[:], logger.filters[:] = handlers, filters


def _has_two_exporters() -> bool:
    return tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 5)


@contextlib.contextmanager
def quiet_tracing() -> Iterator[None]:
    """Traces without gradients, outside of inference mode, and without tracing's warnings."""
    # Tracing warns of every shape that it takes for constant, and of its own age.
    logger = logging.getLogger("torch.onnx")
    # Filters are the process's: two threads at once would put back each other's.
    with _quiet, warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
