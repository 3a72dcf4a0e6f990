"""COCO's own evaluation, pycocotools: annotations and detections in, AP and AR out."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from posekit.errors import InputError
from posekit.packages import need

__all__ = ["check_ids", "cocoeval", "pycocotools", "summary"]


def cocoeval(
    truth: dict[str, Any],
    found: list[dict[str, Any]],
    kind: str,
    *,
    sigmas: np.ndarray | None = None,
    image_ids: list[int] | None = None,
    category_ids: list[int] | None = None,
) -> Any:
    """pycocotools' evaluation object, accumulated; what it prints is dropped.

    Args:
        truth: COCO's lists `images`, `annotations` and `categories`.
        found: detections, with `area`.
        kind: "bbox" or "keypoints".
        sigmas: (K,), the keypoints' sigmas.
        image_ids, category_ids: evaluate only these; None takes all.
    """
    coco, evaluate = pycocotools()
    detections = [{**detection, "iscrowd": 0} for detection in found]
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for annotations in (truth["annotations"], detections):
            side = coco.COCO()
            # It writes into annotations, which are ours to keep, and takes an id 0 for no match.
            numbered = [{**a, "id": number} for number, a in enumerate(annotations, 1)]
            side.dataset = {**truth, "annotations": numbered}
            side.createIndex()
            sides.append(side)
        evaluation = evaluate.COCOeval(*sides, kind)
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = sigmas
        if image_ids is not None:
            evaluation.params.imgIds = image_ids
        if category_ids is not None:
            evaluation.params.catIds = category_ids
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def summary(evaluation: Any, ranges: Sequence[str]) -> dict[str, float]:
    """AP and AR at the most detections: overall, at two thresholds, and by range of areas."""
    precision = evaluation.eval["precision"][..., -1]  # (threshold, recall, category, area)
    recall = evaluation.eval["recall"][..., -1]  # (threshold, category, area)
    labels = [label[0].upper() for label in evaluation.params.areaRngLbl]
    metrics = {}
    for name, values in (("AP", precision), ("AR", recall)):
        metrics[name] = _mean(values[..., 0])
        metrics[f"{name}50"] = _mean(values[0, ..., 0])
        metrics[f"{name}75"] = _mean(values[5, ..., 0])
        for area in ranges:
            metrics[f"{name}({area})"] = _mean(values[..., labels.index(area)])
    return metrics


def _mean(values: np.ndarray) -> float:
    """The mean of defined values: pycocotools has -1 where there is no truth."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else float("nan")


def check_ids(ids: np.ndarray, known: set[int], what: str) -> None:
    """Refuses ids that the annotations do not have.

    Raises:
        InputError: there are such ids; it names some of them.
    """
    unknown = sorted(set(ids.tolist()) - known)
    if unknown:
        raise InputError(
            f"expected {what} of the annotations, found {unknown[:5]}: do the predictions belong "
            "to another file?"
        )


def pycocotools() -> tuple[ModuleType, ModuleType]:
    """The modules `coco` and `cocoeval`, imported late, since prediction does not need them.

    Raises:
        InputError: it is not installed.
    """
    coco, cocoeval = (
        need(f"pycocotools.{name}", "posekit[train]", "average precision")
        for name in ("coco", "cocoeval")
    )
    return coco, cocoeval
