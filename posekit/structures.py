"""The structures of `mmpose.structures` and `mmengine.structures`; see `posekit.apis`."""

from __future__ import annotations

from posekit.mmpose.elements import BaseDataElement, FieldNameError, FieldValueError
from posekit.mmpose.instances import InstanceData
from posekit.mmpose.structures import (
    PixelData,
    PoseDataSample,
    merge_data_samples,
    revert_heatmap,
    split_instances,
)

__all__ = [
    "BaseDataElement",
    "FieldNameError",
    "FieldValueError",
    "InstanceData",
    "PixelData",
    "PoseDataSample",
    "merge_data_samples",
    "revert_heatmap",
    "split_instances",
]
