"""A file that another file names, beside that file."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from weights_convert.errors import ConversionError

__all__ = ["located_beside"]


def located_beside(path: Path, location: str) -> Path:
    """The file that another file names by a relative path, which must be in the same folder.

    A link may lead out of the folder only to where `path` itself is a link to, as in the cache of
    the Hugging Face Hub.

    Raises:
        ConversionError: an absolute path, one with `..`, a link that leads elsewhere, no such file.
    """
    shown = ascii(location[:200])
    relative, windows = PurePosixPath(location), PureWindowsPath(location)
    parts = {*relative.parts, *windows.parts}
    if not location.isprintable() or not relative.parts or windows.anchor or ".." in parts:
        raise ConversionError(f"it names a file outside its own folder, {shown}, which is not read")
    named = path.parent / relative
    try:
        real = named.resolve()
        is_file = real.is_file()
    except (OSError, RuntimeError, ValueError):  # a circle of links, or no name for a file
        is_file = False
    if not is_file:
        raise ConversionError(f"it needs the file {shown} beside it, which is missing: get it too")
    folders = (path.parent.resolve(), path.resolve().parent)
    if not any(real.is_relative_to(folder) for folder in folders):
        raise ConversionError(f"it names {shown}, a link out of its folder, which is not read")
    return named
