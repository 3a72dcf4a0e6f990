"""Completions of a shell: the script is what a real bash takes, and completes with."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from posekit.cli import main
from posekit.commands.completions import words_of

pytest.importorskip("shtab")
BASH, ZSH, FISH, TCSH = (shutil.which(shell) or "" for shell in ("bash", "zsh", "fish", "tcsh"))
needs_bash = pytest.mark.skipif(not BASH, reason="there is no bash")


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completions", "bash"]) == 0
    path = tmp_path / "posekit.bash"
    path.write_text(capsys.readouterr().out)
    return path


def complete(script: Path, *words: str) -> list[str]:
    """What bash offers for the last word, its words cut as bash cuts them."""
    code = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        '_shtab_posekit; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        [BASH, "--norc", "-c", code, "bash", str(script), "posekit", *words],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@needs_bash
def test_bash_reads_the_script(script: Path) -> None:
    assert subprocess.run([BASH, "-n", script], timeout=300).returncode == 0


@needs_bash
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["pre"], ["predict"]),
        (["predict", "kpt"], ["kpt_thr="]),
        (["predict", "model=human", "kpt"], ["kpt_thr="]),
        (["predict", "track", "=", "o"], ["oks"]),
        (["predict", "track", "="], ["none", "iou", "oks", "null"]),
        (["predict", "track=o"], ["track=oks"]),
        (["predict", "draw_bbox", "=", ""], ["true", "false"]),
        (["predict", "model", "=", "wholeb"], ["wholebody", "wholebody3d"]),
        (["predict", "detector", "=", "whole"], ["whole_image"]),
        (["predict", "inputs", "=", "no such"], []),
        (["export", "quant"], ["quantize="]),
        (["train", "recipe", "=", "rtmd"], ["rtmdet"]),
        (["batch", "runner", "="], ["local", "ray", "slurm"]),
        (["predict", "--c"], ["--config-dir", "--config-name", "--cfg"]),
        (["models", "kpt"], []),
        (["push", "runs/mine", "org/mine", "pri"], ["private="]),
        (["push", "runs/mine", "org/mine", "dry_run", "=", ""], ["true", "false"]),
        (["download", "human", "to"], ["to="]),
        (["mirror", "org", "pu"], ["push="]),
    ],
    ids=" ".join,
)
def test_what_bash_offers(script: Path, words: list[str], offered: list[str]) -> None:
    assert complete(script, *words) == offered


@contextmanager
def typing_to(*words: str, folder: Path, term: str = "dumb") -> Iterator[int]:
    """The terminal of a shell that was started in a folder."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execve(words[0], words, {"PS1": "$ ", "TERM": term, "HOME": str(folder)})
    try:
        yield terminal
    finally:
        os.close(terminal)
        os.waitpid(process, 0)


@needs_bash
def test_a_user_types_and_presses_tab(script: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with typing_to(BASH, "--norc", "-i", folder=tmp_path) as terminal:
        os.write(terminal, f". {script}; echo it is re''ad\n".encode())
        assert "it is read" in _shown(terminal, until="it is read")
        typed = "posekit predict kp\t0.5 model=body2\tinputs=pho\t\n"
        os.write(terminal, typed.encode())
        line = "posekit predict kpt_thr=0.5 model=body26 inputs=photo.jpg"
        assert line in _shown(terminal, until=line)


@pytest.mark.skipif(not ZSH, reason="there is no zsh")
def test_a_user_of_zsh_presses_tab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completions", "zsh"]) == 0
    (tmp_path / "_posekit").write_text(capsys.readouterr().out)
    with typing_to(ZSH, "-f", "-i", folder=tmp_path) as terminal:
        ready = (
            f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -D; echo it is re''ad\n"
        )
        os.write(terminal, ready.encode())
        assert "it is read" in _shown(terminal, until="it is read")
        os.write(terminal, b"posekit predict kp\t0.5 model=body2\t\x01echo \n")
        line = "\nposekit predict kpt_thr=0.5 model=body26"  # what echo printed
        assert line in _shown(terminal, until=line)


@pytest.mark.skipif(not TCSH, reason="there is no tcsh")
def test_a_user_of_tcsh_presses_tab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completions", "tcsh"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "photo.jpg").touch()
    with typing_to(TCSH, "-f", folder=tmp_path, term="vt100") as terminal:  # a dumb one has no Tab
        os.write(terminal, b"source script; echo it is re''ad\n")
        assert "it is read" in _shown(terminal, until="it is read")
        os.write(terminal, b"posekit predict kp\t0.5 model=body2\tinputs=pho\tmax_peo\t\x01echo \n")
        line = "\nposekit predict kpt_thr=0.5 model=body26 inputs=photo.jpg max_people="
        assert line in _shown(terminal, until=line)


def test_no_rule_of_tcsh_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completions", "tcsh"]) == 0
    rules = capsys.readouterr().out.partition("complete posekit")[2].splitlines()
    assert len(rules) > 100 and max(map(len, rules)) < 3000


@pytest.mark.skipif(not FISH, reason="there is no fish")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("pre", ["predict"]),
        ("predict kpt", ["kpt_thr="]),
        ("predict model=wholeb", ["model=wholebody", "model=wholebody3d"]),
        ("predict draw_bbox=", ["draw_bbox=false", "draw_bbox=true"]),
        ("predict inputs=pho", ["inputs=photo.jpg"]),
        ("predict --config-d", ["--config-dir"]),
        ("models kpt", []),
    ],
)
def test_what_fish_offers(
    typed: str, offered: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completions", "fish"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "photo.jpg").touch()
    done = subprocess.run(
        [FISH, "-c", f"source script; complete -C 'posekit {typed}'"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == offered


def _shown(terminal: int, *, until: str) -> str:
    """What a terminal shows, up to a text or for minutes."""
    shown, end = "", time.monotonic() + 300
    while until not in shown and time.monotonic() < end:
        ready, _, _ = select.select([terminal], [], [], 1)
        if ready:
            shown += os.read(terminal, 4096).decode(errors="replace")
    return shown


@pytest.mark.parametrize("shell", ["zsh", "fish", "tcsh"])
def test_other_shells_have_the_words_too(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completions", shell]) == 0
    script = capsys.readouterr().out
    for part in ("kpt_thr", "wholebody", "one-euro"):
        assert part in script
    path = shutil.which(shell)
    if path is not None:
        words = [path, "-n", *(["/dev/stdin"] if shell == "fish" else [])]
        checked = subprocess.run(words, input=script, text=True, capture_output=True)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_every_key_of_a_command_is_known() -> None:
    words = words_of("predict")
    assert words["smooth"] == ("one-euro", "savgol", "butterworth", "null")
    assert words["on_error"] == ("raise", "skip")
    assert set(words["detector"]) >= {"none", "whole_image", "rtmdet-nano_person-320"}
    assert "human3d" in words["model"] and "human3d" not in words["pose2d"]
