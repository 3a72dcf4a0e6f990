"""Smoothing by the method that the user chose."""

from __future__ import annotations

from collections.abc import Iterator

from posekit.stages.butterworth import DEFAULT_CUTOFF, smooth_butterworth
from posekit.stages.packet import Packet
from posekit.stages.smooth import SmoothOptions, smooth_one_euro, smooth_savgol

__all__ = ["smoothed"]


def smoothed(packets: Iterator[Packet], options: SmoothOptions) -> Iterator[Packet]:
    """The packets, smoothed where that is asked for.

    Raises:
        InputError: people without track ids, or a cutoff too high for a clip, when they come.
    """
    if options.smooth == "one-euro":
        return smooth_one_euro(packets)
    if options.smooth == "savgol":
        return smooth_savgol(packets)
    if options.smooth == "butterworth":
        return smooth_butterworth(packets, cutoff=options.cutoff or DEFAULT_CUTOFF)
    return packets
