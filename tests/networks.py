"""Checks a network against the numbers measured on the reference implementation."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from posekit.build import build_network
from posekit.config import read_config
from tests.seeded import seeded_image_batch, seeded_state_dict, uniform
from weights_convert import convert_state_dict


@dataclass(frozen=True)
class ReferenceCase:
    """One folder of reference numbers."""

    name: str
    golden: dict
    state: dict[str, Tensor]  # in the source's layout
    inputs: Tensor
    outputs: list[np.ndarray]  # strided, flat


def reference_state(folder: Path) -> dict[str, Tensor]:
    """The seeded checkpoint of a reference folder, in the source's own layout and order."""
    with gzip.open(folder / "keys.json.gz", "rt") as file:
        keys = json.load(file)
    state = seeded_state_dict((name, shape) for name, shape in keys)
    statistics = folder / "bn_stats.npz"
    if statistics.exists():
        with np.load(statistics) as values:
            state.update({key: values[key] for key in values.files})
    return {key: torch.from_numpy(np.array(value)) for key, value in state.items()}


def reference_case(folder: Path) -> ReferenceCase:
    """The seeded checkpoint, input and expected raw outputs of a reference folder."""
    golden = json.loads((folder / "golden.json").read_text())
    name, shape = golden["input"]["name"], golden["input"]["shape"]
    if len(shape) == 4 and shape[1] == 3 and shape[-1] > 3:
        batch = seeded_image_batch(name, shape)
        if "*58+116" in golden.get("input_note", ""):  # for networks that take 0 to 255
            batch = batch * np.float32(58) + np.float32(116)
    else:
        # A folder `name@frames` has the input of `name`, shorter.
        batch = uniform("input:" + name.partition("@")[0], shape)
    with np.load(folder / "raw.npz") as raw:
        outputs = [raw[key].ravel() for key in raw.files]
    return ReferenceCase(
        golden.get("name", name), golden, reference_state(folder), torch.from_numpy(batch), outputs
    )


def flatten_outputs(outputs: object) -> list[Tensor]:
    """Nested tuples of tensors as one list, in order."""
    if isinstance(outputs, Tensor):
        return [outputs]
    assert isinstance(outputs, Iterable)
    return [tensor for item in outputs for tensor in flatten_outputs(item)]


def relative_errors(case: ReferenceCase, net: nn.Module) -> list[float]:
    """Largest difference of each raw output, in units of the reference's standard deviation."""
    with torch.inference_mode():
        outputs = flatten_outputs(net.eval()(case.inputs))
    assert len(outputs) == len(case.golden["outputs"])
    errors = []
    for output, described, expected in zip(
        outputs, case.golden["outputs"], case.outputs, strict=True
    ):
        assert list(output.shape) == described["shape"]
        found = output.float().numpy().ravel()[:: described["stride"]]
        # A single number has no deviation: its size is the unit then.
        unit = described["std"] or abs(described["mean"])
        errors.append(float(np.abs(found - expected).max() / unit))
    return errors


def assert_matches(
    folder: Path, net: nn.Module, *, layout: str = "openmmlab", tolerance: float = 1e-3
) -> None:
    """Converts the folder's seeded checkpoint into `net` (any device) and compares its outputs."""
    case = reference_case(folder)
    state = convert_state_dict(case.state, net=net, layout=layout)
    net.load_state_dict(state, assign=True)
    errors = relative_errors(case, net)
    assert max(errors) < tolerance, f"{case.name}: errors {errors} of the standard deviation"
    if "params" in case.golden:
        assert sum(p.numel() for p in net.parameters()) == case.golden["params"]


def save_seeded_weights(folder: Path, model: str, path: Path) -> Path:
    """A reference folder's seeded checkpoint as posekit safetensors of `model`."""
    net = build_network(read_config(model)["net"])
    state = convert_state_dict(reference_state(folder), net=net)
    save_file(
        {key: value.contiguous() for key, value in state.items()}, path, metadata={"model": model}
    )
    return path
