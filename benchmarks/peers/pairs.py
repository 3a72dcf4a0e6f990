"""A detector and a pose network, as rtmlib and as posekit run them.

rtmlib gets posekit's exports of both networks, the detector with suppression inside, as its own
files have it, and runs them with ONNX Runtime and its default threads: the detector in every frame,
then one crop after the other. Both programs read the clip or the pictures themselves; nothing is
drawn or written. With random weights, which take as long, the people are made up for both: each
detector does all of its work, and what it finds is replaced.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import rtmlib
import torch
from onnx import TensorProto, helper

import posekit
from benchmarks.common import write_random_weights
from benchmarks.made_up import have_people
from posekit.backends.graphs import example_images, to_onnx
from posekit.backends.outputs import describe_outputs, output_names
from posekit.benchmarking.stages import made_up_boxes
from posekit.cli import main as posekit_command
from posekit.exporting.graph import ExportGraph
from posekit.loading import Speed
from posekit.spec import DetectorSpec, load_spec
from posekit.stages.detect import Detector
from posekit.weights.load import load_network

__all__ = ["Pair", "posekit_programs", "rtmlib_programs"]

Program = Callable[[], int]  # gives how many people it found
FREQUENCY = 5  # frames from one detection to the next


@dataclass(frozen=True)
class Pair:
    """Two networks and what they see.

    Attributes:
        detector, pose: their names.
        solution: rtmlib's class for the two.
        source: a clip, or a folder of pictures.
        people: made up in each image; None for those that the detector finds.
        files: folder of weights and exports.
        detector_weights: None for random ones.
    """

    detector: str
    pose: str
    solution: str
    source: Path
    people: int | None
    files: Path
    detector_weights: Path | None = None

    def weights(self, model: str) -> Path:
        """Of one of the two."""
        if model == self.detector and self.detector_weights is not None:
            return self.detector_weights
        path = self.files / f"{model}.safetensors"
        return path if path.exists() else write_random_weights(path, model)

    def exported(self, model: str) -> Path:
        """As rtmlib takes it."""
        path = self.files / f"{model}.onnx"
        if not path.exists():
            # As `posekit export` does, which would compare boxes, and random weights find none.
            spec = load_spec(model)
            net = load_network(spec, self.weights(model))
            graph = net
            names = output_names(describe_outputs(net, spec.input_size))
            if isinstance(spec, DetectorSpec):
                detector = Detector(net, spec)
                graph = ExportGraph(detector, preprocess=False, decode=True, dtype=torch.float32)
                names = graph.output_names()
            to_onnx(graph, example_images(spec.input_size), path, names=names)
            if isinstance(spec, DetectorSpec):
                join_outputs(path)
        return path

    def images(self) -> Iterator[np.ndarray]:
        """As a user of OpenCV reads them."""
        if self.source.is_dir():
            yield from (cv2.imread(str(path)) for path in sorted(self.source.iterdir()))
            return
        video = cv2.VideoCapture(str(self.source))
        while (read := video.read())[0]:
            yield read[1]


def join_outputs(path: Path) -> None:
    """Boxes (1, m, 4) and scores (1, m) -> boxes with scores (1, m, 5), as rtmlib takes them."""
    model = onnx.load(path)
    graph = model.graph
    boxes, scores = (output.name for output in graph.output[:2])
    graph.initializer.append(helper.make_tensor("last", TensorProto.INT64, [1], [2]))
    graph.node.extend(
        [
            helper.make_node("Unsqueeze", [scores, "last"], ["scores_apart"]),
            helper.make_node("Concat", [boxes, "scores_apart"], ["dets"], axis=2),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("dets", TensorProto.FLOAT, [1, None, 5]))
    onnx.save(model, path)


class Replaced:
    """rtmlib's detector, whose boxes are made up."""

    det_mode = "human"

    def __init__(self, detector: Callable[[np.ndarray], Any], people: int) -> None:
        self.detector, self.people = detector, people

    def __call__(self, image: np.ndarray) -> np.ndarray:
        self.detector(image)
        return made_up_boxes((image.shape[1], image.shape[0]), self.people)


def rtmlib_programs(pair: Pair, *, tracker: bool = True) -> dict[str, Program]:
    """Its solution in every frame, and its tracker, which detects in every fifth."""
    det, pose = pair.exported(pair.detector), pair.exported(pair.pose)
    files = {"det": str(det), "pose": str(pose)}
    sizes = {
        "det_input_size": load_spec(pair.detector).input_size,
        "pose_input_size": load_spec(pair.pose).input_size,
    }
    named = {"det_class": "RTMDet", "pose_class": "RTMPose"} if pair.solution == "Custom" else {}

    def made(**more: Any) -> Any:
        kept = {key: value for key, value in more.items() if key != "mode"}
        with contextlib.redirect_stdout(sys.stderr):
            solution = getattr(rtmlib, pair.solution)(**files, **sizes, **named, **kept)
        if pair.people is not None:
            solution.det_model = Replaced(solution.det_model, pair.people)
        return solution

    def run(model: Callable[[np.ndarray], Any]) -> int:
        return sum(len(model(image)[0]) for image in pair.images())

    solution = made()
    name = "rtmlib" if pair.solution == "Custom" else f"rtmlib {pair.solution}"
    programs: dict[str, Program] = {name: lambda: run(solution)}
    if tracker:
        with contextlib.redirect_stdout(sys.stderr):
            following = rtmlib.PoseTracker(made, det_frequency=FREQUENCY)

        def follow() -> int:
            following.reset()
            return run(following)

        programs[f"rtmlib PoseTracker, det_frequency={FREQUENCY}"] = follow
    return programs


def posekit_programs(
    pair: Pair, backends: Sequence[str], *, interval: bool = True, eight_bits: bool = False
) -> dict[str, Program]:
    """As installed, that is without an option; and each backend, without a flip test."""

    def loaded(
        backend: str | None, weights: Path | None = None, speed: Speed = "balanced"
    ) -> posekit.Predictor:
        predictor = posekit.load(
            pair.pose,
            weights=weights or pair.weights(pair.pose),
            detector=pair.detector,
            detector_weights=pair.weights(pair.detector),
            device="cpu",
            speed=speed,
            **({} if backend is None else {"backend": backend}),
        )
        return predictor if pair.people is None else have_people(predictor, pair.people)

    def run(predictor: posekit.Predictor, **options: Any) -> int:
        return sum(len(result) for result in predictor.stream(str(pair.source), **options))

    chosen: dict[str, Any] = {"flip_test": False, "batch_size": 8}
    installed = loaded(None)
    programs: dict[str, Program] = {"posekit as installed": lambda: run(installed)}
    predictors = {kind: loaded(kind) for kind in backends}
    for kind, predictor in predictors.items():
        programs[f"posekit backend={kind}"] = lambda p=predictor: run(p, **chosen)  # type: ignore[misc]
    if interval and backends:
        best = predictors[backends[-1]]
        programs[f"posekit backend={backends[-1]} det_interval={FREQUENCY}"] = lambda: run(
            best, **chosen, det_interval=FREQUENCY
        )
        fast = loaded(backends[-1], speed="fast")
        programs[f"posekit backend={backends[-1]} speed=fast det_interval=1"] = lambda: run(
            fast, **chosen, det_interval=1
        )
    if eight_bits:
        quantized = loaded("auto", _in_eight_bits(pair))
        programs["posekit, keypoints in 8 bits"] = lambda: run(quantized, **chosen)
    return programs


def _in_eight_bits(pair: Pair) -> Path:
    path = pair.files / f"{pair.pose}.int8.onnx"
    command = [f"model={pair.pose}", f"weights={pair.weights(pair.pose)}", f"output={path}"]
    with contextlib.redirect_stdout(sys.stderr):
        if posekit_command(["export", *command, "quantize=int8"]):
            raise SystemExit("the 8-bit export failed")
    return path
