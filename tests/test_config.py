"""Names -> models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from posekit.checkpoints import CHECKPOINTS, elsewhere
from posekit.config import (
    config_path,
    find_checkpoint,
    list_models,
    nearest,
    nearest_keys,
    read_config,
    resolve_name,
)
from posekit.errors import InputError, UnknownModelError
from posekit.locate import locate


@pytest.mark.parametrize(
    "name, expected",
    [
        ("rtmpose-m_body8-256x192", "rtmpose-m_body8-256x192"),
        ("human", "rtmpose-m_body8-256x192"),
        ("Human", "rtmpose-m_body8-256x192"),
        ("body26", "rtmpose-m_body8-halpe26-256x192"),
        ("rtmpose-m_8xb256-420e_coco-256x192", "rtmpose-m_coco-256x192"),
        ("configs/a/rtmpose-m_8xb256-420e_coco-256x192.py", "rtmpose-m_coco-256x192"),
        (r"configs\a\rtmpose-m_8xb256-420e_coco-256x192.py", "rtmpose-m_coco-256x192"),
        ("rtmdet_nano_320-8xb32_coco-person", "rtmdet-nano_person-320"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert resolve_name(name) == expected


def test_human_is_a_detector_where_one_is_asked_for() -> None:
    assert resolve_name("human", detector=True) == "rtmdet-m_person-640"


# As the documentation of MMPose lists them.
DOCUMENTED = {
    "animal": "rtmpose-m_8xb64-210e_ap10k-256x256",
    "human": "rtmpose-m_8xb256-420e_body8-256x192",
    "body": "rtmpose-m_8xb256-420e_body8-256x192",
    "body17": "rtmpose-m_8xb256-420e_body8-256x192",
    "body26": "rtmpose-m_8xb512-700e_body8-halpe26-256x192",
    "face": "rtmpose-m_8xb256-120e_face6-256x256",
    "hand": "rtmpose-m_8xb256-210e_hand5-256x256",
    "wholebody": "rtmpose-m_8xb64-270e_coco-wholebody-256x192",
    "vitpose": "td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192",
    "vitpose-s": "td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192",
    "vitpose-b": "td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192",
    "vitpose-l": "td-hm_ViTPose-large-simple_8xb64-210e_coco-256x192",
    "vitpose-h": "td-hm_ViTPose-huge-simple_8xb64-210e_coco-256x192",
    "human3d": "vid_pl_motionbert_8xb32-120e_h36m",
    "hand3d": "internet_res50_4xb16-20e_interhand3d-256x256",
    "rtmpose-l": "rtmpose-l_8xb256-420e_body8-384x288",
    "rtmw": "rtmw-m_8xb1024-270e_cocktail14-256x192",
}


@pytest.mark.parametrize("alias, config", DOCUMENTED.items())
def test_documented_aliases(alias: str, config: str) -> None:
    assert resolve_name(alias) == resolve_name(config)


@pytest.mark.parametrize(
    "alias, detector",
    [
        ("human", "rtmdet_m_640-8xb32_coco-person"),
        ("wholebody", "rtmdet_m_640-8xb32_coco-person"),
        ("vitpose", "rtmdet_m_640-8xb32_coco-person"),
        ("face", "yolox-s_8xb8-300e_coco-face"),
        ("hand", "rtmdet_nano_320-8xb32_hand"),
        ("animal", "rtmdet_m_8xb32-300e_coco"),
    ],
)
def test_detectors_by_subject(alias: str, detector: str) -> None:
    assert read_config(alias)["detector"] == resolve_name(detector)


@pytest.mark.parametrize("prefix", ["", "mmdetection/configs/yolox/", "C:\\mmdet\\configs\\"])
@pytest.mark.parametrize(
    ("config", "name"),
    [
        ("yolox_tiny_8xb8-300e_coco", "yolox-tiny_coco-416"),
        ("yolox_s_8xb8-300e_coco", "yolox-s_coco-640"),
        ("yolox_l_8xb8-300e_coco", "yolox-l_coco-640"),
        ("yolox_l_8x8_300e_coco", "yolox-l_coco-640"),
        ("yolox_x_8xb8-300e_coco", "yolox-x_coco-640"),
        ("rtmdet_m_8xb32-300e_coco", "rtmdet-m_coco-640"),
        ("rtmdet_m_640-8xb32_coco-person", "rtmdet-m_person-640"),
        ("ssdlite_mobilenetv2_scratch_600e_onehand", "ssdlite-mobilenetv2_onehand-320"),
    ],
)
def test_detectors_by_mmdetections_names(prefix: str, config: str, name: str) -> None:
    assert resolve_name(f"{prefix}{config}.py" if prefix else config, detector=True) == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("demo/mmdetection_cfg/faster_rcnn_r50_fpn_coco.py", "use rtmdet-m_person-640"),
        ("faster_rcnn_r50_fpn_coco", "use rtmdet-m_person-640"),
        ("C:\\mmdet\\faster-rcnn_r101_fpn_1x_coco.py", "use rtmdet-m_person-640"),
        ("cascade_rcnn_x101_64x4d_fpn_1class", "use rtmdet-m_person-640"),
        ("rtmdet-ins_m_8xb32-300e_coco", "nearest that it has is rtmdet-m_coco-640"),
        ("yolov3_d53_320_273e_coco", "use rtmdet-m_person-640"),
        ("yolov8n.pt", "use rtmdet-nano_person-320"),
        ("yolo11x", "use rtmdet-m_person-640"),
        ("mediapipe", "use rtmdet-nano_person-320"),
        ("yolox-ss", "did you mean yolox-s, "),
        ("rtmdet_m_8xb32-300e_cocoo", "did you mean rtmdet_m_8xb32-300e_coco, .* for people"),
        ("humann", "did you mean human"),
    ],
)
def test_an_unknown_detector_has_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UnknownModelError, match=hint) as caught:
        resolve_name(name, detector=True)
    assert "rtmpose" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "program", "model"),
    [
        ("yolov8n-pose", "Ultralytics", "rtmpose-t_body8-256x192"),
        ("yolov8n-pose.pt", "Ultralytics", "rtmpose-t_body8-256x192"),
        ("models/yolo11x-pose.engine", "Ultralytics", "rtmpose-x_body8-384x288"),
        ("YOLO11m-pose", "Ultralytics", "rtmpose-m_body8-256x192"),
        ("openpose", "OpenPose", "rtmpose-m_body8-halpe26-256x192"),
        ("mediapipe", "MediaPipe", "rtmpose-s_body8-halpe26-256x192"),
        ("MediaPipe Hands", "MediaPipe", "rtmpose-m_hand5-256x256"),
        ("blazepose", "MediaPipe", "rtmpose-s_body8-halpe26-256x192"),
        ("movenet_lightning", "TensorFlow", "rtmpose-t_body8-256x192"),
        ("alphapose", "AlphaPose", "rtmpose-m_body8-halpe26-256x192"),
        ("detectron2 keypoint rcnn", "detectron2", "rtmpose-m_coco-256x192"),
        ("COCO-Keypoints/keypoint_rcnn_R_50_FPN_3x.yaml", "detectron2", "rtmpose-m_coco-256x192"),
        ("hrnet", "HRNet", "hrnet-w32_coco-256x192"),
        ("rtmpose", "RTMPose", "rtmpose-m_body8-256x192"),
        ("sapiens_1b", "Sapiens", "rtmw-l_cocktail14-384x288"),
        ("faster_rcnn_r50_fpn_coco", "R-CNN", "rtmdet-m_person-640"),
    ],
)
def test_a_name_of_another_program_has_the_nearest(name: str, program: str, model: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        locate(name)
    assert str(caught.value) == (
        f"unknown model '{name}' ({program}); use {model}, the nearest one here. "
        "`posekit models` lists all of them"
    )


def test_what_other_programs_have_leads_to_models_of_the_kind() -> None:
    tasks = {row.name: row.task for row in CHECKPOINTS}
    tables = elsewhere()
    assert {tasks[other.nearest] for other in tables["detection"]} == {"detection"}
    assert "detection" not in {tasks[other.nearest] for other in tables["pose"]}


def test_animals_are_cocos() -> None:
    config = read_config("animal")
    classes = read_config(config["detector"])["classes"]
    assert [classes[index] for index in config["detector_categories"]] == [
        "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["rtmpose-q", "", "  ", "../predict", "model/human", "nothing.py"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(UnknownModelError):
        resolve_name(name)


def test_an_unknown_name_has_the_nearest() -> None:
    with pytest.raises(UnknownModelError, match="did you mean human"):
        resolve_name("humann")


def test_nearest_ignores_case() -> None:
    assert nearest("HUMAN", ["human", "hand"])[0] == "human"


def test_models_by_task() -> None:
    assert "rtmpose-m_body8-256x192" in list_models("body")
    assert "rtmpose-m_body8-256x192" not in list_models("detection")
    assert set(list_models("face")) < set(list_models())
    with pytest.raises(InputError, match="no model has the task 'bodies'; there are animal, body"):
        list_models("bodies")


def test_models_by_several_properties() -> None:
    found = list_models(
        "body", keypoints="coco", size="256x192", max_params=4, license="apache-2.0"
    )
    assert {"rtmpose-t_body8-256x192", "rtmpose-t_coco-256x192"} <= set(found)
    for name in found:
        row = find_checkpoint(name)
        assert row.task == "body" and row.parameters <= 4
        assert read_config(name)["keypoints"] == "coco"
        assert read_config(name)["input_size"] == [192, 256]
    assert list_models("body", max_params=0.01) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"size": "416"}, {"size": "416X416"}),
        ({"keypoints": "coco-wholebody"}, {"keypoints": "COCO_WholeBody"}),
        ({"task": "hand_3d"}, {"task": "hand 3d"}),
    ],
)
def test_a_property_is_found_in_any_spelling(one: dict[str, str], other: dict[str, str]) -> None:
    assert list_models(**one) == list_models(**other) != []


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"keypoints": "coco18"}, "no model has the skeleton 'coco18'; there are 300w, "),
        ({"size": "100x100"}, "no model has the input size '100x100'; there are 160x160, "),
        ({"license": "MIT"}, "no model has the licence 'MIT'; there are Apache-2.0"),
    ],
)
def test_a_property_that_no_model_has(wanted: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list_models(**wanted)


def test_what_a_caller_does_to_a_description_stays_with_the_caller() -> None:
    read_config("animal")["net"]["_target_"] = "torch.nn.Identity"
    assert read_config("animal")["net"]["_target_"].startswith("posekit.")


def test_a_folder_of_ones_own_comes_first(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    mine = tmp_path / "model" / "mine.yaml"
    mine.write_text("net: {_target_: torch.nn.Identity}\n")
    assert resolve_name("mine", [tmp_path]) == "mine"
    assert config_path("mine", [tmp_path]) == mine
    assert read_config("mine", [tmp_path])["net"]["_target_"] == "torch.nn.Identity"


@pytest.mark.parametrize("text", ["- a\n", "a: [\n", "detector: x\n", ""])
def test_a_broken_yaml_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(text)
    with pytest.raises(InputError, match=r"mine\.yaml"):
        read_config("mine", [tmp_path])


@pytest.mark.parametrize(
    ("key", "guesses"),
    [
        ("pading", ["preprocess.padding"]),
        ("preprocess.kolor", ["preprocess.color"]),
        ("smoothing", []),
        ("mean", ["preprocess.mean"]),
        ("codec.siggma", ["codec.sigma"]),
    ],
)
def test_only_good_guesses_of_a_key_are_named(key: str, guesses: list[str]) -> None:
    known = ["preprocess.padding", "preprocess.mean", "preprocess.color", "codec.sigma", "net"]
    assert nearest_keys(key, known) == guesses
    assert nearest_keys(key, []) == []


def test_a_link_to_a_yaml_keeps_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "store" / "abc.yaml").write_text("net: {_target_: torch.nn.Identity}\n")
    link = tmp_path / "mine" / "model" / "human.yaml"
    link.symlink_to(tmp_path / "store" / "abc.yaml")
    found = locate(str(link))
    assert config_path(found.name, found.search) == link
    assert found.is_foreign


def test_importing_posekit_imports_nothing_heavy() -> None:
    code = (
        "import sys, posekit, posekit.config, posekit.cli\n"
        "assert posekit.list_models('body')\n"
        "print(sorted({'torch', 'cv2', 'numpy', 'hydra', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
