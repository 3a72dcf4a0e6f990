"""The table and the YAMLs hold together."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from posekit import checkpoints
from posekit.build import build_network
from posekit.checkpoints import CHECKPOINTS, Checkpoint
from posekit.commands.models import markdown_page
from posekit.config import CONF_DIR, GROUPS, PACKAGED, resolve_name
from posekit.spec import DetectorSpec, LifterSpec, OneStageSpec, PoseSpec, load_spec
from weights_convert.openmmlab import RULES

ROWS = pytest.mark.parametrize("row", CHECKPOINTS, ids=lambda row: row.name)


def test_every_yaml_has_a_row_and_every_row_a_yaml() -> None:
    stems = {path.stem for group in GROUPS for path in (CONF_DIR / group).iterdir()}
    assert stems == {row.name for row in CHECKPOINTS}


def test_names_are_unique() -> None:
    names = [name for row in CHECKPOINTS for name in {row.name, *row.configs, *row.aliases}]
    assert len(names) == len(set(names))


@ROWS
def test_every_name_of_a_row_resolves_to_it(row: Checkpoint) -> None:
    for name in (row.name, *row.configs, *row.aliases):
        assert resolve_name(name) == row.name


@ROWS
def test_the_network_builds_and_can_be_converted(row: Checkpoint) -> None:
    spec = load_spec(row.name)
    net = build_network(spec.net)
    assert all(parameter.is_meta for parameter in net.parameters())
    assert type(net).__name__ in RULES
    kinds = {"detection": DetectorSpec, "lifting": LifterSpec}
    of_poses = OneStageSpec if spec.net.family.one_stage else PoseSpec
    assert type(spec) is kinds.get(row.task, of_poses)


@ROWS
def test_a_pose_models_detector_exists_and_has_the_classes_asked_for(row: Checkpoint) -> None:
    spec = load_spec(row.name)
    if not isinstance(spec, PoseSpec) or spec.detector == "whole_image":
        return
    detector = load_spec(spec.detector)
    assert all(index < len(detector.classes) for index in spec.detector_categories)


@ROWS
def test_a_row_says_where_the_weights_are_and_what_they_may_be_used_for(row: Checkpoint) -> None:
    assert row.sources or (PACKAGED / f"{row.name}.safetensors").is_file()
    assert row.license and row.training_data
    assert all(source.location.startswith(("https://", "hf://")) for source in row.sources)


PAGE = CONF_DIR.parent / "docs" / "models.md"


def test_the_page_of_models_is_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown_page(), (
        "run: posekit models --markdown > docs/models.md"
    )


def test_a_link_to_the_hub_leads_to_the_page_of_the_file() -> None:
    links = re.findall(r"\(https://huggingface\.co/([^)]*)\)", PAGE.read_text(encoding="utf-8"))
    assert links
    assert all(re.fullmatch(r"[^/]+/[^/]+/blob/[^/]+/.+", link) for link in links)
    assert "walterzhu/MotionBERT/blob/" in "".join(links)


def test_the_documented_example_of_a_checkpoint_works(tmp_path: Path) -> None:
    text = (CONF_DIR.parent / "docs" / "adding-a-checkpoint.md").read_text(encoding="utf-8")
    row = eval(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], vars(checkpoints))
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / f"{row.name}.yaml"
    path.write_text(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    spec = load_spec(row.name, [tmp_path])
    assert build_network(spec.net)
    assert spec == replace(load_spec("rtmpose-s_coco-256x192"), name=row.name)
