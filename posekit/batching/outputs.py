"""Where a clip's results are written, their final names, and which files are removed."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from pathlib import Path

from posekit.batching.sources import Source
from posekit.errors import OutputError
from posekit.files import put_on_disk

__all__ = ["new_staging", "prefix_of", "put_in_place", "remove_outputs", "remove_rests"]


def prefix_of(source: Source) -> str:
    """What the names of a clip's unfinished results begin with, safe for any name of a clip."""
    name = source.name.encode("utf-8", "surrogateescape")
    return f".{hashlib.sha256(name).hexdigest()[:16]}."


def new_staging(folder: Path, source: Source) -> Path:
    """A folder for unfinished results that no other attempt has."""
    parent = (folder / source.name).parent
    return parent / f"{prefix_of(source)}{secrets.token_hex(4)}.part"


def remove_rests(folder: Path, source: Source) -> None:
    """Removes what killed attempts at a clip left."""
    for rest in (folder / source.name).parent.glob(f"{prefix_of(source)}*.part"):
        shutil.rmtree(rest, ignore_errors=True)


def put_in_place(staging: Path, folder: Path, source: Source) -> tuple[str, ...]:
    """Gives finished results their final names, over existing files, and returns these names."""
    moves = []
    for kind, mark in (("predictions", ""), ("drawings", ".drawn")):
        where = staging / kind
        for made in sorted(where.iterdir()) if where.is_dir() else ():
            ending = _ending(made.name, Path(source.path).stem)
            moves.append((made, f"{source.name}{mark}{ending}"))
    for made, _ in moves:
        for path in made.rglob("*") if made.is_dir() else (made,):
            put_on_disk(path)
    for made, name in moves:
        target = folder / name
        try:
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            made.replace(target)
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"cannot write {target}: {reason}") from error
    put_on_disk((folder / source.name).parent)
    return tuple(name for _, name in moves)


def _ending(made: str, stem: str) -> str:
    """`.parquet` of `a.parquet`, written of `a.mp4`, and of `images.parquet`, of `a.jpg`."""
    rest = made.removeprefix(stem)
    if rest != made and rest[:1] in ("", ".", "_"):
        return rest
    return f".{made.partition('.')[2]}"


def remove_outputs(folder: Path, names: set[str]) -> None:
    """Removes those files and folders of results that exist."""
    for name in names:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
