"""RTMO: one-stage pose estimation, the keypoints of all people of an image in one pass.

Architecture: RTMO (arXiv 2312.07526), section 3: the backbone of YOLOX, the hybrid encoder of
RT-DETR (arXiv 2304.08069), and per cell a class, a box and a pose vector, which the dynamic
coordinate classifier turns into keypoints if the cell holds a person.

Images (N, 3, H, W), BGR, 0 to 255 -> class logits (N, 1, h, w), box offsets (N, 4, h, w), logits of
the keypoints' visibility (N, K, h, w) and pose vectors (N, C, h, w), each a tuple of two levels
(strides 16 and 32). Offsets are as YOLOX's. `RTMO.classifier` turns pose vectors into keypoints.
"""

from __future__ import annotations

import copy
import math
from functools import partial

import torch
from torch import Tensor, nn

from posekit.models.cspnext import CSPNEXT_KEYS
from posekit.models.family import Family, Rule
from posekit.models.layers import ConvBNAct
from posekit.models.rtmpose import GatedAttentionUnit
from posekit.models.yolox import BN_EPS, BN_MOMENTUM, STAGE_CHANNELS, CSPDarknet, Swish

__all__ = ["RTMO", "CoordinateClassifier"]

# Keys of OpenMMLab's checkpoints, see `Family.openmmlab_keys`.
RTMO_KEYS: tuple[Rule, ...] = (
    *CSPNEXT_KEYS[:-1],  # without those of its pyramid
    (r"neck\.input_proj\.(.*)", r"neck.in_convs.\1"),
    (r"neck\.encoder\.0\.layers\.0\.self_attn\.attn\.(.*)", r"neck.encoder.attention.\1"),
    (r"neck\.encoder\.0\.layers\.0\.ffn\.layers\.0\.0\.(.*)", r"neck.encoder.fc1.\1"),
    (r"neck\.encoder\.0\.layers\.0\.ffn\.layers\.1\.(.*)", r"neck.encoder.fc2.\1"),
    (r"neck\.encoder\.0\.layers\.0\.norms\.0\.(.*)", r"neck.encoder.norm1.\1"),
    (r"neck\.encoder\.0\.layers\.0\.norms\.1\.(.*)", r"neck.encoder.norm2.\1"),
    (r"neck\.sincos_pos_enc\.dim_t", r"neck.encoder.sine.periods"),
    *(
        (rf"neck\.{theirs}\.(\d)\.{conv}\.(.*)", rf"neck.{ours}.\1.{name}.\2")
        for theirs, ours in (("fpn_blocks", "top_down_blocks"), ("pan_blocks", "bottom_up_blocks"))
        for conv, name in (("conv1", "main_conv"), ("conv2", "short_conv"), ("conv3", "final_conv"))
    ),
    *(
        (
            rf"neck\.{theirs}\.(\d)\.bottlenecks\.(\d)\.branch_{size}x{size}\.(.*)",
            rf"neck.{ours}.\1.blocks.\2.conv{size}.\3",
        )
        for theirs, ours in (("fpn_blocks", "top_down_blocks"), ("pan_blocks", "bottom_up_blocks"))
        for size in (1, 3)
    ),
    (r"neck\.lateral_convs\.(.*)", r"neck.lateral_convs.\1"),
    (r"neck\.downsample_convs\.(.*)", r"neck.downsamples.\1"),
    (r"neck\.projector\.convs\.(.*)", r"neck.out_convs.\1"),
    (r"head\.loss_oks\.sigmas", None),
    (r"head\.head_module\.conv_cls\.(\d)\.(.*)", r"heads.\1.class_tower.\2"),
    (r"head\.head_module\.conv_pose\.(\d)\.(.*)", r"heads.\1.pose_tower.\2"),
    (r"head\.head_module\.out_cls\.(\d)\.(.*)", r"heads.\1.class_pred.\2"),
    (r"head\.head_module\.out_bbox\.(\d)\.(.*)", r"heads.\1.box_pred.\2"),
    (r"head\.head_module\.out_kpt_reg\.(\d)\.(.*)", r"heads.\1.offset_pred.\2"),
    (r"head\.head_module\.out_kpt_vis\.(\d)\.(.*)", r"heads.\1.visibility_pred.\2"),
    (r"head\.head_module\.out_pose\.(\d)\.(.*)", r"heads.\1.vector_pred.\2"),
    (r"head\.dcc\.pos_enc", r"classifier.attention.positions"),
    (r"head\.dcc\.([xy])_bins", r"classifier.\1_bins"),
    (r"head\.dcc\.([xy])_fc\.(.*)", r"classifier.\1_proj.\2"),
    (r"head\.dcc\.spe\.dim_t", r"classifier.sine.periods"),
    (r"head\.dcc\.pose_to_kpts\.(.*)", r"classifier.to_tokens.\1"),
    (r"head\.dcc\.sigma_fc\.0\.(.*)", r"classifier.sigma_proj.\1"),
    (r"head\.dcc\.sigma_fc\.2\.scale", r"classifier.sigma_scale"),
    (r"head\.dcc\.gau\.(gamma|beta)", r"classifier.attention.\1"),
    (r"head\.dcc\.gau\.ln\.g", r"classifier.attention.norm.gain"),
    (r"head\.dcc\.gau\.uv\.weight", r"classifier.attention.in_proj.weight"),
    (r"head\.dcc\.gau\.o\.weight", r"classifier.attention.out_proj.weight"),
    (r"head\.dcc\.gau\.res_scale\.scale", r"classifier.attention.residual_scale"),
)

FAMILY = Family(
    codec="posekit.codecs.one_stage.PersonCells",
    outputs=("classes", "cell_offsets", "visibility", "pose_vectors"),
    one_stage=True,
    stride=32,
    recipe="rtmo",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    color="bgr",
    openmmlab_keys=RTMO_KEYS,
)

Levels = tuple[Tensor, ...]

HIDDEN_CHANNELS = 256  # of the encoder
ENCODER_HEADS = 8
ENCODER_MLP = 1024
ENCODER_TEMPERATURE = 10_000.0
NECK_BLOCKS = 3  # at depth 1
LEVELS = 2  # strides 16 and 32
HEAD_CHANNELS = 256  # at width 1: of the class tower, of half a level's feature
CLASS_CONVS = 2
POSE_GROUPS = 8
POSE_CHANNELS_PER_GROUP = 36  # at width 1
POSE_CONVS = 4
TOKEN_CHANNELS = 128  # of a keypoint
BINS = (192, 256)  # along x and y
CODE_CHANNELS = 128  # of a place
CODE_TEMPERATURE = 300.0
BOX_PADDING = 1.25  # bins cover the box and so much around it
MAX_LOGIT = 5e4  # of a bin
NEAR_UNIFORM = 2e-3  # deviation of weights
RARE = -math.log(99)  # logit of a hundredth: until it has learnt, a cell hardly holds a person


class SineCode(nn.Module):
    """Numbers (...) -> codes (..., channels): cosines, then sines, at falling frequencies.

    Args:
        channels: size of a code.
        temperature: nearly the ratio of the longest period to the shortest.
    """

    def __init__(self, channels: int, temperature: float) -> None:
        super().__init__()
        half = channels // 2
        self.register_buffer("periods", _periods(half, temperature))
        self.periods: Tensor

    def forward(self, numbers: Tensor) -> Tensor:
        phases = numbers[..., None] / self.periods
        return torch.cat([phases.cos(), phases.sin()], dim=-1)


def _periods(count: int, temperature: float) -> Tensor:
    return temperature ** (torch.arange(count) / count)


class EncoderLayer(nn.Module):
    """A transformer layer over the cells of a feature map: (N, C, h, w) -> (N, C, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(HIDDEN_CHANNELS, ENCODER_HEADS, batch_first=True)
        self.norm1 = nn.LayerNorm(HIDDEN_CHANNELS)
        self.fc1 = nn.Linear(HIDDEN_CHANNELS, ENCODER_MLP)
        self.fc2 = nn.Linear(ENCODER_MLP, HIDDEN_CHANNELS)
        self.norm2 = nn.LayerNorm(HIDDEN_CHANNELS)
        self.sine = SineCode(HIDDEN_CHANNELS // 2, ENCODER_TEMPERATURE)

    def forward(self, feature: Tensor) -> Tensor:
        x = feature.flatten(2).transpose(1, 2)  # (N, h * w, C)
        placed = x + self._places(feature)
        attended, _ = self.attention(placed, placed, x, need_weights=False)
        x = self.norm1(x + attended)
        x = self.norm2(x + self.fc2(nn.functional.gelu(self.fc1(x))))
        return x.transpose(1, 2).reshape(feature.shape)

    def _places(self, feature: Tensor) -> Tensor:
        """(h * w, C): the code of each cell's row, then of its column."""
        height, width = feature.shape[-2:]
        # Counted by the feature itself: a traced network would keep the device of an `arange`.
        rows = self.sine(feature.new_ones(height).cumsum(dim=0) - 1)
        columns = self.sine(feature.new_ones(width).cumsum(dim=0) - 1)
        grid = (height, width, -1)
        codes = [rows[:, None].expand(grid), columns[None].expand(grid)]
        return torch.cat(codes, dim=-1).flatten(0, 1)


class RepBlock(nn.Module):
    """The sum of a 3x3 and a 1x1 convolution (RepVGG, arXiv 2101.03697)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv3 = ConvBNAct(channels, channels, 3, act=None)
        self.conv1 = ConvBNAct(channels, channels, 1, act=None)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.silu(self.conv3(x) + self.conv1(x))


class RepLayer(nn.Module):
    """Blocks on one projection of the input, added to another."""

    def __init__(self, in_channels: int, out_channels: int, *, inner: int, num_blocks: int) -> None:
        super().__init__()
        self.main_conv = ConvBNAct(in_channels, inner)
        self.short_conv = ConvBNAct(in_channels, inner)
        self.blocks = nn.Sequential(*(RepBlock(inner) for _ in range(num_blocks)))
        same = inner == out_channels
        self.final_conv = nn.Identity() if same else ConvBNAct(inner, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.final_conv(self.blocks(self.main_conv(x)) + self.short_conv(x))
        return out


class HybridEncoder(nn.Module):
    """Attention within the coarsest feature, then a pyramid over all three.

    Features at strides 8, 16 and 32 -> two at strides 16 and 32.

    Args:
        in_channels: channels of the three features.
        out_channels: channels of each of the two.
        deepen_factor: multiplies the number of blocks.
        widen_factor: multiplies the channels within blocks.
    """

    def __init__(
        self,
        in_channels: tuple[int, ...],
        out_channels: int,
        *,
        deepen_factor: float,
        widen_factor: float,
    ) -> None:
        super().__init__()
        hidden = HIDDEN_CHANNELS
        layer = partial(
            RepLayer,
            2 * hidden,
            hidden,
            inner=int(hidden * widen_factor),
            num_blocks=round(NECK_BLOCKS * deepen_factor),
        )
        self.in_convs = nn.ModuleList(ConvBNAct(count, hidden, act=None) for count in in_channels)
        self.encoder = EncoderLayer()
        # Coarse to fine, then fine to coarse.
        self.lateral_convs = nn.ModuleList(ConvBNAct(hidden, hidden) for _ in range(2))
        self.top_down_blocks = nn.ModuleList(layer() for _ in range(2))
        self.downsamples = nn.ModuleList(ConvBNAct(hidden, hidden, 3, 2) for _ in range(2))
        self.bottom_up_blocks = nn.ModuleList(layer() for _ in range(2))
        self.out_convs = nn.ModuleList(
            ConvBNAct(hidden, out_channels, act=None) for _ in range(LEVELS)
        )

    def forward(self, features: Levels) -> Levels:
        c3, c4, c5 = (conv(feature) for conv, feature in zip(self.in_convs, features, strict=True))
        top = self.lateral_convs[0](self.encoder(c5))  # (N, 256, H/32, W/32)
        middle = self.top_down_blocks[0](torch.cat([_upsample(top), c4], dim=1))
        middle = self.lateral_convs[1](middle)  # (N, 256, H/16, W/16)
        p3 = self.top_down_blocks[1](torch.cat([_upsample(middle), c3], dim=1))
        p4 = self.bottom_up_blocks[0](torch.cat([self.downsamples[0](p3), middle], dim=1))
        p5 = self.bottom_up_blocks[1](torch.cat([self.downsamples[1](p4), top], dim=1))
        return self.out_convs[0](p4), self.out_convs[1](p5)


def _upsample(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


class Head(nn.Module):
    """One level's head: half of the channels predict the class, the other half box and pose."""

    def __init__(self, *, widen_factor: float, num_keypoints: int) -> None:
        super().__init__()
        width = int(HEAD_CHANNELS * widen_factor)
        inner = POSE_GROUPS * int(POSE_CHANNELS_PER_GROUP * widen_factor)
        self.class_tower = nn.Sequential(*(ConvBNAct(width, width, 3) for _ in range(CLASS_CONVS)))
        self.pose_tower = nn.Sequential(
            ConvBNAct(width, inner, 3),
            *(ConvBNAct(inner, inner, 3, groups=POSE_GROUPS) for _ in range(POSE_CONVS - 1)),
        )
        self.class_pred = nn.Conv2d(width, 1, 1)
        assert self.class_pred.bias is not None
        nn.init.constant_(self.class_pred.bias, RARE)
        self.box_pred = nn.Conv2d(inner, 4, 1)
        self.visibility_pred = nn.Conv2d(inner, num_keypoints, 1)
        self.vector_pred = nn.Conv2d(inner, 2 * width, 1)
        # Of keypoints from the cell, in strides; training needs it alone.
        self.offset_pred = nn.Conv2d(inner, 2 * num_keypoints, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        of_class, of_pose = x.chunk(2, dim=1)
        pose = self.pose_tower(of_pose)
        outputs = (
            self.class_pred(self.class_tower(of_class)),  # (N, 1, h, w)
            self.box_pred(pose),  # (N, 4, h, w)
            self.visibility_pred(pose),  # (N, K, h, w)
            self.vector_pred(pose),  # (N, C, h, w)
        )
        return (*outputs, self.offset_pred(pose)) if self.training else outputs


class TokenNorm(nn.BatchNorm1d):
    """Batch normalisation that can also train on one person, without variance, or on nobody."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) < 2:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


class CoordinateClassifier(nn.Module):
    """The dynamic coordinate classifier: bins that lie over a person's box, one token per keypoint.

    Args:
        in_channels: C, size of a pose vector.
        num_keypoints: K.
    """

    def __init__(self, in_channels: int, *, num_keypoints: int) -> None:
        super().__init__()
        self.num_keypoints = num_keypoints
        tokens = TOKEN_CHANNELS * num_keypoints
        self.to_tokens = nn.Sequential(nn.Linear(in_channels, tokens), TokenNorm(tokens))
        self.attention = GatedAttentionUnit(TOKEN_CHANNELS, num_tokens=num_keypoints)
        self.sine = SineCode(CODE_CHANNELS, CODE_TEMPERATURE)
        self.x_proj = nn.Linear(CODE_CHANNELS, TOKEN_CHANNELS)
        self.y_proj = nn.Linear(CODE_CHANNELS, TOKEN_CHANNELS)
        # At random all bins are near as probable: with PyTorch's own numbers one has nearly all of
        # it, and keypoints that are elsewhere hardly learn.
        for proj in (self.x_proj, self.y_proj):
            nn.init.normal_(proj.weight, std=NEAR_UNIFORM)
        # Of the error that training expects of each keypoint: at first the same for all.
        self.sigma_proj = nn.Linear(in_channels, num_keypoints)
        nn.init.zeros_(self.sigma_proj.weight)
        nn.init.zeros_(self.sigma_proj.bias)
        self.sigma_scale = nn.Parameter(torch.tensor(0.1))
        self.register_buffer("x_bins", torch.linspace(-0.5, 0.5, BINS[0]))
        self.register_buffer("y_bins", torch.linspace(-0.5, 0.5, BINS[1]))
        self.x_bins: Tensor
        self.y_bins: Tensor

    def forward(self, vectors: Tensor, boxes_xyxy: Tensor, centers: Tensor) -> Tensor:
        """Keypoints of n people.

        Args:
            vectors: (n, C), pose vectors of their cells.
            boxes_xyxy: (n, 4), in pixels of the network's input.
            centers: (n, 2), the middles of the cells, in the same pixels.

        Returns:
            (n, K, 2), in pixels of the input: the means of the bins, weighted by probability.
        """
        weights = self.weights(vectors, boxes_xyxy, centers)
        places = self.places(boxes_xyxy)
        return torch.stack(
            [
                (weight * place[:, None]).sum(-1)
                for weight, place in zip(weights, places, strict=True)
            ],
            dim=-1,
        )

    def in_float32(self) -> CoordinateClassifier:
        """A copy that computes in float32, whatever the network's type: positions need it.

        Bins and periods that half precision has only rounded from the values in all published
        weights are exact in the copy.
        """
        made = copy.deepcopy(self).float()
        for rounded, exact, place in (
            (self.x_bins, torch.linspace(-0.5, 0.5, BINS[0]), made.x_bins),
            (self.y_bins, torch.linspace(-0.5, 0.5, BINS[1]), made.y_bins),
            (self.sine.periods, _periods(CODE_CHANNELS // 2, CODE_TEMPERATURE), made.sine.periods),
        ):
            exact = exact.to(rounded.device)
            if torch.equal(rounded, exact.to(rounded.dtype)):
                place.copy_(exact)
        return made

    def places(self, boxes_xyxy: Tensor, origins: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Where the bins lie: x (n, 192) and y (n, 256), in pixels of the input.

        Args:
            boxes_xyxy: (n, 4), in pixels of the input.
            origins: (n, 2), points that they are measured from; None for the input's top left
                corner.
        """
        low, high = boxes_xyxy[:, None].split(2, dim=-1)  # (n, 1, 2) each
        center, scale = (low + high) * 0.5, (high - low) * BOX_PADDING
        if origins is not None:
            center = center - origins[:, None]
        x = self.x_bins * scale[..., 0] + center[..., 0]
        y = self.y_bins * scale[..., 1] + center[..., 1]
        return x, y

    def weights(
        self, vectors: Tensor, boxes_xyxy: Tensor, centers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """How probable each keypoint is in each bin: x (n, K, 192) and y (n, K, 256)."""
        tokens = self.to_tokens(vectors).unflatten(-1, (self.num_keypoints, TOKEN_CHANNELS))
        tokens = self.attention(tokens)  # (n, K, 128)
        x, y = self.places(boxes_xyxy, centers)
        return self._probabilities(tokens, self.x_proj, x), self._probabilities(
            tokens, self.y_proj, y
        )

    def _probabilities(self, tokens: Tensor, proj: nn.Linear, places: Tensor) -> Tensor:
        # The product of tokens with projected codes; there are fewer tokens than codes to project.
        logits = (tokens @ proj.weight) @ self.sine(places).transpose(1, 2)
        logits = logits + (tokens @ proj.bias)[..., None]
        return logits.clamp(-MAX_LOGIT, MAX_LOGIT).softmax(dim=-1)

    def sigmas(self, vectors: Tensor) -> Tensor:
        """How large the keypoints' errors (n, K) are thought to be, for training.

        In parts of a person's size, the root of the area: an error's density falls by a factor of e
        over two sigmas.
        """
        return self.sigma_proj(vectors).sigmoid() * self.sigma_scale


class RTMO(nn.Module):
    """RTMO-t, -s, -m and -l.

    Args:
        deepen_factor: multiplies the number of blocks of a stage (rounded).
        widen_factor: multiplies the channels.
        num_keypoints: K.
    """

    def __init__(self, *, deepen_factor: float, widen_factor: float, num_keypoints: int) -> None:
        super().__init__()
        self.backbone = CSPDarknet(
            deepen_factor=deepen_factor, widen_factor=widen_factor, depthwise=False
        )
        channels = 2 * int(HEAD_CHANNELS * widen_factor)
        self.neck = HybridEncoder(
            tuple(int(count * widen_factor) for count in STAGE_CHANNELS[1:]),
            channels,
            deepen_factor=deepen_factor,
            widen_factor=widen_factor,
        )
        self.heads = nn.ModuleList(
            Head(widen_factor=widen_factor, num_keypoints=num_keypoints) for _ in range(LEVELS)
        )
        self.classifier = CoordinateClassifier(channels, num_keypoints=num_keypoints)
        for part in (*self.backbone.modules(), *self.heads.modules()):
            if isinstance(part, ConvBNAct):
                part.act = Swish()
                part.bn.eps, part.bn.momentum = BN_EPS, BN_MOMENTUM

    def forward(self, images: Tensor) -> tuple[Levels, ...]:
        """(N, 3, H, W), sides multiples of 32 -> classes, boxes, visibility, vectors, per level.

        In training mode also offsets (N, 2K, h, w) of the keypoints from the cells, in strides.
        """
        levels = self.neck(self.backbone(images))
        outputs = [head(level) for head, level in zip(self.heads, levels, strict=True)]
        return tuple(zip(*outputs, strict=True))
