"""A model of any kind, its weights and a data set -> metrics beside the published ones."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from posekit.datasets.detection_samples import DetectionDataset
from posekit.datasets.pose_samples import PoseDataset
from posekit.datasets.problems import raise_errors
from posekit.datasets.source_skeletons import dataset_skeleton
from posekit.datasets.validate import check_in_boxes
from posekit.errors import InputError
from posekit.evaluation.boxes import choose_boxes
from posekit.evaluation.common_skeleton import common_skeleton
from posekit.evaluation.detectors import box_metric, predict_boxes
from posekit.evaluation.labelled_set import LabelledSet
from posekit.evaluation.lifters import evaluate_lifter
from posekit.evaluation.metric_choice import default_metrics
from posekit.evaluation.options import EvaluateOptions
from posekit.evaluation.pose_metrics import PoseMetrics
from posekit.evaluation.poses import coco_results, predict_dataset
from posekit.evaluation.published import published_boxes, published_figures
from posekit.evaluation.result import EvaluateResult
from posekit.evaluation.run import (
    check_images,
    device_settings,
    load_part,
    progress,
    restore_ids,
    weights_of,
)
from posekit.evaluation.settings import of_data, of_poses, of_protocol
from posekit.parts import Parts
from posekit.skeleton import load_skeleton
from posekit.spec import DetectorSpec, LifterSpec, PoseSpec
from posekit.stages.detect import Detector
from posekit.stages.estimate import PoseEstimator
from posekit.stages.lift import Lifter

__all__ = ["measure_boxes", "measure_lifting", "measure_poses"]

# So few that starting processes takes longer than reading the images.
FEW_PEOPLE = 500


def measure_poses(parts: Parts, data: LabelledSet, options: EvaluateOptions) -> EvaluateResult:
    """A pose model, on labelled boxes or on those of a detector.

    Raises:
        PosekitError: as `posekit.evaluate`.
    """
    part = parts.model
    assert part is not None
    spec = part.spec
    assert isinstance(spec, PoseSpec)
    _check_poses(spec, data, options)
    skeleton = load_skeleton(spec.keypoints, search=parts.search)
    labelled = dataset_skeleton(data.config)
    metrics = options.metrics or data.config.metrics
    metrics = metrics or default_metrics(common_skeleton(skeleton, labelled))
    with tempfile.TemporaryDirectory() as folder:
        sources, boxes = choose_boxes(parts, data.sources, labelled, options, Path(folder))
        samples = PoseDataset(
            sources, labelled, input_size=spec.input_size, padding=spec.padding, udp=spec.udp
        )
        _check_units(samples)
        found = PoseMetrics(
            samples,
            skeleton,
            metrics,
            nms_threshold=options.suppression(),
            keypoint_threshold=options.rescoring(),
        )
        check_images(path for part in samples.labels for path in part.image_paths[part.image_rows])
        net = load_part(part, parts.search, options)
        estimator = PoseEstimator(net, spec, skeleton, backend=options.backend)
        predictions = _predict(estimator, samples, found, options)
    restore_ids(predictions, data.sources)
    settings = {
        **of_data(part, data),
        "images": sum(len(labels.image_ids) for labels in samples.labels),
        **of_poses(found, found.people),
        "boxes": boxes,
        "flip test": spec.flip_test if options.flip_test is None else options.flip_test,
        **of_protocol(found),
        **device_settings(options, net),
    }
    figures = {}
    if data.is_published:
        figures = published_figures(spec.name, "model", part.weights, data.name)
    if figures:
        settings["published with boxes"] = published_boxes(data.name)
    return EvaluateResult(found.compute(), figures, settings, predictions)


def _check_units(samples: PoseDataset) -> None:
    """Refuses labels in other units than pixels, which would give figures without a meaning."""
    for source, labels in zip(samples.sources, samples.labels, strict=True):
        if source.boxes is None:
            raise_errors([found for found in check_in_boxes(source, labels) if found.fatal])


def _check_poses(spec: PoseSpec, data: LabelledSet, options: EvaluateOptions) -> None:
    if spec.keypoints_3d:
        raise InputError(f"{spec.name} gives 3D poses from images, which posekit cannot evaluate")
    if options.wants_predictions and len(data.sources) > 1:
        key = "with_predictions" if options.out_predictions is None else "out_predictions"
        raise InputError(
            f"{key}: expected one annotation file in dataset.val, found {len(data.sources)}"
        )


def _predict(
    estimator: PoseEstimator, samples: PoseDataset, found: PoseMetrics, options: EvaluateOptions
) -> list[dict[str, Any]]:
    """Adds the model's predictions to the metrics; returns COCO results if these are asked for."""
    workers = options.workers
    if workers is None:
        workers = 2 if len(samples) >= FEW_PEOPLE else 0
    predictions: list[dict[str, Any]] = []
    with progress(len(samples), "person", options) as bar:
        for batch in predict_dataset(
            estimator,
            samples,
            batch_size=options.batch_size,
            flip_test=options.flip_test,
            workers=workers,
        ):
            found.update(batch)
            if options.wants_predictions and found.protocol is None:
                predictions += coco_results(batch, keypoint_threshold=options.rescoring())
            bar.update(len(batch.keypoints))
    if options.wants_predictions and found.protocol is not None:
        return found.results()
    return predictions


def measure_boxes(parts: Parts, data: LabelledSet, options: EvaluateOptions) -> EvaluateResult:
    """A detector, by its boxes on all images.

    Raises:
        PosekitError: as `posekit.evaluate`.
    """
    part = parts.detector
    assert part is not None
    spec = part.spec
    assert isinstance(spec, DetectorSpec)
    samples = DetectionDataset(data.sources, spec.classes, input_size=spec.input_size)
    metric = box_metric(samples)
    check_images(path for labels in samples.labels for path in labels.image_paths)
    net = load_part(part, parts.search, options)
    detector = Detector(net, spec, backend=options.backend)
    count = sum(len(labels.image_ids) for labels in samples.labels)
    with progress(count, "image", options) as bar:
        for found in predict_boxes(detector, samples):
            metric.update(*found)
            bar.update()
    settings = {
        **of_data(part, data),
        "images": count,
        "classes": len(metric.category_ids),
        "score": "0.001 or more",
        "NMS": detector.nms_threshold,
        "boxes per image": f"at most {detector.max_detections}",
        **device_settings(options, detector.net),
    }
    predictions = metric.results() if options.wants_predictions else []
    restore_ids(predictions, data.sources)
    figures = {}
    if data.is_published:
        figures = published_figures(spec.name, "detector", part.weights, data.name)
    return EvaluateResult(metric.compute(), figures, settings, predictions)


def measure_lifting(parts: Parts, options: EvaluateOptions) -> EvaluateResult:
    """A lifter, on the sequences that the options name.

    Raises:
        PosekitError: as `posekit.evaluate`.
    """
    part = parts.lifter
    assert part is not None
    spec = part.spec
    assert isinstance(spec, LifterSpec)
    files = options.sequence_files
    for file in files:
        if not Path(file).is_file():
            raise InputError(f"sequences: no such file: {file}")
    net = load_part(part, parts.search, options)
    lifter = Lifter(net, spec, load_skeleton(spec.keypoints, search=parts.search))
    metrics = evaluate_lifter(
        lifter,
        files,
        flip_test=options.flip_test,
        batch_size=max(options.batch_size // 16, 1),
    )
    settings = {
        "model": spec.name,
        "weights": weights_of(part),
        "sequences": files,
        "window": lifter.max_frames,
        "flip test": lifter.flip_test if options.flip_test is None else options.flip_test,
        **device_settings(options, net),
    }
    figures = published_figures(spec.name, "lifter", part.weights, None)
    return EvaluateResult(metrics, figures, settings)
