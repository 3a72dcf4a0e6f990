"""What a detector gains, and what boxes lose, by leaving out the border of its input.

    python -m benchmarks.trimmed LABELS.json [CLIP] --images FOLDER --detector FILE

That is what `speed=fast` does on a CPU. FILE are trained weights of rtmdet-nano_person-320. Boxes
of the labelled photographs, of the clip's frames, and of the packaged detector on drawn scenes are
compared with those of the whole input: AP, who is kept, and how far corners move. Times are of the
detector alone, on one frame at a time: the whole input and the trimmed one take turns, ratios are
of medians. RTMDet-m has random weights, which take as long.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.common import DETECTOR, machine, write_random_weights
from posekit.datasets.detection_samples import DetectionDataset
from posekit.datasets.sources import Source
from posekit.datasets.synthetic import main as draw_scenes
from posekit.evaluation.detectors import evaluate_detector
from posekit.spec import DetectorSpec, load_spec
from posekit.stages.detect import Detections, Detector
from posekit.stages.similarity import box_iou
from posekit.table import format_table
from posekit.weights.load import load_network

DRAWN = "rtmdet-nano_drawn-256"
TIMED = ("rtmdet-nano_person-320", "rtmdet-m_person-640")
SHAPES = ((960, 540), (640, 480), (1000, 1000))  # (w, h)
SAME_IOU, SCORE = 0.5, 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels")
    parser.add_argument("clip", nargs="?")
    parser.add_argument("--images", required=True)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--backend", default="openvino")
    arguments = parser.parse_args()
    print(machine(), flush=True)
    rows = list(compare(arguments))
    header = (
        "pictures",
        "boxes",
        "AP whole",
        "AP trimmed",
        "kept, %",
        "others, %",
        "p50 %",
        "p90 %",
    )
    print(f"\nBoxes of scores above {SCORE}; how far corners move is in % of the box's height")
    print(format_table(header, rows), flush=True)
    rows = [row for model in TIMED for row in measure_times(model, arguments)]
    header = ("detector", "picture", "input", "whole ms", "trimmed ms", "ratio")
    print(f"\nOne picture at a time, backend={arguments.backend}, {arguments.rounds} rounds")
    print(format_table(header, rows), flush=True)


def pair(
    model: str, weights: str | Path | None = None, backend: str | None = None
) -> tuple[Detector, Detector]:
    """The whole and the trimmed detector of one network."""
    spec = load_spec(model)
    assert isinstance(spec, DetectorSpec)
    net = load_network(spec, weights)
    whole, trimmed = (
        Detector(net, spec, backend=backend, trimmed=trimmed) for trimmed in (False, True)
    )
    return whole, trimmed


def compare(arguments: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """A row for each set of pictures."""
    real = pair(DETECTOR, arguments.detector)
    dataset = labelled(Path(arguments.labels), Path(arguments.images), real[0])
    paths = sorted(Path(arguments.images).iterdir())
    yield row("photographs", real, read(paths), dataset)
    if arguments.clip:
        yield row(Path(arguments.clip).name, real, frames(arguments.clip))
    with tempfile.TemporaryDirectory() as folder:
        draw_scenes([folder, "--scenes", str(arguments.scenes), "--seed", "2"])
        labels, images = Path(folder, "annotations.json"), Path(folder, "images")
        drawn = pair(DRAWN)
        dataset = labelled(labels, images, drawn[0])
        yield row(f"{arguments.scenes} drawn", drawn, read(sorted(images.iterdir())), dataset)


def read(paths: Iterable[Path]) -> Iterator[np.ndarray]:
    for path in paths:
        yield cv2.imread(str(path))


def frames(path: str) -> Iterator[np.ndarray]:
    video = cv2.VideoCapture(path)
    while (read := video.read())[0]:
        yield read[1]


def labelled(labels: Path, images: Path, detector: Detector) -> DetectionDataset:
    source = Source(annotations=labels, images=images)
    return DetectionDataset([source], detector.classes, input_size=detector.input_size)


def row(
    name: str,
    detectors: tuple[Detector, Detector],
    images: Iterable[np.ndarray],
    dataset: DetectionDataset | None = None,
) -> tuple[str, ...]:
    """What is lost and moved in some pictures, and AP where they are labelled."""
    people = kept = others = 0
    moved: list[np.ndarray] = []
    for image in images:
        whole, trimmed = (sure(detector([image])[0]) for detector in detectors)
        overlaps = box_iou(whole.astype(float), trimmed.astype(float))
        rows, columns = linear_sum_assignment(overlaps, maximize=True)
        same = overlaps[rows, columns] >= SAME_IOU
        one, other = whole[rows[same]], trimmed[columns[same]]
        moved.append(np.abs(one - other).max(axis=1) / (one[:, 3] - one[:, 1]))
        people, kept, others = people + len(whole), kept + len(one), others + len(trimmed)
    ap = ["", ""]
    if dataset is not None:
        ap = [f"{evaluate_detector(detector, dataset)['AP']:.4f}" for detector in detectors]
    shares = (100 * kept / people, 100 * (others - kept) / people)
    percent = 100 * np.percentile(np.concatenate(moved), [50, 90])
    return (
        name,
        str(people),
        *ap,
        *(f"{share:.1f}" for share in shares),
        *map("{:.2f}".format, percent),
    )


def sure(found: Detections) -> np.ndarray:
    """Boxes (n, 4) of people."""
    return found.select((0,), score_threshold=SCORE, nms_threshold=0.3).boxes_xyxy


def measure_times(model: str, arguments: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """A row for each shape of picture."""
    with tempfile.TemporaryDirectory() as folder:
        weights = write_random_weights(Path(folder, "random.safetensors"), model)
        detectors = pair(model, weights, arguments.backend)
    rng = np.random.default_rng(0)
    for width, height in SHAPES:
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(arguments.rounds + 1):
            for detector, taken in zip(detectors, times, strict=True):
                start = time.perf_counter()
                detector([image], score_threshold=SCORE)
                if number:  # the first one is for warming up
                    taken.append(1e3 * (time.perf_counter() - start))
        whole, trimmed = map(statistics.median, times)
        sizes = [detector.input_size_for(image) for detector in detectors]
        inputs = " -> ".join(f"{w}x{h}" for w, h in sizes)
        yield (
            model,
            f"{width}x{height}",
            inputs,
            *(f"{ms:.1f}" for ms in (whole, trimmed)),
            f"{whole / trimmed:.2f}",
        )


if __name__ == "__main__":
    main()
