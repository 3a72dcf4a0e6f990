"""Overrides -> configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra

from posekit.compose import compose_command, read_specs
from posekit.config import CONF_DIR, read_config
from posekit.errors import InputError, UnknownModelError


def compose(*overrides: str, config_dir: Path | None = None) -> dict:
    return compose_command("predict", overrides, config_dir=config_dir)


def test_the_model_is_resolved_and_the_detector_follows_it() -> None:
    config = compose("model=hand", "inputs=a.jpg")
    assert config["names"] == {
        "model": "rtmpose-m_hand5-256x256",
        "detector": "rtmdet-nano_hand-320",
        "lifter": None,
    }
    assert read_specs(config).model.net.arguments["num_keypoints"] == 21
    assert config["detector"]["classes"] == ["hand"]


def test_official_paths_are_names_too() -> None:
    config = compose("model=configs/x/rtmpose-s_8xb256-420e_coco-256x192.py", "inputs=a.jpg")
    assert config["names"]["model"] == "rtmpose-s_coco-256x192"


@pytest.mark.parametrize("value", ["whole_image", "none", "null"])
def test_no_detector(value: str) -> None:
    config = compose(f"detector={value}", "inputs=a.jpg")
    assert config["names"]["detector"] is None and "detector" not in config


def test_what_a_group_holds_can_be_overridden() -> None:
    config = compose("inputs=a.jpg", "model.flip_test=false", "detector.nms_threshold=0.5")
    assert config["model"]["flip_test"] is False
    assert config["detector"]["nms_threshold"] == 0.5


@pytest.mark.parametrize(
    "name",
    ["clip(1).jpg", "a,b.jpg", "x=1.jpg", "~a.jpg", "a b.jpg", "写真.jpg", "${x}.jpg", "it's.jpg",
     "rtsp://host/?x=1&y=2", "100", "true", "a#b.jpg", "{a}.jpg", "a:b.jpg", "a\\b.jpg"],
)  # fmt: skip
def test_any_file_name_is_taken_literally(name: str) -> None:
    assert compose(f"inputs={name}")["inputs"] == name


def test_quotes_that_hydra_would_need_are_taken_off() -> None:
    assert compose("inputs='a,b.jpg'")["inputs"] == "a,b.jpg"


@pytest.mark.parametrize("text", ["[a.jpg,b.jpg]", "[a.jpg, b.jpg]", "['a.jpg',\"b.jpg\"]"])
def test_lists(text: str) -> None:
    assert compose(f"inputs={text}")["inputs"] == ["a.jpg", "b.jpg"]


def test_lists_of_names_that_hydra_cannot_parse() -> None:
    assert compose("inputs=[a(1).jpg,x=1.jpg]")["inputs"] == ["a(1).jpg", "x=1.jpg"]


def test_a_file_named_like_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "[a]").touch()
    assert compose("inputs=[a]")["inputs"] == "[a]"


@pytest.mark.parametrize(
    "override, message",
    [
        ("kpt_th=1", "unknown key 'kpt_th'; did you mean kpt_thr"),
        ("out_dirs=x", "unknown key 'out_dirs'; did you mean out_dir"),
        ("photo.jpg", "expected key=value, found 'photo.jpg'"),
        ("kpt_thr=[1", "kpt_thr"),
        ("names=x", "unknown key 'names'. `posekit"),
        ("+kpt_th=1", "unknown key 'kpt_th'; did you mean kpt_thr"),
        ("+experiment=synthetic", "unknown key"),
        ("trust=maybe", "trust: expected true or false, found maybe"),
        ("~model", "name a model as model=NAME"),
        ("+model=hand", "name a model as model=NAME"),
        ("=3", "unknown key ''"),
        ("lifter.flip_test=false", "lifter.flip_test does not apply"),
        ("model.detector=nobody", "use detector=NAME"),
        ("hydra.run.dir=x", "unknown key 'hydra.run.dir'"),
        ("hydra/launcher=basic", "unknown key 'hydra.launcher'"),
        ("model.flip_test=[", "cannot read 'model.flip_test=['"),
    ],
)
def test_mistakes_are_explained(override: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        compose("inputs=a.jpg", override)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_without_its_key_gets_a_hint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean inputs="):
        compose(str(tmp_path))


def test_unknown_models() -> None:
    with pytest.raises(UnknownModelError, match="did you mean"):
        compose("model=humann", "inputs=a.jpg")
    with pytest.raises(UnknownModelError, match="use rtmdet-nano_person-320, the nearest"):
        compose("detector=rtmdet-nano", "inputs=a.jpg")


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(
        "net: {_target_: torch.nn.Identity}\ndetector: null\n"
    )
    config = compose("model=mine", "inputs=a.jpg", config_dir=tmp_path)
    assert config["model"]["net"] == {"_target_": "torch.nn.Identity"}
    assert config["names"] == {"model": "mine", "detector": None, "lifter": None}


def test_ones_own_yaml_wins_over_a_packaged_one(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    own = {**read_config("rtmpose-m_coco-256x192"), "flip_test": False}
    (tmp_path / "model" / "rtmpose-m_coco-256x192.yaml").write_text(yaml.safe_dump(own))
    arguments = ("model=rtmpose-m_coco-256x192", "inputs=a.jpg")
    assert read_specs(compose(*arguments, config_dir=tmp_path)).model.flip_test is False
    assert read_specs(compose(*arguments)).model.flip_test is True


@pytest.mark.parametrize(
    "text", ["[{annotations: a.json}, {annotations: b.json}]", "[ {annotations: a.json}]"]
)
def test_sources_of_a_data_set_are_mappings(text: str) -> None:
    config = compose_command("train", ["model=demo", f"dataset.train={text}"])
    assert config["dataset"]["train"][0] == {"annotations": "a.json"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dataset=my.json", "expected the name of a data set, found a file; .*dataset.train=FILE"),
        ("dataset=[my.json]", "expected the name of a data set, found a file"),
        ("dataset=coko", "^unknown dataset 'coko'; did you mean coco"),
        ("dataset=null", "chooses nothing: leave it out$"),
        ("recipe=foo", "^unknown recipe 'foo'. Known are heatmap, motionbert, "),
    ],
)
def test_a_choice_that_is_not_there(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        compose_command("train", ["model=demo", override])


def test_of_two_sources_the_last_one_counts() -> None:
    file, mapping = "dataset.train=a.json", "dataset.train={annotations: b.json}"
    first = compose_command("train", [file, mapping])["dataset"]["train"]
    assert first == {"annotations": "b.json"}
    assert compose_command("train", [mapping, file])["dataset"]["train"] == "a.json"


def test_a_yaml_that_stands_elsewhere_in_the_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    text = (CONF_DIR / "model" / "rtmpose-m_coco-256x192.yaml").read_text()
    (tmp_path / "model" / "mine.yaml").write_text(f"# @package _global_\n{text}")
    with pytest.raises(InputError, match=r"mine\.yaml: expected values under 'model'"):
        compose("model=mine", "inputs=a.jpg", config_dir=tmp_path)


def test_a_part_that_is_not_there_has_no_values() -> None:
    with pytest.raises(InputError, match=r"detector\.nms_threshold does not apply"):
        compose("detector=none", "detector.nms_threshold=0.5", "inputs=a.jpg")


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        compose("inputs=a.jpg", config_dir=tmp_path / "none")


def test_hydras_global_state_is_left_alone() -> None:
    compose("inputs=a.jpg")
    assert not GlobalHydra.instance().is_initialized()


def test_a_lifter_brings_its_2d_model() -> None:
    config = compose("model=human3d", "inputs=a.mp4")
    assert config["names"] == {
        "model": "rtmpose-m_body8-256x192",
        "detector": "rtmdet-m_person-640",
        "lifter": "motionbert-ft_h36m",
    }
    assert config["lifter"]["keypoints"] == "h36m"
    other = compose("model=human3d", "pose2d=vitpose-s", "inputs=a.mp4", "lifter.flip_test=false")
    assert other["names"]["model"] == "vitpose-s-simple_coco-256x192"
    assert other["lifter"]["flip_test"] is False


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["pose2d=vitpose-s"], "applies to models that lift 2D poses"),
        (["lifter=human3d"], "name a lifter as the model: model=human3d"),
    ],
)
def test_a_lifter_is_named_as_the_model(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compose(*overrides, "inputs=a.jpg")


def test_keys_that_are_paths_are_taken_as_they_are_typed() -> None:
    typed = ["pred_out_dir=a,b (1)/[x]"]
    assert (
        compose_command("predict", typed, paths=["pred_out_dir"])["pred_out_dir"] == typed[0][13:]
    )
    with pytest.raises(InputError, match="cannot read 'pred_out_dir=a,b"):
        compose_command("predict", typed)
