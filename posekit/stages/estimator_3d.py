"""The base of estimators of 3D poses: each wraps a `PoseEstimator`."""

from __future__ import annotations

import torch
from torch import nn

from posekit.backends import Backend
from posekit.skeleton import Skeleton
from posekit.spec import PoseSpec
from posekit.stages.estimate import PoseEstimator

__all__ = ["Estimator3D"]


class Estimator3D:
    """An estimator that makes more of the outputs of a `PoseEstimator`'s network.

    Args:
        net: the network, on its device.
        spec: its description.
        skeleton: the keypoints.
        backend: what runs the network, as a `PoseEstimator`'s.
    """

    def __init__(
        self,
        net: nn.Module,
        spec: PoseSpec,
        skeleton: Skeleton,
        *,
        backend: Backend | str | None = None,
    ) -> None:
        self.estimator = PoseEstimator(net, spec, skeleton, backend=backend)

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints."""
        return self.estimator.skeleton

    @property
    def input_size(self) -> tuple[int, int]:
        """(w, h) of the network's input, in pixels."""
        return self.estimator.input_size

    @property
    def padding(self) -> float:
        """Sides of a crop, in multiples of its box's."""
        return self.estimator.padding

    @property
    def device(self) -> torch.device:
        """The device on which crops are prepared for the network."""
        return self.estimator.device
