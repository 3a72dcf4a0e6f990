"""A network and an ONNX graph reduced to their weighted operations and the source of each.

A source is the set of weighted operations that an input is computed from, in order where they are
concatenated. Everything between, such as activations, pooling and reshapes, is left out: each
exporter writes it its own way.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, fx, nn

from posekit.models.tracing import trace
from weights_convert.errors import ConversionError
from weights_convert.external import ExternalData

__all__ = ["Operation", "Reduced", "Signature", "Source", "reduce_graph", "reduce_network"]

Source = frozenset[Any]  # of numbers of operations and of ("cat", one Source per part)
NOTHING: Source = frozenset()
INPUT: Source = frozenset(["input"])
READERS = ("Conv", "MatMul", "Gemm", "Mul", "Add", "Sub", "Div", "BatchNormalization")


class Signature(NamedTuple):
    """What must be the same in an operation of the network and one of the graph."""

    kind: str
    shape: tuple[int, ...]
    geometry: tuple[int, ...] = ()  # of a convolution: stride, padding, dilation, groups

    def __str__(self) -> str:
        geometry = f"; stride, padding, dilation, groups {self.geometry}" if self.geometry else ""
        return f"{self.kind} {self.shape}{geometry}"


@dataclass(frozen=True)
class Operation:
    """A weighted operation: in a network with its entries' keys, in a graph with the values."""

    signature: Signature
    source: Source
    weight: Any
    bias: Any = None
    norm: Any = None  # the batch norm behind a convolution; weight, bias, mean, variance, eps
    names: tuple[str, str] = ("", "")  # of node and weight, in the graph
    factor: float = 1.0  # a number that a convolution's output is multiplied by


# Each operation stands behind those it reads; what the outputs are computed from.
Reduced = tuple[list[Operation], list[Source]]


def reduce_network(net: nn.Module) -> Reduced:
    """The weighted operations of a network, traced by torch.fx."""
    modules: dict[Any, nn.Module] = dict(net.named_modules())
    layers: list[Operation] = []
    sources: dict[fx.Node, Source] = {}
    nodes = list(trace(net).nodes)
    for node in nodes:
        inputs = node.all_input_nodes
        source = NOTHING.union(*(sources[other] for other in inputs))
        parameters = [str(other.target) for other in inputs if other.op == "get_attr"]
        module = modules[node.target] if node.op == "call_module" else None
        is_conv_output = bool(inputs) and isinstance(modules.get(inputs[0].target), nn.Conv2d)
        signature, name, bias = None, f"{node.target}.weight", None
        if node.op == "placeholder":
            source = INPUT
        elif node.op == "get_attr" or node.target in (getattr, "size"):
            source = NOTHING  # parameters and shapes
        elif isinstance(module, nn.Conv2d):
            sizes: Any = (*module.stride, *module.padding, *module.padding, *module.dilation)
            signature = Signature("conv", tuple(module.weight.shape), (*sizes, module.groups))
            bias = None if module.bias is None else f"{node.target}.bias"
        elif isinstance(module, nn.Linear):
            signature = Signature("matmul", tuple(module.weight.shape))
        elif isinstance(module, nn.BatchNorm2d) and is_conv_output:
            (number,) = source
            layers[number] = replace(layers[number], norm=str(node.target))
        elif parameters:
            (name,) = parameters
            kind = {operator.mul: "mul", operator.add: "add"}.get(node.target, str(node.target))
            signature = _elementwise(kind, net.get_parameter(name).shape)
        elif node.target is torch.cat:
            source = _concatenated(sources[part] for part in node.args[0])
        elif node.target is operator.mul and is_conv_output and len(inputs) == 1:
            (number,) = source
            layers[number] = replace(layers[number], factor=float(node.args[1]))
        if signature is not None:
            layers.append(Operation(signature, source, name, bias))
            source = frozenset([len(layers) - 1])
        sources[node] = source
    return layers, [sources[output] for output in nodes[-1].all_input_nodes]


def _concatenated(parts: Iterable[Source]) -> Source:
    sources = tuple(parts)
    return frozenset([("cat", sources)]) if any(sources) else NOTHING


def _elementwise(kind: str, shape: Iterable[int]) -> Signature:
    return Signature(kind, tuple(n for n in shape if n != 1))  # ones only serve broadcasting


class _GraphReduction:
    """Goes through a graph's nodes in order, and records what each name is computed from."""

    def __init__(self, graph: Any, to_array: Callable[[Any], Any], external: ExternalData) -> None:
        self.to_array, self.external = to_array, external
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        inputs = [value.name for value in graph.input if value.name not in self.tensors]
        if len(inputs) != 1:
            raise ConversionError(f"expected one input, images, found the inputs {inputs}")
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.sources: dict[str, Source] = {inputs[0]: INPUT}
        self.producers: dict[str, Any] = {}
        self.constants: dict[str, Tensor] = {}
        self.steps: list[Operation] = []

    def constant(self, name: str) -> Tensor | None:
        """A constant as float32; None if it holds integers or is computed."""
        if name not in self.constants and name in self.tensors:
            array = self.to_array(self.external.fill(self.tensors[name]))
            if array.dtype.name in ("float16", "bfloat16", "float32", "float64"):
                self.constants[name] = torch.from_numpy(array.astype(np.float32))
        return self.constants.get(name)

    def take(self, node: Any) -> None:
        """Notes what a node's outputs are computed from, and its weights if it has any."""
        names = [name for name in node.input if name]
        active = [name for name in names if self.sources.get(name)]
        fixed = [name for name in names if not self.sources.get(name)]
        source = NOTHING.union(*(self.sources[name] for name in active))
        attributes = {a.name: list(a.ints) or a.i or a.f or a.s for a in node.attribute}
        if node.op_type == "Constant":
            self.tensors.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
        elif node.op_type in ("Shape", "Size"):
            source = NOTHING
        elif node.op_type in ("Identity", "Cast", "Unsqueeze", "Transpose") and not active:
            # How a weight reaches its operation where the exporter folded nothing.
            if fixed and (value := self.constant(fixed[0])) is not None:
                order: Any = attributes.get("perm")
                self.constants[node.output[0]] = value.permute(order) if order else value
        elif node.op_type == "Concat":
            source = _concatenated(self.sources.get(name, NOTHING) for name in names)
        elif node.op_type in READERS and active:
            source = self._read(node, active, fixed, source, attributes)
        for output in node.output:
            self.sources[output], self.producers[output] = source, node

    def _read(
        self, node: Any, active: list[str], fixed: list[str], source: Source, attributes: Any
    ) -> Source:
        """The source that an operation, which may have weights, is for later ones.

        Args:
            node: the operation.
            active: names of its inputs that are computed from the images.
            fixed: names of the others.
            source: what `active` are computed from.
            attributes: attributes of the node.
        """
        values = [value for name in fixed if (value := self.constant(name)) is not None]
        stored = len(active) == 1 and bool(values) and len(values) == len(fixed)
        behind = self.producers.get(active[0], node)
        if node.op_type in ("Conv", "Gemm", "BatchNormalization") and not stored:
            raise ConversionError(f"expected stored weights, {node.name} computes them")
        if node.op_type == "BatchNormalization":
            if behind.op_type != "Conv":
                raise ConversionError(f"expected {node.name} after a convolution")
            self._amend(source, norm=(*values, attributes.get("epsilon", 1e-5)))
            return source
        if not stored:
            return source
        if (node.op_type, behind.op_type, values[0].numel()) == ("Mul", "Conv", 1):
            self._amend(source, factor=float(values[0]))
            return source
        if source == INPUT and node.op_type in ("Sub", "Div"):
            return source  # the images are normalised in the graph
        # A single number is a weight only where it is the gain behind a norm's division.
        is_gain = behind.op_type == "Div" and all(map(self.sources.get, behind.input))
        if values[0].numel() <= 1 and not is_gain:
            return source
        signature, weight = _weight(node.op_type, values[0], attributes)
        # Exporters merge equal weights under the name of one of them.
        label = fixed[0] if self.uses[fixed[0]] == 1 else ""
        bias = values[1] if len(values) > 1 else None
        self.steps.append(Operation(signature, source, weight, bias, None, (node.name, label)))
        return frozenset([len(self.steps) - 1])

    def _amend(self, source: Source, **values: Any) -> None:
        """Adds to the one operation that a source is."""
        (number,) = source
        self.steps[number] = replace(self.steps[number], **values)


def reduce_graph(graph: Any, to_array: Callable[[Any], Any], external: ExternalData) -> Reduced:
    """The weighted operations of a graph; weights are float32.

    Args:
        graph: the `GraphProto`.
        to_array: a `TensorProto` -> an array.
        external: fills in the tensors whose values lie in another file.

    Raises:
        ConversionError: several inputs, or weights that the graph computes.
    """
    reduction = _GraphReduction(graph, to_array, external)
    for node in graph.node:
        reduction.take(node)
    return reduction.steps, [reduction.sources.get(output.name, NOTHING) for output in graph.output]


def _weight(operation: str, value: Tensor, attributes: Any) -> tuple[Signature, Tensor]:
    """A graph's weight in torch's layout, with its signature."""
    if operation in ("MatMul", "Gemm"):
        value = value if attributes.get("transB") else value.transpose(0, -1)
        return Signature("matmul", tuple(value.shape)), value * attributes.get("alpha", 1.0)
    if operation != "Conv":
        return _elementwise(operation.lower(), value.shape), value
    # Padding that depends on the input's size (auto_pad) fits no network here.
    is_fixed = attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
    geometry = (
        *attributes.get("strides", [1, 1]),
        *(attributes.get("pads", [0, 0, 0, 0]) if is_fixed else []),
        *attributes.get("dilations", [1, 1]),
        attributes.get("group", 1),
    )
    return Signature("conv", tuple(value.shape), geometry), value
