"""What the evaluations of all kinds of networks share: loading, progress, settings."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from posekit.backends import check_backend
from posekit.backends.files import GraphFile
from posekit.build import select_device
from posekit.datasets.archives import file_size
from posekit.datasets.plain_coco import plain_coco
from posekit.datasets.sources import Source
from posekit.errors import InputError
from posekit.evaluation.options import EvaluateOptions
from posekit.parts import Part
from posekit.version import __version__
from posekit.weights.hub import stand_in
from posekit.weights.load import load_network

__all__ = ["check_images", "device_settings", "load_part", "progress", "restore_ids", "weights_of"]


def load_part(part: Part, search: Sequence[Path], options: EvaluateOptions) -> nn.Module:
    """The network of a part, on the device and in the type that the options ask for.

    Raises:
        PosekitError: the weights cannot be loaded or do not fit, or the device or the engine cannot
            be used here.
    """
    device, dtype = select_device(options.device), getattr(torch, options.dtype_name)
    if options.backend is not None:
        check_backend(options.backend, device, dtype)
    return load_network(
        part.spec, part.weights, search=search, key=part.key, device=device, dtype=dtype
    )


def check_images(paths: Iterable[str]) -> None:
    """Checks that all images are there before hours of work, not in the middle of it.

    Raises:
        InputError: images are missing.
    """
    missing = [path for path in dict.fromkeys(map(str, paths)) if file_size(path) < 0]
    if missing:
        raise InputError(
            f"{len(missing)} images are missing, such as {missing[0]}; name their folder with "
            "dataset.root or 'images', or leave them out with skip_bad: true"
        )


def progress(total: int, unit: str, options: EvaluateOptions) -> tqdm[Any]:
    """A progress bar, if it was asked for and there is a terminal."""
    return tqdm(
        total=total, unit=unit, file=sys.stderr, disable=None if options.show_progress else True
    )


def restore_ids(predictions: Sequence[dict[str, Any]], sources: Sequence[Source]) -> None:
    """Ids that are texts in the file of labels, which were numbered, are texts again."""
    if not predictions or len(sources) != 1:
        return
    coco = plain_coco(sources[0])
    for key, ids in (("image_id", coco.image_ids), ("category_id", coco.category_ids)):
        texts = {number: text for text, number in ids.texts.items()}
        for prediction in predictions if texts else ():
            prediction[key] = texts.get(prediction[key], prediction[key])


def weights_of(part: Part) -> str:
    """Which weights a part has, in words."""
    return stand_in(part.spec.name, part.weights) or str(part.weights or "published")


def device_settings(options: EvaluateOptions, net: nn.Module) -> Mapping[str, Any]:
    """What a network ran on."""
    is_graph = isinstance(net, GraphFile)
    return {
        "device": str(select_device(options.device)),
        "dtype": "the graph's" if is_graph else options.dtype_name,
        "backend": options.backend or ("auto" if is_graph else "eager"),
        "posekit": __version__,
    }
