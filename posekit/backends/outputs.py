"""A network's raw outputs, nested tuples of tensors, as a flat list and back."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["describe_outputs", "flatten", "nest", "no_outputs", "output_names"]


def describe_outputs(net: nn.Module, input_size: tuple[int, int], batch: int = 1) -> Any:
    """The outputs for images (batch, 3, h, w) as tensors on `meta`: shapes without numbers.

    Args:
        net: the network; it is not run on its device.
        input_size: (w, h) in pixels.
        batch: number of images.
    """
    width, height = input_size
    tensors = [*net.parameters(), *net.buffers()]
    # A copy, since another thread may be running the network itself.
    on_meta = copy.deepcopy(net, {id(t): torch.empty_like(t, device="meta") for t in tensors})
    for module in on_meta.modules():
        if type(module) is nn.BatchNorm2d:
            # It changes no shape, and on `meta` takes longer than it does with numbers.
            module.forward = _unchanged  # type: ignore[method-assign]
    with torch.no_grad():
        return on_meta(torch.empty(batch, 3, height, width, device="meta", dtype=tensors[0].dtype))


def _unchanged(input: Tensor) -> Tensor:
    return input


def flatten(outputs: Any) -> list[Tensor]:
    """The tensors of nested tuples or lists, in order."""
    if isinstance(outputs, Tensor):
        return [outputs]
    return [tensor for item in outputs for tensor in flatten(item)]


def nest(tensors: Sequence[Tensor], template: Any) -> Any:
    """The inverse of `flatten`: tensors nested as `template`, such as `describe_outputs` gives."""
    rest = iter(tensors)
    nested = _fill_template(template, rest)
    if next(rest, None) is not None:
        raise ValueError(f"expected {len(flatten(template))} tensors, found {len(tensors)}")
    return nested


def _fill_template(template: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(template, Tensor):
        return next(tensors)
    return type(template)(_fill_template(item, tensors) for item in template)


def no_outputs(template: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """The outputs for no images, nested as `template`."""
    empty = [torch.empty(0, *t.shape[1:], dtype=dtype, device=device) for t in flatten(template)]
    return nest(empty, template)


def output_names(template: Any) -> list[str]:
    """Names for the tensors of an exported graph, in order.

    `simcc_x`, `simcc_y`; `heatmap`; `cls_0`, `cls_1`, ..., `reg_0`, ..., `obj_0`, ...;
    `heatmap`, `root_depth`, `hand_type` of InterNet; of RTMO `cls_0`, ..., `reg_0`, ..., `vis_0`,
    ..., `pose_0`, ...
    """
    if isinstance(template, Tensor):
        return ["heatmap"]
    if all(isinstance(item, Tensor) for item in template):
        return ["simcc_x", "simcc_y"] if len(template) == 2 else _INTERNET_NAMES[: len(template)]
    one_stage = len(template) == 4
    kinds = ("cls", "reg", "vis", "pose") if one_stage else ("cls", "reg", "obj")[: len(template)]
    return [
        f"{kind}_{level}"
        for kind, levels in zip(kinds, template, strict=True)
        for level in range(len(levels))
    ]


_INTERNET_NAMES = ["heatmap", "root_depth", "hand_type"]
