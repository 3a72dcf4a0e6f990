"""`posekit import`: a model trained with MMPose or MMDetection as a folder of posekit's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from posekit.errors import InputError
from posekit.locate import locate

__all__ = ["import_model"]


def import_model(config: Path, weights: Path | None, rest: Sequence[str]) -> int:
    """Writes the folder that `posekit.load` takes; prints its path.

    Args:
        config: a configuration file, or a checkpoint that holds one; it is read, never run.
        weights: its checkpoint; None if `config` is the checkpoint.
        rest: `out=FOLDER`, and nothing else.

    Returns:
        The exit status.

    Raises:
        InputError: no such file, a configuration without a counterpart, a folder that is not empty.
        WeightsError: weights that do not fit.
    """
    out = _folder(rest, config)
    if not config.is_file():
        raise InputError(f"no such file: {config}")
    found = locate(str(config))
    weights = weights or found.weights
    if weights is None:
        raise InputError(f"the weights are missing: posekit import {config} FILE.pth out={out}")
    if not found.search:
        raise InputError(
            f"{config} describes the published {found.name}: use that name, with weights={weights}"
        )
    from posekit.build import build_network
    from posekit.skeleton import load_skeleton
    from posekit.spec import load_spec
    from posekit.training.export import export_model
    from posekit.weights.hub import resolve_weights
    from posekit.weights.tensors import load_weights

    spec = load_spec(found.name, found.search)
    path = resolve_weights(spec.name, weights, net=spec.net)
    keypoints = getattr(spec, "keypoints", None)
    export_model(
        out,
        spec.name,
        spec=spec,
        state=load_weights(build_network(spec.net), path).state_dict(),
        skeleton=None if keypoints is None else load_skeleton(keypoints, search=found.search),
        metrics=None,
        about={"imported from": f"{config.name}, {weights.name}"},
    )
    print(f"the model is {out}: posekit predict model={out} inputs=...")
    return 0


def _folder(rest: Sequence[str], config: Path) -> Path:
    out = Path(config.stem)
    for word in rest:
        key, equals, value = word.partition("=")
        if key != "out" or not equals or not value:
            raise InputError(f"cannot read '{word}': expected out=FOLDER")
        out = Path(value)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"out={out} already exists: name a new folder")
    return out
