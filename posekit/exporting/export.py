"""A network as a file for another engine, checked against the network itself."""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from posekit.backends.files import GraphFile
from posekit.declared import function_takes
from posekit.errors import InputError, OutputError, PosekitError
from posekit.exporting.compare import compare, refuse_differences
from posekit.exporting.formats import load_format
from posekit.exporting.graph import ExportGraph, Processed, with_processing
from posekit.exporting.options import ExportOptions
from posekit.exporting.result import ExportResult
from posekit.exporting.samples import read_images, take_samples
from posekit.exporting.subject import Subject, describe
from posekit.io.places import check_writable
from posekit.parts import Part, Parts, find_part, find_parts
from posekit.spec import DetectorSpec, LifterSpec, OneStageSpec, PoseSpec, Spec
from posekit.stages.detect import Detector
from posekit.stages.estimate import PoseEstimator
from posekit.weights.hub import STANDS_IN, stand_in
from posekit.weights.load import load_network

__all__ = ["export", "export_parts"]

log = logging.getLogger(__name__)


@function_takes(ExportOptions)
def export(model: str, options: ExportOptions) -> ExportResult:
    """Exports a network to a file for another engine and checks that the two agree.

    `<file>.json` beside the file reports the comparison; see docs/export.md.

    Args:
        model: a pose model, a lifter or a detector, by any name that `posekit.load` takes, or a
            trained model's folder.
        {options}

    Returns:
        The files written, and how much file and network differ.

    Raises:
        InputError: an option that does not fit, a missing package, or a file that would give other
            keypoints or boxes than the network; nothing is written then.
        UnknownModelError: no such model or detector.
        WeightsError: weights do not fit, or the file is damaged.
        DownloadError: the weights cannot be downloaded.
        OutputError: the file cannot be written; an existing one is kept.
    """
    return export_parts(_find_parts(model, options), options)


def _find_parts(name: str, options: ExportOptions) -> Parts:
    """A pose model and what finds people for it, or a detector alone."""
    known: dict[str, Any] = {
        key: getattr(options, key) for key in ("weights", "config_dir", "trust")
    }
    part, search = find_part(name, **known)
    if isinstance(part.spec, LifterSpec):
        if options.detector is not None or options.detector_weights is not None:
            raise InputError(f"{part.spec.name} is a lifter: no detector finds its inputs")
        return Parts(None, lifter=part, search=search)
    if not isinstance(part.spec, DetectorSpec):
        beside: dict[str, Any] = {
            key: getattr(options, key) for key in ("detector", "detector_weights")
        }
        return find_parts(name, **known, **beside)
    if options.detector is not None:
        raise InputError(
            f"{part.spec.name} is a detector, which is used alone: name no other model"
        )
    return Parts(None, part, search=search)


def export_parts(parts: Parts, options: ExportOptions) -> ExportResult:
    """As `export`, for parts that have already been found.

    Args:
        parts: a model, and a detector that finds people for it; or a detector alone; or a lifter,
            whose 2D model is not looked at.
        options: those of `export`; the ones that choose parts have already been applied.

    Returns, Raises: as `export`.
    """
    part, spec = _part_to_export(parts, options)
    output = options.path_for(spec.name)
    if output.is_dir():
        raise InputError(f"output is a folder: {output}; name a file in it")
    wanted = load_format(options.format)
    wanted.check_installed()
    images = read_images(options.inputs)
    if options.quantize is not None and not images:
        log.warning(
            "int8 value ranges are measured on drawn people; for better results set "
            "inputs=FOLDER to images like those that the network will see"
        )
    check_writable(output.parent)
    # All that can be checked without weights is checked by now.
    network, find = _networks(part, spec, parts)
    samples = take_samples(
        network,
        images,
        find=find,
        categories=getattr(spec, "detector_categories", (0,)),
        calibrate=options.quantize is not None,
    )
    is_half = options.precision == "float16" and not wanted.halves
    graph = ExportGraph(
        network,
        preprocess=options.preprocess,
        decode=options.decode,
        dtype=torch.float16 if is_half else torch.float32,
    )
    description = describe(graph, spec, options)
    if other := stand_in(spec.name, part.weights):
        description[STANDS_IN] = other
    return _write(Subject(graph, spec, samples, options, description, output))


def _part_to_export(parts: Parts, options: ExportOptions) -> tuple[Part, Spec]:
    """The part to export, checked against the options."""
    if parts.lifter is not None:
        name = parts.lifter.spec.name
        for key in ("inputs", "detector_weights", "quantize"):
            if getattr(options, key) is not None:
                raise InputError(
                    f"{key} does not apply: {name} is a lifter, which sees keypoints; leave it out"
                )
        if options.preprocess or options.decode:
            raise InputError(
                f"preprocess and decode are for networks that see images; {name} is a lifter: its "
                "file takes and gives normalised keypoints"
            )
        return parts.lifter, parts.lifter.spec
    part = parts.model or parts.detector
    assert part is not None
    spec = part.spec
    if isinstance(spec, DetectorSpec):
        if options.detector_weights is not None:
            raise InputError(
                f"detector_weights does not apply: {spec.name} itself is exported; use weights"
            )
        return part, spec
    assert isinstance(spec, PoseSpec | OneStageSpec)
    codec = spec.codec.name
    if options.decode and codec not in ("SimCC", "PersonCells"):
        raise InputError(
            "decode=true is for SimCC models, one-stage models and detectors; the refinement "
            f"of {codec} is not part of a graph: use decode=false"
        )
    return part, spec


def _networks(
    part: Part, spec: Spec, parts: Parts
) -> tuple[Processed, Callable[[], Detector] | None]:
    """What is exported, and what makes the detector that finds people for it."""
    network = with_processing(_load(part, parts.search), spec, parts.search)
    if not isinstance(network, PoseEstimator):
        return network, None
    finder = parts.detector
    if finder is None:
        return network, None
    of_finder = finder.spec
    if not isinstance(of_finder, DetectorSpec):
        raise InputError(f"{of_finder.name} is not a detector")
    return network, lambda: Detector(_load(finder, parts.search), of_finder)


def _load(part: Part, search: Sequence[Path]) -> nn.Module:
    net = load_network(part.spec, part.weights, search=search, key=part.key)
    if isinstance(net, GraphFile):
        raise InputError(f"{net.path} is already a graph: expected weights to export")
    return net


def _write(subject: Subject) -> ExportResult:
    """Writes a file and its report, compares, and puts them where they belong."""
    options, samples, output = subject.options, subject.samples, subject.output
    # Beside the output, so that moving a file there is one step.
    with (
        _disk_errors(output),
        tempfile.TemporaryDirectory(prefix=".posekit-", dir=output.parent) as temporary,
    ):
        written = Path(temporary) / output.name
        run = load_format(options.format).write(subject, written)
        difference = compare(subject, run)
        tolerance = refuse_differences(subject, difference)
        report = written.with_name(f"{output.name}.json")
        names = sorted(file.name for file in written.parent.iterdir())
        result = ExportResult(
            path=output,
            paths=tuple(output.with_name(name) for name in (*names, report.name)),
            description=subject.description,
            inputs=samples.inputs,
            boxes=samples.boxes,
            calibrated_on=None if options.quantize is None else len(samples.calibrating),
            difference=difference,
            tolerance_px=tolerance,
        )
        report.write_text(json.dumps(result.to_report(), indent=1) + "\n", encoding="utf-8")
        for path in result.paths:
            (written.parent / path.name).replace(path)
    return result


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except PosekitError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None
