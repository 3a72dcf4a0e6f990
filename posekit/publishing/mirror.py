"""The published models in an organisation of the Hub: converted, hashed, each with a card."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import yaml

from posekit.checkpoints import CHECKPOINTS, Checkpoint
from posekit.config import config_path, nearest, resolve_name
from posekit.errors import DownloadError, InputError, PosekitError, UnknownModelError
from posekit.files import PACKAGED, sha256_of
from posekit.hub_client import bounded_waits, endpoint, one_line, quiet_hub
from posekit.hub_models import explain_refusal
from posekit.publishing.card import Figure, Subject, card_text
from posekit.publishing.options import MirrorOptions
from posekit.publishing.push import (
    CARD,
    SKELETON_PICTURE,
    AccessError,
    Upload,
    commit,
    skeleton_picture,
)
from posekit.skeleton import load_skeleton
from posekit.spec import DetectorSpec, load_spec
from posekit.training.export import skeleton_yaml
from posekit.weights.hub import MIRROR_FILE, STANDS_IN, cached_weights, resolve_weights
from posekit.weights.own_files import metadata_of

__all__ = ["Mirrored", "mirror_rows", "select"]

# Licences under which whoever has a file may pass it on, as the Hub calls them. Of any other
# posekit does not know that.
FREE = frozenset(
    (
        "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "cc0-1.0", "cc-by-4.0",
        "cc-by-sa-4.0", "unlicense",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Mirrored:
    """The outcome for one model.

    Attributes:
        name: its public name.
        state: "uploaded", "there", "left out", "refused" or "failed"; in a dry run "would be
            uploaded" too.
        reason: why, or how large it is.
    """

    name: str
    state: str
    reason: str = ""


def select(only: Sequence[str] | None) -> list[Checkpoint]:
    """Rows of the table.

    Args:
        only: names, aliases, tasks and patterns of names; None for all.

    Raises:
        InputError: a word that is none of these.
    """
    if only is None:
        return list(CHECKPOINTS)
    names: set[str] = set()
    for word in only:
        found = {row.name for row in CHECKPOINTS if word == row.task or fnmatchcase(row.name, word)}
        if not found:
            try:
                found = {resolve_name(word)}
            except UnknownModelError:
                known = [*(row.task for row in CHECKPOINTS), *(row.name for row in CHECKPOINTS)]
                close = nearest(word, list(dict.fromkeys(known)))
                hint = f"; did you mean {', '.join(close)}?" if close else ""
                raise InputError(f"only: no model, task or pattern of models is '{word}'{hint}") \
                    from None  # fmt: skip
        names |= found
    return [row for row in CHECKPOINTS if row.name in names]


def mirror_rows(
    organisation: str,
    rows: Sequence[Checkpoint],
    options: MirrorOptions,
    say: Callable[[str], None],
) -> Iterator[Mirrored]:
    """Uploads the missing models one after the other, and yields the outcome for each.

    Each is one commit, so that a second call resumes an interrupted one.

    Raises:
        DownloadError: the Hub cannot be reached.
    """
    there = _repositories(organisation)
    stopped = ""
    for row in rows:
        if (reason := _why_not(row)) is not None:
            yield reason
            continue
        if stopped:
            yield Mirrored(row.name, "failed", stopped)
            continue
        repository = f"{organisation}/{row.name}"
        try:
            digest = _remote_digest(repository) if repository in there else None
            if not options.push:
                yield _foreseen(row, digest)
                continue
            yield _mirrored(row, repository, digest, options, say)
        except AccessError as error:
            stopped = "not tried, since there is no write access"
            yield Mirrored(row.name, "failed", one_line(error))
        except PosekitError as error:
            yield Mirrored(row.name, "failed", one_line(error))


def _why_not(row: Checkpoint) -> Mirrored | None:
    """What keeps a model from being mirrored at all."""
    if (PACKAGED / f"{row.name}.safetensors").is_file():
        return Mirrored(row.name, "left out", "it comes with the package")
    if _license(row) not in FREE:
        return Mirrored(
            row.name,
            "refused",
            f"its licence, {row.license}, is not known to allow redistribution",
        )
    if all(source.stands_in for source in row.sources):
        return Mirrored(row.name, "left out", "its own weights cannot be had, others stand in")
    return None


def _license(row: Checkpoint) -> str:
    return "-".join(row.license.lower().split())


def _foreseen(row: Checkpoint, digest: str | None) -> Mirrored:
    path = cached_weights(row.name)
    if digest is not None and path is None:
        return Mirrored(row.name, "there", "not compared, as its weights are not in the cache here")
    if path is not None and digest == sha256_of(path):
        return Mirrored(row.name, "there")
    size = path.stat().st_size if path is not None else round((row.parameters or 0) * 4e6)
    about = "" if path is not None else "about "
    what = "other weights are there; " if digest is not None else ""
    return Mirrored(row.name, "would be uploaded", f"{what}{about}{size / 1e6:.0f} MB")


def _mirrored(
    row: Checkpoint,
    repository: str,
    digest: str | None,
    options: MirrorOptions,
    say: Callable[[str], None],
) -> Mirrored:
    with _not_asking(repository.partition("/")[0]):
        path = resolve_weights(row.name)
    if other := metadata_of(path).get(STANDS_IN):
        return Mirrored(row.name, "left out", f"a stand-in is in the cache: {other}")
    if digest == sha256_of(path):
        return Mirrored(row.name, "there")
    say(f"{repository}: {path.stat().st_size / 1e6:.0f} MB")
    url = commit(
        _upload(row, repository), private=options.private, message=f"{row.name}, by posekit"
    )
    return Mirrored(row.name, "uploaded", url)


@contextmanager
def _not_asking(organisation: str) -> Iterator[None]:
    """What is mirrored comes from the sources of the table, not from the mirror itself."""
    before = os.environ.get("POSEKIT_HUB_NAMESPACE")
    if before == organisation:
        del os.environ["POSEKIT_HUB_NAMESPACE"]
    try:
        yield
    finally:
        if before is not None:
            os.environ["POSEKIT_HUB_NAMESPACE"] = before


def _upload(row: Checkpoint, repository: str) -> Upload:
    """The folder of a published model, as that of a trained one."""
    spec = load_spec(row.name)
    path = resolve_weights(row.name)
    group = config_path(row.name).parent.name
    skeleton = None if isinstance(spec, DetectorSpec) else load_skeleton(spec.keypoints)
    files: dict[str, Any] = {
        MIRROR_FILE: path,
        f"{group}/{row.name}.yaml": yaml.safe_dump(spec.to_config(), sort_keys=False).encode(),
    }
    pictures = {}
    if skeleton is not None:
        files[f"keypoints/{skeleton.name}.yaml"] = skeleton_yaml(skeleton).encode()
    if (drawing := skeleton_picture(spec, ())) is not None:
        files[SKELETON_PICTURE] = drawing
        pictures[SKELETON_PICTURE] = "the skeleton"
    metadata = metadata_of(path)
    source = metadata.get("source", row.sources[0].location)
    subject = Subject(
        name=row.name,
        repository=repository,
        group=group,
        skeleton=skeleton,
        classes=getattr(spec, "classes", ()),
        figures=[Figure(metric.dataset, metric.name, metric.value) for metric in row.metrics],
        figures_note="Figures as the authors of the weights publish them:",
        license=_license(row),
        about={
            "weights": f"converted from {source}",
            "SHA-256 of that file": metadata.get("source_sha256", "not known"),
            "SHA-256 of model.safetensors": sha256_of(path),
            "official configuration": row.config,
            "training data": row.training_data,
        },
        pictures=pictures,
    )
    files[CARD] = card_text(subject).encode()
    return Upload(repository, files)


def _repositories(organisation: str) -> set[str]:
    from huggingface_hub import HfApi

    with (
        _explained(f"the repositories of {organisation} cannot be listed"),
        bounded_waits(),
        quiet_hub(),
    ):
        return {found.id for found in HfApi(endpoint=endpoint()).list_models(author=organisation)}


def _remote_digest(repository: str) -> str | None:
    """The SHA-256 of the weights that are there."""
    from huggingface_hub import HfApi

    with _explained(repository), bounded_waits(), quiet_hub():
        info: Any = HfApi(endpoint=endpoint()).model_info(repository, files_metadata=True)
    for entry in info.siblings or ():
        if entry.rfilename == MIRROR_FILE and entry.lfs is not None:
            return str(entry.lfs.sha256)
    return None


@contextmanager
def _explained(where: str) -> Iterator[None]:
    try:
        yield
    except DownloadError:
        raise
    except Exception as error:
        raise explain_refusal(error, where) from None
