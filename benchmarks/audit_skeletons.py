"""Holds every skeleton to the official description of its data set.

    python -m benchmarks.audit_skeletons MMPOSE [--write]

MMPOSE is a checkout of the official repository, whose `configs/_base_/datasets/<name>.py` are read,
not run (`audit_reader`). Prints each value that differs and exits with 1 if there is one. `--write`
renews `tests/data/official_skeletons.json`, which the tests hold the YAMLs to.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posekit.foreign.python_config import read_config
from posekit.skeleton import Skeleton, load_skeleton, skeleton_names

TABLE = Path(__file__).parent.parent / "tests" / "data" / "official_skeletons.json"

# Skeletons of which there is no official description, or another thing of that name.
OWN = ("apt36k", "coco_25")

# Where a skeleton differs on purpose: (name, field): why.
EXCEPTIONS = {
    ("coco_aic", "weights"): "officially there are 18 for its 19 keypoints",
    (
        "deepfashion2",
        "flip_indices",
    ): "vest_kpt13 is officially its own mirror image, not vest_kpt9",
}

Values = dict[str, Any]

FIELDS = (
    "names", "flip_indices", "keypoint_colors", "links", "link_colors", "sigmas",
    "upper_body_ids", "lower_body_ids", "weights",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mmpose", type=Path)
    parser.add_argument("--write", action="store_true", help=f"renew {TABLE.name}")
    arguments = parser.parse_args()
    table, count = {}, 0
    for name in skeleton_names():
        path = arguments.mmpose / "configs" / "_base_" / "datasets" / f"{name}.py"
        if name in OWN or not path.is_file():
            print(f"{name}: posekit's own")
            continue
        table[name] = official_values(read_config(path)["dataset_info"])
        for line in differences(name, table[name], skeleton_values(load_skeleton(name))):
            print(f"{name}: {line}")
            count += 1
    if arguments.write:
        rows = [f"{json.dumps(name)}: {json.dumps(table[name])}" for name in sorted(table)]
        TABLE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
    print(f"{len(table)} skeletons, {count} differences")
    return 1 if count else 0


def official_values(info: Mapping[str, Any]) -> Values:
    """What an official description says, in posekit's terms."""
    keypoints = sorted(info["keypoint_info"].values(), key=lambda keypoint: keypoint["id"])
    links = [info["skeleton_info"][key] for key in sorted(info["skeleton_info"])]
    names = [keypoint["name"] for keypoint in keypoints]
    index = {name: i for i, name in enumerate(names)}
    sides = [keypoint.get("type", "") for keypoint in keypoints]
    values = {
        "names": names,
        "flip_indices": [index[k["swap"]] if k.get("swap") else i for i, k in enumerate(keypoints)],
        "keypoint_colors": [list(keypoint["color"]) for keypoint in keypoints],
        "links": [[index[end] for end in link["link"]] for link in links],
        "link_colors": [list(link["color"]) for link in links],
        "sigmas": [float(sigma) for sigma in info["sigmas"]],
        "upper_body_ids": [i for i, side in enumerate(sides) if side == "upper"],
        "lower_body_ids": [i for i, side in enumerate(sides) if side == "lower"],
        "weights": [float(weight) for weight in info["joint_weights"]],
    }
    return values


def skeleton_values(skeleton: Skeleton) -> Values:
    """The same of a skeleton."""
    values = {key: json.loads(json.dumps(getattr(skeleton, key))) for key in FIELDS}
    values["weights"] = values["weights"] or [1.0] * skeleton.num_keypoints
    return values


def differences(name: str, official: Values, found: Values) -> list[str]:
    """A line for each field that is not the official one, and not so on purpose."""
    return [
        f"{key} differ: {found[key]}, official {official[key]}"
        for key in FIELDS
        if official[key] != found[key] and (name, key) not in EXCEPTIONS
    ]


if __name__ == "__main__":
    sys.exit(main())
