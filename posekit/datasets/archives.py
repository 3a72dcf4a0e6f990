"""Images in tar and ZIP files, read where they lie.

An archive is a folder, and its members are the files in it: `train2017.zip/train2017/9.jpg`. Shards
are one folder together: `shards/{000..015}.tar/9.jpg`. Members are found by an index of their
places, so that any of them can be read at any time: samples come in the same order as from a
folder, and a run that resumes needs nothing more. Of shards on a server or in a store each file is
requested when it is needed, so that nothing but a list of them is on the disk; see
`posekit.datasets.remote_shards`.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import logging
import multiprocessing
import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from posekit.datasets.members import TEXT, Member, content_of, members_of, of_file
from posekit.datasets.remote_shards import about_of, copied, of_url, remote_members
from posekit.errors import InputError, first_line
from posekit.io.listing import STORE_SCHEMES, WEB_SCHEMES, hide_password
from posekit.io.remote import find

__all__ = [
    "expanded",
    "file_size",
    "is_archive",
    "is_folder",
    "is_remote",
    "kept",
    "names_below",
    "names_in",
    "read_file",
    "read_labels",
]

log = logging.getLogger(__name__)

# An archive, or a pattern of several, and what is named in it.
ARCHIVE = re.compile(r"(.*?\.(?:tar|zip))(?:/+(.*))?", re.DOTALL | re.IGNORECASE)
URL = re.compile(rf"({'|'.join(sorted(STORE_SCHEMES | WEB_SCHEMES))}):/+", re.IGNORECASE)
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_SHARDS = 100_000
AT_ONCE = 4  # shards that are listed or copied at once
KEPT = "filecache::"  # before a URL whose archives are copied to this machine


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether this is read over the network each time: a URL, unless it is kept."""
    return URL.match(os.fspath(path)) is not None


def kept(url: str) -> str:
    """The name of a URL's archives as copies on this machine, which are made when one is read."""
    return url if url.startswith(KEPT) else f"{KEPT}{url}"


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
    _look_again(path)
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


def _look_again(path: str | os.PathLike[str]) -> None:
    """Forgets what was listed of archives of this machine that were written since."""
    _shards.cache_clear()
    shards, _ = _split(path)
    listed = {member.archive: member.changed for member in _index(shards).values()}
    for archive, changed in listed.items():
        if not is_remote(archive) and Path(archive).stat().st_mtime_ns != changed:
            _index.cache_clear()
            _folders.cache_clear()
            return


def _plain(path: str | os.PathLike[str]) -> str:
    """A path with slashes; a URL has both slashes that a path would lose."""
    return URL.sub(r"\1://", os.fspath(path).replace(os.sep, "/"), count=1)


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Whether an archive itself is named, or a pattern of several, whether or not it is there."""
    found = ARCHIVE.fullmatch(_plain(path))
    return found is not None and not found[2]


def read_labels(pattern: str) -> Iterator[tuple[str, bytes]]:
    """The paths and contents of an archive's JSONs, shard by shard.

    Raises:
        InputError: an archive is missing, damaged or cannot be fetched.
    """
    _look_again(pattern)
    shards, _ = _split(pattern)
    if not shards:
        raise InputError(f"{pattern} cannot be read: no such file")
    members = _index(shards)
    for shard in shards:
        if is_remote(shard):  # its labels were read with the places of its files
            with _damage_named(shard):
                for name, _, text in remote_members(shard):
                    if text is not None:
                        yield f"{hide_password(shard)}/{name}", _as_bytes(text)
    for name, member in members.items():
        if name.endswith(TEXT) and not is_remote(member.archive):
            try:
                yield f"{member.archive}/{name}", _content(member)
            except OSError as error:
                raise InputError(f"{member.archive}: {error.strerror or error}") from None


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


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
    """The archives that a pattern stands for."""
    if is_remote(pattern.removeprefix(KEPT)):
        return _remote_shards(pattern)
    names = expanded(pattern)
    if len(names) > 1:
        missing = [name for name in names if not Path(name).is_file()]
        if missing:
            raise InputError(f"{pattern}: {len(missing)} shards are missing, such as {missing[0]}")
        return tuple(names)
    if Path(pattern).is_file():
        return (pattern,)
    matching = sorted(glob.glob(pattern))  # noqa: PTH207 -- a folder may be part of the pattern
    return tuple(name for name in matching if Path(name).is_file())


@functools.lru_cache(maxsize=64)
def _remote_shards(pattern: str) -> tuple[str, ...]:
    """URLs of what is read there, paths of what is copied to this machine."""
    names = expanded(pattern)
    keep = names[0].startswith(KEPT)
    names = [name.removeprefix(KEPT) for name in names]
    if len(names) == 1 and glob.has_magic(names[0].partition("://")[2]):
        names = sorted(file.url for file in find(names[0]))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(about_of, names))
        whole = [about for about in found if keep or not about.in_parts]
        if whole and not keep:
            log.warning(
                "%s sends no parts of files: %d of %d shards are copied to the cache",
                hide_password(whole[0].url), len(whole), len(names),
            )  # fmt: skip
        elif not whole and multiprocessing.parent_process() is None:
            log.warning(
                "%s: %d shards (%.1f GB) are read over the network, in each epoch again; "
                "keep: true copies them to this machine once",
                hide_password(names[0]), len(names), sum(a.size or 0 for a in found) / 1e9,
            )  # fmt: skip
        copies = dict(zip(whole, pool.map(copied, [about.url for about in whole]), strict=True))
    return tuple(copies.get(about, about.url) for about in found)


def _member(path: str | os.PathLike[str]) -> Member | None:
    shards, inside = _split(path)
    return _index(shards).get(inside) if shards and inside else None


@functools.lru_cache(maxsize=64)
def _index(shards: tuple[str, ...]) -> dict[str, Member]:
    """The files in archives, by their paths in them."""
    found: dict[str, Member] = {}
    if any(map(is_remote, shards)):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            listed = list(pool.map(_members, shards))
    else:
        listed = list(map(_members, shards))
    for shard, members in zip(shards, listed, strict=True):
        for name, member in members.items():
            if name in found:
                raise InputError(
                    f"{name} is in {hide_password(found[name].archive)} and in "
                    f"{hide_password(shard)}"
                )
            found[name] = member
    return found


def _members(shard: str) -> dict[str, Member]:
    with _damage_named(shard):
        if is_remote(shard):
            return {name: member for name, member, _ in remote_members(shard)}
        with Path(shard).open("rb") as file:
            changed = os.fstat(file.fileno()).st_mtime_ns
            found = members_of(shard, file, changed, remote=False)
            return {name: member for name, member, _ in found}


@contextlib.contextmanager
def _damage_named(shard: str) -> Iterator[None]:
    try:
        yield
    except (OSError, tarfile.TarError, zipfile.BadZipFile, ValueError) as error:
        raise InputError(
            f"{hide_password(shard)} cannot be read as an archive: {first_line(error)}"
        ) from None


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
    return content_of(member, of_url(member) if is_remote(member.archive) else of_file(member))
