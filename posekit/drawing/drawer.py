"""Results of images and clips drawn one after the other: picture, heat maps and 3D plots."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from posekit.drawing.marks import Trails
from posekit.drawing.overlay import DrawOptions, draw_heatmap, draw_result
from posekit.drawing.palettes import PALETTES
from posekit.drawing.plot3d import (
    MAX_PLOT,
    MIN_PLOT,
    Limits,
    PlotOptions,
    beside,
    draw_pose3d,
    fit_limits,
)
from posekit.result import PoseResult
from posekit.stages.packet import Clip, Packet

if TYPE_CHECKING:
    from posekit.io.sequence import PictureReader
    from posekit.io.video import VideoReader

__all__ = ["Drawer", "Look"]


@dataclass(frozen=True, kw_only=True)
class Look(DrawOptions, PlotOptions):
    """How results are drawn."""


class Drawer:
    """Draws packets in their order, each once.

    Images of a clip that were not kept are read from its file again.

    Args:
        look: how results are drawn.
    """

    def __init__(self, look: Look) -> None:
        self.look = look
        self._clip: Clip | None = None
        self._limits: Limits | None = None
        self._reader: VideoReader | PictureReader | None = None
        self._images: Iterator[tuple[np.ndarray, float, int]] = iter(())
        self._image: tuple[int, np.ndarray] | None = None  # read once more, by its result's index
        self._trails = Trails() if "trail" in look.marks(tracked=True) else None

    def draw(self, packet: Packet) -> np.ndarray:
        """The drawing (H, W, 3), BGR; heat maps go below the picture and 3D plots beside it."""
        image = self.image_of(packet)
        look, result = self.look, packet.result
        trails = None if self._trails is None else self._trails.update(result)
        drawing = draw_result(image, result, look, trails)
        if packet.heatmap is not None:
            drawing = np.concatenate([drawing, draw_heatmap(image, packet.heatmap)])
        return drawing if result.pose3d is None else beside(drawing, self._plots(result))

    def image_of(self, packet: Packet) -> np.ndarray:
        """The image (H, W, 3), BGR, of the packet that is drawn, or of the next one."""
        if packet.clip is None or packet.clip is not self._clip:
            self.close()
            # Images that follow each other are one sequence, as for a tracker.
            if self._trails is not None and packet.clip is not self._clip:
                self._trails.clear()
            self._clip, self._limits = packet.clip, None
        if packet.image is not None:
            return packet.image
        index = packet.result.index
        if self._image is None or self._image[0] != index:
            self._image = index, self._next_image()
        return self._image[1]

    def _plots(self, result: PoseResult) -> np.ndarray:
        assert result.pose3d is not None
        # One scale for a whole clip, so that nobody shrinks and grows.
        self._limits = fit_limits(result.pose3d, self._limits, kpt_thr=self.look.kpt_thr)
        # As high as the picture, where that can be drawn; `beside` makes them so otherwise.
        cells = max(1, self.look.num_instances)
        height = min(max(result.image_size[1], MIN_PLOT), MAX_PLOT // cells)
        skeleton = PALETTES[self.look.palette].recoloured(result.pose3d.skeleton)
        return draw_pose3d(
            dataclasses.replace(result.pose3d, skeleton=skeleton),
            size_wh=(height * cells, height),
            num_instances=self.look.num_instances,
            limits=self._limits,
            track_ids=result.track_ids,
            kpt_thr=self.look.kpt_thr,
            radius=self.look.radius,
            thickness=self.look.thickness,
        )

    def _next_image(self) -> np.ndarray:
        if self._reader is None:
            assert self._clip is not None
            # What a server gave once, it may not give again.
            download = self._clip.download
            path = Path(self._clip.source) if download is None else download.path
            from posekit.io.sequence import open_clip  # with PyAV, which few drawings need

            self._reader = open_clip(path)
            self._images = self._reader.frames(self._clip.cut)
        return next(self._images)[0]

    def close(self) -> None:
        """Closes the clip that is read again; more calls do nothing."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._image = None

    def __enter__(self) -> Drawer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
