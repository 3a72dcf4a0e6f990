"""Whether a GIF is whole: FFmpeg takes the first block that it cannot read for the end."""

from __future__ import annotations

from typing import BinaryIO

__all__ = ["is_whole"]

TRAILER, EXTENSION, IMAGE = b"\x3b", b"\x21", b"\x2c"


def is_whole(file: BinaryIO) -> bool:
    """Whether the blocks of a GIF follow each other up to its end, which may lack its mark."""
    file.seek(10)
    _skip_palette(file, file.read(1))
    file.seek(2, 1)
    while kind := file.read(1):
        if kind == TRAILER:
            return True
        if kind == EXTENSION:
            file.seek(1, 1)
        elif kind == IMAGE:
            file.seek(8, 1)
            _skip_palette(file, file.read(1))
            file.seek(1, 1)
        else:
            return False
        if not _skip_blocks(file):
            return False
    return True


def _skip_palette(file: BinaryIO, flags: bytes) -> None:
    if flags and flags[0] & 0x80:
        file.seek(3 << (flags[0] & 7) + 1, 1)


def _skip_blocks(file: BinaryIO) -> bool:
    """Up to the empty block that ends the others; False where the file ends before."""
    while size := file.read(1):
        if size == b"\0":
            return True
        file.seek(size[0], 1)
    return False
