"""Figures of posekit's table of checkpoints, for the data set that a model is measured on."""

from __future__ import annotations

from pathlib import Path

from posekit.checkpoints import Metric
from posekit.config import find_checkpoint
from posekit.evaluation.options import Kind
from posekit.weights.hub import stand_in

__all__ = ["published_boxes", "published_figures"]

_COCO_BOXES = "COCO_val2017_detections_AP_H_56_person.json"
# A data set of conf/dataset -> its name in the table of checkpoints, and the boxes that the
# published figures were measured on.
_DATASETS = {
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
_METRICS = {
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


def published_figures(
    name: str, kind: Kind, weights: str | Path | None, dataset: str | None
) -> dict[str, float]:
    """The table's figures, by posekit's names of metrics; none if other weights stand in.

    Args:
        name: name of the model.
        kind: kind of the model.
        weights: as they were asked for.
        dataset: name of a data set in conf/dataset; None for a lifter.
    """
    checkpoint = find_checkpoint(name)
    if checkpoint is None or stand_in(name, weights) is not None:
        return {}
    measured_on = "Human3.6M" if kind == "lifter" else _DATASETS.get(dataset or "", ("", ""))[0]
    return {
        _METRICS[metric.name]: _fraction(metric)
        for metric in checkpoint.metrics
        if metric.dataset == measured_on
        and metric.name in _METRICS
        and (metric.name == "box AP") == (kind == "detector")
    }


def published_boxes(dataset: str) -> str:
    """The boxes that the table's figures for a data set of conf/dataset were measured on."""
    return _DATASETS[dataset][1]


def _fraction(metric: Metric) -> float:
    """Box AP and most NME are published in percent."""
    percent = metric.name == "box AP" or metric.name.startswith("NME")
    return round(metric.value / 100, 6) if percent and metric.value >= 1 else metric.value
