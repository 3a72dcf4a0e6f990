"""SHA-256 of the files of weights, computed when first asked for."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from posekit.files import sha256_of
from posekit.weights.hub import PUBLISHED
from weights_convert.companions import companions, content_digest
from weights_convert.errors import ConversionError

__all__ = ["WeightDigests"]

log = logging.getLogger(__name__)

Stamp = tuple[int, int]


class WeightDigests(Mapping[str, str]):
    """The SHA-256 of each part's loaded weights, in hexadecimal digits.

    A file that changed since it was loaded is left out, with a warning.
    """

    def __init__(self) -> None:
        self._files: dict[str, tuple[Path, Stamp]] = {}
        self._known: dict[str, str | None] = {}

    def add(self, kind: str, named: str | os.PathLike[str] | None, loaded: Path) -> None:
        """Takes note of a file; nothing is read.

        Args:
            kind: what the part is: "model", "detector", "lifter".
            named: what the user named; if that is a file, its SHA-256 counts.
            loaded: the file that was loaded, perhaps from the cache.
        """
        path = loaded
        if (
            named is not None
            and named not in PUBLISHED
            and (own := Path(named).expanduser()).is_file()
        ):
            path = own
        self._files[kind] = (path, _stamp(path))
        self._known.pop(kind, None)

    def __getitem__(self, kind: str) -> str:
        if kind not in self._known:
            self._known[kind] = _digest(*self._files[kind])
        found = self._known[kind]
        if found is None:
            raise KeyError(kind)
        return found

    def __iter__(self) -> Iterator[str]:
        # A copy: a detector is loaded when it is needed, perhaps by another thread meanwhile.
        return (kind for kind in tuple(self._files) if kind in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _digest(path: Path, stamp: Stamp) -> str | None:
    try:
        # As `sha256sum` gives it; a graph with weights beside it is taken with these.
        found = content_digest(path) if companions(path) else sha256_of(path)
        if _stamp(path) == stamp:
            return found
    except (OSError, ConversionError):  # it is gone, or one of those that belong to it
        pass
    log.warning("%s has changed since it was loaded: results are without its SHA-256", path)
    return None


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
