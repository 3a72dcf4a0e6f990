"""What several benchmarks share: the two networks of a usual pipeline, and the machine's name."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors.torch import save_file

import posekit
from posekit.backends.machine import processor_name

__all__ = ["DETECTOR", "MODEL", "machine", "write_random_weights"]

MODEL = "rtmpose-m_body8-256x192"
DETECTOR = "rtmdet-nano_person-320"
NOTHING = -6.0  # logit of a class


def machine() -> str:
    """Call it first: the load is then that of other programs."""
    return (
        f"{processor_name()}, {torch.get_num_threads()} threads, torch {torch.__version__}; "
        f"load of other programs before the run: {os.getloadavg()[0]:.1f}"
    )


def write_random_weights(path: Path, model: str = MODEL) -> Path:
    """Weights of a network, which take as long as trained ones; gives the path."""
    torch.manual_seed(0)
    state = posekit.create_model(model).state_dict()
    for key, value in state.items():
        # As trained ones, and as RTMDet begins, YOLOX finds nothing in most cells.
        if key.endswith("cls_pred.bias"):
            value.fill_(NOTHING)
    save_file(state, path, metadata={"model": model})
    return path
