"""Download of models, with their detectors and 2D models, before the first use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from posekit.config import PACKAGED, find_checkpoint, read_config
from posekit.errors import PosekitError
from posekit.files import make_folder, sha256_of
from posekit.hub_client import one_line
from posekit.hub_models import peek
from posekit.locate import Located, choose_parts, locate
from posekit.publishing.options import DownloadOptions
from posekit.spec import load_spec
from posekit.weights.hub import cached_weights, resolve_weights

__all__ = ["Fetched", "prefetch"]

SUMS = "SHA256SUMS"  # as `sha256sum -c` reads it


@dataclass(frozen=True)
class Fetched:
    """The outcome for one network.

    Attributes:
        name: name of the model.
        needed_by: the name that the user gave.
        state: "fetched", "there", "in the package", "local", "failed" or, in a dry run, "missing".
        size: bytes, an estimate before the download; None if unknown.
        reason: why it failed.
    """

    name: str
    needed_by: str
    state: str
    size: int | None = None
    reason: str = ""


def prefetch(
    names: Sequence[str], options: DownloadOptions, say: Callable[[str], None]
) -> list[Fetched]:
    """Downloads models with their detectors and 2D models, one after the other.

    Args:
        names: as `posekit.load` takes them, and detectors.
        options: the target folder and other options.
        say: called with a line of progress.

    Raises:
        UnknownModelError, InputError: an unknown name, before anything is downloaded.
        InputError: a folder that cannot be made.
    """
    chosen = {name: _parts(name, options) for name in names if not name.startswith("hf://")}
    folder = None if options.to is None else Path(options.to).expanduser()
    with _cache_in(folder, make=not options.dry_run):
        if folder is not None and not options.dry_run:
            _remove_damaged(folder, say)
        done: dict[str, Fetched] = {}
        for name in dict.fromkeys(names):
            try:
                parts = chosen.get(name)
                if parts is None:
                    if options.dry_run:
                        done[name] = _peeked(name, options)
                        continue
                    say(f"{name}: looking it up on the Hub")
                    parts = _parts(name, options)
            except PosekitError as error:
                done[name] = Fetched(name, name, "failed", reason=one_line(error))
                continue
            for part in parts:
                key = part.address or part.name
                if key not in done:
                    done[key] = _fetched(part, name, options, say)
        if folder is not None and not options.dry_run:
            _write_sums(folder)
    return list(done.values())


def _parts(name: str, options: DownloadOptions) -> list[Located]:
    """The networks of a name; of a detector it alone."""
    found = locate(name)
    if "classes" in read_config(found.name, found.search):
        return [found]
    detector = options.detector
    if "score_threshold" in read_config(found.name, found.search) and detector is not None:
        detector = None  # it finds people itself
    parts = choose_parts(name, detector=detector)
    return [part for part in (parts.lifter, parts.model, parts.detector) if part is not None]


@contextmanager
def _cache_in(folder: Path | None, *, make: bool) -> Iterator[None]:
    """Everything goes into a folder, as it is found where POSEKIT_CACHE names that."""
    before = os.environ.get("POSEKIT_CACHE")
    if folder is not None:
        if make:
            make_folder(folder / "hub")
        os.environ["POSEKIT_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is not None:
            os.environ["POSEKIT_CACHE"] = before
        elif folder is not None:
            del os.environ["POSEKIT_CACHE"]


def _peeked(address: str, options: DownloadOptions) -> Fetched:
    """A model of the Hub in a dry run; what it builds on its YAML says, which is not fetched."""
    try:
        size, there = peek(address)
    except PosekitError as error:
        return Fetched(address, address, "failed", reason=one_line(error))
    is_new = options.to is not None and not Path(options.to).expanduser().is_dir()
    return Fetched(address, address, "there" if there and not is_new else "missing", size)


def _fetched(
    part: Located, needed_by: str, options: DownloadOptions, say: Callable[[str], None]
) -> Fetched:
    name = part.address or part.name
    if (PACKAGED / f"{part.name}.safetensors").is_file() and part.weights is None:
        return Fetched(name, needed_by, "in the package", 0)
    if part.weights is not None:
        state = "local" if part.address is None else "fetched"
        return Fetched(name, needed_by, state, part.weights.stat().st_size)
    if (there := cached_weights(part.name)) is not None:
        return Fetched(name, needed_by, "there", there.stat().st_size)
    row = find_checkpoint(part.name)
    about = None if row is None or row.parameters is None else round(row.parameters * 4e6)
    if options.dry_run:
        return Fetched(name, needed_by, "missing", about)
    say(f"{name}" + ("" if about is None else f", about {about / 1e6:.0f} MB"))
    try:
        spec = load_spec(part.name, part.search, trust=part.trusted(False))
        path = resolve_weights(part.name, net=spec.net)
    except PosekitError as error:
        return Fetched(name, needed_by, "failed", about, one_line(error))
    return Fetched(name, needed_by, "fetched", path.stat().st_size)


# --- hashes of a folder


def _files(folder: Path) -> Iterator[Path]:
    """What a machine without a network needs of it."""
    for kind in ("models/*.safetensors", "hub/models--*/snapshots/*/**/*"):
        yield from (path for path in folder.glob(kind) if path.is_file())


def _write_sums(folder: Path) -> None:
    lines = [
        f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(_files(folder))
    ]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def _remove_damaged(folder: Path, say: Callable[[str], None]) -> None:
    """Removes files that are not what they were when they were fetched."""
    sums = folder / SUMS
    for line in sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else ():
        digest, _, inside = line.partition("  ")
        path = folder / inside
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            continue
        if sha256_of(path) != digest:
            say(f"{path} was damaged and has been removed")
            path.resolve().unlink()
            path.unlink(missing_ok=True)  # a link to it
