"""Tracing in one thread leaves what others compute alone."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import nn

from posekit.models.tracing import trace


class Deep(nn.Module):
    """Takes a moment to be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(100))
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x) * self.scale
        return x


def test_a_graph_is_that_of_torch_fx() -> None:
    net = Deep()
    assert [node.op for node in trace(net).nodes] == [
        node.op for node in torch.fx.Tracer().trace(net).nodes
    ]


def test_threads_trace_and_compute_at_once() -> None:
    call, getattr_ = nn.Module.__call__, nn.Module.__getattr__
    net, images = Deep().eval().requires_grad_(False), torch.ones(1, 2)
    expected = net(images)
    start = threading.Barrier(6)
    errors: list[Exception] = []

    def compute() -> None:
        for _ in range(20):
            torch.testing.assert_close(net(images), expected)

    def repeat(work: Callable[[], object]) -> None:
        start.wait()
        try:
            for _ in range(3):
                work()
        except Exception as error:
            errors.append(error)

    works = [lambda: trace(Deep())] * 4 + [compute] * 2
    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert nn.Module.__call__ is call
    assert nn.Module.__getattr__ is getattr_
