"""The inputs of a batch -> its clips, each with the name of its results."""

from __future__ import annotations

import codecs
import csv
import glob
import hashlib
import io
import logging
import os
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from posekit.batching.options import Shard
from posekit.errors import InputError
from posekit.io.listing import (
    IMAGE_SUFFIXES,
    OWN,
    STORE_SCHEMES,
    VIDEO_SUFFIXES,
    WEB_SCHEMES,
    Listing,
    camera_number,
    check_type,
    hide_password,
    reason_of,
    scheme_of,
)
from posekit.io.remote import RemoteFile, find

__all__ = ["Source", "find_sources", "identity_of", "in_shard", "name_sources", "shard_of"]

log = logging.getLogger(__name__)

LISTS = (".txt", ".csv")
# Of a CSV's columns, the one that has the clips; else it is the first.
COLUMNS = ("path", "file", "filename", "video", "clip", "source", "url")
# A list of more than this is no list of clips.
LIST_LIMIT = 1 << 28  # bytes
# A path in quotes, as `ls -Q` and Windows' "Copy as path" give it, or a line for FFmpeg's concat.
QUOTED = re.compile(r"""(?:file\s+)?(["'])(.+)\1""")
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Source:
    """A clip to be done.

    Attributes:
        path: its absolute path, or its URL.
        name: name of its results without suffixes: a path relative to their folder.
        size: in bytes; None if unknown, or if the clip is missing.
        changed: when it was last changed: seconds, or what a store says; None as for `size`.
    """

    path: str
    name: str
    size: int | None = None
    changed: float | str | None = None

    @property
    def is_url(self) -> bool:
        return "://" in self.path


@dataclass(frozen=True)
class _Found:
    """A clip and the folder, or the start of the URLs, that was named for it."""

    path: str
    root: str
    known: RemoteFile | None = None


def find_sources(
    inputs: Any, listing: Listing, *, folder: Path, written: Collection[str] = ()
) -> list[_Found]:
    """The clips that inputs name, in order, each once.

    Args:
        inputs: see `BatchSourceOptions`.
        listing: which files of a folder are taken.
        folder: folder of the results, which is not searched for clips unless an input names it.
        written: existing results, which are not clips.

    Raises:
        InputError: no clips, or an input that a batch does not take.
    """
    found: dict[str, _Found] = {}
    texts = list(_texts(inputs))
    for text in texts:
        # One of several that is gone does not stop the others: it fails when its turn comes.
        given = _of_text(text, listing) if len(texts) == 1 else _of_some(text, listing, text)
        for one in given:
            if one.path not in written and not _lies_deeper(one, folder):
                found.setdefault(one.path, one)
    if not found:
        raise InputError("inputs is empty: name a clip, a folder or a pattern")
    return list(found.values())


def _lies_deeper(one: _Found, folder: Path) -> bool:
    """Whether a clip was found in a folder that lies in the one that was named for it."""
    return Path(one.path).is_relative_to(folder) and not Path(one.root).is_relative_to(folder)


def name_sources(found: Sequence[_Found], root: str | None = None) -> tuple[str, list[Source]]:
    """The folder that names of results are relative to, and each clip with its name.

    Args:
        found: see `find_sources`.
        root: the folder; None takes the innermost that holds all that was named.

    Raises:
        InputError: a clip that does not lie in it, or two whose results would have one name.
    """
    if root is None:
        root = _common_root([one.root for one in found])
    elif "://" not in root:
        root = os.path.abspath(os.path.expanduser(root))  # noqa: PTH100, PTH111
    sources: list[Source] = []
    taken: dict[str, str] = {}
    for one in found:
        name = _name_below(one.path, root)
        if name in taken:
            raise InputError(
                f"{one.path} and {taken[name]} would have the same result name: set a base= "
                "that contains both"
            )
        taken[name] = one.path
        known = one.known
        size, changed = (known.size, known.changed) if known else identity_of(one.path)
        sources.append(Source(one.path, name, size, changed))
    return root, sources


def shard_of(source: Source, count: int) -> int:
    """Which of `count` shards a clip is in, from 1; depends on its name only."""
    name = source.name.encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") % count + 1


def in_shard(sources: Sequence[Source], shard: Shard | None) -> list[Source]:
    """The clips of a shard; all if there is none."""
    if shard is None:
        return list(sources)
    return [one for one in sources if shard_of(one, shard.count) == shard.number]


def identity_of(path: str) -> tuple[int | None, float | str | None]:
    """Size in bytes and time of the last change of a local file; None for a missing file."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None, None
    return found.st_size, found.st_mtime


def _texts(inputs: Any) -> Iterator[str]:
    if isinstance(inputs, str | os.PathLike):
        yield os.fsdecode(inputs)
        return
    if inputs is None:
        return
    check_type(inputs)
    for item in inputs:
        if not isinstance(item, str | os.PathLike):
            raise InputError(
                f"inputs of a batch must be paths and URLs, found {type(item).__name__}: "
                "posekit.load(...) takes images"
            )
        yield os.fsdecode(item)


def _of_text(text: str, listing: Listing, lists: tuple[Path, ...] = ()) -> Iterator[_Found]:
    """The clips that an input names, which may be a line of lists within lists."""
    if camera_number(text) is not None:
        raise InputError(f"a batch takes files, found the camera {text}: use posekit predict")
    if scheme := scheme_of(text):
        yield from _of_url(text, scheme, listing)
        return
    if text.startswith(OWN):
        text = str(listing.files(text)[0])
    path = Path(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111
    if path.suffix.lower() in LISTS and path.is_file():
        if path in lists:
            raise InputError(f"the list {path} names itself: expected clips and folders in it")
        yield from _of_list(path, listing, (*lists, path))
        return
    root = path if path.is_dir() else Path(_before_magic(path))
    for file in listing.files(str(path) if text else ""):
        yield _Found(os.path.abspath(file), str(root))  # noqa: PTH100


def _before_magic(path: Path) -> str:
    """The folder of a file, or the part of a pattern that stands for itself."""
    if path.exists() or not glob.has_magic(str(path)):
        return str(path.parent)
    parts = path.parts[:-1]
    plain = next((n for n, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return str(Path(*parts[:plain]))


def _of_url(text: str, scheme: str, listing: Listing) -> Iterator[_Found]:
    if scheme in WEB_SCHEMES:
        yield _Found(text, text.partition("?")[0].rpartition("/")[0])
        return
    if scheme not in STORE_SCHEMES:
        raise InputError(f"a batch takes files, found the stream {hide_password(text)}")
    files = find(text)
    exact = len(files) == 1 and files[0].url == _spelled(text, files[0].url)
    chosen = files if exact else [file for file in files if _is_wanted(file.url, listing)]
    if not chosen:
        raise InputError(f"no image or video at {hide_password(text)}")
    root = text.rpartition("/")[0] if exact else text.rstrip("/")
    if glob.has_magic(root):
        parts = root.split("/")
        root = "/".join(parts[: next(n for n, part in enumerate(parts) if glob.has_magic(part))])
    # As the store itself writes it: `memory://a` is `memory:///a`.
    for file in chosen:
        yield _Found(file.url, _spelled(root, file.url), file)


def _spelled(root: str, url: str) -> str:
    """A root with as many slashes behind its scheme as the URL has."""
    scheme, _, rest = root.partition("://")
    _, _, path = url.partition("://")
    slash = "/" if path.startswith("/") else ""
    return f"{scheme}://{slash}{rest.lstrip('/')}"


def _is_wanted(url: str, listing: Listing) -> bool:
    """Whether a file of a store looks like a clip: its first bytes would have to be fetched."""
    path = PurePosixPath(url.partition("://")[2])
    if any(part.startswith(".") for part in path.parts):
        return False
    suffix = path.suffix.lower()
    return suffix in IMAGE_SUFFIXES | VIDEO_SUFFIXES and listing.fits(Path(path.name))


def _of_some(text: str, listing: Listing, where: str, lists: tuple[Path, ...] = ()) -> list[_Found]:
    """As `_of_text`; what is not there is a clip that will fail."""
    try:
        return list(_of_text(text, listing, lists))
    except InputError as error:
        whole = text if "://" in text else os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111
        if "://" not in text and (Path(whole).exists() or glob.has_magic(text) or not text):
            raise
        scheme = text.partition("://")[0].lower() if "://" in text else ""
        if camera_number(text) is not None or (scheme and scheme not in STORE_SCHEMES):
            raise
        log.warning("%s: %s", where, error)
        return [_Found(whole, posixpath.dirname(whole))]


def _of_list(path: Path, listing: Listing, lists: tuple[Path, ...]) -> Iterator[_Found]:
    """What the lines of a list name."""
    for number, line in _entries(path):
        quoted = QUOTED.fullmatch(line)
        entry = line
        if quoted and not os.path.exists(path.parent / line):  # noqa: PTH110 -- raises for long names
            entry = quoted[2]
        if "://" not in entry:
            entry = os.path.join(path.parent, os.path.expanduser(entry))  # noqa: PTH111, PTH118
        yield from _of_some(entry, listing, f"{path}, line {number}", lists)


def _entries(path: Path) -> Iterator[tuple[int, str]]:
    try:
        if path.stat().st_size > LIST_LIMIT:
            raise InputError(f"{path} is too large for a list of clips")
        data = path.read_bytes()
        # PowerShell writes the second.
        text = data.decode("utf-16" if data[:2] in UTF_16 else "utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read the list {path}: {reason_of(error)}") from None
    except UnicodeError:
        raise InputError(f"the list {path} is not text in UTF-8: save it as such") from None
    if "\0" in text:
        raise InputError(f"{path} is not a text file: expected a list of clips")
    # Other signs at which Python splits may be in names.
    lines: Iterable[tuple[int, str]] = enumerate(re.split(r"\r\n|\r|\n", text), 1)
    if path.suffix.lower() == ".csv":
        lines = _cells(text, path)
    seen = False
    for number, line in lines:
        if (entry := line.strip()) and not entry.startswith("#"):
            seen = True
            yield number, entry
    if not seen:
        raise InputError(f"the list {path} is empty")


def _cells(text: str, path: Path) -> Iterator[tuple[int, str]]:
    """The clips of a CSV; its first row is a header where it names a column of them."""
    dialect = next((sign for sign in (",", ";", "\t") if sign in text.partition("\n")[0]), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=dialect)
    column = 0
    try:
        for row in reader:
            if reader.line_num == 1:
                names = [cell.strip().lower() for cell in row]
                known = [names.index(name) for name in COLUMNS if name in names]
                if known:
                    column = known[0]
                    continue
            if len(row) > column:
                yield reader.line_num, row[column]
    except csv.Error as error:
        raise InputError(f"cannot read the list {path}: {error}") from None


def _common_root(roots: Sequence[str]) -> str:
    urls = {"://" in root for root in roots}
    if urls == {True, False}:
        raise InputError("files and URLs have no folder in common: make a batch of each")
    if urls == {True}:
        schemes = {root.partition("://")[0] for root in roots}
        if len(schemes) > 1:
            raise InputError(
                f"URLs of {' and '.join(sorted(schemes))} have no folder in common: make a batch "
                "of each"
            )
        paths = [root.partition("://")[2] for root in roots]
        return f"{schemes.pop()}://{posixpath.commonpath(paths)}"
    try:
        return os.path.commonpath(roots)
    except ValueError:
        raise InputError("inputs on several drives: make a batch of each") from None


def _name_below(path: str, root: str) -> str:
    """A clip's path below the root, with slashes."""
    if "://" in path or "://" in root:
        base = root.rstrip("/") + "/"
        if not path.startswith(base):
            raise InputError(f"{hide_password(path)} does not lie below base={hide_password(root)}")
        # What the server is asked for beside the path would be no file's name.
        parts = [part for part in path[len(base) :].split("/") if part]
        if any(part in (".", "..") for part in parts):
            raise InputError(f"{hide_password(path)}: expected a URL without . and ..")
        return "/".join(part.replace("\\", "_") for part in parts)
    if not Path(path).is_relative_to(root):
        raise InputError(f"{path} does not lie below base={root}")
    return Path(path).relative_to(root).as_posix()
