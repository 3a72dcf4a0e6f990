"""ViTPose: a plain vision transformer with a light head that predicts heat maps.

Architecture: ViTPose (arXiv 2204.12484); the blocks are timm's, of ViT (arXiv 2010.11929).

Images (N, 3, H, W), RGB, normalised -> heat maps (N, K, H / 4, W / 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from posekit.models.family import Family
from posekit.models.heatmap_head import HEATMAP_HEAD_KEYS, HeatmapHead

__all__ = ["ViTPose"]

FAMILY = Family(
    codec="posekit.codecs.heatmap.UDPHeatmap",
    outputs=("heatmap",),
    stride=16,
    recipe="vitpose",
    openmmlab_keys=(
        *HEATMAP_HEAD_KEYS,
        (r"backbone\.pos_embed", r"backbone.pos_embed"),
        (r"backbone\.patch_embed\.projection\.(.*)", r"backbone.patch_embed.\1"),
        (r"backbone\.layers\.(\d+)\.ln([12])\.(.*)", r"backbone.blocks.\1.norm\2.\3"),
        (r"backbone\.layers\.(\d+)\.attn\.(.*)", r"backbone.blocks.\1.attn.\2"),
        (r"backbone\.layers\.(\d+)\.ffn\.layers\.0\.0\.(.*)", r"backbone.blocks.\1.mlp.fc1.\2"),
        (r"backbone\.layers\.(\d+)\.ffn\.layers\.1\.(.*)", r"backbone.blocks.\1.mlp.fc2.\2"),
        (r"backbone\.ln1\.(.*)", r"backbone.norm.\1"),
    ),
)

# timm asks for a class here, but calls it with the number of channels only. Hence Any.
LAYER_NORM: Any = partial(nn.LayerNorm, eps=1e-6)
# The simple head makes up for this much of the patches' 16 pixels, as two deconvolutions would.
UPSAMPLING = 4


class VisionTransformer(nn.Module):
    """Patches -> tokens, without a class token -> blocks -> last norm -> a feature map.

    Args:
        embed_dim: C, channels of a token.
        depth: number of blocks.
        num_heads: attention heads, which share the channels.
        input_size: (w, h) in pixels; fixes the number of positions.
        patch_size: side of a patch, in pixels.
        patch_padding: pixels of zeros around the image.
        mlp_ratio: channels between a block's two linear layers, in multiples of C.
        drop_path_rate: share of samples that skip the last block in training; the blocks before it
            are skipped less, in proportion to their depth.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        depth: int,
        num_heads: int,
        input_size: Sequence[int],
        patch_size: int,
        patch_padding: int,
        mlp_ratio: float,
        drop_path_rate: float,
    ) -> None:
        super().__init__()
        width, height = (
            (size + 2 * patch_padding - patch_size) // patch_size + 1 for size in input_size
        )
        self.patch_embed = nn.Conv2d(
            3, embed_dim, patch_size, stride=patch_size, padding=patch_padding
        )
        self.pos_embed = nn.Parameter(torch.zeros(1, height * width, embed_dim))
        self.blocks = nn.Sequential(
            *(
                Block(
                    embed_dim,
                    num_heads,
                    mlp_ratio=mlp_ratio,
                    qkv_bias=True,
                    drop_path=drop_path_rate * index / max(depth - 1, 1),
                    norm_layer=LAYER_NORM,
                )
                for index in range(depth)
            )
        )
        self.norm = LAYER_NORM(embed_dim)
        self._init_weights()

    def _init_weights(self) -> None:
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patch_embed(images)  # (N, C, h, w)
        tokens = patches.flatten(2).transpose(1, 2) + self.pos_embed  # (N, h * w, C)
        tokens = self.norm(self.blocks(tokens))
        return tokens.transpose(1, 2).reshape(patches.shape)


class ViTPose(nn.Module):
    """ViTPose-s, -b, -l and -h, with the simple or the classic head.

    Args:
        embed_dim: channels of a token: 384, 768, 1024, 1280 from s to h.
        depth: number of blocks: 12, 12, 24, 32.
        num_heads: attention heads: 12, 12, 16, 16.
        num_keypoints: K.
        simple_head: ReLU, upsampling by four and one 3x3 convolution; otherwise two deconvolutions
            and a 1x1 convolution.
        input_size: (w, h) in pixels, multiples of the patch size.
        patch_size: side of a patch, in pixels.
        patch_padding: pixels of zeros around the image before it is cut into patches.
        mlp_ratio: channels between a block's two linear layers, in multiples of embed_dim.
        drop_path_rate: stochastic depth of the last block, for training.
        expert: the data set whose expert, one of six, is taken when a ViTPose+ checkpoint is
            converted (`weights_convert.experts`). The network is the same for all of them.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        depth: int,
        num_heads: int,
        num_keypoints: int,
        simple_head: bool,
        input_size: Sequence[int] = (192, 256),
        patch_size: int = 16,
        patch_padding: int = 2,
        mlp_ratio: float = 4.0,
        drop_path_rate: float = 0.0,
        expert: str | None = None,
    ) -> None:
        super().__init__()
        self.expert = expert
        self.simple_head = simple_head
        self.backbone = VisionTransformer(
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            input_size=input_size,
            patch_size=patch_size,
            patch_padding=patch_padding,
            mlp_ratio=mlp_ratio,
            drop_path_rate=drop_path_rate,
        )
        if simple_head:
            self.head = HeatmapHead(
                embed_dim, num_keypoints, deconv_channels=(), deconv_kernels=(), final_kernel=3
            )
        else:
            self.head = HeatmapHead(
                embed_dim, num_keypoints, deconv_channels=(256, 256), deconv_kernels=(4, 4)
            )

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> heat maps (N, K, H / 4, W / 4)."""
        feature = self.backbone(images)  # (N, C, H / 16, W / 16)
        if self.simple_head:
            feature = nn.functional.interpolate(
                feature.relu(), scale_factor=UPSAMPLING, mode="bilinear", align_corners=False
            )  # (N, C, H / 4, W / 4)
        return self.head(feature)
