"""A model's YAML is read once, completely, and a mistake in it is one line."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from posekit.cli import main
from posekit.config import config_path, model_names, read_config
from posekit.errors import InputError
from posekit.locate import locate
from posekit.predictor import load
from posekit.spec import DetectorSpec, LifterSpec, OneStageSpec, PoseSpec, load_spec, read_spec

POSE = "rtmpose-m_coco-256x192"
DETECTOR = "rtmdet-nano_person-320"
LIFTER = "motionbert-ft_h36m"
UDP = "vitpose-b_coco-256x192"


@pytest.mark.parametrize("name", model_names())
def test_every_packaged_yaml_is_read_and_written_back(name: str) -> None:
    spec = load_spec(name)
    assert read_spec(spec.to_config(), name) == spec
    # Through a file too, as a trained model's.
    assert read_spec(yaml.safe_load(yaml.safe_dump(spec.to_config())), name) == spec


def test_each_kind_is_told_by_what_it_holds() -> None:
    kinds = {POSE: PoseSpec, DETECTOR: DetectorSpec, LIFTER: LifterSpec}
    assert {name: type(load_spec(name)) for name in kinds} == kinds


def test_what_a_yaml_leaves_open_follows() -> None:
    spec = read_spec(
        {
            "net": {
                "_target_": "posekit.models.rtmpose.RTMPose",
                "deepen_factor": 0.67,
                "widen_factor": 0.75,
            },
            "input_size": [192, 256],
            "keypoints": "halpe26",
        },
        "mine",
    )
    assert isinstance(spec, PoseSpec)
    assert spec.net.arguments["num_keypoints"] == 26
    assert spec.net.arguments["input_size"] == (192, 256)
    assert spec.codec.name == "SimCC"
    assert spec.codec.arguments["split_ratio"] == spec.net.arguments["split_ratio"] == 2.0
    assert (spec.padding, spec.udp, spec.color, spec.flip_test) == (1.25, False, "rgb", True)
    assert spec.detector is None


def test_bins_per_pixel_are_said_once() -> None:
    config = {**read_config(POSE), "codec": {"split_ratio": 1.0}}
    assert read_spec(config, POSE).net.arguments["split_ratio"] == 1.0


def test_maps_have_a_quarter_of_the_inputs_size_unless_it_is_said() -> None:
    config = {**read_config(UDP), "input_size": [96, 128]}
    config["preprocess"] = {"udp": True}
    config["net"] = {k: v for k, v in config["net"].items() if k != "input_size"}
    config["codec"] = {"_target_": "posekit.codecs.heatmap.UDPHeatmap"}
    assert read_spec(config, UDP).codec.arguments["heatmap_size"] == (24, 32)
    config["codec"]["heatmap_size"] = [48, 64]
    assert read_spec(config, UDP).codec.arguments["heatmap_size"] == (48, 64)


def set_to(path: str, value: Any) -> Callable[[dict], None]:
    def change(config: dict) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            config = config.setdefault(parent, {})
        config[last] = value

    return change


def without(key: str) -> Callable[[dict], None]:
    return lambda config: config.pop(key)


MISTAKES = [
    (POSE, set_to("preprocess.pading", 1.0), "preprocess.pading; did you mean preprocess.padding"),
    (POSE, set_to("codec.smoothing", 1.0), "unknown key codec.smoothing"),
    (POSE, set_to("net.widen_factor", "abc"), "net.widen_factor: expected a number, up to"),
    (POSE, set_to("net.deepen_factor", 10**400), "net.deepen_factor: expected a number, up to"),
    (POSE, set_to("preprocess.padding", 10**400), "expected a positive number"),
    (POSE, set_to("codec.split_ratio", float("nan")), "codec.split_ratio: expected a number"),
    (POSE, set_to("codec.sigma", ["a", 2]), "codec.sigma: expected a list of numbers"),
    (POSE, set_to("input_size", [100, 256]), "expected multiples of 32 for this network"),
    (POSE, set_to("codec._target_", "posekit.codecs.heatmap.MSRAHeatmap"), "codec reads heatmap"),
    (POSE, set_to("codec._target_", "posekit.codecs.boxes.DistanceBoxes"), "codec reads classes"),
    (DETECTOR, set_to("codec._target_", "posekit.codecs.anchors.SSDBoxes"), "gives classes, dist"),
    (POSE, set_to("keypoints_3d", True), "keypoints_3d: expected false"),
    (POSE, set_to("sample", "../../private.jpg"), "sample: expected the name of a file"),
    (POSE, set_to("sample", "..\\private.jpg"), "sample: expected the name of a file"),
    (POSE, set_to("note", "\x1b[2J"), "note: expected a text of one line"),
    (POSE, set_to("classes", ["a"]), "classes cannot be combined with keypoints"),
    (POSE, set_to("pose2d", "human"), "pose2d cannot be combined with input_size"),
    (POSE, set_to("net._target_", "RTMPose"), "expected a class as package.module.Class"),
    (DETECTOR, without("classes"), "keypoints is missing (or, for a detector, classes)"),
    (UDP, set_to("input_size", [100, 256]), "expected multiples of 16"),
    (POSE, set_to("padding", 1.0), "unknown key padding; did you mean preprocess.padding"),
    (POSE, set_to("flip_tset", True), "unknown key flip_tset; did you mean flip_test"),
    (POSE, set_to("preprocess.color", "RGB"), "preprocess.color: expected rgb or bgr, found 'RGB'"),
    (POSE, set_to("preprocess.std", [0, 1, 1]), "three positive numbers"),
    (POSE, set_to("preprocess.mean", [float("nan"), 0, 0]), "three numbers"),
    (POSE, set_to("preprocess.udp", "no"), "true or false"),
    (POSE, set_to("preprocess", 3), "expected a mapping, found 3"),
    (POSE, set_to("net.deepen", 1), "unknown key net.deepen; did you mean net.deepen_factor"),
    (
        POSE,
        set_to("net.num_keypoints", 5),
        "net.num_keypoints is 5, but the skeleton 'coco' has 17",
    ),
    (POSE, set_to("net.split_ratio", 1.0), "net.split_ratio is 1.0, but the rest of the model has"),
    (
        POSE,
        set_to("codec.input_size", [96, 96]),
        "codec.input_size is [96, 96]; set input_size alone",
    ),
    (POSE, set_to("codec.sigmas", 2), "unknown key codec.sigmas; did you mean codec.sigma"),
    (POSE, set_to("codec", "SimCC"), "codec: expected a mapping"),
    (POSE, set_to("net", "RTMPose"), "net: expected a mapping"),
    (POSE, set_to("keypoints", "nobody"), "unknown skeleton 'nobody'"),
    (POSE, without("keypoints"), "keypoints is missing"),
    (POSE, set_to("detector", 3), "detector: expected a text"),
    (POSE, set_to("detector_categories", ["dog"]), "expected a list of class numbers"),
    (POSE, set_to("net._target_", None), "net._target_ is missing"),
    (POSE, set_to("net._target_", "posekit.models.rtmpose.RTMPoze"), "no such class"),
    (POSE, set_to("net._target_", "posekit.models.rtmpoze.RTMPose"), "cannot be imported"),
    (DETECTOR, set_to("net.num_classes", 80), "expected 80 names, as many as net.num_classes"),
    (DETECTOR, set_to("max_detections", 0), "expected a whole number of at least 1"),
    (DETECTOR, without("nms_threshold"), "nms_threshold is missing"),
    (LIFTER, set_to("normalize.scale", -1), "expected a positive number"),
    (LIFTER, set_to("normalize.centre", [0, 0]), "did you mean normalize.center"),
]


@pytest.mark.parametrize("name, change, message", MISTAKES)
def test_a_mistake_is_one_line(name: str, change: Callable[[dict], None], message: str) -> None:
    config = copy.deepcopy(read_config(name))
    change(config)
    with pytest.raises(InputError) as caught:
        read_spec(config, name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "override, message",
    [
        ("model.flip_tst=1", "unknown key model.flip_tst; did you mean model.flip_test"),
        ("model.preprocess.pading=1.5", "did you mean model.preprocess.padding"),
        ("model.preprocess.color=RGB", "expected rgb or bgr"),
        ("model.codec.input_size=[96,96]", "set model.input_size alone"),
        ("model.net.num_keypoints=3", "the skeleton 'coco' has 17 keypoints"),
        ("model.nothing=1", "unknown key model.nothing"),
        ("detector.nms_threshold=2", "expected a number from 0 to 1"),
        ("model.net._target_=torch.hub.load", "has no such class"),
        ("detector.codec._target_=posekit.codecs.simcc.SimCC", "detector.codec reads simcc_x"),
    ],
)
def test_overrides_are_checked_by_the_same_code(
    override: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "model=human", "inputs=a.jpg", override, "--cfg"]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_an_override_may_set_what_the_yaml_leaves_open(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "model=human", "model.preprocess.padding=1.5", "--cfg"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["model"]["preprocess"]["padding"] == 1.5
    assert shown["model"]["flip_test"] is True


# What others wrote

TARGETS = [
    {"_target_": "os.system", "command": "touch {mark}"},
    {"_target_": "torch.hub.load_state_dict_from_url", "url": "file://{mark}"},
    {"_target_": "torch.hub.load", "repo_or_dir": "{mark}", "model": "x", "source": "local"},
    {"_target_": "posekit.models.rtmpose.torch.hub.load", "repo_or_dir": "{mark}"},
    {"_target_": "posekit.models.vitpose.Block"},
    {"_target_": "posekit.training.checkpoint.load_checkpoint", "path": "{mark}"},
    {
        "_target_": "posekit.models.rtmpose.RTMPose",
        "deepen_factor": {"_target_": "pathlib.Path.touch", "self": "{mark}"},
        "widen_factor": 0.75,
    },
    {
        "_target_": "posekit.models.rtmpose.RTMPose",
        "deepen_factor": 0.67,
        "widen_factor": [{"nested": {"_target_": "os.system", "command": "touch {mark}"}}],
    },
]


def filled(value: Any, mark: Path) -> Any:
    if isinstance(value, dict):
        return {key: filled(item, mark) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, mark) for item in value]
    return value.replace("{mark}", str(mark)) if isinstance(value, str) else value


def foreign_model(root: Path, change: Callable[[dict], None]) -> Path:
    """A model's folder as another person may have written it."""
    config = copy.deepcopy(read_config(POSE))
    change(config)
    (root / "model").mkdir(parents=True)
    (root / "model" / "theirs.yaml").write_text(yaml.safe_dump(config))
    (root / "model.safetensors").write_bytes(b"")
    return root


@pytest.mark.parametrize("part", ["net", "codec"])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target["_target_"])
def test_a_folder_runs_nothing(part: str, target: dict, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    folder = foreign_model(tmp_path / "model", set_to(part, filled(target, mark)))
    with pytest.raises(InputError):
        load(str(folder), detector="none", device="cpu")
    with pytest.raises(InputError):
        load(str(folder / "model" / "theirs.yaml"), detector="none", device="cpu")
    assert not mark.exists()


@pytest.mark.parametrize("command", ["predict", "bench", "export", "evaluate", "train"])
def test_no_command_runs_a_folder(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "mark"
    folder = foreign_model(tmp_path / "model", set_to("net", filled(TARGETS[0], mark)))
    data = ["dataset.train=a.json"] if command == "train" else []
    assert main([command, f"model={folder}", *data, "--cfg"]) == 1
    assert "could run anything" in capsys.readouterr().err
    assert not mark.exists()


def test_a_folders_detector_and_other_files_run_nothing_either(tmp_path: Path) -> None:
    folder = foreign_model(tmp_path / "theirs", set_to("detector", "evil"))
    (folder / "detector").mkdir()
    evil = {**read_config(DETECTOR), "net": {"_target_": "os.system", "command": "true"}}
    (folder / "detector" / "evil.yaml").write_text(yaml.safe_dump(evil))
    with pytest.raises(InputError, match=r"os\.system, which is not one of posekit's"):
        load(str(folder / "model" / "theirs.yaml"), device="cpu")
    # What could stand in place of posekit's own configuration is not looked at.
    (folder / "predict.yaml").write_text("out_dir: ${oc.env:HOME}\n")
    shutil.rmtree(folder / "detector")
    assert main(["predict", f"model={folder}", "detector=none", "--cfg"]) == 0


@pytest.mark.parametrize(
    "text", ["${oc.env:HOME}", "${oc.decode:${oc.env:HOME}}", "a${hydra:runtime.cwd}"]
)
def test_a_folders_yaml_reads_no_environment(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = foreign_model(tmp_path / "theirs", set_to("note", text))
    assert main(["predict", f"model={folder}", "detector=none", "--cfg"]) == 1
    assert "interpolations such as" in capsys.readouterr().err


def test_ones_own_classes_need_ones_own_folder_or_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_network.py").write_text(
        "from posekit.models.hrnet import HRNetPose\n\n\nclass Mine(HRNetPose):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = {
        "net": {"_target_": "my_network.Mine", "width": 18},
        "input_size": [64, 64],
        "codec": {"_target_": "posekit.codecs.heatmap.MSRAHeatmap"},
        "keypoints": "coco",
    }
    own = tmp_path / "conf"
    (own / "model").mkdir(parents=True)
    (own / "model" / "mine.yaml").write_text(yaml.safe_dump(config))
    assert config_path("mine", [own]).is_file()
    assert main(["predict", "model=mine", f"--config-dir={own}", "--cfg"]) == 0
    named = str(own / "model" / "mine.yaml")
    (own / "model.safetensors").write_bytes(b"")  # a model that somebody may have passed on
    assert locate(named).is_foreign
    for name in (named, str(own)):
        assert main(["predict", f"model={name}", "--cfg"]) == 1
        assert main(["predict", f"model={name}", "trust=true", "--cfg"]) == 0


@pytest.mark.parametrize("target", ["subprocess.Popen", "torch.hub.load", "pathlib.Path"])
def test_even_ones_own_networks_are_networks(target: str) -> None:
    config = {**read_config(POSE), "net": {"_target_": target}}
    with pytest.raises(InputError, match=r"expected a torch\.nn\.Module|has no such class"):
        read_spec(config, POSE, trust=True)


RTMO = {
    "net": {
        "_target_": "posekit.models.rtmo.RTMO",
        "deepen_factor": 0.33,
        "widen_factor": 0.375,
    },
    "input_size": [416, 320],
    "keypoints": "coco",
    "score_threshold": 0.2,
    "nms_threshold": 0.5,
}


def test_a_one_stage_model_is_a_description_of_its_own_kind() -> None:
    spec = read_spec(RTMO, "mine")
    assert isinstance(spec, OneStageSpec)
    assert (spec.input_size, spec.score_threshold, spec.nms_threshold) == ((416, 320), 0.2, 0.5)
    assert (spec.pad_value, spec.color, spec.net.arguments["num_keypoints"]) == (114, "bgr", 17)
    assert read_spec(spec.to_config(), "mine") == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"detector": "rtmdet-m"}, "mine: detector: leave it out, RTMO finds the people itself"),
        ({"flip_test": True}, "unknown key flip_test"),
        ({"score_threshold": 2}, "score_threshold: expected"),
        ({"nms_threshold": None}, "nms_threshold: expected"),
        ({"input_size": [400, 320]}, "multiples of 32"),
        ({"pose2d": "human"}, "pose2d cannot be combined with input_size"),
        ({"classes": ["person"]}, "classes cannot be combined with keypoints"),
    ],
)
def test_a_one_stage_models_wrong_values_are_named(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_spec({**RTMO, **change}, "mine")


def test_a_one_stage_model_needs_its_thresholds() -> None:
    config = {key: value for key, value in RTMO.items() if key != "score_threshold"}
    with pytest.raises(InputError, match="score_threshold is missing"):
        read_spec(config, "mine")
