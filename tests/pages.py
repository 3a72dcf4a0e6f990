"""Pages whose code is run: README.md and docs/, each in a folder of its own, from top to bottom.

A block of code in a page is run as its reader would run it, unless an HTML comment before it says
something else:

    <!-- not run: REASON -->    it is not, for a reason that holds wherever the tests run
    <!-- file: NAME -->         it is the content of that file, which is written
    <!-- printed -->            it is what the block before it prints; three dots stand for anything

Python's blocks of a page share their names, as in one session. Commands of posekit run in this
process where they can, for to start PyTorch anew takes longer than what most of them do. Of each
training one epoch is run; where the packaged clip is only drawn, every tenth frame is read.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from posekit.cli import main
from tests.conftest import ROOT
from tests.processes import run_python

__all__ = ["Block", "Reader", "commands_of", "read_page", "split_command", "working_in"]

RUN = ("bash", "python", "sh")
FENCE = re.compile(r"^( *)```([\w+-]*)[^`]*$")
MARK = re.compile(r"^ *<!-- (not run|file|printed)(?:: (.*?))? -->$")
EPOCHS = re.compile(r"\bepochs=\d+")
# Where nothing but the drawing is made of it: tables are worked on afterwards.
WHOLE_CLIP = re.compile(
    r"posekit predict (?!.*\b(start|end|stride|count|formats|smooth)=).*\binputs=posekit:demo\.mp4"
)
EXTRAS = re.compile(r"^([\w-]+) = \[", re.MULTILINE)

# These start processes that begin with the caller's script, or that fork it.
OWN_PROCESS = ("app", "batch", "doctor", "train")
FORKED = ("doctor", "train")  # of them; the process may be one that has imported PyTorch already
ASSIGNMENT = re.compile(r"(\w+)=(.*)", re.DOTALL)
SHELL_ONLY = re.compile(r"[|<>;`]|&&|\$\(|\$\w|^(for|while|if|cd|export) ", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code of a page.

    Attributes:
        language: what stands behind the fence.
        code: without the fences.
        line: of the page, from 1, of the first fence.
        mark: "not run", "file", "printed", or "" for none.
        text: what the mark says.
    """

    language: str
    code: str
    line: int
    mark: str = ""
    text: str = ""

    @property
    def runs(self) -> bool:
        return self.language in RUN and not self.mark


def read_page(path: Path) -> list[Block]:
    """The blocks of a page in their order."""
    found: list[Block] = []
    fence, mark, code, start = "", ("", ""), [], 0
    language, indent = "", 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not fence and (opens := FENCE.match(line)):
            fence, indent, language, start, code = "```", len(opens[1]), opens[2], number, []
        elif fence and line.strip() == fence:
            text = "".join(f"{one[indent:]}\n" for one in code)
            found.append(Block(language, text, start, *mark))
            fence, mark = "", ("", "")
        elif fence:
            code.append(line)
        elif said := MARK.match(line):
            mark = (said[1], said[2] or "")
        elif line.strip():
            mark = ("", "")
    assert not fence, f"{path}: a block that does not end, line {start}"
    return found


def commands_of(code: str) -> list[str]:
    """What a shell takes one by one; a here document is one with its command."""
    lines, found = iter(code.splitlines()), []
    for line in lines:
        while line.endswith("\\"):
            line = f"{line[:-1]} {next(lines).strip()}"
        if ends := re.search(r"<<-?'?(\w+)'?", line):
            for more in lines:
                line += f"\n{more}"
                if more.strip() == ends[1]:
                    break
        if line.strip() and not line.startswith("#"):
            found.append(line)
    return found


def split_command(command: str) -> tuple[dict[str, str], list[str]]:
    """The variables that stand before a command, and its words; none where it takes a shell."""
    words = [] if SHELL_ONLY.search(command) else shlex.split(command, comments=True)
    variables = {}
    while words and (assignment := ASSIGNMENT.fullmatch(words[0])):
        variables[assignment[1]] = assignment[2]
        words = words[1:]
    return variables, words


def check_install(command: str) -> None:
    """No index is asked in tests; what is asked for by name must be there to be asked for."""
    declared = EXTRAS.findall((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for names in re.findall(r"posekit\[([\w,-]+)\]", command):
        missing = {*names.split(",")} - {*declared}
        assert not missing, f"{command}: posekit has no extra {missing}"


def status_of(words: list[str]) -> int:
    try:
        return main(words)
    except SystemExit as ended:  # as `--help` does
        return int(ended.code or 0)


@dataclass
class Reader:
    """Somebody who does what a page says, in a folder that is the working directory.

    Attributes:
        folder: what is in it, the page takes for granted.
        before: for what somebody does by hand, by the beginning of the command that needs it.
        names: of the page's Python.
        ran: commands and snippets so far.
        own_process: commands of posekit that are not run in this process.
        missing: libraries that snippets need and that are not installed here.
    """

    folder: Path
    before: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)
    names: dict[str, object] = field(default_factory=lambda: {"__name__": "__main__"})
    ran: list[str] = field(default_factory=list)
    own_process: tuple[str, ...] = OWN_PROCESS
    missing: list[str] = field(default_factory=list)

    def follow(self, path: Path) -> None:
        """Runs a page's blocks; the first one that fails is an AssertionError with its line."""
        printed = ""
        with working_in(self.folder):
            for block in read_page(path):
                where = f"{path.relative_to(ROOT)}:{block.line}"
                if block.mark == "file":
                    (self.folder / block.text).parent.mkdir(parents=True, exist_ok=True)
                    (self.folder / block.text).write_text(block.code, encoding="utf-8")
                elif block.mark == "printed":
                    assert_printed(block.code, printed, where)
                elif block.runs and block.language == "python":
                    printed = self.run_python(block.code, where)
                elif block.runs:
                    parts = [self.run_command(one, where) for one in commands_of(block.code)]
                    printed = "".join(parts)

    def run_python(self, code: str, where: str) -> str:
        """What a snippet prints; a script, which starts processes, runs in one of its own."""
        self.ran.append(code)
        code = EPOCHS.sub(r"epochs=1", code)
        if 'if __name__ == "__main__":' in code:
            script = self.folder / "script.py"
            script.write_text(code, encoding="utf-8")
            return self._shell(f"python {script.name}", where)
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(code, where, "exec"), self.names)
        except ModuleNotFoundError as error:
            assert error.name and not error.name.startswith("posekit"), where
            self.missing.append(error.name)
        except Exception as error:
            if found := re.search(r"No module named '(\w+)'; pip install ", str(error)):
                self.missing.append(found[1])
                return printed.getvalue()
            raise AssertionError(f"{where}: {type(error).__name__}: {error}\n{code}") from error
        return printed.getvalue()

    def run_command(self, command: str, where: str) -> str:
        """What a command prints."""
        for start, act in self.before.items():
            if command.startswith(start):
                act(self.folder)
        self.ran.append(command)
        command = EPOCHS.sub(r"epochs=1", command)
        if WHOLE_CLIP.match(command):
            command += " stride=10"
        if command.startswith(("pip install", "pipx ", "uvx ")):
            check_install(command)
            return ""
        more, words = split_command(command)
        if words[:2] == ["posekit", "doctor"]:  # it would find that this network is none
            more["HF_HUB_OFFLINE"] = "1"
        forked = {*words[1:2]} & {*FORKED} & {*self.own_process}
        if words[:1] == ["posekit"] and forked and "-m" not in words:
            done = run_python("-m", *words, cwd=self.folder, env={**os.environ, **more})
            assert done.returncode == 0, f"{where}: {command}\n{done.stdout}{done.stderr}"
            return done.stdout
        if not words or words[0] != "posekit" or {*words[1:]} & {*self.own_process, "-m"}:
            return self._shell(command, where)
        printed, errors = io.StringIO(), io.StringIO()
        with (
            _environment(more),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(errors),
        ):
            status = status_of(words[1:])
        assert status == 0, f"{where}: {command}\n{printed.getvalue()}{errors.getvalue()}"
        return printed.getvalue()

    def _shell(self, command: str, where: str) -> str:
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{where}: {command}\n{done.stdout}{done.stderr}"
        return done.stdout


def assert_printed(shown: str, printed: str, where: str) -> None:
    """Three dots stand for what is left out; blanks and ends of lines are the page's own."""
    parts = [re.escape(" ".join(part.split())) for part in shown.split("...")]
    found = " ".join(printed.split())
    assert re.fullmatch(r".*?".join(parts), found), f"{where}: it printed\n{printed}"


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """`contextlib.chdir`, which Python 3.10 lacks."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
