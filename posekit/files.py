"""posekit's own folders, files that are written whole or not at all, formats of predictions."""

from __future__ import annotations

import hashlib
import os
import pkgutil
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from posekit.errors import InputError, OutputError

__all__ = [
    "BLOCK",
    "CONF_DIR",
    "PACKAGED",
    "cache_dir",
    "check_on_this_machine",
    "check_working_folder",
    "make_folder",
    "prediction_formats",
    "put_on_disk",
    "replacing",
    "sha256_of",
    "write_atomically",
    "write_whole",
]

_PACKAGE = Path(__file__).resolve().parent
# Inside an installed wheel conf/ lies in the package; in a checkout it lies beside it.
CONF_DIR = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"

# Weights, a picture and a clip that come with the package.
PACKAGED = _PACKAGE / "packaged"

BLOCK = 1 << 20  # bytes that are read at once

# Modules of `posekit/io/sinks` that are formats of pixels.
_DRAWINGS = ("crops", "pictures", "video")


def cache_dir() -> Path:
    """The folder that holds converted weights in `models/` and unfinished ones in `downloads/`."""
    if named := os.environ.get("POSEKIT_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "posekit"


def prediction_formats() -> tuple[str, ...]:
    """What predictions can be written as: modules of `posekit/io/sinks`, none of them loaded."""
    folder = Path(__file__).parent / "io" / "sinks"
    names = {module.name for module in pkgutil.iter_modules([str(folder)])}
    return tuple(sorted(names - set(_DRAWINGS)))


@contextmanager
def replacing(path: Path, *, sync: bool = False, sole_writer: bool = False) -> Iterator[Path]:
    """A path beside `path` to write a file to; it takes that place when the context ends.

    So nobody ever sees half of a file. After an exception the old file is still there, and what was
    written is removed.

    Args:
        path: where the file goes, over what is there.
        sync: put it on the disk before it takes its place, so that after a loss of power the old
            file or the new one is there.
        sole_writer: no other process or thread writes this file at the same time. Then what a
            killed process left is overwritten, and does not stay for ever.

    Raises:
        OSError: it cannot be written.
    """
    token = secrets.token_hex(8)
    if sole_writer:
        token = hashlib.sha256(path.name.encode()).hexdigest()[:16]  # of the name as a whole
    # Not by mkstemp, whose files are for their owner only.
    temporary = path.with_name(f".{path.name[:40]}.{token}.tmp")
    try:
        yield temporary
        if sync:
            put_on_disk(temporary)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    # A rename is on the disk only when its folder is; Windows has no such thing.
    if sync:
        put_on_disk(path.parent)


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all, see `replacing`."""
    with replacing(path) as temporary, temporary.open("xb") as file:
        file.write(data)


def write_whole(path: Path, data: bytes) -> None:
    """As `write_atomically`, a file that a user asked for.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        write_atomically(path, data)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None


def make_folder(folder: Path) -> None:
    """Makes a folder where there is none.

    Raises:
        InputError: it is a URL.
        OutputError: it cannot be made.
    """
    check_on_this_machine(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def put_on_disk(path: Path) -> None:
    """Makes sure that a file or folder is on the disk; Windows cannot do so for folders."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_on_this_machine(folder: Path) -> None:
    """Checks that a folder to write to is no URL, of which a path would keep `s3:` as a folder.

    Raises:
        InputError: it is one.
    """
    for number, part in enumerate(folder.parts):
        is_scheme = re.fullmatch(r"[a-z][a-z0-9+.-]+:", part)
        if is_scheme and not Path(*folder.parts[: number + 1]).exists():
            raise InputError(
                f"expected a folder of this machine to write to, found a URL of {part}//: write "
                "here, and copy the results there afterwards"
            )


def check_working_folder() -> None:
    """Without a working folder, Hydra and the import of PyTorch end in errors of their own.

    Raises:
        InputError: it was deleted.
    """
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        raise InputError("the working folder was deleted: change to another one") from None
