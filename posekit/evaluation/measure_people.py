"""A one-stage model, its weights and a data set -> metrics beside the published ones."""

from __future__ import annotations

from posekit.datasets.people_samples import PeopleDataset
from posekit.datasets.source_skeletons import dataset_skeleton
from posekit.errors import InputError
from posekit.evaluation.labelled_set import LabelledSet
from posekit.evaluation.options import EvaluateOptions
from posekit.evaluation.people import predict_people
from posekit.evaluation.pose_metrics import PoseMetrics
from posekit.evaluation.published import published_figures
from posekit.evaluation.result import EvaluateResult
from posekit.evaluation.run import (
    check_images,
    device_settings,
    load_part,
    progress,
    restore_ids,
)
from posekit.evaluation.settings import of_data, of_poses, of_protocol
from posekit.parts import Parts
from posekit.skeleton import load_skeleton
from posekit.spec import OneStageSpec
from posekit.stages.one_stage import OneStageEstimator

__all__ = ["measure_people"]


def measure_people(parts: Parts, data: LabelledSet, options: EvaluateOptions) -> EvaluateResult:
    """A model that finds all people of an image itself, by AP on all images.

    Raises:
        PosekitError: as `posekit.evaluate`.
    """
    part = parts.model
    assert part is not None
    spec = part.spec
    assert isinstance(spec, OneStageSpec)
    options.check_one_stage(spec.name)
    if options.wants_predictions and len(data.sources) > 1:
        key = "with_predictions" if options.out_predictions is None else "out_predictions"
        raise InputError(
            f"{key}: expected one annotation file in dataset.val, found {len(data.sources)}"
        )
    skeleton = load_skeleton(spec.keypoints, search=parts.search)
    samples = PeopleDataset(data.sources, dataset_skeleton(data.config), input_size=spec.input_size)
    found = PoseMetrics(
        samples,
        skeleton,
        ("ap",),
        nms_threshold=options.suppression(one_stage=True),
        keypoint_threshold=options.rescoring(one_stage=True),
    )
    check_images(path for labels in samples.labels for path in labels.image_paths)
    net = load_part(part, parts.search, options)
    estimator = OneStageEstimator(net, spec, skeleton, backend=options.backend)
    count = sum(len(labels.image_ids) for labels in samples.labels)
    with progress(count, "image", options) as bar:
        for people in predict_people(
            estimator,
            samples,
            batch_size=options.batch_size,
            score_threshold=options.bbox_thr,
            nms_threshold=options.nms_thr,
        ):
            people.add_to(found)
            bar.update()
    predictions = found.results() if options.wants_predictions else []
    restore_ids(predictions, data.sources)
    own = (spec.score_threshold, spec.nms_threshold)
    score, overlap = (
        default if value is None else value
        for value, default in zip((options.bbox_thr, options.nms_thr), own, strict=True)
    )
    settings = {
        **of_data(part, data),
        "images": count,
        **of_poses(found, sum(len(labels) for labels in samples.labels)),
        "score": f"above {score:g}",
        "NMS": overlap,
        **of_protocol(found),
        **device_settings(options, net),
    }
    figures = {}
    if data.is_published:
        figures = published_figures(spec.name, "model", part.weights, data.name)
    return EvaluateResult(found.compute(), figures, settings, predictions)
