"""Checkpoints of ViTPose's own program and of easy_ViTPose: how their keys map to posekit's.

`prepare` goes first: it does what renaming cannot. For what a rule is, see
`weights_convert.openmmlab`.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from posekit.models.family import Rule
from weights_convert.experts import expert_of, fold_expert

__all__ = ["RULES", "fold_class_position", "prepare"]

_VITPOSE: tuple[Rule, ...] = (
    (r"backbone\.pos_embed", r"backbone.pos_embed"),
    (r"backbone\.patch_embed\.proj\.(.*)", r"backbone.patch_embed.\1"),
    (r"backbone\.blocks\.(\d+)\.(norm[12]|attn|mlp)\.(.*)", r"backbone.blocks.\1.\2.\3"),
    (r"backbone\.last_norm\.(.*)", r"backbone.norm.\1"),
    (r"keypoint_head\.(deconv_layers|final_layer)\.(.*)", r"head.\1.\2"),
)

RULES: dict[str, tuple[Rule, ...]] = {"ViTPose": _VITPOSE}


def prepare(state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """Folds the class token's position into the others, and ViTPose+'s expert into its layers."""
    return fold_class_position(fold_expert(state, expert_of(net)), "backbone.pos_embed")


def fold_class_position(state: Mapping[str, Tensor], key: str) -> dict[str, Tensor]:
    """Adds the position of the class token, which comes first, to those of all patches.

    These networks have no class token left; what they add to each patch is the sum of its own
    position and that of the class token.

    Args:
        state: the source's entries.
        key: the entry (1, 1 + patches, C) to replace by (1, patches, C).
    """
    folded = dict(state)
    if key in folded and folded[key].ndim == 3:
        positions = folded[key]
        folded[key] = positions[:, 1:] + positions[:, :1]
    return folded
