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

_YOLOX: tuple[Rule, ...] = (
    *IGNORED,
    *_CSPNEXT,
    (r"bbox_head\.multi_level_(cls|reg)_convs\.(\d)\.(.*)", r"heads.\2.\1_tower.\3"),
    (r"bbox_head\.multi_level_conv_(cls|reg|obj)\.(\d)\.(.*)", r"heads.\2.\1_pred.\3"),
)

_SSDLITE: tuple[Rule, ...] = (
    *IGNORED,
    (r"backbone\.conv1\.(.*)", r"backbone.stem.\1"),
    (r"backbone\.conv2\.(.*)", r"backbone.last_conv.\1"),
    # The source counts the stages from one.
    *((rf"backbone\.layer{i + 1}\.(.*)", rf"backbone.stages.{i}.\1") for i in range(7)),
    (r"neck\.extra_layers\.(\d)\.0\.(.*)", r"extra_layers.\1.reduce_conv.\2"),
    (r"neck\.extra_layers\.(\d)\.1\.(.*)", r"extra_layers.\1.\2"),
    (r"bbox_head\.(cls|reg)_convs\.(\d)\.0\.(.*)", r"\1_preds.\2.depthwise_conv.\3"),
    (r"bbox_head\.(cls|reg)_convs\.(\d)\.1\.(.*)", r"\1_preds.\2.pred.\3"),
)

_MOTIONBERT: tuple[Rule, ...] = (
    *IGNORED,
    (r"backbone\.joints_embed\.(.*)", r"embed.\1"),
    (r"backbone\.spat_embed", r"spatial_position"),
    (r"backbone\.temp_embed", r"temporal_position"),
    (r"backbone\.blocks_(st|ts)\.(\d+)\.(norm[12]|attn)_s\.(.*)", r"blocks_\1.\2.spatial.\3.\4"),
    (r"backbone\.blocks_(st|ts)\.(\d+)\.(norm[12]|attn)_t\.(.*)", r"blocks_\1.\2.temporal.\3.\4"),
    (r"backbone\.blocks_(st|ts)\.(\d+)\.mlp_s\.0\.(.*)", r"blocks_\1.\2.spatial.fc1.\3"),
    (r"backbone\.blocks_(st|ts)\.(\d+)\.mlp_s\.2\.(.*)", r"blocks_\1.\2.spatial.fc2.\3"),
    (r"backbone\.blocks_(st|ts)\.(\d+)\.mlp_t\.0\.(.*)", r"blocks_\1.\2.temporal.fc1.\3"),
    (r"backbone\.blocks_(st|ts)\.(\d+)\.mlp_t\.2\.(.*)", r"blocks_\1.\2.temporal.fc2.\3"),
    (r"backbone\.attn_regress\.(\d+)\.(.*)", r"fusion.\1.\2"),
    (r"backbone\.norm\.(.*)", r"norm.\1"),
    (r"head\.pre_logits\.fc\.(.*)", r"representation.\1"),
    (r"head\.fc\.(.*)", r"head.\1"),
)

_VIDEOPOSE3D: tuple[Rule, ...] = (
    *IGNORED,
    # Semi-supervised training has a second network, which finds where people are in the scene.
    (r"traj_(backbone|head)\..*", None),
    (r"backbone\.expand_conv\.(.*)", r"expand.\1"),
    (r"backbone\.tcn_blocks\.(\d)\.conv([12])\.0\.(.*)", r"blocks.\1.conv\2.\3"),
    (r"(?:keypoint_)?head\.conv\.(.*)", r"head.\1"),
)

# mmpose 0.x calls the head `keypoint_head`, and the convolutions before its last layer are part of
# `final_layer` there.
_HEATMAP_HEAD: tuple[Rule, ...] = (
    (r"(?:keypoint_)?head\.final_layer\.(weight|bias)", r"head.final_layer.\1"),
    (r"keypoint_head\.final_layer\.([01])\.(.*)", r"head.conv_layers.\1.\2"),
    (r"keypoint_head\.final_layer\.3\.(.*)", r"head.final_layer.\1"),
    (r"(?:keypoint_)?head\.(deconv|conv)_layers\.(.*)", r"head.\1_layers.\2"),
)

_VITPOSE: tuple[Rule, ...] = (
    *IGNORED,
    *_HEATMAP_HEAD,
    (r"backbone\.pos_embed", r"backbone.pos_embed"),
    (r"backbone\.patch_embed\.projection\.(.*)", r"backbone.patch_embed.\1"),
    (r"backbone\.layers\.(\d+)\.ln([12])\.(.*)", r"backbone.blocks.\1.norm\2.\3"),
    (r"backbone\.layers\.(\d+)\.attn\.(.*)", r"backbone.blocks.\1.attn.\2"),
    (r"backbone\.layers\.(\d+)\.ffn\.layers\.0\.0\.(.*)", r"backbone.blocks.\1.mlp.fc1.\2"),
    (r"backbone\.layers\.(\d+)\.ffn\.layers\.1\.(.*)", r"backbone.blocks.\1.mlp.fc2.\2"),
    (r"backbone\.ln1\.(.*)", r"backbone.norm.\1"),
)


def _hrnet_stage(index: int) -> tuple[Rule, ...]:
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
_HRNET: tuple[Rule, ...] = (
    *IGNORED,
    *_HEATMAP_HEAD,
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
    *_hrnet_stage(0),
    *_hrnet_stage(1),
    *_hrnet_stage(2),
)

_RESNET_POSE: tuple[Rule, ...] = (
    *IGNORED,
    *_HEATMAP_HEAD,
    (r"backbone\.(.*)", r"backbone.\1"),
)

_CSPNEXT_POSE: tuple[Rule, ...] = (*IGNORED, *_CSPNEXT, *_HEATMAP_HEAD)

# mmpose 0.x calls the head `keypoint_head` here too.
_INTERNET: tuple[Rule, ...] = (
    *IGNORED,
    (r"backbone\.(.*)", r"backbone.\1"),
    (r"(?:keypoint_)?head\.(right|left)_hand_head\.(.*)", r"\1_head.\2"),
    (r"(?:keypoint_)?head\.(root|hand_type)_head\.fc\.(.*)", r"\1_head.\2"),
)

RULES: dict[str, tuple[Rule, ...]] = {
    "CSPNeXtPose": _CSPNEXT_POSE,
    "InterNet": _INTERNET,
    "ResNetPose": _RESNET_POSE,
    "ViTPose": _VITPOSE,
    "HRNetPose": _HRNET,
    "MotionBERT": _MOTIONBERT,
    "SSDLite": _SSDLITE,
    "VideoPose3D": _VIDEOPOSE3D,
    "YOLOX": _YOLOX,
    "RTMDet": _RTMDET,
    "RTMPose": _RTMPOSE,
    "RTMW": _RTMW,
}
