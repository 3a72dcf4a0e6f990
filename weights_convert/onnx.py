"""ONNX exports of RTMDet, RTMPose, RTMW and YOLOX: their weights under posekit's keys.

An export has batch norms folded into convolutions and most weights without a name, so a weight is
known by its place in the data flow. The network (traced by torch.fx, which needs no memory) and the
graph are both reduced to their weighted operations and the source of each: the weighted operations
that its input is computed from, in order where they are concatenated. Everything between, such as
activations, pooling and reshapes, is left out: each exporter writes it its own way. The network's
operations are then placed in the graph one after another. If several of the same shape read the
same source, as the two branches of a cross-stage layer do, every placement is followed until later
operations leave only one; if several reach the end, the file is refused. The order of nodes in the
file decides nothing, and a name that contradicts the result is refused.

A folded norm becomes a batch norm that only adds the folded bias. Inference is the same and every
parameter can be trained, but the statistics of the activations are lost: fine-tuning should keep
the norms in eval mode, or estimate them again first.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from posekit.errors import InputError
from posekit.models.family import Rule, family_of
from weights_convert.dataflow import Operation, Reduced, Source, reduce_graph, reduce_network
from weights_convert.errors import ConversionError
from weights_convert.onnx_file import external_data, open_onnx
from weights_convert.openmmlab import rules_of

__all__ = ["read_onnx"]

MAX_PLACEMENTS = 1024  # followed at once; the networks here need 16 at most
MAX_DEVIATION = 0.02  # between the uses of a shared convolution; half precision has 0.001


def read_onnx(path: Path, net: nn.Module) -> dict[str, Tensor]:
    """Recovers a network's weights from its ONNX export.

    Args:
        path: the graph, or a zip that holds it.
        net: the network that was exported; only its structure is read, so it may be on `meta`.

    Returns:
        Entries under `net`'s keys, in `net`'s order, float32.

    Raises:
        ConversionError: no ONNX graph, or one of another network (the message names the first
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
            f"{path}: weights of {name} are not read from an ONNX export: use its checkpoint "
            "(.pth), or no file, which takes the published weights"
        )
    network = reduce_network(net)
    try:
        proto = onnx.load_model_from_string(data).graph
        graph = reduce_graph(proto, onnx.numpy_helper.to_array, external_data(path))
        return _collect(net, list(zip(network[0], _place(network, graph), strict=True)))
    except ConversionError as error:
        raise ConversionError(f"{path} cannot become {name}: {error}") from None
    except Exception as error:
        # There is no end of ways in which a damaged graph can fail.
        reason = ascii(f"{type(error).__name__}: {error}"[:200])[1:-1]
        raise ConversionError(f"{path} is a damaged ONNX file, or cut short: {reason}") from None


def _place(network: Reduced, graph: Reduced) -> list[Operation]:
    """For each of the network's operations, the one of the graph that it matches."""
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
                f"after {len(placements[0])} weights that match, expected {layer.signature} as "
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
    """The network's entries, from each of its operations and the one of the graph it matches."""
    calls: dict[str, list[tuple[Operation, Operation]]] = defaultdict(list)
    for pair in pairs:
        calls[pair[0].weight].append(pair)
    expected = net.state_dict()
    rules = rules_of(type(net))
    state: dict[str, Tensor] = {}
    for key, uses in calls.items():
        weight, gains = _common_weight(key, [step.weight for _, step in uses])
        state[key] = weight
        for (layer, step), gain in zip(uses, gains, strict=True):
            node, label = step.names
            if _key_by_name(label, rules, expected) not in (None, key):
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
                raise ConversionError(f"expected no norm after {key}, found one at {node}")
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


def _key_by_name(name: str, rules: Sequence[Rule], keys: Collection[str]) -> str | None:
    """The network's key for a posekit or OpenMMLab name after any prefix; None if unknown."""
    while name:
        for pattern, target in rules:
            if match := re.fullmatch(pattern, name):
                key = match.expand(target) if target else ""
                return key if key in keys else None
        if name in keys:
            return name
        name = name.partition(".")[2]
    return None
