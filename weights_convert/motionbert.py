"""MotionBERT's own checkpoints (`.bin` files): how their keys map to posekit's.

The files hold the network under `model_pos`, with `module.` before each key; the reader strips
both. For what a rule is, see `weights_convert.openmmlab`.
"""

from __future__ import annotations

from posekit.models.family import Rule

__all__ = ["RULES"]

_MOTIONBERT: tuple[Rule, ...] = (
    (r"joints_embed\.(.*)", r"embed.\1"),
    (r"pos_embed", r"spatial_position"),
    (r"temp_embed", r"temporal_position"),
    (r"blocks_(st|ts)\.(\d+)\.(norm[12]|attn)_s\.(.*)", r"blocks_\1.\2.spatial.\3.\4"),
    (r"blocks_(st|ts)\.(\d+)\.(norm[12]|attn)_t\.(.*)", r"blocks_\1.\2.temporal.\3.\4"),
    (r"blocks_(st|ts)\.(\d+)\.mlp_s\.(.*)", r"blocks_\1.\2.spatial.\3"),
    (r"blocks_(st|ts)\.(\d+)\.mlp_t\.(.*)", r"blocks_\1.\2.temporal.\3"),
    (r"ts_attn\.(\d+)\.(.*)", r"fusion.\1.\2"),
    (r"norm\.(.*)", r"norm.\1"),
    (r"pre_logits\.fc\.(.*)", r"representation.\1"),
    (r"head\.(.*)", r"head.\1"),
)

RULES: dict[str, tuple[Rule, ...]] = {"MotionBERT": _MOTIONBERT}
