"""The head of heat-map networks: a feature map -> one map per keypoint.

Source: Simple Baselines (arXiv 1804.06208) for the deconvolutions; HRNet (arXiv 1908.07919) and
ViTPose (arXiv 2204.12484) use it with fewer of them, or with none.

Features (N, C, h, w) -> heat maps (N, K, h * 2^n, w * 2^n), n being the number of deconvolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from posekit.models.family import Rule

__all__ = ["HEATMAP_HEAD_KEYS", "HeatmapHead"]

# Keys of OpenMMLab's checkpoints, see `Family.openmmlab_keys`. mmpose 0.x calls the head
# `keypoint_head`, and the convolutions before its last layer are part of `final_layer` there.
HEATMAP_HEAD_KEYS: tuple[Rule, ...] = (
    (r"(?:keypoint_)?head\.final_layer\.(weight|bias)", r"head.final_layer.\1"),
    (r"keypoint_head\.final_layer\.([01])\.(.*)", r"head.conv_layers.\1.\2"),
    (r"keypoint_head\.final_layer\.3\.(.*)", r"head.final_layer.\1"),
    (r"(?:keypoint_)?head\.(deconv|conv)_layers\.(.*)", r"head.\1_layers.\2"),
)

# Kernel of a deconvolution -> (padding, output padding) with which it doubles the size.
DECONV_PADDING = {2: (0, 0), 3: (1, 1), 4: (1, 0)}


def _deconv_layers(in_channels: int, channels: Sequence[int], kernels: Sequence[int]) -> nn.Module:
    """Stride-2 deconvolutions, each normalised and rectified, as one flat sequence."""
    layers: list[nn.Module] = []
    for out_channels, kernel in zip(channels, kernels, strict=True):
        if kernel not in DECONV_PADDING:
            raise ValueError(
                f"deconv_kernels: expected sizes among {sorted(DECONV_PADDING)}, found {kernel}"
            )
        padding, output_padding = DECONV_PADDING[kernel]
        layers += [
            nn.ConvTranspose2d(
                in_channels,
                out_channels,
                kernel,
                stride=2,
                padding=padding,
                output_padding=output_padding,
                bias=False,
            ),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
        in_channels = out_channels
    return nn.Sequential(*layers)


def _conv_layers(in_channels: int, channels: Sequence[int], kernels: Sequence[int]) -> nn.Module:
    """Convolutions that keep the size, with bias although a norm follows, as one flat sequence."""
    layers: list[nn.Module] = []
    for out_channels, kernel in zip(channels, kernels, strict=True):
        layers += [
            nn.Conv2d(in_channels, out_channels, kernel, padding=(kernel - 1) // 2),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
        in_channels = out_channels
    return nn.Sequential(*layers)


class HeatmapHead(nn.Module):
    """Deconvolutions, convolutions, and a last convolution to one map per keypoint.

    Args:
        in_channels: C, of the feature map.
        num_keypoints: K.
        deconv_channels: output channels of each deconvolution; each one doubles the size.
        deconv_kernels: their kernel sizes: 2, 3 or 4.
        conv_channels: output channels of each convolution after them.
        conv_kernels: their kernel sizes, odd.
        final_kernel: kernel size of the last convolution, odd.
    """

    def __init__(
        self,
        in_channels: int,
        num_keypoints: int,
        *,
        deconv_channels: Sequence[int] = (256, 256, 256),
        deconv_kernels: Sequence[int] = (4, 4, 4),
        conv_channels: Sequence[int] = (),
        conv_kernels: Sequence[int] = (),
        final_kernel: int = 1,
    ) -> None:
        super().__init__()
        after_deconv = [in_channels, *deconv_channels][-1]
        after_conv = [after_deconv, *conv_channels][-1]
        self.deconv_layers = _deconv_layers(in_channels, deconv_channels, deconv_kernels)
        self.conv_layers = _conv_layers(after_deconv, conv_channels, conv_kernels)
        self.final_layer = nn.Conv2d(
            after_conv, num_keypoints, final_kernel, padding=(final_kernel - 1) // 2
        )
        self._init_weights()

    def _init_weights(self) -> None:
        """Small weights: at first the maps are nearly flat, as targets mostly are."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.001)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, feature: Tensor) -> Tensor:
        feature = self.deconv_layers(feature)  # (N, deconv_channels[-1], h * 2^n, w * 2^n)
        feature = self.conv_layers(feature)
        return self.final_layer(feature)
