"""Configurations and pages say of options what their declarations say."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import yaml

from posekit.cli import main as posekit
from posekit.commands import inferencer, topdown
from posekit.commands.generated import generated_files, main
from posekit.commands.key_help import key_help
from posekit.commands.option_texts import SETTINGS, SHEETS, keys_of, options_of
from posekit.commands.settings import settings_help
from posekit.config import CONF_DIR
from posekit.loading import LoadOptions
from posekit.predictor import load as posekit_load

FILES = dict(generated_files())
PAGES = "\n".join(path.read_text(encoding="utf-8") for path in CONF_DIR.parent.glob("docs/*.md"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_as_it_is_generated(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == FILES[path], "run: make generated"


@pytest.mark.parametrize("command", SHEETS)
def test_keys_and_defaults_of_a_command(command: str) -> None:
    values = yaml.safe_load((CONF_DIR / f"{command}.yaml").read_text(encoding="utf-8"))
    del values["defaults"]
    declared = {name: option.key_default for name, option in keys_of(command).items()}
    assert values == declared and list(values) == list(declared)


@pytest.mark.parametrize("command", [*SHEETS, *SETTINGS])
def test_each_option_of_a_command_has_a_row_in_a_page(command: str) -> None:
    missing = [name for name in options_of(command) if f"\n| `{name}` |" not in PAGES]
    assert not missing


@pytest.mark.parametrize("command", SHEETS)
def test_help_lists_every_key(command: str) -> None:
    text = key_help(command, width=80)
    listed = dict(re.findall(r"^  (\w+)=(.*)$", text, re.MULTILINE))
    values = {name: yaml.safe_load(value) for name, value in listed.items()}
    assert values == {name: option.key_default for name, option in keys_of(command).items()}
    assert max(map(len, text.splitlines())) <= 80 and "`" not in text
    for part in ("\nDrawings:\n", "Radius of the keypoints (pixels, 1 to 1000).", "for 3D models."):
        assert part in text or command != "predict"


def test_help_of_a_command_ends_with_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        posekit(["predict", "--help"])
    assert capsys.readouterr().out.endswith(key_help("predict"))
    with pytest.raises(SystemExit):
        posekit(["--help"])
    assert "kpt_thr" not in capsys.readouterr().out


def test_help_of_a_command_without_a_configuration_has_its_defaults() -> None:
    lines = settings_help("app").splitlines()
    assert {"  jobs=1", "  share=false", "  port=null"} <= set(lines)


def test_flags_of_the_demos_are_options_with_their_defaults() -> None:
    text = " ".join(inferencer.command_parser().format_help().split())
    assert "--tracking-thr TRACKING_THR The least similarity between a person and a track" in text
    assert "--radius RADIUS Radius of the keypoints (pixels, 1 to 1000). Default: 3." in text
    assert "--show-interval SHOW_INTERVAL How long" in " ".join(
        topdown.command_parser().format_help().split()
    )


def test_load_has_the_declared_options_with_their_defaults() -> None:
    parameters = inspect.signature(posekit_load).parameters
    for name, option in LoadOptions.declared().items():
        assert parameters[name].default == option.default
        assert f"\n    {name}: " in (inspect.getdoc(posekit_load) or "")


def test_checking_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == ""
