"""The table and the YAMLs hold together."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from posekit.build import build_network
from posekit.checkpoints import CHECKPOINTS, Checkpoint, Metric, Source, not_here, read_table
from posekit.commands.models import markdown_page
from posekit.component import find_class
from posekit.config import CONF_DIR, GROUPS, PACKAGED, input_size, resolve_name
from posekit.errors import InputError, UnknownModelError
from posekit.spec import DetectorSpec, LifterSpec, OneStageSpec, PoseSpec, load_spec
from weights_convert.openmmlab import rules_of

ROWS = pytest.mark.parametrize("row", CHECKPOINTS, ids=lambda row: row.name)


def test_every_yaml_has_a_row_and_every_row_a_yaml() -> None:
    stems = {path.stem for group in GROUPS for path in (CONF_DIR / group).iterdir()}
    assert stems == {row.name for row in CHECKPOINTS}


def test_names_are_unique() -> None:
    names = [name for row in CHECKPOINTS for name in {row.name, *row.configs, *row.aliases}]
    assert len(names) == len(set(names))


def one_of_each_network() -> list[Checkpoint]:
    """Rows whose networks differ in more than keypoints, input size and whose expert they are."""
    found = {}
    for row in CHECKPOINTS:
        net = load_spec(row.name).net
        free = ("num_keypoints", "input_size", "expert")
        shape = {key: value for key, value in net.arguments.items() if key not in free}
        found.setdefault((net.target, str(shape)), row)
    return list(found.values())


@ROWS
def test_a_row_and_its_yaml_hold_together(row: Checkpoint) -> None:
    """In one test: a model is read once for all that is asked of it."""
    for name in (row.name, *row.configs, *row.aliases):
        assert resolve_name(name) == row.name
    assert row.sources or (PACKAGED / f"{row.name}.safetensors").is_file()
    assert row.license and row.training_data
    assert all(source.location.startswith(("https://", "hf://")) for source in row.sources)
    spec = load_spec(row.name)
    assert rules_of(find_class(spec.net.target))  # weights can be converted
    kinds = {"detection": DetectorSpec, "lifting": LifterSpec}
    of_poses = OneStageSpec if spec.net.family.one_stage else PoseSpec
    assert type(spec) is kinds.get(row.task, of_poses)
    if isinstance(spec, LifterSpec):
        assert input_size(row.name) == f"{spec.max_frames} frames"
    else:
        assert input_size(row.name) == "{1}x{0}".format(*spec.input_size)
    if isinstance(spec, PoseSpec) and spec.detector != "whole_image":
        classes = load_spec(spec.detector).classes
        assert all(index < len(classes) for index in spec.detector_categories)


def assert_has_the_parameters(row: Checkpoint) -> None:
    parameters = list(build_network(load_spec(row.name).net).parameters())
    assert all(parameter.is_meta for parameter in parameters)
    assert f"{sum(p.numel() for p in parameters) / 1e6:.2f}" == f"{row.parameters:.2f}"


@pytest.mark.parametrize("row", one_of_each_network(), ids=lambda row: row.name)
def test_the_network_builds_and_has_as_many_parameters_as_the_row_says(row: Checkpoint) -> None:
    assert_has_the_parameters(row)


@pytest.mark.slow
@ROWS
def test_every_network_has_as_many_parameters_as_its_row_says(row: Checkpoint) -> None:
    assert_has_the_parameters(row)


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
    (row,) = table_of(tmp_path, re.search(r"```ini\n(.*?)```", text, re.DOTALL)[1])
    assert row.sources == (
        Source("https://example.org/rtmpose-s_mydata-256x192-1a2b3c4d.pth", sha256="1a2b3c4d"),
        Source("hf://organisation/repository/model.onnx@0123456789abcdef0123456789abcdef01234567"),
        Source("hf://authors/repository/model.safetensors", stands_in="trained by its authors"),
    )
    assert row.metrics == (Metric("MyData", "AP", 0.75), Metric("COCO", "AP", 0.71))
    assert (row.task, row.aliases, row.parameters) == ("body", ("mypose",), 5.47)
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / f"{row.name}.yaml"
    path.write_text(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    spec = load_spec(row.name, [tmp_path])
    assert build_network(spec.net)
    assert spec == replace(load_spec("rtmpose-s_coco-256x192"), name=row.name)


def table_of(folder: Path, text: str) -> tuple[Checkpoint, ...]:
    (folder / "body.ini").write_text(text, encoding="utf-8")
    return read_table(folder)


ROW = "[a]\nweights = a.pth\ntraining_data = COCO\n"


def test_what_a_row_leaves_out_is_what_most_have(tmp_path: Path) -> None:
    (row,) = table_of(tmp_path, "# a comment\n" + ROW)
    location = "https://download.openmmlab.com/a.pth"
    assert row == Checkpoint("a", "body", "a", (Source(location),), (), "Apache-2.0", "COCO")


def test_training_data_can_have_a_name_for_several_rows(tmp_path: Path) -> None:
    (row,) = table_of(tmp_path, "[training_data]\nall = A, B; C\n" + ROW.replace("COCO", "@all"))
    assert row.training_data == "A, B; C"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROW + "figure = COCO: AP 1\n", "body.ini: row a: unknown key figure; a row has config, "),
        (ROW + "weights = b.pth\n", "body.ini: line 4, row a: weights is given twice"),
        (ROW + "aliases\n", "body.ini: line 4, row a: expected 'key = value' below '[name]', foun"),
        (ROW + "aliases =\n", "body.ini: line 4, row a: expected 'key = value' below '[name]', fo"),
        ("weights = a.pth\n", "body.ini: line 1: expected 'key = value' below '[name]', found"),
        (ROW + ROW, "body.ini: line 4, row a: the row is given twice"),
        ("[a]\nweights = a.pth\n", "body.ini: row a: training_data is missing"),
        (ROW.replace("a.pth", "hf://a/b/c"), "body.ini: row a: license is missing"),
        (
            ROW.replace("COCO", "@coco"),
            "row a: training_data: [training_data] of the file has no co",
        ),
        (
            ROW + "figures = AP 0.7\n",
            "row a: figures: expected 'DATA SET: NAME VALUE; ...', found '",
        ),
        (ROW + "figures = COCO: AP high\n", "row a: figures: expected a number, found 'high'"),
        (ROW + "parameters = 5 M\n", "row a: parameters: expected a number, found '5 M'"),
        (ROW.replace("a.pth", "a.pth b.pth"), "row a: expected a location, or LOCATION#sha256=..."),
        (
            ROW + "stand_in = hf://a/b/c\n",
            "row a: stand_in: expected 'LOCATION what it is', found '",
        ),
    ],
)
def test_a_mistake_is_one_line_with_the_rows_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        table_of(tmp_path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", sorted((CONF_DIR / "checkpoints").iterdir()), ids=lambda p: p.stem)
def test_the_files_are_ini_as_the_standard_library_reads_it(path: Path) -> None:
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",))
    parser.read_string(path.read_text(encoding="utf-8"))
    rows = {row.name: row for row in CHECKPOINTS if row.task == path.stem.replace("_", " ")}
    assert set(parser.sections()) - {"training_data"} == set(rows)
    for name, row in rows.items():
        assert parser[name].get("config", name) == row.config
        assert len(row.sources) >= len(parser[name].get("weights", "").split())


def test_what_is_not_here_has_a_nearest_model_that_is() -> None:
    configs = {config for row in CHECKPOINTS for config in row.configs}
    listed = [config for row in not_here() for config in row.configs]
    assert len(listed) == len(set(listed)) > 100
    assert not configs.intersection(listed)
    assert {row.nearest for row in not_here()} <= {row.name for row in CHECKPOINTS}


def test_a_model_that_is_not_here_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownModelError) as caught:
        resolve_name("configs/x/td-hm_litehrnet-18_8xb64-210e_coco-256x192.py")
    assert str(caught.value) == (
        "'td-hm_litehrnet-18_8xb64-210e_coco-256x192' is a model of OpenMMLab that posekit does "
        "not have (LiteHRNet); the nearest that it has is rtmpose-s_coco-256x192. There is no such "
        "file either, which could be a model of your own (docs/migrating.md)"
    )


def test_every_published_model_is_in_the_table_or_told_to_be_missing(shared: Path) -> None:
    zoo = json.loads((shared / "reference" / "openmmlab_zoo.json").read_text(encoding="utf-8"))
    published = {entry["config"] for entry in [*zoo["pose"], *zoo["detector"]]}
    listed = {config for row in not_here() for config in row.configs}
    listed |= {config for row in CHECKPOINTS for config in row.configs}
    assert published - listed == set()


def test_the_table_is_read_when_it_is_asked_for() -> None:
    code = "import posekit.config, posekit.checkpoints as c; print('CHECKPOINTS' in vars(c))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
