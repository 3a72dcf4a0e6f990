"""MMPose's data samples: the data of one image, and how several samples are merged.

Samples, their instances and maps behave as the originals do where users touch results:
`sample.pred_instances.keypoints`, `"bboxes" in instances`, `instances[scores > 0.5]`,
`print(sample)`. torch is never imported here.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from posekit.errors import InputError
from posekit.mmpose.elements import BaseDataElement, FieldValueError, as_array, is_tensor
from posekit.mmpose.instances import InstanceData
from posekit.transforms.affine import crop_matrices

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "PixelData",
    "PoseDataSample",
    "merge_data_samples",
    "revert_heatmap",
    "split_instances",
]

# Heat maps that are warped at once: bounded by OpenCV's channels.
WARP_CHANNELS = 32


class PixelData(BaseDataElement):
    """Maps over the same pixels: arrays or tensors (C, H, W), such as `heatmaps`.

    `pixels[10:20, 30]` is the `PixelData` of a part: rows, then columns. A map (H, W) becomes
    (1, H, W) where it is assigned.
    """

    @property
    def shape(self) -> tuple[int, int] | None:
        """(H, W); None where there is no map."""
        if not self._data_fields:
            return None
        height, width = next(iter(self._data_fields.values())).shape[-2:]
        return int(height), int(width)

    def __getitem__(self, item: tuple[int | slice, int | slice]) -> Self:
        if not isinstance(item, tuple):
            raise TypeError(f"expected pixels[rows, columns], found {type(item).__name__}")
        if len(item) != 2:
            raise FieldValueError(f"only height and width can be sliced, found {len(item)} slices")
        parts = [slice(None)]
        for one, size in zip(item, self.shape or (0, 0), strict=True):
            if not isinstance(one, int | slice):
                raise TypeError(f"rows and columns must be int or slice, found {type(one)}")
            if isinstance(one, int):
                if not -size <= one < size:
                    raise IndexError(f"{one} is out of range: there are {size} pixels")
                one = slice(one, None, size)
            parts.append(one)
        found = type(self)(metainfo=self._metainfo_fields)
        for name, value in self.items():
            found.set_field(value[tuple(parts)], name)
        return found

    def _checked(self, name: str, value: Any) -> Any:
        if not isinstance(value, np.ndarray) and not is_tensor(value):
            raise FieldValueError(
                f"'{name}' must be an array or a tensor, found {type(value).__name__}"
            )
        if value.ndim not in (2, 3):
            raise FieldValueError(f"'{name}' must be (C, H, W), found {tuple(value.shape)}")
        if self.shape and tuple(value.shape[-2:]) != self.shape:
            raise FieldValueError(
                f"'{name}' must have {self.shape} pixels as the other maps, found "
                f"{tuple(value.shape[-2:])}"
            )
        if value.ndim == 2:
            warnings.warn(f"'{name}' (H, W) is taken as (1, H, W)", stacklevel=3)
            value = value[None]
        return value


class PoseDataSample(BaseDataElement):
    """The data of one image.

    Fields, as far as they are there: `gt_instances` and `pred_instances` (`InstanceData`),
    `gt_instance_labels`, `gt_fields` and `pred_fields` (`PixelData`). Metainfo: `ori_shape` and
    `img_shape` (h, w), `img_path`, `input_size` (w, h), `flip_indices`; with heat maps
    `input_center` and `input_scale` (2,), the crop that they lie in, in pixels of the image.
    """

    def set_field(
        self,
        value: Any,
        name: str,
        dtype: type | tuple[type, ...] | None = None,
        field_type: str = "data",
    ) -> None:
        """As for every element; the fields of the class have fixed types."""
        if dtype is None and field_type == "data":
            dtype = SAMPLE_FIELDS.get(name)
        super().set_field(value, name, dtype, field_type)


SAMPLE_FIELDS: dict[str, type] = {
    "gt_instances": InstanceData,
    "gt_instance_labels": InstanceData,
    "pred_instances": InstanceData,
    "gt_fields": PixelData,
    "pred_fields": PixelData,
}


def merge_data_samples(data_samples: list[PoseDataSample]) -> PoseDataSample:
    """One sample with the instances of several samples of the same image.

    Heat maps (K, h, w) of each are laid where their crop is in the image, and the highest value of
    all is kept: (K, H, W), an array.

    Args:
        data_samples: such as `inference_topdown` gives, one per box; an empty list gives an
            empty sample.

    Raises:
        InputError: something else than a list of samples, or samples of different images.
    """
    if not isinstance(data_samples, list | tuple) or not all(
        isinstance(sample, PoseDataSample) for sample in data_samples
    ):
        raise InputError(f"expected a list of PoseDataSample, found {type(data_samples).__name__}")
    if not data_samples:
        return PoseDataSample()
    for name in ("img_path", "ori_shape"):
        found = [sample.get(name) for sample in data_samples]
        if any(value != found[0] for value in found):
            raise InputError(f"samples of different images cannot be merged: {name} are {found}")
    merged = PoseDataSample(metainfo=data_samples[0].metainfo)
    for name in ("gt_instances", "pred_instances"):
        if all(name in sample for sample in data_samples):
            merged.set_field(InstanceData.cat([sample.get(name) for sample in data_samples]), name)
    for name in ("gt_fields", "pred_fields"):
        if all("heatmaps" in sample.get(name, ()) for sample in data_samples):
            # One after the other: (K, H, W) of many samples would not fit into memory.
            maps = functools.reduce(
                np.maximum, (_reverted(sample, name) for sample in data_samples)
            )
            merged.set_field(PixelData(heatmaps=maps), name)
    return merged


def revert_heatmap(
    heatmap: Any, input_center: Any, input_scale: Any, img_shape: Sequence[int]
) -> np.ndarray:
    """A crop's heat maps where the crop lies in the image, 0 around it.

    Args:
        heatmap: (K, h, w) or (h, w), array or tensor.
        input_center: (2,), the crop's centre in pixels of the image.
        input_scale: (2,), its size.
        img_shape: (H, W) of the image.

    Returns:
        (K, H, W) or (H, W), float32.
    """
    maps = as_array(heatmap, np.float32)
    size = (maps.shape[-1], maps.shape[-2])
    center, scale = (np.reshape(value, (1, 2)) for value in (input_center, input_scale))
    (matrix,) = crop_matrices(center, scale, input_size=size, udp=False)
    to_image = cv2.invertAffineTransform(matrix)
    height, width = img_shape[:2]
    if maps.ndim == 2:
        return np.asarray(cv2.warpAffine(maps, to_image, (width, height)))
    reverted = np.empty((len(maps), height, width), np.float32)
    # Together, as the reference does: OpenCV rounds a single layer in another way.
    for start in range(0, len(maps), WARP_CHANNELS):
        part = slice(start, start + WARP_CHANNELS)
        layers = np.ascontiguousarray(maps[part].transpose(1, 2, 0))
        warped = cv2.warpAffine(layers, to_image, (width, height), flags=cv2.INTER_LINEAR)
        reverted[part] = warped.reshape(height, width, -1).transpose(2, 0, 1)
    return reverted


def split_instances(instances: InstanceData | None) -> list[dict[str, Any]]:
    """One documented dict of plain values per instance; none for None.

    `keypoints`, `keypoint_scores`, and, where the instances have boxes, `bbox` (a tuple of one
    box, as the reference's) and `bbox_score`.
    """
    if instances is None:
        return []
    results = []
    for i in range(len(instances.keypoints)):
        one = {
            "keypoints": instances.keypoints[i].tolist(),
            "keypoint_scores": instances.keypoint_scores[i].tolist(),
        }
        if "bboxes" in instances:
            one["bbox"] = (instances.bboxes[i].tolist(),)
            if "bbox_scores" in instances:
                one["bbox_score"] = float(instances.bbox_scores[i])
        results.append(one)
    return results


def _reverted(sample: PoseDataSample, name: str) -> np.ndarray:
    center, scale = sample.input_center, sample.input_scale
    return revert_heatmap(sample.get(name).heatmaps, center, scale, sample.ori_shape)
