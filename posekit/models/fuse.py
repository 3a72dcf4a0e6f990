"""Batch norms folded into the convolutions before them, for inference.

In eval mode a batch norm multiplies each channel by one number and adds another (arXiv 1502.03167,
section 3.1), which the convolution's own weight and bias can do instead.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor, fx, nn

from posekit.models.tracing import trace

__all__ = ["fold_batch_norms"]

log = logging.getLogger(__name__)

Convolution = nn.Conv2d | nn.ConvTranspose2d


def fold_batch_norms(net: nn.Module) -> nn.Module:
    """A network with the same outputs, to within float32 rounding, and fewer operations.

    Args:
        net: in eval mode; it is left as it is and shares its other parameters with the result.

    Returns:
        A network traced by torch.fx, for inference only; `net` itself where there is nothing to
        fold or where torch.fx cannot trace it.

    Raises:
        ValueError: `net` is in training mode, where a batch norm depends on the batch.
    """
    if net.training:
        raise ValueError("batch norms can only be folded in eval mode: call net.eval() first")
    if not any(isinstance(module, nn.BatchNorm2d) for module in net.modules()):
        return net
    try:
        graph = trace(net)
    except Exception as error:  # its own kinds and those of whatever the network runs into
        log.info("%s keeps its batch norms: %s", type(net).__name__, error)
        return net
    traced = fx.GraphModule(net, graph, type(net).__name__)
    modules = dict(net.named_modules())
    for node in list(graph.nodes):
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        before = node.args[0] if isinstance(norm, nn.BatchNorm2d) else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        conv = modules.get(str(before.target))
        if not _can_take(conv, norm):
            continue
        # A convolution that several norms share gets a copy for each.
        name = f"{str(node.target).replace('.', '_')}_folded"
        traced.add_submodule(name, _folded(conv, norm))  # type: ignore[arg-type]
        with graph.inserting_before(node):
            together = graph.call_module(name, before.args)
        node.replace_all_uses_with(together)
        graph.erase_node(node)
        graph.erase_node(before)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced.eval()


def _can_take(conv: nn.Module | None, norm: nn.Module | None) -> bool:
    if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
        return False
    return isinstance(conv, nn.Conv2d) or (isinstance(conv, nn.ConvTranspose2d) and conv.groups < 2)


def _folded(conv: Convolution, norm: nn.BatchNorm2d) -> nn.Module:
    """One convolution for both, on the same device and of the same type."""
    assert norm.running_mean is not None and norm.running_var is not None
    # Double precision, so that only the last step rounds.
    scale = (_exact(norm.running_var) + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * _exact(norm.weight)
    shift = -_exact(norm.running_mean) * scale
    if norm.bias is not None:
        shift = shift + _exact(norm.bias)
    if conv.bias is not None:
        shift = shift + _exact(conv.bias) * scale
    is_transposed = isinstance(conv, nn.ConvTranspose2d)
    per_output = scale.view(1, -1, 1, 1) if is_transposed else scale.view(-1, 1, 1, 1)
    together = _empty_like(conv)
    together.weight = _fixed(_exact(conv.weight) * per_output, conv.weight)
    together.bias = _fixed(shift, conv.weight)
    return together


def _empty_like(conv: Convolution) -> Convolution:
    """A convolution of the same geometry with a bias, whose values take no memory yet."""
    arguments = (conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding)
    if isinstance(conv, nn.ConvTranspose2d):
        return nn.ConvTranspose2d(
            *arguments,  # type: ignore[arg-type]
            output_padding=conv.output_padding,  # type: ignore[arg-type]
            dilation=conv.dilation,  # type: ignore[arg-type]
            groups=conv.groups,
            padding_mode=conv.padding_mode,
            device="meta",
        )
    return nn.Conv2d(
        *arguments,  # type: ignore[arg-type]
        dilation=conv.dilation,  # type: ignore[arg-type]
        groups=conv.groups,
        padding_mode=conv.padding_mode,
        device="meta",
    )


def _exact(values: Tensor) -> Tensor:
    """The values in double precision, on the CPU, since not every device has it."""
    return values.cpu().double()


def _fixed(values: Tensor, like: Tensor) -> nn.Parameter:
    with torch.inference_mode(False):
        return nn.Parameter(values.to(like.dtype).to(like.device), requires_grad=False)
