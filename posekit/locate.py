"""Where a user's name for a model leads: a public name, a folder, a file, or the Hub."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from posekit.config import (
    GROUPS,
    NO_DETECTOR,
    config_path,
    elsewhere_error,
    model_names,
    read_config,
    resolve_name,
)
from posekit.errors import InputError, UnknownModelError
from posekit.files import cache_dir
from posekit.foreign.description import Description
from posekit.foreign.folder import describe_file, model_name, write_description
from posekit.foreign.skeletons import is_packaged
from posekit.hub_models import fetch_model, refuse_trust

__all__ = ["Chosen", "Located", "choose_parts", "locate"]

log = logging.getLogger(__name__)

_said: set[str] = set()  # of configuration files, by this process
# What official files call their classes, or leave open, where posekit says what they are.
OFFICIAL_CLASSES = {"yolox-s_face-640": ["person"], "rtmdet-nano_hand-320": ["class_0"]}


class Located(NamedTuple):
    """Where a user's name for a model leads.

    Attributes:
        name: the public name.
        search: folders of configurations to look into before the packaged ones.
        weights: weights in a trained model's folder; None for a model that is known by its name.
        foreign: those folders of `search` that were given as a model, whoever wrote them; the
            others are the user's own.
        address: its address on the Hub, if it came from there.
    """

    name: str
    search: tuple[Path, ...]
    weights: Path | None
    foreign: tuple[Path, ...] = ()
    address: str | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether its YAML may have been written by somebody else."""
        return config_path(self.name, self.search).parent.parent in self.foreign

    def trusted(self, trust: bool) -> bool:
        """Whether its YAML may name classes that are not posekit's.

        Args:
            trust: whether the user allows it for foreign YAMLs.

        Raises:
            InputError: the user allows it for a model of the Hub.
        """
        if trust and self.address is not None:
            raise refuse_trust(self.address)
        return trust or not self.is_foreign


class Chosen(NamedTuple):
    """The networks of a predictor.

    Attributes:
        model: sees the image.
        detector: finds what the model is for; None takes each image as one box.
        lifter: lifts the model's 2D keypoints to 3D; None for none.
    """

    model: Located
    detector: Located | None
    lifter: Located | None


def choose_parts(
    name: str,
    *,
    pose2d: str | None = None,
    detector: str | None = None,
    search: Sequence[Path] = (),
) -> Chosen:
    """What works together when a model is named.

    Args:
        name: of a model, as `locate` takes it; a lifter stands above the 2D model it builds on.
        pose2d: another 2D model for a lifter.
        detector: another detector, or one of `NO_DETECTOR`.
        search: the user's own folders of configurations.

    Raises:
        UnknownModelError: nothing has that name.
        InputError: `name` is a detector, or `pose2d` or `detector` does not apply.
    """
    model = locate(name, search)
    config = read_config(model.name, model.search)
    if "classes" in config:
        raise InputError(f"{model.name} is a detector; name a pose model and pass detector={name}")
    lifter = None
    if "pose2d" in config:
        lifter = model
        below = pose2d or config["pose2d"]
        model = locate(below, lifter.search, foreign=lifter.foreign)
        config = read_config(model.name, model.search)
        if "keypoints" not in config or "pose2d" in config:
            raise InputError(f"pose2d of {lifter.name}: expected a 2D pose model, found {below}")
    elif pose2d is not None:
        raise InputError(f"pose2d applies to models that lift 2D poses; {model.name} does not")
    if "score_threshold" in config and detector not in (None, "none", "null"):
        raise InputError(
            f"detector does not apply: {model.name} finds people itself; leave detector={detector} "
            "out"
        )
    named = config.get("detector") if detector is None else detector
    if named is None or named in NO_DETECTOR:
        return Chosen(model, None, lifter)
    found = locate(named, model.search, detector=True, foreign=model.foreign)
    if "classes" not in read_config(found.name, found.search):
        raise InputError(f"detector: {found.name} is not a detector; `posekit models` lists them")
    return Chosen(model, found, lifter)


def locate(
    name: str,
    search: Sequence[Path] = (),
    *,
    detector: bool = False,
    foreign: Sequence[Path] = (),
) -> Located:
    """As `resolve_name`, but `hf://organisation/name@revision` and three kinds of paths count too.

    The folder of a trained model, a run or its export; `<folder>/<group>/<name>.yaml`, where the
    group is `model`, `detector` or `lifter`; and an existing configuration file of MMPose or
    MMDetection, `.py`, or a checkpoint that holds one, `.pth`. All are foreign: what is in them
    is data. A model of the Hub is fetched where it is not in the cache.

    Args:
        name: what the user said.
        search: folders of configurations to look into before the packaged ones.
        detector: as in `resolve_name`.
        foreign: those of `search` that are not the user's own.

    Raises:
        UnknownModelError: nothing has that name.
        InputError: a folder without a trained model, a YAML that is not there or elsewhere, or a
            configuration that cannot be read or has no counterpart here; an invalid address.
        DownloadError, WeightsError: a model of the Hub that cannot be had, or is damaged.
    """
    if isinstance(name, str) and name.startswith("hf://"):
        model = fetch_model(name)
        roots = (model.root, *search), (model.root, *foreign)
        return Located(model.config.stem, roots[0], model.weights, roots[1], name)
    if isinstance(name, str) and name.endswith((".py", ".pth")) and Path(name).is_file():
        path = Path(name).absolute()
        return _of_config(path, tuple(search), tuple(foreign))
    if isinstance(name, str) and name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file() and (error := elsewhere_error(name, detector=detector)):
            raise error
        if not path.is_file() or path.parent.name not in GROUPS or path.suffix != ".yaml":
            raise InputError(
                f"expected the path <folder>/model/<name>.yaml of an existing file, found {path}"
            )
        root = path.absolute().parent.parent  # of a link too: what it points to has another name
        return Located(path.stem, (root, *search), None, (root, *foreign))
    if isinstance(name, str) and name.strip() and Path(name).is_dir():
        try:
            public = resolve_name(name, search, detector=detector)
            return Located(public, tuple(search), None, tuple(foreign))
        except UnknownModelError:
            return _in_folder(Path(name).resolve(), search, foreign)
    public = resolve_name(name, search, detector=detector)
    return Located(public, tuple(search), None, tuple(foreign))


def _in_folder(folder: Path, search: Sequence[Path], foreign: Sequence[Path]) -> Located:
    for root in (folder, folder / "export"):
        configs = [path for group in GROUPS for path in (root / group).glob("*.yaml")]
        if len(configs) == 1 and (root / "model.safetensors").is_file():
            weights = root / "model.safetensors"
            return Located(configs[0].stem, (root, *search), weights, (root, *foreign))
    raise InputError(
        f"{folder} holds no trained model: expected model.safetensors and one model/NAME.yaml, "
        "there or in export/"
    )


def _of_config(path: Path, search: tuple[Path, ...], foreign: tuple[Path, ...]) -> Located:
    """The model of a foreign configuration, or the published one that it is a copy of.

    Read at each call: the file, a base of it or the cache may have changed.
    """
    weights = path if path.suffix == ".pth" else None
    found = _read_description(path)
    if weights is None and (public := _public_name(path, found)) is not None:
        return Located(public, search, None, foreign)
    for note in found.notes:
        _warn_once(f"{path}: {note}")
    name = model_name(path)
    if name in model_names() or _is_public(name):
        name += "-own"
    content = json.dumps([name, found.group, found.values, found.skeleton], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    root = cache_dir() / "imported" / digest
    write_description(root, name, found)
    return Located(name, (root, *search), weights, (root, *foreign))


def _warn_once(text: str) -> None:
    """A model is located several times while it is loaded."""
    if text not in _said:
        _said.add(text)
        log.warning("%s", text)


def _read_description(path: Path) -> Description:
    if path.suffix == ".py":
        return describe_file(path)
    from posekit.foreign.checkpoint import describe_checkpoint  # and with it PyTorch

    return describe_checkpoint(path)


def _is_public(name: str) -> bool:
    try:
        return bool(resolve_name(name))
    except UnknownModelError:
        return False


def _public_name(path: Path, found: Description) -> str | None:
    """The public name of a file that says what the official one of its name does."""
    if not _is_public(path.stem):
        return None
    from posekit.spec import load_spec, read_spec  # and with it PyTorch

    public = resolve_name(path.stem)
    official, values = load_spec(public), found.values
    if found.skeleton is not None:
        named = getattr(official, "keypoints", "")
        if not is_packaged(named, found.skeleton):
            return None
        values = {**values, "keypoints": named}
    if "classes" in values and values["classes"] == OFFICIAL_CLASSES.get(public):
        values = {**values, "classes": list(getattr(official, "classes", ()))}
    own = read_spec(values, public)
    return (
        public
        if _prediction_values(own.to_config()) == _prediction_values(official.to_config())
        else None
    )


def _prediction_values(config: dict[str, object]) -> dict[str, object]:
    """What a configuration of MMPose says of a model when it predicts."""
    training = ("detector", "detector_categories", "loss", "keypoint_weights", "note", "sample")
    return {
        key: {k: v for k, v in value.items() if k != "sigma"} if isinstance(value, dict) else value
        for key, value in config.items()
        if key not in training
    }
