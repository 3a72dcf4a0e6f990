"""`posekit labels`: labels of another tool as COCO's keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from posekit.errors import InputError
from posekit.labelling.options import LabelsOptions

__all__ = ["convert_labels"]

_PATHS = ("out", "images")


def convert_labels(source: Path, words: Sequence[str]) -> int:
    """Runs the command.

    Args:
        source: a file or folder of labels.
        words: `key=value` each of `LabelsOptions`.

    Returns:
        The exit status, 0.

    Raises:
        PosekitError: as `posekit.labels`.
    """
    settings = {}
    for word in words:
        key, equals, text = word.partition("=")
        try:
            value = text if key in _PATHS else yaml.safe_load(text)
        except yaml.YAMLError:
            equals = ""
        if not equals:
            raise InputError(f"cannot read '{word}': expected key=value, such as out=coco.json")
        settings[key] = value
    options = LabelsOptions.from_keywords(settings)
    from posekit.labelling.convert import labels

    print(labels(source, **{name: getattr(options, name) for name in LabelsOptions.declared()}))
    return 0
