"""What a type with fewer bits costs: how far points move, AP, and time.

    python -m benchmarks.precision LABELS.json --detector FILE --calibrate CLIP [--images FOLDER]

FILE are trained weights of rtmdet-nano_person-320, LABELS.json people of photographs as COCO labels
them, CLIP is what its 8-bit ranges are measured on. The packaged models of drawn people are
measured on scenes that they have not seen, and that of keypoints on the photographs too, in the
labelled boxes: there it is unsure, which is when rounding moves most. There is no flip test.
Distances are to float32 of the same network: in pixels of the image, and in hundredths of the
longer side of the person's box. Times, with random weights, are processor time of one thread, which
other programs hardly change, as medians of rounds in which all take turns.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import posekit
from benchmarks.common import DETECTOR, machine
from posekit.backends import make_backend, why_unavailable
from posekit.backends.graphs import example_images, quantize_onnx, to_onnx
from posekit.backends.outputs import describe_outputs, output_names
from posekit.cli import main as command
from posekit.datasets.synthetic import main as draw_scenes
from posekit.predictor import Predictor
from posekit.spec import load_spec
from posekit.table import format_table
from posekit.weights.load import load_network

POSE, BOXES = "rtmpose-n_drawn-192x128", "rtmdet-nano_drawn-256"
SCORE = 0.3  # boxes below it are not looked at
OVERLAP = 0.5  # boxes of two precisions are the same person's above this IoU

TIMED = (("rtmpose-m_body8-256x192", 8), ("rtmdet-m_person-640", 1), ("vitpose-b_coco-256x192", 2))

# Of each image the points (n, k, 2) and the boxes (n, 4) that they belong to.
Points = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Way:
    """How a network computes: the type, by an engine; `weights` of an 8-bit file."""

    dtype: str
    backend: str
    weights: str | None = None

    def __str__(self) -> str:
        return f"{'int8' if self.weights else self.dtype}, {self.backend}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels")
    parser.add_argument("--images", help="their folder; beside the labels otherwise")
    parser.add_argument("--detector", required=True)
    parser.add_argument("--calibrate", required=True)
    parser.add_argument("--scenes", type=int, default=300, help="drawn; 0 leaves out all but times")
    parser.add_argument("--rounds", type=int, default=9, help="of the times; 0 leaves them out")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.scenes:
            measure_points(arguments, folder)
        for model, batch in TIMED if arguments.rounds else ():
            measure_time(model, batch, arguments.rounds, folder)


def measure_points(arguments: argparse.Namespace, folder: Path) -> None:
    """A table for each model and set of pictures."""
    scenes = draw(folder / "scenes", arguments.scenes, seed=2)
    known = draw(folder / "calibrate", 40, seed=1).parent / "images"
    labels = Path(arguments.labels)
    photos = (labels, Path(arguments.images or labels.parent))
    drawn = (scenes, scenes.parent / "images")
    pose = ways(POSE, None, str(known), folder)
    report(f"{POSE}, drawn people", pose, POSE, drawn, None)
    report(f"{POSE}, photographs", pose, POSE, photos, None, with_ap=False)
    found = ways(BOXES, None, str(known), folder)
    report(f"{BOXES}, drawn people", found, BOXES, drawn, None)
    found = ways(DETECTOR, arguments.detector, arguments.calibrate, folder)
    report(f"{DETECTOR}, photographs", found, DETECTOR, photos, arguments.detector)


def draw(folder: Path, scenes: int, *, seed: int) -> Path:
    """The labels of drawn people."""
    draw_scenes([str(folder), "--scenes", str(scenes), "--seed", str(seed)])
    return folder / "annotations.json"


def ways(model: str, weights: str | None, calibrate: str, folder: Path) -> list[Way]:
    """All that can run here, float32 first."""
    found = [Way("float32", "torch")]
    for dtype in ("bfloat16", "float16"):
        for backend in ("torch", "openvino"):
            if reason := why_unavailable(backend, torch.device("cpu"), getattr(torch, dtype)):
                print(f"{dtype}, {backend}: {reason}")
            else:
                found.append(Way(dtype, backend))
    path = folder / f"{model}-int8.onnx"
    export = ["quantize=int8", f"inputs={calibrate}", f"output={path}"]
    named = [] if weights is None else [f"weights={weights}"]
    if command(["export", f"model={model}", *named, *export]):
        raise SystemExit("8 bits: the export failed")
    return [
        *found,
        *(Way("float32", backend, str(path)) for backend in ("openvino", "onnxruntime")),
    ]


def report(
    title: str,
    found: Sequence[Way],
    model: str,
    data: tuple[Path, Path],
    weights: str | None,
    *,
    with_ap: bool = True,
) -> None:
    """A table: how far the points are from float32's, and AP."""
    people = read_people(*data)
    expected: Points = []
    rows = []
    for way in found:
        points = predict(way, model, weights, people)
        expected = expected or points
        px, share, count, lost = differences(expected, points)
        rows.append(
            (
                str(way),
                *(f"{np.percentile(px, p):.3f}" for p in (50, 99)),
                *(f"{100 * np.percentile(share, p):.2f}" for p in (50, 99)),
                str(count),
                str(lost),
                average_precision(way, model, weights, data) if with_ap else "",
            )
        )
    print(f"\n{title}: {len(people)} pictures")
    header = ("", "p50 px", "p99 px", "p50 % of box", "p99 % of box", "points", "boxes lost", "AP")
    print(format_table(header, rows), flush=True)


def read_people(labels: Path, images: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images, and the boxes (n, 4), xyxy, of the people in them."""
    content = json.loads(labels.read_text(encoding="utf-8"))
    found = []
    for image in content["images"]:
        own = [a["bbox"] for a in content["annotations"] if a["image_id"] == image["id"]]
        if own:
            boxes = np.array(own, np.float32)
            boxes[:, 2:] += boxes[:, :2]
            picture = cv2.imread(str(images / image["file_name"]))
            found.append((picture, boxes))
    return found


def predict(
    way: Way, model: str, weights: str | None, people: Sequence[tuple[np.ndarray, np.ndarray]]
) -> Points:
    """Of each image the points (n, k, 2) and the boxes (n, 4) that they belong to."""
    options: dict[str, Any] = {"dtype": way.dtype, "backend": way.backend, "device": "cpu"}
    if model == POSE:
        predictor = posekit.load(model, weights=way.weights, detector="whole_image", **options)
        return [
            (result.keypoints, boxes)
            for image, boxes in people
            for result in predictor.stream(image, bboxes=boxes, flip_test=False)
        ]
    detector = detector_of(way, model, weights, options)
    found = []
    for image, _ in people:
        (one,) = detector([image], score_threshold=SCORE)
        chosen = one.select((0,), score_threshold=SCORE, nms_threshold=0.3)
        found.append((chosen.boxes_xyxy.reshape(-1, 2, 2), chosen.boxes_xyxy))
    return found


def detector_of(way: Way, model: str, weights: str | None, options: dict[str, Any]) -> Any:
    predictor: Predictor = posekit.load(
        POSE, detector=model, detector_weights=way.weights or weights, **options
    )
    return predictor.detector


def differences(
    expected: Points,
    found: Points,
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Distances in pixels and in sides of boxes, how many, and boxes without a counterpart."""
    away, shares, lost = [], [], 0
    for (points, boxes), (others, other_boxes) in zip(expected, found, strict=True):
        for own, box in zip(points, boxes, strict=True):
            overlaps = [overlap(box, other) for other in other_boxes]
            if max(overlaps, default=0.0) < OVERLAP:
                lost += 1
                continue
            distance = np.linalg.norm(others[int(np.argmax(overlaps))] - own, axis=-1)
            away.append(distance)
            shares.append(distance / max(box[2] - box[0], box[3] - box[1]))
    all_away = np.concatenate(away)
    return all_away, np.concatenate(shares), len(all_away), lost


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = float(np.prod(np.maximum(sides, 0)))
    return common / (float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - common)


def average_precision(way: Way, model: str, weights: str | None, data: tuple[Path, Path]) -> str:
    """AP of keypoints in the labelled boxes, or of boxes, as `posekit evaluate` has it."""
    chosen = way.weights or weights
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.json")
        options = [f"dtype={way.dtype}", f"backend={way.backend}", "device=cpu", f"out={out}"]
        options += [] if chosen is None else [f"weights={chosen}"]
        options += ["model.flip_test=false"] if model == POSE else []
        source = f"{{annotations: {data[0]}, images: {data[1]}}}"
        options += ["dataset=custom", f"dataset.val={source}"]
        with contextlib.redirect_stdout(io.StringIO()):
            failed = command(["evaluate", f"model={model}", *options])
        if failed:
            return "failed"
        return f"{json.loads(out.read_text())['metrics']['AP']:.4f}"


def measure_time(model: str, batch: int, rounds: int, folder: Path) -> None:
    """Processor time of one thread, by turns."""
    torch.manual_seed(0)
    spec = load_spec(model)
    net, size = posekit.create_model(model).requires_grad_(False), spec.input_size
    images = torch.randn(batch, 3, *reversed(size))
    engines = {}
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        for backend in ("torch", "openvino", "onnxruntime"):
            if why_unavailable(backend, torch.device("cpu"), dtype) is None:
                name = f"{str(dtype).removeprefix('torch.')}, {backend}"
                engines[name] = make_backend(
                    net, backend, input_size=size, dtype=dtype, cache_dir=folder
                )
    path = folder / "random-int8.onnx"
    names = output_names(describe_outputs(net, size))
    to_onnx(net, example_images(size), path, names=names)
    quantize_onnx(path, [images[:1].numpy()])
    graph = load_network(spec, path)
    for backend in ("openvino", "onnxruntime"):
        engines[f"int8, {backend}"] = make_backend(graph, backend, input_size=size)
    times: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(rounds + 1):
        for name, engine in engines.items():
            start = time.process_time()
            engine(images)
            if number:
                times[name].append(1e3 * (time.process_time() - start))
    base = statistics.median(times["float32, openvino"])
    rows = [
        (name, f"{statistics.median(taken):.0f}", f"{statistics.median(taken) / base:.2f}")
        for name, taken in times.items()
    ]
    print(f"\n{model}, batch {batch}, one thread")
    print(format_table(("", "ms of processor time", "to float32, openvino"), rows), flush=True)


if __name__ == "__main__":
    main()
