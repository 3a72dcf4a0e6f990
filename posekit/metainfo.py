"""What MMPose calls `dataset_meta`: skeletons in its form, and its forms as skeletons."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from posekit.errors import InputError
from posekit.skeleton import Color, Skeleton, load_skeleton, skeleton_names

__all__ = ["dataset_meta", "guess_skeleton", "known_skeleton", "parse_pose_metainfo"]

# The skeletons that are guessed from a number of keypoints.
SKELETON_OF_COUNT = {
    17: "coco",
    19: "aflw",
    21: "coco_wholebody_hand",
    26: "halpe26",
    29: "cofw",
    42: "interhand3d",
    68: "coco_wholebody_face",
    98: "wflw",
    106: "lapa",
    133: "coco_wholebody",
    136: "halpe",
}
# Where the reference's `dataset_name` is not the stem of its configuration.
DATASET_NAMES = {"humanart": "Human-Art"}
# Where a data set has its people on average, in pixels: centre, and longer side of the box.
STATS = {"h36m": ((528.0, 427.0), 400.0)}
# What makes a mapping a `dataset_meta`, or a part of one.
META_KEYS = frozenset(
    ("keypoint_id2name", "keypoint_colors", "skeleton_links", "skeleton_link_colors")
    + ("classes", "bbox_color")
)
# What the reference takes where a keypoint or a link has no colour.
KEYPOINT_COLOR: Color = (255, 128, 0)
LINK_COLOR: Color = (96, 96, 255)


def dataset_meta(skeleton: Skeleton) -> dict[str, Any]:
    """The `dataset_meta` of a skeleton as in MMPose, with the same names and types.

    `flip_pairs` has every pair twice, in both orders, as there; colours are uint8 (K, 3) and
    (L, 3), RGB; `sigmas` and `dataset_keypoint_weights` are float32 (K,), the first of them (0,)
    where none are known.
    """
    flips = enumerate(skeleton.flip_indices)
    meta = {
        "dataset_name": DATASET_NAMES.get(skeleton.name, skeleton.name),
        "num_keypoints": skeleton.num_keypoints,
        "keypoint_id2name": dict(enumerate(skeleton.names)),
        "keypoint_name2id": {name: i for i, name in enumerate(skeleton.names)},
        "upper_body_ids": list(skeleton.upper_body_ids),
        "lower_body_ids": list(skeleton.lower_body_ids),
        "flip_indices": list(skeleton.flip_indices),
        "flip_pairs": [(there, here) for here, there in flips if here != there],
        "keypoint_colors": np.array(skeleton.keypoint_colors, np.uint8).reshape(-1, 3),
        "num_skeleton_links": len(skeleton.links),
        "skeleton_links": list(skeleton.links),
        "skeleton_link_colors": np.array(skeleton.link_colors, np.uint8).reshape(-1, 3),
        "dataset_keypoint_weights": np.array(
            skeleton.weights or [1.0] * skeleton.num_keypoints, np.float32
        ),
        "sigmas": np.array(skeleton.sigmas, np.float32),
    }
    if skeleton.name in STATS:
        center, scale = (np.array(value, np.float32) for value in STATS[skeleton.name])
        meta["stats_info"] = {"bbox_center": center, "bbox_scale": scale}
    return meta


def parse_pose_metainfo(metainfo: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """Converts any of MMPose's descriptions of keypoints to a `dataset_meta`.

    Args:
        metainfo: a skeleton's name; the path of an official dataset config, which is looked up by
            its stem and not read, also as `{"from_file": path}`; the `dataset_info` of such a
            config (`keypoint_info`, `skeleton_info`, ...); or a `dataset_meta`, also a part of it.

    Raises:
        InputError: an unknown skeleton, or a dict that is none of these.
    """
    if isinstance(metainfo, str | os.PathLike):
        return dataset_meta(_named_skeleton(os.fspath(metainfo)))
    if not isinstance(metainfo, Mapping):
        raise InputError(
            f"metainfo must be a skeleton's name or a dict, found {type(metainfo).__name__}"
        )
    if "from_file" in metainfo:
        return parse_pose_metainfo(str(metainfo["from_file"]))
    if "keypoint_info" in metainfo:
        return _parsed(metainfo)
    if not META_KEYS & set(metainfo):
        raise InputError(
            "metainfo must have keypoint_id2name, as the dataset_meta of a model, or "
            "keypoint_info, as the dataset_info of a config; found the keys "
            f"{sorted(map(str, metainfo))}"
        )
    return dict(metainfo)


def guess_skeleton(count: int) -> Skeleton | None:
    """The usual skeleton with this number of keypoints; None if there is no usual one."""
    name = SKELETON_OF_COUNT.get(count)
    return None if name is None else load_skeleton(name)


def known_skeleton(meta: Mapping[str, Any]) -> Skeleton | None:
    """The skeleton that a `dataset_meta` names; None for none, or if its keypoints differ."""
    names = {public: name for name, public in DATASET_NAMES.items()}
    name = str(meta.get("dataset_name"))
    name = names.get(name, name)
    if name not in skeleton_names() or "keypoint_id2name" not in meta:
        return None
    skeleton = load_skeleton(name)
    return skeleton if list(meta["keypoint_id2name"].values()) == list(skeleton.names) else None


def _named_skeleton(name: str) -> Skeleton:
    stem = PureWindowsPath(name).stem if name.endswith(".py") else name
    names = {public: own for own, public in DATASET_NAMES.items()}
    return load_skeleton(names.get(stem, stem))


def _parsed(info: Mapping[str, Any]) -> dict[str, Any]:
    """The `dataset_info` of an official config."""
    try:
        keypoints = [info["keypoint_info"][i] for i in sorted(info["keypoint_info"])]
        names = [str(keypoint["name"]) for keypoint in keypoints]
        index = {name: i for i, name in enumerate(names)}
        links = list((info.get("skeleton_info") or {}).values())
        kinds = [keypoint.get("type", "") for keypoint in keypoints]
        skeleton = Skeleton(
            name=str(info.get("dataset_name", "metainfo")),
            names=tuple(names),
            flip_indices=tuple(index[one.get("swap") or one["name"]] for one in keypoints),
            links=tuple((index[a], index[b]) for a, b in (one["link"] for one in links)),
            link_colors=tuple(_rgb(one.get("color", LINK_COLOR)) for one in links),
            keypoint_colors=tuple(_rgb(one.get("color", KEYPOINT_COLOR)) for one in keypoints),
            sigmas=_floats(info.get("sigmas")),
            upper_body_ids=tuple(i for i, kind in enumerate(kinds) if kind == "upper"),
            lower_body_ids=tuple(i for i, kind in enumerate(kinds) if kind == "lower"),
            weights=_floats(info.get("joint_weights")),
        )
    except InputError as error:
        raise InputError(f"metainfo: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"metainfo is not a dataset_info: {error!r}") from None
    return dataset_meta(skeleton)


def _floats(values: Any) -> tuple[float, ...]:
    return () if values is None else tuple(float(value) for value in values)


def _rgb(color: Any) -> Color:
    red, green, blue = (int(value) for value in color)
    return red, green, blue
