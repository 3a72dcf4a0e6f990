"""ONNX Runtime, on the CPU or CUDA."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from posekit.backends.artifacts import fingerprint, load_artifact
from posekit.backends.batches import GPU_SIZES, run_in_batches
from posekit.backends.engine import Engine, Target, check_process, missing_package
from posekit.backends.files import GraphFile, check_graph, read_graph
from posekit.backends.graphs import OPSET, example_images, for_export, to_onnx
from posekit.backends.outputs import describe_outputs, nest, no_outputs, output_names
from posekit.errors import InputError, WeightsError
from posekit.packages import import_package

__all__ = ["ENGINE", "OnnxRuntimeBackend", "missing_provider"]


class OnnxRuntimeBackend:
    """ONNX Runtime on an ONNX export of the network.

    Args:
        net: in eval mode; or a `GraphFile`, whose file is run.
        target: its dtype is that of the outputs. Inputs and outputs go through the host's memory,
            whatever the device.
    """

    def __init__(self, net: nn.Module, target: Target) -> None:
        self.template = describe_outputs(net, target.input_size)
        self.target = target
        self._process = os.getpid()
        # Of batches; None where any is as good.
        self._sizes: tuple[int, ...] | None = GPU_SIZES if target.device.type == "cuda" else None
        self.session = self._of_file(net) if isinstance(net, GraphFile) else self._of_network(net)
        self.input = self.session.get_inputs()[0].name

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Any:
        if not len(images):
            return no_outputs(self.template, self.target.device, self.target.dtype)
        check_process(self._process, "onnxruntime")
        if self._sizes is None:
            return nest(self._run(images), self.template)
        return nest(run_in_batches(self._run, images, self._sizes, fill=True), self.template)

    def _run(self, images: Tensor) -> list[Tensor]:
        array = images.float().contiguous().cpu().numpy()
        outputs = self.session.run(None, {self.input: array})
        return [torch.from_numpy(out).to(self.target.device, self.target.dtype) for out in outputs]

    def providers(self, name: str) -> list[Any]:
        """The execution providers, as `InferenceSession` takes them; the first must be available.

        Args:
            name: the network's name, under which a provider keeps what it makes of it.
        """
        if self.target.device.type != "cuda":
            return ["CPUExecutionProvider"]
        options = {
            "device_id": self.target.device.index or 0,
            # Its own choice tries every algorithm again for each new size of batch.
            "cudnn_conv_algo_search": "HEURISTIC",
        }
        return [("CUDAExecutionProvider", options), "CPUExecutionProvider"]

    def _of_network(self, net: nn.Module) -> Any:
        size = self.target.input_size
        name = fingerprint(net, "onnx", OPSET, size)
        providers = self.providers(name)

        def export(made: Path) -> None:
            names = output_names(self.template)
            to_onnx(for_export(net), example_images(size), made / "model.onnx", names=names)

        session = load_artifact(
            self.target.folder,
            f"onnx-{name}",
            make=export,
            load=lambda made: _start(made / "model.onnx", providers),
        )
        return _check_provider(session, providers)

    def _of_file(self, graph: GraphFile) -> Any:
        path, providers = graph.path, self.providers("")
        session = read_graph(path, lambda path: _start(path, providers))
        inputs = [port.shape for port in session.get_inputs()]
        outputs = [port.shape for port in session.get_outputs()]
        size = self.target.input_size
        check_graph(path, inputs, outputs, input_size=size, template=self.template)
        if isinstance(batch := inputs[0][0], int):
            if batch != 1:
                raise WeightsError(
                    f"{path} takes {batch} images at a time: export it with a dynamic batch "
                    "size, or use backend=openvino"
                )
            self._sizes = (1,)
        return _check_provider(session, providers)


def _start(path: Path, providers: list[Any]) -> Any:
    onnxruntime = import_package("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    # Its threads wait for work by spinning. Between two calls they would hold up whatever else
    # computes, such as the other network in another engine.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=providers)


def _check_provider(session: Any, providers: list[Any]) -> Any:
    """Checks the session, which would silently fall back to another provider."""
    wanted = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if session.get_providers()[0] != wanted:
        raise InputError(
            f"onnxruntime cannot use {wanted} here, only {session.get_providers()}; install "
            "its libraries (CUDA, cuDNN, TensorRT) or use device=cpu"
        )
    return session


def _alone(path: Path) -> Callable[[Tensor], object]:
    session = import_package("onnxruntime").InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    return lambda images: session.run(None, {"input": images.numpy()})


def _missing(device: torch.device) -> str | None:
    if device.type == "cuda":
        return missing_provider("CUDAExecutionProvider")
    return _missing_packages() or (None if device.type == "cpu" else "it is for the CPU and CUDA")


def missing_provider(name: str) -> str | None:
    """Why ONNX Runtime lacks a provider, and what to do; None where it has it."""
    if reason := _missing_packages():
        return reason
    if name in import_package("onnxruntime").get_available_providers():
        return None
    return f"the installed onnxruntime has no {name}; pip install onnxruntime-gpu in its place"


def _missing_packages() -> str | None:
    return missing_package("onnxruntime", "onnxruntime") or missing_package("onnx", "onnxruntime")


ENGINE = Engine(
    title="ONNX Runtime",
    summary='with `pip install "posekit[onnxruntime]"`; the CPU or CUDA',
    make=OnnxRuntimeBackend,
    packages=("onnxruntime", "onnxruntime-gpu"),
    missing=_missing,
    dtypes=("float32",),
    reads=("onnx",),
    auto_turn=2,
    alone=_alone,
)
