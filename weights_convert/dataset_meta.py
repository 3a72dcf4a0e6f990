"""The keypoints or classes that a checkpoint is for, as its training program stored them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["METADATA_KEY", "DatasetMeta"]

METADATA_KEY = "dataset_meta"  # in the header of safetensors
_MOST = 2000  # names, each of as many characters at most: a skeleton has a hundred


@dataclass(frozen=True)
class DatasetMeta:
    """Names in the order of the network's outputs.

    Attributes:
        keypoints: K names; empty if the file has none.
        flip_indices: a permutation of the K: `keypoints[flip_indices]` is what a mirrored image
            shows; empty if the file has none, or an unclear one.
        classes: a detector's classes; empty if the file has none.
    """

    keypoints: tuple[str, ...] = ()
    flip_indices: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()

    @classmethod
    def from_checkpoint(cls, contents: Mapping[Any, Any]) -> DatasetMeta | None:
        """The names in a `.pth` of OpenMMLab; None if there are none, or no clear ones."""
        meta = contents.get("meta")
        if not isinstance(meta, dict):
            return None
        found = meta.get("dataset_meta", meta.get("dataset_info"))
        found = found if isinstance(found, dict) else {}
        keypoints = _keypoints(found)
        classes = found.get("classes", found.get("CLASSES", meta.get("CLASSES")))
        made = cls(keypoints, _flip_indices(found, keypoints), () if keypoints else _names(classes))
        return made if made != cls() else None

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> DatasetMeta | None:
        """The inverse of `to_metadata`; None if the metadata hold no names."""
        try:
            found = json.loads(metadata[METADATA_KEY])
            keypoints, flips = _names(found["keypoints"]), found["flip_indices"]
            classes = _names(found["classes"])
        except (LookupError, ValueError, TypeError, RecursionError):
            return None
        return cls(keypoints, _permutation(flips, len(keypoints)), classes)

    def to_metadata(self) -> dict[str, str]:
        """The names as metadata of a safetensors file."""
        return {METADATA_KEY: json.dumps(asdict(self))}


def _keypoints(found: Mapping[Any, Any]) -> tuple[str, ...]:
    """mmpose 1.x writes names by number; a configuration's `keypoint_info` has more beside them."""
    rows = found.get("keypoint_id2name", found.get("keypoint_info", found.get("keypoint_names")))
    if isinstance(rows, dict):
        rows = [rows.get(i, rows.get(str(i))) for i in range(len(rows))]
    if isinstance(rows, list):
        rows = [row.get("name") if isinstance(row, dict) else row for row in rows]
    return _names(rows)


def _names(values: object) -> tuple[str, ...]:
    if isinstance(values, str):  # a single class
        values = [values]
    if not isinstance(values, list | tuple) or not 0 < len(values) <= _MOST:
        return ()
    fine = all(isinstance(value, str) and len(value) <= _MOST for value in values)
    return tuple(values) if fine else ()


def _flip_indices(found: Mapping[Any, Any], keypoints: Sequence[str]) -> tuple[int, ...]:
    indices = _permutation(found.get("flip_indices"), len(keypoints))
    if indices or not keypoints:
        return indices
    number = {name: i for i, name in enumerate(keypoints)}
    pairs = found.get("flip_pairs")
    rows = found.get("keypoint_info")
    if not isinstance(pairs, list | tuple):
        entries = rows.values() if isinstance(rows, dict) else ()
        pairs = [(e.get("name"), e.get("swap")) for e in entries if isinstance(e, dict)]
        pairs = [pair for pair in pairs if pair[1]]
    flipped = list(range(len(keypoints)))
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            return ()
        ends = [number.get(end, -1) if isinstance(end, str) else end for end in pair]
        if not all(isinstance(end, int) and 0 <= end < len(flipped) for end in ends):
            return ()
        flipped[ends[0]], flipped[ends[1]] = ends[1], ends[0]
    return _permutation(flipped, len(flipped)) if pairs else ()


def _permutation(values: object, count: int) -> tuple[int, ...]:
    if not isinstance(values, list | tuple) or not all(isinstance(value, int) for value in values):
        return ()
    return tuple(values) if sorted(values) == list(range(count)) else ()
