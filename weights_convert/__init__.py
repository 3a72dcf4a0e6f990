"""Foreign checkpoints -> posekit safetensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weights_convert.errors import ConversionError, UnsafeCheckpointError
from weights_convert.version import CONVERTER_VERSION

if TYPE_CHECKING:
    from weights_convert.convert import convert_file, convert_state_dict

__all__ = [
    "CONVERTER_VERSION",
    "ConversionError",
    "UnsafeCheckpointError",
    "convert_file",
    "convert_state_dict",
]


def __getattr__(name: str) -> Any:
    # Imported when first used, because PyTorch comes with it: `--help` stays fast.
    if name not in ("convert_file", "convert_state_dict"):
        raise AttributeError(f"module 'weights_convert' has no attribute '{name}'")
    from weights_convert import convert

    return getattr(convert, name)
