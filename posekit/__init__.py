"""posekit: pose estimation in pure PyTorch.

>>> import posekit
>>> predictor = posekit.load("human")
>>> for result in predictor("photo.jpg"):
...     print(result["predictions"])
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from posekit.version import __version__

# pip refuses to install it there; a checkout has nobody who does.
if sys.version_info < (3, 10):  # noqa: UP036
    raise ImportError(
        f"posekit needs Python 3.10 or newer, found {sys.version.split()[0]} ({sys.executable}): "
        "make an environment with a newer one, `uv venv --python 3.12` or `python3.12 -m venv`"
    )

if TYPE_CHECKING:
    from posekit.angles import measure_angles
    from posekit.batching.result import BatchResult
    from posekit.batching.run import batch
    from posekit.benchmarking.run import BenchResult, bench
    from posekit.config import list_models
    from posekit.converting import convert
    from posekit.evaluation.evaluate import evaluate
    from posekit.evaluation.result import EvaluateResult
    from posekit.exporting.export import export
    from posekit.exporting.result import ExportResult
    from posekit.labelling.convert import LabelsResult, labels
    from posekit.predictor import Predictor, load
    from posekit.result import PoseResult
    from posekit.serving.service import PoseService
    from posekit.training.run import TrainResult, train
    from posekit.weights.load import create_model

__all__ = [
    "BatchResult",
    "BenchResult",
    "EvaluateResult",
    "ExportResult",
    "LabelsResult",
    "PoseResult",
    "PoseService",
    "Predictor",
    "TrainResult",
    "__version__",
    "batch",
    "bench",
    "convert",
    "create_model",
    "evaluate",
    "export",
    "labels",
    "list_models",
    "load",
    "measure_angles",
    "train",
]

# Imported when first used: `import posekit` stays fast and has no side effects.
_HOMES = {
    "BatchResult": "posekit.batching.result",
    "BenchResult": "posekit.benchmarking.run",
    "EvaluateResult": "posekit.evaluation.result",
    "ExportResult": "posekit.exporting.result",
    "LabelsResult": "posekit.labelling.convert",
    "PoseResult": "posekit.result",
    "PoseService": "posekit.serving.service",
    "Predictor": "posekit.predictor",
    "TrainResult": "posekit.training.run",
    "batch": "posekit.batching.run",
    "bench": "posekit.benchmarking.run",
    "convert": "posekit.converting",
    "create_model": "posekit.weights.load",
    "export": "posekit.exporting.export",
    "evaluate": "posekit.evaluation.evaluate",
    "labels": "posekit.labelling.convert",
    "list_models": "posekit.config",
    "load": "posekit.predictor",
    "measure_angles": "posekit.angles",
    "train": "posekit.training.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'posekit' has no attribute '{name}'")
    try:
        value = getattr(import_module(_HOMES[name]), name)
    except (ImportError, AttributeError) as error:
        from posekit.opencv import problem_of

        problem = problem_of(error)
        if problem is None:
            raise
        raise ImportError(problem) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
