"""Eight crops through transformers' ViTPose-b and through posekit's, with the same weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

import posekit
from benchmarks.peers.turns import print_comparison
from posekit.backends import make_backend, why_unavailable
from weights_convert import convert_state_dict

__all__ = ["compare_heads"]

# Of the two heads that VitPoseConfig has.
MODELS = {"simple": "vitpose-b-simple_coco-256x192", "classic": "vitpose-b_coco-256x192"}
TOLERANCE = 1e-3  # of heat maps, in units of their standard deviation
CROPS = 8


def compare_heads(rounds: int, crops: int = CROPS) -> None:
    """A table for each head.

    Raises:
        SystemExit: heat maps differ.
    """
    for head, model in MODELS.items():
        _compare(head, model, rounds, crops)


def _compare(head: str, model: str, rounds: int, crops: int) -> None:
    torch.manual_seed(0)
    # As published checkpoints have it; by default it is the fourth block's output.
    backbone = VitPoseBackboneConfig(out_indices=[12])
    config = VitPoseConfig(
        num_labels=17, backbone_config=backbone, use_simple_decoder=head == "simple"
    )
    theirs = VitPoseForPoseEstimation(config).eval()
    ours = posekit.create_model(model).requires_grad_(False)
    state = convert_state_dict(theirs.state_dict(), net=ours, layout="transformers")
    ours.load_state_dict(state)
    images = torch.randn(crops, 3, 256, 192)
    networks: dict[str, Callable[[], torch.Tensor]] = {
        "transformers": lambda: theirs(images).heatmaps,
        "posekit, plain PyTorch": lambda: ours(images),
    }
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for kind in ("torch", "onnxruntime", "openvino"):
            if why_unavailable(kind, torch.device("cpu")) is None:
                run = make_backend(ours, kind, input_size=(192, 256), cache_dir=Path(folder))
                networks[f"posekit backend={kind}"] = lambda run=run: run(images)  # type: ignore[misc]
        expected = networks["transformers"]()
        for name, network in networks.items():
            away = float((network() - expected).abs().max() / expected.std())
            if not away <= TOLERANCE:
                raise SystemExit(f"{name}: heat maps differ by {away:.1g} of their deviation")
        print_comparison(
            f"{model} ({head} head), the same random weights, heat maps within {TOLERANCE:g}",
            {name: lambda n=network: len(n()) for name, network in networks.items()},  # type: ignore[misc]
            base="transformers",
            images=crops,
            rounds=rounds,
            unit="crop",
        )
