"""The configuration that MMEngine writes into its checkpoints. Imports PyTorch."""

from __future__ import annotations

from pathlib import Path

from posekit.foreign.description import Description
from posekit.foreign.folder import describe_config
from posekit.foreign.python_config import ConfigError, parse_config
from posekit.foreign.skeletons import skeleton_of_names
from weights_convert.reader import read_checkpoint

__all__ = ["describe_checkpoint"]


def describe_checkpoint(path: Path) -> Description:
    """The model that the `meta` of a `.pth` describes.

    Raises:
        ConfigError: there is no configuration in it, or posekit has no counterpart.
        ConversionError: the file is no checkpoint, or a damaged one.
    """
    found = read_checkpoint(path)
    if found.config is None:
        raise ConfigError(
            f"{path} holds no configuration: name the model, and give this file as its weights"
        )
    where = f"{path}, meta.cfg"
    config = parse_config(found.config, where)
    meta = found.dataset_meta
    if meta is not None and meta.keypoints and "dataset_info" not in config:
        rows = skeleton_of_names(meta.keypoints, meta.flip_indices or range(len(meta.keypoints)))
        config["dataset_info"] = {
            "dataset_name": "own",
            "keypoint_info": {
                i: {"name": row[0], "id": i, "color": row[1], "swap": swap}
                for i, (row, swap) in enumerate(
                    zip(rows["keypoints"], _swaps(meta.keypoints, meta.flip_indices), strict=True)
                )
            },
        }
    if meta is not None and meta.classes:
        config.setdefault("metainfo", {"classes": list(meta.classes)})
    return describe_config(config, path=path, where=where)


def _swaps(names: tuple[str, ...], flip_indices: tuple[int, ...]) -> list[str]:
    if not flip_indices:
        return [""] * len(names)
    return [names[j] if i != j else "" for i, j in enumerate(flip_indices)]
