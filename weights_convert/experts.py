"""ViTPose+: six experts in one checkpoint, of which one becomes a plain ViTPose.

Each block's second linear layer has rows that all data sets share, in `fc2`, and after them the
data set's own rows, in `experts.<index>`. So an expert folds into `fc2` without loss. The authors'
file has a head for each data set as well: `keypoint_head` is COCO's, the others follow in
`associate_keypoint_heads`. transformers' file has only COCO's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from weights_convert.errors import ConversionError

__all__ = ["EXPERTS", "expert_of", "fold_expert", "note_on_expert"]

# Data sets in the order of their experts, and how many keypoints each has.
EXPERTS = {"coco": 17, "aic": 14, "mpii": 16, "ap10k": 17, "apt36k": 17, "wholebody": 133}
DEFAULT = "coco"

_EXPERT = re.compile(r"(.*\.mlp)\.experts\.(\d+)\.(weight|bias)")
_HEAD = "keypoint_head."
_OTHER_HEAD = re.compile(r"associate_keypoint_heads\.(\d+)\.(.*)")


def expert_of(net: nn.Module) -> str:
    """The data set that a network is for: `expert` of its configuration, or COCO.

    Raises:
        ConversionError: a data set without an expert.
    """
    name = getattr(net, "expert", None) or DEFAULT
    if name not in EXPERTS:
        raise ConversionError(f"expert: expected one of {', '.join(EXPERTS)}, found '{name}'")
    return str(name)


def fold_expert(state: Mapping[str, Tensor], expert: str) -> dict[str, Tensor]:
    """The entries of one data set's network; those of networks without experts stay as they are.

    Args:
        state: the source's entries, in any layout that has `mlp.fc2` and `mlp.experts`.
        expert: a key of `EXPERTS`.

    Raises:
        ConversionError: the file has experts, but not that one.
    """
    index = list(EXPERTS).index(expert)
    found = {int(match[2]) for key in state if (match := _EXPERT.fullmatch(key))}
    if found and index not in found:
        raise ConversionError(f"it has no expert {index}, that of {expert}, only {sorted(found)}")
    folded = _with_head(state, index)
    for key, rows in state.items():
        if (match := _EXPERT.fullmatch(key)) is None:
            continue
        del folded[key]
        mlp, number, leaf = match.groups()
        shared, layer = state.get(f"{mlp}.fc2.{leaf}"), state.get(f"{mlp}.fc1.weight")
        if int(number) != index or shared is None or layer is None:
            continue
        # A file that was split by data set may keep the experts beside a layer that is whole.
        if len(shared) < layer.shape[1]:
            folded[f"{mlp}.fc2.{leaf}"] = torch.cat([shared, rows])
    return folded


def _with_head(state: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
    """The entries with one of the heads as `keypoint_head`."""
    heads = {int(match[1]) for key in state if (match := _OTHER_HEAD.fullmatch(key))}
    if not heads:
        return dict(state)
    chosen = index - 1
    if chosen >= 0 and chosen not in heads:
        raise ConversionError(
            f"it has no head {chosen} of {list(EXPERTS)[index]}, only {sorted(heads)}"
        )
    kept: dict[str, Tensor] = {}
    for key, value in state.items():
        match = _OTHER_HEAD.fullmatch(key)
        if match is None:
            if chosen < 0 or not key.startswith(_HEAD):
                kept[key] = value
        elif int(match[1]) == chosen:
            name = f"{_HEAD}{match[2]}"
            # The last layer may be padded to the size of another data set's.
            is_last = match[2].startswith("final_layer.")
            kept[name] = value[: list(EXPERTS.values())[index]] if is_last else value
    return kept


def _has_choice(state: Mapping[str, Tensor]) -> bool:
    """Whether there is a choice between experts or heads that has not been made yet."""
    if any(map(_OTHER_HEAD.fullmatch, state)):
        return True
    blocks = {match[1] for match in map(_EXPERT.fullmatch, state) if match}
    pairs = ((state.get(f"{b}.fc2.weight"), state.get(f"{b}.fc1.weight")) for b in blocks)
    return any(
        shared is not None and layer is not None and len(shared) < layer.shape[1]
        for shared, layer in pairs
    )


def note_on_expert(state: Mapping[str, Tensor], net: nn.Module) -> str:
    """What a user should know about the choice; "" if it was explicit or there was none."""
    if not _has_choice(state):
        return ""
    named, expert = getattr(net, "expert", None), expert_of(net)
    if named is None:
        return (
            f"has several data sets' experts or heads: those of {expert} are taken; `net.expert` "
            f"in a model's YAML names another: {', '.join(EXPERTS)}"
        )
    if expert != DEFAULT and any(key.startswith("head.") for key in state):
        return (
            f"has the expert of {expert}, but a single head, which was trained for COCO: "
            "the keypoints are not right. The authors' own file has a head for each data set"
        )
    return ""
