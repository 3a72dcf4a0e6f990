"""Frames from images, folders, videos, URLs, streams, cameras and arrays: BGR, uint8, upright."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posekit.io.images import decode_image, read_image, to_bgr
    from posekit.io.inputs import Inputs, check_inputs
    from posekit.io.listing import Order, is_webcam
    from posekit.io.reader import FrameReader, read_frames
    from posekit.io.sequence import PictureReader, open_clip
    from posekit.io.video_writer import VideoWriter
    from posekit.stages.packet import Clip, Download, Frame

__all__ = [
    "Clip",
    "Download",
    "Frame",
    "FrameReader",
    "Inputs",
    "Order",
    "PictureReader",
    "VideoWriter",
    "check_inputs",
    "decode_image",
    "is_webcam",
    "open_clip",
    "read_frames",
    "read_image",
    "to_bgr",
]

# Imported when first used: a command looks its inputs up without OpenCV and PyAV.
_HOMES = {
    "Clip": "posekit.stages.packet",
    "Download": "posekit.stages.packet",
    "Frame": "posekit.stages.packet",
    "FrameReader": "posekit.io.reader",
    "Inputs": "posekit.io.inputs",
    "Order": "posekit.io.listing",
    "PictureReader": "posekit.io.sequence",
    "VideoWriter": "posekit.io.video_writer",
    "check_inputs": "posekit.io.inputs",
    "decode_image": "posekit.io.images",
    "is_webcam": "posekit.io.listing",
    "open_clip": "posekit.io.sequence",
    "read_frames": "posekit.io.reader",
    "read_image": "posekit.io.images",
    "to_bgr": "posekit.io.images",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
