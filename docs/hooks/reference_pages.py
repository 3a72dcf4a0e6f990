"""The reference: commands and their keys from declarations, Python from docstrings. No mkdocs."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import posekit
from posekit import cli
from posekit.commands.option_texts import (
    SETTINGS,
    SHEETS,
    default_text,
    options_of,
    title,
    values_text,
)
from posekit.declared import Declared

__all__ = ["MODULES", "navigation", "pages", "public_names"]

# Commands of their own names, and the modules that have their flags.
DEMOS = {"posekit-inferencer": "inferencer", "posekit-topdown": "topdown"}

# Pages of Python: file, title, a line, and the modules whose public names stand there;
# behind a colon, those of a module that users meet.
MODULES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        "results",
        "Results and skeletons",
        "What a predictor gives, and what names and links keypoints.",
        ("posekit.result", "posekit.skeleton"),
    ),
    ("errors", "Errors", "All errors that posekit raises for users.", ("posekit.errors",)),
    (
        "movement",
        "Tracks, filters, angles",
        "People over time.",
        (
            "posekit.stages.track",
            "posekit.stages.smooth",
            "posekit.stages.butterworth",
            "posekit.angles",
            "posekit.counting",
            "posekit.animation.motion",
        ),
    ),
    (
        "bridges",
        "Bridges",
        "Results as objects of other libraries.",
        (
            "posekit.bridges.supervision",
            "posekit.bridges.sleap_io",
            "posekit.bridges.movement",
            "posekit.bridges.pose_format",
            "posekit.bridges.nwb",
            "posekit.bridges.rerun",
            "posekit.bridges.fiftyone",
            "posekit.bridges.cvat",
            "posekit.bridges.results",
        ),
    ),
    (
        "formats",
        "Formats of files",
        "What a format of results of your own must have.",
        ("posekit.io.sinks",),
    ),
    (
        "serving",
        "Serving",
        "Single images of many callers.",
        ("posekit.serving.service", "posekit.serving.requests:ServiceStatistics"),
    ),
    (
        "training",
        "Training",
        "The parts of a training: losses, tasks, optimisers, the loop.",
        (
            "posekit.training.run",
            "posekit.training.tasks",
            "posekit.training.learner",
            "posekit.training.losses",
            "posekit.training.one_stage_loss",
            "posekit.training.assign",
            "posekit.training.augment",
            "posekit.training.optim",
            "posekit.training.export",
        ),
    ),
    (
        "datasets",
        "Data sets",
        "Labels, samples, drawn people.",
        (
            "posekit.datasets.sources",
            "posekit.datasets.labels",
            "posekit.datasets.pose_samples",
            "posekit.datasets.synthetic",
        ),
    ),
    (
        "evaluation",
        "Evaluation",
        "Measures, and what they are measured with.",
        (
            "posekit.evaluation.evaluate",
            "posekit.evaluation.poses",
            "posekit.evaluation.detectors",
            "posekit.evaluation.lifters",
            "posekit.evaluation.keypoint_ap",
            "posekit.evaluation.box_ap",
            "posekit.evaluation.keypoints",
            "posekit.evaluation.pose_metrics",
            "posekit.evaluation.pose3d",
        ),
    ),
    (
        "mmpose",
        "MMPose's interfaces",
        "For programs that were written for MMPose.",
        ("posekit.apis", "posekit.structures"),
    ),
)


def navigation() -> list[Any]:
    """The reference in the site's navigation."""
    return [
        "reference/index.md",
        {"Commands": [{name: _command_page(name)} for name in [*_commands(), *DEMOS]]},
        {
            "Python": [
                {"posekit": "reference/python/posekit.md"},
                *({title: _python_page(file)} for file, title, _, _ in MODULES),
            ]
        },
    ]


def pages() -> Iterator[tuple[str, str]]:
    """Each page's path in docs/, and its text."""
    commands = _commands()
    yield "reference/index.md", _index(commands)
    for name, (parser, _) in commands.items():
        yield _command_page(name), _command_text(name, parser)
    for name, module in DEMOS.items():
        parser = import_module(f"posekit.commands.{module}").command_parser()
        yield _command_page(name), _command_text(name, parser)
    yield "reference/python/posekit.md", _posekit_text()
    for file, heading, line, modules in MODULES:
        yield _python_page(file), _modules_text(heading, line, modules)


def _command_page(name: str) -> str:
    return f"reference/commands/{name}.md"


def _python_page(file: str) -> str:
    return f"reference/python/{file}.md"


def _commands() -> dict[str, tuple[argparse.ArgumentParser, str]]:
    """The commands of `posekit`: their parsers, and a line on each."""
    for action in cli._parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            lines = {choice.dest: choice.help or "" for choice in action._choices_actions}
            return {name: (parser, lines[name]) for name, parser in action.choices.items()}
    raise LookupError("posekit has no commands")


def _index(commands: dict[str, tuple[argparse.ArgumentParser, str]]) -> str:
    lines = ["# Reference", "", "Made of the declarations and docstrings of this version.", ""]
    lines += ["## Commands", "", "| command | what it does |", "| --- | --- |"]
    lines += [f"| [`posekit {n}`](commands/{n}.md) | {line} |" for n, (_, line) in commands.items()]
    lines += [
        f"| [`{name}`](commands/{name}.md) | the flags of a demo of MMPose |" for name in DEMOS
    ]
    lines += ["", "## Python", "", "| page | what is there |", "| --- | --- |"]
    lines += ["| [`posekit`](python/posekit.md) | what most programs need |"]
    lines += [f"| [{heading}](python/{file}.md) | {line} |" for file, heading, line, _ in MODULES]
    return "\n".join(lines) + "\n"


def _command_text(name: str, parser: argparse.ArgumentParser) -> str:
    full = name if name in DEMOS else f"posekit {name}"
    lines = [f"# {full}", "", _prose(parser.description or ""), ""]
    lines += ["## Usage", "", "```text", _usage(parser), "```", ""]
    lines += _arguments(parser)
    if name in SHEETS | SETTINGS:
        lines += _keys(name)
    return "\n".join(lines) + "\n"


def _prose(text: str) -> str:
    """A command's description in Markdown: its indented lines are a block of code."""
    blocks: list[tuple[bool, list[str]]] = []
    for line in text.strip().splitlines():
        is_code = line.startswith("  ")
        if not line.strip() and blocks:
            blocks[-1][1].append("")
        elif blocks and blocks[-1][0] == is_code:
            blocks[-1][1].append(line)
        else:
            blocks.append((is_code, [line]))
    parts = []
    for is_code, lines in blocks:
        inside = "\n".join(line.removeprefix("  ") for line in lines).strip()
        parts.append(f"```bash\n{inside}\n```" if is_code else _escaped(inside))
    return "\n\n".join(parts)


def _usage(parser: argparse.ArgumentParser) -> str:
    text = re.sub(r"\s+", " ", parser.format_usage().removeprefix("usage:")).strip()
    if len(text) <= 80:
        return text
    words = re.findall(r"\[[^]]*\](?: \.\.\.\])?|\{[^}]*\}|\S+", text)
    lines, line = [], ""
    for word in words:
        if line and len(line) + len(word) + 1 > 80:
            lines.append(line)
            line = "   "
        line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])


def _arguments(parser: argparse.ArgumentParser) -> list[str]:
    """What is typed besides keys."""
    rows = []
    for action in parser._actions:
        if action.help in (None, argparse.SUPPRESS) or isinstance(action, argparse._HelpAction):
            continue  # what `key=value` means, the keys say
        names = ", ".join(f"`{flag}`" for flag in action.option_strings)
        names = names or f"`{action.metavar or action.dest}`"
        value = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
        choices = ", ".join(f"`{choice}`" for choice in action.choices or ())
        shown = choices or (f"`{value}`" if value and action.option_strings else "")
        meaning = _cell((action.help or "").replace("%%", "%"))
        if "%(" in meaning:
            meaning = _cell(action.help % (vars(action) | {"prog": parser.prog}))
        rows.append(f"| {names} | {shown} | {meaning} |")
    if not rows:
        return []
    return ["## Arguments", "", "| argument | value | meaning |", "| --- | --- | --- |", *rows, ""]


def _keys(command: str) -> list[str]:
    lines = ["## Keys", ""]
    lines += ["Typed as `key=value`; those that say so are arguments in Python only.", ""]
    options = options_of(command)
    for group in dict.fromkeys(option.group for option in options.values()):
        lines += [f"### {title(group)}", ""]
        for option in options.values():
            if option.group is group:
                lines += _key(option)
    return lines


def _key(option: Declared) -> list[str]:
    text = option.text(measure=False)
    first = text if text.startswith("`") else f"{text[:1].upper()}{text[1:]}"
    facts = [f"default {default_text(option)}", values_text(option)]
    facts += ["in Python only"] if option.about.python else []
    return [
        f"#### `{option.name}` {{ #{option.name} .key }}",
        "",
        f"{' · '.join(filter(None, facts))}",
        "{ .facts }",
        "",
        f"{first}.",
        "",
    ]


def _posekit_text() -> str:
    lines = ["# posekit", "", "What `import posekit` gives.", ""]
    names = [name for name in posekit.__all__ if not name.startswith("__")]
    functions = [name for name in names if name[0].islower()]
    classes = [name for name in names if not name[0].islower()]
    first = ["load", "Predictor", "PoseResult"]
    ordered = [*first, *(name for name in [*functions, *classes] if name not in first)]
    for name in ordered:
        lines += [f"::: posekit.{name}", ""]
    return "\n".join(lines)


def _modules_text(heading: str, line: str, modules: Sequence[str]) -> str:
    lines = [f"# {heading}", "", line, ""]
    for place in modules:
        module, names = public_names(place)
        lines += [f"::: {module}", "    options:", "      show_root_full_path: true"]
        lines += [f"      members: [{', '.join(names)}]", ""]
    return "\n".join(lines)


def public_names(place: str) -> tuple[str, list[str]]:
    """A module, and its names that are shown."""
    module, _, names = place.partition(":")
    known = names.split(",") if names else import_module(module).__all__
    return module, [name for name in known if not name.startswith("_")]


def _escaped(text: str) -> str:
    """As Markdown takes it for text."""
    return re.sub(r"(?<![\w`])([<*_])", r"\\\1", text)


def _cell(text: str) -> str:
    return _escaped(" ".join(text.split())).replace("|", r"\|")
