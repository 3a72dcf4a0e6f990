"""The augmentations under the name that YAML files from before `posekit.datasets` give them."""

from __future__ import annotations

from posekit.datasets.augment import DetectionAugment, PoseAugment

__all__ = ["DetectionAugment", "PoseAugment"]
