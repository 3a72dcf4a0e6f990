"""Archives of servers and stores: read in parts where they lie, or copied to this machine.

Where the files in a remote archive are, and the labels in it, is written down once, in the cache:
other processes, and the next run, need not read the archive for that.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from posekit.datasets.members import Member, Read, members_of
from posekit.errors import InputError
from posekit.files import cache_dir, make_folder
from posekit.io.listing import hide_password, reason_of
from posekit.io.remote import fetch
from posekit.io.remote_parts import PartsFile, RemoteAbout, copy_parts, look_up, read_part

__all__ = ["about_of", "copied", "of_url", "remote_members"]

log = logging.getLogger(__name__)

TRIES = 5  # of a copy, where a server sends no parts


@functools.cache
def about_of(url: str) -> RemoteAbout:
    """What is known of a remote archive, asked once in a process.

    Raises:
        InputError: there is none, or it cannot be asked for.
    """
    return look_up(url)


def of_url(member: Member) -> Read:
    """Reads an archive of a server or a store."""
    return functools.partial(read_part, about_of(member.archive))


def remote_members(url: str) -> Iterator[tuple[str, Member, str | None]]:
    """The paths in a remote archive, where each file is, and the labels among them as text.

    Raises:
        ValueError, tarfile.TarError, zipfile.BadZipFile, OSError: it is damaged, or is no archive.
    """
    about = about_of(url)
    path = _beside(about, ".list")
    with FileLock(path.with_name(f"{path.name}.lock")):
        # Without a tag nobody knows whether the list is of what is there now.
        if not path.exists() or (about.changed is None and url not in _listed_here):
            _write_list(about, path)
            _listed_here.add(url)
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            name, offset, size, packed, method, checksum, text = json.loads(line)
            yield name, Member(url, about.changed, offset, size, packed, method, checksum), text


_listed_here: set[str] = set()


def _write_list(about: RemoteAbout, path: Path) -> None:
    log.info("listing %s", hide_password(about.url))
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8", errors="surrogateescape") as file:
        found = members_of(about.url, PartsFile(about), about.changed, remote=True)
        for name, member, content in found:
            text = None if content is None else content.decode("utf-8", "surrogateescape")
            file.write(json.dumps([name, *member[2:], text]) + "\n")
    part.replace(path)


def copied(url: str) -> str:
    """The copy of a remote archive on this machine, made by one process, where there was none.

    A copy that broke off goes on from where it came to, if the server sends parts.

    Raises:
        InputError: it cannot be read to its end.
    """
    about = about_of(url)
    path = _beside(about, "")
    with FileLock(path.with_name(f"{path.name}.lock")):
        if not path.exists():
            log.warning("fetching %s to %s", hide_password(url), path.parent)
            part = path.with_name(f"{path.name}.part")
            try:
                if about.in_parts:
                    with part.open("ab") as file:
                        copy_parts(about, file)
                else:
                    _copy_whole(about, part)
            except OSError as error:
                raise InputError(f"cannot copy {hide_password(url)}: {reason_of(error)}") from None
            part.replace(path)
    return str(path)


def _copy_whole(about: RemoteAbout, part: Path) -> None:
    """A server that sends no parts begins anew each time."""
    for left in reversed(range(TRIES)):
        try:
            fetch(about.url, part)
            there = part.stat().st_size
            if about.size is None or there == about.size:
                return
            raise InputError(f"{hide_password(about.url)}: received {there} of {about.size} bytes")
        except InputError as error:
            if not left:
                raise
            log.info("%s; trying again", error)


def _beside(about: RemoteAbout, suffix: str) -> Path:
    known = repr((about.url, about.size, about.changed))
    name = f"{hashlib.sha256(known.encode()).hexdigest()[:16]}-{about.url.rpartition('/')[2]}"
    folder = cache_dir() / "shards"
    make_folder(folder)
    return folder / f"{name}{suffix}"
