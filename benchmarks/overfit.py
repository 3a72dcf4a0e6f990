"""Learns a few labelled people by heart through the command line, and checks the exported folder.

    python -m benchmarks.overfit LABELS.json [--images FOLDER] [--model rtmpose-t_coco-256x192]

Each model starts at random and is trained without augmentation and flip test, seeing every person
some 150 times. Then `posekit predict` finds the same people in the labels' own boxes, from the
exported folder alone. Exits with 1 where AP is below 0.95 or the two differ by 0.01.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from posekit.commands.table import format_table
from posekit.evaluation.coco import KeypointAP
from posekit.skeleton import load_skeleton
from posekit.training.annotations import Source, read_pose_labels

GOAL = 0.95
RECIPES = {
    "rtmpose-t_coco-256x192": ["epochs=150", "lr=2e-3"],
    "vitpose-s-simple_coco-256x192": ["epochs=120", "lr=1e-3", "layer_decay=null"],
}
COMMON = [
    *("weights=null", "batch_size=12", "lr_batch_size=null", "weight_decay=0", "warmup_steps=15"),
    *("ema=null", "train_net={}", "final_part=0", "augment=none", "model.flip_test=false"),
    *("val_every=50", "num_workers=0"),
]


def posekit(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "posekit", *arguments], check=True)


def check(model: str, source: Source, folder: Path, device: str) -> list[str]:
    """Trains, predicts and compares; a row of the table."""
    data = json.dumps({"annotations": source.annotations, "images": source.images})
    data = data.replace('"annotations"', "annotations").replace('"images"', "images")
    start = time.perf_counter()
    posekit(
        *("train", f"model={model}", f"dataset.train={data}", f"dataset.val={data}"),
        *(f"out_dir={folder}", f"device={device}", *COMMON, *RECIPES[model]),
    )
    minutes = (time.perf_counter() - start) / 60
    trained = json.loads((folder / "export" / "metrics.json").read_text())["AP"]

    skeleton = load_skeleton("coco")
    labels, _ = read_pose_labels(source, skeleton)
    used = [row for row in range(len(labels.image_ids)) if (labels.image_rows == row).any()]
    metric = KeypointAP(_truth(source), sigmas=skeleton.sigmas)
    for row in used:
        people = labels.image_rows == row
        boxes = labels.boxes_xyxy[people]
        out = folder / "predicted" / str(row)
        posekit(
            *("predict", f"model={folder}", f"inputs={labels.image_paths[row]}"),
            *(f"pred_out_dir={out}", f"bboxes={boxes.tolist()}", f"device={device}"),
        )
        found = json.loads(next(out.glob("*.json")).read_text())
        sizes = boxes[:, 2:] - boxes[:, :2]
        metric.update(
            np.full(len(found), labels.image_ids[row]),
            np.array([person["keypoints"] for person in found]),
            np.array([person["keypoint_scores"] for person in found]),
            np.ones(len(found)),
            1.5625 * sizes.prod(axis=1),
        )
    exported = metric.compute()["AP"]
    return [model, f"{minutes:.1f}", f"{trained:.3f}", f"{exported:.3f}"]


def _truth(source: Source) -> dict[str, object]:
    """The labels with a keypoint: what training saw."""
    coco = json.loads(Path(source.annotations).read_text(encoding="utf-8"))
    seen = [a for a in coco["annotations"] if not a.get("iscrowd") and any(a["keypoints"][2::3])]
    return {**coco, "annotations": seen}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", help="COCO-style JSON of people")
    parser.add_argument("--images", help="their folder; looked for near the labels otherwise")
    parser.add_argument("--model", action="append", choices=list(RECIPES))
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    source = Source(annotations=arguments.labels, images=arguments.images)
    rows = []
    for model in arguments.model or RECIPES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(check(model, source, Path(folder), arguments.device))
    print(format_table(("model", "minutes", "AP, training", "AP, predict from export"), rows))
    good = all(float(row[2]) >= GOAL and abs(float(row[3]) - float(row[2])) < 0.01 for row in rows)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
