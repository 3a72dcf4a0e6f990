"""`posekit evaluate`: a model and a labelled data set in, metrics beside the published ones out."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from posekit.checkpoints import Metric
from posekit.commands.table import format_table
from posekit.compose import Specs, compose_command, print_config, read_specs
from posekit.config import find_checkpoint
from posekit.errors import InputError, OutputError
from posekit.version import __version__

if TYPE_CHECKING:
    from torch import nn

    from posekit.spec import LifterSpec, Spec
    from posekit.stages.detect import Detector

__all__ = ["evaluate"]

# A data set of conf/dataset -> its name in the table of checkpoints, and the boxes that the
# published figures were measured on.
_COCO_BOXES = "COCO_val2017_detections_AP_H_56_person.json"
PUBLISHED = {
    "300w": ("300W", "labelled"),
    "aflw": ("AFLW", "labelled"),
    "ap10k": ("AP-10K", "labelled"),
    "coco": ("COCO", _COCO_BOXES),
    "coco_boxes": ("COCO", ""),
    "coco_detected": ("COCO", _COCO_BOXES),
    "coco_wholebody": ("COCO-WholeBody", _COCO_BOXES),
    "cofw": ("COFW", "labelled"),
    "crowdpose": ("CrowdPose", "det_for_crowd_test_0.1_0.5.json"),
    "onehand10k": ("OneHand10K", "labelled"),
    "rhd2d": ("RHD", "labelled"),
    "wflw": ("WFLW", "labelled"),
}
# A metric's name in the table -> the one here.
PUBLISHED_METRICS = {
    "AP": "AP",
    "box AP": "AP",
    "Whole AP": "AP",
    "NME": "NME",
    "NME full": "NME",
    "NME test": "NME",
    "PCK@0.2": "PCK@0.2",
    "AUC": "AUC",
    "EPE": "EPE",
    "MPJPE": "MPJPE",
    "P-MPJPE": "P-MPJPE",
}
# So few that starting processes takes longer than reading the images.
FEW_PEOPLE = 500


def evaluate(
    overrides: Sequence[str], *, config_dir: Path | None = None, show: bool = False
) -> int:
    """Runs the command.

    Args:
        overrides: `key=value` each.
        config_dir: a folder with configurations of the user's own.
        show: print the composed configuration and stop.

    Returns:
        The exit status.

    Raises:
        PosekitError: something that cannot be used; no file has been written then.
    """
    config = compose_command("evaluate", overrides, config_dir=config_dir)
    if show:
        print_config(config)
        return 0
    _check(config)
    search = [Path(folder) for folder in config["search"]]
    names = config["names"]
    specs = read_specs(config)
    if specs.lifter is not None:
        outcome = _evaluate_lifter(config, specs.lifter, search)
    elif specs.model is not None:
        outcome = _evaluate_pose(config, specs, search)
    else:
        outcome = _evaluate_detector(config, specs, search)
    figures = {}
    if not any(override.lstrip("+").startswith("dataset.val") for override in overrides):
        figures = _published(config)
    if figures and names["model"] is not None:
        outcome.settings["published with boxes"] = PUBLISHED[names["dataset"]][1]
    _write(config, outcome, figures)
    _print(outcome, figures)
    return 0


@dataclass
class _Outcome:
    """What was measured, and how.

    Attributes:
        metrics: by name.
        settings: what they depend on.
        predictions: COCO results, where they were asked for.
    """

    metrics: dict[str, float]
    settings: dict[str, Any]
    predictions: list[dict[str, Any]] = field(default_factory=list)


def _check(config: Mapping[str, Any]) -> None:
    """What can be wrong without a network, before torch is imported."""
    names = config["names"]
    for key in ("out", "out_predictions"):
        path = config[key]
        if path is not None and Path(path).is_dir():
            raise InputError(f"{key}: expected a file such as results.json, found a folder: {path}")
        if path is not None and not os.access(Path(path).parent, os.W_OK):
            raise InputError(f"{key}: cannot write to the folder {Path(path).parent}")
    batch_size, workers = config["batch_size"], config["workers"]
    if not _is_count(batch_size) or batch_size < 1:
        raise InputError(f"batch_size must be a whole number of at least 1, found {batch_size!r}")
    if workers is not None and not _is_count(workers):
        raise InputError(f"workers must be a whole number of at least 0, found {workers!r}")
    for key in ("bbox_thr", "nms_thr", "oks_nms", "rescore"):
        value = config[key]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and 0 <= value <= 1):
            raise InputError(f"{key} must be a number from 0 to 1, or null, found {value!r}")
    if config["flip_test"] is not None and not isinstance(config["flip_test"], bool):
        raise InputError(f"flip_test must be true or false, found {config['flip_test']!r}")
    if names["model"] is None:
        kind = "a detector" if names["lifter"] is None else "a lifter"
        for key in ("detections", "detector_weights", "metrics"):
            if config[key] is not None:
                name = names["detector"] or names["lifter"]
                hint = "; use weights" if key == "detector_weights" else ""
                raise InputError(f"{key} applies to pose models; {name} is {kind}{hint}")
    elif config["detections"] is not None and names["detector"] is not None:
        raise InputError("expected detections=FILE or detector=NAME, found both: leave one out")
    elif config["detector_weights"] is not None and names["detector"] is None:
        raise InputError("detector_weights are given, but no detector to load them into")
    if (config["sequences"] is None) == (names["lifter"] is not None):
        what = "name the NPZ files of a lifter" if names["lifter"] else "applies to lifters alone"
        raise InputError(f"sequences: {what}, sequences=FILE")
    if names["lifter"] is not None and config["backend"] is not None:
        raise InputError("backend: lifters run in PyTorch; leave it out")
    if names["lifter"] is not None and config["out_predictions"] is not None:
        raise InputError("out_predictions: lifters have no COCO results; leave it out")
    if config["dtype"] not in (None, "float32", "float16", "bfloat16"):
        raise InputError(f"dtype must be float32, float16 or bfloat16, found {config['dtype']!r}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _val(config: Mapping[str, Any], search: Sequence[Path]) -> Any:
    """The data set of the configuration, each instance once."""
    from posekit.datasets.annotations import Dataset, parse_dataset

    raw = dict(config["dataset"])
    if not raw.get("train"):
        raw["train"] = raw.get("val")  # not used
    if not raw.get("val"):
        raise InputError("dataset.val is missing: name a COCO-style JSON, dataset.val=FILE")
    dataset: Dataset = parse_dataset(raw, search)
    sources = tuple(dataclasses.replace(source, repeat=1.0) for source in dataset.val)
    return dataclasses.replace(dataset, train=sources, val=sources)


def _evaluate_pose(config: Mapping[str, Any], specs: Specs, search: Sequence[Path]) -> _Outcome:
    from posekit.datasets.annotations import dataset_skeleton
    from posekit.datasets.samples import PoseDataset
    from posekit.evaluation.evaluate import (
        PoseMetrics,
        coco_results,
        common_skeleton,
        default_metrics,
        predict_dataset,
    )
    from posekit.skeleton import load_skeleton
    from posekit.spec import OneStageSpec
    from posekit.stages.estimate import PoseEstimator

    model = specs.model
    assert model is not None
    if isinstance(model, OneStageSpec):
        raise InputError(
            f"{model.name} finds people itself: there is no evaluation of such models here; "
            "posekit predict writes what it finds"
        )
    if model.keypoints_3d:
        raise InputError(
            f"{model.name} gives 3D poses from images: there is no evaluation of these here"
        )
    wanted = config["out_predictions"] is not None
    dataset = _val(config, search)
    if wanted and len(dataset.val) > 1:
        raise InputError("out_predictions: expected one annotation file in dataset.val")
    skeleton = load_skeleton(model.keypoints, search=search)
    labelled = dataset_skeleton(dataset)
    common = common_skeleton(skeleton, labelled)
    metrics = config["metrics"] or dataset.metrics or default_metrics(common)
    options: dict[str, Any] = {
        "input_size": model.input_size,
        "padding": model.padding,
        "udp": model.udp,
    }
    with tempfile.TemporaryDirectory() as folder:
        sources, boxes = _boxes(config, specs, dataset.val, labelled, Path(folder), search)
        samples = PoseDataset(sources, labelled, **options)
        found = PoseMetrics(
            samples,
            skeleton,
            metrics,
            nms_threshold=config["oks_nms"],
            keypoint_threshold=config["rescore"],
        )
        _check_images(path for part in samples.labels for path in part.image_paths[part.image_rows])
        net = _network(config, model, "weights", search)
        estimator = PoseEstimator(net, model, skeleton, backend=config["backend"])
        workers = config["workers"]
        if workers is None:
            workers = 2 if len(samples) >= FEW_PEOPLE else 0
        predictions: list[dict[str, Any]] = []
        with _bar(len(samples), "person") as bar:
            for batch in predict_dataset(
                estimator,
                samples,
                batch_size=config["batch_size"],
                flip_test=config["flip_test"],
                workers=workers,
            ):
                found.update(batch)
                if wanted and found.protocol is None:
                    predictions += coco_results(batch, keypoint_threshold=config["rescore"])
                bar.update(len(batch.keypoints))
        if wanted and found.protocol is not None:
            predictions = found.results()
        _restore_ids(predictions, dataset.val)
        measured = f"{found.skeleton.num_keypoints} of {found.skeleton.name}"
        if found.labelled < found.skeleton.num_keypoints:
            measured += f", {found.labelled} of them labelled"
        flip = model.flip_test if config["flip_test"] is None else config["flip_test"]
        settings = {
            "model": model.name,
            "weights": _weights(config, model.name),
            "data set": config["names"]["dataset"],
            "annotations": [source.annotations for source in dataset.val],
            "images": sum(len(part.image_ids) for part in samples.labels),
            "people": found.people,
            "keypoints": measured,
            "boxes": boxes,
            "flip test": flip,
        }
        if found.protocol is not None:
            settings |= {
                "protocol": found.protocol,
                "OKS-NMS": config["oks_nms"],
                "rescoring by keypoints above": config["rescore"],
            }
        return _Outcome(found.compute(), settings | _environment(config, net), predictions)


def _boxes(
    config: Mapping[str, Any],
    specs: Specs,
    sources: Sequence[Any],
    skeleton: Any,
    folder: Path,
    search: Sequence[Path],
) -> tuple[list[Any], str]:
    """The sources with the boxes to evaluate on, and what these are."""
    threshold = config["bbox_thr"]
    name = config["names"]["detector"]
    if config["detections"] is not None:
        if len(sources) > 1:
            raise InputError("detections: expected one annotation file in dataset.val")
        sources = [dataclasses.replace(sources[0], boxes=config["detections"])]
    if name is None:
        if threshold is not None:
            sources = [dataclasses.replace(source, box_threshold=threshold) for source in sources]
        files = sorted({source.boxes for source in sources if source.boxes is not None})
        described = ", ".join(files) or "labelled"
        if files:
            described += f", score {max(source.box_threshold for source in sources):g} or more"
        return list(sources), described
    from posekit.datasets.annotations import read_pose_labels
    from posekit.datasets.samples import raise_errors
    from posekit.evaluation.evaluate import detect_boxes

    least = 0.05 if threshold is None else threshold
    detector = _detector(config, specs, "detector_weights", search)
    detected = []
    for number, source in enumerate(sources):
        source = dataclasses.replace(source, boxes=None)
        labels, problems = read_pose_labels(source, skeleton)
        raise_errors([problem for problem in problems if problem.fatal])
        _check_images(labels.image_paths)
        with _bar(len(labels.image_ids), "image") as bar:
            found = detect_boxes(
                detector,
                source,
                skeleton,
                classes=getattr(specs.model, "detector_categories", (0,)),
                score_threshold=least,
                nms_threshold=config["nms_thr"],
                on_image=bar.update,
            )
        if not found:
            raise InputError(f"{name} found nobody of score {least:g} or more on the images")
        path = folder / f"{number}.json"
        path.write_text(json.dumps(found), encoding="utf-8")
        detected.append(dataclasses.replace(source, boxes=str(path)))
    return detected, f"{name}, score {least:g} or more"


def _evaluate_detector(config: Mapping[str, Any], specs: Specs, search: Sequence[Path]) -> _Outcome:
    from posekit.datasets.samples import DetectionDataset
    from posekit.evaluation.evaluate import box_metric, predict_boxes

    model = specs.detector
    assert model is not None
    dataset = _val(config, search)
    samples = DetectionDataset(dataset.val, model.classes, input_size=model.input_size)
    metric = box_metric(samples)
    _check_images(path for labels in samples.labels for path in labels.image_paths)
    detector = _detector(config, specs, "weights", search)
    count = sum(len(labels.image_ids) for labels in samples.labels)
    with _bar(count, "image") as bar:
        for found in predict_boxes(detector, samples):
            metric.update(*found)
            bar.update()
    settings = {
        "model": model.name,
        "weights": _weights(config, model.name),
        "data set": config["names"]["dataset"],
        "annotations": [source.annotations for source in dataset.val],
        "images": count,
        "classes": len(metric.category_ids),
        "score": "0.001 or more",
        "NMS": detector.nms_threshold,
        "boxes per image": f"at most {detector.max_detections}",
    }
    wanted = config["out_predictions"] is not None
    predictions = metric.results() if wanted else []
    _restore_ids(predictions, dataset.val)
    return _Outcome(metric.compute(), settings | _environment(config, detector.net), predictions)


def _restore_ids(predictions: Sequence[dict[str, Any]], sources: Sequence[Any]) -> None:
    """Ids that are texts in the file of labels, which were numbered, are texts again."""
    from posekit.datasets.plain_coco import plain_coco

    if not predictions or len(sources) != 1:
        return
    coco = plain_coco(sources[0])
    for key, ids in (("image_id", coco.image_ids), ("category_id", coco.category_ids)):
        texts = {number: text for text, number in ids.texts.items()}
        for prediction in predictions if texts else ():
            prediction[key] = texts.get(prediction[key], prediction[key])


def _evaluate_lifter(
    config: Mapping[str, Any], model: LifterSpec, search: Sequence[Path]
) -> _Outcome:
    from posekit.evaluation.evaluate import evaluate_lifter
    from posekit.skeleton import load_skeleton
    from posekit.stages.lift import Lifter

    files = [config["sequences"]] if isinstance(config["sequences"], str) else config["sequences"]
    for file in files:
        if not Path(file).is_file():
            raise InputError(f"sequences: no such file: {file}")
    net = _network(config, model, "weights", search)
    lifter = Lifter(net, model, load_skeleton(model.keypoints, search=search))
    metrics = evaluate_lifter(
        lifter, files, flip_test=config["flip_test"], batch_size=max(config["batch_size"] // 16, 1)
    )
    settings = {
        "model": model.name,
        "weights": _weights(config, model.name),
        "sequences": files,
        "window": lifter.max_frames,
        "flip test": lifter.flip_test if config["flip_test"] is None else config["flip_test"],
    }
    return _Outcome(metrics, settings | _environment(config, net))


def _detector(
    config: Mapping[str, Any], specs: Specs, key: str, search: Sequence[Path]
) -> Detector:
    from posekit.stages.detect import Detector

    assert specs.detector is not None
    net = _network(config, specs.detector, key, search)
    return Detector(net, specs.detector, backend=config["backend"])


def _network(config: Mapping[str, Any], spec: Spec, key: str, search: Sequence[Path]) -> nn.Module:
    import torch

    from posekit.backends import check_backend
    from posekit.build import select_device
    from posekit.weights.load import load_network

    device = select_device(config["device"])
    dtype = getattr(torch, config["dtype"] or "float32")
    if config["backend"] is not None:
        check_backend(config["backend"], device, dtype)
    return load_network(spec, config[key], search=search, key=f"{key}=", device=device, dtype=dtype)


def _stand_in(config: Mapping[str, Any], name: str) -> str | None:
    from posekit.weights.hub import stand_in

    return stand_in(name, config["weights"])


def _weights(config: Mapping[str, Any], name: str) -> str:
    return _stand_in(config, name) or config["weights"] or "published"


def _check_images(paths: Iterable[str]) -> None:
    """Before hours of work, not in the middle of it."""
    missing = [path for path in dict.fromkeys(map(str, paths)) if not Path(path).is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} images are missing, such as {missing[0]}; name their folder with "
            "dataset.root or 'images', or leave them out with skip_bad: true"
        )


def _bar(total: int, unit: str) -> tqdm[Any]:
    return tqdm(total=total, unit=unit, file=sys.stderr, disable=None)


def _environment(config: Mapping[str, Any], net: nn.Module) -> dict[str, Any]:
    from posekit.backends.files import GraphFile
    from posekit.build import select_device

    device = str(select_device(config["device"]))
    is_graph = isinstance(net, GraphFile)
    return {
        "device": device,
        "dtype": "the graph's" if is_graph else config["dtype"] or "float32",
        "backend": config["backend"] or ("auto" if is_graph else "none"),
        "posekit": __version__,
    }


def _published(config: Mapping[str, Any]) -> dict[str, float]:
    """The table's figures for this model and data set, by the metrics' names here."""
    names = config["names"]
    name = names["model"] or names["lifter"] or names["detector"]
    dataset, _ = PUBLISHED.get(names["dataset"], ("", ""))
    if names["lifter"]:
        dataset = "Human3.6M"
    checkpoint = find_checkpoint(name)
    if checkpoint is None or _stand_in(config, name) is not None:
        return {}
    return {
        PUBLISHED_METRICS[metric.name]: _fraction(metric)
        for metric in checkpoint.metrics
        if metric.dataset == dataset
        and metric.name in PUBLISHED_METRICS
        and (metric.name == "box AP") == (names["model"] is None and names["lifter"] is None)
    }


def _fraction(metric: Metric) -> float:
    """Box AP and most NME are published in percent."""
    percent = metric.name == "box AP" or metric.name.startswith("NME")
    return round(metric.value / 100, 6) if percent and metric.value >= 1 else metric.value


def _write(config: Mapping[str, Any], outcome: _Outcome, published: Mapping[str, float]) -> None:
    from posekit.files import write_atomically

    metrics = {name: _or_null(value) for name, value in outcome.metrics.items()}
    report = {"metrics": metrics, "published": dict(published), "settings": outcome.settings}
    for key, content in (("out_predictions", outcome.predictions), ("out", report)):
        if config[key] is None:
            continue
        text = json.dumps(content, indent=None if content is outcome.predictions else 2)
        try:
            write_atomically(Path(config[key]), f"{text}\n".encode())
        except OSError as error:
            raise OutputError(f"cannot write {config[key]}: {error.strerror or error}") from None


def _or_null(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value


def _print(outcome: _Outcome, published: Mapping[str, float]) -> None:
    for name, value in outcome.settings.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        print(f"{name}: {'none' if value is None else shown}")
    print()
    rows = [
        (name, _shown(value), f"{published[name]:g}" if name in published else "")
        for name, value in outcome.metrics.items()
    ]
    print(format_table(("metric", "value", "published"), rows))


def _shown(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"
