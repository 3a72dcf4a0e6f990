"""The augmentations under their former name, which older YAML files use."""

from __future__ import annotations

from posekit.datasets.augment import DetectionAugment, PoseAugment

__all__ = ["DetectionAugment", "PoseAugment"]
