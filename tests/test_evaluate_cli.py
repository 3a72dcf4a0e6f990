"""`posekit evaluate`, as a user has it; the numbers themselves are tested beside the metrics."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file, save_file

from posekit.build import build_network
from posekit.cli import main
from posekit.compose import compose_command
from posekit.config import read_config
from posekit.errors import InputError
from posekit.predictor import load
from posekit.spec import load_spec, read_spec
from tests.datasets.sets import coco, save, unpack_coco
from tests.processes import run_python

MODEL = "rtmpose-t_body8-256x192"


@pytest.fixture
def base(rtmpose_t: Path) -> list[str]:
    return [f"model={MODEL}", f"weights={rtmpose_t}", "device=cpu", "flip_test=false"]


@pytest.fixture(scope="module")
def unpacked(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as COCO 2017 is, with four images."""
    return unpack_coco(shared, tmp_path_factory.mktemp("coco"))


def test_coco_is_one_command(shared: Path, unpacked: Path, rtmpose_t: Path, tmp_path: Path) -> None:
    detections = shared / "annotations" / "test_coco_det_AP_H_56.json"
    done = run_python(
        *("-m", "posekit", "evaluate", "model=rtmpose-t_coco-256x192"),
        *(f"weights={rtmpose_t}", "dataset=coco", f"dataset.root={unpacked}"),
        *(f"detections={detections}", "bbox_thr=0.5", "device=cpu", "out=results.json"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "flip test: True" in done.stdout
    assert "OKS-NMS: 0.9" in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith("AP "))
    assert row.split() == ["AP", "0.0000", "0.682"]
    report = json.loads((tmp_path / "results.json").read_text())
    assert report["metrics"]["AP"] == 0
    assert report["published"] == {"AP": 0.682}
    scores = [entry["score"] for entry in json.loads(detections.read_text())]
    assert report["settings"]["people"] == sum(score >= 0.5 for score in scores)
    assert report["settings"]["images"] == 4
    assert report["settings"]["boxes"] == f"{detections}, score 0.5 or more"
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_predictions_are_coco_results_of_what_predict_finds(
    shared: Path, unpacked: Path, base: list[str], rtmpose_t: Path, tmp_path: Path
) -> None:
    out = tmp_path / "predictions.json"
    path = shared / "annotations" / "test_coco.json"
    # One person at a time in both: no other order of additions turns a near tie.
    options = ["oks_nms=null", "batch_size=1", f"out_predictions={out}"]
    main(["evaluate", *base, f"dataset.root={unpacked}", *options])
    results = json.loads(out.read_text())
    annotations = [
        annotation
        for annotation in json.loads(path.read_text())["annotations"]
        if annotation["image_id"] == 785 and annotation["num_keypoints"]
    ]
    x, y, w, h = annotations[0]["bbox"]
    predictor = load(MODEL, weights=rtmpose_t, detector="whole_image", device="cpu")
    image = str(shared / "images" / "000000000785.jpg")
    box = np.array([[x, y, min(x + w, 639), min(y + h, 424)]], np.float32)
    expected = next(predictor.stream(image, bboxes=box, flip_test=False))
    found = next(result for result in results if result["image_id"] == 785)
    assert found.keys() == {"image_id", "category_id", "score", "keypoints"}
    keypoints = np.array(found["keypoints"]).reshape(17, 3)
    off = np.linalg.norm(keypoints[:, :2] - expected.keypoints[0], axis=1)
    assert (off < 1e-2).sum() >= 16  # a near tie of an untrained network may turn


def test_boxes_of_a_detector_of_ours(
    unpacked: Path,
    base: list[str],
    person_detector: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    detector = ["detector=rtmdet-nano_person-320", f"detector_weights={person_detector}"]
    status = main(["evaluate", *base, *detector, f"dataset.root={unpacked}", "bbox_thr=0.4"])
    assert status == 0
    assert "boxes: rtmdet-nano_person-320, score 0.4 or more" in capsys.readouterr().out


def test_a_detector_is_measured_by_its_boxes(
    unpacked: Path, person_detector: Path, tmp_path: Path
) -> None:
    out, predictions = tmp_path / "out.json", tmp_path / "boxes.json"
    status = main(
        [
            *("evaluate", "model=rtmdet-nano_person-320", f"weights={person_detector}"),
            *(f"dataset.root={unpacked}", "device=cpu"),
            *(f"out={out}", f"out_predictions={predictions}"),
        ]
    )
    assert status == 0
    assert 0.65 < json.loads(out.read_text())["metrics"]["AP"] < 0.85
    assert json.loads(predictions.read_text())[0].keys() == {
        "image_id",
        "category_id",
        "bbox",
        "score",
    }


def test_what_an_engine_finds_is_measured(
    unpacked: Path,
    base: list[str],
    person_detector: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    detector = ["model=rtmdet-nano_person-320", f"weights={person_detector}", "device=cpu"]
    for options in (base, detector):
        reports, results = [], []
        for backend in ("null", "openvino"):
            out, predictions = tmp_path / "out.json", tmp_path / "predictions.json"
            files = [f"out={out}", f"out_predictions={predictions}", f"backend={backend}"]
            assert main(["evaluate", *options, *files, f"dataset.root={unpacked}"]) == 0
            reports.append(json.loads(out.read_text()))
            results.append(json.loads(predictions.read_text()))
        assert [r["settings"]["backend"] for r in reports] == ["eager", "openvino"]
        for name, value in reports[0]["metrics"].items():
            assert reports[1]["metrics"][name] == pytest.approx(value, abs=1e-3)
        assert results[0] != results[1]  # each is of its own engine, to the last bits
        assert len(results[0]) == len(results[1])


def test_a_set_of_ones_own_without_sigmas(
    base: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path, coco(count=2))  # five of COCO's keypoints, by name
    out, predictions = tmp_path / "out.json", tmp_path / "predictions.json"
    more = [f"out={out}", f"out_predictions={predictions}", "metrics=[pck,epe]"]
    status = main(["evaluate", *base, "dataset=custom", f"dataset.val={path}", *more])
    assert status == 0
    report = json.loads(out.read_text())
    assert report["metrics"].keys() == {"PCK@0.2", "EPE"}
    assert report["published"] == {}
    assert report["settings"]["keypoints"] == "5 of set"
    assert len(json.loads(predictions.read_text())) == 2
    assert "EPE" in capsys.readouterr().out


def test_keypoints_without_names_or_labels(base: list[str], tmp_path: Path) -> None:
    data, out = coco(count=2), tmp_path / "out.json"
    del data["categories"][0]["keypoints"]
    for annotation in data["annotations"]:
        annotation["keypoints"] += [0.0, 0.0, 0] * 12
    path = save(tmp_path, data)
    names = ["dataset=custom", f"dataset.val={path}", "metrics=[epe]", f"out={out}"]
    assert main(["evaluate", *base, *names, "dataset.skeleton=coco"]) == 0
    measured = json.loads(out.read_text())["settings"]["keypoints"]
    assert measured == "17 of coco, 5 of them labelled"


def test_other_names_are_mapped_as_the_message_says(
    base: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = coco(count=1), tmp_path / "out.json"
    data["categories"][0]["keypoints"] = list("abcde")
    path = save(tmp_path, data)
    more = ["dataset=custom", "metrics=[epe]", f"out={out}"]
    assert main(["evaluate", *base, *more, f"dataset.val={path}"]) == 1
    error = capsys.readouterr().err
    assert "dataset.skeleton=coco 'dataset.val={annotations: FILE, mapping: {nose: a, " in error
    val = f"dataset.val={{annotations: {path}, mapping: {{nose: a, left_eye: b}}}}"
    assert main(["evaluate", *base, *more, "dataset.skeleton=coco", val]) == 0
    measured = json.loads(out.read_text())["settings"]["keypoints"]
    assert measured == "17 of coco, 2 of them labelled"


@pytest.mark.parametrize("place", ["dataset", "source"])
def test_a_skeleton_of_ones_own_folder(base: list[str], tmp_path: Path, place: str) -> None:
    data, out = coco(count=1), tmp_path / "out.json"
    names = data["categories"][0].pop("keypoints")
    (tmp_path / "keypoints").mkdir()
    rows = [[name, [0, 0, 0]] for name in names]
    (tmp_path / "keypoints" / "mine.yaml").write_text(yaml.safe_dump({"keypoints": rows}))
    path = save(tmp_path, data)
    chosen = [f"dataset.val={path}", "dataset.skeleton=mine"]
    if place == "source":
        chosen = [f"dataset.val={{annotations: {path}, skeleton: mine}}"]
    own = ["--config-dir", str(tmp_path), "dataset=custom", "metrics=[epe]", f"out={out}"]
    assert main(["evaluate", *base, *own, *chosen]) == 0
    assert json.loads(out.read_text())["settings"]["keypoints"] == "5 of mine"


def test_a_data_set_says_what_is_measured(base: list[str], tmp_path: Path) -> None:
    path, out = save(tmp_path, coco(count=1)), tmp_path / "out.json"
    dataset = ["dataset=custom", f"dataset.val={path}", "dataset.metrics=[nme]", f"out={out}"]
    assert main(["evaluate", *base, *dataset]) == 0
    assert json.loads(out.read_text())["metrics"].keys() == {"NME"}


def test_a_lifter_is_measured_on_sequences(tmp_path: Path) -> None:
    config = read_config("motionbert_h36m")
    config = {**config, "net": {**config["net"], "channels": 16, "depth": 1, "max_frames": 2}}
    (tmp_path / "lifter").mkdir()
    (tmp_path / "lifter" / "tiny_h36m.yaml").write_text(yaml.safe_dump(config))
    weights = tmp_path / "tiny.safetensors"
    net = build_network(read_spec(config, "tiny_h36m").net, device="cpu")
    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    save_file(state, weights, metadata={"model": "tiny_h36m"})
    points = np.random.default_rng(0).uniform(0, 900, (1, 3, 17, 3)).astype(np.float32)
    path, out = tmp_path / "x.npz", tmp_path / "out.json"
    sizes = {"image_size": [1000, 1002], "factor": np.full(1, 4.0)}
    np.savez(path, keypoints_2d=points[..., :2], keypoints_3d=points, **sizes)
    model = ["model=tiny_h36m", f"weights={weights}", "device=cpu"]
    own = ["--config-dir", str(tmp_path)]
    assert main(["evaluate", *own, *model, f"sequences={path}", f"out={out}"]) == 0
    report = json.loads(out.read_text())
    assert report["metrics"].keys() == {"MPJPE", "N-MPJPE", "P-MPJPE"}
    assert report["settings"]["window"] == 2


def test_published_percents_are_fractions_here(unpacked: Path, tmp_path: Path) -> None:
    name, out = "rtmdet-tiny_coco-640", tmp_path / "out.json"
    net = build_network(load_spec(name).net, device="cpu")
    weights = tmp_path / "untrained.safetensors"
    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    for key, value in state.items():
        if "cls" in key and key.endswith("bias"):
            value -= 10  # untrained, yet not sure of everything
    save_file(state, weights, metadata={"model": name})
    model = [f"model={name}", f"weights={weights}", "device=cpu"]
    assert main(["evaluate", *model, f"dataset.root={unpacked}", f"out={out}"]) == 0
    assert json.loads(out.read_text())["published"] == {"AP": 0.409}


def test_the_configuration_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "model=human", "--cfg"]) == 0
    assert "out_predictions: null" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["metrics=[apk]"], "unknown metric 'apk'"),
        (["dataset.root=nowhere"], "person_keypoints_val2017.json cannot be read"),
        (["dataset=cocoo"], "unknown dataset 'cocoo'"),
        (["dataset=custom"], "dataset.val is missing"),
        (["detections=missing.json"], "missing.json cannot be read"),
        (["detections={bad}"], "is not valid JSON"),
        (["detections={other}"], "image 3 is not in"),
        (["detections={other}", "detector=human"], "leave one out"),
        (["detector_weights=x.pth"], "no detector to load them into"),
        (["out=nowhere/x.json"], "cannot write to the folder nowhere"),
        (["out={folder}"], "found a folder"),
        (["sequences=x.npz"], "applies to lifters only"),
        (["model=motionbert_h36m"], "name the NPZ files of a lifter"),
        (["model=motionbert_h36m", "sequences=x.npz"], "no such file: x.npz"),
        (["model=hand"], "the model finds the 21 keypoints"),
        (["model=hand3d"], "posekit cannot evaluate"),
        (["model=rtmdet-m_coco-640", "metrics=[ap]"], "metrics applies to pose models"),
        (["bbox_thr=2"], "bbox_thr must be a number from 0 to 1"),
        (["flip_test=no"], "flip_test must be true or false, or left out, found 'no'"),
        (["batch_size=0"], "batch_size must be a whole number"),
        (["dtype=int8"], "dtype must be"),
        (["backend=openvin"], "backend must be one of auto, compile"),
        (["backend=tensorrt"], "backend=tensorrt cannot run on cpu here"),
        (["model=motionbert_h36m", "sequences=x.npz", "backend=torch"], "lifters run in PyTorch"),
        (["dtaset=coco"], "unknown key 'dtaset'; did you mean dataset"),
    ],
)
def test_mistakes_are_one_line_and_leave_no_file(
    overrides: list[str],
    message: str,
    unpacked: Path,
    base: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "bad.json").write_text("[{]")
    entry = {"image_id": 3, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 1}
    (tmp_path / "other.json").write_text(json.dumps([entry]))
    places: dict[str, Any] = {
        "bad": tmp_path / "bad.json",
        "other": tmp_path / "other.json",
        "folder": tmp_path,
    }
    overrides = [override.format(**places) for override in overrides]
    keys = {override.partition("=")[0] for override in overrides}
    given = [*base, f"dataset.root={unpacked}", f"out={tmp_path / 'out.json'}"]
    if any(override.startswith(("dataset=c", "model=motion")) for override in overrides):
        given.remove(f"dataset.root={unpacked}")
    kept = [override for override in given if override.partition("=")[0] not in keys]
    assert main(["evaluate", *kept, *overrides]) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("posekit: error: ")
    assert message in error[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.json", "other.json"]


def test_missing_images_are_found_before_the_work(
    unpacked: Path, base: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "coco"
    shutil.copytree(unpacked, root)
    (root / "val2017" / "000000000785.jpg").unlink()
    assert main(["evaluate", *base, f"dataset.root={root}"]) == 1
    assert "1 images are missing" in capsys.readouterr().err


def test_a_bad_image_is_one_line_with_workers_too(
    base: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path, coco(count=2))
    (tmp_path / "1.png").write_bytes(b"no image")
    names = ["dataset=custom", f"dataset.val={path}", "metrics=[epe]", "workers=1"]
    assert main(["evaluate", *base, *names]) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert f"a sample cannot be used: image {tmp_path / '1.png'} (id 11)" in error


def test_without_pycocotools_it_says_what_to_install(
    unpacked: Path,
    base: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ["pycocotools", *(name for name in sys.modules if name.startswith("pycocotools."))]:
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["evaluate", *base, f"dataset.root={unpacked}"]) == 1
    assert 'pip install "posekit[train]"' in capsys.readouterr().err.splitlines()[-1]


def test_a_models_own_detector_is_not_taken_unasked() -> None:
    assert compose_command("evaluate", [])["names"]["detector"] is None
    assert compose_command("evaluate", ["detector=human"])["names"] == {
        "model": "rtmpose-m_body8-256x192",
        "detector": "rtmdet-m_person-640",
        "lifter": None,
        "dataset": "coco",
    }


def test_detectors_and_lifters_are_models_too() -> None:
    names = compose_command("evaluate", ["model=rtmdet-m_coco-640"])["names"]
    assert (names["detector"], names["dataset"]) == ("rtmdet-m_coco-640", "coco_boxes")
    assert compose_command("evaluate", ["model=motionbert_h36m"])["names"]["model"] is None
    with pytest.raises(InputError, match="detector gives boxes to pose models"):
        compose_command("evaluate", ["model=rtmdet-m_coco-640", "detector=human"])


def test_published_figures_do_not_stand_beside_a_stand_in(
    unpacked: Path, rtmpose_t: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    name, out = "rtmpose-t_coco-256x192", tmp_path / "out.json"
    cached = tmp_path / "cache" / "models" / f"{name}.safetensors"
    cached.parent.mkdir(parents=True)
    words = [f"model={name}", f"dataset.root={unpacked}", "device=cpu", f"out={out}"]
    for extra, weights, published in (
        ({}, "published", {"AP": 0.682}),
        ({"stands_in": "by its authors, from hf://a/b/c"}, "by its authors, from hf://a/b/c", {}),
    ):
        save_file(load_file(rtmpose_t), cached, metadata={"model": name, **extra})
        assert main(["evaluate", *words, "dataset=coco", "flip_test=false"]) == 0
        report = json.loads(out.read_text())
        assert report["settings"]["weights"] == weights
        assert report["published"] == published


def test_ids_that_are_texts_are_texts_in_the_predictions(base: list[str], tmp_path: Path) -> None:
    data = coco(2)
    save(tmp_path, data)
    for image in data["images"]:
        image["id"] = f"frame-{image['id']}"
    for annotation in data["annotations"]:
        annotation.update(image_id=f"frame-{annotation['image_id']}", bbox=None, iscrowd="0")
    labels = tmp_path / "texts.json"
    labels.write_text(json.dumps(data), encoding="utf-16")
    out = tmp_path / "predictions.json"
    main(["evaluate", *base, f"dataset.val={labels}", "dataset=custom", f"out_predictions={out}"])
    found = {entry["image_id"] for entry in json.loads(out.read_text())}
    assert found == {"frame-10", "frame-11"}
