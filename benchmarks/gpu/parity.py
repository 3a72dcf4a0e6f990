"""How far a device's keypoints and boxes are from those of the CPU in float32."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.gpu.learn import learn_boxes, learn_poses
from benchmarks.gpu.rates import as_type, torch_type
from benchmarks.gpu.rows import Rows, Settings
from posekit.build import build_network
from posekit.datasets.synthetic import Scene, generate_scene
from posekit.skeleton import load_skeleton
from posekit.spec import DetectorSpec, OneStageSpec, PoseSpec, load_spec
from posekit.stages.detect import Detector
from posekit.stages.estimate import PoseEstimator
from posekit.stages.one_stage import OneStageEstimator, letterbox_cs
from posekit.transforms.device import place_images
from posekit.weights.load import load_network

__all__ = ["HEADER", "add_parity"]

HEADER = ("network", "weights", "type", "compared", "p50 px", "p99 px", "found again")
# Pixels at the 99th percentile that a type may be away; bfloat16 has no promise, and is reported.
LIMITS = {"float32": 0.1, "float16": 0.5}
LOST = 0.01  # of the boxes
SCORE = 0.3  # what users show
LEAST = 0.02
CELLS = 20  # of a one-stage model, in each image


class Case(NamedTuple):
    """A network of the table.

    Attributes:
        model: its name.
        steps: in which it learns the scenes by heart; 0 for none, and None for packaged weights.
        scenes: how many.
        halves: whether types of 16 bits are compared, which some processors only emulate.
    """

    model: str
    steps: int | None
    scenes: int
    halves: bool = True


FULL = (
    Case("rtmpose-n_drawn-192x128", None, 16),
    Case("rtmdet-nano_drawn-256", None, 16),
    Case("rtmpose-m_body8-256x192", 200, 16),
    Case("vitpose-b_coco-256x192", 200, 16),
    Case("rtmdet-m_person-640", 150, 8),
    Case("rtmo-s_body7-640x640", 0, 8),
)
FAST = (
    Case("rtmpose-n_drawn-192x128", None, 4),
    Case("rtmdet-nano_drawn-256", None, 4, halves=False),
    Case("rtmpose-n_drawn-192x128", 40, 1, halves=False),
    Case("rtmdet-nano_drawn-256", 80, 1, halves=False),
    Case("rtmo-t_body7-416x416", 0, 1, halves=False),
)


class Compared(NamedTuple):
    """Distances in pixels, how many people the reference finds, and how many are found again."""

    distances: np.ndarray
    people: int
    again: int


def add_parity(settings: Settings, rows: Rows) -> None:
    """A row for each network and type."""
    for case in FAST if settings.fast else FULL:
        rows.attempt(case.model, lambda case=case: _add_case(case, settings, rows))  # type: ignore[misc]


def _add_case(case: Case, settings: Settings, rows: Rows) -> None:
    spec = load_spec(case.model)
    assert isinstance(spec, PoseSpec | OneStageSpec | DetectorSpec)
    scenes = [generate_scene(seed) for seed in range(case.scenes)]
    device = torch.device(settings.device)
    torch.manual_seed(0)
    if case.steps is None:
        net = load_network(spec, device=device)
    else:
        net = build_network(spec.net, device=device).eval().requires_grad_(False)
    if case.steps:
        _learn(net, spec, scenes, case.steps, rows)
    known = "packaged" if case.steps is None else "learnt by heart" if case.steps else "random"
    compare = _comparison(copy.deepcopy(net).cpu().float(), spec, scenes)
    for name in settings.types if case.halves else settings.types[:1]:
        rows.attempt(
            case.model,
            lambda name=name: _add_row(case, known, name, net, compare, rows),  # type: ignore[misc]
        )


def _learn(
    net: nn.Module,
    spec: PoseSpec | OneStageSpec | DetectorSpec,
    scenes: Sequence[Scene],
    steps: int,
    rows: Rows,
) -> None:
    if isinstance(spec, PoseSpec):
        estimator = PoseEstimator(net, spec, load_skeleton(spec.keypoints))
        learn_poses(estimator, scenes, steps, rows)
    elif isinstance(spec, DetectorSpec):
        learn_boxes(Detector(net, spec), scenes, steps, rows)


def _add_row(
    case: Case,
    known: str,
    name: str,
    net: nn.Module,
    compare: Callable[[nn.Module], Compared],
    rows: Rows,
) -> None:
    with as_type(name):
        found = compare(copy.deepcopy(net).to(torch_type(name)))
    if not len(found.distances):
        raise ValueError("float32 on the CPU finds nothing to compare")
    p50, p99 = (float(np.quantile(found.distances, share)) for share in (0.5, 0.99))
    limit = LIMITS.get(name, np.inf)
    lost = found.people - found.again
    failed = f"{p99:.2f} px at p99, at most {limit} expected" if p99 > limit else ""
    if name in LIMITS and lost > LOST * found.people:
        failed = f"{lost} of {found.people} not found again"
    rows.add(
        case.model, known, name, f"{len(found.distances)}", f"{p50:.3f}", f"{p99:.3f}",
        f"{found.again} of {found.people}", failed=failed,
    )  # fmt: skip


def _comparison(
    reference: nn.Module, spec: PoseSpec | OneStageSpec | DetectorSpec, scenes: Sequence[Scene]
) -> Callable[[nn.Module], Compared]:
    """What compares another copy of a network with that on the CPU."""
    if isinstance(spec, DetectorSpec):
        return _boxes_apart(reference, spec, scenes)
    if isinstance(spec, OneStageSpec):
        return _people_apart(reference, spec, scenes)
    return _keypoints_apart(reference, spec, scenes)


def _keypoints_apart(
    reference: nn.Module, spec: PoseSpec, scenes: Sequence[Scene]
) -> Callable[[nn.Module], Compared]:
    """Of keypoints that the reference is sure of; all people are given."""
    skeleton = load_skeleton(spec.keypoints)
    images, boxes = [s.image for s in scenes], [s.boxes_xyxy for s in scenes]

    def poses(net: nn.Module, backend: str | None) -> tuple[np.ndarray, np.ndarray]:
        estimator = PoseEstimator(net, spec, skeleton, backend=backend)
        found = estimator(images, boxes, flip_test=False)
        return (
            np.concatenate([pose.keypoints for pose in found]),
            np.concatenate([pose.scores for pose in found]),
        )

    expected, scores = poses(reference, None)

    def compare(net: nn.Module) -> Compared:
        found, _ = poses(net, "torch")
        away = np.linalg.norm(found - expected, axis=-1)[scores >= SCORE]
        return Compared(away, len(expected), len(found))

    return compare


def _boxes_apart(
    reference: nn.Module, spec: DetectorSpec, scenes: Sequence[Scene]
) -> Callable[[nn.Module], Compared]:
    """Of the edges of each box to those of the nearest one, which overlaps it by 0.7 or is lost."""
    images = [scene.image for scene in scenes]
    detector = Detector(reference, spec)
    scores = np.concatenate([f.scores for f in detector(images, score_threshold=LEAST)])
    # As many boxes as there are people, where less was learnt.
    wanted = np.sort(scores)[::-1][: sum(map(len, scenes))]
    threshold = float(min(SCORE, *wanted * 0.999, SCORE))
    expected = detector(images, score_threshold=threshold)

    def compare(net: nn.Module) -> Compared:
        # Of a lower score, so that one at the threshold is not lost for it.
        found = Detector(net, spec, backend="torch")(images, score_threshold=0.7 * threshold)
        away, again = [], 0
        for ours, theirs in zip(expected, found, strict=True):
            overlaps = _overlaps(ours.boxes_xyxy, theirs.boxes_xyxy)
            for box, row in zip(ours.boxes_xyxy, overlaps, strict=True):
                if row.max(initial=0.0) >= 0.7:
                    again += 1
                    away.append(np.abs(theirs.boxes_xyxy[row.argmax()] - box))
        count = sum(map(len, expected))
        return Compared(np.concatenate(away) if away else np.zeros(0), count, again)

    return compare


def _overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU (n, m)."""
    least = np.maximum(boxes[:, None, :2], others[None, :, :2])
    most = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = (most - least).clip(0).prod(axis=-1)
    areas = [(b[:, 2:] - b[:, :2]).prod(axis=-1) for b in (boxes, others)]
    shares: np.ndarray = common / (areas[0][:, None] + areas[1][None] - common)
    return shares


def _people_apart(
    reference: nn.Module, spec: OneStageSpec, scenes: Sequence[Scene]
) -> Callable[[nn.Module], Compared]:
    """Of the same cells' keypoints: with random weights no cell is a person, but all have some."""
    skeleton = load_skeleton(spec.keypoints)
    images = [scene.image for scene in scenes]

    def people(net: nn.Module, backend: str | None, places: Tensor | None) -> tuple[Tensor, Tensor]:
        """Keypoints of cells, those given or the best, and which the best are."""
        estimator = OneStageEstimator(net, spec, skeleton, backend=backend)
        with torch.inference_mode():
            centers, scales = letterbox_cs([i.shape[1::-1] for i in images], spec.input_size)
            batch = estimator.letterbox(place_images(images, estimator.device), centers, scales)
            cells = estimator.cells(estimator.run(estimator.normalize(batch)))
            best = cells.scores.topk(CELLS if places is None else 2 * CELLS).indices
            chosen = best if places is None else places.to(best.device)

            def rows(values: Tensor) -> Tensor:
                index = chosen[..., None].expand(-1, -1, values.shape[2])
                return values.gather(1, index).flatten(0, 1)

            keypoints = estimator.classify(
                rows(cells.vectors), rows(cells.boxes_xyxy), cells.centers[chosen.flatten()]
            )
        return keypoints.float().cpu(), best.cpu()

    expected, places = people(reference, None, None)

    def compare(net: nn.Module) -> Compared:
        found, best = people(net, "torch", places)
        again = (places[:, :, None] == best[:, None]).any(dim=2).sum()
        away = (found - expected).norm(dim=-1).flatten().numpy()
        return Compared(away, places.numel(), int(again))

    return compare
