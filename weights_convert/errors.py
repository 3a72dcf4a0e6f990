"""Errors in reading and converting foreign checkpoints."""

from __future__ import annotations

from posekit.errors import WeightsError

__all__ = ["ConversionError", "UnsafeCheckpointError", "safetensors_fault"]


def safetensors_fault(error: Exception) -> str:
    """What an error says about a safetensors file, without control characters."""
    return f"damaged or cut short, as a safetensors file: {ascii(str(error)[:200])[1:-1]}"


class ConversionError(WeightsError):
    """The file cannot become weights of the network asked for; the message says why."""


class UnsafeCheckpointError(ConversionError):
    """The file's pickle asks for something other than tensors; nothing of it was run."""
