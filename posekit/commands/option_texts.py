"""What commands and pages say of options, made of their declarations. Imports no torch."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import yaml

from posekit.declared import Declared, Options

__all__ = [
    "SETTINGS",
    "SHEETS",
    "argument_table",
    "default_text",
    "full_text",
    "groups_of",
    "keys_of",
    "options_of",
    "path_keys",
    "table",
    "title",
    "values_text",
    "yaml_text",
]

# The groups of each command's keys, in the order of its configuration: where they are declared, as
# `module:name` of a group or of a tuple of groups.
SHEETS: dict[str, tuple[str, ...]] = {
    "predict": ("posekit.options:PREDICT_KEYS",),
    "batch": (
        "posekit.batching.options:BATCH_KEYS",
        "posekit.batching.options:BatchChoices",
    ),
    "bench": (
        "posekit.benchmarking.options:BENCH_KEYS",
        "posekit.benchmarking.options:BenchChoices",
    ),
    "train": ("posekit.training.options:TRAIN_KEYS", "posekit.training.options:DataOptions"),
    "export": ("posekit.exporting.options:ExportOptions",),
    "evaluate": ("posekit.evaluation.options:EvaluateOptions",),
}
# Commands without a configuration, whose keys stand behind names.
SETTINGS: dict[str, tuple[str, ...]] = {
    "app": ("posekit.app.options:AppOptions",),
    "convert": ("posekit.converting:ConvertOptions",),
    "download": ("posekit.publishing.options:DownloadOptions",),
    "labels": ("posekit.labelling.options:LabelsOptions",),
    "mirror": ("posekit.publishing.options:MirrorOptions",),
    "push": ("posekit.publishing.options:PushOptions",),
}
WIDTH = 100


def groups_of(command: str) -> list[type[Options]]:
    """The groups of a command's options, in the order of its configuration."""
    found: list[type[Options]] = []
    for place in (SHEETS | SETTINGS)[command]:
        module, _, name = place.partition(":")
        groups = getattr(import_module(module), name)
        found += groups if isinstance(groups, tuple) else (groups,)
    return found


def options_of(command: str) -> dict[str, Declared]:
    """All options of a command by name, also those for Python only."""
    found: dict[str, Declared] = {}
    for group in groups_of(command):
        found |= group.declared()
    return found


def keys_of(command: str) -> dict[str, Declared]:
    """The keys of a command's configuration by name."""
    return {k: option for k, option in options_of(command).items() if not option.about.python}


def path_keys(command: str) -> list[str]:
    """The keys of a command whose values are paths."""
    return [name for name, option in keys_of(command).items() if os.PathLike in option.kinds]


def yaml_text(command: str) -> str:
    """Keys, defaults and comments, a paragraph per group."""
    lines = []
    for group, options in _by_group(keys_of(command)):
        lines += ["", f"## {title(group)}"]
        for option in options:
            line = f"{option.name}: {_as_yaml(option.key_default)}"
            text = full_text(option)
            comment = f"  # {text}"
            if len(line + comment) > WIDTH:
                sentence = f"{text[0].upper()}{text[1:]}."
                width = WIDTH - len("# ")
                wrapped = textwrap.wrap(
                    sentence, width, break_on_hyphens=False, break_long_words=False
                )
                lines += [f"# {part}" for part in wrapped]
                comment = ""
            lines.append(line + comment)
    return "\n".join(lines).lstrip("\n") + "\n"


def full_text(option: Declared) -> str:
    """What an option means, with the names of its values if the meaning does not list them."""
    text = option.text()
    known = [f"`{choice}`" for choice in option.choices]
    said = all(choice.strip("`") in text for choice in known)
    return text if said else f"{text}; one of {', '.join(known)}"


def table(command: str, groups: Sequence[str]) -> str:
    """A table in Markdown of some groups of options, by the names of their classes."""
    options = options_of(command)
    if unknown := set(groups) - {option.group.__name__ for option in options.values()}:
        raise ValueError(f"{command} has no options of the groups {', '.join(sorted(unknown))}")
    rows: list[tuple[str, ...]] = [("option", "default", "values", "meaning"), ("---",) * 4]
    for group in groups:
        rows += [_row(option) for option in options.values() if option.group.__name__ == group]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def argument_table() -> str:
    """The arguments of a call of MMPose's inferencer, as in MMPose's guide."""
    from posekit.mmpose.arguments import ARGUMENTS, OPTIONS, only_of

    rows: list[tuple[str, ...]] = [("argument", "default", "2D", "3D", "posekit"), ("---",) * 5]
    for name, argument in ARGUMENTS.items():
        ticks = ("✔" if only_of(name) in ("", kind) else "" for kind in ("2D", "3D"))
        default = argument.shown or _in_words(OPTIONS[name].default)
        rows.append((f"`{name}`", default, *ticks, argument.note))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(option: Declared) -> tuple[str, ...]:
    python = "; Python" if option.about.python else ""
    meaning = option.text(measure=False) + python
    return (f"`{option.name}`", default_text(option), values_text(option), meaning)


def _by_group(options: dict[str, Declared]) -> Iterator[tuple[type[Options], list[Declared]]]:
    for group in dict.fromkeys(option.group for option in options.values()):
        yield group, [option for option in options.values() if option.group is group]


def title(group: type[Options]) -> str:
    """What a group is called: the first line of its docstring."""
    return (group.__doc__ or group.__name__).partition("\n")[0].rstrip(".")


def _as_yaml(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def _in_words(value: Any) -> str:
    return "none" if value is None else f"`{_as_yaml(value)}`"


def default_text(option: Declared) -> str:
    """Its default in Python and, if that differs, on the command line, in Markdown."""
    python, key = _in_words(option.default), _in_words(option.key_default)
    return python if python == key else f"{python}; {key} on the command line"


def values_text(option: Declared) -> str:
    """What it may be, with its unit, in Markdown; empty if that is too long for a line."""
    unit = f" ({option.about.unit})" if option.about.unit else ""
    return _values(option) + unit


def _values(option: Declared) -> str:
    if option.free and not option.choices:
        return ""
    about, named = option.about, [f"`{choice}`" for choice in option.choices]
    if option.free and about.least is not None and about.most is not None:
        return ", ".join([f"a number from {about.least:g} to {about.most:g}", *named])
    kinds = [option.expected_kinds.replace("a text or a path", "a path")] if option.kinds else []
    return ", ".join([*named, *kinds])
