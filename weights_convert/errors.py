"""What goes wrong when a foreign checkpoint is read or converted."""

from __future__ import annotations

from posekit.errors import WeightsError

__all__ = ["ConversionError", "UnsafeCheckpointError"]


class ConversionError(WeightsError):
    """The file cannot become weights of the network asked for; the message says why."""


class UnsafeCheckpointError(ConversionError):
    """The file's pickle asks for something other than tensors; nothing of it was run."""
