"""Networks as graphs of other formats; what they compute is tested with the backends."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor, nn

from posekit.backends.graphs import to_openvino


class Bessel(nn.Module):
    """With an operation that OpenVINO does not have."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.special.bessel_j0(images)


def test_a_conversion_that_fails_leaves_logging_alone() -> None:
    openvino = pytest.importorskip("openvino")
    root = logging.getLogger()
    before = root.level, list(root.handlers), list(root.filters)
    with pytest.raises(openvino.frontend.OpConversionFailure):
        to_openvino(Bessel().eval(), torch.zeros(2, 3, 4, 4), names=["y"])
    assert (root.level, root.handlers, root.filters) == before
