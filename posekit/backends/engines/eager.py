"""PyTorch, with nothing prepared."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from posekit.backends.engine import Engine, Target
from posekit.backends.moving import moved
from posekit.backends.outputs import describe_outputs, no_outputs

__all__ = ["ENGINE", "EagerBackend"]


class EagerBackend:
    """The network as it is, operation by operation: the reference for every other engine.

    Args:
        net: in eval mode.
        target: its dtype is that of parameters and inputs.
    """

    def __init__(self, net: nn.Module, target: Target) -> None:
        self.net = moved(net, target.device, target.dtype)
        self.target = target

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Any:
        device, dtype = self.target.device, self.target.dtype
        if not len(images):
            return no_outputs(self._template, device, dtype)
        return self.net(images.to(device, dtype))

    @cached_property
    def _template(self) -> Any:
        return describe_outputs(self.net, self.target.input_size)


ENGINE = Engine(
    title="PyTorch, unchanged",
    summary="PyTorch, the network as it is: the reference for all others",
    make=EagerBackend,
    packages=("torch",),
)
