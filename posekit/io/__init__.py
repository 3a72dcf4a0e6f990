"""Frames in: images, folders, videos, URLs, streams, cameras and arrays. BGR, uint8, upright."""

from posekit.io.images import decode_image, read_image, to_bgr
from posekit.io.inputs import Inputs, check_inputs
from posekit.io.listing import Order, is_webcam
from posekit.io.reader import FrameReader, read_frames
from posekit.io.sequence import PictureReader, open_clip
from posekit.stages.packet import Clip, Download, Frame

__all__ = [
    "Clip",
    "Download",
    "Frame",
    "FrameReader",
    "Inputs",
    "Order",
    "PictureReader",
    "check_inputs",
    "decode_image",
    "is_webcam",
    "open_clip",
    "read_frames",
    "read_image",
    "to_bgr",
]
