"""Checkpoints of OpenMMLab (mmpose 0.x and 1.x, mmdet): which rules map their keys to posekit's.

The rules of a network stand beside it, as `openmmlab_keys` of its module's `FAMILY`.
"""

from __future__ import annotations

from torch import nn

from posekit.models.family import Rule, family_of

__all__ = ["rules_of"]

# What training leaves in a file beside the network's own entries.
IGNORED: tuple[Rule, ...] = ((r"data_preprocessor\..*", None),)


def rules_of(network: type[nn.Module]) -> tuple[Rule, ...]:
    """The rules for checkpoints of a network's class; none where it has none."""
    keys = family_of(network).openmmlab_keys
    return (*IGNORED, *keys) if keys else ()
