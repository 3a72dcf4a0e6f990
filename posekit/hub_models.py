"""A model of the Hub by its address: `hf://organisation/name@revision` -> a folder that is data.

Only what is named here is fetched: `model.safetensors`, one YAML that describes the network, the
YAML of its skeleton. They lie in the cache of `huggingface_hub`, or in `hub/` of posekit's own
where that folder is, as `posekit download to=FOLDER` leaves it.

A complete commit in the cache causes no request; for a branch, one request finds its commit.
Weights come last, so that a commit with weights has all the rest.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from posekit import checkpoints
from posekit.config import GROUPS, NO_DETECTOR, resolve_name
from posekit.errors import DownloadError, InputError, UnknownModelError, WeightsError
from posekit.files import cache_dir, sha256_of
from posekit.hub_client import (
    bounded_waits,
    endpoint,
    fetch_file,
    is_offline,
    quiet_hub,
    reason_of,
    status_of,
)
from posekit.plain_yaml import read_yaml

__all__ = [
    "LOG_IN",
    "HubModel",
    "check_description",
    "explain_refusal",
    "fetch_model",
    "parse_address",
    "refuse_trust",
]

log = logging.getLogger(__name__)

WEIGHTS = "model.safetensors"
MAX_YAML = 1 << 20  # bytes; the longest here, of 133 keypoints, has 12,000
MAX_WEIGHTS = 20 << 30  # bytes; the largest here has 2.5 GB
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PICKLES = (".bin", ".pth", ".pt", ".ckpt", ".pkl", ".pickle")
_GRAPHS = (".onnx", ".zip", ".xml")  # and what holds them
TIMEOUT = 30.0  # seconds
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


class Address(NamedTuple):
    """What `hf://organisation/name@revision` says."""

    repository: str
    revision: str | None

    def __str__(self) -> str:
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")


class HubModel(NamedTuple):
    """A model that lies in the cache.

    Attributes:
        root: the folder that has the other two, and what belongs to them.
        config: its YAML.
        weights: its safetensors.
        commit: commit of the repository.
    """

    root: Path
    config: Path
    weights: Path
    commit: str


class _File(NamedTuple):
    """A file of a repository, as the Hub lists it."""

    name: str
    size: int
    sha256: str | None  # of large files


def parse_address(text: str) -> Address:
    """`hf://organisation/name@revision`; the revision may be left out.

    Raises:
        InputError: something else after `hf://`.
    """
    path, at, revision = text.removeprefix("hf://").partition("@")
    parts = path.split("/")
    plain = all(re.fullmatch(r"\w[\w.-]{0,95}", part, re.ASCII) for part in parts)
    if not plain or ".." in path or (at and not _is_revision(revision)):
        raise InputError(f"expected hf://organisation/name or hf://organisation/name@revision, "
                         f"found '{text}'")  # fmt: skip
    if len(parts) != 2:
        hint = ""
        if len(parts) > 2:
            hint = (
                f": a file of a repository is given as weights of a model, "
                f'posekit.load("MODEL", weights="{text}")'
            )
        raise InputError(f"expected a model, hf://organisation/name, found '{text}'{hint}")
    return Address(path, revision or None)


def _is_revision(text: str) -> bool:
    """Whether it may be a branch, a tag or a commit, which leads out of no folder."""
    return re.fullmatch(r"\w[\w./-]{0,199}", text, re.ASCII) is not None and ".." not in text


def refuse_trust(name: str) -> InputError:
    """The error for `trust` with a model of the Hub."""
    return InputError(
        f"trust does not apply to {name}: nothing that comes from the Hub runs code. Download it, "
        "read it, and load the folder with trust=true"
    )


def fetch_model(text: str) -> HubModel:
    """The folder of a model of the Hub, fetched where it is not there.

    Raises:
        InputError: another address; a repository without a model of posekit's, or with one that
            is not plain data.
        WeightsError: weights that are damaged, or no safetensors.
        DownloadError: the Hub does not give it, or it is not in the cache and nothing may be asked.
    """
    address = parse_address(text)
    pinned = _COMMIT.fullmatch(address.revision or "") is not None
    if (pinned or is_offline()) and (found := _in_cache(address)) is not None:
        return _checked(found, address)
    if is_offline():
        raise DownloadError(
            f"{address}: not in the Hub's cache, and HF_HUB_OFFLINE is set; fetch it where there "
            f"is a network: posekit download {address} to=FOLDER"
        )
    with quiet_hub():
        try:
            return _checked(_from_hub(address), address)
        except _UnreachableError as error:
            found = _in_cache(address)
            if found is None:
                raise DownloadError(
                    f"{address}: the Hub cannot be reached: {error}; check the network; behind "
                    "a proxy, set HTTPS_PROXY"
                ) from None
            log.warning(
                "%s: the Hub cannot be reached: %s; taking commit %s, which is in the cache",
                *(address, error, found.commit[:12]),
            )
            return _checked(found, address)


def peek(text: str) -> tuple[int, bool]:
    """The bytes of a model of the Hub, and whether all of it is in the cache; fetches nothing.

    Raises: as `fetch_model`.
    """
    address = parse_address(text)
    if is_offline():
        found = fetch_model(text)
        return found.weights.stat().st_size, True
    try:
        commit, files = _listing(address)
    except _UnreachableError as error:
        raise DownloadError(f"{address}: the Hub cannot be reached: {error}") from None
    config, _, weights = _wanted(address, files)
    there = all(_cached_file(address, file.name, commit) for file in (config, weights))
    return config.size + weights.size, there


class _UnreachableError(Exception):
    """The Hub did not answer, or with an error of its own."""


# --- the cache


def _cache() -> Path | None:
    """The folder that `posekit download to=FOLDER` made, which has all or is to; None for the
    client's own.
    """
    folder = cache_dir() / "hub"
    return folder if folder.is_dir() else None


def _cached_file(address: Address, file: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(address.repository, file, cache_dir=_cache(), revision=revision)
    return Path(found) if isinstance(found, str) else None


def _in_cache(address: Address) -> HubModel | None:
    """The model as it lies in the cache; None where it is not there whole."""
    for prefix in ("", "export/"):
        weights = _cached_file(address, prefix + WEIGHTS, address.revision)
        if weights is not None and (found := _model_in(weights)) is not None:
            return found
    return None


def _model_in(weights: Path) -> HubModel | None:
    root = weights.parent
    configs = [path for group in GROUPS for path in (root / group).glob("*.yaml")]
    if len(configs) != 1:
        return None
    snapshot = root.parent if root.name == "export" else root
    return HubModel(root, configs[0], weights, snapshot.name)


def _checked(model: HubModel, address: Address) -> HubModel:
    """The model, if it is the data that it should be."""
    check_description(model.config, address)
    if fault := _fault_in_weights(model.weights):
        raise WeightsError(f"{address}: {WEIGHTS} {fault}")
    return model


def check_description(config: Path, address: object) -> Mapping[str, Any]:
    """The values of a YAML; refuses one that is too large, or that names files of this machine."""
    for path in (config, *(config.parent.parent / "keypoints").glob("*.yaml")):
        if path.stat().st_size > MAX_YAML:
            raise InputError(f"{address}: {path.name} has more than {MAX_YAML:,} bytes")
    values = read_yaml(config)
    if not isinstance(values, Mapping):
        raise InputError(f"{address}: {config.name} does not describe a model")
    for key in ("detector", "pose2d"):
        named = values.get(key)
        if isinstance(named, str) and not _is_public(named, detector=key == "detector"):
            raise InputError(
                f"{address}: {key}: expected the name of a model of posekit, or "
                f"hf://organisation/name, found '{named[:100]}'"
            )
    return values


def _is_public(name: str, *, detector: bool) -> bool:
    """Whether it leads to no file of this machine."""
    if name.startswith("hf://"):
        parse_address(name)
        return True
    if name.endswith((".py", ".pth", ".yaml", ".yml")):  # what `locate` looks for as a file
        return False
    try:
        return name in NO_DETECTOR or bool(resolve_name(name, detector=detector))
    except UnknownModelError:
        return False


def _fault_in_weights(path: Path) -> str | None:
    """Why a file is not safetensors, whole; None where it is."""
    size = path.stat().st_size
    if size > MAX_WEIGHTS:
        return f"has {size:,} bytes, expected at most {MAX_WEIGHTS:,}"
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > 100_000_000 or file.read(1) != b"{":
            return "is not a safetensors file, whatever its name"
        try:
            header = json.loads(b"{" + file.read(length - 1))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key[:2] != "__"]
            whole = 8 + length + max(ends, default=0)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            return "is not a safetensors file, or is damaged"
    if size != whole:
        return f"is damaged: expected {whole:,} bytes, found {size:,}"
    return None


# --- the Hub


def _from_hub(address: Address) -> HubModel:
    """Asks for the commit, and fetches what of it is not there."""
    commit, files = _listing(address)
    config, skeletons, weights = _wanted(address, files)
    described = check_description(_have(address, config, commit), address)
    for file in skeletons:
        # The one that it names, and none that would take the place of another model's.
        if file.name.rpartition("/")[2] == f"{described.get('keypoints')}.yaml":
            _have(address, file, commit)
    # By the name that was asked for, so that it leads to this commit where nothing can be asked.
    path = _cached_file(address, weights.name, address.revision) or Path()
    if commit not in path.parts:
        path = _fetch(address, weights, address.revision)
    if commit not in path.parts:
        raise DownloadError(f"{address}: it changed during the download; run this again")
    found = _model_in(path)
    if found is None:
        raise InputError(
            f"{address}: {path.parent} has files that posekit did not write; remove that folder"
        )
    return found


def _have(address: Address, file: _File, commit: str) -> Path:
    return _cached_file(address, file.name, commit) or _fetch(address, file, commit)


def _listing(address: Address) -> tuple[str, list[_File]]:
    """The commit of a revision and its files, in one request."""
    from huggingface_hub import HfApi

    try:
        with bounded_waits():
            info: Any = HfApi(endpoint=endpoint()).model_info(
                address.repository, revision=address.revision, files_metadata=True, timeout=TIMEOUT
            )
        commit = str(info.sha)
        if not _COMMIT.fullmatch(commit):
            raise ValueError(f"expected a commit, found '{commit[:60]}'")
    except Exception as error:
        if (status := status_of(error)) is None or status >= 500 or status in (408, 425, 429):
            raise _UnreachableError(reason_of(error)) from None
        raise explain_refusal(error, str(address)) from None
    return commit, [
        _File(entry.rfilename, entry.size or 0, getattr(entry.lfs, "sha256", None))
        for entry in info.siblings or ()
    ]


def explain_refusal(error: BaseException, address: str) -> DownloadError:
    """Why the Hub refuses a repository, and what to do."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "GatedRepoError" in kinds:
        repository = address.removeprefix("hf://").partition("@")[0]
        page = f"{endpoint() or 'https://huggingface.co'}/{repository}"
        reason = f"it is gated: accept its conditions at {page}, and {LOG_IN}"
    elif "RevisionNotFoundError" in kinds:
        reason = "there is no such revision: expected a branch, a tag or a commit after '@'"
    elif "RepositoryNotFoundError" in kinds:
        reason = f"there is no such repository, or it is private: check the name, or {LOG_IN}"
    elif status_of(error) in (401, 403):
        reason = f"the token may not do this: {LOG_IN}"
    else:
        reason = reason_of(error)
    return DownloadError(f"{address}: {reason}")


def _wanted(address: Address, files: Sequence[_File]) -> tuple[_File, list[_File], _File]:
    """Of a repository's files those of the model: its YAML, skeletons, weights."""
    for prefix in ("", "export/"):
        weights = [file for file in files if file.name == prefix + WEIGHTS]
        configs = [file for file in files if _is_yaml(file.name, prefix, GROUPS)]
        skeletons = [file for file in files if _is_yaml(file.name, prefix, ("keypoints",))]
        if len(configs) != 1 or not weights:
            continue
        for file in (*configs, *skeletons):
            if file.size > MAX_YAML:
                raise InputError(f"{address}: {file.name} has {file.size:,} bytes, expected at "
                                 f"most {MAX_YAML:,}")  # fmt: skip
        if weights[0].size > MAX_WEIGHTS:
            raise InputError(f"{address}: {weights[0].name} has {weights[0].size:,} bytes, "
                             f"expected at most {MAX_WEIGHTS:,}")  # fmt: skip
        return configs[0], skeletons, weights[0]
    raise InputError(f"{address} is not a posekit model: {_what_else(address, files)}")


def _is_yaml(name: str, prefix: str, folders: Collection[str]) -> bool:
    folder, _, file = name.removeprefix(prefix).partition("/")
    return (
        name.startswith(prefix)
        and folder in folders
        and file.endswith(".yaml")
        and not file.startswith(".")
        and file.isprintable()
        and not re.search(r'[/\\:*?"<>|]', file)
        and len(file) <= 200
    )


def _fetch(address: Address, file: _File, revision: str | None) -> Path:
    """A file of the repository, whole and with the hash that the Hub lists."""
    try:
        path = fetch_file(address.repository, file.name, revision, cache=_cache())
    except DownloadError as error:
        raise DownloadError(f"{address}: {file.name}: {error}; run this again") from None
    fault = ""
    if (size := path.stat().st_size) != file.size:
        fault = f"expected {file.size:,} bytes, found {size:,}"
    elif file.sha256 is not None and (found := sha256_of(path)) != file.sha256:
        fault = f"expected a SHA-256 of {file.sha256[:16]}..., found {found[:16]}..."
    if fault:
        path.resolve().unlink()
        path.unlink(missing_ok=True)  # the link
        raise DownloadError(f"{address}: {file.name} was removed: {fault}; run this again")
    return path


# --- repositories of another kind


def _what_else(address: Address, files: Sequence[_File]) -> str:
    """What a repository without a model has, and how to use it all the same."""
    repository = address.repository
    for row in checkpoints.CHECKPOINTS:
        if any(source.location.startswith(f"hf://{repository}/") for source in row.sources):
            return f'posekit has it by name, posekit.load("{row.name}")'
    names = sorted(file.name for file in files if file.name.isprintable())
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "") or "nothing"
    expected = (
        f"expected {WEIGHTS} and one model/NAME.yaml, as `posekit push` writes them, found {shown}"
    )
    own = [name for name in names if name.endswith(".safetensors")]
    pickles = [name for name in names if name.endswith(_PICKLES)]
    others = [name for name in names if name.endswith(_GRAPHS)]
    for file in (*own, *pickles, *others):
        at = f"@{address.revision}" if address.revision else ""
        weights = f'weights="hf://{repository}/{file}{at}"'
        if WEIGHTS in own and (model := _vitpose(address, files)):
            return f'{expected}; it is VitPose of transformers: posekit.load("{model}", {weights})'
        what = "" if own else "a pickle, " if pickles else "a graph, "
        return (
            f"{expected}; {file} is {what}not loaded without a description: if it fits a model "
            f'that posekit has, use posekit.load("NAME", {weights})'
        )
    return expected


def _vitpose(address: Address, files: Sequence[_File]) -> str | None:
    """The model that has the network of a repository of transformers; None for another one."""
    if not any(file.name == "config.json" and file.size < MAX_YAML for file in files):
        return None
    try:
        path = fetch_file(address.repository, "config.json", address.revision, cache=_cache())
        values = json.loads(path.read_bytes())
        backbone = values["backbone_config"]
        size = {384: "s", 768: "b", 1024: "l", 1280: "h"}[backbone["hidden_size"]]
        if values["model_type"] != "vitpose":
            return None
        plus = backbone.get("num_experts", 1) > 1
    except (DownloadError, OSError, ValueError, TypeError, LookupError, AttributeError):
        return None
    simple = "-simple" if values.get("use_simple_decoder", True) and not plus else ""
    return f"vitpose-{'plus-' if plus else ''}{size}{simple}_coco-256x192"
