"""Images in tar and ZIP files, read where they lie.

An archive is a folder, and its members are the files in it: `train2017.zip/train2017/9.jpg`. Shards
are one folder together: `shards/{000..015}.tar/9.jpg`. Members are found by an index of their
places, so that any of them can be read at any time: samples come in the same order as from a
folder, and a run that resumes needs nothing more. Shards on a server or in a store are fetched
once, into the cache.
"""

from __future__ import annotations

import errno
import functools
import glob
import hashlib
import logging
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock

from posekit.errors import InputError, first_line
from posekit.files import cache_dir, make_folder
from posekit.io.listing import STORE_SCHEMES, WEB_SCHEMES, hide_password
from posekit.io.remote import describe, fetch, find

__all__ = [
    "expanded",
    "file_size",
    "is_archive",
    "is_folder",
    "names_below",
    "names_in",
    "read_file",
    "read_members",
]

log = logging.getLogger(__name__)

# An archive, or a pattern of several, and what is named in it.
ARCHIVE = re.compile(r"(.*?\.(?:tar|zip))(?:/+(.*))?", re.DOTALL | re.IGNORECASE)
URL = re.compile(rf"({'|'.join(sorted(STORE_SCHEMES | WEB_SCHEMES))}):/+", re.IGNORECASE)
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_SHARDS = 100_000
LOCAL_HEADER = 30  # bytes of a ZIP's, before the name
FETCHERS = 4  # shards that are fetched at once


class Member(NamedTuple):
    """Where a file is in an archive.

    Attributes:
        archive: its path.
        changed: modification time of the archive, in nanoseconds.
        offset: position of the first byte; in ZIPs, of the header before it.
        size: size of the file, in bytes.
        packed: size as stored, in bytes; the same for a tar.
        method: compression method of a ZIP; None for a tar.
        checksum: CRC-32 of a ZIP; 0 for a tar.
    """

    archive: str
    changed: int
    offset: int
    size: int
    packed: int
    method: int | None = None
    checksum: int = 0


def read_file(path: str | os.PathLike[str]) -> np.ndarray:
    """The bytes of a file or of a member of an archive, (n,) uint8.

    Raises:
        OSError: it cannot be read.
        InputError: an archive on the path is damaged.
    """
    try:
        return np.fromfile(path, np.uint8)
    except (FileNotFoundError, NotADirectoryError):
        member = _member(path)
        if member is None:
            raise
    return np.frombuffer(_content(member), np.uint8)


def file_size(path: str | os.PathLike[str]) -> int:
    """Bytes of a file or of a member of an archive; -1 where there is none.

    Raises:
        InputError: an archive on the path is damaged.
    """
    try:
        status = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        member = _member(path)
        return -1 if member is None else member.size
    except (OSError, ValueError):
        return -1
    return status.st_size if stat.S_ISREG(status.st_mode) else -1


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether images may lie there: a folder, an archive, several shards, a folder in these."""
    return Path(path).is_dir() or bool(names_in(path))


def names_in(folder: str | os.PathLike[str]) -> frozenset[str]:
    """The names of files and folders in a folder, which may be one of an archive."""
    try:
        return frozenset(entry.name for entry in os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        shards, inside = _split(folder)
        return _folders(shards).get(inside, frozenset()) if shards else frozenset()
    except (OSError, ValueError):
        return frozenset()


def names_below(folder: str | os.PathLike[str]) -> list[str] | None:
    """The relative paths of all files in an archive's folder; None for another folder."""
    if Path(folder).is_dir():
        return None
    shards, inside = _split(folder)
    if not shards:
        return None
    start = f"{inside}/" if inside else ""
    return [name.removeprefix(start) for name in _index(shards) if name.startswith(start)]


def _split(path: str | os.PathLike[str]) -> tuple[tuple[str, ...], str]:
    """The archives that a path leads into, and the path in them; no archives for another path."""
    found = ARCHIVE.fullmatch(_plain(path))
    if found is None:
        return (), ""
    return _shards(found[1]), (found[2] or "").rstrip("/")


def _plain(path: str | os.PathLike[str]) -> str:
    """A path with slashes; a URL has both slashes that a path would lose."""
    return URL.sub(r"\1://", os.fspath(path).replace(os.sep, "/"), count=1)


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Whether an archive itself is named, or a pattern of several, whether or not it is there."""
    found = ARCHIVE.fullmatch(_plain(path))
    return found is not None and not found[2]


def read_members(pattern: str, suffix: str) -> Iterator[tuple[str, bytes]]:
    """The paths and contents of an archive's files with a suffix, shard by shard.

    Raises:
        InputError: an archive is missing, damaged or cannot be fetched.
    """
    shards, _ = _split(pattern)
    if not shards:
        raise InputError(f"{pattern} cannot be read: no such file")
    for name, member in _index(shards).items():
        if name.endswith(suffix):
            try:
                yield f"{member.archive}/{name}", _content(member)
            except OSError as error:
                raise InputError(f"{member.archive}: {error.strerror or error}") from None


def expanded(pattern: str) -> list[str]:
    """The names that `{000..015}` stands for; the pattern itself where it has none.

    Raises:
        InputError: an invalid range.
    """
    names = [pattern]
    while found := RANGE.search(names[0]):
        first, last = int(found[1]), int(found[2])
        if not 0 <= last - first < MOST_SHARDS:
            raise InputError(f"{pattern}: expected a range such as {{000..015}}, found {found[0]}")
        numbers = [f"{number:0{len(found[1])}}" for number in range(first, last + 1)]
        names = [name.replace(found[0], number, 1) for name in names for number in numbers]
    return names


@functools.lru_cache(maxsize=64)
def _shards(pattern: str) -> tuple[str, ...]:
    """The archives of this machine that a pattern stands for."""
    names = expanded(pattern)
    if URL.match(pattern):
        if len(names) == 1 and glob.has_magic(pattern.partition("://")[2]):
            names = sorted(file.url for file in find(pattern))
        with ThreadPoolExecutor(FETCHERS) as pool:
            return tuple(pool.map(_fetched, names))
    if len(names) > 1:
        missing = [name for name in names if not Path(name).is_file()]
        if missing:
            raise InputError(f"{pattern}: {len(missing)} shards are missing, such as {missing[0]}")
        return tuple(names)
    if Path(pattern).is_file():
        return (pattern,)
    matching = sorted(glob.glob(pattern))  # noqa: PTH207 -- a folder may be part of the pattern
    return tuple(name for name in matching if Path(name).is_file())


def _fetched(url: str) -> str:
    """The copy of a server's or a store's archive, fetched by one process, where there was none."""
    about = describe(url)
    known = hashlib.sha256(repr((url, about.size, about.changed)).encode()).hexdigest()[:16]
    path = cache_dir() / "shards" / f"{known}-{url.rpartition('/')[2]}"
    make_folder(path.parent)
    with FileLock(path.with_name(f"{path.name}.lock")):
        if not path.exists():
            log.warning("fetching %s to %s", hide_password(url), path.parent)
            part = path.with_name(f"{path.name}.part")
            fetch(url, part)
            if about.size is not None and part.stat().st_size != about.size:
                raise InputError(
                    f"{hide_password(url)}: received {part.stat().st_size} of {about.size} bytes"
                )
            part.replace(path)
    return str(path)


def _member(path: str | os.PathLike[str]) -> Member | None:
    shards, inside = _split(path)
    return _index(shards).get(inside) if shards and inside else None


@functools.lru_cache(maxsize=64)
def _index(shards: tuple[str, ...]) -> dict[str, Member]:
    """The files in archives, by their paths in them."""
    found: dict[str, Member] = {}
    for shard in shards:
        try:
            members = _in_zip(shard) if shard.lower().endswith(".zip") else _in_tar(shard)
        except (OSError, tarfile.TarError, zipfile.BadZipFile, ValueError) as error:
            raise InputError(f"{shard} cannot be read as an archive: {first_line(error)}") from None
        for name, member in members.items():
            if name in found:
                raise InputError(f"{name} is in {found[name].archive} and in {shard}")
            found[name] = member
    return found


def _in_tar(path: str) -> dict[str, Member]:
    changed = Path(path).stat().st_mtime_ns
    with tarfile.open(path, "r:") as archive:  # not compressed, for any member is read at any time
        found = {
            entry.name.removeprefix("./"): Member(
                path, changed, entry.offset_data, entry.size, entry.size
            )
            for entry in archive
            if entry.isreg() and not entry.issparse()
        }
        # What follows a header that cannot be read is left out without a word.
        end = archive.offset
    with Path(path).open("rb") as file:
        file.seek(end)
        if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise ValueError(f"it is damaged after its {len(found)} first files")
    return found


def _in_zip(path: str) -> dict[str, Member]:
    changed = Path(path).stat().st_mtime_ns
    with zipfile.ZipFile(path) as archive:
        return {
            entry.filename: Member(
                path, changed, entry.header_offset, entry.file_size, entry.compress_size,
                entry.compress_type, entry.CRC,
            )
            for entry in archive.infolist()
            if not entry.is_dir()
        }  # fmt: skip


@functools.lru_cache(maxsize=64)
def _folders(shards: tuple[str, ...]) -> dict[str, frozenset[str]]:
    """What is in each folder of archives."""
    found: dict[str, set[str]] = {"": set()}
    for name in _index(shards):
        while True:
            folder, _, base = name.rpartition("/")
            known = folder in found and base in found[folder]
            found.setdefault(folder, set()).add(base)
            if known or not folder:
                break
            name = folder
    return {folder: frozenset(names) for folder, names in found.items()}


def _content(member: Member) -> bytes:
    """A member's bytes; the archive is opened each time, so threads and processes share nothing."""
    with Path(member.archive).open("rb") as file:
        if os.fstat(file.fileno()).st_mtime_ns != member.changed:
            raise OSError(errno.ESTALE, f"{member.archive} has changed since it was listed")
        file.seek(member.offset)
        if member.method is not None:
            header = file.read(LOCAL_HEADER)
            lengths = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:], "little")
            file.seek(sum(lengths), os.SEEK_CUR)
        content = file.read(member.packed)
    if member.method == zipfile.ZIP_DEFLATED:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, member.size + 1)
        except zlib.error:
            content = b""
    elif member.method not in (None, zipfile.ZIP_STORED):
        raise OSError(errno.ENOTSUP, f"{member.archive} has compression method {member.method}")
    damaged = member.method is not None and zlib.crc32(content) != member.checksum
    if damaged or len(content) != member.size:
        raise OSError(errno.EIO, f"{member.archive} is damaged at this file")
    return content
