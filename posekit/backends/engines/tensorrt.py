"""NVIDIA TensorRT, through ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from posekit.backends.batches import GPU_SIZES
from posekit.backends.engine import Engine, Target
from posekit.backends.engines.onnxruntime import OnnxRuntimeBackend, missing_provider

__all__ = ["ENGINE", "TensorRtBackend"]


class TensorRtBackend(OnnxRuntimeBackend):
    """TensorRT where it can, else CUDA; its engines are kept in the target's folder."""

    def providers(self, name: str) -> list[Any]:
        options = engine_options(self.target, self.target.folder / f"tensorrt-{name}")
        return [("TensorrtExecutionProvider", options), *super().providers(name)]


def engine_options(target: Target, folder: Path) -> dict[str, Any]:
    """The provider's options.

    Args:
        target: what the engine is for.
        folder: the folder of this network, since an engine's name does not depend on the weights.
    """
    width, height = target.input_size
    shapes = {size: f"input:{size}x3x{height}x{width}" for size in (1, 16, GPU_SIZES[0])}
    return {
        # One engine for all sizes of batch.
        "trt_profile_min_shapes": shapes[1],
        "trt_profile_opt_shapes": shapes[16],
        "trt_profile_max_shapes": shapes[GPU_SIZES[0]],
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": True,
        "trt_fp16_enable": target.dtype == torch.float16,
        "device_id": target.device.index or 0,
    }


def _missing(device: torch.device) -> str | None:
    if device.type != "cuda":
        return "it is for NVIDIA GPUs; use device=cuda"
    return missing_provider("TensorrtExecutionProvider")


ENGINE = Engine(
    title="TensorRT",
    summary="through ONNX Runtime, where onnxruntime-gpu has it",
    make=TensorRtBackend,
    packages=("onnxruntime-gpu",),
    missing=_missing,
    dtypes=("float32", "float16"),
)
