"""What docs/biomechanics.md shows is what is written; `test_pages.py` runs it with its models."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import posekit
from posekit.cli import main
from tests.conftest import ROOT
from tests.io.test_people_formats import names_in, write
from tests.pages import commands_of, read_page
from tests.people import figure, packet
from tests.test_stream import make_video

TEXT = (ROOT / "docs" / "biomechanics.md").read_text(encoding="utf-8")
BLOCKS = [block for block in read_page(ROOT / "docs" / "biomechanics.md") if block.runs]
LINES = [line for block in BLOCKS if block.language == "bash" for line in commands_of(block.code)]
COMMANDS = [shlex.split(line)[1:] for line in LINES]
SNIPPETS = [block.code for block in BLOCKS if block.language == "python"]


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] == "predict"])
def test_commands_are_composed(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--cfg"]) == 0
    assert "formats:" in capsys.readouterr().out


def test_the_conversion_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    (words,) = (words for words in COMMANDS if words[0] == "convert")
    monkeypatch.chdir(tmp_path)
    frames = [packet(number, {0: figure()}) for number in range(3)]
    write(tmp_path, frames, ["parquet"])
    table = tmp_path / words[1]
    table.parent.mkdir(parents=True)
    (tmp_path / "walk.parquet").rename(table)
    assert main(words) == 0
    assert names_in(table.parent) == [
        "squat.parquet", "walk.angles.csv", "walk_person00.mot", "walk_person00.trc",
    ]  # fmt: skip


def shown(folder: Path) -> str:
    """The first lines of the files of a person who bends the knees, the first cells of each."""
    # Right angles, of which no digit differs between processors.
    bends = [packet(number, {0: figure(shank=-90 - 90 * (number % 2))}) for number in range(3)]
    write(folder, bends, angles="knee", person_height=1.75)
    table = (folder / "walk.angles.csv").read_text().splitlines()
    rows = [row.split(",") for row in table]
    chosen = [rows[0].index(name) for name in ("time", "track_id", "right_knee", "left_knee")]
    parts = ["walk.angles.csv (some of its columns)"]
    parts += [",".join(row[column] for column in chosen) for row in rows]
    parts += ["", "walk_person00.trc (its first columns)"]
    lines = (folder / "walk_person00.trc").read_text().splitlines()
    parts += ["\t".join(line.split("\t")[:8]).rstrip() for line in lines]
    parts += ["", "walk_person00.mot", *(folder / "walk_person00.mot").read_text().splitlines()]
    return "\n".join(parts).expandtabs(14)


def test_the_page_shows_what_is_written(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```text\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert [line.rstrip() for line in text.splitlines()] == [
        line.rstrip() for line in shown(tmp_path).splitlines()
    ]


@pytest.mark.parametrize("code", SNIPPETS)
def test_snippets_run(
    code: str, small: posekit.Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(re.findall(r'posekit\.load\("(.*?)"\)', code)) <= {"human", "body26"}
    monkeypatch.setattr(posekit, "load", lambda _: small)
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "squat.mp4", 3)
    exec(compile(code, "docs/biomechanics.md", "exec"), {})
