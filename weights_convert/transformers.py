"""Checkpoints of Hugging Face transformers: how their keys map to posekit's.

`prepare` goes first: it does what renaming cannot. For what a rule is, see
`weights_convert.openmmlab`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from posekit.models.family import Rule
from weights_convert.experts import expert_of, fold_expert
from weights_convert.vitpose import fold_class_position

__all__ = ["RULES", "prepare"]

_PROJECTION = re.compile(r"(.*\.attention)\.attention\.(query|key|value)\.(weight|bias)")
_PARTS = ("query", "key", "value")

_VITPOSE: tuple[Rule, ...] = (
    (r"backbone\.embeddings\.position_embeddings", r"backbone.pos_embed"),
    (r"backbone\.embeddings\.patch_embeddings\.projection\.(.*)", r"backbone.patch_embed.\1"),
    (r"backbone\.encoder\.layer\.(\d+)\.attention\.qkv\.(.*)", r"backbone.blocks.\1.attn.qkv.\2"),
    (
        r"backbone\.encoder\.layer\.(\d+)\.attention\.output\.dense\.(.*)",
        r"backbone.blocks.\1.attn.proj.\2",
    ),
    (r"backbone\.encoder\.layer\.(\d+)\.mlp\.(fc[12]\..*)", r"backbone.blocks.\1.mlp.\2"),
    (r"backbone\.encoder\.layer\.(\d+)\.layernorm_before\.(.*)", r"backbone.blocks.\1.norm1.\2"),
    (r"backbone\.encoder\.layer\.(\d+)\.layernorm_after\.(.*)", r"backbone.blocks.\1.norm2.\2"),
    (r"backbone\.layernorm\.(.*)", r"backbone.norm.\1"),
    (r"head\.deconv1\.(.*)", r"head.deconv_layers.0.\1"),
    (r"head\.batchnorm1\.(.*)", r"head.deconv_layers.1.\1"),
    (r"head\.deconv2\.(.*)", r"head.deconv_layers.3.\1"),
    (r"head\.batchnorm2\.(.*)", r"head.deconv_layers.4.\1"),
    (r"head\.conv\.(.*)", r"head.final_layer.\1"),
)

RULES: dict[str, tuple[Rule, ...]] = {"ViTPose": _VITPOSE}


def prepare(state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """Joins queries, keys and values of each layer, and folds expert and class token's position.

    An entry without its two companions stays as it is, so that it is reported by name.
    """
    state = fold_expert(state, expert_of(net))
    prepared: dict[str, Tensor] = {}
    for key, value in state.items():
        match = _PROJECTION.fullmatch(key)
        if match is None:
            prepared[key] = value
            continue
        attention, part, leaf = match.groups()
        companions = [f"{attention}.attention.{name}.{leaf}" for name in _PARTS]
        if not all(name in state for name in companions):
            prepared[key] = value
        elif part == _PARTS[0]:
            prepared[f"{attention}.qkv.{leaf}"] = torch.cat([state[name] for name in companions])
    return fold_class_position(prepared, "backbone.embeddings.position_embeddings")
