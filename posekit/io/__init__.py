"""Frames in: images, folders, videos, URLs, streams, cameras and arrays. BGR, uint8, upright."""

from posekit.io.images import decode_image, read_image, to_bgr
from posekit.io.listing import Order, check_inputs, input_files, is_webcam
from posekit.io.reader import Clip, Download, Frame, FrameReader, read_frames
from posekit.io.sequence import PictureReader, open_clip

__all__ = [
    "Clip",
    "Download",
    "Frame",
    "FrameReader",
    "Order",
    "PictureReader",
    "check_inputs",
    "decode_image",
    "input_files",
    "is_webcam",
    "open_clip",
    "read_frames",
    "read_image",
    "to_bgr",
]
