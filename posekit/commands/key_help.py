"""The keys of a command for its `--help`, from its configuration: nothing else need be imported."""

from __future__ import annotations

import re
import shutil
import textwrap

from posekit.config import CONF_DIR

__all__ = ["BELOW", "key_help", "plain"]

# In a command's configuration, below what is not generated.
BELOW = "# Written by `python -m posekit.commands.generated`; options are declared in Python.\n"


def key_help(command: str, width: int | None = None) -> str:
    """The keys with their defaults and meanings, by groups; nothing where they are not declared.

    Args:
        command: stem of a YAML in conf/.
        width: of a line, in characters; None for the terminal's, 100 at most.
    """
    width = min(shutil.get_terminal_size().columns, 100) if width is None else width
    text = (CONF_DIR / f"{command}.yaml").read_text(encoding="utf-8")
    lines: list[str] = []
    comment = ""
    for line in text.partition(BELOW)[2].splitlines():
        key, _, found = line.partition("# ")
        if key == "#":
            lines += ["", f"{found}:"]
            continue
        comment = f"{comment} {found}".strip()
        if key:
            lines.append(f"  {key.strip().replace(': ', '=', 1)}")
            lines += textwrap.wrap(
                plain(comment),
                width,
                initial_indent=" " * 6,
                subsequent_indent=" " * 6,
                break_on_hyphens=False,
            )
            comment = ""
    return "\n".join(lines).lstrip("\n") + "\n" if lines else ""


def plain(markdown: str) -> str:
    """A sentence without marks; a name at its beginning stays as it is."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", markdown.replace("`", "")).removesuffix(".")
    first = text[:1] if markdown.startswith("`") else text[:1].upper()
    return f"{first}{text[1:]}." if text else ""
