"""Configurations and pages say of options what their declarations say."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from posekit.commands.generated import generated_files, main
from posekit.commands.option_texts import SHEETS, keys_of, options_of
from posekit.config import CONF_DIR

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


@pytest.mark.parametrize("command", SHEETS)
def test_each_option_of_a_command_has_a_row_in_a_page(command: str) -> None:
    missing = [name for name in options_of(command) if f"\n| `{name}` |" not in PAGES]
    assert not missing


def test_checking_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == ""
