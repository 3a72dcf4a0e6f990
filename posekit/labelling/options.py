"""Options for the conversion of labels. Imports no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posekit.declared import Options, option
from posekit.errors import InputError
from posekit.skeleton import load_skeleton, skeleton_names

__all__ = ["LabelsOptions"]


@dataclass(frozen=True, kw_only=True)
class LabelsOptions(Options):
    """Labels of other tools."""

    out: str | os.PathLike[str] | None = option(
        None,
        "the COCO file to write, such as `coco.json`; or shards with images and labels, "
        "`shards/{000..012}.tar`",
    )
    images: str | os.PathLike[str] | None = option(
        None,
        "the folder of the images, or the video whose frames are labelled; if unset, they are "
        "looked for beside the labels",
    )
    keypoints: Any = option(
        None,
        "names of the keypoints in order, `[nose,left_eye]`, or the name of a skeleton, such "
        "as `coco`; if unset, the source's own",
    )
    categories: Any = option(None, "names of the categories to convert; if unset, all")
    split: str | None = option(
        None, "the split to convert, such as `train`; if unset, all, one file each"
    )
    skip_bad: bool = option(False, "skip broken entries with a warning instead of an error")

    def check(self) -> None:
        for key in ("keypoints", "categories"):
            value = getattr(self, key)
            names = [value] if isinstance(value, str) else value
            listed = isinstance(names, list | tuple) and names
            if value is not None and not (listed and all(isinstance(n, str) for n in names)):
                raise InputError(f"{key} must be a list of names, found {value!r}")
            if names is not None and len(set(names)) < len(names):
                raise InputError(f"{key} has a name twice: {', '.join(names)}")
        if self.out is None:
            raise InputError("out is missing: name the file to write, such as out=coco.json")
        if Path(self.out).suffix.lower() not in (".json", ".tar"):
            raise InputError(f"out must end in .json or .tar, found '{self.out}'")

    @property
    def keypoint_names(self) -> tuple[str, ...]:
        """The keypoints that were named; empty for the source's own."""
        if self.keypoints is None:
            return ()
        if isinstance(self.keypoints, str) and self.keypoints in skeleton_names():
            return load_skeleton(self.keypoints).names
        if isinstance(self.keypoints, str):
            raise InputError(
                f"keypoints: no skeleton is called '{self.keypoints}'; name one of "
                f"{', '.join(skeleton_names())}, or list the names: keypoints=[nose,left_eye]"
            )
        return tuple(self.keypoints)

    @property
    def category_names(self) -> tuple[str, ...]:
        """The categories that were named; empty for all."""
        value = self.categories
        return (value,) if isinstance(value, str) else tuple(value or ())
