"""The time of each engine for a network, beside a lower bound of that time."""

from __future__ import annotations

import contextlib
import functools
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from posekit.backends import make_backend, why_unavailable
from posekit.backends.auto import AutoBackend
from posekit.backends.files import GraphFile
from posekit.backends.graphs import example_images, to_onnx
from posekit.backends.kinds import ENGINES, auto_candidates, find_engine
from posekit.backends.outputs import describe_outputs, output_names
from posekit.benchmarking.machine import Speed
from posekit.benchmarking.options import BenchOptions
from posekit.benchmarking.results import NetworkTimes
from posekit.build import build_network
from posekit.errors import PosekitError, first_line
from posekit.files import cache_dir
from posekit.parts import Part
from posekit.weights.load import load_network

if TYPE_CHECKING:
    from posekit.backends import Backend
    from posekit.spec import DetectorSpec, OneStageSpec, PoseSpec

__all__ = ["MeasuredPart", "measure_network", "random_or_loaded"]

_Engine = Callable[[Tensor], object]


class MeasuredPart(NamedTuple):
    """A network to measure.

    Attributes:
        spec: its description.
        net: the network, in eval mode, on its device.
        batch_sizes: numbers of images at once.
        cache_dir: where its engines are kept; None for posekit's cache.
    """

    spec: PoseSpec | OneStageSpec | DetectorSpec
    net: nn.Module
    batch_sizes: list[int]
    cache_dir: Path | None

    @property
    def input_size(self) -> tuple[int, int]:
        """(w, h) in pixels."""
        return self.spec.input_size

    def engine(self, kind: str) -> Backend:
        """The engine of a kind that runs it."""
        if kind != "auto" or self.cache_dir is None:
            return make_backend(
                self.net, kind, input_size=self.input_size, cache_dir=self.cache_dir
            )
        # What is fastest does not depend on the weights: prediction may use what is found here.
        parameter = next(self.net.parameters())
        return AutoBackend(
            self.net,
            input_size=self.input_size,
            device=parameter.device,
            dtype=parameter.dtype,
            folder=cache_dir() / "backends",
            cache_dir=self.cache_dir,
        )


def random_or_loaded(part: Part, search: Sequence[Path]) -> nn.Module:
    """The network with the weights that were named, or random ones; in eval mode, on the CPU."""
    if part.weights is not None:
        return load_network(part.spec, part.weights, search=search, key=part.key)
    with torch.random.fork_rng(devices=[]):  # a caller's own random numbers go on as they were
        torch.manual_seed(0)
        return build_network(part.spec.net, device="cpu").eval().requires_grad_(False)


def measure_network(
    part: MeasuredPart, options: BenchOptions, speed: Speed
) -> Iterator[NetworkTimes]:
    """Times of all engines for each batch size."""
    width, height = part.input_size
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        engines = _engines(part, options, speed, Path(folder), failed)
        for size in part.batch_sizes:
            images = torch.randn(size, 3, height, width, device=speed.device, dtype=speed.dtype)
            flops, floor = _floor(part.net, images, speed)
            engines = _those_that_run(engines, images, failed)
            yield NetworkTimes(
                model=part.spec.name,
                batch=size,
                gflop=flops / 1e9,
                gflop_per_second=speed.flops / 1e6,
                copied_gb_per_second=speed.bytes / 1e6,
                floor_ms=floor,
                milliseconds=_by_turns(engines, images, speed),
                failed=dict(failed),
            )


def _engines(
    part: MeasuredPart, options: BenchOptions, speed: Speed, folder: Path, failed: dict[str, str]
) -> dict[str, _Engine]:
    """All engines that can be made, by name; `failed` gets why others cannot."""
    net = part.net
    engines: dict[str, _Engine] = {} if isinstance(net, GraphFile) else {"plain PyTorch": net}
    for kind in options.backends or _all_that_run_here(net, speed):
        with _failure_kept(failed, f"backend={kind}"):
            engines[f"backend={kind}"] = part.engine(kind)
    on_cpu = speed.device.type == "cpu" and speed.dtype == torch.float32
    if options.direct and on_cpu and not isinstance(net, GraphFile):
        with _failure_kept(failed, "engines alone"):
            engines.update(_direct(net, part.input_size, folder))
    return engines


def _all_that_run_here(net: nn.Module, speed: Speed) -> list[str]:
    return [
        kind
        for kind in auto_candidates()
        if not (isinstance(net, GraphFile) and kind not in net.engines)
        and not why_unavailable(kind, speed.device, speed.dtype)
    ]


@contextlib.contextmanager
def _failure_kept(failed: dict[str, str], name: str) -> Iterator[None]:
    """What an engine's own library raises becomes the reason that it is not measured."""
    try:
        yield
    except PosekitError:  # of what was asked for
        raise
    except Exception as error:  # each library has kinds of its own
        failed[name] = first_line(error)


def _those_that_run(
    engines: Mapping[str, _Engine], images: Tensor, failed: dict[str, str]
) -> dict[str, _Engine]:
    """The engines that can take the batch, warmed up: some compile when the first one comes."""
    able = {}
    with torch.inference_mode():
        for name, engine in engines.items():
            with _failure_kept(failed, name):
                engine(images)
                able[name] = engine
    return able


def _direct(
    net: nn.Module, input_size: tuple[int, int], folder: Path
) -> Iterator[tuple[str, _Engine]]:
    """Engines that run ONNX files with their own settings, where they are installed."""
    path, names = folder / "network.onnx", output_names(describe_outputs(net, input_size))
    try:
        to_onnx(net, example_images(input_size), path, names=names)
    except ImportError:
        return
    for engine in map(find_engine, ENGINES):
        with contextlib.suppress(ImportError):
            if engine.alone is not None:
                yield f"{engine.title} alone", engine.alone(path)


def _by_turns(
    engines: Mapping[str, _Engine], images: Tensor, speed: Speed
) -> dict[str, list[float]]:
    """Measures engines in turns, so that other work of the machine slows all of them alike.

    Each runs once more just before it is timed: for some milliseconds after their work, the threads
    of an engine still spin and would delay the next engine.
    """
    times: dict[str, list[float]] = {name: [] for name in engines}
    with torch.inference_mode():
        for _ in tqdm(range(speed.rounds), unit="round", file=sys.stderr, disable=None):
            for name, engine in engines.items():
                engine(images)
                times[name].append(speed.milliseconds(functools.partial(engine, images)))
    return times


def _floor(net: nn.Module, images: Tensor, speed: Speed) -> tuple[int, float]:
    """Its operations, and a lower bound of its time in ms: for these, or for reading its weights.

    For a graph it is the bound of the network that it was made from; 8-bit integers can go below.
    """
    if isinstance(net, GraphFile):
        images = images.to("meta")

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net(images)
    weights = sum(p.numel() * p.element_size() for p in net.parameters())
    flops = counter.get_total_flops()
    return flops, max(flops / speed.flops, weights / (2 * speed.bytes))
