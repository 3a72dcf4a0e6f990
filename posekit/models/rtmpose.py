"""RTMPose: real-time top-down pose estimation with SimCC.

Architecture: RTMPose (arXiv 2303.07399), section 3; SimCC (arXiv 2107.03332); the gated attention
unit is that of FLASH (arXiv 2202.10447).

Images (N, 3, H, W), RGB, normalised -> logits over x bins (N, K, W * split_ratio) and over y bins
(N, K, H * split_ratio).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from posekit.models.cspnext import CSPNEXT_KEYS, CSPNeXt, cspnext_channels
from posekit.models.family import Family, Rule

__all__ = [
    "GATED_ATTENTION_KEYS",
    "GatedAttentionUnit",
    "RTMPose",
    "ScaleNorm",
    "start_near_uniform",
]

# Keys of OpenMMLab's checkpoints, see `Family.openmmlab_keys`.
GATED_ATTENTION_KEYS: tuple[Rule, ...] = (
    (r"head\.gau\.(gamma|beta)", r"head.attention.\1"),
    (r"head\.gau\.ln\.g", r"head.attention.norm.gain"),
    (r"head\.gau\.uv\.weight", r"head.attention.in_proj.weight"),
    (r"head\.gau\.o\.weight", r"head.attention.out_proj.weight"),
    (r"head\.gau\.res_scale\.scale", r"head.attention.residual_scale"),
    (r"head\.cls_([xyz])\.weight", r"head.to_\1.weight"),
)

FAMILY = Family(
    codec="posekit.codecs.simcc.SimCC",
    outputs=("simcc_x", "simcc_y"),
    stride=32,
    recipe="rtmpose",
    onnx=True,
    openmmlab_keys=(
        *CSPNEXT_KEYS,
        *GATED_ATTENTION_KEYS,
        (r"head\.final_layer\.(.*)", r"head.final_layer.\1"),
        (r"head\.mlp\.0\.g", r"head.token_norm.gain"),
        (r"head\.mlp\.1\.weight", r"head.token_proj.weight"),
    ),
)

STRIDE = 32


class ScaleNorm(nn.Module):
    """Divides by the root mean square of the last axis, times one learned gain."""

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        rms = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * x.shape[-1] ** -0.5
        return x / rms.clamp(min=self.eps) * self.gain


class GatedAttentionUnit(nn.Module):
    """Self-attention over keypoints with squared-ReLU weights and a gate: (N, K, C) -> (N, K, C).

    Args:
        channels: C.
        key_channels: size of queries and keys.
        expansion: channels of gate and values, in multiples of C.
        num_tokens: K, to learn a position embedding for each token; None for no embeddings.
    """

    def __init__(
        self,
        channels: int,
        *,
        key_channels: int = 128,
        expansion: int = 2,
        num_tokens: int | None = None,
    ) -> None:
        super().__init__()
        inner = channels * expansion
        self.sizes = (inner, inner, key_channels)
        self.norm = ScaleNorm()
        self.in_proj = nn.Linear(channels, sum(self.sizes), bias=False)
        self.gamma = nn.Parameter(torch.rand(2, key_channels))
        self.beta = nn.Parameter(torch.rand(2, key_channels))
        self.out_proj = nn.Linear(inner, channels, bias=False)
        self.residual_scale = nn.Parameter(torch.ones(channels))
        self.positions = (
            None if num_tokens is None else nn.Parameter(torch.randn(num_tokens, key_channels))
        )

    def forward(self, x: Tensor) -> Tensor:
        projected = nn.functional.silu(self.in_proj(self.norm(x)))
        gate, values, base = projected.split(
            self.sizes, dim=-1
        )  # (N, K, 2C), (N, K, 2C), (N, K, S)
        query, key = (base.unsqueeze(2) * self.gamma + self.beta).unbind(dim=2)  # (N, K, S) each
        if self.positions is not None:
            query, key = query + self.positions, key + self.positions
        weights = (query @ key.transpose(1, 2) / math.sqrt(self.sizes[2])).relu().square()
        out: Tensor = self.out_proj(gate * (weights @ values))
        return x * self.residual_scale + out


def start_near_uniform(head: nn.Module) -> None:
    """Initialises a SimCC head: logits near zero, since the loss multiplies them by ten.

    With PyTorch's default initialisation, training from random weights gets stuck at the mean pose.
    """
    for module in head.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
        elif isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.001)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class SimCCHead(nn.Module):
    """Feature map -> one token per keypoint -> logits over x and y bins.

    Args:
        in_channels: channels of the feature map.
        num_keypoints: K.
        input_size: (w, h) of the network's input, in pixels.
        split_ratio: bins per pixel.
        token_channels: size of a keypoint's token.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        num_keypoints: int,
        input_size: Sequence[int],
        split_ratio: float,
        token_channels: int = 256,
    ) -> None:
        super().__init__()
        width, height = input_size
        cells = (width // STRIDE) * (height // STRIDE)
        self.final_layer = nn.Conv2d(in_channels, num_keypoints, 7, padding=3)
        self.token_norm = ScaleNorm()
        self.token_proj = nn.Linear(cells, token_channels, bias=False)
        self.attention = GatedAttentionUnit(token_channels)
        self.to_x = nn.Linear(token_channels, int(width * split_ratio), bias=False)
        self.to_y = nn.Linear(token_channels, int(height * split_ratio), bias=False)
        start_near_uniform(self)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.final_layer(feature).flatten(2)  # (N, K, h * w)
        tokens = self.attention(self.token_proj(self.token_norm(tokens)))  # (N, K, C)
        return self.to_x(tokens), self.to_y(tokens)


class RTMPose(nn.Module):
    """RTMPose-t, -s, -m, -l and -x.

    Args:
        deepen_factor: depth of the backbone.
        widen_factor: width of the backbone.
        num_keypoints: K.
        input_size: (w, h), multiples of 32.
        split_ratio: SimCC bins per pixel.
    """

    def __init__(
        self,
        *,
        deepen_factor: float,
        widen_factor: float,
        num_keypoints: int,
        input_size: Sequence[int] = (192, 256),
        split_ratio: float = 2.0,
    ) -> None:
        super().__init__()
        self.backbone = CSPNeXt(deepen_factor=deepen_factor, widen_factor=widen_factor)
        self.head = SimCCHead(
            cspnext_channels(widen_factor)[-1],
            num_keypoints=num_keypoints,
            input_size=input_size,
            split_ratio=split_ratio,
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> x logits (N, K, W * split_ratio), y logits (N, K, H * split_ratio)."""
        return self.head(self.backbone(images)[-1])
