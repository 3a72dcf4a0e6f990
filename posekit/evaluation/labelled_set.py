"""The data set that a model is measured on: one of `conf/dataset/`, or the user's own."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posekit.config import CONF_DIR, nearest
from posekit.datasets.sources import Dataset, Source, parse_dataset, parse_sources
from posekit.errors import InputError
from posekit.evaluation.options import EvaluateOptions, Kind
from posekit.plain_yaml import read_yaml

__all__ = ["LabelledSet", "named_set", "read_set"]


@dataclass(frozen=True)
class LabelledSet:
    """Labels to measure on.

    Attributes:
        name: the name by which it was chosen.
        config: its configuration; each instance of its `val` comes once.
        is_published: whether it is a published one of `conf/dataset/`, not the user's own labels.
    """

    name: str
    config: Dataset
    is_published: bool

    @property
    def sources(self) -> tuple[Source, ...]:
        """The files to measure on."""
        return self.config.val


def named_set(options: EvaluateOptions, kind: Kind, search: Sequence[Path]) -> LabelledSet:
    """The data set that a caller in Python names.

    Args:
        options: `dataset`, `root` and `val`, and `config_dir`, which is looked into first.
        kind: kind of the network that is evaluated.
        search: folders of skeletons that come before the packaged ones.

    Raises:
        InputError: there is none of that name, or it is not a data set.
    """
    chosen = options.dataset
    if chosen is None:
        chosen = "coco_boxes" if kind == "detector" else "coco"
        chosen = chosen if options.val is None else "custom"
    name = "custom" if isinstance(chosen, Mapping) else os.fspath(chosen)
    content = chosen if isinstance(chosen, Mapping) else _content(name, options.config_dir)
    given = {key: getattr(options, key) for key in ("root", "val")}
    content = {**content, **{key: value for key, value in given.items() if value is not None}}
    if not content.get("val"):
        raise InputError("val is missing: name a file of labels, val=FILE")
    own = options.val is not None or isinstance(chosen, Mapping)
    return read_set(content, name, search, is_published=not own)


def read_set(
    content: Mapping[str, Any], name: str, search: Sequence[Path], *, is_published: bool
) -> LabelledSet:
    """The data set that a configuration describes.

    Args:
        content: as `posekit.datasets.sources.parse_dataset` takes it.
        name, is_published: see `LabelledSet`.
        search: folders of skeletons that come before the packaged ones.

    Raises:
        InputError: it has no `val`, or is not a data set.
    """
    if not content.get("val"):
        raise InputError("dataset.val is missing: name a COCO-style JSON, dataset.val=FILE")
    sources = tuple(
        dataclasses.replace(source, repeat=1.0)
        for source in parse_sources(content["val"], "dataset.val", content.get("root"), search)
    )
    config = parse_dataset({**content, "train": sources, "val": sources}, search)
    return LabelledSet(name, config, is_published)


def _content(name: str, config_dir: str | os.PathLike[str] | None) -> Mapping[str, Any]:
    """The content of a YAML, given by name or by path."""
    folders = [Path(root, "dataset") for root in (config_dir, CONF_DIR) if root is not None]
    paths = [folder / f"{name}.yaml" for folder in folders]
    if name.endswith((".yaml", ".yml")):
        paths = [Path(name)]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        if Path(name).is_file():
            raise InputError(
                f"dataset: {name} is not a YAML file; for a file of labels use val={name}"
            )
        raise InputError(f"dataset: there is no '{name}'{_hint(name, folders)}")
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: expected a mapping with 'val', found {content!r}")
    if "defaults" in content or any("${" in text for text in _texts(content)):
        raise InputError(
            f"{path}: 'defaults' and ${{...}} are for the command line only: write out "
            "the values, or give the content as dataset={...}"
        )
    return content


def _hint(name: str, folders: Sequence[Path]) -> str:
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    close = nearest(name, known)
    return f"; did you mean {' or '.join(close)}?" if close else f"; known are {', '.join(known)}"


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
