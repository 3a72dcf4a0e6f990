"""`key=value` words of commands that have no configuration. Imports no torch."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from typing import Any, TypeVar

import yaml

from posekit.commands.key_help import plain
from posekit.commands.option_texts import full_text, options_of, title
from posekit.declared import Declared, Options
from posekit.errors import InputError

__all__ = ["read_settings", "settings_help"]

O = TypeVar("O", bound=Options)  # noqa: E741


def read_settings(words: Sequence[str], group: type[O]) -> O:
    """The options that were typed.

    Raises:
        InputError: a word that is not `key=value`, an unknown key or a wrong value.
    """
    values: dict[str, Any] = {}
    known = group.declared()
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise InputError(f"expected key=value, found '{word}'; known: {', '.join(known)}")
        if key in values:
            raise InputError(f"{key} is given twice")
        values[key] = _value(text, known[key]) if key in known else text
    return group.from_keywords(values)


def _value(text: str, option: Declared) -> Any:
    """As it is typed: `null` for none, `a,b` or `[a,b]` for a list, else as YAML has it."""
    if text in ("null", "") and option.optional:
        return None
    if bool in option.kinds:
        return {"true": True, "false": False}.get(text.lower(), text)
    if list in option.kinds:
        inside = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        return [part.strip() for part in inside.split(",") if part.strip()]
    if option.kinds and set(option.kinds) <= {str, os.PathLike}:
        return text
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"cannot read '{option.name}={text}'") from None
    listed = option.free and isinstance(value, str) and "," in value
    return [part.strip() for part in value.split(",") if part.strip()] if listed else value


def settings_help(command: str) -> str:
    """The keys of a command with their defaults and meanings, as `--help` lists them."""
    lines: list[str] = []
    groups = list(dict.fromkeys(option.group for option in options_of(command).values()))
    for group in reversed(groups):  # its own come first
        lines += ["", f"{title(group)}:"] if len(groups) > 1 else []
        lines += _entries(group, command)
    return "\n".join(lines).lstrip("\n") + "\n"


def _entries(group: type[Options], command: str) -> list[str]:
    lines = []
    for name, option in options_of(command).items():
        if option.group is not group:
            continue
        default = option.default
        if default is None or isinstance(default, bool):  # 1 is equal to True, and is not true
            default = "null" if default is None else str(default).lower()
        lines.append(f"  {name}={default}")
        lines += textwrap.wrap(plain(full_text(option)), 90, initial_indent=" " * 6,
                               subsequent_indent=" " * 6, break_on_hyphens=False)  # fmt: skip
    return lines
