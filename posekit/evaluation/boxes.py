"""The boxes that a pose model is measured on: labelled, from a file, or from a detector."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from posekit.datasets.pose_labels import read_pose_labels
from posekit.datasets.problems import raise_errors
from posekit.datasets.sources import Source
from posekit.errors import InputError
from posekit.evaluation.detectors import detect_boxes
from posekit.evaluation.options import EvaluateOptions
from posekit.evaluation.run import check_images, load_part, progress
from posekit.parts import Part, Parts
from posekit.skeleton import Skeleton
from posekit.spec import DetectorSpec, PoseSpec
from posekit.stages.detect import Detector

__all__ = ["Boxes", "choose_boxes"]

# Of a detector's boxes, where nobody says another one.
LEAST_SCORE = 0.05


class Boxes(NamedTuple):
    """Sources with the boxes to measure on, and what these are."""

    sources: tuple[Source, ...]
    described: str


def choose_boxes(
    parts: Parts,
    sources: Sequence[Source],
    skeleton: Skeleton,
    options: EvaluateOptions,
    folder: Path,
) -> Boxes:
    """The boxes that the options ask for; a detector is run here to find its own.

    Args:
        parts: the model, and the detector if there is one.
        sources: files of labels.
        skeleton: the skeleton of their keypoints.
        options: `detections`, `bbox_thr`, `nms_thr`, and the detector's device and engine.
        folder: where a detector's boxes are written; it must exist as long as the sources are read.

    Raises:
        InputError: one file of boxes for several files of labels, missing images, or nobody found.
    """
    if options.detections is not None:
        if len(sources) > 1:
            raise InputError(
                f"detections: expected one annotation file in dataset.val, found {len(sources)}"
            )
        sources = [dataclasses.replace(sources[0], boxes=os.fspath(options.detections))]
    if parts.detector is not None:
        return _detected(parts, parts.detector, sources, skeleton, options, folder)
    if options.bbox_thr is not None:
        sources = [dataclasses.replace(one, box_threshold=options.bbox_thr) for one in sources]
    files = sorted({source.boxes for source in sources if source.boxes is not None})
    described = ", ".join(files) or "labelled"
    if files:
        described += f", score {max(source.box_threshold for source in sources):g} or more"
    return Boxes(tuple(sources), described)


def _detected(
    parts: Parts,
    part: Part,
    sources: Sequence[Source],
    skeleton: Skeleton,
    options: EvaluateOptions,
    folder: Path,
) -> Boxes:
    assert isinstance(part.spec, DetectorSpec)
    least = LEAST_SCORE if options.bbox_thr is None else options.bbox_thr
    net = load_part(part, parts.search, options)
    detector = Detector(net, part.spec, backend=options.backend)
    model = parts.model.spec if parts.model is not None else None
    classes = model.detector_categories if isinstance(model, PoseSpec) else (0,)
    detected = []
    for number, source in enumerate(sources):
        source = dataclasses.replace(source, boxes=None)
        found = _detect(detector, source, skeleton, classes, least, options)
        if not found:
            raise InputError(
                f"{part.spec.name} found nobody with a score of {least:g} or more in the images: "
                "lower bbox_thr, or choose another detector"
            )
        path = folder / f"{number}.json"
        path.write_text(json.dumps(found), encoding="utf-8")
        detected.append(dataclasses.replace(source, boxes=str(path)))
    return Boxes(tuple(detected), f"{part.spec.name}, score {least:g} or more")


def _detect(
    detector: Detector,
    source: Source,
    skeleton: Skeleton,
    classes: Sequence[int],
    least: float,
    options: EvaluateOptions,
) -> list[dict[str, Any]]:
    labels, problems = read_pose_labels(source, skeleton)
    raise_errors([problem for problem in problems if problem.fatal])
    check_images(labels.image_paths)
    with progress(len(labels.image_ids), "image", options) as bar:
        return detect_boxes(
            detector,
            source,
            skeleton,
            classes=classes,
            score_threshold=least,
            nms_threshold=options.nms_thr,
            on_image=bar.update,
        )
