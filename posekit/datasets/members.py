"""What is in a tar or a ZIP, and where: so that any file in it can be read at any time.

The archive may be a file of this machine or a remote one, of which only parts are read.
"""

from __future__ import annotations

import errno
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

__all__ = ["Member", "content_of", "members_of", "of_file"]

LOCAL_HEADER = 30  # bytes of a ZIP's, before the name
AFTER_HEADER = 1024  # bytes that its name and extra fields seldom exceed
TEXT = ".json"  # the suffix of labels in shards


class Member(NamedTuple):
    """Where a file is in an archive.

    Attributes:
        archive: path or URL of the archive.
        changed: modification time of the archive, in nanoseconds; of a URL, the server's tag.
        offset: position of the first byte; in ZIPs, of the header before it.
        size: size of the file, in bytes.
        packed: size as stored, in bytes; the same for a tar.
        method: compression method of a ZIP; None for a tar.
        checksum: CRC-32 of a ZIP's file; of a remote tar, that of the header before the file.
    """

    archive: str
    changed: int | float | str | None
    offset: int
    size: int
    packed: int
    method: int | None = None
    checksum: int = 0


# Gives bytes of an archive: from a place on, so many, fewer at its end.
Read = Callable[[int, int], bytes]


def members_of(
    archive: str, file: Any, changed: int | float | str | None, *, remote: bool
) -> Iterator[tuple[str, Member, bytes | None]]:
    """The paths in an archive, where each file is, and the content of a remote tar's labels.

    Args:
        archive: path or URL.
        file: the archive, opened to read and to seek in.
        changed: see `Member`.
        remote: also read the labels on the way, and note checksums of headers.

    Raises:
        ValueError, tarfile.TarError, zipfile.BadZipFile, OSError: it is damaged, or is no archive.
    """
    if archive.lower().endswith(".zip"):
        yield from _in_zip(archive, file, changed)
    else:
        yield from _in_tar(archive, file, changed, remote)


def _in_tar(
    path: str, file: IO[bytes], changed: Any, remote: bool
) -> Iterator[tuple[str, Member, bytes | None]]:
    count = 0
    # Not compressed, for any member is read at any time.
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for entry in archive:
            if not entry.isreg() or entry.issparse():
                continue
            place, size, text, header = entry.offset_data, entry.size, None, 0
            name = entry.name.removeprefix("./")
            if remote:
                file.seek(place - tarfile.BLOCKSIZE)
                header = zlib.crc32(file.read(tarfile.BLOCKSIZE))
                text = file.read(size) if name.endswith(TEXT) else None
            count += 1
            yield name, Member(path, changed, place, size, size, None, header), text
        # What follows a header that cannot be read is left out without a word.
        file.seek(archive.offset)
    if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise ValueError(f"it is damaged after its {count} first files")


def _in_zip(path: str, file: IO[bytes], changed: Any) -> Iterator[tuple[str, Member, None]]:
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if not entry.is_dir():
                yield entry.filename, Member(
                    path, changed, entry.header_offset, entry.file_size, entry.compress_size,
                    entry.compress_type, entry.CRC,
                ), None  # fmt: skip


def of_file(member: Member) -> Read:
    """Reads an archive of this machine.

    It is opened each time, so that threads and processes share nothing.
    """

    def read(start: int, size: int) -> bytes:
        with Path(member.archive).open("rb") as file:
            if os.fstat(file.fileno()).st_mtime_ns != member.changed:
                raise OSError(errno.ESTALE, f"{member.archive} has changed since it was listed")
            file.seek(start)
            return file.read(size)

    return read


def content_of(member: Member, read: Read) -> bytes:
    """A member's bytes.

    Raises:
        OSError: they cannot be read, or are damaged.
    """
    content = _stored(member, read)
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


def _stored(member: Member, read: Read) -> bytes:
    """The bytes as they are in the archive."""
    if member.method is None and not member.checksum:
        return read(member.offset, member.size)
    if member.method is None:
        # Not every store says that a file has changed, but then other bytes are there.
        found = read(member.offset - tarfile.BLOCKSIZE, tarfile.BLOCKSIZE + member.size)
        if zlib.crc32(found[: tarfile.BLOCKSIZE]) != member.checksum:
            raise OSError(errno.ESTALE, f"{member.archive} has changed since it was listed")
        return found[tarfile.BLOCKSIZE :]
    found = read(member.offset, LOCAL_HEADER + AFTER_HEADER + member.packed)
    start = LOCAL_HEADER + sum(
        int.from_bytes(found[at : at + 2], "little") for at in (LOCAL_HEADER - 4, LOCAL_HEADER - 2)
    )
    if start + member.packed > len(found):
        return read(member.offset + start, member.packed)
    return found[start : start + member.packed]
