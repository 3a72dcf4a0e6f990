"""`posekit evaluate`: a model and a labelled data set in, metrics beside the published ones out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from posekit.compose import compose_command
from posekit.evaluation.options import EvaluateOptions, Kind

__all__ = ["evaluate"]


def evaluate(
    overrides: Sequence[str], *, config_dir: Path | None = None, config_name: str | None = None
) -> int:
    """Runs the command.

    Args:
        overrides: `key=value` each.
        config_dir: a folder with configurations of the user's own.
        config_name: a configuration to use instead of the command's.

    Returns:
        The exit status.

    Raises:
        PosekitError: something that cannot be used; no file has been written then.
    """
    config = compose_command("evaluate", overrides, config_dir=config_dir, config_name=config_name)
    options = dataclasses.replace(EvaluateOptions.from_config(config), show_progress=True)
    names = config["names"]
    kinds: tuple[Kind, ...] = ("model", "lifter", "detector")
    kind = next(kind for kind in kinds if names[kind] is not None)
    has_detector = kind != "detector" and names["detector"] is not None
    options.check_applies(kind, names[kind], has_detector=has_detector)
    # PyTorch comes with these, which mistakes in the options need not wait for.
    from posekit.evaluation.evaluate import evaluate_parts
    from posekit.evaluation.labelled_set import read_set
    from posekit.parts import composed_parts

    parts, data = composed_parts(config), None
    if kind != "lifter":
        own = any(override.lstrip("+").startswith("dataset.val") for override in overrides)
        name = names["dataset"]
        data = read_set(config["dataset"], name, parts.search, is_published=not own)
    print(evaluate_parts(parts, data, options))
    return 0
