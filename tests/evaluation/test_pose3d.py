"""Metrics of 3D poses."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posekit.errors import InputError
from posekit.evaluation.pose3d import MPJPE, procrustes_aligned
from tests.seeded import uniform


def poses() -> tuple[np.ndarray, np.ndarray]:
    truth = uniform("metric/gt3", (20, 17, 3)) * 500
    return truth * 1.1 + uniform("metric/err3", (20, 17, 3)) * 40 + 30, truth


def test_is_the_references(shared: Path) -> None:
    file = shared / "reference" / "training" / "metrics.json"
    expected = json.loads(file.read_text())
    metric = MPJPE()
    metric.update(*poses())
    for name, alignment in (("MPJPE", "none"), ("N-MPJPE", "scale"), ("P-MPJPE", "procrustes")):
        value = expected[f"mpjpe(alignment={alignment})"]
        assert metric.compute()[name] == pytest.approx(value, rel=1e-6)


def test_procrustes_undoes_a_similarity_and_scale_a_scale() -> None:
    _, truth = poses()
    turned = 0.3 * truth @ Rotation.from_euler("xyz", [1, 2, 3]).as_matrix() + [5, 6, 7]
    metric = MPJPE()
    metric.update(turned, truth)
    found = metric.compute()
    assert found["P-MPJPE"] < 1e-4 < found["N-MPJPE"]
    scaled = MPJPE(("scale",))
    scaled.update(0.3 * truth, truth)
    assert scaled.compute()["N-MPJPE"] < 1e-4


def test_procrustes_does_not_reflect() -> None:
    _, truth = poses()
    mirrored = truth * [-1, 1, 1]
    errors = np.linalg.norm(procrustes_aligned(mirrored, truth) - truth, axis=-1)
    assert errors.mean() > 10


def test_hidden_joints_align_but_do_not_count() -> None:
    moved, truth = poses()
    visible = uniform("metric/mask", (20, 17)) > -0.7
    metric = MPJPE()
    metric.update(moved, truth, visible)
    # What keypoint_mpjpe of MMPose 1.3.2 gives for these poses and this mask.
    expected = {"MPJPE": 75.676385, "N-MPJPE": 53.951374, "P-MPJPE": 31.694952}
    assert metric.compute() == pytest.approx(expected, rel=1e-6)
    moved = np.where(visible[..., None], moved, moved + 200)
    metric = MPJPE()
    metric.update(moved, truth, visible)
    expected = {"MPJPE": 75.676385, "N-MPJPE": 65.650265, "P-MPJPE": 59.797335}
    assert metric.compute() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("side", ["poses", "truth"])
def test_hidden_joints_that_are_nowhere_do_not_align(side: str) -> None:
    moved, truth = poses()
    visible = np.ones((20, 17), bool)
    visible[:, 4] = False
    (moved if side == "poses" else truth)[:, 4] = np.nan
    metric, without = MPJPE(), MPJPE()
    metric.update(moved, truth, visible)
    without.update(np.delete(moved, 4, axis=1), np.delete(truth, 4, axis=1))
    assert metric.compute() == pytest.approx(without.compute(), rel=1e-9)


def test_a_joint_that_counts_and_was_predicted_nowhere_is_nan() -> None:
    moved, truth = poses()
    moved[3, 4] = np.nan
    metric = MPJPE()
    metric.update(moved, truth)
    assert all(math.isnan(value) for value in metric.compute().values())


def test_batches_do_not_matter_and_nothing_is_nan() -> None:
    whole, parts = MPJPE(), MPJPE()
    assert all(math.isnan(value) for value in whole.compute().values())
    moved, truth = poses()
    whole.update(moved, truth)
    for start, stop in ((0, 7), (7, 7), (7, 20)):
        parts.update(moved[start:stop], truth[start:stop])
    assert parts.compute() == pytest.approx(whole.compute(), rel=1e-12)


def test_a_pose_that_is_one_point_has_a_finite_error() -> None:
    metric = MPJPE()
    metric.update(np.zeros((2, 17, 3)), poses()[1][:2])
    assert all(np.isfinite(value) for value in metric.compute().values())


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="found 'rigid'"):
        MPJPE(("rigid",))
    with pytest.raises(InputError, match="expected poses and truth"):
        MPJPE().update(np.zeros((1, 17, 3)), np.zeros((1, 16, 3)))
