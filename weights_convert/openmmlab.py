"""Checkpoints of OpenMMLab (mmpose 0.x and 1.x, mmdet): how their keys map to posekit's.

A rule is `(pattern, replacement)`: the pattern is matched against the whole source key, the
replacement is the posekit key (with `\\1` for groups), or None for an entry that is known and
not needed. The first rule that matches wins.
"""

from __future__ import annotations

__all__ = ["RULES", "Rule"]

Rule = tuple[str, str | None]

# What training leaves in a file beside the network's own entries.
IGNORED: tuple[Rule, ...] = ((r"data_preprocessor\..*", None),)

_CSPNEXT: tuple[Rule, ...] = (
    (r"backbone\.stem\.(.*)", r"backbone.stem.\1"),
    (r"backbone\.stage1\.(.*)", r"backbone.stages.0.\1"),
    (r"backbone\.stage2\.(.*)", r"backbone.stages.1.\1"),
    (r"backbone\.stage3\.(.*)", r"backbone.stages.2.\1"),
    (r"backbone\.stage4\.(.*)", r"backbone.stages.3.\1"),
    (r"neck\.(.*)", r"neck.\1"),
)

_GATED_ATTENTION: tuple[Rule, ...] = (
    (r"head\.gau\.(gamma|beta)", r"head.attention.\1"),
    (r"head\.gau\.ln\.g", r"head.attention.norm.gain"),
    (r"head\.gau\.uv\.weight", r"head.attention.in_proj.weight"),
    (r"head\.gau\.o\.weight", r"head.attention.out_proj.weight"),
    (r"head\.gau\.res_scale\.scale", r"head.attention.residual_scale"),
    (r"head\.cls_([xy])\.weight", r"head.to_\1.weight"),
)

_RTMPOSE: tuple[Rule, ...] = (
    *IGNORED,
    *_CSPNEXT,
    *_GATED_ATTENTION,
    (r"head\.final_layer\.(.*)", r"head.final_layer.\1"),
    (r"head\.mlp\.0\.g", r"head.token_norm.gain"),
    (r"head\.mlp\.1\.weight", r"head.token_proj.weight"),
)

_RTMW: tuple[Rule, ...] = (
    *IGNORED,
    *_CSPNEXT,
    *_GATED_ATTENTION,
    (r"head\.conv_dec\.(.*)", r"head.decoder_conv.\1"),
    (r"head\.final_layer\.(.*)", r"head.coarse_layer.\1"),
    (r"head\.final_layer2\.(.*)", r"head.fine_layer.\1"),
    (r"head\.mlp\.0\.g", r"head.coarse_norm.gain"),
    (r"head\.mlp\.1\.weight", r"head.coarse_proj.weight"),
    (r"head\.mlp2\.0\.g", r"head.fine_norm.gain"),
    (r"head\.mlp2\.1\.weight", r"head.fine_proj.weight"),
)

_RTMDET: tuple[Rule, ...] = (
    *IGNORED,
    *_CSPNEXT,
    # Shared convolutions are written once per level; the source keeps the last it reads.
    (r"bbox_head\.(cls|reg)_convs\.2\.(\d)\.conv\.weight", r"head.\1_towers.convs.\2.weight"),
    (r"bbox_head\.(cls|reg)_convs\.\d\.\d\.conv\.weight", None),
    (r"bbox_head\.(cls|reg)_convs\.(\d)\.(\d)\.bn\.(\w+)", r"head.\1_towers.norms.\2.\3.\4"),
    # Depthwise-separable ones are not shared.
    (r"bbox_head\.(cls|reg)_convs\.(\d\.\d\.\w+_conv\..*)", r"head.\1_towers.levels.\2"),
    (r"bbox_head\.rtm_(cls|reg)\.(.*)", r"head.\1_preds.\2"),
)

RULES: dict[str, tuple[Rule, ...]] = {
    "RTMDet": _RTMDET,
    "RTMPose": _RTMPOSE,
    "RTMW": _RTMW,
}
