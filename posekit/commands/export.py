"""`posekit export`: a network as a file for another engine, checked against the network itself."""

from __future__ import annotations

import itertools
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import yaml

from posekit.compose import compose_command
from posekit.config import locate, nearest, read_config
from posekit.errors import InputError
from posekit.media import read_frames

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["export"]

FORMATS = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "torchscript": ".torchscript",
    "torch_export": ".pt2",
    "safetensors": ".safetensors",
}
log = logging.getLogger(__name__)

TOLERANCES = {"float32": 0.1, "float16": 0.5}  # pixels of the network's input
MAX_CROPS = 16  # that the file and the network are compared on
CALIBRATION_BATCH = 4
MAX_BOXES = 100  # of an image, best first, that a detector is compared on


def export(overrides: Sequence[str], *, config_dir: Path | None = None, show: bool = False) -> int:
    """Runs the command: writes the file, and beside it `<file>.json` with what was compared.

    Args:
        overrides: `key=value` each.
        config_dir: a folder with configurations of the user's own.
        show: print the composed configuration and stop.

    Returns:
        The exit status, 0.

    Raises:
        InputError: a value that does not fit, a missing package, or a file that would give other
            keypoints than the network; nothing is written then.
    """
    search = [] if config_dir is None else [config_dir.resolve()]
    overrides, is_detector = _with_detector(overrides, search)
    values = compose_command("export", overrides, config_dir=config_dir)
    search = [Path(folder) for folder in values["search"]]
    if show:
        print(yaml.safe_dump(values, sort_keys=False, default_flow_style=None), end="")
        return 0
    part = "detector" if is_detector else "model"
    name = values["names"][part]
    job = _checked_job(name, values.get(part, {}), values)
    images = _read_images(values["inputs"])
    if job.quantize and not images:
        log.warning(
            "int8's ranges are measured on drawn shapes: name images like those that the network "
            "will see as inputs=FOLDER"
        )
    _make_folder(job.output.parent)
    # All that can be checked without weights is checked by now.
    report = _export(job, images, values["weights"], search)
    print(
        f"{job.output}: largest difference {report['maximum_px']:g} px, "
        f"mean {report['mean_px']:g} px, on {report['crops']} crops of {report['inputs']}"
    )
    return 0


@dataclass(frozen=True)
class _Job:
    """What is written, checked."""

    name: str
    config: Mapping[str, Any]
    output: Path
    format: str
    dtype: str
    quantize: str | None
    preprocess: bool
    decode: bool
    opset: int

    @property
    def is_detector(self) -> bool:
        return "keypoints" not in self.config

    @property
    def input_size(self) -> tuple[int, int]:
        width, height = self.config["preprocess"]["input_size"]
        return width, height

    @property
    def precision(self) -> str:
        return self.quantize or self.dtype


def _with_detector(overrides: Sequence[str], search: Sequence[Path]) -> tuple[list[str], bool]:
    """The overrides with `model=` of a detector as `detector=`, and whether one is exported."""
    changed, is_detector = [], False
    for override in overrides:
        key, equals, value = override.partition("=")
        if key == "model" and equals:
            found = locate(value.strip("'\""), search)
            config = read_config(found.name, found.search)
            if "keypoints" not in config and "classes" in config:
                key, override = "detector", f"detector={value}"
            elif "keypoints" not in config or "pose2d" in config:
                raise InputError(f"export does 2D models and detectors; {value} is a lifter")
        is_detector |= key == "detector"
        changed.append(override)
    return changed, is_detector


def _checked_job(name: str | None, config: Mapping[str, Any], values: Mapping[str, Any]) -> _Job:
    if name is None:
        raise InputError("nothing to export: name a model as model=... or detector=...")
    kind = _one_of("format", values["format"], FORMATS)
    dtype = _one_of("dtype", values["dtype"] or "float32", TOLERANCES)
    quantize = values["quantize"]
    if quantize is not None:
        _one_of("quantize", quantize, ("int8",))
        if kind != "onnx" or dtype != "float32":
            raise InputError("quantize=int8 is for format=onnx with dtype=float32")
    output = Path(values["output"] or f"{name}{FORMATS[kind]}").expanduser()
    if output.suffix != FORMATS[kind]:
        raise InputError(f"output of format={kind} must end in {FORMATS[kind]}, found '{output}'")
    if output.is_dir():
        raise InputError(f"output is a folder: {output}; name a file in it")
    codec = config["codec"]["_target_"].rpartition(".")[2]
    if values["decode"] and "keypoints" in config and codec != "SimCC":
        raise InputError(
            f"decode=true is for SimCC models and detectors; the refinement of {codec} is not "
            "part of a graph: take decode=false"
        )
    for package in {"onnx": ("onnx", "onnxruntime"), "openvino": ("openvino",)}.get(kind, ()):
        _require(package, "onnxruntime" if kind == "onnx" else "openvino")
    opset = values["opset"]
    if not isinstance(opset, int) or not 13 <= opset <= 20:
        raise InputError(f"opset must be 13 to 20, found {opset!r}")
    for key in ("preprocess", "decode"):
        if not isinstance(values[key], bool):
            raise InputError(f"{key} must be true or false, found {values[key]!r}")
        if values[key] and kind == "safetensors":
            raise InputError(f"{key}=true is for graphs: format=safetensors writes weights alone")
    return _Job(
        name, config, output, kind, dtype, quantize, values["preprocess"], values["decode"], opset
    )


def _one_of(key: str, value: Any, valid: Mapping[str, Any] | Sequence[str]) -> str:
    if value in valid:
        return str(value)
    close = nearest(str(value), list(valid))
    hint = f"; did you mean {close[0]}?" if close else ""
    raise InputError(f"{key} must be {' or '.join(valid)}, found '{value}'{hint}")


def _require(package: str, extra: str) -> None:
    import importlib

    try:
        importlib.import_module(package)
    except ImportError as error:
        raise InputError(f'{error}; pip install "posekit[{extra}]"') from None


def _read_images(inputs: Any) -> list[np.ndarray]:
    """The images to compare on; empty where none are named."""
    if inputs is None:
        return []
    with read_frames(inputs) as frames:
        images = [frame.image for frame in itertools.islice(frames, MAX_CROPS)]
    if not images:
        raise InputError("inputs is empty: name an image or a folder, or leave it out")
    return images


def _export(
    job: _Job, images: list[np.ndarray], weights: str | None, search: Sequence[Path]
) -> dict[str, Any]:
    import torch

    from posekit.build import build_network, load_weights
    from posekit.hub import resolve_weights

    net = build_network(job.config["net"])
    net = load_weights(net, resolve_weights(job.name, weights, search=search), dtype=torch.float32)
    processing = _Processing(net, job)
    crops = processing.crops(images or _drawn_images())
    # Beside the output, so that moving there is one step.
    with tempfile.TemporaryDirectory(prefix=".posekit-", dir=job.output.parent) as temporary:
        written = Path(temporary) / job.output.name
        run = _write(job, processing, crops, written)
        report = {
            "file": job.output.name,
            "network": job.name,
            "format": job.format,
            "precision": job.precision,
            "preprocess": job.preprocess,
            "decode": job.decode,
            "inputs": f"{len(images)} images" if images else "drawn shapes",
            **_compare(job, processing, crops, run),
        }
        _judge(job, report)
        text = json.dumps(report, indent=1) + "\n"
        written.with_name(f"{job.output.name}.json").write_text(text, encoding="utf-8")
        for file in Path(temporary).iterdir():
            file.replace(job.output.with_name(file.name))
    return report


def _judge(job: _Job, report: dict[str, Any]) -> None:
    """Adds the tolerance to the report; an error where the file does not keep it."""
    tolerance = TOLERANCES[job.dtype] if job.quantize is None else None
    # Half precision flips maxima that are nearly ties; one keypoint in a hundred may be such.
    found = report["maximum_px" if job.dtype == "float32" else "percentile_99_px"]
    report["tolerance_px"] = tolerance
    if tolerance is not None and not found <= tolerance:
        what = "boxes" if job.is_detector else "keypoints"
        raise InputError(
            f"{job.output} is not written: its {what} differ "
            f"by {found:g} px from the network's, expected at most {tolerance:g} px"
            + ("; take dtype=float32" if job.dtype != "float32" else "")
        )


class _Processing:
    """A network's pre- and post-processing, outside of the graph and inside.

    Args:
        net: float32, on the CPU.
        job: what is exported.
    """

    def __init__(self, net: nn.Module, job: _Job) -> None:
        import torch
        from hydra.utils import instantiate

        from posekit.transforms.image import Normalize

        preprocess = job.config["preprocess"]
        self.net, self.job = net, job
        self.codec = instantiate(job.config["codec"], _convert_="all")
        self.normalize = Normalize(
            mean=preprocess["mean"],
            std=preprocess["std"],
            color=preprocess["color"],
            device=torch.device("cpu"),
            dtype=torch.float32,
        )

    def crops(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """What the network would see of the images: (n, h, w, 3), BGR, uint8."""
        from posekit.transforms.affine import boxes_to_cs, crop, crop_matrices
        from posekit.transforms.image import letterbox

        width, height = self.job.input_size
        preprocess = self.job.config["preprocess"]
        if self.job.is_detector:
            images = images[:MAX_CROPS]
            crops = np.empty((len(images), height, width, 3), np.uint8)
            for image, out in zip(images, crops, strict=True):
                keep_ratio = preprocess.get("keep_ratio", True)
                letterbox(image, out, preprocess["pad_value"], keep_ratio=keep_ratio)
            return crops
        # One of each image before a second of any.
        of_images = [[(image, box) for box in _boxes_of(image)] for image in images]
        boxes = [pair for pairs in zip(*of_images, strict=True) for pair in pairs][:MAX_CROPS]
        centers, scales = boxes_to_cs(
            np.array([box for _, box in boxes], np.float32),
            input_size=self.job.input_size,
            padding=preprocess["padding"],
        )
        matrices = crop_matrices(
            centers, scales, input_size=self.job.input_size, udp=preprocess["udp"]
        )
        crops = np.empty((len(boxes), height, width, 3), np.uint8)
        for (image, _), matrix, out in zip(boxes, matrices, crops, strict=True):
            crop(image, matrix, out)
        return crops

    def graph(self) -> nn.Module:
        """The module to export: one tensor in, a flat tuple of float32 tensors out."""
        return _graph_module(self)

    def inputs(self, crops: np.ndarray) -> Tensor:
        """Crops as the graph takes them."""
        import torch

        return torch.from_numpy(crops) if self.job.preprocess else self.normalize(crops)

    def names(self) -> list[str]:
        """Of the graph's outputs."""
        from posekit.backends.outputs import describe_outputs, output_names

        if self.job.decode:
            return ["boxes" if self.job.is_detector else "keypoints", "scores"]
        return output_names(describe_outputs(self.net, self.job.input_size))

    def decode(self, raw: Any) -> tuple[np.ndarray, np.ndarray]:
        """Points (n, P, 2) in pixels of the input and a score of each, from raw outputs."""
        first, scores = self.codec.decode(raw)[:2]
        return self.points(np.asarray(first), np.asarray(scores))

    def points(self, places: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of keypoints themselves; of boxes (n, A, 4) the two corners, scored by the best class."""
        if self.job.is_detector:
            best = scores.max(axis=-1)
            return places.reshape(len(places), -1, 2), np.repeat(best, 2, axis=-1)
        return places, scores


def _graph_module(processing: _Processing) -> nn.Module:
    import torch
    from torch import nn

    from posekit.backends.outputs import flatten

    job, normalize, codec = processing.job, processing.normalize, processing.codec
    # OpenVINO halves the weights when it saves them.
    dtype = torch.float32 if job.format == "openvino" else getattr(torch, job.dtype)

    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            net = processing.net
            self.net = net if dtype == torch.float32 else _copied(net, dtype)

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            if job.preprocess:
                images = images.permute(0, 3, 1, 2)
                if normalize.reverse:
                    images = images[:, [2, 1, 0]]
                images = (images.float() - normalize.mean) / normalize.std
            outputs = self.net(images.to(dtype))
            if job.decode:
                decode = codec.decode if job.is_detector else _simcc_decoder(codec)
                outputs = decode(outputs)
            return tuple(tensor.float() for tensor in flatten(outputs))

    return Graph().eval()


def _copied(net: nn.Module, dtype: torch.dtype) -> nn.Module:
    import copy

    return copy.deepcopy(net).to(dtype)


def _simcc_decoder(codec: Any) -> Callable[[tuple[Tensor, Tensor]], tuple[Tensor, Tensor]]:
    """As `SimCC.decode`, in operations of a graph."""
    import torch

    def decode(outputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x_scores, x_bins = outputs[0].max(dim=-1)
        y_scores, y_bins = outputs[1].max(dim=-1)
        scores = torch.minimum(x_scores, y_scores).float()
        bins = torch.stack([x_bins, y_bins], dim=-1).float()
        bins = torch.where(scores[..., None] > 0, bins, torch.full_like(bins, -1.0))
        return bins / codec.split_ratio, scores

    return decode


def _write(
    job: _Job, processing: _Processing, crops: np.ndarray, path: Path
) -> Callable[[Tensor], list[np.ndarray]]:
    """Writes the file; returns what runs it."""
    import torch

    if job.format == "safetensors":
        return _write_weights(job, processing.net, path)
    graph, names = processing.graph(), processing.names()
    example = processing.inputs(crops[:1]).repeat(2, 1, 1, 1)
    if job.format == "onnx":
        return _write_onnx(job, graph, example, names, processing.inputs(crops), path)
    if job.format == "openvino":
        import openvino

        from posekit.backends.graphs import to_openvino

        half = job.dtype == "float16"
        openvino.save_model(to_openvino(graph, example, names=names), path, compress_to_fp16=half)
        options = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.Core().compile_model(path, "CPU", options)
        return lambda images: list(compiled([images.numpy()]).values())
    with torch.no_grad():
        if job.format == "torchscript":
            torch.jit.save(torch.jit.trace(graph, example, check_trace=False), str(path))
            loaded: Any = torch.jit.load(str(path))
        else:
            shapes = ({0: torch.export.Dim("batch", min=1, max=1024)},)
            torch.export.save(
                torch.export.export(graph, (example,), dynamic_shapes=shapes), str(path)
            )
            loaded = torch.export.load(str(path)).module()
    return lambda images: [tensor.numpy() for tensor in _without_gradients(loaded, images)]


def _write_weights(job: _Job, net: nn.Module, path: Path) -> Callable[[Tensor], list[np.ndarray]]:
    """posekit's own format, for `weights=`; computed with in float32 unless `dtype` says more."""
    import torch
    from safetensors.torch import save_file

    from posekit.backends.outputs import flatten
    from posekit.build import build_network, load_weights

    dtype = getattr(torch, job.dtype)
    state = {
        key: value.to(dtype) if value.is_floating_point() else value
        for key, value in net.state_dict().items()
    }
    path.touch()
    mode = path.stat().st_mode
    save_file(state, path, metadata={"model": job.name})
    path.chmod(mode)  # some versions of safetensors shut out all but the owner
    loaded = load_weights(build_network(job.config["net"]), path, dtype=torch.float32)
    return lambda images: [tensor.numpy() for tensor in flatten(_without_gradients(loaded, images))]


def _without_gradients(net: Any, images: Tensor) -> Any:
    import torch

    with torch.no_grad():
        return net(images)


def _write_onnx(
    job: _Job, graph: nn.Module, example: Tensor, names: list[str], inputs: Tensor, path: Path
) -> Callable[[Tensor], list[np.ndarray]]:
    import onnxruntime

    from posekit.backends.graphs import to_onnx

    to_onnx(graph, example, path, names=names, opset=job.opset)
    if job.quantize:
        _quantize(path, inputs)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: list(session.run(None, {"input": images.numpy()}))


def _quantize(path: Path, inputs: Tensor) -> None:
    """Weights and activations as 8-bit integers, with ranges seen on the inputs."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches: Iterator[Tensor] = iter(inputs.split(CALIBRATION_BATCH))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"input": batch.numpy()}

    prepared = path.with_name("prepared.onnx")
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    # Only convolutions and products, which are where the time goes.
    quantize_static(
        str(prepared),
        str(path),
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "MatMul", "Gemm"],
        per_channel=True,
    )
    prepared.unlink()
    onnx.checker.check_model(str(path))


def _compare(
    job: _Job,
    processing: _Processing,
    crops: np.ndarray,
    run: Callable[[Tensor], list[np.ndarray]],
) -> dict[str, Any]:
    """Distances between the points of the network and those of the file, one crop at a time."""
    import torch

    from posekit.backends.outputs import describe_outputs, nest

    template = describe_outputs(processing.net, job.input_size)
    distances, score_differences = [], []
    # One by one and, for the batch to be seen to be free, three at once.
    for part in [crops[i : i + 1] for i in range(len(crops))] + [crops[:3]]:
        with torch.inference_mode():
            expected, scores = processing.decode(processing.net(processing.normalize(part)))
        outputs = run(processing.inputs(part))
        if job.decode:
            found, found_scores = processing.points(outputs[0], outputs[1])
        else:
            raw = nest([torch.from_numpy(np.array(out)) for out in outputs], template)
            found, found_scores = processing.decode(raw)
        # All keypoints, but of a detector's cells only the best.
        kept = np.argsort(-scores, axis=1, kind="stable")[:, : 2 * MAX_BOXES]
        away = np.linalg.norm(found - expected, axis=-1)
        distances.append(np.take_along_axis(away, kept, axis=1).ravel())
        off = np.abs(found_scores - scores)
        score_differences.append(np.take_along_axis(off, kept, axis=1).ravel())
    all_distances = np.concatenate(distances)
    return {
        "crops": len(crops),
        "points": len(all_distances),
        "maximum_px": _rounded(all_distances.max()),
        "mean_px": _rounded(all_distances.mean()),
        "percentile_99_px": _rounded(np.percentile(all_distances, 99)),
        "maximum_score_difference": _rounded(np.concatenate(score_differences).max()),
    }


def _rounded(value: Any) -> float:
    return float(f"{float(value):.3g}")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(prefix=".posekit-", dir=folder).cleanup()
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from None


def _boxes_of(image: np.ndarray) -> list[list[float]]:
    """The whole image, its middle and its halves: crops of several sizes and aspects."""
    height, width = image.shape[:2]
    return [
        [0, 0, width, height],
        [width * 0.25, height * 0.25, width * 0.75, height * 0.75],
        [0, 0, width * 0.5, height],
        [width * 0.5, 0, width, height],
    ]


def _drawn_images() -> list[np.ndarray]:
    """Pictures of shapes, the same every time, for where there are no photographs."""
    generator = np.random.default_rng(0)
    images = []
    for _ in range(4):
        image = np.full((360, 480, 3), generator.integers(0, 255, 3), np.uint8)
        for _ in range(30):
            corners = generator.integers((0, 0), (480, 360), (1, 5, 2)).astype(np.int32)
            cv2.fillPoly(image, [corners], generator.integers(0, 255, 3).tolist())
        images.append(cv2.GaussianBlur(image, (0, 0), 2.0))
    return images
