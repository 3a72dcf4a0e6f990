"""MMPose's `metainfo` of a data set -> the name of a skeleton, or the YAML of a new one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from posekit.foreign.python_config import ConfigError, read_config
from posekit.skeleton import load_skeleton, parse_skeleton, skeleton_names

__all__ = ["data_statistics", "find_skeleton", "is_packaged", "skeleton_of_names"]

# The file in configs/_base_/datasets that a class takes where it is not told another.
OF_CLASSES = {
    "AFLWDataset": "aflw",
    "AP10KDataset": "ap10k",
    "ATRWDataset": "atrw",
    "AicDataset": "aic",
    "AnimalKingdomDataset": "ak",
    "AnimalPoseDataset": "animalpose",
    "COFWDataset": "cofw",
    "CocoDataset": "coco",
    "CocoWholeBodyDataset": "coco_wholebody",
    "CocoWholeBodyFaceDataset": "coco_wholebody_face",
    "CocoWholeBodyHandDataset": "coco_wholebody_hand",
    "CrowdPoseDataset": "crowdpose",
    "DeepFashion2Dataset": "deepfashion2",
    "ExlposeDataset": "exlpose",
    "Face300VWDataset": "300vw",
    "Face300WDataset": "300w",
    "Face300WLPDataset": "300wlp",
    "FlyDataset": "fly",
    "FreiHandDataset": "freihand2d",
    "H36MWholeBodyDataset": "h3wb",
    "HalpeDataset": "halpe",
    "Horse10Dataset": "horse10",
    "Human36mDataset": "h36m",
    "HumanArt21Dataset": "humanart21",
    "HumanArtDataset": "humanart",
    "InterHand2DDoubleDataset": "interhand3d",
    "InterHand3DDataset": "interhand3d",
    "JhmdbDataset": "jhmdb",
    "LapaDataset": "lapa",
    "LocustDataset": "locust",
    "MacaqueDataset": "macaque",
    "MhpDataset": "mhp",
    "MpiiDataset": "mpii",
    "MpiiTrbDataset": "mpii_trb",
    "OCHumanDataset": "ochuman",
    "OneHand10KDataset": "onehand10k",
    "PanopticHand2DDataset": "panoptic_hand2d",
    "PoseTrack18Dataset": "posetrack18",
    "PoseTrack18VideoDataset": "posetrack18",
    "Rhd2DDataset": "rhd2d",
    "UBody2dDataset": "ubody2d",
    "WFLWDataset": "wflw",
    "ZebraDataset": "zebra",
}
GRAY = [160, 160, 160]
# By side, for keypoints without colours: as in COCO's skeleton.
SIDES = {"left": [0, 255, 0], "right": [255, 128, 0]}


def find_skeleton(
    config: Mapping[str, Any], path: Path | None, count: int
) -> tuple[str, dict[str, Any] | None]:
    """The skeleton of the data that a model was trained on.

    Args:
        config: a configuration of MMPose.
        path: its file, beside which the files that it names are looked for; None for none.
        count: how many keypoints the network has.

    Returns:
        Its name, and its YAML if posekit does not have it.

    Raises:
        ConfigError: it is not given, or has another number of keypoints.
    """
    missing: ConfigError | None = None
    for dataset in _datasets(config):
        info = dataset.get("metainfo")
        if isinstance(info, Mapping) and "from_file" in info:
            try:
                return _check_count(*_of_file(str(info["from_file"]), path), count)
            except FileNotFoundError as error:
                missing = ConfigError(str(error))
        if isinstance(info, Mapping) and "keypoint_info" in info:
            return _check_count(*_of_info(info), count)
    info = config.get("dataset_info")
    if isinstance(info, Mapping) and "keypoint_info" in info:
        return _check_count(*_of_info(info), count)
    if missing is not None:
        raise missing
    for dataset in _datasets(config):
        kind = str(dataset.get("type")).rpartition(".")[2]
        known = OF_CLASSES.get(kind)
        if kind == "DeepFashionDataset":
            known = f"deepfashion_{dataset.get('subset') or 'full'}"
        if known is not None:
            try:
                return _check_count(*_of_file(f"configs/_base_/datasets/{known}.py", path), count)
            except FileNotFoundError as error:
                raise ConfigError(str(error)) from None
    raise ConfigError(
        "the names of the keypoints are missing: give a dataset's "
        "metainfo=dict(from_file='my_dataset.py'), or dataset_info=dict(keypoint_info=...)"
    )


def data_statistics(config: Mapping[str, Any], path: Path | None) -> dict[str, Any] | None:
    """Where a lifter's training data had people, as in its YAML; None if that is not given.

    Args:
        config: a configuration of MMPose.
        path: its file, beside which the files that it names are looked for; None for none.
    """
    infos = [dataset.get("metainfo") for dataset in _datasets(config)]
    for info in [*infos, config.get("dataset_info")]:
        if isinstance(info, Mapping) and "from_file" in info:
            file = _beside(str(info["from_file"]), path)
            info = None if file is None else read_config(file).get("dataset_info")
        if isinstance(info, Mapping) and isinstance(found := info.get("stats_info"), Mapping):
            return {
                "center": [float(x) for x in found["bbox_center"]],
                "scale": float(found["bbox_scale"]),
            }
    return None


def _datasets(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The data sets for testing, then those for training, the outer before the inner."""
    for loader in ("test_dataloader", "val_dataloader", "train_dataloader"):
        waiting = [(config.get(loader) or {}).get("dataset")]
        while waiting:
            dataset = waiting.pop(0)
            if isinstance(dataset, Mapping):
                yield dataset
                waiting += [dataset.get("dataset"), *(dataset.get("datasets") or [])]
    if isinstance(config.get("dataset_type"), str):
        yield {"type": config["dataset_type"], "metainfo": config.get("metainfo")}


def _of_file(name: str, path: Path | None) -> tuple[str, dict[str, Any] | None]:
    if (file := _beside(name, path)) is not None:
        info = read_config(file).get("dataset_info")
        if not isinstance(info, Mapping):
            raise ConfigError(f"{file}: expected dataset_info")
        return _of_info(info)
    stem = PurePosixPath(name.replace("\\", "/")).stem
    if stem in skeleton_names():
        return stem, None
    raise FileNotFoundError(
        f"metainfo.from_file: no such file: {name}; put it beside the configuration"
    )


def _beside(name: str, path: Path | None) -> Path | None:
    """A file that a configuration names: beside it, or in a folder above."""
    for folder in () if path is None else (path.parent, *path.resolve().parents, Path()):
        if (file := folder / name).is_file():
            return file
    return None


def _of_info(info: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    listed = _rows(info.get("keypoint_info"), "keypoint_info")
    rows = sorted(listed, key=lambda row: int(row.get("id", listed.index(row))))
    names = [str(row.get("name")) for row in rows]
    sigmas = [float(sigma) for sigma in info.get("sigmas") or []]
    if sigmas and len(sigmas) != len(names):
        raise ConfigError(f"sigmas: expected {len(names)}, found {len(sigmas)}")
    weights = [float(weight) for weight in info.get("joint_weights") or []]
    skeleton: dict[str, Any] = {
        "keypoints": [
            [name, _color(row.get("color"), name), *sigmas[i : i + 1]]
            for i, (name, row) in enumerate(zip(names, rows, strict=True))
        ],
        "flip_pairs": _pairs(rows),
        "links": [
            [*map(str, row["link"]), _color(row.get("color"), str(row["link"][0]))]
            for row in _rows(info.get("skeleton_info") or {}, "skeleton_info")
        ],
    }
    for key, kind in (("upper_body", "upper"), ("lower_body", "lower")):
        if part := [n for n, row in zip(names, rows, strict=True) if row.get("type") == kind]:
            skeleton[key] = part
    if len(weights) == len(names) and len(set(weights)) > 1:
        skeleton["weights"] = weights
    return _file_name(str(info.get("dataset_name") or "own")), skeleton


def _rows(rows: Any, key: str) -> list[Mapping[str, Any]]:
    found = list(rows.values()) if isinstance(rows, Mapping) else rows
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        raise ConfigError(f"{key}: expected a dict of dicts")
    if key == "keypoint_info" and not found:
        raise ConfigError(f"{key} is empty")
    return found


def _pairs(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    pairs: list[list[str]] = []
    for row in rows:
        pair = [str(row["name"]), str(row["swap"])] if row.get("swap") else []
        if pair and pair[0] != pair[1] and pair[::-1] not in pairs:
            pairs.append(pair)
    return pairs


def _color(color: Any, name: str) -> list[int]:
    if isinstance(color, list | tuple) and len(color) == 3:
        return [int(x) for x in color]
    sides = [rgb for side, rgb in SIDES.items() if re.search(side, name.lower())]
    return sides[0] if len(sides) == 1 else GRAY


def _file_name(name: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-") or "own"


def skeleton_of_names(names: Sequence[str], flip_indices: Sequence[int]) -> dict[str, Any]:
    """A skeleton of which only the names and mirrored pairs are known."""
    return {
        "keypoints": [[name, _color(None, name)] for name in names],
        "flip_pairs": [[names[i], names[j]] for i, j in enumerate(flip_indices) if i < j],
    }


def _check_count(
    name: str, skeleton: dict[str, Any] | None, count: int
) -> tuple[str, dict[str, Any] | None]:
    found = load_skeleton(name).num_keypoints if skeleton is None else len(skeleton["keypoints"])
    if found != count:
        raise ConfigError(
            f"the head has {count} keypoints and the data set '{name}' {found}: name the data set "
            "that it was trained on"
        )
    return name, None if skeleton is None or is_packaged(name, skeleton) else skeleton


def is_packaged(name: str, values: dict[str, Any]) -> bool:
    """Whether posekit's skeleton of that name is this one, apart from OpenPose's drawing of it."""
    if name not in skeleton_names():
        return False
    return parse_skeleton(name, values) == dataclasses.replace(load_skeleton(name), openpose=None)
