"""Metrics of 2D keypoints."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from posekit.errors import InputError
from posekit.evaluation.keypoints import (
    AUC,
    EPE,
    INTEROCULAR,
    NME,
    PCK,
    box_norms,
    head_norms,
    joint_distances,
    keypoint_norms,
)
from tests.seeded import uniform


@pytest.fixture(scope="module")
def expected(shared: Path) -> dict:
    return json.loads((shared / "reference" / "training" / "metrics.json").read_text())


def people() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Keypoints, truth, visibility and lengths of 20 people, as the reference had them."""
    truth = (uniform("metric/gt", (20, 17, 2)) + 1) * 100
    keypoints = truth + uniform("metric/err", (20, 17, 2)) * 6
    visible = uniform("metric/mask", (20, 17)) > -0.7
    return keypoints, truth, visible, 20 + 10 * (uniform("metric/norm", (20,)) + 1)


def metrics() -> dict[str, tuple]:
    """Each metric, and how many of `people`'s arrays it takes."""
    return {"PCK": (PCK(), 4), "AUC": (AUC(), 3), "EPE": (EPE(), 3), "NME": (NME(), 4)}


@pytest.mark.parametrize(
    ("name", "key"), [("AUC", "auc(norm=30,steps=20)"), ("EPE", "epe"), ("NME", "nme")]
)
def test_is_the_references(expected: dict, name: str, key: str) -> None:
    metric, arguments = metrics()[name]
    metric.update(*people()[:arguments])
    assert metric.compute()[name] == pytest.approx(expected[key], rel=1e-6)


def test_pck_is_the_references(expected: dict) -> None:
    pck = PCK(threshold=0.2)
    pck.update(*people())
    assert pck.compute()["PCK"] == pytest.approx(expected["pck@0.2"]["mean"], rel=1e-9)
    np.testing.assert_allclose(pck.per_joint(), expected["pck@0.2"]["per_joint"])


@pytest.mark.parametrize("name", ["PCK", "AUC", "EPE", "NME"])
def test_batches_and_their_order_do_not_matter(name: str) -> None:
    whole, arguments = metrics()[name]
    whole.update(*people()[:arguments])
    parts, _ = metrics()[name]
    for chunk in (slice(13, 20), slice(0, 13), slice(0, 0)):
        parts.update(*(values[chunk] for values in people()[:arguments]))
    assert parts.compute()[name] == pytest.approx(whole.compute()[name], rel=1e-12)


@pytest.mark.parametrize("name", ["PCK", "AUC", "EPE", "NME"])
def test_nothing_labelled_is_nan(name: str) -> None:
    metric, arguments = metrics()[name]
    assert math.isnan(metric.compute()[name])
    keypoints, truth, visible, norms = people()
    metric.update(*(keypoints, truth, np.zeros_like(visible), norms)[:arguments])
    assert math.isnan(metric.compute()[name])


def test_invisible_keypoints_may_hold_anything() -> None:
    keypoints, truth, visible, _ = people()
    epe, other = EPE(), EPE()
    epe.update(keypoints, truth, visible)
    truth[~visible] = np.nan
    other.update(keypoints, truth, visible)
    assert epe.compute() == other.compute()


def test_a_keypoint_predicted_at_nan_is_wrong_rather_than_left_out() -> None:
    truth = np.zeros((1, 2, 2))
    keypoints = np.array([[[np.nan, 0], [0, 0]]])
    pck = PCK()
    pck.update(keypoints, truth, np.ones((1, 2)), np.ones(1))
    assert pck.per_joint().tolist() == [0, 1]


def test_people_without_a_length_do_not_count() -> None:
    keypoints, truth, visible, norms = people()
    norms[3] = 0
    assert np.isinf(joint_distances(keypoints, truth, visible, norms)[3]).all()


def test_mpii_counts_the_threshold_itself_and_weighs_by_labels() -> None:
    truth = np.zeros((3, 2, 2))
    keypoints = np.array([[[0.5, 0], [1, 0]], [[0.2, 0], [0, 0]], [[0.1, 0], [0, 0]]])
    visible = np.array([[1, 1], [1, 0], [1, 0]])
    mpii = PCK(threshold=0.5, at_threshold=True, average="keypoints")
    mpii.update(keypoints, truth, visible, np.ones(3))
    assert mpii.compute()["PCK"] == pytest.approx(3 / 4)
    strict = PCK(threshold=0.5)
    strict.update(keypoints, truth, visible, np.ones(3))
    assert strict.compute()["PCK"] == pytest.approx((2 / 3 + 0) / 2)
    first = PCK(threshold=0.5, joints=[0])
    first.update(keypoints, truth, visible, np.ones(3))
    assert first.compute()["PCK"] == pytest.approx(2 / 3)


def test_a_joint_never_labelled_is_left_out_of_the_mean() -> None:
    pck = PCK()
    pck.update(np.zeros((2, 3, 2)), np.zeros((2, 3, 2)), np.array([[1, 1, 0]] * 2), np.ones(2))
    assert pck.compute() == {"PCK": 1.0}
    assert np.isnan(pck.per_joint()[2])


def test_lengths() -> None:
    boxes = np.array([[0, 0, 30, 40]])
    assert box_norms(boxes).tolist() == [40]
    assert head_norms(boxes).tolist() == [30]
    assert keypoint_norms(np.array([[[0, 0], [9, 9], [3, 4]]]), 0, 2).tolist() == [5]


def test_interocular_pairs_are_a_mirror_pair(shared: Path) -> None:
    for name, (left, right) in INTEROCULAR.items():
        if name == "300wlp":  # 300w's keypoints; the reference has no mirror pairs for it
            continue
        meta = json.loads((shared / "reference" / "metainfo" / f"{name}.json").read_text())
        assert meta["flip_indices"][left] == right


def test_other_numbers_of_keypoints_are_refused() -> None:
    pck = PCK()
    pck.update(np.zeros((1, 3, 2)), np.zeros((1, 3, 2)), np.ones((1, 3)), np.ones(1))
    with pytest.raises(InputError, match=r"expected 3 keypoints .* found 4"):
        pck.update(np.zeros((1, 4, 2)), np.zeros((1, 4, 2)), np.ones((1, 4)), np.ones(1))
    with pytest.raises(InputError, match=r"visible \(n, K\)"):
        EPE().update(np.zeros((1, 4, 2)), np.zeros((1, 4, 2)), np.ones((1, 4, 1)))
