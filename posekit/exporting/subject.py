"""What is written into a file, and how the network itself is run beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posekit.backends.outputs import flatten
from posekit.component import plain
from posekit.exporting.graph import ExportGraph
from posekit.exporting.options import ExportOptions
from posekit.exporting.samples import Samples
from posekit.exporting.sequences import encoded
from posekit.spec import DetectorSpec, LifterSpec, OneStageSpec, PoseSpec, Spec
from posekit.stages.detect import Detector
from posekit.stages.lift import Lifter
from posekit.version import __version__

__all__ = ["Subject", "describe", "run_module"]


@dataclass(frozen=True)
class Subject:
    """What is written into a file.

    Attributes:
        graph: what the file computes.
        spec: the description of the network in it.
        samples: what it is calibrated and compared on.
        options: what the caller asked for.
        description: what someone who runs the file needs to know; plain values.
        output: where the file will be once it is known to agree, as errors name it.
    """

    graph: ExportGraph
    spec: Spec
    samples: Samples
    options: ExportOptions
    description: Mapping[str, Any]
    output: Path

    @property
    def text(self) -> str:
        """The description as JSON."""
        return json.dumps(self.description)

    @property
    def example(self) -> Tensor:
        """An input of two images, or of two sequences."""
        return self.inputs(self.samples.compared[:1]).repeat(2, 1, 1, 1)

    def inputs(self, crops: np.ndarray) -> Tensor:
        """Some of the samples, as the graph takes them."""
        graph = self.graph
        if isinstance(graph.network, Lifter):
            return encoded(graph.network, crops)
        return torch.from_numpy(crops) if graph.preprocess else graph.network.normalize(crops)


def describe(graph: ExportGraph, spec: Spec, options: ExportOptions) -> dict[str, Any]:
    """The description of a file, see `Subject`."""
    written: dict[str, Any] = {
        "posekit": __version__,
        "network": spec.name,
        "format": options.format,
        "precision": options.precision,
    }
    if isinstance(spec, LifterSpec):
        return {**written, **_of_sequences(graph, spec)}
    return {**written, **_of_images(graph, spec, options)}


def _of_sequences(graph: ExportGraph, spec: LifterSpec) -> dict[str, Any]:
    """What a lifter's graph takes and gives."""
    network = graph.network
    assert isinstance(network, Lifter)
    return {
        "input": {"layout": "n, t, k, d", "type": "float32", "max_frames": spec.max_frames},
        "outputs": graph.output_names(),
        "codec": spec.codec.to_config(),
        "flip_test": spec.flip_test,
        "keypoints": list(network.skeleton.names),
    }


def _of_images(
    graph: ExportGraph, spec: PoseSpec | OneStageSpec | DetectorSpec, options: ExportOptions
) -> dict[str, Any]:
    """What a graph takes and gives that sees images."""
    in_bytes = {"layout": "n, h, w, 3", "type": "uint8", "color": "bgr"}
    normalised = {
        "layout": "n, 3, h, w",
        "type": "float32",
        **{key: plain(value) for key, value in spec.normalization.items()},
    }
    network = graph.network
    assert not isinstance(network, Lifter)
    found: dict[str, Any] = {
        "preprocess": options.preprocess,
        "decode": options.decode,
        "input_size": list(network.input_size),
        "input": in_bytes if options.preprocess else normalised,
        "outputs": graph.output_names(),
    }
    if isinstance(network, Detector):
        return {**found, "classes": list(network.classes)}
    if isinstance(spec, OneStageSpec):
        letterbox = {"place": "middle", "pad_value": spec.pad_value}
        return {**found, "letterbox": letterbox, "keypoints": list(network.skeleton.names)}
    assert isinstance(spec, PoseSpec)
    crop = {"padding": spec.padding, "udp": spec.udp}
    return {**found, "crop": crop, "keypoints": list(network.skeleton.names)}


def run_module(module: Any, inputs: Tensor) -> list[np.ndarray]:
    """A module's outputs without gradients, in order."""
    with torch.no_grad():
        return [tensor.numpy() for tensor in flatten(module(inputs))]
