"""RTMW-l as its official configuration has it, in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from posekit.build import build_network
from posekit.spec import load_spec
from tests.networks import reference_case
from weights_convert import convert_state_dict

NAME = "rtmw-l_8xb1024-270e_cocktail14-256x192"


def test_rtmw_l_loads_its_official_layout_and_computes_the_references_outputs(shared: Path) -> None:
    folder = shared / "reference" / "pose2d" / NAME
    case = reference_case(folder)
    net = build_network(load_spec(NAME).net)
    net.load_state_dict(convert_state_dict(case.state, net=net), assign=True)
    assert sum(p.numel() for p in net.parameters()) == case.golden["params"]
    with torch.inference_mode():
        outputs = net.eval().double()(case.inputs.double())
    with np.load(folder / "raw64.npz") as raw:
        expected = [raw[key].ravel() for key in raw.files]
    for output, described, values in zip(outputs, case.golden["outputs"], expected, strict=True):
        found = output.numpy().ravel()[:: described["stride"]]
        assert np.abs(found - values).max() < 1e-6 * described["std"]
