"""A model's name, or a composed configuration -> the parts that work together, not loaded yet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from posekit.config import find_checkpoint
from posekit.errors import InputError, UnknownModelError
from posekit.locate import Located, choose_parts, locate
from posekit.spec import Spec, load_spec
from posekit.weights.hub import MIRROR_FILE, PUBLISHED, named_here

__all__ = ["Part", "Parts", "composed_parts", "find_part", "find_parts"]


class Part(NamedTuple):
    """One network, not loaded yet.

    Attributes:
        spec: its description.
        weights: file or URL; None for the published ones.
        key: how the user gives them, as errors name it.
    """

    spec: Spec
    weights: str | Path | None = None
    key: str = "weights="


class Parts(NamedTuple):
    """Networks that work together.

    Attributes:
        model: sees the image; None where a detector or a lifter is looked at by itself.
        detector: finds what the model is for; None takes each image as one box.
        lifter: lifts the model's 2D keypoints to 3D; None for none.
        search: folders of configurations that come before the packaged ones.
    """

    model: Part | None
    detector: Part | None = None
    lifter: Part | None = None
    search: tuple[Path, ...] = ()

    @property
    def named(self) -> dict[str, Part]:
        """The parts that there are, as "model", "detector" and "lifter"."""
        parts = {"model": self.model, "detector": self.detector, "lifter": self.lifter}
        return {kind: part for kind, part in parts.items() if part is not None}

    @property
    def names(self) -> dict[str, str]:
        """Each part's model."""
        return {kind: part.spec.name for kind, part in self.named.items()}

    @property
    def sources(self) -> dict[str, str]:
        """The file or address of each part's weights, or "published"."""
        return {kind: _source(part.weights or "published") for kind, part in self.named.items()}

    @property
    def licenses(self) -> dict[str, str]:
        """Licences of the published weights, by model name; those of a user's own are unknown."""
        parts = self.named.values()
        published = (part.spec.name for part in parts if part.weights in PUBLISHED)
        rows = filter(None, map(find_checkpoint, published))
        return {row.name: row.license for row in rows}


def find_parts(
    name: str | os.PathLike[str],
    *,
    weights: str | Path | None = None,
    pose2d: str | None = None,
    pose2d_weights: str | Path | None = None,
    detector: str | None = None,
    detector_weights: str | Path | None = None,
    config_dir: str | Path | None = None,
    trust: bool = False,
) -> Parts:
    """The model of a name and what it builds on; see `posekit.load`.

    Raises:
        UnknownModelError: no such model or detector.
        InputError: a configuration that does not describe a model, or weights for a part that is
            not there.
    """
    given = {
        "weights": weights,
        "pose2d_weights": pose2d_weights,
        "detector_weights": detector_weights,
    }
    search = _checked(name, config_dir, trust, given)
    found = choose_parts(os.fspath(name), pose2d=pose2d, detector=detector, search=search)
    if found.lifter is None and pose2d_weights is not None:
        raise InputError("pose2d_weights apply to models that lift 2D poses; use weights")
    if found.detector is None and detector_weights is not None:
        raise InputError("detector_weights are given, but no detector to load them into")
    own, of_model = ("weights=", weights)
    if found.lifter is not None:
        own, of_model = "pose2d_weights=", pose2d_weights
    return Parts(
        _part(found.model, of_model, own, trust),
        found.detector and _part(found.detector, detector_weights, "detector_weights=", trust),
        found.lifter and _part(found.lifter, weights, "weights=", trust),
        (found.detector or found.model).search,
    )


def find_part(
    name: str,
    *,
    weights: str | Path | None = None,
    detector: bool = False,
    config_dir: str | Path | None = None,
    trust: bool = False,
) -> tuple[Part, tuple[Path, ...]]:
    """One network of any kind by its name, and the folders of configurations to look into.

    Args:
        detector: read aliases as those of detectors.
        name, weights, config_dir, trust: see `posekit.load`.

    Raises:
        UnknownModelError: nothing has that name.
        InputError: a configuration that does not describe a model.
    """
    search = _checked(name, config_dir, trust, {"weights": weights})
    found = locate(name, search, detector=detector)
    return _part(found, weights, "weights=", trust), found.search


def _checked(
    name: Any, config_dir: Any, trust: Any, weights: Mapping[str, Any]
) -> tuple[Path, ...]:
    """The folders of a user's own configurations, where all is of the types that it must be."""
    if not isinstance(name, str | os.PathLike):
        raise UnknownModelError(f"expected the name of a model, found {name!r}")
    for key, value in weights.items():
        if value is not None and (not isinstance(value, str | os.PathLike) or value == ""):
            raise InputError(
                f"{named_here(f'{key}=').rstrip('= ')}: expected a file, a folder or a URL, "
                f"found {value!r}"
            )
    # A text such as "no" would count as true.
    if not isinstance(trust, bool):
        raise InputError(f"trust must be true or false, found {trust!r}")
    if config_dir is None:
        return ()
    if not Path(config_dir).is_dir():
        raise InputError(f"config_dir: no such folder: {config_dir}")
    return (Path(config_dir),)


def _part(found: Located, weights: str | Path | None, key: str, trust: bool) -> Part:
    spec = load_spec(found.name, found.search, trust=found.trusted(trust))
    return Part(spec, weights or found.weights, named_here(key))


def _source(weights: str | Path) -> str:
    """Of a model of the Hub its address: where it is cached differs between machines."""
    name = os.fspath(weights)
    *_, repository, snapshots, commit, file = ("", "", "", "", *Path(name).parts)
    words = repository.split("--")
    if (words[0], snapshots, file) == ("models", "snapshots", MIRROR_FILE) and len(words) == 3:
        return f"hf://{words[1]}/{words[2]}@{commit}"
    return name


def composed_parts(config: Mapping[str, Any]) -> Parts:
    """The parts of a command's configuration, see `posekit.compose.compose_command`.

    Raises:
        InputError: as `find_parts`.
    """
    from posekit.compose import read_specs  # and with it Hydra

    specs = read_specs(config)
    weights, pose2d_weights = config.get("weights"), config.get("pose2d_weights")
    detector_weights = config.get("detector_weights")
    if specs.lifter is None and pose2d_weights is not None:
        raise InputError("pose2d_weights apply to models that lift 2D poses; use weights")
    if specs.detector is None and detector_weights is not None:
        raise InputError("detector_weights are given, but no detector to load them into")
    of_model, own = (weights, "weights=")
    if specs.lifter is not None and specs.model is not None:
        of_model, own = pose2d_weights, "pose2d_weights="
    of_detector, called = detector_weights, "detector_weights="
    if specs.model is None and specs.lifter is None:  # a detector by itself
        of_detector, called = weights, "weights="

    def part(spec: Spec | None, given: str | None, key: str) -> Part | None:
        return None if spec is None else Part(spec, given, named_here(key))

    return Parts(
        part(specs.model, of_model, own),
        part(specs.detector, of_detector, called),
        part(specs.lifter, weights, "weights="),
        tuple(Path(folder) for folder in config["search"]),
    )
