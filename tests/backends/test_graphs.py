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


def test_a_conversion_to_openvino_is_reported_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    telemetry = pytest.importorskip("openvino_telemetry")
    sent: list[tuple[object, ...]] = []
    monkeypatch.setattr(
        telemetry.Telemetry, "send_event", lambda self, *what, **more: sent.append(what)
    )
    model = to_openvino(nn.Conv2d(3, 4, 3).eval(), torch.zeros(2, 3, 8, 8), names=["maps"])
    assert [str(port.partial_shape) for port in model.outputs] == ["[?,4,6,6]"]
    assert not sent
