"""Frames in: images, folders, videos, URLs, streams, cameras and arrays. BGR, uint8, upright."""

from posekit.media.images import decode_image, read_image, to_bgr
from posekit.media.listing import Order, check_inputs, input_files, is_webcam
from posekit.media.reader import Clip, Download, Frame, FrameReader, read_frames
from posekit.media.sequence import PictureReader, open_clip

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
