"""`posekit.evaluate`: the same as the command, from Python; the metrics are tested beside it."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import posekit
from posekit.cli import main
from posekit.compose import compose_command
from posekit.config import CONF_DIR
from posekit.datasets.sources import Source
from posekit.errors import InputError, UnknownModelError
from posekit.evaluation.options import EvaluateOptions
from tests.datasets.sets import coco, save, unpack_coco
from tests.evaluation.test_lifters import sequences

MODEL = "rtmpose-t_body8-256x192"


@pytest.fixture(scope="module")
def unpacked(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_coco(shared, tmp_path_factory.mktemp("coco"))


@pytest.fixture
def own(rtmpose_t: Path) -> dict[str, Any]:
    """Keywords that each call has."""
    return {"weights": rtmpose_t, "device": "cpu", "flip_test": False}


def test_it_gives_what_the_command_writes_and_prints(
    own: dict[str, Any], unpacked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, predictions = tmp_path / "out.json", tmp_path / "predictions.json"
    words = [f"weights={own['weights']}", f"dataset.root={unpacked}", "device=cpu"]
    files = [f"out={out}", f"out_predictions={predictions}"]
    assert main(["evaluate", f"model={MODEL}", *words, "flip_test=false", *files]) == 0
    printed = capsys.readouterr().out
    result = posekit.evaluate(MODEL, **own, root=unpacked, with_predictions=True)
    assert json.loads(result.to_json()) == json.loads(out.read_text())
    assert result.predictions == json.loads(predictions.read_text())
    assert f"{result}\n" == printed
    assert capsys.readouterr() == ("", "")  # a library says nothing


def test_published_figures_are_those_of_the_data_set_as_it_is(
    own: dict[str, Any], unpacked: Path
) -> None:
    name, root = "rtmpose-t_coco-256x192", {"root": unpacked}
    result = posekit.evaluate(name, **own, **root, dataset="coco")
    assert result.published == {"AP": 0.682}
    boxes = "COCO_val2017_detections_AP_H_56_person.json"
    assert result.settings["published with boxes"] == boxes
    labels = unpacked / "annotations" / "person_keypoints_val2017.json"
    source = {"annotations": labels, "images": unpacked / "val2017"}
    of_ones_own = posekit.evaluate(name, **own, dataset="coco", val=source)
    assert of_ones_own.published == {}
    assert of_ones_own.metrics == pytest.approx(result.metrics, nan_ok=True)


@pytest.mark.parametrize("form", ["path", "text", "mapping", "source", "list", "yaml", "content"])
def test_labels_of_ones_own_in_each_form(own: dict[str, Any], tmp_path: Path, form: str) -> None:
    path = Path(save(tmp_path, coco(count=2)))
    content = {"val": str(path), "skeleton": None, "root": None}
    written = tmp_path / "mine.yaml"
    written.write_text(yaml.safe_dump({**content, "metrics": ["epe"]}))
    named: dict[str, Any] = {
        "path": {"val": path},
        "text": {"val": str(path)},
        "mapping": {"val": {"annotations": path}},
        "source": {"val": Source(annotations=str(path))},
        "list": {"val": [path]},
        "yaml": {"dataset": written},
        "content": {"dataset": content},
    }
    metrics = {} if form == "yaml" else {"metrics": "epe"}
    result = posekit.evaluate(MODEL, **own, **named[form], **metrics)
    assert result.metrics.keys() == {"EPE"}
    assert result.settings["annotations"] == [str(path)]
    assert (result.settings["people"], result.published) == (2, {})


def test_labels_that_are_not_in_pixels(own: dict[str, Any], tmp_path: Path) -> None:
    data = coco(count=2)
    width = data["images"][0]["width"]
    for annotation in data["annotations"]:
        annotation["bbox"] = [side / width for side in annotation["bbox"]]
        annotation["keypoints"] = [
            value if place % 3 == 2 else value / width
            for place, value in enumerate(annotation["keypoints"])
        ]
    with pytest.raises(InputError, match="are 'keypoints' in pixels of the image"):
        posekit.evaluate(MODEL, **own, val=save(tmp_path, data), metrics="epe")


def test_a_data_set_of_ones_own_folder_comes_first(own: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    described = yaml.safe_dump({"val": save(tmp_path, coco(count=1)), "metrics": "epe"})
    (tmp_path / "dataset" / "mine.yaml").write_text(described)
    result = posekit.evaluate(MODEL, **own, dataset="mine", config_dir=tmp_path)
    assert (result.settings["data set"], result.settings["people"]) == ("mine", 1)


def test_a_detector_gives_boxes_or_is_measured(
    own: dict[str, Any], unpacked: Path, person_detector: Path
) -> None:
    name = "rtmdet-nano_person-320"
    named = {"detector": name, "detector_weights": person_detector, "bbox_thr": 0.4}
    result = posekit.evaluate(MODEL, **own, root=unpacked, **named)
    assert result.settings["boxes"] == f"{name}, score 0.4 or more"
    found = posekit.evaluate(name, weights=person_detector, root=unpacked, device="cpu")
    assert found.settings["data set"] == "coco_boxes"
    assert 0.65 < found.metrics["AP"] < 0.85
    assert found.predictions == []


def test_a_lifter_takes_its_sequences(tmp_path: Path) -> None:
    config = yaml.safe_load((CONF_DIR / "lifter" / "motionbert_h36m.yaml").read_text())
    config["net"] |= {"channels": 16, "depth": 1, "max_frames": 3}
    (tmp_path / "lifter").mkdir()
    (tmp_path / "lifter" / "tiny_h36m.yaml").write_text(yaml.safe_dump(config))
    path = Path(sequences(tmp_path / "a.npz"))
    from safetensors.torch import save_file

    from posekit.build import build_network
    from posekit.spec import load_spec

    net = build_network(load_spec("tiny_h36m", (tmp_path,)).net, device="cpu")
    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    weights = tmp_path / "tiny.safetensors"
    save_file(state, weights, metadata={"model": "tiny_h36m"})
    given: dict[str, Any] = {"weights": weights, "config_dir": tmp_path, "device": "cpu"}
    result = posekit.evaluate("tiny_h36m", **given, sequences=path)
    assert result.metrics.keys() == {"N-MPJPE", "P-MPJPE"}
    assert result.settings["sequences"] == [str(path)]


def test_a_type_may_be_pytorchs_own(own: dict[str, Any], tmp_path: Path) -> None:
    val = save(tmp_path, coco(count=1))
    own["device"] = torch.device("cpu")
    result = posekit.evaluate(MODEL, **own, val=val, metrics=["epe"], dtype=torch.bfloat16)
    assert (result.settings["device"], result.settings["dtype"]) == ("cpu", "bfloat16")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"mertics": ["ap"]}, "unknown option 'mertics'; did you mean metrics?"),
        ({"metrics": ["apk"], "val": "{labels}"}, "unknown metric 'apk'"),
        ({"metrics": 3}, "metrics must be a text or a list, or left out, found 3"),
        ({"oks_nms": 2}, "oks_nms must be auto or a number from 0 to 1, or left out, found 2"),
        ({"dtype": "int8"}, "dtype must be float32, float16 or bfloat16, found 'int8'"),
        ({"dataset": "coccoo"}, "dataset: there is no 'coccoo'; did you mean coco"),
        ({"dataset": "custom"}, "val is missing: name a file of labels, val=FILE"),
        ({"dataset": "{labels}"}, "is not a YAML file; for a file of labels use val="),
        ({"dataset": "{fork}"}, "'defaults' and ${...} are for the command line"),
        ({"dataset": {"vall": "a.json", "val": "a.json"}}, "dataset: unknown key 'vall'"),
        ({"val": 3}, "dataset.val: expected the path of a JSON"),
        ({"root": "nowhere"}, "person_keypoints_val2017.json cannot be read"),
        ({"config_dir": "nowhere"}, "config_dir: no such folder: nowhere"),
        ({"detector_weights": "x.pth"}, "no detector to load them into"),
        ({"detector": "none", "detector_weights": "x.pth"}, "no detector to load them into"),
        ({"detector": "human", "detections": "a.json"}, "found both: leave one out"),
        ({"detector": MODEL}, "is not a detector"),
        ({"out": "nowhere/x.json"}, "out: cannot write to the folder nowhere"),
        ({"sequences": "x.npz"}, "applies to lifters only"),
        ({"val": ["{labels}", "{labels}"], "with_predictions": True}, "one annotation file"),
    ],
)
def test_mistakes_are_one_line(
    own: dict[str, Any], keywords: dict[str, Any], message: str, tmp_path: Path
) -> None:
    labels, fork = save(tmp_path, coco(count=1)), tmp_path / "fork.yaml"
    fork.write_text("defaults: [coco]\nval: x.json\n")

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(item) for item in value]
        known = {"{labels}": labels, "{fork}": str(fork)}
        return known.get(value, value) if isinstance(value, str) else value

    given = {key: filled(value) for key, value in keywords.items()}
    with pytest.raises(InputError) as error:
        posekit.evaluate(MODEL, **own, **given)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("model", "keywords", "message"),
    [
        ("motionbert_h36m", {}, "sequences: name the NPZ files of a lifter"),
        ("motionbert_h36m", {"sequences": []}, "sequences: name the NPZ files of a lifter"),
        ("motionbert_h36m", {"sequences": "x.npz", "dataset": "coco"}, "dataset does not apply"),
        ("motionbert_h36m", {"sequences": "x.npz", "with_predictions": True}, "no COCO results"),
        ("motionbert_h36m", {"sequences": "x.npz", "backend": "torch"}, "lifters run in PyTorch"),
        ("rtmdet-m_coco-640", {"detector": "human"}, "detector gives boxes to pose models"),
        ("rtmdet-m_coco-640", {"metrics": "ap"}, "metrics applies to pose models"),
        ("rtmdet-m_coco-640", {"detector_weights": "x.pth"}, "is a detector; use weights"),
        ("hand3d", {"val": "x.json"}, "posekit cannot evaluate"),
    ],
)
def test_what_has_no_effect_is_refused(model: str, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        posekit.evaluate(model, **keywords)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(UnknownModelError, match="did you mean"):
        posekit.evaluate("rtmpose-m_coco-256x129")


def test_the_command_has_the_defaults_of_the_function() -> None:
    assert EvaluateOptions.from_config(compose_command("evaluate", [])) == EvaluateOptions()
    parameters = inspect.signature(posekit.evaluate).parameters
    assert list(parameters) == ["model", *EvaluateOptions.declared()]


def test_options_and_results_need_no_pytorch() -> None:
    code = (
        "import sys, posekit.evaluation.options, posekit.evaluation.result, "
        "posekit.commands.evaluate; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0
