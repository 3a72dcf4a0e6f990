"""`posekit export`: a network as a file for another engine, checked against the network itself."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posekit.compose import compose_command, print_config, read_specs
from posekit.config import nearest
from posekit.errors import InputError, OutputError, PosekitError
from posekit.io import read_frames
from posekit.version import __version__

if TYPE_CHECKING:
    from torch import Tensor, nn

    from posekit.commands.export_graph import ExportGraph
    from posekit.commands.export_samples import Samples
    from posekit.spec import DetectorSpec, OneStageSpec, PoseSpec, Spec
    from posekit.stages.detect import Detector
    from posekit.stages.estimate import PoseEstimator
    from posekit.stages.one_stage import OneStageEstimator

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
MAX_IMAGES = 80  # that are looked at
SCORE_MARGIN = 0.01  # above the threshold, where rounding does not make a box or take it away
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
    values = compose_command("export", overrides, config_dir=config_dir)
    if show:
        print_config(values)
        return 0
    job = _checked_job(values)
    images = _read_images(values["inputs"])
    if job.quantize and not images:
        log.warning(
            "int8's ranges are measured on drawn people: name images like those that the network "
            "will see as inputs=FOLDER"
        )
    _make_folder(job.output.parent)
    # All that can be checked without weights is checked by now.
    report = _export(job, images, values)
    of = "" if report["boxes"] is None else f", boxes of {report['boxes']}"
    print(
        f"{job.output}: largest difference {_text(report['maximum_px'])}, "
        f"mean {_text(report['mean_px'])}, on {report['crops']} crops of {report['inputs']}{of}"
    )
    return 0


@dataclass(frozen=True)
class _Job:
    """What is written, checked."""

    spec: PoseSpec | OneStageSpec | DetectorSpec
    output: Path
    format: str
    dtype: str
    quantize: str | None
    preprocess: bool
    decode: bool
    opset: int

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def is_detector(self) -> bool:
        return hasattr(self.spec, "classes")

    @property
    def is_one_stage(self) -> bool:
        return hasattr(self.spec, "score_threshold")

    @property
    def precision(self) -> str:
        return self.quantize or self.dtype


def _checked_job(values: Mapping[str, Any]) -> _Job:
    names = values["names"]
    if names["lifter"] is not None:
        raise InputError(f"export does 2D models and detectors; {names['lifter']} is a lifter")
    part = "detector" if names["model"] is None else "model"
    specs = read_specs(values)
    spec = specs.model or specs.detector
    assert spec is not None
    name = spec.name
    if part == "detector" and values["detector_weights"] is not None:
        raise InputError(f"detector_weights: {name} is what is exported; use weights")
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
    codec = spec.codec.name
    if values["decode"] and part == "model" and codec not in ("SimCC", "PersonCells"):
        raise InputError(
            "decode=true is for SimCC models, one-stage models and detectors; the refinement of "
            f"{codec} is not part of a graph: take decode=false"
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
    return _Job(spec, output, kind, dtype, quantize, values["preprocess"], values["decode"], opset)


def _one_of(key: str, value: Any, valid: Mapping[str, Any] | Sequence[str]) -> str:
    if isinstance(value, str) and value in valid:
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
        images = [frame.image for frame in itertools.islice(frames, MAX_IMAGES)]
    if not images:
        raise InputError("inputs is empty: name an image or a folder, or leave it out")
    return images


def _export(job: _Job, images: list[np.ndarray], values: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    from posekit.commands.export_graph import ExportGraph
    from posekit.commands.export_samples import take_samples
    from posekit.weights.hub import STANDS_IN, stand_in

    network, find = _network(job, values)
    samples = take_samples(
        network,
        images,
        find=find,
        categories=getattr(job.spec, "detector_categories", (0,)),
        calibrate=job.quantize is not None,
    )
    # OpenVINO halves the weights when it saves them.
    dtype = "float32" if job.format == "openvino" else job.dtype
    graph = ExportGraph(
        network, preprocess=job.preprocess, decode=job.decode, dtype=getattr(torch, dtype)
    )
    description = _description(job, graph)
    if other := stand_in(job.name, values["weights"]):
        description[STANDS_IN] = other
    # Beside the output, so that moving a file there is one step.
    with (
        _disk_errors(job.output),
        tempfile.TemporaryDirectory(prefix=".posekit-", dir=job.output.parent) as temporary,
    ):
        written = Path(temporary) / job.output.name
        run = _write(job, graph, samples, description, written)
        report = {
            "file": job.output.name,
            **description,
            "inputs": samples.inputs,
            "boxes": samples.boxes,
            "calibrated_on": len(samples.calibrating) if job.quantize else None,
            **_compare(job, graph, samples.compared, run),
        }
        _judge(job, report)
        text = json.dumps(report, indent=1) + "\n"
        written.with_name(f"{job.output.name}.json").write_text(text, encoding="utf-8")
        for file in Path(temporary).iterdir():
            file.replace(job.output.with_name(file.name))
    return report


def _network(
    job: _Job, values: Mapping[str, Any]
) -> tuple[PoseEstimator | OneStageEstimator | Detector, Callable[[], Detector] | None]:
    """What is exported, and what makes the detector that finds people for it."""
    from posekit.skeleton import load_skeleton
    from posekit.spec import DetectorSpec, OneStageSpec
    from posekit.stages.detect import Detector
    from posekit.stages.estimate import PoseEstimator
    from posekit.stages.one_stage import OneStageEstimator

    search = [Path(folder) for folder in values["search"]]
    weights, of_detector = values["weights"], values["detector_weights"]
    net = _load(job.spec, weights, search)
    if isinstance(job.spec, DetectorSpec):
        return Detector(net, job.spec), None
    skeleton = load_skeleton(job.spec.keypoints, search=search)
    if isinstance(job.spec, OneStageSpec):
        return OneStageEstimator(net, job.spec, skeleton), None
    network = PoseEstimator(net, job.spec, skeleton)
    detector = read_specs(values).detector
    if detector is None:
        return network, None
    key = "detector_weights="
    return network, lambda: Detector(_load(detector, of_detector, search, key), detector)


def _load(
    spec: Spec, weights: str | None, search: Sequence[Path], key: str = "weights="
) -> nn.Module:
    from posekit.backends.files import GraphFile
    from posekit.weights.load import load_network

    net = load_network(spec, weights, search=search, key=key)
    if isinstance(net, GraphFile):
        raise InputError(f"{net.path} is a graph already: expected weights to make one of")
    return net


def _description(job: _Job, graph: ExportGraph) -> dict[str, Any]:
    """What someone who runs the file needs to know; it also lies in the file itself."""
    from posekit.spec import OneStageSpec, PoseSpec, plain
    from posekit.stages.detect import Detector

    in_bytes = {"layout": "n, h, w, 3", "type": "uint8", "color": "bgr"}
    normalised = {
        "layout": "n, 3, h, w",
        "type": "float32",
        **{key: plain(value) for key, value in job.spec.normalization.items()},
    }
    network = graph.network
    found: dict[str, Any] = {
        "posekit": __version__,
        "network": job.name,
        "format": job.format,
        "precision": job.precision,
        "preprocess": job.preprocess,
        "decode": job.decode,
        "input_size": list(network.input_size),
        "input": in_bytes if job.preprocess else normalised,
        "outputs": graph.output_names(),
    }
    if isinstance(network, Detector):
        return {**found, "classes": list(network.classes)}
    if isinstance(job.spec, OneStageSpec):
        letterbox = {"place": "middle", "pad_value": job.spec.pad_value}
        return {**found, "letterbox": letterbox, "keypoints": list(network.skeleton.names)}
    assert isinstance(job.spec, PoseSpec)
    crop = {"padding": job.spec.padding, "udp": job.spec.udp}
    return {**found, "crop": crop, "keypoints": list(network.skeleton.names)}


def _judge(job: _Job, report: dict[str, Any]) -> None:
    """Adds the tolerance to the report; an error where the file does not keep it."""
    tolerance = TOLERANCES[job.dtype] if job.quantize is None else None
    # Rounding flips maxima that are nearly ties, neighbours in trained networks too; one keypoint
    # in a hundred may be such. Boxes of float32 have none.
    exact = job.is_detector and job.dtype == "float32"
    found = report["maximum_px" if exact else "percentile_99_px"]
    report["tolerance_px"] = tolerance
    if tolerance is not None and (found is None or found > tolerance):
        what = "boxes" if job.is_detector else "keypoints"
        raise InputError(
            f"{job.output} is not written: its {what} differ "
            f"by {_text(found)} from the network's, expected at most {tolerance:g} px"
            + ("; take dtype=float32" if job.dtype != "float32" else "")
        )


# Runs a file on inputs as the graph takes them; its outputs in order.
Runner = Callable[["Tensor"], list[np.ndarray]]


def _write(
    job: _Job, graph: ExportGraph, samples: Samples, found: Mapping[str, Any], path: Path
) -> Runner:
    """Writes the file; returns what runs it."""
    import torch

    from posekit.backends.engines import openvino_core
    from posekit.backends.graphs import quiet_tracing, save_openvino, to_openvino
    from posekit.weights.hub import STANDS_IN

    if job.format == "safetensors":
        mark = {key: found[key] for key in (STANDS_IN,) if key in found}
        return _write_weights(job, graph.net, path, {"model": job.name, **mark})
    description = json.dumps(found)
    example = _inputs(graph, samples.compared[:1]).repeat(2, 1, 1, 1)
    if job.format == "onnx":
        return _write_onnx(job, graph, example, samples, description, path)
    if job.format == "openvino":
        model = to_openvino(graph, example, names=graph.output_names())
        model.set_rt_info(description, "posekit")
        save_openvino(model, path, in_half_precision=job.dtype == "float16")
        options = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino_core().compile_model(path, "CPU", options)
        return lambda images: list(compiled([images.numpy()]).values())
    extra = {"posekit.json": description}
    # Not into the path: on a full disk torch ends the process.
    file = io.BytesIO()
    with quiet_tracing():
        if job.format == "torchscript":
            traced = torch.jit.trace(graph, example, check_trace=False)
            torch.jit.save(traced, file, _extra_files=extra)
            path.write_bytes(file.getbuffer())
            loaded: Any = torch.jit.load(str(path))
        else:
            shapes = ({0: torch.export.Dim("batch", min=1, max=1024)},)
            exported = torch.export.export(graph, (example,), dynamic_shapes=shapes)
            torch.export.save(exported, file, extra_files=extra)
            path.write_bytes(file.getbuffer())
            loaded = torch.export.load(str(path)).module()
    return lambda images: [tensor.numpy() for tensor in _without_gradients(loaded, images)]


def _inputs(graph: ExportGraph, crops: np.ndarray) -> Tensor:
    """Crops (n, h, w, 3), BGR, uint8, as the graph takes them."""
    import torch

    return torch.from_numpy(crops) if graph.preprocess else graph.network.normalize(crops)


def _write_weights(job: _Job, net: nn.Module, path: Path, metadata: dict[str, str]) -> Runner:
    """posekit's own format, for `weights=`; computed with in float32 unless `dtype` says more."""
    import torch
    from safetensors.torch import save

    from posekit.backends.outputs import flatten
    from posekit.build import build_network
    from posekit.weights.tensors import load_weights

    dtype = getattr(torch, job.dtype)
    state = {
        key: value.to(dtype) if value.is_floating_point() else value
        for key, value in net.state_dict().items()
    }
    path.write_bytes(save(state, metadata=metadata))
    loaded = load_weights(build_network(job.spec.net), path, dtype=torch.float32)
    return lambda images: [tensor.numpy() for tensor in flatten(_without_gradients(loaded, images))]


def _without_gradients(net: Any, images: Tensor) -> Any:
    import torch

    with torch.no_grad():
        return net(images)


def _write_onnx(
    job: _Job,
    graph: ExportGraph,
    example: Tensor,
    samples: Samples,
    description: str,
    path: Path,
) -> Runner:
    import onnx
    import onnxruntime

    from posekit.backends.graphs import quantize_onnx, to_onnx

    to_onnx(graph, example, path, names=graph.output_names(), opset=job.opset)
    if job.quantize:
        images = _inputs(graph, samples.calibrating).split(1)
        quantize_onnx(path, [image.numpy() for image in images])
    # What follows a message's end is merged into it, so that the graph need not be read.
    metadata = onnx.ModelProto(
        metadata_props=[onnx.StringStringEntryProto(key="posekit", value=description)]
    )
    with path.open("ab") as file:
        file.write(metadata.SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: list(session.run(None, {"input": images.numpy()}))


def _compare(job: _Job, graph: ExportGraph, crops: np.ndarray, run: Runner) -> dict[str, Any]:
    """Distances between the points of the network and those of the file, one crop at a time."""
    distance = _keypoint_distances
    if job.is_one_stage:
        distance = _people_distances
    elif job.is_detector:
        distance = _detection_distances if job.decode else _cell_distances
    distances, score_differences = [], []
    # One by one and, for the batch to be seen to be free, three at once.
    for part in [crops[i : i + 1] for i in range(len(crops))] + [crops[:3]]:
        away, off = distance(graph, part, run(_inputs(graph, part)))
        distances.append(away.ravel())
        score_differences.append(off.ravel())
    all_distances = np.concatenate(distances)
    if not len(all_distances):
        raise InputError(
            f"{job.output} is not written: the network finds nothing in the inputs, so there is "
            "nothing to compare; name images that show what it detects"
        )
    return {
        "crops": len(crops),
        "points": len(all_distances),
        "maximum_px": _rounded(all_distances.max()),
        "mean_px": _rounded(all_distances.mean()),
        "percentile_99_px": _rounded(np.percentile(all_distances, 99)),
        "maximum_score_difference": _rounded(np.concatenate(score_differences).max(initial=0)),
    }


def _keypoint_distances(
    graph: ExportGraph, crops: np.ndarray, outputs: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Of all keypoints (n, K), and how much their scores differ."""
    network = graph.network
    eager = _eager(network, crops)
    expected, scores = network.codec.decode(eager)[:2]
    if not graph.decode:
        outputs = network.codec.decode(_nested(outputs, eager))
    found, found_scores = outputs[:2]
    return np.linalg.norm(found - expected, axis=-1), np.abs(found_scores - scores)


def _people_distances(
    graph: ExportGraph, crops: np.ndarray, outputs: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Of the keypoints of a one-stage model's best cells, or of the people that it finds."""
    from posekit.commands.export_people import best_people, distances
    from posekit.stages.one_stage import OneStageEstimator

    network = graph.network
    assert isinstance(network, OneStageEstimator)
    if graph.decode:
        return distances(network, crops, outputs)
    eager = _eager(network, crops)
    (expected, scores), (found, found_scores) = (
        (keypoints.numpy(), scores.numpy())
        for keypoints, scores in (
            best_people(network, of, eager) for of in (eager, _nested(outputs, eager))
        )
    )
    return np.linalg.norm(found - expected, axis=-1), np.abs(found_scores - scores)


def _cell_distances(
    graph: ExportGraph, crops: np.ndarray, outputs: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Of the corners of each image's best boxes, (n, 100, 2), and how much their scores differ."""
    eager = _eager(graph.network, crops)
    (expected, scores), (found, found_scores) = (
        (boxes.numpy(), scores.amax(dim=-1).numpy())
        for boxes, scores in map(graph.network.codec.decode, (eager, _nested(outputs, eager)))
    )
    best = np.argsort(-scores, axis=1, kind="stable")[:, :MAX_BOXES]  # (n, m)
    away = (found - expected).reshape(*expected.shape[:2], 2, 2)
    away = np.take_along_axis(np.linalg.norm(away, axis=-1), best[..., None], axis=1)
    return away, np.take_along_axis(np.abs(found_scores - scores), best, axis=1)


def _detection_distances(
    graph: ExportGraph, crops: np.ndarray, outputs: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """From the corners of each box to those of the nearest one of the other side, (m, 2)."""
    from posekit.commands.export_graph import SCORE_THRESHOLD
    from posekit.stages.detect import Detector

    distances, differences = [np.zeros((0, 2))], [np.zeros(0)]
    assert isinstance(graph.network, Detector)
    detections = graph.network(list(crops), score_threshold=SCORE_THRESHOLD)
    for expected, *found in zip(detections, *outputs[:2], strict=True):
        kept = found[1] > 0
        sides = (expected.boxes_xyxy, expected.scores), (found[0][kept], found[1][kept])
        # From both, so that neither loses nor adds a box.
        for (boxes, scores), (others, other_scores) in (sides, sides[::-1]):
            clear = scores > SCORE_THRESHOLD + SCORE_MARGIN
            boxes, scores = boxes[clear], scores[clear]
            if not len(others):
                others, other_scores = np.full((1, 4), np.inf), np.zeros(1)
            away = (boxes[:, None] - others).reshape(len(boxes), len(others), 2, 2)
            away = np.linalg.norm(away, axis=-1)  # (n, m, 2)
            nearest = away.max(axis=-1).argmin(axis=1)
            distances.append(away[np.arange(len(boxes)), nearest])
            differences.append(np.abs(scores - other_scores[nearest]))
    return np.concatenate(distances), np.concatenate(differences)


def _eager(network: PoseEstimator | OneStageEstimator | Detector, crops: np.ndarray) -> Any:
    """The network's own raw outputs for crops (n, h, w, 3), BGR, uint8."""
    return _without_gradients(network.net, network.normalize(crops))


def _nested(outputs: list[np.ndarray], eager: Any) -> Any:
    """A file's outputs as the network's own are."""
    import torch

    from posekit.backends.outputs import nest

    return nest([torch.from_numpy(np.array(output)) for output in outputs], eager)


def _rounded(value: Any) -> float | None:
    """Three digits; None for infinite: a box in an image where the other side has none."""
    return float(f"{float(value):.3g}") if np.isfinite(value) else None


def _text(pixels: float | None) -> str:
    return "a whole box" if pixels is None else f"{pixels:g} px"


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except PosekitError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(prefix=".posekit-", dir=folder).cleanup()
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from None
