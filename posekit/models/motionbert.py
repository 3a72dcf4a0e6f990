"""MotionBERT: lifts sequences of 2D keypoints to 3D.

Architecture: MotionBERT (arXiv 2210.06551), section 3.2: the dual-stream spatio-temporal
transformer (DSTformer) and a linear regression head.

Keypoints (N, T, K, 3), normalised x, y and a confidence -> (N, T, K, 3), x, y, z in the same
normalised units, z away from the camera.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from posekit.errors import InputError
from posekit.models.family import Family

__all__ = ["MotionBERT"]

FAMILY = Family(
    codec="posekit.codecs.lifting.MotionBERTLift",
    outputs=("keypoints_3d",),
    recipe="motionbert",
    openmmlab_keys=(
        (r"backbone\.joints_embed\.(.*)", r"embed.\1"),
        (r"backbone\.spat_embed", r"spatial_position"),
        (r"backbone\.temp_embed", r"temporal_position"),
        (
            r"backbone\.blocks_(st|ts)\.(\d+)\.(norm[12]|attn)_s\.(.*)",
            r"blocks_\1.\2.spatial.\3.\4",
        ),
        (
            r"backbone\.blocks_(st|ts)\.(\d+)\.(norm[12]|attn)_t\.(.*)",
            r"blocks_\1.\2.temporal.\3.\4",
        ),
        (r"backbone\.blocks_(st|ts)\.(\d+)\.mlp_s\.0\.(.*)", r"blocks_\1.\2.spatial.fc1.\3"),
        (r"backbone\.blocks_(st|ts)\.(\d+)\.mlp_s\.2\.(.*)", r"blocks_\1.\2.spatial.fc2.\3"),
        (r"backbone\.blocks_(st|ts)\.(\d+)\.mlp_t\.0\.(.*)", r"blocks_\1.\2.temporal.fc1.\3"),
        (r"backbone\.blocks_(st|ts)\.(\d+)\.mlp_t\.2\.(.*)", r"blocks_\1.\2.temporal.fc2.\3"),
        (r"backbone\.attn_regress\.(\d+)\.(.*)", r"fusion.\1.\2"),
        (r"backbone\.norm\.(.*)", r"norm.\1"),
        (r"head\.pre_logits\.fc\.(.*)", r"representation.\1"),
        (r"head\.fc\.(.*)", r"head.\1"),
    ),
)

NORM_EPS = 1e-6


class Attention(nn.Module):
    """Multi-head self-attention: (B, L, C) -> (B, L, C)."""

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        heads = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))  # (B, L, 3, heads, C / heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # (B, heads, L, C / heads) each
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


class TransformerLayer(nn.Module):
    """Attention and a two-layer perceptron, each normalised before and added to its input."""

    def __init__(self, channels: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = int(channels * mlp_ratio)
        self.norm1 = nn.LayerNorm(channels, eps=NORM_EPS)
        self.attn = Attention(channels, num_heads)
        self.norm2 = nn.LayerNorm(channels, eps=NORM_EPS)
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.fc2(nn.functional.gelu(self.fc1(self.norm2(x))))


class StreamBlock(nn.Module):
    """One layer across the keypoints of a frame and one across the frames of a keypoint."""

    def __init__(
        self, channels: int, num_heads: int, mlp_ratio: float, *, spatial_first: bool
    ) -> None:
        super().__init__()
        self.spatial = TransformerLayer(channels, num_heads, mlp_ratio)
        self.temporal = TransformerLayer(channels, num_heads, mlp_ratio)
        self.spatial_first = spatial_first

    def forward(self, x: Tensor) -> Tensor:
        if self.spatial_first:
            return self._across_frames(self._across_keypoints(x))
        return self._across_keypoints(self._across_frames(x))

    def _across_keypoints(self, x: Tensor) -> Tensor:
        out: Tensor = self.spatial(x.flatten(0, 1))  # (N * T, K, C)
        return out.view(x.shape)

    def _across_frames(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)  # (N, K, T, C)
        out: Tensor = self.temporal(x.flatten(0, 1))  # (N * K, T, C)
        return out.view(x.shape).transpose(1, 2)


class MotionBERT(nn.Module):
    """MotionBERT, full (512 channels, MLP ratio 2) and lite (256 channels, MLP ratio 4).

    Args:
        channels: C, size of a keypoint's token.
        depth: number of blocks in each stream.
        num_heads: attention heads.
        mlp_ratio: hidden channels of the perceptrons, in multiples of C.
        representation_channels: size of the motion representation before the regression.
        num_keypoints: K.
        max_frames: longest sequence.
        adaptive_fusion: weigh the two streams per keypoint and frame; False averages them.
    """

    def __init__(
        self,
        *,
        channels: int = 512,
        depth: int = 5,
        num_heads: int = 8,
        mlp_ratio: float = 2.0,
        representation_channels: int = 512,
        num_keypoints: int = 17,
        max_frames: int = 243,
        adaptive_fusion: bool = True,
    ) -> None:
        super().__init__()
        self.max_frames = max_frames
        self.embed = nn.Linear(3, channels)
        self.spatial_position = nn.Parameter(torch.zeros(1, num_keypoints, channels))
        self.temporal_position = nn.Parameter(torch.zeros(1, max_frames, 1, channels))

        def stream(*, spatial_first: bool) -> nn.ModuleList:
            return nn.ModuleList(
                StreamBlock(channels, num_heads, mlp_ratio, spatial_first=spatial_first)
                for _ in range(depth)
            )

        self.blocks_st = stream(spatial_first=True)
        self.blocks_ts = stream(spatial_first=False)
        self.fusion = nn.ModuleList(
            nn.Linear(2 * channels, 2) for _ in range(depth if adaptive_fusion else 0)
        )
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.representation = nn.Linear(channels, representation_channels)
        self.head = nn.Linear(representation_channels, 3)
        nn.init.trunc_normal_(self.spatial_position, std=0.02)
        nn.init.trunc_normal_(self.temporal_position, std=0.02)

    def forward(self, keypoints: Tensor) -> Tensor:
        """(N, T, K, 3) with T up to `max_frames` -> (N, T, K, 3)."""
        frames = keypoints.shape[1]
        if frames > self.max_frames:
            raise InputError(
                f"expected at most {self.max_frames} frames, found {frames}; "
                "lift longer sequences in windows"
            )
        # Not a slice, of which torch.export of PyTorch 2.4 says that it has one length only.
        in_time = self.temporal_position.narrow(1, 0, frames)
        x = self.embed(keypoints) + self.spatial_position + in_time
        for index, (block_st, block_ts) in enumerate(
            zip(self.blocks_st, self.blocks_ts, strict=True)
        ):
            x_st, x_ts = block_st(x), block_ts(x)  # (N, T, K, C) each
            if len(self.fusion):
                weights = self.fusion[index](torch.cat([x_st, x_ts], dim=-1)).softmax(dim=-1)
                x = x_st * weights[..., :1] + x_ts * weights[..., 1:]
            else:
                x = (x_st + x_ts) * 0.5
        features = self.representation(self.norm(x)).tanh()  # (N, T, K, representation_channels)
        out: Tensor = self.head(features)
        return out
