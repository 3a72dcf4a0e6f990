"""VideoPose3D: lifts sequences of 2D keypoints to 3D by dilated convolutions over time.

Architecture: VideoPose3D (arXiv 1811.11742), section 3. With kernels of one frame, and without the
root joint in the output, it is SimpleBaseline3D (arXiv 1705.03098) as MMPose has it.

Keypoints (N, T, K, 2), normalised x and y -> (N, T, K, 3), in metres from the root joint, x right,
y down, z away from the camera.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from posekit.errors import InputError
from posekit.models.family import Family

__all__ = ["VideoPose3D"]

FAMILY = Family(
    codec="posekit.codecs.lifting.VideoPoseLift",
    outputs=("keypoints_3d",),
    openmmlab_keys=(
        # Semi-supervised training has a second network, which finds where people are in the scene.
        (r"traj_(backbone|head)\..*", None),
        (r"backbone\.expand_conv\.(.*)", r"expand.\1"),
        (r"backbone\.tcn_blocks\.(\d)\.conv([12])\.0\.(.*)", r"blocks.\1.conv\2.\3"),
        (r"(?:keypoint_)?head\.conv\.(.*)", r"head.\1"),
    ),
)


class ConvNorm(nn.Module):
    """A convolution over time, normalised and rectified: (N, C, T) -> (N, C', T - (k - 1) * d)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel, dilation=dilation, bias=False)
        self.bn = nn.BatchNorm1d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)).relu()


class TemporalBlock(nn.Module):
    """A dilated convolution and a 1x1 one, beside the frames in the middle of what it sees."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.cut = (kernel - 1) * dilation // 2
        self.conv1 = ConvNorm(channels, channels, kernel, dilation)
        self.conv2 = ConvNorm(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        middle = x[:, :, self.cut : x.shape[2] - self.cut]
        return middle + self.conv2(self.conv1(x))


class VideoPose3D(nn.Module):
    """VideoPose3D, which sees F frames around each frame; F is the product of its kernel sizes.

    Beyond the ends of a sequence it sees the first and the last frame repeated.

    Args:
        kernel_sizes: over time, odd; (3, 3, 3) sees 27 frames.
        num_keypoints: K.
        channels: channels of the features.
        gives_root: whether the root joint is in the output, which has K - 1 joints otherwise.
        max_frames: longest sequence in one call.
    """

    def __init__(
        self,
        *,
        kernel_sizes: Sequence[int],
        num_keypoints: int = 17,
        channels: int = 1024,
        gives_root: bool = True,
        max_frames: int = 243,
    ) -> None:
        super().__init__()
        if not kernel_sizes or not all(kernel % 2 for kernel in kernel_sizes):
            raise ValueError(f"kernel_sizes: expected odd sizes, found {list(kernel_sizes)}")
        self.max_frames = max_frames
        self.reach = math.prod(kernel_sizes) // 2  # frames on either side
        self.expand = ConvNorm(2 * num_keypoints, channels, kernel_sizes[0])
        self.blocks = nn.ModuleList(
            TemporalBlock(channels, kernel, math.prod(kernel_sizes[:index]))
            for index, kernel in enumerate(kernel_sizes)
            if index
        )
        self.head = nn.Conv1d(channels, 3 * (num_keypoints - (not gives_root)), 1)

    def forward(self, keypoints: Tensor) -> Tensor:
        """(N, T, K, 2) with T up to `max_frames` -> (N, T, K, 3), or K - 1 joints."""
        frames = keypoints.shape[1]
        if frames > self.max_frames:
            raise InputError(
                f"expected at most {self.max_frames} frames, found {frames}; "
                "lift longer sequences in windows"
            )
        x = keypoints.flatten(2).transpose(1, 2)  # (N, 2 * K, T)
        x = self.expand(nn.functional.pad(x, (self.reach, self.reach), mode="replicate"))
        for block in self.blocks:
            x = block(x)
        return self.head(x).transpose(1, 2).unflatten(2, (-1, 3))
