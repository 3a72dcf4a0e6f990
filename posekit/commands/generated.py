"""Writes what follows from declarations into `conf/` and `docs/`; `--check` only compares.

    python -m posekit.commands.generated

In `conf/<command>.yaml`, for the commands of `option_texts.SHEETS`, everything below a line that
says so is written; in `docs/*.md`, everything between `<!-- generated: NAME ... -->` and
`<!-- end -->`, where NAME is one of `MAKERS`: `<!-- generated: options predict DrawOptions -->` is
the table of a group.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

from posekit.angles import ANGLES
from posekit.commands.key_help import BELOW
from posekit.commands.option_texts import SHEETS, argument_table, table, yaml_text
from posekit.config import CONF_DIR
from posekit.counting import EXERCISES

__all__ = ["MAKERS", "generated_files", "main"]

BLOCK = re.compile(r"(<!-- generated: ([^\n]*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def _options(command: str, *groups: str) -> str:
    return table(command, groups)


def _flags(command: str) -> str:
    parser = import_module(f"posekit.commands.{command}").command_parser()
    flags = [f"`{flag}`" for action in parser._actions for flag in action.option_strings[-1:]]
    return textwrap.fill(", ".join(flags), 100, break_on_hyphens=False) + "."


def _angles() -> str:
    rows = [("angle", "of", "meaning and zero"), ("---",) * 3]
    for name, angle in ANGLES.items():
        if name.startswith("left_"):
            continue
        both = name.replace("right_", "left_", 1)
        names = f"`{name}`" if both == name else f"`{name}`, `{both}`"
        rows.append((names, angle.kind, angle.meaning))
    return _table(rows)


def _exercises() -> str:
    rows = [("exercise", "angle", "at rest below", "counts beyond"), ("---",) * 4]
    rows += [
        (f"`{name}`", one.joint, f"{one.rest:g}°", f"{one.bent:g}°")
        for name, one in EXERCISES.items()
    ]
    return _table(rows)


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


# What stands behind `generated:`, the first word, and what makes the text of the others.
MAKERS: dict[str, Callable[..., str]] = {
    "options": _options,
    "arguments": argument_table,
    "flags": _flags,
    "angles": _angles,
    "exercises": _exercises,
}


def generated_files() -> Iterator[tuple[Path, str]]:
    """Each file of the checkout that is written, or has parts that are, and its text."""
    for command in SHEETS:
        path = CONF_DIR / f"{command}.yaml"
        own, found, _ = path.read_text(encoding="utf-8").partition(BELOW)
        if not found:
            raise ValueError(f"{path} has no line: {BELOW}")
        yield path, f"{own}{BELOW}{yaml_text(command)}"
    for path in sorted((CONF_DIR.parent / "docs").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if BLOCK.search(text):
            yield path, BLOCK.sub(_block, text)


def _block(found: re.Match[str]) -> str:
    maker, *words = found[2].replace(",", " ").split()
    return f"{found[1]}{MAKERS[maker](*words)}\n{found[3]}"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status: with `--check`, 1 if a file is out of date."""
    parser = argparse.ArgumentParser(prog="python -m posekit.commands.generated")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if it would")
    check: bool = parser.parse_args(argv).check
    changed = [(path, text) for path, text in generated_files() if text != path.read_text("utf-8")]
    for path, text in changed:
        if not check:
            path.write_text(text, encoding="utf-8")
        print(f"{path}: {'out of date' if check else 'written'}")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
