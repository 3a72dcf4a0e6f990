"""Files that hold a network as a graph for another engine, and are run by it as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from posekit.backends.kinds import ENGINES, auto_candidates, find_engine
from posekit.backends.outputs import flatten
from posekit.errors import InputError, WeightsError, first_line
from weights_convert.companions import content_digest

__all__ = ["GraphFile", "check_graph", "is_graph", "read_graph"]

T = TypeVar("T")


def is_graph(path: Path) -> bool:
    """Whether a file's content is a graph that engines run: ONNX, or OpenVINO's XML."""
    with path.open("rb") as file:
        head = file.read(9)
    if head[8:] == b"{":  # safetensors
        return False
    from weights_convert.onnx_file import starts_onnx

    return head.startswith((b"<?xml", b"<net ")) or starts_onnx(head)


class GraphFile(nn.Module):
    """A graph in a file, ONNX or OpenVINO, in the place of a network.

    Only engines run it (see `make_backend`), in the precision of the file.

    Args:
        path: `.onnx`, or `.xml` with its `.bin` beside it.
        net: the network that was exported, on `meta`; it gives the shapes of the outputs.
    """

    def __init__(self, path: Path, net: nn.Module) -> None:
        super().__init__()
        self.path = path
        # In a tuple it is no part of what moves to a device.
        self._shapes = (net,)
        # Where inputs go, and their type.
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)

    @property
    def engines(self) -> tuple[str, ...]:
        """Names of the engines that read it; those that `auto` tries come first."""
        kind = "openvino" if self.path.suffix == ".xml" else "onnx"
        in_order = dict.fromkeys((*auto_candidates(), *ENGINES))
        return tuple(name for name in in_order if kind in find_engine(name).reads)

    def digest(self) -> str:
        """A hash of the graph and of its weights beside it."""
        return content_digest(self.path)[:24]

    def forward(self, images: Tensor) -> Any:
        """The shapes of the outputs for images on `meta`."""
        if images.device.type != "meta":
            raise InputError(
                f"{self.path} is a graph, which PyTorch cannot run: load it with posekit.load, or "
                f"use make_backend with {' or '.join(self.engines)}"
            )
        return self._shapes[0](images)


def read_graph(path: Path, read: Callable[[Path], T]) -> T:
    """Reads a user's graph by an engine's library.

    Raises:
        WeightsError: the library cannot read it.
    """
    try:
        return read(path)
    except Exception as error:  # each library has kinds of its own
        reason = first_line(error)
        raise WeightsError(f"cannot read the graph {path}: {reason}") from None


def check_graph(
    path: Path,
    inputs: Sequence[Sequence[object]],
    outputs: Sequence[Sequence[object]],
    *,
    input_size: tuple[int, int],
    template: Any,
) -> None:
    """Checks that a graph has the inputs and outputs of the model's network.

    Args:
        path: the graph's file.
        inputs: the shape of each input; entries that are not integers are free.
        outputs: the shape of each output, likewise.
        input_size: (w, h) in pixels, of the model.
        template: the network's outputs, as `describe_outputs` gives them.

    Raises:
        WeightsError: it does not have them.
    """
    width, height = input_size
    for what, found, expected in (
        ("input", inputs, [(1, 3, height, width)]),
        ("output", outputs, [tuple(tensor.shape) for tensor in flatten(template)]),
    ):
        # The first axis is the batch.
        fits = len(found) == len(expected) and all(
            len(shape) == len(wanted)
            and all(
                n == m or not isinstance(n, int) for n, m in zip(shape[1:], wanted[1:], strict=True)
            )
            for shape, wanted in zip(found, expected, strict=True)
        )
        if not fits:
            raise WeightsError(
                f"{path} does not fit the model: expected {what}s (n, ..) of {_joined(expected)}, "
                f"found {_joined(found)}. Was it exported from another model, or with "
                "preprocess=true or decode=true, which posekit does itself?"
            )


def _joined(shapes: Sequence[Sequence[object]]) -> str:
    return " and ".join(str(tuple(shape[1:])) for shape in shapes)
