"""ONNX exports of RTMDet, RTMPose, RTMW and YOLOX: their weights under posekit's keys.

An export has batch norms folded into convolutions and most weights without a name, so a weight
is known by its place in the data flow. The network (traced by torch.fx, which needs no memory)
and the graph are both reduced to their weighted operations and the source of each: the weighted
operations that its input is computed from, in order where they are concatenated. Everything
between, such as activations, pooling and reshapes, is left out: each exporter writes it its own
way. The network's operations are then placed in the graph one after another. Where several of
one shape read the same source, as the two branches of a cross-stage layer do, every placement is
followed until what comes behind leaves one; if several reach the end, the file is refused. The
order of nodes in the file decides nothing, and a name that contradicts the result is refused.

A folded norm becomes a batch norm that only adds the folded bias. Inference is the same and every
parameter can be trained, but the statistics of the activations are lost: fine-tuning should keep
the norms in eval mode, or estimate them anew first.
"""

from __future__ import annotations

import functools
import operator
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, fx, nn

from posekit.errors import InputError
from posekit.models.family import family_of
from posekit.models.tracing import trace
from weights_convert.errors import ConversionError
from weights_convert.external import ExternalData, member_beside
from weights_convert.openmmlab import RULES

__all__ = ["holds_weights", "is_onnx", "open_onnx", "read_onnx", "starts_onnx"]

MAX_BYTES = 1 << 30  # of a graph in a zip; the largest published one has a quarter of it
MAX_RATIO = 100  # of compression; weights hardly compress
MAX_PLACEMENTS = 1024  # followed at once; the networks here need 16 at most
MAX_DEVIATION = 0.02  # between the uses of a shared convolution; half precision has 0.001

Source = frozenset[Any]  # of numbers of operations and of ("cat", one Source per part)
NOTHING: Source = frozenset()
INPUT: Source = frozenset(["input"])

READERS = ("Conv", "MatMul", "Gemm", "Mul", "Add", "Sub", "Div", "BatchNormalization")


class Signature(NamedTuple):
    """What an operation of the network and one of the graph must agree in."""

    kind: str
    shape: tuple[int, ...]
    geometry: tuple[int, ...] = ()  # of a convolution: stride, padding, dilation, groups

    def __str__(self) -> str:
        geometry = f"; stride, padding, dilation, groups {self.geometry}" if self.geometry else ""
        return f"{self.kind} {self.shape}{geometry}"


@dataclass(frozen=True)
class Operation:
    """A weighted operation: with keys of the entries in the network, with values in the graph."""

    signature: Signature
    source: Source
    weight: Any
    bias: Any = None
    norm: Any = None  # the batch norm behind a convolution; weight, bias, mean, variance, eps
    names: tuple[str, str] = ("", "")  # of node and weight, in the graph
    factor: float = 1.0  # a number that a convolution's output is multiplied by


# Each operation stands behind those it reads; what the outputs are computed from.
Reduced = tuple[list[Operation], list[Source]]


def is_onnx(path: Path) -> bool:
    """Whether the content is an ONNX graph, or a zip that holds one."""
    with path.open("rb") as file:
        head = file.read(9)
    if not head.startswith(b"PK"):
        return starts_onnx(head)
    try:
        with zipfile.ZipFile(path) as archive:
            return bool(_graphs_in(archive))
    except Exception:  # what reads it says how it is damaged
        return False


def starts_onnx(head: bytes) -> bool:
    """Whether a file with these first 9 bytes is an ONNX graph."""
    # A protobuf: field 1, a small version number, then a later field of ModelProto. The length
    # that begins a safetensors file may look alike, but a brace follows it.
    like_fields = len(head) == 9 and head[0] == 8 and 0 < head[1] < 64
    return like_fields and head[2] in b"\x12\x1a\x22\x28\x32\x3a\x42" and head[8:] != b"{"


def holds_weights(path: Path) -> bool:
    """Whether a graph's weights are numbers that a network can have: no quantised ones."""
    return b"DequantizeLinear" not in open_onnx(path)


def _graphs_in(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [e for e in archive.infolist() if re.search(r"(^|/)[^./][^/]*\.onnx$", e.filename)]


def open_onnx(path: Path) -> bytes:
    """The bytes of an ONNX graph, from its file or from a zip that holds exactly one.

    Raises:
        ConversionError: neither of the two, a damaged zip, or one that unpacks to more than any
            graph needs.
    """
    with path.open("rb") as file:
        head = file.read(9)
    if starts_onnx(head):
        return path.read_bytes()
    if not head.startswith(b"PK"):
        raise ConversionError(
            f"{path}: expected an ONNX graph or a zip with one, found a file starting with {head!r}"
        )
    return _from_zip(path)


def _from_zip(path: Path, beside: str | None = None) -> bytes:
    """The graph in a zip, or the file beside it that it names."""
    try:
        with zipfile.ZipFile(path) as archive:
            graphs, inside = _graphs_in(archive), ", ".join(archive.namelist()[:5]) or "nothing"
            if len(graphs) != 1:
                raise ConversionError(
                    f"{path}: expected one .onnx file in the zip, found {len(graphs)} in {inside}"
                )
            (member,) = graphs
            if beside is not None:
                member = member_beside(archive, member.filename, beside)
            size, limit = member.file_size, min(MAX_BYTES, MAX_RATIO * member.compress_size)
            if size > limit:
                raise ConversionError(
                    f"{path}: expected a file that unpacks to {limit} bytes at most, found {size}"
                )
            return archive.read(member)  # never more than the size it states
    except ConversionError:
        raise
    except Exception as error:
        # There is no end of ways in which a damaged archive can fail.
        raise ConversionError(f"{path} is a damaged or encrypted zip: {error}") from None


def _external_data(path: Path) -> ExternalData:
    with path.open("rb") as file:
        in_zip = file.read(2) == b"PK"
    return ExternalData(path, functools.partial(_from_zip, path) if in_zip else None)


def read_onnx(path: Path, net: nn.Module) -> dict[str, Tensor]:
    """Recovers a network's weights from its ONNX export.

    Args:
        path: the graph, or a zip that holds it.
        net: the network that was exported; only its structure is read, so it may be on `meta`.

    Returns:
        Entries under `net`'s keys, in `net`'s order, float32.

    Raises:
        ConversionError: no ONNX graph, or one of another network (the message has the first
            difference).
        InputError: the package `onnx` is missing.
    """
    try:
        import onnx
    except ImportError:
        raise InputError(f'to read {path}: pip install "posekit[onnx]"') from None
    name, data = type(net).__name__, open_onnx(path)
    if not family_of(type(net)).onnx:
        raise ConversionError(
            f"{path}: weights of {name} are not read from an ONNX export: take its checkpoint"
        )
    network = _reduce_network(net)
    try:
        proto = onnx.load_model_from_string(data).graph
        graph = _reduce_graph(proto, onnx.numpy_helper.to_array, _external_data(path))
        return _collect(net, list(zip(network[0], _place(network, graph), strict=True)))
    except ConversionError as error:
        raise ConversionError(f"{path} cannot become {name}: {error}") from None
    except Exception as error:
        # There is no end of ways in which a damaged graph can fail.
        reason = ascii(f"{type(error).__name__}: {error}"[:200])[1:-1]
        raise ConversionError(f"{path} is a damaged ONNX file, or cut short: {reason}") from None


def _reduce_network(net: nn.Module) -> Reduced:
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
            source = _joined(sources[part] for part in node.args[0])
        elif node.target is operator.mul and is_conv_output and len(inputs) == 1:
            (number,) = source
            layers[number] = replace(layers[number], factor=float(node.args[1]))
        if signature is not None:
            layers.append(Operation(signature, source, name, bias))
            source = frozenset([len(layers) - 1])
        sources[node] = source
    return layers, [sources[output] for output in nodes[-1].all_input_nodes]


def _joined(parts: Iterable[Source]) -> Source:
    sources = tuple(parts)
    return frozenset([("cat", sources)]) if any(sources) else NOTHING


def _elementwise(kind: str, shape: Iterable[int]) -> Signature:
    return Signature(kind, tuple(n for n in shape if n != 1))  # ones only serve broadcasting


def _reduce_graph(graph: Any, to_array: Any, external: ExternalData) -> Reduced:
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in tensors]
    if len(inputs) != 1:
        raise ConversionError(f"expected one input, images, found the inputs {inputs}")
    uses = Counter(name for node in graph.node for name in node.input)
    sources: dict[str, Source] = {inputs[0]: INPUT}
    producers: dict[str, Any] = {}
    constants: dict[str, Tensor] = {}
    steps: list[Operation] = []

    def constant(name: str) -> Tensor | None:
        """A constant as float32; None where it holds integers or is computed."""
        if name not in constants and name in tensors:
            array = to_array(external.fill(tensors[name]))
            if array.dtype.name in ("float16", "bfloat16", "float32", "float64"):
                constants[name] = torch.from_numpy(array.astype(np.float32))
        return constants.get(name)

    for node in graph.node:
        names = [name for name in node.input if name]
        active = [name for name in names if sources.get(name)]
        fixed = [name for name in names if not sources.get(name)]
        source = NOTHING.union(*(sources[name] for name in active))
        attributes = {a.name: list(a.ints) or a.i or a.f or a.s for a in node.attribute}
        if node.op_type == "Constant":
            tensors.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
        elif node.op_type in ("Shape", "Size"):
            source = NOTHING
        elif node.op_type in ("Identity", "Cast", "Unsqueeze", "Transpose") and not active:
            # How a weight reaches its operation where the exporter folded nothing.
            if fixed and (value := constant(fixed[0])) is not None:
                order: Any = attributes.get("perm")
                constants[node.output[0]] = value.permute(order) if order else value
        elif node.op_type == "Concat":
            source = _joined(sources.get(name, NOTHING) for name in names)
        elif node.op_type in READERS and active:
            values = [value for name in fixed if (value := constant(name)) is not None]
            stored = len(active) == 1 and bool(values) and len(values) == len(fixed)
            behind = producers.get(active[0], node)
            if node.op_type in ("Conv", "Gemm", "BatchNormalization") and not stored:
                raise ConversionError(f"expected stored weights, {node.name} computes them")
            if node.op_type == "BatchNormalization":
                if behind.op_type != "Conv":
                    raise ConversionError(f"expected {node.name} behind a convolution")
                (number,) = source
                norm = (*values, attributes.get("epsilon", 1e-5))
                steps[number] = replace(steps[number], norm=norm)
            elif stored and (node.op_type, behind.op_type, values[0].numel()) == ("Mul", "Conv", 1):
                (number,) = source
                steps[number] = replace(steps[number], factor=float(values[0]))
            elif stored and source == INPUT and node.op_type in ("Sub", "Div"):
                pass  # the images are normalised in the graph
            # A single number is a weight only where it is the gain behind a norm's division.
            elif stored and (
                values[0].numel() > 1
                or (behind.op_type == "Div" and all(map(sources.get, behind.input)))
            ):
                signature, weight = _weight(node.op_type, values[0], attributes)
                # Exporters merge equal weights under the name of one of them.
                label = fixed[0] if uses[fixed[0]] == 1 else ""
                bias = values[1] if len(values) > 1 else None
                steps.append(Operation(signature, source, weight, bias, None, (node.name, label)))
                source = frozenset([len(steps) - 1])
        for output in node.output:
            sources[output], producers[output] = source, node
    return steps, [sources.get(output.name, NOTHING) for output in graph.output]


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


def _place(network: Reduced, graph: Reduced) -> list[Operation]:
    """For each of the network's operations, the graph's one that it is."""
    (layers, outputs), (steps, found_outputs) = network, graph
    readers: dict[Source, list[int]] = defaultdict(list)
    for number, step in enumerate(steps):
        readers[step.source].append(number)
    placements: list[tuple[int, ...]] = [()]
    for layer in layers:
        extended = [
            (*placed, number)
            for placed in placements
            for number in readers[_translated(layer.source, placed)]
            if steps[number].signature == layer.signature and number not in placed
        ]
        if not extended or len(extended) > MAX_PLACEMENTS:
            there = set(readers[_translated(layer.source, placements[0])]) - set(placements[0])
            found = [f"{steps[n].signature} named {steps[n].names[0]}" for n in sorted(there)[:3]]
            raise ConversionError(
                f"behind {len(placements[0])} weights that match, expected {layer.signature} as "
                f"{layer.weight}, found {' and '.join(found) or 'no weight'}. Is it the export of "
                "another model, size or number of keypoints?"
            )
        placements = extended
    if len(placements) > 1 and len(outputs) == len(found_outputs):
        # Twins to the end, such as x and y of a square input: the order of outputs tells.
        translated = [[_translated(output, p) for output in outputs] for p in placements]
        placements = [p for p, t in zip(placements, translated, strict=True) if t == found_outputs]
    if len(placements) != 1:
        raise ConversionError(f"expected one way to assign the weights, found {len(placements)}")
    rest = [step for number, step in enumerate(steps) if number not in placements[0]]
    if names := [s.names[0] for s in rest if s.signature.kind in ("conv", "matmul")]:
        raise ConversionError(f"expected no more weights, found {len(names)}, such as {names[0]}")
    return [steps[number] for number in placements[0]]


def _translated(source: Source, placed: tuple[int, ...]) -> Source:
    """A source within the network as one within the graph."""

    def translated(atom: Any) -> Any:
        if isinstance(atom, tuple):
            return ("cat", tuple(_translated(part, placed) for part in atom[1]))
        return placed[atom] if isinstance(atom, int) else atom

    return frozenset(map(translated, source))


def _collect(net: nn.Module, pairs: list[tuple[Operation, Operation]]) -> dict[str, Tensor]:
    """The network's entries, from each of its operations and the one of the graph that it is."""
    calls: dict[str, list[tuple[Operation, Operation]]] = defaultdict(list)
    for pair in pairs:
        calls[pair[0].weight].append(pair)
    expected = net.state_dict()
    state: dict[str, Tensor] = {}
    for key, uses in calls.items():
        weight, gains = _common_weight(key, [step.weight for _, step in uses])
        state[key] = weight
        for (layer, step), gain in zip(uses, gains, strict=True):
            node, label = step.names
            if _key_by_name(label, type(net).__name__, expected) not in (None, key):
                raise ConversionError(f"expected {key} at {node}, found {label}")
            if layer.factor != step.factor:
                # Multiplied into the weight or left to the reader: nothing tells which.
                raise ConversionError(
                    f"expected {node} times {layer.factor}, found times {step.factor}; "
                    "is there an export that no optimiser has changed?"
                )
            one, zero = torch.ones_like(gain), torch.zeros_like(gain)
            bias = zero if step.bias is None else step.bias
            if layer.norm is not None:
                scale, shift, mean, var, eps = step.norm or (one, bias, bias, one, 0.0)
                own_eps: Any = net.get_submodule(layer.norm).eps
                state[f"{layer.norm}.weight"] = scale * gain
                state[f"{layer.norm}.bias"] = shift
                state[f"{layer.norm}.running_mean"] = mean - bias
                state[f"{layer.norm}.running_var"] = var + (eps - own_eps)
                state[f"{layer.norm}.num_batches_tracked"] = torch.tensor(0)
            elif step.norm is not None or not gain.equal(one):
                raise ConversionError(f"expected no norm behind {key}, found one at {node}")
            elif layer.bias is not None:
                state[layer.bias] = bias
            elif bias.any():
                raise ConversionError(f"expected no bias beside {key}, found one at {node}")
    if missing := [key for key in expected if key not in state]:
        raise ConversionError(f"no operation holds {len(missing)} entries, such as {missing[0]}")
    # Copies, because the entries of a file must not share memory.
    return {key: state[key].reshape(expected[key].shape).clone() for key in expected}


def _common_weight(key: str, weights: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """One weight for operations that share it, and each one's gain per output channel.

    Folding multiplied each channel of a convolution that all levels of a detector share by the
    level's own norm. A channel's largest version is taken for the shared one.
    """
    if len(weights) == 1:
        return weights[0], [torch.ones(weights[0].shape[:1])]
    stack = torch.stack([weight.flatten(1) for weight in weights])  # (uses, out, in * h * w)
    largest = stack.norm(dim=2).argmax(0)
    common = stack[largest, torch.arange(len(largest))]  # (out, in * h * w)
    gains = (stack * common).sum(2) / common.square().sum(1).clamp(min=1e-30)  # least squares
    deviation = float((stack - gains[..., None] * common).norm() / stack.norm())
    if not deviation < MAX_DEVIATION:
        raise ConversionError(
            f"expected {key} times a number per channel at {len(weights)} places, found weights "
            f"that differ by {deviation:.0%}"
        )
    return common.reshape(weights[0].shape), list(gains)


def _key_by_name(name: str, family: str, keys: Collection[str]) -> str | None:
    """The network's key for a posekit or OpenMMLab name behind any prefix; None if unknown."""
    while name:
        for pattern, target in RULES.get(family, ()):
            if match := re.fullmatch(pattern, name):
                key = match.expand(target) if target else ""
                return key if key in keys else None
        if name in keys:
            return name
        name = name.partition(".")[2]
    return None
