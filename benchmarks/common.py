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


def machine() -> str:
    """Call it first: the load is then that of other programs."""
    return (
        f"{processor_name()}, {torch.get_num_threads()} threads, torch {torch.__version__}; "
        f"load of other programs before the run: {os.getloadavg()[0]:.1f}"
    )


def write_random_weights(path: Path) -> None:
    """Weights of MODEL, which take as long as trained ones."""
    torch.manual_seed(0)
    save_file(posekit.create_model(MODEL).state_dict(), path, metadata={"model": MODEL})
