"""A network on a GPU without Python in its way."""

from __future__ import annotations

import threading

import torch
from torch import Tensor, nn

from posekit.backends.outputs import flatten

__all__ = ["CudaGraphs"]

WARM_UP_RUNS = 3  # cuDNN and cuBLAS choose their kernels and take their memory before recording


class CudaGraphs:
    """Records what a network does on the GPU, once per shape of its input, and plays it back.

    A small network is hundreds of kernels of a few microseconds each, which Python cannot start as
    fast as the GPU runs them.

    Args:
        net: in eval mode, on a GPU; its forward must not wait for the GPU or branch on values.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self.device = next(net.parameters()).device
        self._recorded: dict[torch.Size, tuple[torch.cuda.CUDAGraph, Tensor, list[Tensor]]] = {}
        # Of memory, which all recordings share: only one plays at a time.
        self._pool = torch.cuda.graph_pool_handle()
        self._lock = threading.Lock()

    def __call__(self, images: Tensor) -> list[Tensor]:
        """The network's outputs, flat."""
        with self._lock, torch.cuda.device(self.device):
            if images.shape not in self._recorded:
                self._recorded[images.shape] = self._record(images)
            graph, inputs, outputs = self._recorded[images.shape]
            inputs.copy_(images)
            graph.replay()
            # The next replay, of any shape, overwrites them.
            return [output.clone() for output in outputs]

    def _record(self, images: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, list[Tensor]]:
        inputs = images.clone(memory_format=torch.channels_last)
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP_RUNS):
                self.net(inputs)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            outputs = flatten(self.net(inputs))
        return graph, inputs, outputs
