"""`posekit models`: what there is to load. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from posekit.checkpoints import CHECKPOINTS, Checkpoint, Source, not_here
from posekit.config import input_size, read_config, select_models
from posekit.errors import InputError
from posekit.skeleton import load_skeleton
from posekit.table import format_table

__all__ = ["find_models", "markdown_page", "print_aliases", "print_models"]


def find_models(text: str = "", **wanted: Any) -> list[Checkpoint]:
    """Rows of the table.

    Args:
        text: only those that have it in name, official name, aliases or task.
        wanted: what `posekit.list_models` takes.

    Raises:
        InputError: there is none.
    """
    rows = [row for row in select_models(**wanted) if text.lower() in _searchable(row)]
    if not rows:
        given = [f"--{key.replace('_', '-')} {value}" for key, value in wanted.items()]
        asked = " ".join(filter(None, [f"'{text}'" if text else "", *given]))
        raise InputError(f"no model matches {asked}; `posekit models` lists all of them")
    return rows


def print_models(rows: Sequence[Checkpoint]) -> None:
    """Prints name, aliases, task, input size, parameters and headline figure of each model.

    The input's size is height x width, parameters are in millions.
    """
    header = ("name", "aliases", "task", "input", "params", "metric")
    print(format_table(header, [_cells(row) for row in rows]))


def print_aliases(rows: Sequence[Checkpoint]) -> None:
    """Prints each alias, the model behind it and its official configuration."""
    aliases = sorted(
        ((alias, row) for row in rows for alias in row.aliases), key=lambda pair: pair[0]
    )
    cells = [(alias, row.name, row.config, row.task) for alias, row in aliases]
    print(format_table(("alias", "model", "official configuration", "task"), cells))


def _searchable(row: Checkpoint) -> str:
    return " ".join((row.name, *row.configs, row.task, *row.aliases)).lower()


def _cells(row: Checkpoint) -> tuple[str, ...]:
    metric = row.metrics[0] if row.metrics else None
    return (
        row.name,
        ", ".join(row.aliases),
        row.task,
        input_size(row.name),
        _parameters(row),
        f"{metric.dataset} {metric.name} {metric.value:g}" if metric else "",
    )


PAGE = """\
# Models

Generated from the table in `conf/checkpoints/` by `posekit models --markdown`.
Inputs are height x width, parameters are in millions, and figures are those that the authors
publish. The number after the name of a skeleton, which `posekit models --keypoints` takes, is that
of its keypoints.
"""

NOT_HERE = """\
## Not here

What else OpenMMLab publishes, from `conf/not_here.ini`: families that need a network which posekit
does not have, and the nearest model that it has. Loading one by name raises an error that says so.
"""


def markdown_page() -> str:
    """The table as a page of Markdown, a section per task."""
    tasks = sorted({row.task for row in CHECKPOINTS})
    sections = [PAGE]
    for task in tasks:
        rows = [_markdown_cells(row) for row in CHECKPOINTS if row.task == task]
        header = (
            "name", "aliases", "official configuration", "keypoints", "input", "parameters",
            "figures", "training data", "licence", "sources",
        )  # fmt: skip
        lines = [header, ["---"] * len(header), *rows]
        table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
        sections.append(f"## {task}\n\n{table}\n")
    sections.append(_not_here())
    return "\n".join(sections)


def _not_here() -> str:
    header = ("family", "official configurations", "nearest that is here")
    rows = [
        (row.family, ", ".join(f"`{config}`" for config in row.configs), f"`{row.nearest}`")
        for row in not_here()
    ]
    lines = [header, ["---"] * len(header), *rows]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return f"{NOT_HERE}\n{table}\n"


def _markdown_cells(row: Checkpoint) -> tuple[str, ...]:
    return (
        f"`{row.name}`",
        ", ".join(f"`{alias}`" for alias in row.aliases),
        f"`{row.config}`",
        _keypoints(row),
        input_size(row.name),
        _parameters(row),
        "; ".join(f"{m.dataset} {m.name} {m.value:g}" for m in row.metrics),
        row.training_data,
        row.license,
        "; ".join(f"[{_host(source)}]({_url(source)}){_note(source)}" for source in row.sources)
        or "in the package",
    )


def _keypoints(row: Checkpoint) -> str:
    """The skeleton and the number of its keypoints; nothing of a detector."""
    name: str = read_config(row.name).get("keypoints", "")
    return f"{name} ({load_skeleton(name).num_keypoints})" if name else ""


def _parameters(row: Checkpoint) -> str:
    return "" if row.parameters is None else f"{row.parameters:.2f}"


def _host(source: Source) -> str:
    scheme, _, rest = source.location.partition("://")
    return "Hugging Face Hub" if scheme == "hf" else rest.split("/")[0]


def _note(source: Source) -> str:
    return f" (a stand-in, {source.stands_in})" if source.stands_in else ""


def _url(source: Source) -> str:
    """The page of a file of the Hub, or the address of any other."""
    scheme, _, rest = source.location.partition("://")
    if scheme != "hf":
        return source.location
    path, _, revision = rest.partition("@")
    organisation, repository, file = path.split("/", 2)
    return f"https://huggingface.co/{organisation}/{repository}/blob/{revision or 'main'}/{file}"
