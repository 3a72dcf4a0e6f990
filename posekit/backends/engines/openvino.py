"""OpenVINO, on the CPU."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from queue import LifoQueue
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from posekit.backends.artifacts import fingerprint, load_artifact
from posekit.backends.engine import Engine, Target, check_process, missing_package
from posekit.backends.files import GraphFile, check_graph, read_graph
from posekit.backends.graphs import example_images, for_export, save_openvino, to_openvino
from posekit.backends.outputs import describe_outputs, nest, no_outputs, output_names
from posekit.cores import usable_cores
from posekit.models.fuse import fold_batch_norms
from posekit.packages import import_package

__all__ = ["ENGINE", "OpenVinoBackend", "openvino_core"]

MAX_STREAMS = 8  # images that are computed side by side
_compiling = threading.Lock()  # else two callers might compile one network's model at once

PRECISIONS = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}
CAPABILITIES = {torch.float16: "FP16", torch.bfloat16: "BF16"}  # as OpenVINO names them


class OpenVinoBackend:
    """OpenVINO, converted from PyTorch without ONNX in between.

    The images of a batch are computed side by side, each by its own part of the threads: these do
    not wait for others after each layer, and any number of images is as fast per image as eight.
    Callers in several threads compute at the same time, as many as there are cores for.

    Args:
        net: in eval mode; or a `GraphFile`, whose file is run.
        target: its dtype is that of the arithmetic, which the processor must support.
    """

    computes_images_apart = True  # what an image gives does not depend on the others

    def __init__(self, net: nn.Module, target: Target) -> None:
        self.template = describe_outputs(net, target.input_size)
        self.target = target
        self._process = os.getpid()
        threads, cores = torch.get_num_threads(), len(usable_cores())
        # Its own choice would be bfloat16 wherever the processor has it.
        self.options = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[target.dtype],
            "INFERENCE_NUM_THREADS": threads,
        }
        if threads < cores:
            # Its own choice is the first cores, for each network and each process: all would wait
            # for these and leave the others idle.
            self.options["ENABLE_CPU_PINNING"] = False
        self.model = self._of_file(net) if isinstance(net, GraphFile) else self._of_network(net)
        # A fixed size is faster than any size, by a third for small networks.
        self.model.reshape([1, 3, *reversed(target.input_size)])
        # Last in, first out: a caller that is alone always has the same one, the only one made.
        self._lanes: LifoQueue[_Lane] = LifoQueue()
        for _ in range(max(1, cores // threads)):
            self._lanes.put(_Lane(self.model, self.options))

    def _of_network(self, net: nn.Module) -> Any:
        openvino = import_package("openvino")

        size = self.target.input_size

        def convert(made: Path) -> None:
            names = output_names(self.template)
            # Of a folded network tracing takes half the time.
            folded = for_export(fold_batch_norms(net))
            model = to_openvino(folded, example_images(size), names=names)
            save_openvino(model, made / "model.xml")

        return load_artifact(
            self.target.folder,
            f"openvino-{fingerprint(net, 'openvino', openvino.__version__, size)}",
            make=convert,
            load=lambda made: openvino_core().read_model(made / "model.xml"),
        )

    def _of_file(self, graph: GraphFile) -> Any:
        model = read_graph(graph.path, openvino_core().read_model)
        shapes = [_shapes(ports) for ports in (model.inputs, model.outputs)]
        size = self.target.input_size
        check_graph(graph.path, *shapes, input_size=size, template=self.template)
        return model

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Any:
        if not len(images):
            return no_outputs(self.template, torch.device("cpu"), self.target.dtype)
        check_process(self._process, "openvino")
        lane = self._lanes.get()
        try:
            found = lane.infer([part.numpy() for part in images.float().contiguous().split(1)])
        finally:
            self._lanes.put(lane)
        outputs = [np.concatenate(arrays) for arrays in zip(*found, strict=True)]
        tensors = [torch.from_numpy(array).to(self.target.dtype) for array in outputs]
        return nest(tensors, self.template)


class _Lane:
    """What one caller at a time computes with; graphs are compiled when they are first needed.

    Args:
        model: the network, for one image.
        options: OpenVINO's properties: of the arithmetic, and of the threads for one caller.
    """

    def __init__(self, model: Any, options: Mapping[str, Any]) -> None:
        self._model, self._options = model, options
        self._streams = min(options["INFERENCE_NUM_THREADS"], MAX_STREAMS)

    def infer(self, images: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """The outputs of each image (1, 3, h, w)."""
        found: list[list[np.ndarray]] = [[]] * len(images)

        def keep(request: Any, index: int) -> None:
            # Copied, since the request's next image overwrites them.
            found[index] = [array.copy() for array in request.results.values()]

        # Where most streams would have nothing to do, an image takes all threads instead.
        rest = len(images) % self._streams
        together = len(images) - rest if rest <= self._streams // 2 else len(images)
        if together:
            self._queue.set_callback(keep)
            try:
                for index in range(together):
                    self._queue.start_async([images[index]], index, share_inputs=True)
            finally:  # after Ctrl-C too they read the inputs
                self._queue.wait_all()
        for index in range(together, len(images)):
            self._request.infer([images[index]], share_inputs=True)
            keep(self._request, index)
        return found

    @cached_property
    def _request(self) -> Any:
        """One image, by all threads."""
        return self._compile(PERFORMANCE_HINT="LATENCY").create_infer_request()

    @cached_property
    def _queue(self) -> Any:
        """Several images at a time, each by its own part of the threads, which never wait."""
        compiled = self._compile(NUM_STREAMS=self._streams)
        return import_package("openvino").AsyncInferQueue(compiled, self._streams)

    def _compile(self, **options: Any) -> Any:
        with _compiling:
            return openvino_core().compile_model(self._model, "CPU", {**self._options, **options})


@cache
def openvino_core() -> Any:
    """OpenVINO's `Core`, one for the whole process, and never released.

    Each `Core` replaces the stack on which the thread handles signals, and restores the previous
    one when released. If two are not released in reverse order, a freed stack stays in use, and the
    next signal, be it Ctrl-C or the end of a child process, is a segmentation fault (OpenVINO
    2026.4).
    """
    return import_package("openvino").Core()


def _shapes(ports: Sequence[Any]) -> list[list[object]]:
    return [
        [side.get_length() if side.is_static else None for side in port.partial_shape]
        for port in ports
    ]


def _alone(path: Path) -> Callable[[Tensor], object]:
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino_core().compile_model(path, "CPU", options).create_infer_request()
    return lambda images: request.infer([images.numpy()])


def _missing(device: torch.device) -> str | None:
    if reason := missing_package("openvino", "openvino"):
        return reason
    return None if device.type == "cpu" else "it is for the CPU; use device=cpu"


def _lacks(dtype: torch.dtype) -> str | None:
    """OpenVINO would silently compute in another type: float32, or bfloat16 for float16."""
    if dtype not in CAPABILITIES:
        return None
    if CAPABILITIES[dtype] in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return None
    name = str(dtype).removeprefix("torch.")
    return (
        f"OpenVINO would compute in another type, as this processor has no {name}; "
        "use dtype=float32"
    )


ENGINE = Engine(
    title="OpenVINO",
    summary='on x86-64 installed with posekit, else with `pip install "posekit[openvino]"`; '
    "computes several images side by side, on CPUs also those of several callers",
    make=OpenVinoBackend,
    packages=("openvino",),
    missing=_missing,
    dtypes=("float32", "float16", "bfloat16"),
    lacks=_lacks,
    reads=("openvino", "onnx"),
    auto_turn=1,  # it wins most often
    alone=_alone,
)
