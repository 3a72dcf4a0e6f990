"""Checks a network against the numbers measured on the reference implementation.

Networks are compared in float64, where processors agree to 1e-11. In float32 they do not: each adds
in another order, and deep seeded networks make up to a fifth of the standard deviation of that.
"""

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
from posekit.spec import load_spec
from tests.seeded import seeded_image_batch, seeded_state_dict, uniform
from weights_convert import convert_state_dict

# What programs of other authors gave, measured as the shared reference numbers were.
LAYOUTS = Path(__file__).parent / "data" / "layouts"

# Largest differences, in units of the output's standard deviation.
TOLERANCE = 1e-6  # of outputs that the reference computed in float64
# Of outputs that it has in float32 only. What is measured is its own rounding, 2.3e-4 at most: a
# constant of the file, since ours are float64 there too.
ROUNDED_TOLERANCE = 3e-4
# Of float32, for networks that amplify rounding little: 1e-5 to 3e-4 were measured with AVX-512,
# AVX2 and SSE4, one thread and two.
FLOAT32_TOLERANCE = 2e-3


@dataclass(frozen=True)
class ReferenceCase:
    """One folder of reference numbers."""

    name: str
    golden: dict
    state: dict[str, Tensor]  # in the source's layout
    inputs: Tensor
    outputs: list[np.ndarray]  # strided, flat
    tolerance: float  # of a network in float64


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
    in_float64 = (folder / "raw64.npz").exists()
    with np.load(folder / ("raw64.npz" if in_float64 else "raw.npz")) as raw:
        outputs = [raw[key].ravel() for key in raw.files]
    return ReferenceCase(
        golden.get("name", name),
        golden,
        reference_state(folder),
        torch.from_numpy(batch),
        outputs,
        TOLERANCE if in_float64 else ROUNDED_TOLERANCE,
    )


def flatten_outputs(outputs: object) -> list[Tensor]:
    """Nested tuples of tensors as one list, in order."""
    if isinstance(outputs, Tensor):
        return [outputs]
    assert isinstance(outputs, Iterable)
    return [tensor for item in outputs for tensor in flatten_outputs(item)]


def relative_errors(
    case: ReferenceCase, net: nn.Module, dtype: torch.dtype = torch.float64
) -> list[float]:
    """Largest difference of each raw output, in units of the reference's standard deviation.

    `net` is converted to `dtype` and stays so.
    """
    with torch.inference_mode():
        outputs = flatten_outputs(net.eval().to(dtype)(case.inputs.to(dtype)))
    assert len(outputs) == len(case.golden["outputs"])
    errors = []
    for output, described, expected in zip(
        outputs, case.golden["outputs"], case.outputs, strict=True
    ):
        assert list(output.shape) == described["shape"]
        assert output.dtype == dtype  # nothing within computes in another
        found = output.numpy().ravel()[:: described["stride"]]
        # A single number has no deviation: its size is the unit then.
        unit = described["std"] or abs(described["mean"])
        errors.append(float(np.abs(found - expected).max() / unit))
    return errors


def assert_matches(folder: Path, net: nn.Module, *, layout: str = "openmmlab") -> None:
    """Converts the folder's seeded checkpoint into `net` (any device) and compares its outputs."""
    case = reference_case(folder)
    load_case(case, net, layout=layout)
    assert_small(case, relative_errors(case, net), case.tolerance)
    if "params" in case.golden:
        assert sum(p.numel() for p in net.parameters()) == case.golden["params"]


def assert_matches_in_float32(folder: Path, net: nn.Module, *, layout: str = "openmmlab") -> None:
    """As `assert_matches`, with the arithmetic that predictions have; one per family is enough.

    What only float32 can get wrong is seen so: an epsilon too small, a sum that overflows.
    """
    case = reference_case(folder)
    load_case(case, net, layout=layout)
    assert_small(case, relative_errors(case, net, torch.float32), FLOAT32_TOLERANCE)


def load_case(case: ReferenceCase, net: nn.Module, *, layout: str = "openmmlab") -> None:
    """The case's checkpoint into `net`, on any device."""
    net.load_state_dict(convert_state_dict(case.state, net=net, layout=layout), assign=True)


def assert_small(case: ReferenceCase, errors: list[float], tolerance: float) -> None:
    assert max(errors) < tolerance, f"{case.name}: errors {errors} of the standard deviation"


def assert_same_poses(
    keypoints: np.ndarray,
    scores: np.ndarray,
    expected_keypoints: np.ndarray,
    expected_scores: np.ndarray,
) -> None:
    """That two ways to the same result, (n, K, 2) and (n, K), differ by float32 rounding only.

    The order of additions may change with the size of a batch, with threads and with where in
    memory weights lie. Scores follow that smoothly. A maximum of a seeded network has near ties,
    of which rounding chooses: one keypoint in twenty may be elsewhere.
    """
    np.testing.assert_allclose(scores, expected_scores, atol=1e-4, rtol=1e-4)
    away = np.linalg.norm(np.subtract(keypoints, expected_keypoints), axis=-1)
    assert (away <= 1e-3).mean() >= 0.95, f"distances {np.sort(away, axis=None)[::-1][:10]} px"


def save_seeded_weights(folder: Path, model: str, path: Path) -> Path:
    """A reference folder's seeded checkpoint as posekit safetensors of `model`."""
    net = build_network(load_spec(model).net)
    state = convert_state_dict(reference_state(folder), net=net)
    save_file(
        {key: value.contiguous() for key, value in state.items()}, path, metadata={"model": model}
    )
    return path
