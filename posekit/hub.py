"""A model's name -> a local safetensors file: found, downloaded, verified, converted, cached.

The order is: what the user named; what comes with the package; the cache; the user's own mirror;
the sources of the table.

Environment variables, read at each call:
    POSEKIT_CACHE: the cache's folder; else `posekit` in `XDG_CACHE_HOME` or `~/.cache`.
    POSEKIT_HUB_NAMESPACE: an organisation of the Hub that mirrors models as
        `<organisation>/<model>/model.safetensors`; asked before the table's sources.
    HF_HUB_OFFLINE: nothing is downloaded, from the Hub or elsewhere.
    HF_ENDPOINT: another Hub server.
`huggingface_hub` itself reads the rest, such as HF_HOME, once: when it is first imported.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import json
import logging
import os
import re
import shutil
import ssl
import textwrap
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from posekit.checkpoints import Source
from posekit.config import PACKAGED, find_checkpoint, read_config
from posekit.errors import DownloadError, InputError, WeightsError
from weights_convert import CONVERTER_VERSION
from weights_convert.companions import companions, content_digest, file_in_folder

__all__ = ["cache_dir", "is_graph", "resolve_weights"]

log = logging.getLogger(__name__)

# Writes a downloaded file (first path) as posekit weights (second path).
Converter = Callable[[Path, Path], None]

MIRROR_FILE = "model.safetensors"
TIMEOUT = 30.0  # seconds without a byte
PAUSES = (0.5, 2.0, 5.0)  # seconds before a broken download goes on; then it is given up
BLOCK = 1 << 20

# The first digits of the file's SHA-256 end an official name, before an optional date. Where no
# letter is among them, nor a date behind them, they may as well be a date or the number of a step.
_DIGITS_IN_NAME = re.compile(r"[-_](?=\d*[a-f]|\d+[-_]20)([0-9a-f]{7,8})(?:[-_]20\d{6})?\.pth$")
_DROPPED = (ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException)


def resolve_weights(
    model: str, weights: str | Path | None = None, *, search: Sequence[Path] = ()
) -> Path:
    """The local posekit safetensors file of a model.

    A local graph whose weights cannot be read, as a quantised one, is returned as it is: engines
    run it, see `posekit.backends.files.GraphFile`.

    Args:
        model: a public name.
        weights: a file in any layout that `weights_convert` reads, the folder of a model that
            holds one, `https://...`, or `hf://org/repo/file@revision`; what a URL gave is kept and
            not asked for again.
            None or "published" takes the published weights.
        search: folders of configurations that come before the packaged ones.

    Raises:
        WeightsError: no such file, a damaged one, or one that does not fit the model.
        DownloadError: no source gave the weights; lists each one and why.
        InputError: the cache cannot be written, or `weights` is a URL of another kind.
    """
    convert = functools.partial(_convert, model=model, search=search)
    if weights in (None, "published"):
        return _published(model, convert)
    if "://" in (text := os.fspath(weights)):
        return _from_url(model, text, convert)
    return _from_file(model, Path(text).expanduser(), convert, search)


def cache_dir() -> Path:
    """The folder that holds converted weights in `models/` and unfinished ones in `downloads/`."""
    if named := os.environ.get("POSEKIT_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "posekit"


def _published(model: str, convert: Converter) -> Path:
    if (packaged := PACKAGED / f"{model}.safetensors").is_file():
        return packaged
    row = find_checkpoint(model)
    sources = list(row.sources) if row else []
    if namespace := os.environ.get("POSEKIT_HUB_NAMESPACE"):
        sources.insert(0, Source(f"hf://{namespace}/{model}/{MIRROR_FILE}"))
    return _cached(model, lambda output: _fetch_first(model, sources, output, convert))


def _from_url(model: str, url: str, convert: Converter) -> Path:
    if not url.startswith(("https://", "http://", "hf://")):
        raise InputError(f"expected weights from https://, http:// or hf://, found '{url}'")
    if url.startswith("hf://"):
        _parse_hub(url)
    key = hashlib.sha256(url.encode()).hexdigest()[:12]
    sources = [Source(url)]
    return _cached(f"{model}-{key}", lambda output: _fetch_first(model, sources, output, convert))


def _from_file(model: str, path: Path, convert: Converter, search: Sequence[Path]) -> Path:
    """A posekit file as it is; any other is converted into the cache, once per content."""
    try:
        if path.is_dir():
            path = file_in_folder(path)
        if not path.is_file():
            raise WeightsError(f"cannot read the weights {path}: no such file")
        if _is_posekit(path):
            if fault := _fault(path):
                raise WeightsError(f"the weights {path} are damaged: {fault}")
            return path
        if is_graph(path) and not _has_weights(path, model, search):
            companions(path)  # which an engine opens by itself
            return path
        key = content_digest(path)[:12]
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}") from None
    return _cached(f"{model}-{key}", lambda output: convert(path, output))


def _cached(stem: str, make: Callable[[Path], None]) -> Path:
    """A file of the cache, made by the first of all processes that ask for it."""
    path = cache_dir() / "models" / f"{stem}.safetensors"
    try:
        if _is_current(path):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not _is_current(path):  # nor has another process made it meanwhile
                _make(path, make)
    except DownloadError:
        raise
    except OSError as error:
        raise InputError(
            f"cannot write to the cache {cache_dir()}: {error.strerror or error}; "
            "make room or set POSEKIT_CACHE to another folder"
        ) from None
    return path


def _make(path: Path, make: Callable[[Path], None]) -> None:
    outdated = _is_whole(path)
    damaged = not outdated and path.exists()
    if damaged:
        log.warning("%s is damaged and was removed", path)
        path.unlink()
    try:
        make(path)
    except DownloadError as error:
        if outdated:
            text = "%s was converted by another version of posekit and cannot be made anew: %s"
            log.warning(text, path, _one_line(error))
        elif damaged:
            raise DownloadError(f"{path} was damaged and is removed; {error}") from None
        else:
            raise


def _fetch_first(model: str, sources: list[Source], output: Path, convert: Converter) -> None:
    """Makes the output from the first source that works."""
    downloads = cache_dir() / "downloads" / output.stem
    failures = []
    for source in sources:
        try:
            if source.location.startswith("hf://"):
                _fetch_from_hub(source, output, convert)
            else:
                _fetch_from_url(source, output, downloads, convert)
        except (DownloadError, WeightsError) as error:
            failures.append(f"  {source.location}: {_one_line(error)}")
        else:
            shutil.rmtree(downloads, ignore_errors=True)
            return
    tried = "\n".join(failures) or "  nothing, since no source is known"
    raise DownloadError(
        f"no weights for {model}. Tried:\n{tried}\n"
        "Get the file by other means and pass it: weights=FILE"
    )


def _fetch_from_hub(source: Source, output: Path, convert: Converter) -> None:
    """Takes a file from the Hub's own cache, where it stays."""
    path = _download_from_hub(source.location)
    # There a large file lies under its SHA-256, and a link with its name leads to it.
    stored = re.fullmatch(r"[0-9a-f]{64}", path.resolve().name)
    digits = source.sha256 or (stored[0] if stored else _digits_in_name(path.name))
    if fault := _fault(path, digits):
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise WeightsError(f"{path} was removed: {fault}")
    convert(path, output)


def _fetch_from_url(source: Source, output: Path, downloads: Path, convert: Converter) -> None:
    if _is_offline():
        raise DownloadError("not asked, since HF_HUB_OFFLINE is set")
    name = re.sub(r"[^\w.-]", "_", urllib.parse.urlsplit(source.location).path.rpartition("/")[2])
    folder = downloads / hashlib.sha256(source.location.encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name if name.strip(".") else "weights")
    if not path.exists():
        _download(source.location, path)
    try:
        if fault := _fault(path, source.sha256 or _digits_in_name(path.name)):
            raise WeightsError(fault)
        convert(path, output)
    except WeightsError as error:
        path.unlink()
        raise WeightsError(f"{path} was removed: {error}") from None


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _download_from_hub(location: str) -> Path:
    """A file in the cache of `huggingface_hub`, which shows a bar and resumes by itself."""
    from huggingface_hub import hf_hub_download

    repository, file, revision = _parse_hub(location)
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
    offline = _is_offline()
    try:
        return Path(
            hf_hub_download(
                repository, file, revision=revision, endpoint=endpoint, local_files_only=offline
            )
        )
    except Exception as error:
        # Its exceptions, and those of the HTTP library beneath, differ from version to version.
        if offline:
            raise DownloadError("not in the Hub's cache, and HF_HUB_OFFLINE is set") from None
        # This kind says only that there was no connection; its cause says why.
        cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
        raise DownloadError(_one_line(cause or error)) from None


def _parse_hub(location: str) -> tuple[str, str, str | None]:
    """`hf://org/repo/path/of/file@revision` -> repository, file, revision."""
    path, _, revision = location.removeprefix("hf://").partition("@")
    parts = path.split("/", 2)
    if len(parts) != 3 or not all(parts):
        raise InputError(f"expected hf://organisation/repository/file, found '{location}'")
    return "/".join(parts[:2]), parts[2], revision or None


def _download(url: str, path: Path) -> None:
    """Fetches a URL to a file; what an earlier try left in `*.incomplete` is not fetched again."""
    part = path.with_name(f"{path.name}.incomplete")
    for pause in (*PAUSES, None):
        try:
            _download_rest(url, part)
            break
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            if error.code not in (408, 425, 429) and error.code < 500:
                raise DownloadError(reason) from None
        except urllib.error.URLError as error:  # no connection at all
            raise DownloadError(str(error.reason)) from None
        except (http.client.InvalidURL, ValueError) as error:
            raise DownloadError(f"not a URL that can be asked: {error}") from None
        except _DROPPED as error:
            reason = str(error) or type(error).__name__
        if pause is None:
            raise DownloadError(f"{reason}, {len(PAUSES) + 1} times")
        log.info("%s: %s; going on", url, reason)
        time.sleep(pause)
    part.replace(path)


def _download_rest(url: str, part: Path) -> None:
    """Asks for what `part` lacks and appends it."""
    version = _version_of(part).read_text() if _version_of(part).exists() else ""
    have = part.stat().st_size if part.exists() and version else 0
    with _ask(url, part, have, version) as response:
        begin = response.headers.get("Content-Range", f"bytes {have}-")
        if response.status == 206 and not begin.startswith(f"bytes {have}-"):
            part.unlink()
            raise ConnectionError(f"the server sent {begin} in place of what follows byte {have}")
        if response.status != 206:  # from the start: the first time, no ranges, or a new file
            have = 0
            part.unlink(missing_ok=True)
            tag = response.headers.get("ETag", "")
            # Not a weak one, which cannot tell contents apart.
            strong = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
            _version_of(part).write_text(strong)
        length = response.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        with (
            part.open("ab" if have else "wb") as file,
            # No bar where stderr is not a terminal.
            tqdm(total=total, initial=have, unit="B", unit_scale=True, disable=None) as bar,
        ):
            bar.set_description(part.stem, refresh=False)
            while block := _read(response):
                file.write(block)
                bar.update(len(block))
    if total is not None and (found := part.stat().st_size) != total:
        raise ConnectionError(f"the connection broke after {found} of {total} bytes")


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(BLOCK)
    except OSError as error:  # such as no route to the host, which is no matter of the disk
        raise ConnectionError(str(error) or type(error).__name__) from error


def _ask(url: str, part: Path, have: int, version: str) -> http.client.HTTPResponse:
    headers = {"User-Agent": "posekit", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    request = urllib.request.Request(url, headers=headers)
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        part.unlink()
        raise ConnectionError("what was there did not fit the server's file") from None
    return response


def _version_of(part: Path) -> Path:
    """Where a partial file's ETag or date is kept: it goes on while the server's is the same."""
    return part.with_suffix(".version")


def _convert(path: Path, output: Path, *, model: str, search: Sequence[Path]) -> None:
    """Writes the output, whole or not at all; what is posekit's already is copied."""
    if not _is_posekit(path):
        from weights_convert import convert_file

        convert_file(path, model, output, search=search)
        return
    temporary = output.with_suffix(".tmp")
    try:
        shutil.copyfile(path, temporary)
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)


def _is_posekit(path: Path) -> bool:
    """True for safetensors that name the posekit model they are for, damaged or not."""
    header = _read_header(path)
    return header is not None and "model" in header[0]


def is_graph(path: Path) -> bool:
    """Whether a file's content is a graph that engines run: ONNX, or OpenVINO's XML."""
    with path.open("rb") as file:
        head = file.read(9)
    if head[8:] == b"{":  # safetensors
        return False
    from weights_convert.onnx import starts_onnx

    return head.startswith((b"<?xml", b"<net ")) or starts_onnx(head)


def _has_weights(path: Path, model: str, search: Sequence[Path]) -> bool:
    """Whether a graph's weights can be converted to those of a model."""
    from weights_convert.onnx import holds_weights

    target: str = read_config(model, search)["net"]["_target_"]
    return path.suffix != ".xml" and holds_weights(path, target.rpartition(".")[2])


def _is_whole(path: Path) -> bool:
    try:
        return _read_header(path) is not None and _fault(path) is None
    except (FileNotFoundError, NotADirectoryError):
        return False


def _is_current(path: Path) -> bool:
    """Whether a file of the cache is whole and as the converter would write it today."""
    if not _is_whole(path):
        return False
    header = _read_header(path)
    assert header is not None
    return header[0].get("converter", CONVERTER_VERSION) == CONVERTER_VERSION


def _fault(path: Path, digits: str | None = None) -> str | None:
    """What is wrong with a file: the first digits of its SHA-256, or the size of safetensors."""
    if digits and not (found := _sha256(path)).startswith(digits.lower()):
        return f"expected a SHA-256 of {digits[:16]}..., found {found[:16]}..."
    if (header := _read_header(path)) and (size := path.stat().st_size) != header[1]:
        return f"expected {header[1]} bytes, found {size}"
    return None


def _digits_in_name(name: str) -> str | None:
    match = _DIGITS_IN_NAME.search(name)
    return match[1] if match else None


def _read_header(path: Path) -> tuple[dict[str, str], int] | None:
    """Metadata and whole size that safetensors announce; None for another kind of file."""
    with path.open("rb") as file:
        start = file.read(9)
        length = int.from_bytes(start[:8], "little")
        if start[8:] != b"{" or length > 100_000_000:  # the format's own limit
            return None
        rest = file.read(length - 1)
    try:
        header = json.loads(b"{" + rest)
        metadata = dict(header.pop("__metadata__", {}))
        return metadata, 8 + length + max(
            (e["data_offsets"][1] for e in header.values()), default=0
        )
    except (ValueError, TypeError, LookupError, AttributeError):
        return None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _one_line(error: BaseException) -> str:
    """An error's message without its line breaks, shortened."""
    return textwrap.shorten(str(error) or type(error).__name__, 400, placeholder=" ...")
