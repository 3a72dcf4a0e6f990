"""Names of keypoints or classes in weights, compared with those of the configuration."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from posekit.skeleton import Skeleton, load_skeleton
from posekit.spec import DetectorSpec, Spec
from weights_convert.dataset_meta import DatasetMeta

__all__ = ["stored_meta", "warn_of_other_names"]

log = logging.getLogger(__name__)


def stored_meta(path: Path) -> DatasetMeta | None:
    """The keypoints or classes that a posekit file of weights was trained for, if it says so."""
    try:
        with safe_open(path, framework="pt") as file:
            return DatasetMeta.from_metadata(file.metadata() or {})
    except (SafetensorError, OSError):  # another kind of file
        return None


def warn_of_other_names(spec: Spec, path: Path, *, search: Sequence[Path] = ()) -> None:
    """Warns if a file's outputs mean something else than the configuration says.

    Spelling does not count: "Left Shoulder" is `left_shoulder`.

    Args:
        spec: the model's description.
        path: posekit weights.
        search: folders of configurations that come before the packaged ones.
    """
    meta = stored_meta(path)
    if meta is None:
        return
    if meta.keypoints and not isinstance(spec, DetectorSpec):
        skeleton = load_skeleton(spec.keypoints, search=search)
        if difference := _other_keypoints(meta, skeleton):
            log.warning(
                "%s: the weights were trained for other keypoints than the skeleton '%s': %s. "
                "Results are named and mirrored as the skeleton says; MMPose would go by the "
                "weights. If these are right, set `keypoints` of the model's YAML to a skeleton "
                "with their names",
                *(spec.name, skeleton.name, difference),
            )
        return
    classes = spec.classes if isinstance(spec, DetectorSpec) else ()
    if classes and (difference := _first_difference("class", meta.classes, classes)):
        log.warning(
            "%s: the weights were trained for other classes than the configuration has: %s. "
            "Boxes are chosen as the configuration says; if the weights are right, set "
            "`classes` of the model's YAML to their names",
            *(spec.name, difference),
        )


def _other_keypoints(meta: DatasetMeta, skeleton: Skeleton) -> str:
    if difference := _first_difference("keypoint", meta.keypoints, skeleton.names):
        return difference
    if not meta.flip_indices:
        return ""
    names = skeleton.names
    for name, theirs, ours in zip(names, meta.flip_indices, skeleton.flip_indices, strict=True):
        if theirs != ours:
            return (
                f"in a mirrored image '{name}' is '{names[theirs]}' for the weights, "
                f"'{names[ours]}' in the skeleton"
            )
    return ""


def _first_difference(what: str, theirs: Sequence[str], ours: Sequence[str]) -> str:
    if not theirs:
        return ""
    if len(theirs) != len(ours):
        return f"the weights have the names of {len(theirs)}, the configuration of {len(ours)}"
    differing = [i for i, pair in enumerate(zip(theirs, ours, strict=True)) if not _agree(*pair)]
    if not differing:
        return ""
    first = differing[0]
    return (
        f"{what} {first} is {theirs[first][:60]!a} for the weights, {ours[first]!a} here "
        f"({len(differing)} of {len(ours)} differ)"
    )


def _agree(one: str, other: str) -> bool:
    return _loosely(one) == _loosely(other)


def _loosely(name: str) -> str:
    """A name without its capitals and separators."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())
