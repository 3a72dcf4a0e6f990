"""A trained model's folder to the Hub, in one commit."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from posekit.build import build_network
from posekit.config import GROUPS, config_path
from posekit.errors import DownloadError, InputError, OutputError, WeightsError
from posekit.hub_client import endpoint, is_offline, reason_of, status_of
from posekit.hub_models import LOG_IN, check_description, explain_refusal
from posekit.locate import Located, locate
from posekit.publishing.card import Figure, Subject, card_text, is_own_card
from posekit.publishing.options import PushOptions
from posekit.publishing.picture import draw_prediction, draw_skeleton
from posekit.skeleton import load_skeleton
from posekit.spec import DetectorSpec, Spec, load_spec
from posekit.training.export import OWN_CARD
from posekit.weights.own_files import is_posekit
from posekit.weights.tensors import check_fit

__all__ = [
    "CARD",
    "SKELETON_PICTURE",
    "AccessError",
    "Upload",
    "commit",
    "prepare",
    "skeleton_picture",
]

log = logging.getLogger(__name__)

CARD = "README.md"
SKELETON_PICTURE = "skeleton.png"
PREDICTION_PICTURE = "prediction.jpg"


class AccessError(DownloadError):
    """No write access to the repository, or no login."""


class Upload(NamedTuple):
    """The files of an upload.

    Attributes:
        repository: `organisation/name`.
        files: path in the repository -> file, or its content.
    """

    repository: str
    files: Mapping[str, Path | bytes]

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        return {
            name: len(content) if isinstance(content, bytes) else content.stat().st_size
            for name, content in sorted(self.files.items())
        }


def prepare(folder: Path, repository: str, options: PushOptions) -> Upload:
    """Collects the files of a model and its card, with the same checks as on loading.

    Args:
        folder: a run or its export.
        repository: `organisation/name`.
        options: further content of the card.

    Raises:
        InputError: no trained model, one that cannot be loaded from the Hub, or not the name of a
            repository.
        WeightsError: weights that do not fit.
    """
    repository = repository.removeprefix("hf://")
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repository, re.ASCII):
        raise InputError(f"expected organisation/name, found '{repository}'")
    if not folder.is_dir():
        raise InputError(f"no such folder: {folder}")
    found = locate(str(folder.resolve()))
    if found.weights is None:
        raise InputError(f"{folder} holds no trained model")
    root = found.weights.parent
    spec = load_spec(found.name, found.search)
    check_description(config_path(found.name, found.search), str(folder))
    if not is_posekit(found.weights):
        raise WeightsError(
            f"{found.weights} is not in posekit's layout; convert it with `posekit import`"
        )
    check_fit(build_network(spec.net), found.weights)
    files: dict[str, Path | bytes] = dict(_files_of(root))
    pictures: dict[str, str] = {}
    if (drawing := skeleton_picture(spec, found.search)) is not None:
        files[SKELETON_PICTURE] = drawing
        pictures[SKELETON_PICTURE] = "the skeleton"
    if options.picture is not None:
        image = draw_prediction(root, Path(options.picture))
        files[PREDICTION_PICTURE] = _encoded(image, ".jpg")
        pictures = {PREDICTION_PICTURE: "what it finds", **pictures}
    own = root / CARD
    if not own.is_file() or OWN_CARD in (text := own.read_text("utf-8")) or is_own_card(text):
        subject = _subject(repository, found, spec, options, pictures)
        files[CARD] = card_text(subject).encode()
    return Upload(repository, files)


def _files_of(root: Path) -> Iterator[tuple[str, Path]]:
    """What is in a folder, but for hidden files."""
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if path.is_dir() or any(part.startswith(".") for part in inside.parts):
            continue
        if not path.resolve().is_relative_to(root.resolve()):
            raise InputError(f"{path} is a link out of the folder: put the file itself there")
        yield inside.as_posix(), path


def skeleton_picture(spec: Spec, search: Sequence[Path]) -> bytes | None:
    """A PNG of a model's skeleton; None for a detector, and for one keypoint."""
    if isinstance(spec, DetectorSpec):
        return None
    skeleton = load_skeleton(spec.keypoints, search=search)
    if skeleton.num_keypoints < 2:
        return None
    return _encoded(draw_skeleton(skeleton), ".png")


def _encoded(image: np.ndarray, kind: str) -> bytes:
    done, data = cv2.imencode(kind, image)
    assert done
    return data.tobytes()


def _subject(
    repository: str,
    found: Located,
    spec: Spec,
    options: PushOptions,
    pictures: Mapping[str, str],
) -> Subject:
    assert found.weights is not None
    root = found.weights.parent
    about = _plain_json(root / "about.json")
    if detector := getattr(spec, "detector", None):
        about["detector"] = detector
    measured = _plain_json(root / "metrics.json")
    dataset = str(about.get("validation data", "validation set"))
    figures = [
        Figure(dataset, name, float(value))
        for name, value in measured.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return Subject(
        name=found.name,
        repository=repository,
        group=config_path(found.name, found.search).parent.name,
        skeleton=None
        if isinstance(spec, DetectorSpec)
        else load_skeleton(spec.keypoints, search=found.search),
        classes=getattr(spec, "classes", ()),
        figures=figures,
        figures_note="Measured by posekit on the validation data:",
        license=options.license,
        about=about,
        pictures=pictures,
    )


def _plain_json(path: Path) -> dict[str, Any]:
    """What an export wrote beside the model; empty where it did not, or somebody else did."""
    try:
        values = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if not isinstance(values, Mapping):
        return {}
    return {str(k): v for k, v in values.items() if isinstance(v, str | int | float)}


def commit(
    upload: Upload, *, private: bool = False, branch: str | None = None, message: str
) -> str:
    """Uploads in one commit, so that a model is never there in part; returns the commit's URL.

    A repository holds one model: the YAML of another one is deleted in the same commit. A card
    that somebody else wrote is kept.

    Raises:
        DownloadError: the Hub cannot be reached, or refuses; no token.
        OutputError: uploads are switched off.
    """
    # Imported late: it takes a second.
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    if is_offline():
        raise OutputError("nothing is uploaded while HF_HUB_OFFLINE is set")
    repository = upload.repository
    api = HfApi(endpoint=endpoint())
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        if branch not in (None, "main"):
            api.create_branch(repository, branch=branch, exist_ok=True)
        there = api.model_info(repository, revision=branch).siblings or ()
        names = [entry.rfilename for entry in there]
        files = dict(upload.files)
        if CARD in names and not is_own_card(_remote_card(repository, branch)):
            log.warning("%s: its %s was written by hand and stays as it is", repository, CARD)
            files.pop(CARD, None)
        operations: list[Any] = [
            CommitOperationAdd(name, content) for name, content in files.items()
        ]
        operations += [CommitOperationDelete(name) for name in names if _is_stale(name, files)]
        done = api.create_commit(repository, operations, commit_message=message, revision=branch)
    except Exception as error:
        raise _refused(error, repository) from None
    return str(done.commit_url)


def _remote_card(repository: str, branch: str | None) -> str:
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(repository, CARD, revision=branch, endpoint=endpoint())
    return Path(path).read_text(encoding="utf-8", errors="replace")


def _is_stale(name: str, files: Mapping[str, object]) -> bool:
    """Whether a file of the repository describes another model than the one that comes."""
    folder, _, file = name.partition("/")
    return folder in (*GROUPS, "keypoints") and file.endswith(".yaml") and name not in files


def _refused(error: Exception, repository: str) -> DownloadError:
    status = status_of(error)
    reason = reason_of(error)
    if status is not None:
        reason = str(explain_refusal(error, repository)).removeprefix(f"{repository}: ")
    closed = status in (401, 403) or (status is None and "token" in reason.lower())
    if closed and LOG_IN not in reason:
        reason += f"; {LOG_IN}"
    kind = AccessError if closed else DownloadError
    return kind(f"cannot upload to {repository}: {reason}")
