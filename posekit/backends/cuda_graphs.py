"""A network on a GPU without Python's overhead."""

from __future__ import annotations

import logging
import threading
from typing import NamedTuple

import torch
from torch import Tensor, nn

from posekit.backends.outputs import flatten
from posekit.errors import first_line

__all__ = ["CudaGraphs"]

log = logging.getLogger(__name__)

WARM_UP_RUNS = 3  # cuDNN and cuBLAS choose their kernels and take their memory before recording

_recording = threading.Lock()  # torch records one graph at a time


class _Recording(NamedTuple):
    graph: torch.cuda.CUDAGraph
    inputs: Tensor
    outputs: list[Tensor]


class CudaGraphs:
    """Records what a network does on the GPU, once per shape of its input, and plays it back.

    A small network is hundreds of kernels of a few microseconds each, which Python cannot start as
    fast as the GPU runs them. A network that cannot be recorded, since its forward waits for the
    GPU, runs as it is, with a warning.

    Args:
        net: in eval mode, on a GPU.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self.device = next(net.parameters()).device
        self._recorded: dict[torch.Size, _Recording | None] = {}
        self._lock = threading.Lock()
        with torch.cuda.device(self.device):
            # Of memory, which all recordings share: only one plays at a time.
            self._pool = torch.cuda.graph_pool_handle()
            self._beside = torch.cuda.Stream()
            self._copied = torch.cuda.Event()

    def __call__(self, images: Tensor) -> list[Tensor]:
        """The network's outputs, flat."""
        with self._lock, torch.cuda.device(self.device):
            if images.shape not in self._recorded:
                self._recorded[images.shape] = self._try_to_record(images)
            recording = self._recorded[images.shape]
            if recording is None:
                return flatten(self.net(images.contiguous(memory_format=torch.channels_last)))
            # The caller before may have had another stream.
            torch.cuda.current_stream().wait_event(self._copied)
            recording.inputs.copy_(images)
            recording.graph.replay()
            # The next replay, of any shape, overwrites them.
            copies = [output.clone() for output in recording.outputs]
            self._copied.record()
            return copies

    def _try_to_record(self, images: Tensor) -> _Recording | None:
        try:
            with _recording, torch.cuda.stream(torch.cuda.current_stream()):
                return self._record(images)
        except torch.cuda.OutOfMemoryError:  # which may have passed by the next batch
            raise
        except RuntimeError as error:
            reason = first_line(error)
            log.warning(
                "%s cannot be recorded as a CUDA graph for %d images, so it runs without one: %s",
                type(self.net).__name__, len(images), reason,
            )  # fmt: skip
            return None

    def _record(self, images: Tensor) -> _Recording:
        inputs = images.clone(memory_format=torch.channels_last)
        self._beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._beside):
            for _ in range(WARM_UP_RUNS):
                self.net(inputs)
        torch.cuda.current_stream().wait_stream(self._beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._beside, capture_error_mode="thread_local"
        ):
            outputs = flatten(self.net(inputs))
        return _Recording(graph, inputs, outputs)
