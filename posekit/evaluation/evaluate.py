"""`posekit.evaluate`, and evaluations of networks that are already loaded."""

from __future__ import annotations

import os
from pathlib import Path

from posekit.declared import function_takes
from posekit.errors import InputError
from posekit.evaluation.detectors import evaluate_detector
from posekit.evaluation.labelled_set import LabelledSet, named_set
from posekit.evaluation.lifters import evaluate_lifter
from posekit.evaluation.measure import measure_boxes, measure_lifting, measure_poses
from posekit.evaluation.measure_people import measure_people
from posekit.evaluation.options import EvaluateOptions, Kind
from posekit.evaluation.poses import evaluate_pose
from posekit.evaluation.result import EvaluateResult
from posekit.parts import Parts, find_part, find_parts
from posekit.spec import DetectorSpec, LifterSpec, OneStageSpec

__all__ = [
    "evaluate",
    "evaluate_detector",
    "evaluate_lifter",
    "evaluate_parts",
    "evaluate_pose",
]


@function_takes(EvaluateOptions)
def evaluate(model: str | os.PathLike[str], options: EvaluateOptions) -> EvaluateResult:
    """Evaluates a model on a labelled data set, with the settings of the published tables.

    >>> result = posekit.evaluate("rtmpose-m_coco-256x192", dataset="coco", root="/data/coco")
    >>> result.metrics["AP"]

    Args:
        model: a pose model, a detector or a lifter, by any name that `posekit.load` takes.
        {options}

    Raises:
        UnknownModelError: no such model or detector.
        WeightsError, DownloadError: weights do not fit or cannot be downloaded.
        InputError: an option or a data set that does not fit; no file has been written then.
        OutputError: `out` or `out_predictions` cannot be written.
    """
    config_dir = None if options.config_dir is None else Path(options.config_dir)
    if config_dir is not None and not config_dir.is_dir():
        raise InputError(f"config_dir: no such folder: {config_dir}")
    parts, kind = _find_parts(os.fspath(model), options, config_dir)
    data = None if kind == "lifter" else named_set(options, kind, parts.search)
    return evaluate_parts(parts, data, options)


def evaluate_parts(
    parts: Parts, data: LabelledSet | None, options: EvaluateOptions
) -> EvaluateResult:
    """As `evaluate`, for parts that have already been found.

    Args:
        parts: a model, with a detector if its boxes are to be used; or one network of another kind.
        data: the labels; None for a lifter, whose sequences the options name.
        options: all else; `check_applies` has accepted them.
    """
    if data is None:
        result = measure_lifting(parts, options)
    elif parts.model is not None and isinstance(parts.model.spec, OneStageSpec):
        result = measure_people(parts, data, options)
    elif parts.model is not None:
        result = measure_poses(parts, data, options)
    else:
        result = measure_boxes(parts, data, options)
    result.write(options.out, options.out_predictions)
    return result


def _find_parts(name: str, options: EvaluateOptions, config_dir: Path | None) -> tuple[Parts, Kind]:
    """The network to evaluate, with a detector if one was named; and the network's kind."""
    detector, weights, detector_weights = (
        None if given is None else os.fspath(given)
        for given in (options.detector_name, options.weights, options.detector_weights)
    )
    part, search = find_part(name, weights=weights, config_dir=config_dir, trust=options.trust)
    kind: Kind = "model"
    if isinstance(part.spec, DetectorSpec | LifterSpec):
        kind = "detector" if isinstance(part.spec, DetectorSpec) else "lifter"
    options.check_applies(kind, part.spec.name, has_detector=detector is not None)
    if kind == "detector":
        return Parts(None, detector=part, search=search), kind
    if kind == "lifter":
        return Parts(None, lifter=part, search=search), kind
    found = find_parts(
        name,
        weights=weights,
        detector=detector or "none",
        detector_weights=detector_weights,
        config_dir=config_dir,
        trust=options.trust,
    )
    return found, kind
