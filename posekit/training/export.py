"""A trained model as a self-contained folder: weights, configuration, skeleton, card.

model.safetensors        weights, float32; metadata: the name, the names of keypoints or classes
model/NAME.yaml          or detector/, lifter/
keypoints/SKELETON.yaml  where the model has keypoints
metrics.json             on the validation set; null where there was none
about.json               what was trained from what, for the card
README.md                the model card
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save
from torch import Tensor

from posekit.config import CONF_DIR, model_names
from posekit.datasets.shards import label_name
from posekit.errors import InputError, OutputError
from posekit.skeleton import Skeleton
from posekit.spec import DetectorSpec, Spec
from posekit.training.checkpoint import written_whole
from weights_convert.dataset_meta import DatasetMeta

__all__ = ["OWN_CARD", "export_model", "model_name", "skeleton_yaml"]

OWN_CARD = "The name below is the path of this folder."  # what no card of somebody's own says


def model_name(config: Mapping[str, Any]) -> str:
    """The name of a trained model: `config["name"]`, or made of the network, its data, its size.

    A name made so is never that of a packaged configuration.

    Raises:
        InputError: a name that cannot be a file's.
    """
    name = config["name"]
    if name is None:
        base: str = config["names"]["model"]
        size = re.search(r"-(\d+(x\d+)?)$", base)
        train = config["dataset"]["train"]
        while not isinstance(train, str):  # sources, the first of several
            train = train["annotations"] if isinstance(train, Mapping) else train[0]
        stem = re.sub(r"[^a-z0-9-]+", "-", label_name(train).lower()).strip("-") or "own"
        name = f"{base.partition('_')[0]}_{stem}{size[0] if size else ''}"
        if name in model_names():
            name = f"{base.partition('_')[0]}_{stem}-own{size[0] if size else ''}"
    if not isinstance(name, str) or not re.fullmatch(r"[\w][\w.-]*", name):
        raise InputError(f"name: expected letters, digits, '-', '_' and '.', found {name!r}")
    return name


def export_model(
    folder: Path,
    name: str,
    *,
    spec: Spec,
    state: Mapping[str, Tensor],
    skeleton: Skeleton | None,
    metrics: Mapping[str, float] | None,
    about: Mapping[str, Any],
) -> None:
    """Writes or replaces the folder's files, each whole or not at all.

    Args:
        folder: made if it is not there.
        name: public name of the model.
        spec: its description.
        state: its weights.
        skeleton: the keypoints that it finds; None for a detector.
        metrics: on the validation set.
        about: what the card says: what was trained from what, on which data, for how long.

    Raises:
        OutputError: a file cannot be written.
    """
    group = "detector" if skeleton is None else "lifter" if hasattr(spec, "pose2d") else "model"
    try:
        (folder / group).mkdir(parents=True, exist_ok=True)
        if skeleton is not None:
            (folder / "keypoints").mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}") from None
    weights = save(
        {key: value.detach().cpu().contiguous() for key, value in state.items()},
        metadata={"model": name, **_meaning(spec, skeleton).to_metadata()},
    )
    _write(folder / "model.safetensors", weights)
    _write(folder / group / f"{name}.yaml", yaml.safe_dump(spec.to_config(), sort_keys=False))
    for path in (folder / group).glob("*.yaml"):  # of a run that had another name before
        if path.name != f"{name}.yaml":
            path.unlink()
    if skeleton is not None:
        _write(folder / "keypoints" / f"{skeleton.name}.yaml", skeleton_yaml(skeleton))
    measured = None if metrics is None else {key: _number(value) for key, value in metrics.items()}
    _write(folder / "metrics.json", json.dumps(measured, indent=2) + "\n")
    _write(folder / "about.json", json.dumps(dict(about), indent=2, ensure_ascii=False) + "\n")
    _write(folder / "README.md", _card(name, group, skeleton, measured, about))


def skeleton_yaml(skeleton: Skeleton) -> str:
    """A skeleton as `posekit.skeleton` reads it."""
    names = skeleton.names
    sigmas = [[sigma] for sigma in skeleton.sigmas] or [[] for _ in names]
    rows = zip(names, skeleton.keypoint_colors, sigmas, strict=True)
    content: dict[str, Any] = {
        "keypoints": [[name, list(color), *sigma] for name, color, sigma in rows],
        "flip_pairs": [[names[i], names[j]] for i, j in enumerate(skeleton.flip_indices) if i < j],
        "links": [
            [names[start], names[end], list(color)]
            for (start, end), color in zip(skeleton.links, skeleton.link_colors, strict=True)
        ],
        "upper_body": [names[i] for i in skeleton.upper_body_ids],
        "lower_body": [names[i] for i in skeleton.lower_body_ids],
    }
    if skeleton.weights:
        content["weights"] = list(skeleton.weights)
    openpose = skeleton.openpose
    if openpose is not None and (CONF_DIR / "keypoints" / f"{openpose.name}.yaml").is_file():
        content["openpose"] = openpose.name
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, allow_unicode=True)


def _meaning(spec: Spec, skeleton: Skeleton | None) -> DatasetMeta:
    """Goes with the weights, so that training from them finds each keypoint by name."""
    if skeleton is not None:
        return DatasetMeta(keypoints=skeleton.names, flip_indices=skeleton.flip_indices)
    return DatasetMeta(classes=spec.classes if isinstance(spec, DetectorSpec) else ())


def _write(path: Path, content: bytes | str) -> None:
    with written_whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if value == value else None


def _card(
    name: str,
    group: str,
    skeleton: Skeleton | None,
    metrics: Mapping[str, float | None] | None,
    about: Mapping[str, Any],
) -> str:
    use = {
        "model": f'predictor = posekit.load("{name}")',
        "lifter": f'predictor = posekit.load("{name}")',
        "detector": f'predictor = posekit.load("human", detector="{name}")',
    }[group]
    lines = [
        "---",
        "library_name: posekit",
        "pipeline_tag: " + ("object-detection" if skeleton is None else "keypoint-detection"),
        "---",
        f"# {name}",
        "",
        *(f"- {key}: {value}" for key, value in about.items()),
    ]
    if skeleton is not None:
        lines.append(f"- keypoints ({len(skeleton.names)}): {', '.join(skeleton.names)}")
    if metrics:
        lines += ["", "| metric | value |", "| --- | --- |"]
        lines += [
            f"| {key} | {'' if value is None else f'{value:.4f}'} |"
            for key, value in metrics.items()
        ]
    lines += [
        "",
        OWN_CARD,
        "",
        "```python",
        "import posekit",
        "",
        use,
        "```",
        "",
    ]
    return "\n".join(lines)
