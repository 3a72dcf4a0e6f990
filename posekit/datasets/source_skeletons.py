"""The names of the keypoints in a file of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from posekit.config import CONF_DIR
from posekit.datasets.label_values import usable_links
from posekit.datasets.plain_coco import named_content
from posekit.datasets.problems import Findings
from posekit.datasets.shards import label_name
from posekit.datasets.sources import Dataset, Source, is_used, named_skeleton
from posekit.errors import InputError
from posekit.names import all_tokens, flip_indices, side_color
from posekit.skeleton import Skeleton, load_skeleton

__all__ = ["dataset_skeleton", "source_skeleton"]


def dataset_skeleton(dataset: Dataset) -> Skeleton:
    """The skeleton that a data set trains.

    Raises:
        InputError: neither it nor its first source names the keypoints.
    """
    if dataset.skeleton is not None:
        return named_skeleton(dataset.skeleton)
    source = dataset.train[0]
    return source_skeleton(source, named_content(source))


def source_skeleton(
    source: Source,
    coco: Mapping[str, Any],
    unnamed: Skeleton | None = None,
    found: Findings | None = None,
) -> Skeleton:
    """The skeleton of a source: as `source.skeleton` says, or from its categories.

    Left and right are determined by names, as `posekit.names` describes, or by pairs of names in
    the category's `flip_pairs`, which `posekit labels` writes. Links are COCO's, from 1; invalid
    ones are left out.

    Args:
        source: the file.
        coco: its content.
        unnamed: the skeleton if the categories name no keypoints; None makes that an error.
        found: collects what was changed.

    Raises:
        InputError: the categories name no keypoints, or differ.
    """
    if source.skeleton is not None:
        return named_skeleton(source.skeleton)
    named = [
        category
        for category in coco["categories"]
        if category.get("keypoints") and is_used(source, category)
    ]
    if not named and unnamed is not None:
        return unnamed
    if not named:
        raise InputError(_unnamed(source, coco))
    names = tuple(str(name) for name in named[0]["keypoints"])
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(
            f"{source.annotations}: category '{named[0].get('name')}' has several keypoints called "
            f"'{repeated[0]}'; give each its own name"
        )
    _check_agreement(source, named, found)
    links, note = usable_links(named[0].get("skeleton"), names)
    if note is not None and found is not None:
        found.whole(f"category '{named[0].get('name')}': its {note}", False)
    name = label_name(source.annotations)
    if (CONF_DIR / "keypoints" / f"{name}.yaml").is_file() and load_skeleton(name).names != names:
        name = f"{name}-own"  # published sets are known by their skeletons' names
    colors = tuple(side_color(tokens) for tokens in all_tokens(names))
    return Skeleton(
        name=name,
        names=names,
        flip_indices=_flips(source, named[0], names),
        links=links,
        link_colors=tuple(colors[start] for start, _ in links),
        keypoint_colors=colors,
    )


def _flips(source: Source, category: Mapping[str, Any], names: Sequence[str]) -> tuple[int, ...]:
    """For each keypoint, the index of its mirror image."""
    pairs = category.get("flip_pairs")
    if pairs is None:
        return flip_indices(names)
    index = {name: i for i, name in enumerate(names)}
    flips = list(range(len(names)))
    for pair in pairs if isinstance(pairs, list) else [pairs]:
        ends = [index.get(name, -1) for name in pair] if isinstance(pair, list) else []
        known = len(ends) == len(set(ends)) == 2 and min(ends) >= 0
        if not known or any(flips[end] != end for end in ends):
            raise InputError(
                f"{source.annotations}: category '{category.get('name')}', 'flip_pairs': expected "
                f"pairs of its keypoints' names, each in one pair at most, found {pair!r:.80}"
            )
        flips[ends[0]], flips[ends[1]] = ends[1], ends[0]
    return tuple(flips)


def _check_agreement(
    source: Source, named: Sequence[Mapping[str, Any]], found: Findings | None
) -> None:
    """Raises InputError if two categories have different keypoints."""
    names = named[0]["keypoints"]
    for category in named[1:]:
        others = category["keypoints"]
        both = f"categories '{named[0].get('name')}' and '{category.get('name')}'"
        if all_tokens(others) != all_tokens(names):
            chosen = category.get("name")
            raise InputError(
                f"{source.annotations}: {both} have different keypoints; choose one with "
                f"'categories', as 'dataset.train={{annotations: FILE, categories: [{chosen}]}}'"
            )
        if others != names and found is not None:
            found.whole(f"{both} spell the same keypoints differently: the first is taken", False)


def _unnamed(source: Source, coco: Mapping[str, Any]) -> str:
    """Why the keypoints have no names, and what to do."""
    said = f"{source.annotations}: its categories name no keypoints"
    names = [category["name"] for category in coco["categories"] if "name" in category]
    if not names:
        said += " ('categories' is missing or empty)"
    elif not any(
        isinstance(annotation, Mapping) and annotation.get("keypoints")
        for annotation in coco["annotations"]
    ):
        return (
            f"{said}, and no annotation has any: these are boxes, outlines or single points "
            f"({', '.join(names[:4])}). In CVAT draw skeletons (labels of the kind 'Skeleton', not "
            "'Points') and export them as 'COCO Keypoints 1.0'"
        )
    return f"{said}; name them with 'skeleton', such as skeleton: cofw"
