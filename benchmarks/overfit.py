"""Learns a few labelled people by heart through the command line, and checks the exported folder.

    python -m benchmarks.overfit LABELS.json [--images FOLDER] [--model rtmpose-t_coco-256x192]

Each model starts at random and is trained without augmentation and flip test, seeing every person
some hundred times. Then `posekit evaluate` measures the exported folder and `posekit predict` finds
the same people, in the labels' own boxes, or itself where the model does that. RTMO is a narrower
and smaller one, for a processor. Exits with 1 where AP is below 0.95, or where evaluation gives
another AP or prediction other keypoints.
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

from posekit.datasets.pose_labels import read_pose_labels
from posekit.datasets.sources import Source
from posekit.skeleton import load_skeleton
from posekit.table import format_table

GOAL = 0.95
TOP_DOWN = ["model.flip_test=false"]
ONE_STAGE = "rtmo-t_body7-416x416"
RECIPES = {
    "rtmpose-t_coco-256x192": [*TOP_DOWN, "epochs=150", "lr=2e-3"],
    "vitpose-s-simple_coco-256x192": [*TOP_DOWN, "epochs=320", "lr=1e-3", "layer_decay=null"],
    ONE_STAGE: [
        *("model.net.widen_factor=0.25", "model.input_size=[256,256]"),
        *("epochs=1000", "lr=3e-4", "min_lr=0"),  # averages of the norms catch up at the end
        "betas=[0.9,0.99]",  # the weights of the losses change at 47 %: steps follow sooner
        # Of so few people the expected errors would shrink until most keypoints are too far off to
        # be drawn nearer.
        "freeze=[classifier.sigma_proj,classifier.sigma_scale]",
    ],
}
COMMON = [
    *("weights=null", "batch_size=12", "lr_batch_size=null", "weight_decay=0", "warmup_steps=15"),
    *("ema=null", "train_net={}", "final_part=0", "augment=none"),
    *("val_every=50", "num_workers=0"),
]


def posekit(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "posekit", *arguments], check=True)


def check(model: str, source: Source, folder: Path, device: str) -> list[str]:
    """Trains, evaluates, predicts and compares; a row of the table."""
    data = json.dumps({"annotations": source.annotations, "images": source.images})
    data = data.replace('"annotations"', "annotations").replace('"images"', "images")
    start = time.perf_counter()
    posekit(
        *("train", f"model={model}", f"dataset.train={data}", f"dataset.val={data}"),
        *(f"out_dir={folder}", f"device={device}", *COMMON, *RECIPES[model]),
    )
    minutes = (time.perf_counter() - start) / 60
    trained = json.loads((folder / "export" / "metrics.json").read_text())["AP"]

    out, kept = folder / "evaluated.json", folder / "keypoints.json"
    posekit(
        *("evaluate", f"model={folder}", "dataset=custom", f"dataset.val={data}", "oks_nms=null"),
        *(f"out={out}", f"out_predictions={kept}", f"device={device}"),
    )
    evaluated = json.loads(out.read_text())["metrics"]["AP"]
    rows = json.loads(kept.read_text())
    labels, _ = read_pose_labels(source, load_skeleton("coco"))
    away = 0.0
    for row, (number, path) in enumerate(zip(labels.image_ids, labels.image_paths, strict=True)):
        boxes = labels.boxes_xyxy[labels.image_rows == row]
        if not len(boxes):
            continue
        expected = np.array([r["keypoints"] for r in rows if r["image_id"] == number])
        expected = expected.reshape(len(expected), -1, 3)[..., :2]
        predictions = folder / "predicted" / str(row)
        own = [] if model == ONE_STAGE else [f"bboxes={boxes.tolist()}"]
        posekit(
            *("predict", f"model={folder}", f"inputs={path}", f"device={device}"),
            *(f"pred_out_dir={predictions}", *own),
        )
        for person in json.loads(next(predictions.glob("*.json")).read_text()):
            distances = np.linalg.norm(expected - person["keypoints"], axis=-1).max(axis=1)
            away = max(away, float(distances.min()))
    return [model, f"{minutes:.1f}", f"{trained:.4f}", f"{evaluated:.4f}", f"{away:.3f}"]


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
    header = ("model", "minutes", "AP, training", "AP, evaluate", "largest distance px, predict")
    print(format_table(header, rows))
    good = all(float(row[2]) >= GOAL and row[3] == row[2] and float(row[4]) < 0.01 for row in rows)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
