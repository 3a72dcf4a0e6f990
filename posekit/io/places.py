"""Where files of results go: names that are not taken, folders that can be written to."""

from __future__ import annotations

import tempfile
from pathlib import Path

from posekit.errors import InputError
from posekit.files import check_on_this_machine

__all__ = ["check_writable", "identity", "unique_name"]


def unique_name(name: str, taken: dict[str, int]) -> str:
    """A free name: `a.png` after `a.jpg`, whose JSON it would overwrite, becomes `a_png.png`."""
    path = Path(name)
    stem, suffix = path.stem or "image", path.suffix
    for candidate in (stem, f"{stem}_{suffix[1:]}"):
        if candidate not in taken:
            break
    else:
        while (candidate := f"{stem}_{taken[stem]}") in taken:
            taken[stem] += 1
    taken[candidate] = 2
    return candidate + suffix


def identity(path: Path) -> tuple[int, int] | None:
    """A value that all names of a file share; None if there is no file, as for a URL."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def check_writable(folder: Path) -> None:
    """Makes a folder, and checks that files can be made in it.

    Raises:
        InputError: they cannot.
    """
    check_on_this_machine(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot write to the folder {folder}: {reason}") from None
