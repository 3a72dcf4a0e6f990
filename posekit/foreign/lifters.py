"""Lifters of MMPose: their configuration in posekit's terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posekit.config import read_config
from posekit.foreign.description import Description, expect, short, take
from posekit.foreign.python_config import ConfigError
from posekit.foreign.skeletons import data_statistics, find_skeleton
from posekit.skeleton import load_skeleton

__all__ = ["describe_lifter"]

Values = dict[str, Any]
JOINTS = "h36m"  # what COCO's keypoints are turned into before they are lifted
# Says of the rest what a configuration does not: where people are, which model finds them.
PUBLISHED = "motionbert-ft_h36m"


def describe_lifter(config: Mapping[str, Any], path: Path | None) -> Description:
    """The YAML of a MotionBERT, a VideoPose3D or a SimpleBaseline3D.

    Args:
        config: all values of the configuration.
        path: its file, for the files that it names.

    Raises:
        ConfigError: a setting has no counterpart in posekit; the message names its key.
    """
    backbone, head = take(config, "model.backbone"), take(config, "model.head")
    kind = short(backbone.get("type"))
    if kind not in NETWORKS:
        raise ConfigError(f"backbone {kind}: expected one of {', '.join(NETWORKS)}")
    net, codec = NETWORKS[kind](config, backbone, head)
    published = read_config(PUBLISHED)
    values = {
        "net": net,
        "codec": codec,
        "normalize": published["normalize"],
        "keypoints": JOINTS,
        "flip_test": bool((take(config, "model").get("test_cfg") or {}).get("flip_test", False)),
        "pose2d": published["pose2d"],
    }
    found = Description("lifter", values)
    _say_joints(config, path, found)
    if statistics := data_statistics(config, path):
        values["normalize"] = statistics
    return found


def _say_joints(config: Mapping[str, Any], path: Path | None, found: Description) -> None:
    """Joints have Human3.6M's names, in their order; colours and links may be others."""
    expected = load_skeleton(JOINTS)
    try:
        name, skeleton = find_skeleton(config, path, expected.num_keypoints)
    except ConfigError as error:
        found.notes.append(f"{error}; taken to be those of '{JOINTS}'")
        return
    names = tuple(row[0] for row in skeleton["keypoints"]) if skeleton else ()
    if names not in ((), expected.names) or (not names and name != JOINTS):
        raise ConfigError(
            f"the data set '{name}': posekit lifts the {expected.num_keypoints} joints of "
            f"'{JOINTS}' only"
        )
    if skeleton is not None:
        found.values["keypoints"], found.skeleton = name, skeleton


def _motionbert(
    config: Mapping[str, Any], backbone: Mapping[str, Any], head: Mapping[str, Any]
) -> tuple[Values, Values]:
    expect(
        {
            "head.type": ("MotionRegressionHead", short(head.get("type"))),
            "backbone.in_channels": (3, backbone.get("in_channels", 3)),
            "head.decoder.num_keypoints": (17, take(head, "decoder.num_keypoints")),
        }
    )
    net = {
        "_target_": "posekit.models.motionbert.MotionBERT",
        "channels": backbone.get("feat_size", 256),
        "depth": backbone.get("depth", 5),
        "num_heads": backbone.get("num_heads", 8),
        "mlp_ratio": float(backbone.get("mlp_ratio", 4)),
        "adaptive_fusion": backbone.get("att_fuse", True),
        "max_frames": backbone.get("seq_len", 243),
        "representation_channels": head.get("embedding_size", 512),
    }
    root_relative = bool(take(head, "decoder").get("rootrel", False))
    return net, {
        "_target_": "posekit.codecs.lifting.MotionBERTLift",
        "root_relative": root_relative,
    }


def _temporal(
    config: Mapping[str, Any], backbone: Mapping[str, Any], head: Mapping[str, Any]
) -> tuple[Values, Values]:
    """VideoPose3D, and SimpleBaseline3D, which sees one frame."""
    decoder = take(head, "decoder")
    kind, removed = short(decoder.get("type")), bool(decoder.get("remove_root", False))
    kernels = [int(kernel) for kernel in backbone.get("kernel_sizes", (3, 3, 3))]
    count = int(take(decoder, "num_keypoints"))
    expect(
        {
            "head.type": ("TemporalRegressionHead", short(head.get("type"))),
            "head.decoder.num_keypoints": (17, count),
            "head.num_joints": (count - removed, take(head, "num_joints")),
            "backbone.in_channels": (2 * count, take(backbone, "in_channels")),
            "backbone.num_blocks": (len(kernels) - 1, backbone.get("num_blocks", 2)),
            "backbone.residual": (True, backbone.get("residual", True)),
            "head.decoder.concat_vis": (False, decoder.get("concat_vis", False)),
            "head.decoder.zero_center": (True, decoder.get("zero_center", True)),
        }
    )
    if math.prod(kernels) > 1:
        causal = backbone.get("causal", False) or _dataset(config).get("causal", False)
        expect({"causal": (False, causal)})
    net = {
        "_target_": "posekit.models.videopose3d.VideoPose3D",
        "kernel_sizes": kernels,
        "channels": backbone.get("stem_channels", 1024),
        "gives_root": not removed,
        "max_frames": 243,
    }
    if kind == "ImagePoseLifting":
        return net, _statistics(decoder, count, removed)
    if kind != "VideoPoseLifting":
        raise ConfigError(f"decoder {kind}: expected VideoPoseLifting or ImagePoseLifting")
    expect(
        {
            "head.decoder.root_index": (0, _root(decoder)),
            "head.decoder.remove_root": (False, removed),
        }
    )
    return net, {"_target_": "posekit.codecs.lifting.VideoPoseLift"}


def _dataset(config: Mapping[str, Any]) -> Mapping[str, Any]:
    for loader in ("test_dataloader", "val_dataloader"):
        if dataset := (config.get(loader) or {}).get("dataset"):
            return dict(dataset)
    return {}


def _root(decoder: Mapping[str, Any]) -> Any:
    """One index; a list of several means their middle."""
    root = decoder.get("root_index", 0)
    return root[0] if isinstance(root, list | tuple) and len(root) == 1 else root


def _statistics(decoder: Mapping[str, Any], count: int, removed: bool) -> Values:
    """Means and deviations of the training data; where there are none, numbers without effect."""
    root = _root(decoder)
    if not isinstance(root, int):
        raise ConfigError(f"head.decoder.root_index: expected one joint, found {root!r}")
    values: Values = {"_target_": "posekit.codecs.lifting.ImagePoseLift"}
    for name, rows, axes in (("keypoints", count, 2), ("target", count - removed, 3)):
        for key, otherwise in ((f"{name}_mean", 0.0), (f"{name}_std", 1.0)):
            given = decoder.get(key)
            numbers = [otherwise] * (rows * axes) if given is None else _flat(given)
            if len(numbers) != rows * axes:
                raise ConfigError(
                    f"head.decoder.{key}: expected {rows} rows of {axes} numbers, found "
                    f"{len(numbers)} numbers"
                )
            values[key] = [numbers[i : i + axes] for i in range(0, len(numbers), axes)]
    return {**values, "root": root}


def _flat(value: Any) -> list[float]:
    if isinstance(value, list | tuple):
        return [number for item in value for number in _flat(item)]
    return [float(value)]


NETWORKS = {"DSTFormer": _motionbert, "TCN": _temporal}
