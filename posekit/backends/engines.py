"""One small class per engine: images in, the network's raw outputs out."""

from __future__ import annotations

import copy
import inspect
import os
import threading
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from posekit.backends.artifacts import fingerprint, load_artifact
from posekit.backends.auto import processor_name
from posekit.backends.batches import CPU_SIZES, GPU_COMPILED_SIZES, GPU_SIZES, run_in_batches
from posekit.backends.cuda_graphs import CudaGraphs
from posekit.backends.files import GraphFile, check_graph
from posekit.backends.graphs import OPSET, save_openvino, to_onnx, to_openvino
from posekit.backends.outputs import describe_outputs, flatten, nest, output_names
from posekit.errors import InputError, WeightsError, first_line
from posekit.models.fuse import fold_batch_norms

__all__ = [
    "CompiledBackend",
    "OnnxRuntimeBackend",
    "OpenVinoBackend",
    "TorchBackend",
    "openvino_core",
]

_compiling = threading.Lock()  # torch exports one network at a time

MAX_STREAMS = 8  # images that OpenVINO computes side by side


class TorchBackend:
    """PyTorch as it is, with batch norms folded and channels last.

    Of a transformer that is only its embedding and its head, whose transposed convolutions take
    half the time so. On a GPU it runs as CUDA graphs, one per size of batch (64, 32, .. 1), which
    other sizes are cut or filled up to.

    Args:
        net: in eval mode.
        input_size: (w, h) in pixels.
        device: where it runs.
        dtype: of its parameters and inputs.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        input_size: tuple[int, int],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.net = _channels_last(_placed(fold_batch_norms(net), device, dtype))
        self.input_size, self.device, self.dtype = input_size, device, dtype
        self._graphs = CudaGraphs(self.net) if device.type == "cuda" else None

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Any:
        if not len(images):
            return _nothing(self._template, self.device, self.dtype)
        images = images.to(self.device, self.dtype)
        if self._graphs is not None:
            outputs = run_in_batches(self._graphs, images, GPU_SIZES, fill=True)
            return nest(outputs, self._template)
        return self.net(images.contiguous(memory_format=torch.channels_last))

    @cached_property
    def _template(self) -> Any:
        return describe_outputs(self.net, self.input_size)


class CompiledBackend:
    """Code that torch.export and AOTInductor make of the network, with its weights inside.

    Compiling takes about a minute per size of batch, at the first batch of that size; a later
    process loads what it left in the cache in less than a second.

    Args:
        net: in eval mode.
        input_size: (w, h) in pixels.
        device: where it runs.
        dtype: of its parameters and inputs.
        folder: where compiled code is kept.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        input_size: tuple[int, int],
        device: torch.device,
        dtype: torch.dtype,
        folder: Path,
    ) -> None:
        self.net = _placed(fold_batch_norms(net), device, dtype)
        self.template = describe_outputs(self.net, input_size)
        self.input_size, self.device, self.dtype, self.folder = input_size, device, dtype, folder
        is_cpu = device.type == "cpu"
        chip = _cpu() if is_cpu else torch.cuda.get_device_name(device)
        self.name = fingerprint(net, "aoti", input_size, device.type, dtype, chip)
        self._loaded: dict[int, Callable[[Tensor], Any]] = {}
        self._place: dict[str, Any] = {}
        # torch 2.6 may only know the first.
        known = "device_index" in inspect.signature(torch._inductor.aoti_load_package).parameters
        if device.index is not None and (device.index or known):
            self._place["device_index"] = device.index

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Any:
        if not len(images):
            return _nothing(self.template, self.device, self.dtype)
        images = images.to(self.device, self.dtype).contiguous()
        if self.device.type != "cuda":
            return nest(run_in_batches(self._run, images, CPU_SIZES), self.template)
        with torch.cuda.device(self.device):
            outputs = run_in_batches(self._run, images, GPU_COMPILED_SIZES, fill=True)
        return nest(outputs, self.template)

    def _run(self, images: Tensor) -> list[Tensor]:
        size = len(images)
        if size not in self._loaded:
            self._loaded[size] = load_artifact(
                self.folder,
                f"compile-{self.name}-{size}",
                make=lambda folder: self._compile(folder / "model.pt2", size),
                load=lambda folder: torch._inductor.aoti_load_package(
                    str(folder / "model.pt2"), **self._place
                ),
            )
        return flatten(self._loaded[size](images))

    def _compile(self, path: Path, size: int) -> None:
        width, height = self.input_size
        example = torch.zeros(size, 3, height, width, device=self.device, dtype=self.dtype)
        with _compiling, torch.inference_mode(False), torch.no_grad():
            exported = torch.export.export(self.net, (example.clone(),))
            torch._inductor.aoti_compile_and_package(
                exported,
                package_path=str(path),
                # The weights become constants, in the layout that each operation wants.
                inductor_configs={"freezing": True},
            )


class OnnxRuntimeBackend:
    """ONNX Runtime on an ONNX export of the network, on the CPU, CUDA or TensorRT.

    Args:
        net: in eval mode; of a `GraphFile` the file itself is run.
        input_size: (w, h) in pixels.
        device: where it runs; inputs and outputs go through the host's memory.
        dtype: of the outputs.
        folder: where the export and TensorRT's engines are kept.
        tensorrt: use NVIDIA TensorRT.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        input_size: tuple[int, int],
        device: torch.device,
        dtype: torch.dtype,
        folder: Path,
        tensorrt: bool = False,
    ) -> None:
        import onnxruntime

        self.template = describe_outputs(net, input_size)
        self.device, self.dtype = device, dtype
        self._process = os.getpid()
        # Of batches; None where any is as good.
        self._sizes: tuple[int, ...] | None = GPU_SIZES if device.type == "cuda" else None
        is_file = isinstance(net, GraphFile)
        name = "" if is_file else fingerprint(net, "onnx", OPSET, input_size)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        # Its threads wait for work by spinning. Between two calls they would hold up whatever else
        # computes, such as the other network in another engine.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        providers: list[Any] = ["CPUExecutionProvider"]
        if device.type == "cuda":
            place = {"device_id": device.index or 0}
            # Its own choice tries every algorithm again for each new size of batch.
            search = {"cudnn_conv_algo_search": "HEURISTIC"}
            providers.insert(0, ("CUDAExecutionProvider", place | search))
            if tensorrt:
                engine = _tensorrt(folder / f"tensorrt-{name}", dtype, input_size)
                providers.insert(0, ("TensorrtExecutionProvider", engine | place))

        def export(made: Path) -> None:
            to_onnx(
                _for_export(net),
                _example(input_size),
                made / "model.onnx",
                names=output_names(self.template),
            )

        def start(path: Path) -> Any:
            return onnxruntime.InferenceSession(str(path), options, providers=providers)

        if isinstance(net, GraphFile):
            self.session = _read(net.path, start)
            shapes = [[i.shape for i in self.session.get_inputs()]]
            shapes.append([o.shape for o in self.session.get_outputs()])
            check_graph(net.path, *shapes, input_size=input_size, template=self.template)
            if isinstance(batch := shapes[0][0][0], int):
                if batch != 1:
                    raise WeightsError(
                        f"{net.path} takes {batch} images at a time: export it with a free batch, "
                        "or take backend=openvino"
                    )
                self._sizes = (1,)
        else:
            self.session = load_artifact(
                folder,
                f"onnx-{name}",
                make=export,
                load=lambda made: start(made / "model.onnx"),
            )
        self.input = self.session.get_inputs()[0].name
        wanted = providers[0] if isinstance(providers[0], str) else providers[0][0]
        if self.session.get_providers()[0] != wanted:
            raise InputError(
                f"onnxruntime cannot use {wanted} here, only {self.session.get_providers()}; "
                "install its libraries (CUDA, cuDNN, TensorRT) or take device=cpu"
            )

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Any:
        if not len(images):
            return _nothing(self.template, self.device, self.dtype)
        _check_process(self._process, "onnxruntime")
        if self._sizes is None:
            return nest(self._run(images), self.template)
        return nest(run_in_batches(self._run, images, self._sizes, fill=True), self.template)

    def _run(self, images: Tensor) -> list[Tensor]:
        array = images.float().contiguous().cpu().numpy()
        outputs = self.session.run(None, {self.input: array})
        return [torch.from_numpy(out).to(self.device, self.dtype) for out in outputs]


class OpenVinoBackend:
    """OpenVINO on the CPU, converted from PyTorch without ONNX in between.

    The images of a batch are computed side by side, each by its own part of the threads: they wait
    for no other thread after each layer, and any number of images is as fast per image as eight.

    Args:
        net: in eval mode; of a `GraphFile` the file itself is run.
        input_size: (w, h) in pixels.
        device: the CPU.
        dtype: float32 computes in it; float16 and bfloat16 where the processor has them.
        folder: where the converted network is kept.
    """

    computes_images_apart = True  # what an image gives does not depend on the others

    def __init__(
        self,
        net: nn.Module,
        *,
        input_size: tuple[int, int],
        device: torch.device,
        dtype: torch.dtype,
        folder: Path,
    ) -> None:
        import openvino

        self.template = describe_outputs(net, input_size)
        self.dtype = dtype
        self._process = os.getpid()
        # Its own choice would be bfloat16 wherever the processor has it.
        self.options = {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[dtype],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._streams = min(torch.get_num_threads(), MAX_STREAMS)
        self._lock = threading.Lock()  # requests are shared
        core = openvino_core()

        def convert(made: Path) -> None:
            names = output_names(self.template)
            model = to_openvino(_for_export(net), _example(input_size), names=names)
            save_openvino(model, made / "model.xml")

        if isinstance(net, GraphFile):
            self.model = _read(net.path, core.read_model)
            shapes = [_openvino_shapes(ports) for ports in (self.model.inputs, self.model.outputs)]
            check_graph(net.path, *shapes, input_size=input_size, template=self.template)
        else:
            self.model = load_artifact(
                folder,
                f"openvino-{fingerprint(net, 'openvino', openvino.__version__, input_size)}",
                make=convert,
                load=lambda made: core.read_model(made / "model.xml"),
            )
        # A fixed size is faster than any size, by a third for small networks.
        self.model.reshape([1, 3, *reversed(input_size)])

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Any:
        if not len(images):
            return _nothing(self.template, torch.device("cpu"), self.dtype)
        _check_process(self._process, "openvino")
        parts = [part.numpy() for part in images.float().contiguous().split(1)]
        found: list[list[np.ndarray]] = [[]] * len(parts)

        def keep(request: Any, index: int) -> None:
            # Copied, since the request's next image overwrites them.
            found[index] = [array.copy() for array in request.results.values()]

        # Where most streams would have nothing to do, an image takes all threads instead.
        rest = len(parts) % self._streams
        together = len(parts) - rest if rest <= self._streams // 2 else len(parts)
        with self._lock:
            if together:
                self._queue.set_callback(keep)
                try:
                    for index in range(together):
                        self._queue.start_async([parts[index]], index, share_inputs=True)
                finally:  # after Ctrl-C too they read the inputs
                    self._queue.wait_all()
            for index in range(together, len(parts)):
                self._request.infer([parts[index]], share_inputs=True)
                keep(self._request, index)
        outputs = [np.concatenate(arrays) for arrays in zip(*found, strict=True)]
        return nest([torch.from_numpy(array).to(self.dtype) for array in outputs], self.template)

    @cached_property
    def _request(self) -> Any:
        """One image, by all threads."""
        return self._compile(PERFORMANCE_HINT="LATENCY").create_infer_request()

    @cached_property
    def _queue(self) -> Any:
        """Several images at a time, each by its own part of the threads, which never wait."""
        import openvino

        return openvino.AsyncInferQueue(self._compile(NUM_STREAMS=self._streams), self._streams)

    def _compile(self, **options: Any) -> Any:
        return openvino_core().compile_model(self.model, "CPU", {**self.options, **options})


@cache
def openvino_core() -> Any:
    """OpenVINO's `Core`, one for the whole process, and never released.

    Each takes over the stack on which the thread handles signals, and gives back the one before it.
    Of two that are not released last first, a freed one stays, and the next signal, be it Ctrl-C or
    the end of a child process, is a segmentation fault (OpenVINO 2026.4).
    """
    import openvino

    return openvino.Core()


def _check_process(process: int, kind: str) -> None:
    """An engine's threads do not come along into a forked process, where it would wait for them."""
    if os.getpid() != process:
        raise InputError(
            f"backend={kind} was loaded before its process was forked: load it in this process, or "
            "start processes by spawning"
        )


def _read(path: Path, read: Callable[[Path], Any]) -> Any:
    """A graph that a user named."""
    try:
        return read(path)
    except Exception as error:  # each library has kinds of its own
        reason = first_line(error)
        raise WeightsError(f"cannot read the graph {path}: {reason}") from None


def _openvino_shapes(ports: Sequence[Any]) -> list[list[object]]:
    return [
        [side.get_length() if side.is_static else None for side in port.partial_shape]
        for port in ports
    ]


_PRECISIONS = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}


def _channels_last(net: nn.Module) -> nn.Module:
    """The network with its convolutions' weights in that order; it shares all others with `net`."""
    tensors = [*net.parameters(), *net.buffers()]
    shared = {id(tensor): tensor for tensor in tensors if tensor.ndim != 4}
    return copy.deepcopy(net, shared).to(memory_format=torch.channels_last)


def _nothing(template: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """The outputs for no images."""
    empty = [torch.empty(0, *t.shape[1:], dtype=dtype, device=device) for t in flatten(template)]
    return nest(empty, template)


def _placed(net: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The network there, of that type: `net` itself where it is that already, else a copy."""
    parameter = next(net.parameters())
    if parameter.device == device and parameter.dtype == dtype:
        return net
    return copy.deepcopy(net).to(device, dtype)


def _for_export(net: nn.Module) -> nn.Module:
    return _placed(net, torch.device("cpu"), torch.float32)


def _example(input_size: Sequence[int]) -> Tensor:
    width, height = input_size
    return torch.zeros(2, 3, height, width)


def _cpu() -> tuple[str, str, int]:
    """What compiled code is made for: instructions, sizes of caches, and threads."""
    capability = torch.backends.cpu.get_cpu_capability()
    return capability, processor_name(), torch.get_num_threads()


def _tensorrt(folder: Path, dtype: torch.dtype, input_size: tuple[int, int]) -> dict[str, Any]:
    width, height = input_size
    shapes = {size: f"input:{size}x3x{height}x{width}" for size in (1, 16, GPU_SIZES[0])}
    return {
        # One engine for all sizes of batch.
        "trt_profile_min_shapes": shapes[1],
        "trt_profile_opt_shapes": shapes[16],
        "trt_profile_max_shapes": shapes[GPU_SIZES[0]],
        "trt_engine_cache_enable": True,
        # A folder per network: an engine's name has nothing of the weights.
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": True,
        "trt_fp16_enable": dtype == torch.float16,
    }
