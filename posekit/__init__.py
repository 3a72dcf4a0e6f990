"""posekit: pose estimation in pure PyTorch.

>>> import posekit
>>> predictor = posekit.load("human")
>>> for result in predictor("photo.jpg"):
...     print(result["predictions"])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from posekit.version import __version__

if TYPE_CHECKING:
    from posekit.config import list_models
    from posekit.evaluation.evaluate import evaluate
    from posekit.evaluation.result import EvaluateResult
    from posekit.predictor import Predictor, load
    from posekit.result import PoseResult
    from posekit.weights.load import create_model

__all__ = [
    "EvaluateResult",
    "PoseResult",
    "Predictor",
    "__version__",
    "create_model",
    "evaluate",
    "list_models",
    "load",
]

# Imported when first used: `import posekit` stays fast and has no side effects.
_HOMES = {
    "EvaluateResult": "posekit.evaluation.result",
    "PoseResult": "posekit.result",
    "Predictor": "posekit.predictor",
    "create_model": "posekit.weights.load",
    "evaluate": "posekit.evaluation.evaluate",
    "list_models": "posekit.config",
    "load": "posekit.predictor",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'posekit' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
