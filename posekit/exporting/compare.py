"""How far a file's points are from those of the network itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from posekit.backends.outputs import nest
from posekit.errors import InputError
from posekit.exporting.formats import Runner
from posekit.exporting.graph import SCORE_THRESHOLD, ExportGraph, Processed
from posekit.exporting.people import best_people, people_distances
from posekit.exporting.result import Difference, in_pixels
from posekit.exporting.sequences import joint_distances
from posekit.exporting.subject import Subject
from posekit.stages.detect import Detector
from posekit.stages.lift import Lifter
from posekit.stages.one_stage import OneStageEstimator

__all__ = ["TOLERANCES", "compare", "refuse_differences"]

TOLERANCES = {"float32": 0.1, "float16": 0.5}  # pixels of the network's input; int8 has none
SCORE_MARGIN = 0.01  # above the threshold, where rounding does not make a box or take it away
MAX_BOXES = 100  # of an image, best first, that a detector is compared on


def compare(subject: Subject, run: Runner) -> Difference:
    """Distances between the points of the network and those of the file, one sample at a time.

    Args:
        subject: what was written.
        run: what runs the file.

    Raises:
        InputError: the network finds nothing in the samples.
    """
    graph, crops = subject.graph, subject.samples.compared
    distance = _keypoint_distances
    if isinstance(graph.network, Lifter):
        distance = _joint_distances
    elif isinstance(graph.network, OneStageEstimator):
        distance = _people_distances
    elif isinstance(graph.network, Detector):
        distance = _detection_distances if graph.decode else _cell_distances
    distances, score_differences = [], []
    # One by one and, for the batch to be seen to be free, three at once.
    for part in [crops[i : i + 1] for i in range(len(crops))] + [crops[:3]]:
        away, off = distance(graph, part, run(subject.inputs(part)))
        distances.append(away.ravel())
        score_differences.append(off.ravel())
    all_distances = np.concatenate(distances)
    if not len(all_distances):
        raise InputError(
            f"{subject.output} is not written: the network finds nothing in the inputs, so "
            "there is nothing to compare; use images that show what it detects"
        )
    return Difference(
        crops=len(crops),
        points=len(all_distances),
        maximum_px=_rounded(all_distances.max()),
        mean_px=_rounded(all_distances.mean()),
        percentile_99_px=_rounded(np.percentile(all_distances, 99)),
        maximum_score_difference=_rounded(np.concatenate(score_differences).max(initial=0)),
    )


def refuse_differences(subject: Subject, found: Difference) -> float | None:
    """Refuses a file that differs by more than its precision explains.

    Returns:
        The tolerance in pixels; None where there is none.

    Raises:
        InputError: the file differs by more.
    """
    precision = subject.options.precision
    tolerance = TOLERANCES.get(precision)
    # Rounding flips maxima that are nearly ties, neighbours in trained networks too; one keypoint
    # in a hundred may be such. Boxes of float32 have none.
    is_detector = isinstance(subject.graph.network, Detector)
    exact = is_detector and precision == "float32"
    away = found.maximum_px if exact else found.percentile_99_px
    if tolerance is not None and (away is None or away > tolerance):
        what = "boxes" if is_detector else "keypoints"
        raise InputError(
            f"{subject.output} is not written: its {what} differ by {in_pixels(away)} from the "
            f"network's, expected at most {tolerance:g} px"
            + ("" if precision == "float32" else "; use dtype=float32")
        )
    return tolerance


def _keypoint_distances(
    graph: ExportGraph, crops: np.ndarray, outputs: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Distances of all keypoints (n, K), and differences of their scores."""
    network = graph.network
    eager = _eager(network, crops)
    expected, scores = network.codec.decode(eager)[:2]
    if not graph.decode:
        outputs = network.codec.decode(_nested(outputs, eager))
    found, found_scores = outputs[:2]
    return np.linalg.norm(found - expected, axis=-1), np.abs(found_scores - scores)


def _joint_distances(
    graph: ExportGraph, crops: np.ndarray, outputs: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Distances of all 3D joints (n, T, K), which have no scores, of sequences (n, T, 17, 2)."""
    assert isinstance(graph.network, Lifter)
    return joint_distances(graph.network, crops, *outputs), np.zeros(0)


def _people_distances(
    graph: ExportGraph, crops: np.ndarray, outputs: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Distances of keypoints in a one-stage model's best cells, or of the people that it finds."""
    network = graph.network
    assert isinstance(network, OneStageEstimator)
    if graph.decode:
        return people_distances(network, crops, outputs)
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
    """Distances of the corners of each image's best boxes, (n, 100, 2), and of their scores."""
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
    """Distances (m, 2) from each box's corners to those of the other side's nearest box."""
    distances, differences = [np.zeros((0, 2))], [np.zeros(0)]
    assert isinstance(graph.network, Detector)
    detections = graph.network(list(crops), score_threshold=SCORE_THRESHOLD)
    for expected, *found in zip(detections, *outputs[:2], strict=True):
        kept = found[1] > 0
        sides = (expected.boxes_xyxy, expected.scores), (found[0][kept], found[1][kept])
        # From both, so that the file neither loses boxes nor adds some.
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


def _eager(network: Processed, crops: np.ndarray) -> Any:
    """The network's own raw outputs for crops (n, h, w, 3), BGR, uint8."""
    assert not isinstance(network, Lifter)
    with torch.no_grad():
        return network.net(network.normalize(crops))


def _nested(outputs: list[np.ndarray], eager: Any) -> Any:
    """A file's outputs, nested as the network's own."""
    return nest([torch.from_numpy(np.array(output)) for output in outputs], eager)


def _rounded(value: Any) -> float | None:
    return float(f"{float(value):.3g}") if np.isfinite(value) else None
