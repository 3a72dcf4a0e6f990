"""TorchScript; its description is the file `posekit.json` within."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posekit.exporting.formats import Format, Runner

if TYPE_CHECKING:
    from posekit.exporting.subject import Subject

__all__ = ["FORMAT"]


def write(subject: Subject, path: Path) -> Runner:
    import torch

    from posekit.backends.graphs import quiet_tracing
    from posekit.exporting.subject import run_module

    file = io.BytesIO()  # not into the path: on a full disk torch ends the process
    with quiet_tracing():
        traced = torch.jit.trace(subject.graph, subject.example, check_trace=False)
        torch.jit.save(traced, file, _extra_files={"posekit.json": subject.text})
        path.write_bytes(file.getbuffer())
        loaded: Any = torch.jit.load(str(path))
    return lambda inputs: run_module(loaded, inputs)


FORMAT = Format(suffix=".torchscript", write=write)
