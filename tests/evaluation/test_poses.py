"""Pose models on labelled people: perfect answers, worse ones, and what does not fit."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from posekit.datasets.source_skeletons import source_skeleton
from posekit.datasets.sources import Source
from posekit.errors import InputError
from posekit.evaluation.common_skeleton import common_skeleton
from posekit.evaluation.metric_choice import default_metrics
from posekit.evaluation.pose_metrics import PoseMetrics
from posekit.evaluation.poses import evaluate_pose, predict_dataset
from posekit.parts import Part, Parts
from posekit.predictor import Predictor
from posekit.skeleton import Skeleton, load_skeleton
from posekit.stages.estimate import PoseEstimator
from tests.datasets.sets import coco, save
from tests.evaluation.sets import (
    SPEC,
    Oracle,
    change_ids,
    change_text_ids,
    drawn,
    no_boxes,
    oracle,
    put,
    real,
    samples,
    text_boxes,
)
from tests.networks import assert_same_poses

WHOLEBODY_FIELDS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")


def by_hand(annotations: str, results: list[dict[str, Any]], folder: Path) -> np.ndarray:
    """The ten numbers of pycocotools for a results file."""
    path = folder / "results.json"
    path.write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(annotations)
        evaluation = COCOeval(truth, truth.loadRes(str(path)), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def test_labels_as_predictions_are_perfect(shared: Path) -> None:
    dataset = samples(load_skeleton("coco"), real(shared, "coco"))
    found = evaluate_pose(oracle(dataset), dataset, metrics=["ap", "pck", "auc", "epe", "nme"])
    assert found["AP"] == found["AR"] == found["AP(M)"] == found["AP(L)"] == 1
    assert found["PCK@0.2"] == 1
    assert found["AUC"] > 0.9
    assert found["EPE"] < 1


def test_predictions_that_are_off_are_worse(shared: Path) -> None:
    dataset = samples(load_skeleton("coco"), real(shared, "coco"))
    found = evaluate_pose(oracle(dataset, shifts=[0, 8]), dataset, metrics=["ap", "epe"])
    assert 0.1 < found["AP"] < 0.9
    assert found["EPE"] > 2


def test_ap_is_what_pycocotools_says_of_the_results(shared: Path, tmp_path: Path) -> None:
    source = real(shared, "coco")
    dataset = samples(load_skeleton("coco"), source)
    estimator = oracle(dataset, shifts=[0, 2, 4, 8])
    metrics = PoseMetrics(dataset, estimator.skeleton, ["ap"])
    for batch in predict_dataset(estimator, dataset, batch_size=5):
        metrics.update(batch)
    found = metrics.compute()
    stats = by_hand(source.annotations, metrics.results(), tmp_path)
    names = ["AP", "AP50", "AP75", "AP(M)", "AP(L)", "AR", "AR50", "AR75", "AR(M)", "AR(L)"]
    np.testing.assert_allclose([found[name] for name in names], stats, atol=1e-12)
    assert 0.2 < found["AP"] < 0.95


def test_keypoints_are_those_of_the_predictor(shared: Path, rtmpose_t: Path) -> None:
    source = real(shared, "coco")
    dataset = samples(load_skeleton("coco"), source)
    predictor = Predictor.from_parts(Parts(Part(SPEC, rtmpose_t)), device="cpu", speed="accurate")
    assert isinstance(predictor.estimator, PoseEstimator)
    found = list(predict_dataset(predictor.estimator, dataset))
    keypoints = np.concatenate([batch.keypoints for batch in found])
    scores = np.concatenate([batch.scores for batch in found])
    boxes = np.concatenate([batch.samples["bbox"] for batch in found])
    ids = np.concatenate([batch.samples["image_id"] for batch in found])
    assert len(keypoints) == 12
    alone, order = [], []
    for number in np.unique(ids):
        image = str(shared / "images" / f"{number:012d}.jpg")
        result = next(predictor.stream(image, bboxes=boxes[ids == number]))
        alone.append((result.keypoints, result.keypoint_scores))
        order.append(np.flatnonzero(ids == number))
    rows = np.concatenate(order)
    assert_same_poses(keypoints[rows], scores[rows], *map(np.concatenate, zip(*alone, strict=True)))


def test_workers_and_batches_change_nothing(tmp_path: Path) -> None:
    source, skeleton = drawn(tmp_path, count=3, per_image=2)
    dataset = samples(skeleton, source)
    estimator = oracle(dataset, shifts=[0, 6])
    one, other = (
        np.concatenate([batch.keypoints for batch in predict_dataset(estimator, dataset, **how)])
        for how in ({"batch_size": 64}, {"batch_size": 2, "workers": 1})
    )
    np.testing.assert_array_equal(one, other)


def test_detected_boxes_miss_people_and_have_scores(shared: Path) -> None:
    boxes = str(shared / "annotations" / "test_coco_det_AP_H_56.json")
    labelled = samples(load_skeleton("coco"), real(shared, "coco"))
    detected = samples(load_skeleton("coco"), real(shared, "coco", boxes=boxes))
    metrics = PoseMetrics(detected, detected.skeleton, ["ap"])
    for batch in predict_dataset(oracle(labelled), labelled):
        # Half of the people, as if found in detected boxes of a score.
        chosen = slice(0, None, 2)
        rows = {key: value[chosen] for key, value in batch.samples.items()}
        rows["bbox_score"] = np.full_like(rows["bbox_score"], 0.5)
        metrics.update(type(batch)(rows, batch.keypoints[chosen], batch.scores[chosen]))
    assert metrics.compute()["AR"] == pytest.approx(0.5)
    assert {result["score"] for result in metrics.results()} == {0.5}


def test_wholebody_has_its_parts(shared: Path) -> None:
    source = real(shared, "coco_wholebody", skeleton="coco_wholebody", fields=WHOLEBODY_FIELDS)
    dataset = samples(load_skeleton("coco_wholebody"), source)
    metrics = PoseMetrics(dataset, dataset.skeleton, ["ap"])
    for batch in predict_dataset(oracle(dataset), dataset):
        metrics.update(batch)
    found = metrics.compute()
    assert metrics.protocol == "wholebody"
    assert found["body/AP"] == 1
    assert found["AP"] > 0.8  # half a pixel of a crop is much for a finger far away
    assert [len(metrics.results()[0][field]) // 3 for field in WHOLEBODY_FIELDS] == [
        17,
        6,
        68,
        21,
        21,
    ]


def test_a_model_with_more_keypoints_is_measured_on_the_labelled_ones(shared: Path) -> None:
    dataset = samples(load_skeleton("coco"), real(shared, "coco"))
    estimator = oracle(dataset, load_skeleton("halpe26"))
    metrics = PoseMetrics(dataset, estimator.skeleton, ["ap"])
    for batch in predict_dataset(estimator, dataset):
        metrics.update(batch)
    assert metrics.skeleton.names == load_skeleton("coco").names
    assert metrics.compute()["AP"] == 1


def test_a_model_with_fewer_keypoints_is_measured_on_its_own(shared: Path) -> None:
    source = real(shared, "coco_wholebody", skeleton="coco_wholebody", fields=WHOLEBODY_FIELDS)
    dataset = samples(load_skeleton("coco_wholebody"), source)
    found = evaluate_pose(oracle(dataset, load_skeleton("coco")), dataset, metrics=["ap"])
    assert found["AP"] == 1


def test_spelling_does_not_change_what_is_measured(tmp_path: Path) -> None:
    source, skeleton = drawn(tmp_path, count=3, per_image=2)
    model = load_skeleton("coco")
    spelled = replace(skeleton, names=tuple(n.replace("_", " ").title() for n in skeleton.names))
    common = common_skeleton(model, spelled)
    assert common.names == spelled.names
    assert common.sigmas == common_skeleton(model, skeleton).sigmas != ()
    plain = samples(skeleton, source)
    net = oracle(plain, model)
    expected = evaluate_pose(net, plain, metrics=["ap", "pck"])
    found = evaluate_pose(net, samples(spelled, source), metrics=["ap", "pck"])
    assert found == expected
    assert found["AP"] == found["PCK@0.2"] == 1


def test_a_model_that_spells_its_names_is_measured_on_the_data_sets(tmp_path: Path) -> None:
    source, skeleton = drawn(tmp_path, count=2)
    order = [3, 0, 4, 2, 1]
    model = Skeleton(
        name="own",
        names=tuple(skeleton.names[i].upper() for i in order[:4]),
        flip_indices=(2, 1, 0, 3),
        links=(),
        link_colors=(),
        keypoint_colors=((0, 0, 0),) * 4,
    )
    assert common_skeleton(model, skeleton) == model
    dataset = samples(skeleton, source)
    metrics = PoseMetrics(dataset, model, ["epe"])
    truth = np.stack([dataset[i]["image_keypoints"] for i in range(2)])
    batch = next(predict_dataset(oracle(dataset), dataset))
    metrics.update(replace(batch, keypoints=truth[:, order[:4]], scores=np.ones((2, 4))))
    assert metrics.compute() == {"EPE": 0}


def test_keypoints_of_other_names_are_refused() -> None:
    with pytest.raises(InputError, match=r"17 keypoints of 'coco'.*21 of 'onehand10k'"):
        common_skeleton(load_skeleton("coco"), load_skeleton("onehand10k"))


def test_categories_of_animals_are_kept_apart(shared: Path) -> None:
    source = real(shared, "ap10k", skeleton="ap10k", skip_bad=True)
    dataset = samples(load_skeleton("ap10k"), source)
    found = evaluate_pose(oracle(dataset), dataset, metrics=["ap"])
    assert found["AP"] == pytest.approx(1)


def test_faces_are_measured_by_the_eyes_distance(shared: Path) -> None:
    dataset = samples(load_skeleton("cofw"), real(shared, "cofw", skeleton="cofw", skip_bad=True))
    near = evaluate_pose(oracle(dataset), dataset, metrics=["nme"])["NME"]
    far = evaluate_pose(oracle(dataset, shifts=[9]), dataset, metrics=["nme"])["NME"]
    assert near < 0.02 < 0.1 < far


def test_pckh_divides_by_the_head(tmp_path: Path) -> None:
    data = coco(count=2)
    for annotation in data["annotations"]:
        annotation["head_box"] = [0, 0, 30, 40]  # 0.6 of the diagonal is 30 pixels
    source = Source(annotations=save(tmp_path, data))
    dataset = samples(source_skeleton(source, data), source)
    # A pixel of the crop is about one of the image here: sqrt(2) * 8 is between 3 and 15.
    found = evaluate_pose(oracle(dataset, shifts=[8]), dataset, metrics=["pckh"])
    assert found == {"PCKh@0.5": 1.0, "PCKh@0.1": 0.0}


def test_pckh_without_heads_says_what_is_missing(tmp_path: Path) -> None:
    source, skeleton = drawn(tmp_path, count=1)
    dataset = samples(skeleton, source)
    with pytest.raises(InputError, match=r"annotation 100: expected \[x, y, w, h\] as 'head_box'"):
        evaluate_pose(oracle(dataset), dataset, metrics=["pckh"])


def test_files_with_the_same_ids_are_one_set(tmp_path: Path) -> None:
    sources = []
    for name in ("a", "b"):
        data = coco(count=2, size_wh=(320, 240) if name == "a" else (300, 200))
        sources.append(Source(annotations=save(tmp_path / name, data), skeleton=None))
    skeleton = dataclasses.replace(source_skeleton(sources[0], coco()), sigmas=(0.05,) * 5)
    dataset = samples(skeleton, *sources)
    metrics = PoseMetrics(dataset, skeleton, ["ap"])
    for batch in predict_dataset(oracle(dataset), dataset):
        metrics.update(batch)
    assert metrics.people == 4
    assert metrics.compute()["AP"] == 1
    with pytest.raises(InputError, match="one annotation file"):
        metrics.results()


def test_a_network_in_training_goes_on_with_it(tmp_path: Path) -> None:
    source, skeleton = drawn(tmp_path, count=1)
    dataset = samples(skeleton, source)
    estimator = oracle(dataset)
    estimator.net.train()
    evaluate_pose(estimator, dataset, metrics=["epe"])
    assert isinstance(estimator.net, Oracle)
    assert estimator.net.was_training == [False]
    assert estimator.net.training


@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("coco", ("ap",)),
        ("mpii", ("pckh",)),
        ("wflw", ("nme",)),
        ("onehand10k", ("pck", "auc", "epe")),
        ("h36m", ("pck", "epe")),
    ],
)
def test_each_kind_of_keypoints_has_its_metrics(name: str, metrics: tuple[str, ...]) -> None:
    assert default_metrics(load_skeleton(name)) == metrics


def test_a_data_set_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    source, skeleton = drawn(tmp_path, count=1)
    dataset = samples(skeleton, source)
    estimator = oracle(dataset)
    with pytest.raises(InputError, match="unknown metric 'apk'; did you mean ap"):
        evaluate_pose(estimator, dataset, metrics=["apk"])
    with pytest.raises(InputError, match="no metric to measure"):
        evaluate_pose(estimator, dataset, metrics=[])
    with pytest.raises(InputError, match="'ap' needs the keypoints' sigmas"):
        evaluate_pose(estimator, dataset, metrics=["ap"])
    with pytest.raises(InputError, match=r"expected input_size \(192, 256\), found \(64, 64\)"):
        evaluate_pose(estimator, samples(skeleton, source, input_size=(64, 64)), metrics=["epe"])
    twice = Source(annotations=source.annotations, repeat=2)
    with pytest.raises(InputError, match="every instance once"):
        evaluate_pose(estimator, samples(skeleton, twice), metrics=["epe"])


def test_distances_need_labelled_boxes(shared: Path) -> None:
    boxes = str(shared / "annotations" / "test_coco_det_AP_H_56.json")
    dataset = samples(load_skeleton("coco"), real(shared, "coco", boxes=boxes))
    with pytest.raises(InputError, match="pck: measured on labelled boxes"):
        PoseMetrics(dataset, dataset.skeleton, ["ap", "pck"])


@pytest.mark.parametrize(
    "change",
    [
        *(change_ids, change_text_ids, no_boxes, text_boxes),
        *(put(area=area) for area in (0, 1, -3, float("nan"), None, "0")),
    ],
)
def test_labels_as_tools_write_them_are_found(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], caplog: pytest.LogCaptureFixture
) -> None:
    data = coco(3, per_image=2)
    save(tmp_path, data)  # the pictures
    change(data)
    path = save(tmp_path, data)
    own = load_skeleton("coco")
    dataset = samples(own, Source(annotations=path))
    found = evaluate_pose(oracle(dataset), dataset, metrics=["ap"])
    assert found["AP"] == pytest.approx(1)
    said = "6 annotations without a usable 'area'" in caplog.text
    assert said == (change not in (change_ids, change_text_ids))


def test_metrics_that_were_read_measure_again_and_speak_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = coco(2)
    put(area=0)(data)
    dataset = samples(load_skeleton("coco"), Source(annotations=save(tmp_path, data)))
    metrics = PoseMetrics(dataset, dataset.skeleton, ["ap", "epe"])
    estimator = oracle(dataset)
    first = evaluate_pose(estimator, dataset, metrics=metrics)
    assert evaluate_pose(estimator, dataset, metrics=metrics) == pytest.approx(first, nan_ok=True)
    assert metrics.people == 2
    assert caplog.text.count("without a usable 'area'") == 1
