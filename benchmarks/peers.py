"""posekit beside rtmlib on a clip and beside transformers' ViTPose, with the same weights.

    python -m benchmarks.peers [CLIP.mp4 --detector rtmdet_nano.pth] [--frames 40] [--rounds 5]

The clip is repeated to `--frames` frames. rtmlib gets posekit's export of the same two networks and
runs them with ONNX Runtime, as it does by default: the detector in every frame, then one crop after
the other. Both read the clip themselves; nothing is drawn or written. The pose networks' weights
are random, which takes as long; transformers' are converted for posekit, and heat maps that differ
end the run. All take turns in every round; ratios are of medians. Without CLIP only ViTPose is
measured.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import onnx
import rtmlib
import torch
from onnx import TensorProto, helper
from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

import posekit
from benchmarks.common import DETECTOR, MODEL, machine, write_random_weights
from posekit.backends import make_backend
from posekit.cli import main as posekit_command
from posekit.io.video import VideoReader, VideoWriter
from posekit.table import format_table
from weights_convert import convert_state_dict

VITPOSE = "vitpose-b-simple_coco-256x192"  # with the head that VitPoseConfig has by default
TOLERANCE = 1e-3  # of heat maps, in units of their standard deviation
OPTIONS = {"flip_test": False, "bbox_thr": 0.3, "batch_size": 8}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?")
    parser.add_argument("--detector", help="trained weights of " + DETECTOR)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if (arguments.clip is None) != (arguments.detector is None):
        parser.error("a clip and --detector go together")
    print(f"{machine()}; rtmlib {version('rtmlib')}, transformers {version('transformers')}")
    if arguments.clip is not None:
        with tempfile.TemporaryDirectory() as folder:
            measure_clip(arguments, Path(folder))
    measure_vitpose(arguments.rounds)


def measure_clip(arguments: argparse.Namespace, folder: Path) -> None:
    """Frames per second of reading, detection and poses."""
    weights = folder / "pose.safetensors"
    write_random_weights(weights)
    clip = repeated(arguments.clip, arguments.frames, folder / "clip.mp4")
    predictors = {
        backend: posekit.load(
            MODEL,
            weights=weights,
            detector=DETECTOR,
            detector_weights=arguments.detector,
            backend=backend,
            device="cpu",
        )
        for backend in (None, "auto")
    }
    eight_bits = folder / "int8.onnx"
    command = [f"model={MODEL}", f"weights={weights}", f"output={eight_bits}", "quantize=int8"]
    posekit_command(["export", *command])
    predictors["8 bits"] = posekit.load(
        MODEL,
        weights=eight_bits,
        detector=DETECTOR,
        detector_weights=arguments.detector,
        backend="auto",
        device="cpu",
    )

    def run(backend: str | None, **options: object) -> int:
        results = predictors[backend].stream(str(clip), **OPTIONS, **options)
        return sum(len(result) for result in results)

    peer = peers(weights, arguments.detector, folder)
    measured: dict[str, Callable[[], int]] = {
        "rtmlib, every frame": lambda: peer(clip),
        "posekit, plain PyTorch": lambda: run(None),
        "posekit backend=auto": lambda: run("auto"),
        "posekit backend=auto det_interval=5": lambda: run("auto", det_interval=5),
        "posekit, keypoints in 8 bits": lambda: run("8 bits"),
        "posekit, keypoints in 8 bits det_interval=5": lambda: run("8 bits", det_interval=5),
    }
    people = {name: function() for name, function in measured.items()}
    times = by_turns(measured, arguments.rounds)
    base = statistics.median(times["rtmlib, every frame"])
    rows = []
    for name, taken in times.items():
        median = statistics.median(taken)
        rows.append(
            (
                name,
                f"{median / arguments.frames:.1f}",
                f"{1e3 * arguments.frames / median:.2f}",
                f"{base / median:.2f}",
                f"{people[name] / arguments.frames:.1f}",
            )
        )
    print(f"\n{Path(arguments.clip).name}, {arguments.frames} frames, {DETECTOR} and {MODEL}")
    header = ("", "median ms a frame", "frames/s", "to rtmlib", "people a frame")
    print(format_table(header, rows), flush=True)


def repeated(source: str, frames: int, path: Path) -> Path:
    """The first frames of a clip again and again."""
    with VideoReader(source) as reader:
        images = [image for image, _ in itertools.islice(reader, frames)]
        with VideoWriter(path, fps=reader.fps, size=reader.size) as writer:
            for number, image in enumerate(itertools.islice(itertools.cycle(images), frames)):
                writer.write(image, float(number / reader.fps))
    return path


def peers(weights: Path, detector_weights: str, folder: Path) -> Callable[[Path], int]:
    """rtmlib's loop over a clip; gives the number of people."""
    pose, boxes, detector = (folder / name for name in ("pose.onnx", "boxes.onnx", "det.onnx"))
    for model, file, output, more in (
        (MODEL, weights, pose, "decode=false"),
        (DETECTOR, detector_weights, boxes, "decode=true"),
    ):
        posekit_command(["export", f"model={model}", f"weights={file}", f"output={output}", more])
    add_suppression(boxes, detector)
    find = rtmlib.RTMDet(str(detector), (320, 320), backend="onnxruntime")
    estimate = rtmlib.RTMPose(str(pose), (192, 256), backend="onnxruntime")

    def run(clip: Path) -> int:
        video = cv2.VideoCapture(str(clip))
        count = 0
        while True:
            ok, image = video.read()
            if not ok:
                return count
            found = find(image)
            if len(found):
                keypoints, _ = estimate(image, bboxes=found)
                count += len(keypoints)

    return run


def add_suppression(source: Path, output: Path) -> None:
    """Boxes (1, n, 4) and scores (1, n) -> boxes with scores (1, m, 5), as rtmlib takes them."""
    model = onnx.load(source)
    graph = model.graph
    boxes, flat = (output.name for output in graph.output[:2])
    for name, kind, shape, values in (
        ("most", TensorProto.INT64, [1], [100]),
        ("iou", TensorProto.FLOAT, [1], [0.3]),
        ("least", TensorProto.FLOAT, [1], [0.05]),
        ("two", TensorProto.INT64, [], [2]),
        ("one", TensorProto.INT64, [1], [1]),
        ("last", TensorProto.INT64, [1], [2]),
    ):
        graph.initializer.append(helper.make_tensor(name, kind, shape, values))
    graph.node.extend(
        [
            helper.make_node("Unsqueeze", [flat, "one"], ["by_class"]),
            helper.make_node("Unsqueeze", [flat, "last"], ["scores_apart"]),
            helper.make_node(
                "NonMaxSuppression", [boxes, "by_class", "most", "iou", "least"], ["kept"]
            ),
            helper.make_node("Gather", ["kept", "two"], ["rows"], axis=1),
            helper.make_node("Gather", [boxes, "rows"], ["kept_boxes"], axis=1),
            helper.make_node("Gather", ["scores_apart", "rows"], ["kept_scores"], axis=1),
            helper.make_node("Concat", ["kept_boxes", "kept_scores"], ["dets"], axis=2),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("dets", TensorProto.FLOAT, [1, None, 5]))
    onnx.save(model, output)


def measure_vitpose(rounds: int) -> None:
    """Eight crops through transformers' ViTPose-b and through posekit's, with the same weights."""
    torch.manual_seed(0)
    # As published checkpoints have it; by default it is the fourth block's output.
    backbone = VitPoseBackboneConfig(out_indices=[12])
    config = VitPoseConfig(num_labels=17, backbone_config=backbone)
    theirs = VitPoseForPoseEstimation(config).eval()
    ours = posekit.create_model(VITPOSE).requires_grad_(False)
    state = convert_state_dict(theirs.state_dict(), net=ours, layout="transformers")
    ours.load_state_dict(state)
    images = torch.randn(8, 3, 256, 192)
    measured = {
        "transformers": lambda: theirs(images).heatmaps,
        "posekit, plain PyTorch": lambda: ours(images),
    }
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for kind in ("torch", "openvino"):
            backend = make_backend(ours, kind, input_size=(192, 256), cache_dir=Path(folder))
            measured[f"posekit backend={kind}"] = lambda run=backend: run(images)
        expected = measured["transformers"]()
        for name, function in measured.items():
            away = float((function() - expected).abs().max() / expected.std())
            if not away <= TOLERANCE:
                raise SystemExit(f"{name}: heat maps differ by {away:.1g} of their deviation")
            print(f"{name}: heat maps within {away:.1g} of their deviation")
        times = by_turns(measured, rounds)
    base = statistics.median(times["transformers"])
    rows = [
        (name, f"{statistics.median(taken):.0f}", f"{base / statistics.median(taken):.2f}")
        for name, taken in times.items()
    ]
    print(f"\n{VITPOSE}, 8 crops, the same random weights")
    print(format_table(("", "median ms", "to transformers"), rows), flush=True)


def by_turns(measured: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each, after one call of each for warming up."""
    times: dict[str, list[float]] = {name: [] for name in measured}
    for number in range(rounds + 1):
        for name, function in measured.items():
            start = time.perf_counter()
            function()
            if number:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: list(np.array(taken)) for name, taken in times.items()}


if __name__ == "__main__":
    main()
