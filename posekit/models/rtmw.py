"""RTMW: whole-body RTMPose with a feature pyramid and a decoder on two scales.

Architecture: RTMW (arXiv 2407.08634), section 3; RTMW3D, which gives depth too, is in rtmw3d.py.

Images (N, 3, H, W), RGB, normalised -> logits over x bins (N, K, W * split_ratio) and over y bins
(N, K, H * split_ratio).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from posekit.models.cspnext import CSPNEXT_KEYS, CSPNeXt, cspnext_channels, cspnext_pafpn
from posekit.models.family import Family, Rule
from posekit.models.layers import ConvBNAct
from posekit.models.rtmpose import (
    GATED_ATTENTION_KEYS,
    STRIDE,
    GatedAttentionUnit,
    ScaleNorm,
    start_near_uniform,
)

__all__ = ["RTMW", "RTMW_KEYS", "TwoScaleTokens"]

# Keys of OpenMMLab's checkpoints, see `Family.openmmlab_keys`.
RTMW_KEYS: tuple[Rule, ...] = (
    *CSPNEXT_KEYS,
    *GATED_ATTENTION_KEYS,
    (r"head\.conv_dec\.(.*)", r"head.decoder_conv.\1"),
    (r"head\.final_layer\.(.*)", r"head.coarse_layer.\1"),
    (r"head\.final_layer2\.(.*)", r"head.fine_layer.\1"),
    (r"head\.mlp\.0\.g", r"head.coarse_norm.gain"),
    (r"head\.mlp\.1\.weight", r"head.coarse_proj.weight"),
    (r"head\.mlp2\.0\.g", r"head.fine_norm.gain"),
    (r"head\.mlp2\.1\.weight", r"head.fine_proj.weight"),
)

FAMILY = Family(
    codec="posekit.codecs.simcc.SimCC",
    outputs=("simcc_x", "simcc_y"),
    stride=32,
    recipe="rtmw",
    onnx=True,
    openmmlab_keys=RTMW_KEYS,
)

UPSCALE = 2  # of the pixel shuffle between the two scales
TOKEN_CHANNELS = 256


class TwoScaleTokens(nn.Module):
    """A token per keypoint: half of it comes from stride 32, half from stride 16.

    Args:
        in_channels: channels of the stride-32 feature; the stride-16 one has half as many.
        num_keypoints: K.
        input_size: (w, h) of the network's input, in pixels.
        token_channels: size of a keypoint's token.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        num_keypoints: int,
        input_size: Sequence[int],
        token_channels: int = TOKEN_CHANNELS,
    ) -> None:
        super().__init__()
        width, height = input_size
        cells = (width // STRIDE) * (height // STRIDE)
        shuffled, decoded = in_channels // UPSCALE**2, in_channels // 4
        self.shuffle = nn.PixelShuffle(UPSCALE)
        self.decoder_conv = ConvBNAct(shuffled, decoded, 7, act=nn.ReLU)
        self.coarse_layer = ConvBNAct(in_channels, num_keypoints, 7, act=nn.ReLU)
        self.fine_layer = ConvBNAct(in_channels // 2 + decoded, num_keypoints, 7, act=nn.ReLU)
        self.coarse_norm = ScaleNorm()
        self.coarse_proj = nn.Linear(cells, token_channels // 2, bias=False)
        self.fine_norm = ScaleNorm()
        self.fine_proj = nn.Linear(cells * UPSCALE**2, token_channels // 2, bias=False)
        self.attention = GatedAttentionUnit(token_channels)

    def tokens(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Features of strides 16 and 32 -> (N, K, C)."""
        decoded = self.decoder_conv(self.shuffle(coarse))  # (N, C/4, H/16, W/16)
        coarse_map = self.coarse_layer(coarse).flatten(2)  # (N, K, h * w)
        joined = torch.cat([decoded, fine], dim=1)
        fine_map = self.fine_layer(joined).flatten(2)  # (N, K, 4 * h * w)
        tokens = torch.cat(
            [
                self.coarse_proj(self.coarse_norm(coarse_map)),
                self.fine_proj(self.fine_norm(fine_map)),
            ],
            dim=2,
        )
        found: Tensor = self.attention(tokens)
        return found


class TwoScaleSimCCHead(TwoScaleTokens):
    """Logits over the x and y bins of each token's keypoint.

    Args:
        in_channels, num_keypoints, input_size: as in `TwoScaleTokens`.
        split_ratio: bins per pixel.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        num_keypoints: int,
        input_size: Sequence[int],
        split_ratio: float,
    ) -> None:
        super().__init__(in_channels, num_keypoints=num_keypoints, input_size=input_size)
        width, height = input_size
        self.to_x = nn.Linear(TOKEN_CHANNELS, int(width * split_ratio), bias=False)
        self.to_y = nn.Linear(TOKEN_CHANNELS, int(height * split_ratio), bias=False)
        start_near_uniform(self)

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.tokens(fine, coarse)
        return self.to_x(tokens), self.to_y(tokens)


class RTMW(nn.Module):
    """RTMW-m, -l and -x.

    Args:
        deepen_factor: depth of the backbone.
        widen_factor: width of the backbone.
        num_keypoints: K.
        neck_blocks: CSPNeXt blocks in each layer of the feature pyramid.
        input_size: (w, h), multiples of 32.
        split_ratio: SimCC bins per pixel.
    """

    def __init__(
        self,
        *,
        deepen_factor: float,
        widen_factor: float,
        num_keypoints: int,
        neck_blocks: int,
        input_size: Sequence[int] = (192, 256),
        split_ratio: float = 2.0,
    ) -> None:
        super().__init__()
        channels = cspnext_channels(widen_factor)
        self.backbone = CSPNeXt(deepen_factor=deepen_factor, widen_factor=widen_factor)
        self.neck = cspnext_pafpn(channels, num_blocks=neck_blocks, out_channels=None)
        self.head = TwoScaleSimCCHead(
            channels[-1],
            num_keypoints=num_keypoints,
            input_size=input_size,
            split_ratio=split_ratio,
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> x logits (N, K, W * split_ratio), y logits (N, K, H * split_ratio)."""
        _, fine, coarse = self.neck(self.backbone(images))
        return self.head(fine, coarse)
