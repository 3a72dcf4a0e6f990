"""A model's name -> a local safetensors file: found, downloaded, verified, converted, cached.

The order is: what the user named; what comes with the package; the cache; the user's own mirror;
the sources of the table.

Environment variables, read at each call:
    POSEKIT_CACHE: the cache's folder; else `posekit` in `XDG_CACHE_HOME` or `~/.cache`.
    POSEKIT_HUB_NAMESPACE: an organisation of the Hub that mirrors models as
        `<organisation>/<model>/model.safetensors`, and its 8-bit file as `model-int8.onnx` there;
        asked before the table's sources.
    HF_HUB_OFFLINE: nothing is downloaded, from the Hub or elsewhere.
    HF_ENDPOINT: another Hub server.
`huggingface_hub` itself reads the rest, such as HF_HOME, once: when it is first imported.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
import shutil
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from filelock import FileLock

from posekit.backends.files import is_graph
from posekit.build import build_network
from posekit.checkpoints import Source
from posekit.config import PACKAGED, find_checkpoint, model_names, resolve_name
from posekit.errors import DownloadError, InputError, UnknownModelError, WeightsError
from posekit.files import cache_dir, replacing, sha256_of
from posekit.hub_client import download_from_hub, is_offline, one_line, parse_hub, quiet_hub
from posekit.weights.download import download, is_resumable
from posekit.weights.own_files import (
    annotate,
    fault_in,
    is_current,
    is_posekit,
    is_whole,
    metadata_of,
    read_header,
)
from posekit.weights.tensors import check_fit
from weights_convert.companions import companions, content_digest, file_in_folder

if TYPE_CHECKING:
    from posekit.component import Component

__all__ = [
    "MIRROR_FILE",
    "PUBLISHED",
    "STANDS_IN",
    "cached_weights",
    "named_here",
    "naming_weights",
    "resolve_weights",
    "stand_in",
]

log = logging.getLogger(__name__)


class _Wanted(NamedTuple):
    """What weights are for: a model's public name and its network."""

    model: str
    net: Component


# Writes a downloaded file (first path) as posekit weights (second path).
Converter = Callable[[Path, Path], None]
# Why a posekit file is not what is asked for; None where it is.
Check = Callable[[Path], str | None]

MIRROR_FILE = "model.safetensors"
MIRROR_INT8 = "model-int8.onnx"
INT8 = "int8"  # as `weights`: the published 8-bit file
PUBLISHED = (None, "published", INT8)  # values of `weights` that name what the table has
STANDS_IN = "stands_in"  # metadata: what a file holds in place of the published weights

# The first digits of the file's SHA-256 end an official name, before an optional date. Where no
# letter is among them, nor a date behind them, they may as well be a date or the number of a step.
_DIGITS_IN_NAME = re.compile(r"[-_](?=\d*[a-f]|\d+[-_]20)([0-9a-f]{7,8})(?:[-_]20\d{6})?\.pth$")


def resolve_weights(
    model: str,
    weights: str | Path | None = None,
    *,
    net: Component | None = None,
    key: str = "weights=",
) -> Path:
    """The local posekit safetensors file of a model.

    A graph whose weights cannot be read, such as a quantised one, is returned as it is: engines run
    it, see `posekit.backends.files.GraphFile`.

    Args:
        model: a public name.
        weights: a file in any layout that `weights_convert` reads, the folder of a model that holds
            one, `https://...`, or `hf://org/repo/file@revision`; a downloaded file is kept and not
            downloaded again. `#sha256=...` after a URL refuses a file with another hash. None or
            "published" takes the published weights, "int8" the published 8-bit file.
        net: the network that the weights are for; None takes that of the packaged configuration,
            which the published weights of a packaged model must fit in any case.
        key: the option that gives these weights, for errors.

    Raises:
        WeightsError: no such file, a damaged one, or one that does not fit the model.
        DownloadError: no source gave the weights; lists each one and why.
        InputError: the cache cannot be written, or `weights` is a URL of another kind.
        UnknownModelError: no packaged configuration has that name, and there is no `net`.
    """
    weights = None if weights == "published" else weights
    if weights is None and (packaged := PACKAGED / f"{model}.safetensors").is_file():
        return packaged
    if net is None or (weights is None and model in model_names()):
        from posekit.spec import load_spec

        net = load_spec(model).net
    wanted = _Wanted(model, net)
    if weights is None:
        return _published(wanted, key)
    if weights == INT8:
        return _eight_bits(wanted, key)
    if "://" in (text := os.fspath(weights)):
        return _from_url(wanted, text, key)
    return _from_file(wanted, Path(text).expanduser())


_keys: ContextVar[Mapping[str, str] | None] = ContextVar("_keys", default=None)


@contextmanager
def naming_weights(keys: Mapping[str, str]) -> Iterator[None]:
    """Errors name weights by the options of another interface.

    Args:
        keys: posekit's key -> that interface's, each up to the value, such as
            `{"detector_weights=": "--det-weights "}`.
    """
    token = _keys.set(keys)
    try:
        yield
    finally:
        _keys.reset(token)


def named_here(key: str) -> str:
    """The name of a key of weights in the current interface, see `naming_weights`."""
    return (_keys.get() or {}).get(key, key)


def stand_in(model: str, weights: str | Path | None = None) -> str | None:
    """What was loaded in place of a model's published weights; None if nothing stands in.

    Args:
        model: a public name.
        weights: as `resolve_weights` was given them; a file may be an export of a stand-in.
    """
    if weights in (None, "published"):
        path = _cache_path(model)
    elif "://" in (text := os.fspath(weights)):
        return None
    else:
        path = Path(text).expanduser()
    return metadata_of(path).get(STANDS_IN) if path.is_file() else None


def _published(wanted: _Wanted, key: str) -> Path:
    model = wanted.model
    row = find_checkpoint(model)
    sources = list(row.sources) if row else []
    _set_aside(model, row.superseded if row else ())
    if namespace := os.environ.get("POSEKIT_HUB_NAMESPACE"):
        sources.insert(0, Source(f"hf://{namespace}/{model}/{MIRROR_FILE}"))
    convert = functools.partial(_convert, wanted=wanted)
    unfit = functools.partial(_unfit, wanted=wanted)

    def fetch(output: Path) -> None:
        _fetch_first(model, sources, output, convert, unfit, key)

    path = _cached(model, fetch, unfit)
    if other := metadata_of(path).get(STANDS_IN):
        log.warning(
            "%s: the weights are a stand-in, %s; the published figures are not theirs. To try "
            "the published ones again, remove %s",
            *(model, other, path),
        )
    return path


def _eight_bits(wanted: _Wanted, key: str) -> Path:
    """The published 8-bit graph of a model."""
    model = wanted.model
    row = find_checkpoint(model)
    sources = list(row.int8) if row else []
    if namespace := os.environ.get("POSEKIT_HUB_NAMESPACE"):
        sources.insert(0, Source(f"hf://{namespace}/{model}/{MIRROR_INT8}"))
    file = f"{model}-{INT8}.onnx"
    command = f"posekit export model={model} quantize=int8 inputs=PHOTOS output={file}"
    make = f"make it with '{command}' and pass {key}{file}"
    if not sources:
        raise WeightsError(f"no 8-bit file of {model} is published: {make}")
    try:
        return _graph(model, sources, Path(file).stem, key)
    except DownloadError as error:
        raise DownloadError(f"{error}, or {make}") from None


def _graph(model: str, sources: list[Source], stem: str, key: str) -> Path:
    """A graph from the first source that works, kept as it is beside the cached weights."""
    path = _cache_path(stem).with_suffix(".onnx")
    with _cache_errors():
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):
                if not path.is_file():  # nor has another process fetched it meanwhile
                    _fetch_first(model, sources, path, _copy_graph, lambda path: None, key)
    return path


def _copy_graph(path: Path, output: Path) -> None:
    if not is_graph(path):
        raise WeightsError("it is no graph: expected an ONNX file")
    shutil.copyfile(path, output)


def _from_url(wanted: _Wanted, text: str, key: str) -> Path:
    if not text.startswith(("https://", "http://", "hf://")):
        raise InputError(f"expected weights from https://, http:// or hf://, found '{text}'")
    url, _, fragment = text.partition("#")
    digest = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
    if digest is not None and not re.fullmatch(r"[0-9a-fA-F]{8,64}", digest):
        raise InputError(
            f"expected 8 to 64 hexadecimal digits after #sha256=, found '{digest}' in {text}"
        )
    if url.startswith("hf://"):
        parse_hub(url)
    sources = [Source(url, digest)]
    convert = functools.partial(_convert, wanted=wanted)

    def fetch(output: Path) -> None:
        _fetch_first(wanted.model, sources, output, convert, lambda path: None, key)

    name = _stem(wanted, hashlib.sha256(text.encode()).hexdigest()[:12])
    if re.search(r"\.onnx($|[@?])", url):  # whether its weights can be read is seen when it is here
        return _from_file(wanted, _graph(wanted.model, sources, name, key))
    return _cached(name, fetch, functools.partial(_outgrown, wanted=wanted))


def _from_file(wanted: _Wanted, path: Path) -> Path:
    """A posekit file as it is; any other is converted into the cache, once per content."""
    try:
        if path.is_dir():
            path = file_in_folder(path)
        if not path.is_file():
            raise WeightsError(f"cannot read the weights {path}: no such file")
        if is_posekit(path):
            if fault := fault_in(path):
                raise WeightsError(f"the weights {path} are damaged: {fault}")
            return path
        if is_graph(path) and not _has_weights(path, wanted.net):
            companions(path)  # which an engine opens by itself
            return path
        key = content_digest(path)[:12]
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}") from None
    unfit = functools.partial(_outgrown, wanted=wanted)
    return _cached(_stem(wanted, key), lambda output: _convert(path, output, wanted), unfit)


def _stem(wanted: _Wanted, key: str) -> str:
    """The name in the cache of a file that was converted for a model."""
    expert = wanted.net.arguments.get("expert")  # of several in the file, which fit alike
    return "-".join(filter(None, (wanted.model, expert, key)))


def _cache_path(stem: str) -> Path:
    return cache_dir() / "models" / f"{stem}.safetensors"


def _cached(stem: str, make: Callable[[Path], None], unfit: Check) -> Path:
    """A file of the cache, made by the first of all processes that ask for it."""
    path = _cache_path(stem)
    with _cache_errors():
        if is_current(path) and unfit(path) is None:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not is_current(path) or unfit(path):  # nor has another process made it meanwhile
                _make(path, make, unfit)
    return path


@contextmanager
def _cache_errors() -> Iterator[None]:
    try:
        yield
    except DownloadError:
        raise
    except OSError as error:
        raise InputError(
            f"cannot write to the cache {cache_dir()}: {error.strerror or error}; free some "
            "space or set POSEKIT_CACHE to another folder"
        ) from None


def cached_weights(model: str) -> Path | None:
    """The packaged weights of a model, or those in the cache if whole and of the current layout."""
    if (packaged := PACKAGED / f"{model}.safetensors").is_file():
        return packaged
    path = _cache_path(model)
    return path if path.is_file() and is_current(path) else None


def _set_aside(model: str, superseded: Sequence[str]) -> None:
    """Moves a cached file aside that was made from a source which the model's row had before."""
    path = cache_dir() / "models" / f"{model}.safetensors"
    try:
        header = read_header(path) if superseded else None
        if header is not None and (source := header[0].get("source")) in superseded:
            aside = path.with_suffix(".superseded")
            path.replace(aside)
            log.warning(
                "%s: the weights of %s were replaced; weights=%s still loads the old ones",
                *(model, source, aside),
            )
    except FileNotFoundError:
        return  # none, or another process was faster
    except OSError as error:
        raise InputError(f"cannot move the outdated weights {path}: {error.strerror}") from None


def _make(path: Path, make: Callable[[Path], None], unfit: Check) -> None:
    before = ""
    outdated = False
    if path.exists() and not is_whole(path):
        before = f"{path} was damaged and has been removed"
        path.unlink()
    elif path.exists() and (reason := unfit(path)):
        aside = path.with_suffix(".unfit")
        path.replace(aside)
        before = f"{path} is set aside as {aside.name}: {reason}"
    else:
        outdated = path.exists()
    if before:
        log.warning("%s; it will be rebuilt", before)
    try:
        make(path)
    except DownloadError as error:
        if outdated:
            text = "%s was converted by another version of posekit and cannot be made again: %s"
            log.warning(text, path, one_line(error))
        elif before:
            raise DownloadError(f"{before}; {error}") from None
        else:
            raise


def _fetch_first(
    model: str, sources: list[Source], output: Path, convert: Converter, unfit: Check, key: str
) -> None:
    """Makes the output from the first source that works."""
    downloads = cache_dir() / "downloads" / output.stem
    failures: dict[str, Exception] = {}
    with quiet_hub():
        for source in sources:
            try:
                _fetch(source, output, downloads, convert, unfit)
            except (DownloadError, WeightsError, InputError) as error:
                failures[source.location] = error
            else:
                for location, failure in failures.items():
                    # That a place has nothing is less of a surprise than that it has another file.
                    level = logging.WARNING if isinstance(failure, WeightsError) else logging.INFO
                    log.log(level, "%s: not from %s: %s", model, location, one_line(failure))
                shutil.rmtree(downloads, ignore_errors=True)
                return
    lines = [f"  {location}: {one_line(failure)}" for location, failure in failures.items()]
    tried = "\n".join(lines) or "  nothing, since no source is known"
    again = "Run this again to continue where the download broke off. "
    raise DownloadError(
        f"no weights for {model}. Tried:\n{tried}\n"
        f"{again if is_resumable(downloads) else ''}"
        f"Download the file another way and pass it: {key}FILE"
    )


def _fetch(source: Source, output: Path, downloads: Path, convert: Converter, unfit: Check) -> None:
    if source.location.startswith("hf://"):
        path = download_from_hub(source.location)  # it stays in the Hub's own cache
    else:
        path = _download(source.location, downloads)
    # In the Hub's cache a large file lies under its SHA-256, and a link with its name leads to it.
    stored = re.fullmatch(r"[0-9a-f]{64}", path.resolve().name)
    damage = fault_in(path, stored[0] if stored else None)
    try:
        if fault := damage or fault_in(path, source.sha256):
            raise WeightsError(fault)
        _take(source, path, output, convert, unfit)
    except WeightsError as error:
        if stored and not damage:  # it is what the Hub has, and others may use it
            raise
        path.resolve().unlink()
        path.unlink(missing_ok=True)  # the link
        raise WeightsError(f"{path} was removed: {error}") from None
    if not stored and source.sha256 is None:
        _compare_with_name(source, path)


def _download(url: str, downloads: Path) -> Path:
    """The file of a URL, downloaded now or before."""
    if is_offline():
        raise DownloadError("not tried, since HF_HUB_OFFLINE is set")
    name = re.sub(r"[^\w.-]", "_", urllib.parse.urlsplit(url).path.rpartition("/")[2])
    folder = downloads / hashlib.sha256(url.encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name if name.strip(".") else "weights")
    if not path.exists():
        download(url, path)
    return path


def _take(source: Source, path: Path, output: Path, convert: Converter, unfit: Check) -> None:
    """Makes the output from a source's file, if that is what it should be."""
    with replacing(output, sole_writer=True) as draft:  # under the lock of `_cached`
        convert(path, draft)
        if reason := unfit(draft):
            raise WeightsError(reason)
        if source.stands_in is not None:
            annotate(draft, {STANDS_IN: f"{source.stands_in}, from {source.location}"})


def _compare_with_name(source: Source, path: Path) -> None:
    digits = _digits_in_name(path.name)
    if digits and not (found := sha256_of(path)).startswith(digits):
        log.warning(
            "%s: its name says SHA-256 %s..., found %s; the file is complete and is used, as "
            "the names of some official files are wrong",
            *(source.location, digits, found),
        )


def _unfit(path: Path, wanted: _Wanted) -> str | None:
    """Why a posekit file cannot be the weights of a model: it is another's, or does not fit."""
    model = wanted.model
    named = metadata_of(path).get("model", model)
    try:
        same = named == model or resolve_name(named) == model
    except UnknownModelError:
        same = False
    if not same:
        return f"it holds the weights of {named}, expected those of {model}"
    try:
        check_fit(build_network(wanted.net), path)
    except WeightsError as error:
        return str(error).replace(str(path), "it", 1)
    return None


def _outgrown(path: Path, wanted: _Wanted) -> str | None:
    """Why a conversion of the user's file does not fit any more: the network has changed.

    A file that was already posekit's is not checked: it may be meant to train another model.
    """
    metadata = metadata_of(path)
    converted = "converter" in metadata and metadata.get("model") == wanted.model
    return _unfit(path, wanted) if converted else None


def _convert(path: Path, output: Path, wanted: _Wanted) -> None:
    """Writes a file as posekit weights; what is that already is copied."""
    if is_posekit(path):
        with replacing(output) as temporary:
            shutil.copyfile(path, temporary)
        return
    from weights_convert import convert_file

    convert_file(path, wanted.model, output, net=build_network(wanted.net))


def _has_weights(path: Path, net: Component) -> bool:
    """Whether a graph's weights can be converted to those of a network."""
    from weights_convert.onnx_file import holds_weights

    return path.suffix != ".xml" and net.family.onnx and holds_weights(path)


def _digits_in_name(name: str) -> str | None:
    match = _DIGITS_IN_NAME.search(name)
    return match[1] if match else None
