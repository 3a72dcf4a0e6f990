"""Engines that run a network: the same call and the same raw outputs, at different speeds."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from posekit.config import nearest
from posekit.errors import InputError
from posekit.files import cache_dir as default_cache_dir

__all__ = [
    "KINDS",
    "Backend",
    "check_backend",
    "choose_backend",
    "make_backend",
    "why_unavailable",
]

# Normalised images (n, 3, h, w) -> raw outputs, nested as those of the network itself.
Backend = Callable[[Tensor], Any]

KINDS = ("auto", "torch", "compile", "onnxruntime", "openvino", "tensorrt")


def make_backend(
    net: nn.Module,
    kind: str = "auto",
    *,
    input_size: tuple[int, int],
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    cache_dir: Path | None = None,
) -> Backend:
    """What runs a network in place of calling it; batches of any size, also of none.

    Args:
        net: in eval mode; it is left as it is, and what is returned may share its parameters: do
            not move it afterwards. A `GraphFile` is run as the file has it.
        kind: "torch" (as it is, batch norms folded), "compile" (AOTInductor), "onnxruntime",
            "openvino", "tensorrt", or "auto" for the fastest of those that need no compiling,
            measured once per machine and kind of network.
        input_size: (w, h) in pixels.
        device: where to run it; None for where it is.
        dtype: of the outputs, and of the arithmetic where the engine has it; None for the net's.
        cache_dir: what was compiled or measured is kept in its folder `backends`; None for
            posekit's cache.

    Raises:
        InputError: the engine cannot run here; the message says what is missing.
    """
    from posekit.backends import engines
    from posekit.backends.files import GraphFile

    parameter = next(net.parameters())
    device = parameter.device if device is None else device
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    dtype = parameter.dtype if dtype is None else dtype
    folder = (default_cache_dir() if cache_dir is None else cache_dir) / "backends"
    check_backend(kind, device, dtype)
    if isinstance(net, GraphFile) and kind not in ("auto", *net.engines):
        raise InputError(
            f"backend={kind} cannot run {net.path}, a graph: take {' or '.join(net.engines)}"
        )
    arguments: dict[str, Any] = {"input_size": input_size, "device": device, "dtype": dtype}
    if kind == "torch":
        return engines.TorchBackend(net, **arguments)
    arguments["folder"] = folder
    if kind == "auto":
        from posekit.backends.auto import AutoBackend

        return AutoBackend(net, **arguments)
    if kind == "compile":
        return engines.CompiledBackend(net, **arguments)
    if kind == "openvino":
        return engines.OpenVinoBackend(net, **arguments)
    return engines.OnnxRuntimeBackend(net, **arguments, tensorrt=kind == "tensorrt")


def choose_backend(
    net: nn.Module, input_size: tuple[int, int], backend: Backend | str | None = None
) -> Backend:
    """What runs a network: an engine, the one of a name, or where none is named the network itself.

    A graph, which PyTorch cannot run, is run by the fastest engine that can.
    """
    from posekit.backends.files import GraphFile

    if backend is None:
        if not isinstance(net, GraphFile):
            return net
        backend = "auto"
    return (
        make_backend(net, backend, input_size=input_size) if isinstance(backend, str) else backend
    )


def check_backend(kind: str, device: torch.device, dtype: torch.dtype | None = None) -> None:
    """Whether an engine can run on a device of this machine.

    Raises:
        InputError: it cannot; the message says what is missing.
    """
    if reason := why_unavailable(kind, device, dtype):
        raise InputError(f"backend={kind} cannot run on {device.type} here: {reason}")


# Where not all.
_TYPES = {
    "onnxruntime": (torch.float32,),
    "openvino": (torch.float32, torch.float16, torch.bfloat16),
    "tensorrt": (torch.float32, torch.float16),
}


def why_unavailable(
    kind: str, device: torch.device, dtype: torch.dtype | None = None
) -> str | None:
    """Why an engine cannot run on a device of this machine, in a few words; None where it can.

    Args:
        kind: its name.
        device: where it would run.
        dtype: what it would compute in; None where that does not matter.

    Raises:
        InputError: no engine of that name.
    """
    if kind not in KINDS:
        close = nearest(kind, KINDS) if isinstance(kind, str) else []
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"backend must be one of {', '.join(KINDS)}, found '{kind}'{hint}")
    types = _TYPES.get(kind)
    if dtype is not None and types is not None and dtype not in types:
        names = " or ".join(str(known).removeprefix("torch.") for known in types)
        return f"it runs in {names}, found {dtype}; take another backend"
    checks = {
        "compile": _without_compiler,
        "onnxruntime": _without_onnxruntime,
        "openvino": _without_openvino,
        "tensorrt": _without_tensorrt,
    }
    return checks[kind](device) if kind in checks else None


def _without_compiler(device: torch.device) -> str | None:
    if not hasattr(torch._inductor, "aoti_compile_and_package"):
        return f"it needs torch 2.6 or newer, found {torch.__version__}"
    if device.type == "mps":
        return "it is for the CPU and CUDA"
    named = os.environ.get("CXX")
    if not any(shutil.which(name) for name in ([named] if named else ["g++", "clang++", "cl"])):
        return f"no C++ compiler {named or 'g++ or clang++'} is installed"
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        return "it needs triton on a GPU: pip install triton"
    return None


def _without_onnxruntime(device: torch.device) -> str | None:
    if reason := _without_package("onnxruntime") or _without_package("onnx", "onnxruntime"):
        return reason
    if device.type == "cuda":
        return _without_provider("CUDAExecutionProvider")
    return None if device.type == "cpu" else "it is for the CPU and CUDA"


def _without_openvino(device: torch.device) -> str | None:
    if reason := _without_package("openvino"):
        return reason
    return None if device.type == "cpu" else "it is for the CPU; take device=cpu"


def _without_tensorrt(device: torch.device) -> str | None:
    if device.type != "cuda":
        return "it is for NVIDIA GPUs; take device=cuda"
    if reason := _without_package("onnxruntime") or _without_package("onnx", "onnxruntime"):
        return reason
    return _without_provider("TensorrtExecutionProvider")


def _without_package(name: str, extra: str | None = None) -> str | None:
    try:
        importlib.import_module(name)
    except ImportError as error:
        return f'{error}; pip install "posekit[{extra or name}]"'
    return None


def _without_provider(name: str) -> str | None:
    import onnxruntime

    if name in onnxruntime.get_available_providers():
        return None
    return f"the installed onnxruntime has no {name}; pip install onnxruntime-gpu in its place"
