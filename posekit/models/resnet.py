"""ResNet and its variants, and the Simple Baseline pose network on top of them.

Architecture: ResNet (arXiv 1512.03385) with the stride in a bottleneck's 3x3 convolution, ResNeXt
32x4d (arXiv 1611.05431), ResNet-D (arXiv 1812.01187, OpenMMLab's ResNetV1d), SE-ResNet (arXiv
1709.01507); Simple Baselines (arXiv 1804.06208) for the deconvolution head.

`ResNet`: (N, 3, H, W) -> (N, 2048, H/32, W/32).
`ResNetPose`: images (N, 3, H, W), RGB, normalised -> heat maps (N, K, H/4, W/4), or of half that
size where there are two deconvolutions only.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from posekit.models.family import Family
from posekit.models.heatmap_head import HEATMAP_HEAD_KEYS, HeatmapHead
from posekit.models.layers import ConvBNAct

__all__ = ["ResNet", "ResNetPose"]

FAMILY = Family(
    codec="posekit.codecs.heatmap.MSRAHeatmap",
    outputs=("heatmap",),
    stride=32,
    codec_defaults={"shift_heatmap": True},
    recipe="heatmap",
    openmmlab_keys=(
        *HEATMAP_HEAD_KEYS,
        (r"backbone\.(layer.*)\.se_layer\.conv([12])\.conv\.(.*)", r"backbone.\1.se.conv\2.\3"),
        (r"backbone\.(.*)", r"backbone.\1"),
    ),
)

# Depth -> blocks of the four stages.
STAGE_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
STAGE_WIDTHS = (64, 128, 256, 512)  # inside of a block
EXPANSION = 4  # of a block's output
GROUPS = 32  # of ResNeXt, whose blocks are twice as wide inside
SQUEEZE = 16  # of SE-ResNet: channels per hidden channel

Kind = Literal["resnet", "resnext", "resnetv1d", "seresnet"]


class SqueezeExcitation(nn.Module):
    """Weighs each channel by a gate computed from the means of all: (N, C, H, W) likewise."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels // SQUEEZE, 1)
        self.conv2 = nn.Conv2d(channels // SQUEEZE, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.conv1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return x * out


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution with a shortcut: (N, C, H, W) -> (N, 4 * width, ...)."""

    def __init__(self, in_channels: int, width: int, stride: int, kind: Kind = "resnet") -> None:
        super().__init__()
        out_channels = width * EXPANSION
        groups = GROUPS if kind == "resnext" else 1
        width = 2 * width if kind == "resnext" else width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.se = SqueezeExcitation(out_channels) if kind == "seresnet" else nn.Identity()
        self.relu = nn.ReLU(inplace=True)
        # ResNet-D takes the mean of the pixels that a stride leaves out.
        pooled = kind == "resnetv1d" and stride > 1
        self.downsample = (
            nn.Identity()
            if stride == 1 and in_channels == out_channels
            else nn.Sequential(
                *([nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)] * pooled),
                nn.Conv2d(in_channels, out_channels, 1, 1 if pooled else stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        out: Tensor = self.relu(self.se(self.bn3(self.conv3(x))) + shortcut)
        return out


class ResNet(nn.Module):
    """The backbone: images (N, 3, H, W) to the feature at stride 32.

    Args:
        depth: 50, 101 or 152.
        kind: ResNet or a variant of it.
    """

    out_channels = STAGE_WIDTHS[-1] * EXPANSION

    def __init__(self, *, depth: int, kind: Kind = "resnet") -> None:
        super().__init__()
        if depth not in STAGE_BLOCKS:
            raise ValueError(f"depth: expected one of {sorted(STAGE_BLOCKS)}, found {depth}")
        in_channels = STAGE_WIDTHS[0]
        self.relu = nn.ReLU(inplace=True)
        self.has_deep_stem = kind == "resnetv1d"
        if self.has_deep_stem:
            half = in_channels // 2
            self.stem = nn.Sequential(
                ConvBNAct(3, half, 3, 2, act=nn.ReLU),
                ConvBNAct(half, half, 3, act=nn.ReLU),
                ConvBNAct(half, in_channels, 3, act=nn.ReLU),
            )
        else:
            self.conv1 = nn.Conv2d(3, in_channels, 7, 2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(in_channels)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        stages = []
        for index, (width, num_blocks) in enumerate(
            zip(STAGE_WIDTHS, STAGE_BLOCKS[depth], strict=True)
        ):
            blocks = []
            for block in range(num_blocks):
                stride = 2 if index and block == 0 else 1
                blocks.append(Bottleneck(in_channels, width, stride, kind))
                in_channels = width * EXPANSION
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x) if self.has_deep_stem else self.relu(self.bn1(self.conv1(x)))
        x = self.maxpool(x)  # (N, 64, H/4, W/4)
        x = self.layer2(self.layer1(x))  # (N, 512, H/8, W/8)
        out: Tensor = self.layer4(self.layer3(x))  # (N, 2048, H/32, W/32)
        return out


class ResNetPose(nn.Module):
    """Simple Baseline with ResNet-50, -101 or -152, or a variant of these.

    Args:
        depth: number of layers of the backbone: 50, 101 or 152.
        kind: variant of the backbone, as in `ResNet`.
        num_keypoints: K.
        num_deconvs: D, deconvolutions, each of which doubles the size of the maps.
    """

    def __init__(
        self, *, depth: int, num_keypoints: int, num_deconvs: int = 3, kind: Kind = "resnet"
    ) -> None:
        super().__init__()
        self.backbone = ResNet(depth=depth, kind=kind)
        self.head = HeatmapHead(
            ResNet.out_channels,
            num_keypoints,
            deconv_channels=(256,) * num_deconvs,
            deconv_kernels=(4,) * num_deconvs,
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W), sides multiples of 32 -> heat maps (N, K, H * 2^D / 32, W * 2^D / 32)."""
        out: Tensor = self.head(self.backbone(images))
        return out
