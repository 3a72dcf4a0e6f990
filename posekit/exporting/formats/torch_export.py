"""`torch.export`; its description is the file `posekit.json` within."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from posekit.exporting.formats import Format, Runner

if TYPE_CHECKING:
    from posekit.exporting.subject import Subject

__all__ = ["FORMAT"]

MAX_BATCH = 1024  # it wants to know one


def write(subject: Subject, path: Path) -> Runner:
    import torch

    from posekit.backends.graphs import quiet_tracing
    from posekit.exporting.subject import run_module

    file = io.BytesIO()  # not into the path: on a full disk torch ends the process
    with quiet_tracing():
        graph = subject.graph
        shapes = {
            number: torch.export.Dim(axis.name, min=1, max=axis.most or MAX_BATCH)
            for number, axis in graph.free_axes.items()
        }
        exported = torch.export.export(graph, (subject.example,), dynamic_shapes=(shapes,))
        torch.export.save(exported, file, extra_files={"posekit.json": subject.text})
        path.write_bytes(file.getbuffer())
        loaded = torch.export.load(str(path)).module()
    return lambda inputs: run_module(loaded, inputs)


FORMAT = Format(suffix=".pt2", write=write)
