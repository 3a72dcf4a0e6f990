"""Networks as graphs of other formats; what they compute is tested with the backends."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from posekit.backends.graphs import to_openvino
from posekit.backends.machine import package_version
from tests.processes import run_python


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


# With the reporter there, which the tests' own process and posekit leave out.
REPORTED = """
import openvino_telemetry

sent = []
openvino_telemetry.Telemetry.send_event = lambda self, *what, **more: sent.append(what)
import torch
from posekit.backends.graphs import to_openvino
from posekit.packages import import_package

import_package("openvino")
sent.clear()  # of the import, which a reporter that is there already does see
net = torch.nn.Conv2d(3, 4, 3).eval()
model = to_openvino(net, torch.zeros(2, 3, 8, 8), names=["maps"])
print([str(port.partial_shape) for port in model.outputs], sent)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it keeps it elsewhere there")
def test_onnx_runtime_reports_to_nobody(tmp_path: Path) -> None:
    if package_version("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    kept = {key: os.environ[key] for key in os.environ if key != "ORT_DISABLE_TELEMETRY"}
    quiet = "from posekit.packages import import_package; import_package('onnxruntime')"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": ""}
    run_python("-c", quiet, env=kept | home, check=True)
    assert list(tmp_path.rglob("*")) == []  # such as the id of this machine


def test_a_conversion_to_openvino_is_reported_to_nobody() -> None:
    for package in ("openvino", "openvino-telemetry"):
        if package_version(package) is None:
            pytest.skip(f"{package} is not installed")
    done = run_python("-c", REPORTED, check=True)
    assert done.stdout.strip() == "['[?,4,6,6]'] []"
