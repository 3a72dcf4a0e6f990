"""A foreign configuration -> a model folder, as posekit reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from posekit.files import make_folder, write_whole
from posekit.foreign.description import Description, short, take
from posekit.foreign.detectors import DETECTOR_HEADS, describe_detector
from posekit.foreign.known_bases import known_base
from posekit.foreign.lifters import describe_lifter
from posekit.foreign.one_stage import describe_one_stage
from posekit.foreign.pose import describe_pose
from posekit.foreign.python_config import ConfigError, read_config

__all__ = ["describe_config", "describe_file", "model_name", "write_description"]


def describe_file(path: Path) -> Description:
    """The model that a configuration file of MMPose or MMDetection describes; see `read_config`.

    Raises:
        ConfigError: it cannot be read, or posekit has no counterpart; one line with its path.
    """
    return describe_config(read_config(path, known=known_base), path=path, where=str(path))


def describe_config(config: Mapping[str, Any], *, path: Path | None, where: str) -> Description:
    """The model that the values of a configuration describe.

    Args:
        config: the values.
        path: the file, beside which other files are looked for; None for none.
        where: name of the configuration in errors.

    Raises:
        ConfigError: see `describe_file`.
    """
    try:
        kind = short(take(config, "model.type"))
        if kind in ("TopdownPoseEstimator", "TopdownPoseEstimator3D"):
            return describe_pose(config, path)
        if kind == "PoseLifter":
            return describe_lifter(config, path)
        if kind == "BottomupPoseEstimator":
            return describe_one_stage(config, path)
        head = config["model"].get("bbox_head")
        if isinstance(head, Mapping) and short(head.get("type")) in DETECTOR_HEADS:
            return describe_detector(config)
        raise ConfigError(f"a {kind} has no counterpart here{_instead(kind)}")
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise ConfigError(f"{where}: a value of an unexpected type: {error!r}") from None


def _instead(kind: str) -> str:
    if "RCNN" in kind:
        return "; use the detector rtmdet-m_person-640 for people, rtmdet-m_coco-640 for others"
    return (
        "; posekit has TopdownPoseEstimator, PoseLifter, RTMO, and the detectors RTMDet, YOLOX and "
        "SSDLite"
    )


def model_name(path: Path) -> str:
    """An imported model's name: the file's stem, without characters that names may not have."""
    return re.sub(r"[^\w.-]+", "-", path.stem).strip("-.") or "own"


def write_description(folder: Path, name: str, found: Description) -> None:
    """Writes the YAML of a model, and that of its skeleton if it has its own.

    Raises:
        OutputError: they cannot be written.
    """
    files = {folder / found.group / f"{name}.yaml": found.values}
    if found.skeleton is not None:
        files[folder / "keypoints" / f"{found.values['keypoints']}.yaml"] = found.skeleton
    for path, values in files.items():
        text = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, allow_unicode=True)
        make_folder(path.parent)
        write_whole(path, text.encode())
