"""Results -> files, each whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import cv2
import numpy as np

from posekit.errors import InputError
from posekit.result import PoseResult

__all__ = ["ResultWriter", "write_atomically"]


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file beside its place and moves it there, so that no half of it is ever seen."""
    handle, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp"
    )
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # mkstemp makes a file for its owner only; a result is like any other new file.
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


class ResultWriter:
    """Writes predictions as JSON and drawings as pictures, named after their images.

    Args:
        predictions: folder of the JSON files, None for none.
        visualizations: folder of the pictures, None for none.

    Raises:
        InputError: a folder cannot be made or written to.
    """

    def __init__(self, predictions: Path | None, visualizations: Path | None) -> None:
        self.predictions = predictions
        self.visualizations = visualizations
        self._taken: set[str] = set()
        for folder in (predictions, visualizations):
            if folder is not None:
                _check_writable(folder)

    def write(self, result: PoseResult) -> None:
        """Writes what was asked for of one image."""
        name = self._unique_name(result.name)
        if self.predictions is not None:
            text = json.dumps(result.instances(), allow_nan=False)
            write_atomically(self.predictions / f"{Path(name).stem}.json", text.encode())
        if self.visualizations is not None and result.visualization is not None:
            file_name, data = _encode(name, result.visualization)
            write_atomically(self.visualizations / file_name, data)

    def _unique_name(self, name: str) -> str:
        """`a.png` behind an `a.jpg` would overwrite its JSON: it becomes `a_png.png`."""
        path = Path(name)
        stem, suffix = path.stem or "image", path.suffix
        for candidate in (stem, f"{stem}_{suffix[1:]}"):
            if candidate not in self._taken:
                break
        else:
            number = 2
            while (candidate := f"{stem}_{number}") in self._taken:
                number += 1
        self._taken.add(candidate)
        return candidate + suffix


def _encode(name: str, image: np.ndarray) -> tuple[str, bytes]:
    """A picture in the format of its name, or as PNG where OpenCV cannot write that."""
    path = Path(name)
    suffix = path.suffix.lower()
    if suffix not in (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"):
        suffix, path = ".png", path.with_suffix(".png")
    done, data = cv2.imencode(suffix, image)
    if not done:
        raise InputError(f"cannot encode the drawing of {name} as {suffix}")
    return path.name, data.tobytes()


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot write to the folder {folder}: {reason}") from None
