"""Files of object stores and other file systems, through fsspec: `s3://`, `gs://`, `hf://`, ..."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from posekit.errors import InputError
from posekit.hub_client import endpoint
from posekit.io.listing import hide_password, reason_of

__all__ = [
    "RemoteFile",
    "describe",
    "fetch",
    "find",
    "find_below",
    "remove",
    "send",
    "store_errors",
    "store_of",
]

BLOCK = 1 << 20  # bytes
BUCKETS = frozenset(("abfs", "abfss", "az", "gcs", "gs", "hf", "oss", "s3", "s3a"))  # schemes


class RemoteFile(NamedTuple):
    """A file of a store.

    Attributes:
        url: of the file.
        size: in bytes; None where the store does not say.
        changed: when it was last changed, or a tag of its content, as the store says it; None for
            neither.
    """

    url: str
    size: int | None
    changed: str | float | None


def fetch(url: str, path: Path) -> None:
    """Copies a file to this machine.

    Raises:
        InputError: there is none, the store cannot be asked, or the package for it is missing.
    """
    with store_errors(url):
        system, inside = store_of(url)
        with system.open(inside, "rb") as file, path.open("wb") as copy:
            while block := file.read(BLOCK):
                copy.write(block)


def describe(url: str) -> RemoteFile:
    """What a store says about a file.

    Raises:
        InputError: as `fetch`.
    """
    with store_errors(url):
        system, inside = _as_it_is_now(url)
        return _described(system, url, system.info(inside))


def find(url: str) -> list[RemoteFile]:
    """The files that a URL stands for: all below a folder, or those that match a pattern.

    Raises:
        InputError: as `fetch`, or there are none.
    """
    with store_errors(url):
        system, inside = _as_it_is_now(url)
        # A file may have such a name itself.
        if any(sign in inside for sign in "*?[") and not system.isfile(inside):
            found = list(system.glob(inside, detail=True).values())
        elif system.isdir(inside):
            found = list(system.find(inside, detail=True).values())
        else:
            found = [system.info(inside)]
        return [_described(system, url, info) for info in found if info["type"] == "file"]


def find_below(url: str) -> list[str]:
    """The files of a folder by their paths in it, `a/b` each; none where there is no such folder.

    Raises:
        InputError: the store cannot be asked, or the package for it is missing.
    """
    with store_errors(url):
        system, inside = _as_it_is_now(url)
        if not system.isdir(inside):
            return []
        root = inside.rstrip("/") + "/"
        return sorted(str(path).removeprefix(root) for path in system.find(inside))


def send(path: Path, url: str) -> None:
    """Copies a local file to a store: all of it, or what was there before stays.

    Raises:
        InputError: it cannot be written there, or the package for the store is missing.
    """
    with store_errors(url, "write"):
        system, inside = store_of(url)
        # Buckets have no folders, and a bucket is nothing to be made by the way. A file is there
        # when all of it has come; to rename one would be to copy and delete it.
        if url.partition(":")[0] in BUCKETS:
            system.put_file(str(path), inside)
            return
        # Where a folder is missing nevertheless, the next line says so.
        with contextlib.suppress(Exception):
            system.makedirs(inside.rpartition("/")[0], exist_ok=True)
        system.put_file(str(path), f"{inside}.part")
        system.mv(f"{inside}.part", inside)


def remove(url: str) -> None:
    """Deletes a file.

    Raises:
        InputError: it cannot be deleted.
    """
    with store_errors(url, "delete"):
        system, inside = store_of(url)
        system.rm_file(inside)


def store_of(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path in it."""
    import fsspec.core

    # Its client reads this where it is imported, the rest of posekit each time.
    given = {"endpoint": endpoint()} if url.startswith("hf:") else {}
    system, inside = fsspec.core.url_to_fs(url, **given)
    return system, str(inside)


def _as_it_is_now(url: str) -> tuple[Any, str]:
    """As `store_of`, without what it remembers of folders that it has listed."""
    system, inside = store_of(url)
    system.invalidate_cache()
    return system, inside


def _described(system: Any, url: str, info: dict[str, Any]) -> RemoteFile:
    names = (
        *("mtime", "ETag", "etag", "md5Hash", "LastModified", "last_modified", "Last-Modified"),
        *("updated", "created", "blob_id"),
    )
    changed = next((info[name] for name in names if info.get(name) is not None), None)
    if not isinstance(changed, str | int | float | None):
        changed = str(changed)
    # As it was asked for: of several schemes of a store, `az` and `abfs`, fsspec names the first.
    scheme, _, _ = url.partition("://")
    _, _, path = system.unstrip_protocol(info["name"]).partition("://")
    return RemoteFile(f"{scheme}://{path}", info.get("size"), changed)


@contextlib.contextmanager
def store_errors(url: str, act: str = "open") -> Iterator[None]:
    """Makes errors of a store, which has kinds of its own, an InputError of one line."""
    shown = hide_password(url)
    try:
        yield
    except InputError:
        raise
    except ImportError as error:  # it says which package
        raise InputError(f"cannot {act} {shown}: {error}") from None
    except FileNotFoundError:
        if act == "write":
            raise InputError(f"cannot write {shown}: no such bucket or folder") from None
        raise InputError(f"no such file: {shown}") from None
    except Exception as error:  # each store has kinds of its own
        raise InputError(f"cannot {act} {shown}: {reason_of(error)}") from error
