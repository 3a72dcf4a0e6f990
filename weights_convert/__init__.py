"""Foreign checkpoints -> posekit safetensors."""

from weights_convert.convert import convert_state_dict
from weights_convert.errors import ConversionError, UnsafeCheckpointError

__all__ = ["ConversionError", "UnsafeCheckpointError", "convert_state_dict"]
