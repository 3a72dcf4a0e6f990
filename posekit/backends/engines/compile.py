"""AOTInductor: PyTorch's own compiler."""

from __future__ import annotations

import importlib.util
import inspect
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from posekit.backends.artifacts import fingerprint, load_artifact
from posekit.backends.batches import CPU_SIZES, GPU_COMPILED_SIZES, run_in_batches
from posekit.backends.engine import Engine, Target
from posekit.backends.machine import processor_name
from posekit.backends.moving import moved
from posekit.backends.outputs import describe_outputs, flatten, nest, no_outputs
from posekit.models.fuse import fold_batch_norms

__all__ = ["ENGINE", "CompiledBackend"]

_compiling = threading.Lock()  # torch exports one network at a time


class CompiledBackend:
    """Code that torch.export and AOTInductor make from the network, with its weights inside.

    Compiling takes about a minute per size of batch, at the first batch of that size; a later
    process loads what it left in the cache in less than a second.

    Args:
        net: in eval mode.
        target: its dtype is that of parameters and inputs.
    """

    def __init__(self, net: nn.Module, target: Target) -> None:
        device = target.device
        self.net = moved(fold_batch_norms(net), device, target.dtype)
        self.template = describe_outputs(self.net, target.input_size)
        self.target = target
        chip = _cpu() if device.type == "cpu" else torch.cuda.get_device_name(device)
        self.name = fingerprint(net, "aoti", target.input_size, device.type, target.dtype, chip)
        self._loaded: dict[int, Callable[[Tensor], Any]] = {}
        self._place: dict[str, Any] = {}
        # torch 2.6 may only know the first.
        known = "device_index" in inspect.signature(torch._inductor.aoti_load_package).parameters
        if device.index is not None and (device.index or known):
            self._place["device_index"] = device.index

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Any:
        device, dtype = self.target.device, self.target.dtype
        if not len(images):
            return no_outputs(self.template, device, dtype)
        images = images.to(device, dtype).contiguous()
        if device.type != "cuda":
            return nest(run_in_batches(self._run, images, CPU_SIZES), self.template)
        with torch.cuda.device(device):
            outputs = run_in_batches(self._run, images, GPU_COMPILED_SIZES, fill=True)
        return nest(outputs, self.template)

    def _run(self, images: Tensor) -> list[Tensor]:
        size = len(images)
        if size not in self._loaded:
            self._loaded[size] = load_artifact(
                self.target.folder,
                f"compile-{self.name}-{size}",
                make=lambda folder: self._compile(folder / "model.pt2", size),
                load=lambda folder: torch._inductor.aoti_load_package(
                    str(folder / "model.pt2"), **self._place
                ),
            )
        return flatten(self._loaded[size](images))

    def _compile(self, path: Path, size: int) -> None:
        width, height = self.target.input_size
        example = torch.zeros(
            size, 3, height, width, device=self.target.device, dtype=self.target.dtype
        )
        with _compiling, torch.inference_mode(False), torch.no_grad():
            exported = torch.export.export(self.net, (example.clone(),))
            torch._inductor.aoti_compile_and_package(
                exported,
                package_path=str(path),
                # The weights become constants, in the layout that each operation wants.
                inductor_configs={"freezing": True},
            )


def _cpu() -> tuple[str, str, int]:
    """What compiled code is made for: instructions, cache sizes, and threads."""
    capability = torch.backends.cpu.get_cpu_capability()
    return capability, processor_name(), torch.get_num_threads()


def _missing(device: torch.device) -> str | None:
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


ENGINE = Engine(
    title="AOTInductor",
    summary="AOTInductor; needs a C++ compiler, and a minute for each batch size, once",
    make=CompiledBackend,
    packages=("torch",),
    missing=_missing,
)
