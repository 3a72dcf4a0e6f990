"""`posekit bench`: how fast each engine runs a model here, and where the time of a frame goes."""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from posekit.commands.table import format_table
from posekit.compose import compose_command, print_config, read_specs
from posekit.errors import InputError, OutputError, PosekitError, first_line
from posekit.files import write_atomically
from posekit.io import check_inputs, is_webcam
from posekit.version import __version__

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from posekit.backends import Backend
    from posekit.spec import DetectorSpec, PoseSpec, Spec
    from posekit.stages.detect import Detector
    from posekit.stages.estimate import PoseEstimator

    _Engine = Callable[[Tensor], object]

__all__ = ["bench"]

MATRIX_SIZE = 1536  # on a GPU four times as long a side
COPIED = 1 << 28  # bytes, more than caches hold
FRAME_SIZE = (960, 540)
DECODED = 32  # frames, one after the other
KEPT = 8  # of these, for the other stages


def bench(overrides: Sequence[str], *, config_dir: Path | None = None, show: bool = False) -> int:
    """Runs the command.

    Args:
        overrides: `key=value` each.
        config_dir: a folder with configurations of the user's own.
        show: print the composed configuration and stop.

    Returns:
        The exit status: 1 where an engine failed; the others are measured all the same.

    Raises:
        PosekitError: something that cannot be used, or an engine that cannot run here.
    """
    config = compose_command("bench", overrides, config_dir=config_dir)
    if show:
        print_config(config)
        return 0
    _check(config)
    import torch

    from posekit.build import select_device

    device = select_device(config["device"])
    dtype = getattr(torch, config["dtype"] or "float32")
    networks, stages = [], []
    with tempfile.TemporaryDirectory(prefix="posekit-") as folder:
        frames = _frames(config["inputs"])  # which may not be readable
        parts = _parts(config, device, dtype, Path(folder))
        machine = _machine(device)
        print("; ".join(f"{key}: {value}" for key, value in machine.items()))
        speed = _Speed(device, dtype, config["rounds"])
        for part in parts.values():
            for table in _measure_network(config, part, speed):
                _print_network(table)
                networks.append(table)
        if "model" in parts:
            failed = {name for table in networks for name in table["failed"]}
            for table in _measure_stages(config, parts, failed, *frames):
                _print_stages(table, config)
                stages.append(table)
    if config["out"] is not None:
        content: dict[str, Any] = {"machine": machine, "networks": networks, "stages": stages}
        if stages:
            content["frame"] = _frame_conditions(config)
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        try:
            write_atomically(Path(str(config["out"])), text.encode())
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"cannot write {config['out']}: {reason}") from None
    return 1 if any(table["failed"] for table in networks) else 0


def _check(config: Mapping[str, Any]) -> None:
    """What can be wrong without a network, before torch is imported."""
    from posekit.backends import KINDS

    if config["names"]["lifter"] is not None:
        raise InputError("a lifter takes milliseconds: name the 2D model below it, or a detector")
    for key in ("rounds", "people"):
        value = config[key]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{key} must be a whole number of at least 1, found {value!r}")
    sizes = config["batch_sizes"]
    if not isinstance(sizes, list) or not sizes or not all(type(n) is int and n > 0 for n in sizes):
        raise InputError(f"batch_sizes: expected a list such as [1,8], found {sizes!r}")
    for key in ("flip_test", "direct"):
        if not isinstance(config[key], bool):
            raise InputError(f"{key} must be true or false, found {config[key]!r}")
    backends = config["backends"]
    if backends is not None and (
        not isinstance(backends, list) or not all(kind in KINDS for kind in backends)
    ):
        raise InputError(f"backends: expected a list of {', '.join(KINDS)}, found {backends!r}")
    if backends == []:
        raise InputError(
            "backends is empty: name engines, such as backends=[torch,openvino], or leave it out "
            "for all that run here"
        )
    if (inputs := config["inputs"]) is not None:
        if any(is_webcam(item) or "://" in str(item) for item in _listed(inputs)):
            raise InputError(
                "inputs must be files, whose decoding can be measured, found a camera or a URL: "
                "save it as a file first"
            )
        check_inputs(inputs)
    if config["dtype"] not in (None, "float32", "float16", "bfloat16"):
        raise InputError(f"dtype must be float32, float16 or bfloat16, found {config['dtype']!r}")
    if config["out"] is not None:
        out = Path(str(config["out"]))
        if out.is_dir() or not os.access(out.parent, os.W_OK):
            raise InputError(f"out={out}: expected a file in a folder that can be written to")


def _listed(inputs: Any) -> list[Any]:
    return inputs if isinstance(inputs, list) else [inputs]


def _machine(device: torch.device) -> dict[str, str]:
    import torch

    from posekit.backends.auto import processor_name

    is_gpu = device.type == "cuda"
    found = {
        "device": torch.cuda.get_device_name(device) if is_gpu else processor_name(),
        "threads": str(torch.get_num_threads()),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "torch": torch.__version__,
        "posekit": __version__,
    }
    for package in ("onnxruntime", "openvino"):
        with contextlib.suppress(ImportError):
            found[package] = importlib.import_module(package).__version__
    # The average over a minute, so before the first network it is that of other programs.
    if hasattr(os, "getloadavg"):
        found["load before"] = f"{os.getloadavg()[0]:.1f}"
    return found


class _Speed:
    """A clock, and what the machine can do at best."""

    def __init__(self, device: torch.device, dtype: torch.dtype, rounds: int) -> None:
        import torch

        self.device, self.dtype, self.rounds = device, dtype, rounds
        large = device.type != "cpu"
        size = MATRIX_SIZE * 4 if large else MATRIX_SIZE
        a, b = torch.rand(2, size, size, device=device, dtype=dtype)
        source = torch.empty(COPIED, dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        with _as_convolutions_compute():
            product = [self.milliseconds(lambda: a @ b) for _ in range(5)]
        copy = [self.milliseconds(lambda: target.copy_(source)) for _ in range(5)]
        # The least, which no other program held up.
        self.flops = 2 * size**3 / min(product)  # per millisecond
        self.bytes = COPIED / min(copy)  # copied per millisecond

    def milliseconds(self, function: Callable[[], object]) -> float:
        _wait_for(self.device)
        start = time.perf_counter()
        function()
        _wait_for(self.device)
        return 1e3 * (time.perf_counter() - start)


@contextlib.contextmanager
def _as_convolutions_compute() -> Iterator[None]:
    """Matrix products in the precision that torch has for float32 convolutions on a GPU."""
    import torch

    of_products = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = of_products


def _wait_for(device: torch.device) -> None:
    """Until it has done all that it was told to."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


class _Part(NamedTuple):
    """A network to measure.

    Attributes:
        spec: its description.
        net: in eval mode, on its device.
        batch_sizes: images at once.
        cache_dir: where its engines are kept; None for posekit's cache.
    """

    spec: PoseSpec | DetectorSpec
    net: nn.Module
    batch_sizes: list[int]
    cache_dir: Path | None

    @property
    def input_size(self) -> tuple[int, int]:
        """(w, h) in pixels."""
        return self.spec.input_size

    def engine(self, kind: str) -> Backend:
        """What runs it in place of calling it."""
        from posekit.backends import make_backend
        from posekit.backends.auto import AutoBackend
        from posekit.files import cache_dir

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


def _parts(
    config: Mapping[str, Any], device: torch.device, dtype: torch.dtype, temporary: Path
) -> dict[str, _Part]:
    """The detector and the pose model, of which one may not be there.

    Engines of random weights go to the temporary folder, since nobody can use them again.
    """
    from posekit.spec import PoseSpec

    specs = read_specs(config)
    parts = {}
    if (spec := specs.detector) is not None:
        key = "detector_weights" if specs.model else "weights"
        weights = config[key]
        net = _network(config, spec, weights, key).to(device, dtype)
        parts["detector"] = _Part(spec, net, [1], temporary if weights is None else None)
    if (model := specs.model) is not None:
        if not isinstance(model, PoseSpec) or model.keypoints_3d:
            raise InputError(
                f"{model.name} is not measured: expected a top-down 2D model or a detector"
            )
        weights = config["weights"]
        net = _network(config, model, weights, "weights").to(device, dtype)
        cache = temporary if weights is None else None
        parts["model"] = _Part(model, net, config["batch_sizes"], cache)
    return parts


def _network(config: Mapping[str, Any], spec: Spec, weights: str | None, key: str) -> nn.Module:
    """With the weights that were named, or random ones."""
    import torch

    from posekit.build import build_network
    from posekit.weights.load import load_network

    if weights is None:
        torch.manual_seed(0)
        return build_network(spec.net, device="cpu").eval().requires_grad_(False)
    search = [Path(folder) for folder in config["search"]]
    return load_network(spec, weights, search=search, key=f"{key}=")


def _measure_network(
    config: Mapping[str, Any], part: _Part, speed: _Speed
) -> Iterator[dict[str, Any]]:
    """Times of all engines for each batch size."""
    import torch

    from posekit.backends import KINDS, why_unavailable
    from posekit.backends.files import GraphFile

    width, height = part.input_size
    net = part.net
    is_graph = isinstance(net, GraphFile)
    kinds = config["backends"]
    if kinds is None:
        able = net.engines if isinstance(net, GraphFile) else KINDS
        candidates = [kind for kind in able if kind not in ("auto", "compile", "tensorrt")]
        kinds = [
            kind for kind in candidates if not why_unavailable(kind, speed.device, speed.dtype)
        ]
    engines: dict[str, _Engine] = {} if is_graph else {"plain PyTorch": net}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            with _failure_kept(failed, f"backend={kind}"):
                engines[f"backend={kind}"] = part.engine(kind)
        if (
            config["direct"]
            and not is_graph
            and speed.device.type == "cpu"
            and speed.dtype == torch.float32
        ):
            with _failure_kept(failed, "engines alone"):
                engines.update(_direct(net, part.input_size, Path(folder)))
        for size in part.batch_sizes:
            images = torch.randn(size, 3, height, width, device=speed.device, dtype=speed.dtype)
            floor = _floor(net, images, speed)
            engines = _those_that_run(engines, images, failed)
            yield {
                "model": part.spec.name,
                "batch": size,
                **floor,
                "milliseconds": _by_turns(engines, images, speed),
                "failed": dict(failed),
            }


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
    import torch

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
    """ONNX Runtime and OpenVINO with their own settings, where they are installed."""
    import torch

    from posekit.backends.engines import openvino_core
    from posekit.backends.graphs import to_onnx
    from posekit.backends.outputs import describe_outputs, output_names

    path = folder / "network.onnx"
    try:
        example = torch.zeros(2, 3, input_size[1], input_size[0])
        to_onnx(net, example, path, names=output_names(describe_outputs(net, input_size)))
    except ImportError:
        return
    with contextlib.suppress(ImportError):
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        yield "ONNX Runtime alone", lambda x: session.run(None, {"input": x.numpy()})
    with contextlib.suppress(ImportError):
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino_core().compile_model(path, "CPU", options)
        request = compiled.create_infer_request()
        yield "OpenVINO alone", lambda x: request.infer([x.numpy()])


def _by_turns(
    engines: Mapping[str, _Engine], images: Tensor, speed: _Speed
) -> dict[str, list[float]]:
    """By turns, so that what else the machine does meets all of them.

    Each runs once more just before it is timed: for some milliseconds after their work the threads
    of an engine still spin, and would hold up the next engine.
    """
    import torch

    times: dict[str, list[float]] = {name: [] for name in engines}
    with torch.inference_mode():
        for _ in tqdm(range(speed.rounds), unit="round", file=sys.stderr, disable=None):
            for name, engine in engines.items():
                engine(images)
                times[name].append(speed.milliseconds(functools.partial(engine, images)))
    return times


def _floor(net: nn.Module, images: Tensor, speed: _Speed) -> dict[str, float]:
    """What the network cannot go below, in ms: its operations, and reading its weights once.

    Of a graph it is what the network that it was made of cannot go below; 8-bit integers can.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from posekit.backends.files import GraphFile

    if isinstance(net, GraphFile):
        images = images.to("meta")

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net(images)
    weights = sum(p.numel() * p.element_size() for p in net.parameters())
    flops = counter.get_total_flops()
    return {
        "GFLOP": flops / 1e9,
        "GFLOP/s": speed.flops / 1e6,
        "copied GB/s": speed.bytes / 1e6,
        "floor ms": max(flops / speed.flops, weights / (2 * speed.bytes)),
    }


def _print_network(table: Mapping[str, Any]) -> None:
    floor, batch = table["floor ms"], table["batch"]
    medians = {name: statistics.median(taken) for name, taken in table["milliseconds"].items()}
    best = min(medians.values(), default=0.0)
    rows = [
        (
            name,
            f"{medians[name]:.1f}",
            f"{float(np.percentile(taken, 95)):.1f}",
            f"{1e3 * batch / medians[name]:.1f}",
            f"{medians[name] / best:.2f}",
            f"{medians[name] / floor:.2f}",
        )
        for name, taken in table["milliseconds"].items()
    ]
    rows += [(name, "failed", *[""] * 4) for name in table["failed"]]
    print(
        f"\n{table['model']}, batch {batch}: {table['GFLOP']:.1f} GFLOP, floor {floor:.1f} ms at "
        f"{table['GFLOP/s']:.0f} GFLOP/s and {table['copied GB/s']:.0f} GB/s"
    )
    header = ("engine", "median ms", "p95 ms", "images/s", "to best", "to floor")
    print(format_table(header, rows))
    for name, reason in table["failed"].items():
        print(f"{name} failed: {reason}")
    sys.stdout.flush()


def _measure_stages(
    config: Mapping[str, Any],
    parts: Mapping[str, _Part],
    failed: Collection[str],
    images: Sequence[np.ndarray],
    decoding: float | None,
) -> Iterator[dict[str, Any]]:
    """Milliseconds of each stage of a frame, with each of the engines that were named."""
    # Where none was named all are compared above, of which `auto` takes the fastest.
    for kind in dict.fromkeys(config["backends"] or ["auto"]):
        if f"backend={kind}" in failed:
            continue
        stages = {} if decoding is None else {"decode": decoding}
        stages |= _stage_times(config, parts, kind, images)
        if decoding is not None:
            stages["whole frame"] += decoding
        yield {"backend": kind, "milliseconds": stages}


def _stage_times(
    config: Mapping[str, Any],
    parts: Mapping[str, _Part],
    kind: str,
    images: Sequence[np.ndarray],
) -> dict[str, float]:
    """Medians of all stages after decoding, one frame after the other."""
    from posekit.drawing.overlay import draw_pose
    from posekit.io.video import VideoWriter
    from posekit.transforms.device import place_images

    estimator, detector = _predictor(config, parts, kind)
    watch = _Watch(estimator.device)
    if detector is not None:
        watch.wrap(detector, "normalize", "detect: normalise")
        watch.wrap(detector, "run", "detect: network")
    watch.wrap(estimator, "crop", "crop")
    watch.wrap(estimator, "normalize", "pose: normalise")
    watch.wrap(estimator, "run", "pose: network")
    watch.wrap(estimator.codec, "decode", "pose: decode keypoints")
    rounds = config["rounds"]
    size = (images[0].shape[1], images[0].shape[0])
    boxes = _boxes(size, config["people"])
    with (
        tempfile.TemporaryDirectory() as folder,
        VideoWriter(Path(folder) / "clip.mp4", fps=25.0, size=size) as writer,
    ):
        for number, image in enumerate(itertools.islice(itertools.cycle(images), rounds + 2)):
            if number == 2:
                watch.times.clear()  # of warming up
            with watch.timed("whole frame"):
                with watch.timed("copy to the device"):
                    placed = place_images([image], estimator.device)
                if detector is not None:
                    with watch.timed("detect: all of it"):
                        detector(placed, score_threshold=0.3)
                with watch.timed("pose: all of it"):
                    poses = estimator(placed, [boxes], flip_test=config["flip_test"])[0]
                with watch.timed("draw"):
                    drawing = draw_pose(image, poses.keypoints, poses.scores, estimator.skeleton)
                with watch.timed("write"):
                    writer.write(drawing, number / 25)
    return watch.stages(rounds)


class _Watch:
    """Sums what each stage of a frame takes."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.times: dict[str, list[float]] = {}

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        _wait_for(self.device)
        start = time.perf_counter()
        try:
            yield
        finally:
            _wait_for(self.device)
            self.times.setdefault(name, []).append(1e3 * (time.perf_counter() - start))

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        """Has the calls of an attribute timed."""
        setattr(owner, attribute, _Timed(getattr(owner, attribute), self, name))

    def stages(self, frames: int) -> dict[str, float]:
        """Medians, in the order of a frame; what no named part explains is `around`."""
        # A stage may come several times in a frame, as with a flip test.
        medians = {
            name: statistics.median(_summed(taken, frames)) for name, taken in self.times.items()
        }
        order = (
            "copy to the device", "detect: all of it", "detect: normalise",
            "detect: network", "crop", "pose: normalise", "pose: network",
            "pose: decode keypoints", "pose: all of it", "draw", "write",
            "whole frame",
        )  # fmt: skip
        stages = {name: medians[name] for name in order if name in medians}
        networks = medians.get("detect: network", 0.0) + medians["pose: network"]
        whole = ("copy to the device", "detect: all of it", "pose: all of it")
        frame = sum(medians.get(name, 0.0) for name in whole)
        return stages | {"around the networks": frame - networks}


class _Timed:
    """What it stands for, except that calls are timed."""

    def __init__(self, function: Callable[..., Any], watch: _Watch, name: str) -> None:
        self._function, self._watch, self._name = function, watch, name

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        with self._watch.timed(self._name):
            return self._function(*arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)


def _summed(taken: Sequence[float], frames: int) -> list[float]:
    per_frame = max(len(taken) // frames, 1)
    return [sum(taken[i : i + per_frame]) for i in range(0, len(taken), per_frame)]


def _predictor(
    config: Mapping[str, Any], parts: Mapping[str, _Part], kind: str
) -> tuple[PoseEstimator, Detector | None]:
    """As prediction makes them."""
    from posekit.skeleton import load_skeleton
    from posekit.spec import DetectorSpec, PoseSpec
    from posekit.stages.detect import Detector
    from posekit.stages.estimate import PoseEstimator

    model = parts["model"]
    search = [Path(folder) for folder in config["search"]]
    assert isinstance(model.spec, PoseSpec)
    skeleton = load_skeleton(model.spec.keypoints, search=search)
    estimator = PoseEstimator(model.net, model.spec, skeleton, backend=model.engine(kind))
    if "detector" not in parts:
        return estimator, None
    part = parts["detector"]
    assert isinstance(part.spec, DetectorSpec)
    return estimator, Detector(part.net, part.spec, backend=part.engine(kind))


def _frame_conditions(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the stages were measured with."""
    return {
        "dtype": config["dtype"] or "float32",
        "inputs": config["inputs"] and str(config["inputs"]),
        **{key: config[key] for key in ("people", "flip_test", "rounds")},
    }


def _frames(inputs: Any) -> tuple[list[np.ndarray], float | None]:
    """Images (H, W, 3) of one size for the stages, and the milliseconds that decoding one takes.

    They are decoded one after the other with nothing in between: FFmpeg's own threads work ahead
    while other stages run, which would hide most of it.

    Args:
        inputs: files; None for noise, of which nothing is decoded.
    """
    if inputs is None:
        noise = np.random.default_rng(0).integers(0, 255, (*FRAME_SIZE[::-1], 3), np.uint8)
        return [noise], None
    with contextlib.closing(_decoded(inputs)) as frames:
        images = [next(frames)]
        start = time.perf_counter()
        for _ in range(DECODED):
            image = next(frames)
            if len(images) < KEPT and image.shape == images[0].shape:
                images.append(image)
        return images, 1e3 * (time.perf_counter() - start) / DECODED


def _decoded(inputs: Any) -> Generator[np.ndarray, None, None]:
    """Images (H, W, 3) as prediction decodes them, again and again, in the thread that asks."""
    from posekit.io import open_clip, read_frames, read_image

    # Reads the files from the disk too, which is not measured.
    with read_frames(inputs) as frames:
        first = itertools.islice(frames, DECODED)
        files = {str(frame.source): frame.clip is not None for frame in first}
    while True:
        for file, is_video in files.items():
            if not is_video:
                yield read_image(Path(file))
                continue
            with open_clip(Path(file)) as video:
                for image, _ in video:
                    yield image


def _boxes(size: tuple[int, int], people: int) -> np.ndarray:
    """(people, 4): upright people, side by side."""
    width, height = size
    left = np.linspace(0, width * 0.8, people)
    right = left + min(width * 0.2, height * 0.3)
    return np.stack(
        [left, np.full(people, height * 0.2), right, np.full(people, height * 0.8)], axis=1
    ).astype(np.float32)


def _print_stages(table: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    flip = "with" if config["flip_test"] else "no"
    print(f"\nA frame with {config['people']} people, backend={table['backend']}, {flip} flip test")
    rows = [(stage, f"{value:.1f}") for stage, value in table["milliseconds"].items()]
    print(format_table(("stage", "ms"), rows), flush=True)
