"""Keypoints of a source -> those of the skeleton that is trained or evaluated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posekit.config import nearest
from posekit.datasets.sources import Source
from posekit.errors import InputError
from posekit.names import match_names
from posekit.skeleton import Skeleton

__all__ = ["find_mapping", "mapped"]


def find_mapping(source: Source, skeleton: Skeleton, target: Skeleton) -> list[list[int]]:
    """For each keypoint of the target, the source's keypoints to average; none, one or several.

    They are matched by name, in any spelling, unless `source.mapping` says otherwise.

    Raises:
        InputError: a mapping of unknown keypoints, or no keypoint in common.
    """
    matched = match_names(target.names, skeleton.names).indices
    chosen: dict[str, list[int]] = {
        name: [] if index < 0 else [index]
        for name, index in zip(target.names, matched, strict=True)
    }
    at = f"{source.annotations}, mapping"
    for name, origin in (source.mapping or {}).items():
        if name not in target.names:
            close = nearest(name, target.names)
            hint = f"; did you mean {', '.join(close)}?" if close else ""
            raise InputError(f"{at}: the skeleton '{target.name}' has no '{name}'{hint}")
        several = [origin] if isinstance(origin, str | int) else list(origin or ())
        chosen[name] = [_source_index(value, skeleton, at) for value in several]
    if not any(chosen.values()):
        raise InputError(
            f"{source.annotations}: no keypoint has a name of the skeleton '{target.name}': "
            f"found {', '.join(skeleton.names[:4])}, ...; expected "
            f"{', '.join(target.names[:4])}, ...; map the names with 'mapping', or train its "
            "own skeleton"
        )
    return list(chosen.values())


def mapped(
    keypoints: np.ndarray, visible: np.ndarray, mapping: Sequence[Sequence[int]]
) -> tuple[np.ndarray, np.ndarray]:
    """(n, J, 2), (n, J) -> (n, K, 2), (n, K) float32; an average needs all its parts visible."""
    out = np.zeros((len(keypoints), len(mapping), 2), np.float32)
    shown = np.zeros((len(keypoints), len(mapping)), np.float32)
    for i, indices in enumerate(mapping):
        if indices:
            out[:, i] = keypoints[:, list(indices)].mean(axis=1)
            shown[:, i] = visible[:, list(indices)].all(axis=1)
    return out, shown


def _source_index(value: str | int, skeleton: Skeleton, at: str) -> int:
    if type(value) is int and 0 <= value < skeleton.num_keypoints:
        return value
    if value in skeleton.names:
        return skeleton.names.index(str(value))
    close = nearest(str(value), skeleton.names)
    hint = f"; did you mean {', '.join(close)}?" if close else ""
    raise InputError(f"{at}: the source's '{skeleton.name}' has no keypoint {value!r}{hint}")
