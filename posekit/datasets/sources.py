"""What a `dataset` configuration means: sources of labels and how each is used."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posekit.config import nearest
from posekit.datasets.archives import is_remote, kept
from posekit.datasets.shards import are_shards
from posekit.errors import InputError
from posekit.skeleton import Skeleton, load_skeleton, read_skeleton

__all__ = ["Dataset", "Source", "is_used", "named_skeleton", "parse_dataset", "parse_sources"]

Mapped = str | int | Sequence[str | int] | None


@dataclass(frozen=True, kw_only=True)
class Source:
    """One annotation file and how to use it.

    Attributes:
        annotations: COCO-style JSON; or shards of images with a JSON beside each, see
            `posekit.datasets.shards`, of this machine or a URL.
        images: the folder that its file names start from, or an archive or shards, see
            `posekit.datasets.archives`; None looks beside the JSON, in `images/` there, and one
            level up.
        skeleton: the skeleton of its keypoints, by name or YAML; None reads the `categories`.
        fields: the keys of an annotation whose keypoints are joined, in order; COCO-WholeBody has
            `[keypoints, foot_kpts, face_kpts, lefthand_kpts, righthand_kpts]`.
        mapping: keypoint of the trained skeleton -> keypoint of the source (name or index), a list
            of several to average, or null for none; those not mentioned are matched by name.
        boxes: a COCO result file of a detector, whose boxes replace the labelled ones; such
            samples have no keypoints and serve for evaluation only.
        box_threshold: detections below this score are dropped.
        categories: names of the categories to use; None for all.
        repeat: how often each sample is used per epoch; 0.5 uses one half in one epoch and the
            other half in the next.
        skip_bad: leave out what is broken (missing images, wrong counts, boxes without area)
            with a warning instead of an error.
        keep: copy archives that are URLs to the cache of this machine, once; False reads them over
            the network, in each epoch again.
    """

    annotations: str
    images: str | None = None
    skeleton: str | None = None
    fields: tuple[str, ...] = ("keypoints",)
    mapping: Mapping[str, Mapped] | None = None
    boxes: str | None = None
    box_threshold: float = 0.0
    categories: tuple[str, ...] | None = None
    repeat: float = 1.0
    skip_bad: bool = False
    keep: bool = False


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A configuration of the group `dataset`.

    Attributes:
        skeleton: the skeleton to train, by name or YAML; None takes the first source's.
        train: sources of the training samples.
        val: sources of the evaluation samples; may be empty.
        metrics: metrics to measure on them; empty for those published for such keypoints.
    """

    skeleton: str | None
    train: tuple[Source, ...]
    val: tuple[Source, ...]
    metrics: tuple[str, ...] = ()


def parse_dataset(config: Any, search: Sequence[Path] = ()) -> Dataset:
    """A `dataset` configuration: `skeleton`, `root`, `train`, `val` and `metrics`.

    Args:
        config: a mapping; relative paths start from its `root`. Or the path of one JSON.
        search: configuration folders to look for skeletons in, before the packaged one.

    Raises:
        InputError: an unknown key, or no `train`.
    """
    if isinstance(config, str):
        config = {"train": config}
    if not isinstance(config, Mapping):
        raise InputError(f"dataset: expected a mapping with 'train', found {config!r}")
    _refuse_unknown("dataset", config, ("skeleton", "root", "train", "val", "metrics"))
    if not config.get("train"):
        raise InputError("dataset.train is missing: name a COCO-style JSON, dataset.train=FILE")
    root = config.get("root")
    metrics = config.get("metrics") or ()
    return Dataset(
        skeleton=_searched_skeleton(config.get("skeleton"), search),
        train=parse_sources(config["train"], "dataset.train", root, search),
        val=parse_sources(config.get("val") or [], "dataset.val", root, search),
        metrics=(metrics,) if isinstance(metrics, str) else tuple(metrics),
    )


def parse_sources(
    value: Any, at: str = "dataset.train", root: Any = None, search: Sequence[Path] = ()
) -> tuple[Source, ...]:
    """One source or several: a JSON's path, a mapping of `Source`'s fields, or a list of these.

    Raises:
        InputError: anything else; the message names the place.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(
            source
            for i, item in enumerate(value)
            for source in parse_sources(item, f"{at}[{i}]", root, search)
        )
    if isinstance(value, Source):
        return (value,)
    if isinstance(value, str | os.PathLike):
        value = {"annotations": value}
    if not isinstance(value, Mapping) or not isinstance(
        value.get("annotations"), str | os.PathLike
    ):
        raise InputError(f"{at}: expected the path of a JSON as 'annotations', found {value!r}")
    _refuse_unknown(at, value, [entry.name for entry in dataclasses.fields(Source)])
    chosen = {key: item for key, item in value.items() if item is not None}
    for key in ("annotations", "images", "boxes"):
        if key in chosen:
            text = os.fspath(chosen[key])
            chosen[key] = text if root is None or "://" in text else os.fspath(Path(root, text))
    _mark_kept(at, chosen)
    if are_shards(chosen["annotations"]):
        chosen.setdefault("images", chosen["annotations"])
    for key in ("fields", "categories"):
        if key in chosen:
            names = chosen[key]
            chosen[key] = (names,) if isinstance(names, str) else tuple(names)
    if "skeleton" in chosen:
        chosen["skeleton"] = _searched_skeleton(chosen["skeleton"], search)
    source = Source(**chosen)
    for key in ("skip_bad", "keep"):
        if not isinstance(value := getattr(source, key), bool):
            raise InputError(f"{at}.{key} must be true or false, found {value!r}")
    if isinstance(source.repeat, bool) or not 0 < source.repeat < 1e6:
        raise InputError(f"{at}.repeat: expected a positive number, found {source.repeat!r}")
    return (source,)


def _mark_kept(at: str, chosen: dict[str, Any]) -> None:
    """Archives that are kept have another name, which leads worker processes to the copies too."""
    if chosen.get("keep") is not True:
        return
    urls = [k for k in ("annotations", "images") if k in chosen and is_remote(chosen[k])]
    if not urls:
        raise InputError(f"{at}.keep is for archives that are URLs, found {chosen['annotations']}")
    for key in urls:
        chosen[key] = kept(chosen[key])


def is_used(source: Source, category: Mapping[str, Any]) -> bool:
    """Whether a category of a file is one of those that are chosen."""
    return source.categories is None or category.get("name") in source.categories


def named_skeleton(name: str) -> Skeleton:
    """A skeleton by its name, or by the path of a YAML."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        return load_skeleton(name)
    return read_skeleton(path)


def _searched_skeleton(name: Any, search: Sequence[Path]) -> Any:
    """The YAML of a skeleton in one of these folders; else the name as it is."""
    paths = (folder / "keypoints" / f"{name}.yaml" for folder in search)
    return next((str(path) for path in paths if path.is_file()), name)


def _refuse_unknown(at: str, config: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in config:
        if key not in known:
            close = nearest(str(key), known)
            hint = f"; did you mean {', '.join(close)}?" if close else ""
            raise InputError(f"{at}: unknown key '{key}'{hint} known are {', '.join(known)}")
