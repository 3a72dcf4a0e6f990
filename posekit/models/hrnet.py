"""HRNet: branches of several resolutions side by side, exchanging features throughout.

Architecture: HRNet (arXiv 1902.09212, 1908.07919). HRNet's head reads the branch of the highest
resolution; HRNetV2's reads all of them, upsampled to it and concatenated.

Images (N, 3, H, W), RGB, normalised -> heat maps (N, K, H / 4, W / 4), or (N, 3 * K, H / 4, W / 4)
where offsets in x and y follow each keypoint's map (UDP, arXiv 1911.07524).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from posekit.models.family import Family, Rule
from posekit.models.heatmap_head import HEATMAP_HEAD_KEYS, HeatmapHead
from posekit.models.layers import ConvBNAct

__all__ = ["HRNetPose"]


def _stage_keys(index: int) -> tuple[Rule, ...]:
    """Rules of a stage; the source counts stages from one, and its first has a single branch."""
    stage, target = rf"backbone\.stage{index + 2}\.(\d)", rf"backbone.stages.{index}.\1"
    new_branch = rf"backbone\.transition{index + 1}\.{index + 1}\.0"
    return (
        (rf"{new_branch}\.0\.(.*)", rf"backbone.new_branches.{index}.conv.\1"),
        (rf"{new_branch}\.1\.(.*)", rf"backbone.new_branches.{index}.bn.\1"),
        (rf"{stage}\.(branches\.\d\.\d)\.conv(\d)\.(.*)", rf"{target}.\2.conv\3.conv.\4"),
        (rf"{stage}\.(branches\.\d\.\d)\.bn(\d)\.(.*)", rf"{target}.\2.conv\3.bn.\4"),
        # From a lower resolution there is one convolution, from a higher one as many as halvings.
        (rf"{stage}\.fuse_layers\.(\d\.\d)\.0\.(\w+)", rf"{target}.fuse.\2.0.conv.\3"),
        (rf"{stage}\.fuse_layers\.(\d\.\d)\.1\.(\w+)", rf"{target}.fuse.\2.0.bn.\3"),
        (rf"{stage}\.fuse_layers\.(\d\.\d\.\d)\.0\.(\w+)", rf"{target}.fuse.\2.conv.\3"),
        (rf"{stage}\.fuse_layers\.(\d\.\d\.\d)\.1\.(\w+)", rf"{target}.fuse.\2.bn.\3"),
    )


# A convolution and its norm, which the source keeps apart, are one block.
FAMILY = Family(
    codec="posekit.codecs.heatmap.MSRAHeatmap",
    outputs=("heatmap",),
    stride=32,
    codec_defaults={"shift_heatmap": True},
    recipe="heatmap",
    openmmlab_keys=(
        *HEATMAP_HEAD_KEYS,
        (r"backbone\.conv1\.(.*)", r"backbone.stem.0.conv.\1"),
        (r"backbone\.bn1\.(.*)", r"backbone.stem.0.bn.\1"),
        (r"backbone\.conv2\.(.*)", r"backbone.stem.1.conv.\1"),
        (r"backbone\.bn2\.(.*)", r"backbone.stem.1.bn.\1"),
        (r"backbone\.layer1\.(\d)\.conv(\d)\.(.*)", r"backbone.layer1.\1.conv\2.conv.\3"),
        (r"backbone\.layer1\.(\d)\.bn(\d)\.(.*)", r"backbone.layer1.\1.conv\2.bn.\3"),
        (r"backbone\.layer1\.(\d)\.downsample\.0\.(.*)", r"backbone.layer1.\1.shortcut.conv.\2"),
        (r"backbone\.layer1\.(\d)\.downsample\.1\.(.*)", r"backbone.layer1.\1.shortcut.bn.\2"),
        (r"backbone\.transition1\.0\.0\.(.*)", r"backbone.to_width.conv.\1"),
        (r"backbone\.transition1\.0\.1\.(.*)", r"backbone.to_width.bn.\1"),
        *_stage_keys(0),
        *_stage_keys(1),
        *_stage_keys(2),
    ),
)

STEM_CHANNELS = 64
# A bottleneck's output has four times the channels of its 3x3 convolution.
EXPANSION = 4


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut, (N, C, h, w) -> (N, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvBNAct(channels, channels, 3, act=nn.ReLU)
        self.conv2 = ConvBNAct(channels, channels, 3, act=None)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.conv2(self.conv1(x))).relu()


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut.

    (N, in_channels, h, w) -> (N, 4 * channels, h, w).
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        out_channels = channels * EXPANSION
        self.conv1 = ConvBNAct(in_channels, channels, 1, act=nn.ReLU)
        self.conv2 = ConvBNAct(channels, channels, 3, act=nn.ReLU)
        self.conv3 = ConvBNAct(channels, out_channels, 1, act=None)
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else ConvBNAct(in_channels, out_channels, 1, act=None)
        )

    def forward(self, x: Tensor) -> Tensor:
        return (self.shortcut(x) + self.conv3(self.conv2(self.conv1(x)))).relu()


def _to_resolution(
    channels: Sequence[int], source: int, target: int, upsample: Literal["nearest", "bilinear"]
) -> nn.Module:
    """What brings branch `source` to the resolution and channels of branch `target`.

    Up: a 1x1 convolution and one interpolation. Down: a stride-2 convolution per halving, of which
    only the last changes the channels and has no activation.
    """
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            ConvBNAct(channels[source], channels[target], 1, act=None),
            nn.Upsample(
                scale_factor=2 ** (source - target),
                mode=upsample,
                align_corners=False if upsample == "bilinear" else None,
            ),
        )
    steps = [
        ConvBNAct(channels[source], channels[source], 3, 2, act=nn.ReLU)
        for _ in range(target - source - 1)
    ]
    last = ConvBNAct(channels[source], channels[target], 3, 2, act=None)
    return nn.Sequential(*steps, last)


class ExchangeModule(nn.Module):
    """Residual blocks on each branch, then each output is the sum over all branches.

    Args:
        channels: per branch; branch i has 1 / 2^i of the highest resolution.
        num_blocks: residual blocks per branch.
        num_outputs: number of branches to return, from the highest resolution on.
        upsample: interpolation from lower resolutions.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        num_blocks: int,
        num_outputs: int,
        upsample: Literal["nearest", "bilinear"],
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(num_blocks))) for width in channels
        )
        self.fuse = nn.ModuleList(
            nn.ModuleList(
                _to_resolution(channels, source, target, upsample)
                for source in range(len(channels))
            )
            for target in range(num_outputs)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        features = [
            branch(feature) for branch, feature in zip(self.branches, features, strict=True)
        ]
        outputs = []
        for layers in self.fuse:
            assert isinstance(layers, nn.ModuleList)
            total = layers[0](features[0])
            for layer, feature in zip(layers[1:], features[1:], strict=True):
                total = total + layer(feature)
            outputs.append(total.relu())
        return outputs


class HRNet(nn.Module):
    """The backbone: (N, 3, H, W) -> a feature map per branch, of stride 4, 8, 16 and 32.

    Args:
        width: channels of the highest resolution; each lower one has twice as many.
        num_modules: exchange modules of the stages with two, three and four branches.
        num_blocks: residual blocks per branch and module.
        num_outputs: number of branches to return, from the highest resolution on.
        upsample: interpolation from lower resolutions.
    """

    def __init__(
        self,
        *,
        width: int,
        num_modules: Sequence[int],
        num_blocks: int,
        num_outputs: int,
        upsample: Literal["nearest", "bilinear"],
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ConvBNAct(3, STEM_CHANNELS, 3, 2, act=nn.ReLU),
            ConvBNAct(STEM_CHANNELS, STEM_CHANNELS, 3, 2, act=nn.ReLU),
        )
        stem_out = STEM_CHANNELS * EXPANSION
        self.layer1 = nn.Sequential(
            Bottleneck(STEM_CHANNELS, STEM_CHANNELS),
            *(Bottleneck(stem_out, STEM_CHANNELS) for _ in range(num_blocks - 1)),
        )
        channels = [width * 2**branch for branch in range(len(num_modules) + 1)]
        # Each stage starts a branch at half the lowest resolution so far; the first stage brings
        # the highest one to its channels as well.
        self.to_width = ConvBNAct(stem_out, width, 3, act=nn.ReLU)
        self.new_branches = nn.ModuleList(
            ConvBNAct(below, new, 3, 2, act=nn.ReLU)
            for below, new in zip([stem_out, *channels[1:-1]], channels[1:], strict=True)
        )
        self.stages = nn.ModuleList()
        for stage, count in enumerate(num_modules):
            branches = channels[: stage + 2]
            is_last = stage == len(num_modules) - 1
            self.stages.append(
                nn.Sequential(
                    *(
                        ExchangeModule(
                            branches,
                            num_blocks=num_blocks,
                            num_outputs=(
                                num_outputs if is_last and module == count - 1 else len(branches)
                            ),
                            upsample=upsample,
                        )
                        for module in range(count)
                    )
                )
            )

    def forward(self, images: Tensor) -> list[Tensor]:
        feature = self.layer1(self.stem(images))  # (N, 256, H / 4, W / 4)
        features = [self.to_width(feature)]
        lowest = feature
        for new_branch, stage in zip(self.new_branches, self.stages, strict=True):
            features = stage([*features, new_branch(lowest)])
            lowest = features[-1]
        return features


class HRNetPose(nn.Module):
    """HRNet-w32, -w48 and HRNetV2-w18 with a head for heat maps.

    Args:
        width: channels of the highest resolution, 32 for w32.
        num_keypoints: K.
        maps_per_keypoint: M, 3 where a keypoint has a map and its offsets in x and y (UDP).
        concat_branches: HRNetV2: the head reads all branches, through one more 1x1 convolution;
            otherwise only the one of the highest resolution.
        upsample: interpolation between branches, "bilinear" for HRNetV2.
        num_modules: exchange modules of the stages with two, three and four branches.
        num_blocks: residual blocks per branch and module.
    """

    def __init__(
        self,
        *,
        width: int,
        num_keypoints: int,
        maps_per_keypoint: int = 1,
        concat_branches: bool = False,
        upsample: Literal["nearest", "bilinear"] = "nearest",
        num_modules: Sequence[int] = (1, 4, 3),
        num_blocks: int = 4,
    ) -> None:
        super().__init__()
        num_branches = len(num_modules) + 1
        self.backbone = HRNet(
            width=width,
            num_modules=num_modules,
            num_blocks=num_blocks,
            num_outputs=num_branches if concat_branches else 1,
            upsample=upsample,
        )
        in_channels = width * (2**num_branches - 1) if concat_branches else width
        self.head = HeatmapHead(
            in_channels,
            num_keypoints * maps_per_keypoint,
            deconv_channels=(),
            deconv_kernels=(),
            conv_channels=(in_channels,) if concat_branches else (),
            conv_kernels=(1,) if concat_branches else (),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> heat maps (N, K * M, H / 4, W / 4)."""
        highest, *lower = self.backbone(images)  # (N, width, H / 4, W / 4), (N, 2 * width, ...) ...
        if not lower:
            return self.head(highest)
        upsampled = [
            nn.functional.interpolate(
                feature, size=highest.shape[2:], mode="bilinear", align_corners=False
            )
            for feature in lower
        ]
        return self.head(torch.cat([highest, *upsampled], dim=1))
