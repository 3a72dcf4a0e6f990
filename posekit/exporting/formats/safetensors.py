"""posekit's own weights, for `weights=`: no graph, and float32 again where they are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from posekit.exporting.formats import Format, Runner

if TYPE_CHECKING:
    from posekit.exporting.subject import Subject

__all__ = ["FORMAT"]


def write(subject: Subject, path: Path) -> Runner:
    import torch
    from safetensors.torch import save

    from posekit.build import build_network
    from posekit.exporting.subject import run_module
    from posekit.weights.hub import STANDS_IN
    from posekit.weights.tensors import load_weights

    dtype = getattr(torch, subject.options.precision)
    state = {
        key: value.to(dtype) if value.is_floating_point() else value
        for key, value in subject.graph.net.state_dict().items()
    }
    metadata = {"model": subject.spec.name}
    if STANDS_IN in subject.description:
        metadata[STANDS_IN] = subject.description[STANDS_IN]
    path.write_bytes(save(state, metadata=metadata))
    loaded = load_weights(build_network(subject.spec.net), path, dtype=torch.float32)
    return lambda inputs: run_module(loaded, inputs)


FORMAT = Format(suffix=".safetensors", write=write, is_graph=False, halves=True)
