"""Measuring as a function: `posekit.bench`. Light: torch is imported when it is called."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posekit.benchmarking.options import BenchKeywords, BenchOptions
from posekit.benchmarking.results import BenchResult, NetworkTimes, StageTimes
from posekit.calls import compose_call
from posekit.declared import function_takes
from posekit.errors import InputError

if TYPE_CHECKING:
    import torch

    from posekit.benchmarking.networks import MeasuredPart
    from posekit.parts import Parts

__all__ = ["BenchResult", "bench", "bench_composed"]

# Called with the machine and then with each table as soon as it is measured.
Report = Callable[[Mapping[str, str] | NetworkTimes | StageTimes], None]


@function_takes(BenchKeywords)
def bench(model: str | os.PathLike[str], options: BenchKeywords) -> BenchResult:
    """Measures how fast each engine runs a model here, and the time of each stage of a frame.

    Args:
        model: a name or a trained model's folder; a detector is measured alone.
        {options}

    Raises:
        UnknownModelError: no such model or detector.
        InputError: values that cannot be used, or an engine that cannot run here; one that fails
            is among the `failed` of its table.
        OutputError: `out` or `trace` cannot be written.
        WeightsError, DownloadError: weights do not fit, or cannot be downloaded.
    """
    named = options.named
    config_dir = named.pop("config_dir", None)
    return bench_composed(compose_call("bench", model, named, config_dir=config_dir))


def bench_composed(config: Mapping[str, Any], report: Report = lambda found: None) -> BenchResult:
    """As `bench`, for a composed configuration."""
    if config["names"]["lifter"] is not None:
        raise InputError(
            "lifters are not measured, as they take milliseconds: name the 2D model or a detector"
        )
    options = BenchOptions.from_config(config)
    from posekit.parts import composed_parts

    result = _measure(composed_parts(config), options, report)
    if options.out is not None:
        result.save(Path(options.out))
    return result


def _measure(parts: Parts, options: BenchOptions, report: Report) -> BenchResult:
    import torch

    from posekit.benchmarking.machine import Speed, describe_machine
    from posekit.benchmarking.networks import measure_network
    from posekit.benchmarking.stages import frame_conditions, measure_stages, read_some_frames
    from posekit.benchmarking.trace import trace_prediction
    from posekit.build import select_device

    device = select_device(options.device)
    dtype = getattr(torch, options.floating_type)
    networks: list[NetworkTimes] = []
    stages: list[StageTimes] = []
    with tempfile.TemporaryDirectory(prefix="posekit-") as folder:
        frames = read_some_frames(options.inputs)  # which may not be readable
        measured = _load(parts, options, device, dtype, Path(folder))
        machine = describe_machine(device)
        report(machine)
        speed = Speed(device, dtype, options.rounds)
        for part in measured.values():
            for table in measure_network(part, options, speed):
                report(table)
                networks.append(table)
        if "model" in measured:
            failed = {name for table in networks for name in table.failed}
            for times in measure_stages(measured, parts.search, options, failed, *frames):
                report(times)
                stages.append(times)
            if options.trace is not None:
                timeline = trace_prediction(measured, parts.search, options, failed, frames[0])
                timeline.save(Path(options.trace))
    frame = frame_conditions(options) if stages else {}
    return BenchResult(machine, tuple(networks), tuple(stages), frame)


def _load(
    parts: Parts,
    options: BenchOptions,
    device: torch.device,
    dtype: torch.dtype,
    temporary: Path,
) -> dict[str, MeasuredPart]:
    """The detector and the pose model, one of which may be missing.

    Engines of random weights go to the temporary folder, since nobody can use them again.
    """
    from posekit.benchmarking.networks import MeasuredPart, random_or_loaded
    from posekit.spec import DetectorSpec, OneStageSpec, PoseSpec

    if parts.model is None and options.trace is not None:
        raise InputError("trace applies to models that find keypoints; leave it out for a detector")
    if parts.model is None and options.detector_weights is not None:
        raise InputError("detector_weights are for the detector of a pose model; use weights")
    if parts.model is not None:
        spec = parts.model.spec
        if not isinstance(spec, PoseSpec | OneStageSpec) or getattr(spec, "keypoints_3d", False):
            raise InputError(f"{spec.name} is not measured: expected a 2D model or a detector")
        if isinstance(spec, OneStageSpec) and options.flip_test:
            raise InputError(f"flip_test does not apply: {spec.name} sees each image once")
    measured = {}
    beside = [1] if parts.model is not None else options.batch_sizes
    sizes = {"detector": beside, "model": options.batch_sizes}
    for group, part in (("detector", parts.detector), ("model", parts.model)):
        if part is not None:
            assert isinstance(part.spec, PoseSpec | OneStageSpec | DetectorSpec)
            net = random_or_loaded(part, parts.search).to(device, dtype)
            cache = temporary if part.weights is None else None
            measured[group] = MeasuredPart(part.spec, net, sizes[group], cache)
    return measured
