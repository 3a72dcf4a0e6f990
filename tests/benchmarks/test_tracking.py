"""The synthetic crowd, what trackers make of it, and the metrics by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.tracking import own_trackers, score
from benchmarks.walkers import Walk, walk


def switches(tracker: str, how: Walk, seeds: range) -> float:
    """Per 1,000 person-frames."""
    changed = reports = 0
    for seed in seeds:
        update, names = own_trackers()[tracker](), {}
        for seen in walk(how, seed):
            ids = update(seen)
            for person, name in zip(seen.people.tolist(), ids.tolist(), strict=True):
                if person >= 0:
                    changed += names.get(person, name) != name
                    reports += 1
                    names[person] = name
    return 1000 * changed / reports


def test_a_clip_is_the_same_every_time_and_as_described() -> None:
    how = Walk(people=4, frames=60, gap=5)
    one, other = list(walk(how, 3)), list(walk(how, 3))
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first.boxes, second.boxes)
    assert {person for seen in one for person in seen.people.tolist()} <= {-1, 0, 1, 2, 3}
    heights = np.concatenate([seen.boxes[:, 3] - seen.boxes[:, 1] for seen in one])
    assert heights.min() > 90 and heights.max() < 380
    assert any(len(seen.people) < 4 for seen in one)


def test_builds_differ_as_those_of_people_do() -> None:
    ratios = []
    for seed in range(15):
        clips = [walk(Walk(noise=0, false=0, alike=alike), seed) for alike in (True, False)]
        same, other = (dict(zip(s.people, s.keypoints, strict=True)) for s in map(next, clips))
        for person in same.keys() & other.keys():
            one, two = same[person][:, 1], other[person][:, 1]
            # From ears to ankles, from shoulders to hips.
            ratios.append((np.ptp(two) / np.ptp(one), (two[11] - two[5]) / (one[11] - one[5])))
    np.testing.assert_allclose(np.mean(ratios, axis=0), 1, atol=0.02)
    np.testing.assert_allclose(np.std(ratios, axis=0), 0.045, atol=0.015)


@pytest.mark.parametrize("tracker", ["posekit iou", "posekit oks"])
@pytest.mark.parametrize("noise", [3.0, 8.0])
def test_two_people_keep_their_ids_through_jitter_and_gaps(tracker: str, noise: float) -> None:
    assert switches(tracker, Walk(people=2, noise=noise, frames=200), range(2)) <= 4


def test_the_metrics_are_those_of_a_hand_example() -> None:
    pytest.importorskip("trackeval")
    motmetrics = pytest.importorskip("motmetrics")
    # One person in four frames, called 5, 5, 9, 9; somebody else's 7 in the last is false.
    truth = [np.array([0]), np.array([0]), np.array([0]), np.array([0, -1])]
    ids = [np.array([5]), np.array([5]), np.array([9]), np.array([9, 7])]
    found = score(truth, ids)
    assert (found.person_frames, found.switches) == (4, 1)
    assert found.mota == pytest.approx(100 * (1 - (1 + 1) / 4))  # a false one and a switch
    assert found.idf1 == pytest.approx(100 * 2 * 2 / (4 + 5))
    # Detection 4 / 5, association 2 / 4 in each of the four; the root of their product.
    assert found.hota == pytest.approx(100 * np.sqrt(0.8 * 0.5))

    others = motmetrics.MOTAccumulator(auto_id=True)
    for people, names in zip(truth, ids, strict=True):
        same = people[people >= 0][:, None] == people[None]
        others.update(people[people >= 0], names, np.where(same, 0.0, np.nan))
    metrics = ["num_switches", "idf1", "mota"]
    checked = motmetrics.metrics.create().compute(others, metrics=metrics).iloc[0]
    assert checked["num_switches"] == 1
    assert checked["idf1"] == pytest.approx(found.idf1 / 100)
    assert checked["mota"] == pytest.approx(found.mota / 100)
