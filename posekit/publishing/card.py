"""Model cards for the Hub: what is known about a model, and how to load it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from posekit.skeleton import Skeleton
from posekit.version import __version__

__all__ = ["OWN_SENTENCE", "Figure", "Subject", "card_text", "is_own_card"]

# What a card says that posekit may write over; one of another hand does not.
OWN_SENTENCE = "This card is written by posekit."
MOST_ROWS = 200  # of keypoints


@dataclass(frozen=True)
class Figure:
    """A measured figure: a metric and its value on `dataset`, as those who measured call it."""

    dataset: str
    name: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a card is about.

    Attributes:
        name: name of the model.
        repository: `organisation/name`.
        group: "model", "detector" or "lifter".
        skeleton: what it finds; None for a detector.
        classes: classes of a detector.
        figures: what was measured.
        figures_note: who measured.
        license: licence of the weights, as the Hub names it; None if unknown.
        about: further lines, such as the training data.
        pictures: file in the repository -> what it shows.
        load: arguments of `posekit.load` in the snippet.
    """

    name: str
    repository: str
    group: str
    skeleton: Skeleton | None
    classes: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    figures_note: str = ""
    license: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, str] = field(default_factory=dict)

    @property
    def snippet(self) -> str:
        """Python that loads the model from the Hub."""
        address = f"hf://{self.repository}"
        if self.group == "detector":
            return f'predictor = posekit.load("human", detector="{address}")'
        return f'predictor = posekit.load("{address}")'


def is_own_card(text: str) -> bool:
    """Whether a card was written by posekit or is empty, so that no one's words are lost."""
    body = re.sub(r"\A---\n.*?\n---\n", "", text.replace("\r\n", "\n"), flags=re.DOTALL)
    return not body.strip() or OWN_SENTENCE in body


def card_text(subject: Subject) -> str:
    """The card: metadata as YAML, then Markdown."""
    lines = ["---", _metadata(subject).strip(), "---", "", f"# {subject.name}", ""]
    lines += [f"A model of posekit {__version__}, `pip install posekit`. {OWN_SENTENCE}", ""]
    lines += _loading(subject)
    lines += [f"![{text}]({file})\n" for file, text in subject.pictures.items()]
    lines += [f"- {key}: {_in_a_line(value)}" for key, value in subject.about.items()]
    lines += [f"- licence of the weights: {subject.license or 'not stated'}", ""]
    if subject.figures:
        lines += [subject.figures_note, "", "| data set | metric | value |", "| --- | --- | --- |"]
        lines += [f"| {_cell(f.dataset)} | {_cell(f.name)} | {f.value:.4g} |"
                  for f in subject.figures]  # fmt: skip
        lines.append("")
    if subject.skeleton is not None:
        lines += _keypoints(subject.skeleton)
    elif subject.classes:
        lines += [f"Classes: {', '.join(map(_cell, subject.classes[:MOST_ROWS]))}", ""]
    return "\n".join(lines)


def _loading(subject: Subject) -> list[str]:
    use = 'for result in predictor("photo.jpg"):\n    print(result["predictions"][0])'
    return ["```python", "import posekit", "", subject.snippet, use, "```", ""]


def _keypoints(skeleton: Skeleton) -> list[str]:
    names = skeleton.names
    rows = [
        f"| {i} | {_cell(name)} | {'' if there == i else _cell(names[there])} |"
        for i, (name, there) in enumerate(zip(names, skeleton.flip_indices, strict=True))
    ]
    more = [f"\nand {len(rows) - MOST_ROWS} more"] if len(rows) > MOST_ROWS else []
    head = [f"{len(names)} keypoints, `{skeleton.name}`:", "",
            "| number | keypoint | its mirror image |", "| --- | --- | --- |"]  # fmt: skip
    return [*head, *rows[:MOST_ROWS], *more, ""]


def _metadata(subject: Subject) -> str:
    from huggingface_hub import EvalResult, ModelCardData  # they take a second

    task = "object-detection" if subject.skeleton is None else "keypoint-detection"
    results = [
        EvalResult(
            task_type=task,
            dataset_type=re.sub(r"[^a-z0-9]+", "-", figure.dataset.lower()).strip("-") or "own",
            dataset_name=figure.dataset,
            metric_type=re.sub(r"[^a-z0-9@.]+", "_", figure.name.lower()).strip("_") or "metric",
            metric_name=figure.name,
            metric_value=float(f"{figure.value:.6g}"),
        )
        for figure in subject.figures
    ]
    tags = [] if subject.skeleton is None else ["pose-estimation", subject.skeleton.name]
    data = ModelCardData(
        library_name="posekit",
        pipeline_tag=task,
        license=subject.license,
        tags=[*tags, *(["3d"] if subject.group == "lifter" else [])] or None,
        model_name=subject.name if results else None,
        eval_results=results or None,
    )
    text: str = data.to_yaml()
    return text


def _in_a_line(value: Any) -> str:
    return " ".join(str(value).split())


def _cell(text: str) -> str:
    """Within a table of Markdown."""
    return _in_a_line(text).replace("|", "\\|").replace("<", "&lt;")
