"""Labels that a model begins and a person corrects, from which the model learns; and once more.

1. `python examples/label_assist.py label photos --model human` writes predictions.coco.json, for
   CVAT and others, and predictions.label_studio.json into labels/. Correct one there, and export.
2. `python examples/label_assist.py learn export.json photos --model human` trains on the export
   (COCO's JSON, Label Studio's, CVAT's XML, ...); `--model runs/labels` in 1 is the next round.
"""

import argparse
import json
import sys
from pathlib import Path

import posekit
from posekit.commands.reporting import report_errors
from posekit.errors import InputError
from posekit.io import check_inputs


def label(photos: str, model: str) -> None:
    check_inputs(photos)
    options = {"pred_out_dir": "labels", "formats": ["coco", "label_studio"], "on_error": "skip"}
    counts = [len(result) for result in posekit.load(model).stream(photos, **options)]
    if not sum(counts):
        raise InputError(f"nobody was found in {photos}")
    print(f"{sum(counts)} people in {len(counts)} pictures are in labels/: correct them")


def learn(export: Path, photos: str, model: str, epochs: int) -> None:
    try:
        content = json.loads(export.read_bytes()) if export.suffix == ".json" else None
    except (OSError, ValueError) as error:
        raise InputError(f"{export} cannot be read: {error}") from None
    if not isinstance(content, dict) or "annotations" not in content:  # as COCO has it
        found = posekit.labels(export, out="labels/corrected.json", images=photos)
        print(found)
        export = found.files[""]
    labels = {"annotations": str(export), "images": photos}
    result = posekit.train(model, train=labels, out_dir="runs/labels", epochs=epochs)
    print(f"the model is {result.folder}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    for name, what in (("label", "photos -> labels to correct"), ("learn", "labels -> model")):
        step = steps.add_parser(name, help=what)
        if name == "learn":
            step.add_argument("export", type=Path, help="what a labelling tool exported")
            step.add_argument("--epochs", type=int, default=20)
        step.add_argument("photos", help="the folder of the pictures")
        step.add_argument("--model", default="demo", help="human for photos, or runs/labels")
    args = vars(parser.parse_args())
    {"label": label, "learn": learn}[args.pop("step")](**args)


if __name__ == "__main__":
    sys.exit(report_errors(main))
