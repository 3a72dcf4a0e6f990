"""PyTorch itself, with what can be prepared once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from posekit.backends.batches import GPU_SIZES, run_in_batches
from posekit.backends.cuda_graphs import CudaGraphs
from posekit.backends.engine import Engine, Target
from posekit.backends.moving import moved, with_channels_last
from posekit.backends.outputs import describe_outputs, nest, no_outputs
from posekit.models.fuse import fold_batch_norms

__all__ = ["ENGINE", "TorchBackend"]


class TorchBackend:
    """PyTorch as it is, with batch norms folded and channels last.

    In a transformer this changes only the embedding and the head, whose transposed convolutions
    then take half the time. On a GPU it runs as CUDA graphs, one per batch size (64, 32, .. 1);
    other sizes are cut or filled up to these.

    Args:
        net: in eval mode.
        target: its dtype is that of parameters and inputs.
    """

    def __init__(self, net: nn.Module, target: Target) -> None:
        self.net = with_channels_last(moved(fold_batch_norms(net), target.device, target.dtype))
        self.target = target
        self._graphs = CudaGraphs(self.net) if target.device.type == "cuda" else None

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Any:
        device, dtype = self.target.device, self.target.dtype
        if not len(images):
            return no_outputs(self._template, device, dtype)
        images = images.to(device, dtype)
        if self._graphs is not None:
            outputs = run_in_batches(self._graphs, images, GPU_SIZES, fill=True)
            return nest(outputs, self._template)
        return self.net(images.contiguous(memory_format=torch.channels_last))

    @cached_property
    def _template(self) -> Any:
        return describe_outputs(self.net, self.target.input_size)


ENGINE = Engine(
    title="PyTorch",
    summary="batch norms folded into the convolutions, channels last; CUDA graphs on a GPU",
    make=TorchBackend,
    packages=("torch",),
    auto_turn=0,  # it is there at once
)
