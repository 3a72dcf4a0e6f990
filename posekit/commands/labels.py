"""`posekit labels`: labels of another tool as COCO's keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from posekit.commands.settings import read_settings
from posekit.labelling.options import LabelsOptions

__all__ = ["convert_labels"]


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
    options = read_settings(words, LabelsOptions)
    from posekit.labelling.convert import labels

    print(labels(source, **options.named))
    return 0
