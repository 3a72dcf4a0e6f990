"""What `model=`, `pose2d=` and `detector=` mean for each command: which networks take part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from posekit.config import CONF_DIR, GROUPS, NO_DETECTOR, config_path
from posekit.errors import InputError
from posekit.locate import Located, choose_parts, locate
from posekit.overrides import NAMED, asks_for_trust, unquoted
from posekit.plain_yaml import read_yaml

__all__ = ["CHOOSERS", "Chosen", "choose_for_prediction", "own_defaults"]

# The recipe in conf/recipe/ for networks whose `FAMILY` names none, by what their outputs mean.
CODEC_RECIPES = {
    "SimCC": "rtmpose",
    "MSRAHeatmap": "heatmap",
    "UDPHeatmap": "heatmap",
    "DistanceBoxes": "rtmdet",
    "MotionBERTLift": "motionbert",
}

TRAINED_BY_DEFAULT = "rtmpose-m_body8-256x192"


class Chosen(NamedTuple):
    """What `model=` and its like mean.

    Attributes:
        overrides: for Hydra.
        parts: by group of the configuration: `model`, `detector`, `lifter`.
        weights: the key that names the weights of each part.
        dataset: the data set, for evaluation.
    """

    overrides: tuple[str, ...]
    parts: dict[str, Located]
    weights: dict[str, str]
    dataset: str | None = None

    @property
    def names(self) -> dict[str, str | None]:
        """Public names by part; None for a part that is not there."""
        names = {group: part.name for group, part in self.parts.items()}
        return {group: names.get(group) for group in GROUPS}

    @property
    def search(self) -> tuple[Path, ...]:
        """All folders of configurations that come before the packaged ones."""
        return tuple(dict.fromkeys(root for part in self.parts.values() for root in part.search))


def choose_for_prediction(
    groups: Mapping[str, str], others: Sequence[str], search: Sequence[Path]
) -> Chosen:
    """The model that sees the image, the lifter on top of it if one was named, the detector."""
    parts = choose_parts(
        groups.get("model", "human"),
        pose2d=groups.get("pose2d"),
        detector=groups.get("detector"),
        search=search,
    )
    found = {group: part for group, part in parts._asdict().items() if part is not None}
    overrides = [f"{group}={part.name}" for group, part in found.items()]
    if parts.detector is None:
        overrides.append("~detector")
    weights = {"model": "weights", "detector": "detector_weights"}
    if parts.lifter is not None:
        weights |= {"lifter": "weights", "model": "pose2d_weights"}
    return Chosen(tuple(overrides), found, weights)


def _choose_for_training(
    groups: Mapping[str, str], others: Sequence[str], search: Sequence[Path]
) -> Chosen:
    """The one network to train, of any kind, and the recipe for its kind."""
    for key in groups:
        if key != "model":
            raise InputError(f"{key} does not apply to training: name a single model, model=NAME")
    defaults = _experiment_defaults(others, search)
    model = locate(groups.get("model", defaults.get("model", TRAINED_BY_DEFAULT)), search)
    path = config_path(model.name, model.search)
    group = path.parent.name
    overrides = [f"model={model.name}"]
    if group != "model":
        overrides = ["~model", f"+{group}@model={model.name}"]
    named = any(override.startswith("recipe=") for override in others)
    if not named and "recipe" not in defaults:
        overrides.append(f"recipe={_recipe(model, trust=asks_for_trust(others))}")
    return Chosen(tuple(overrides), {"model": model}, {"model": "weights"})


def _choose_for_evaluation(
    groups: Mapping[str, str], others: Sequence[str], search: Sequence[Path]
) -> Chosen:
    """The one network that is evaluated, of any kind, and a detector where one was named."""
    if "pose2d" in groups:
        raise InputError("pose2d does not apply: lifters are evaluated on 2D poses of a file")
    model = locate(groups.get("model", "human"), search)
    group = config_path(model.name, model.search).parent.name
    chosen = Chosen((f"model={model.name}",), {group: model}, {group: "weights"}, "coco")
    named = groups.get("detector", "none")
    dataset = next((override for override in others if override.startswith("dataset=")), None)
    if group != "model":
        if named not in NO_DETECTOR:
            raise InputError(f"detector gives boxes to pose models; {model.name} is a {group}")
        overrides = ("~model", f"{group}={model.name}")
        if group == "lifter":
            chosen = chosen._replace(overrides=(*overrides, "~dataset"), dataset=None)
        else:
            more = ("dataset=coco_boxes",) if dataset is None else ()
            chosen = chosen._replace(overrides=(*overrides, *more), dataset="coco_boxes")
    elif named not in NO_DETECTOR:
        detector = locate(named, model.search, detector=True, foreign=model.foreign)
        chosen.parts["detector"] = detector
        chosen.weights["detector"] = "detector_weights"
        chosen = chosen._replace(overrides=(*chosen.overrides, f"detector={detector.name}"))
    if dataset is not None:
        chosen = chosen._replace(dataset=unquoted(dataset.partition("=")[2]))
    return chosen


def _choose_network(
    groups: Mapping[str, str], others: Sequence[str], search: Sequence[Path]
) -> Chosen:
    """As for prediction, or a detector alone."""
    found = locate(groups.get("model", "human"), search)
    if config_path(found.name, found.search).parent.name != "detector":
        return choose_for_prediction(groups, others, search)
    if len(groups) > 1:
        raise InputError(f"{found.name} is a detector, which is used alone: name no other model")
    overrides = ("~model", f"detector={found.name}")
    return Chosen(overrides, {"detector": found}, {"detector": "weights"})


def _choose_for_export(
    groups: Mapping[str, str], others: Sequence[str], search: Sequence[Path]
) -> Chosen:
    """As for bench, where a model is named."""
    if "detector" in groups and "model" not in groups:
        raise InputError(
            "nothing to export: name a pose model or a detector as model=NAME; detector finds the "
            "people for a pose model"
        )
    return _choose_network(groups, others, search)


# Other commands choose as `predict` does.
CHOOSERS = {
    "bench": _choose_network,
    "export": _choose_for_export,
    "train": _choose_for_training,
    "evaluate": _choose_for_evaluation,
}


def _experiment_defaults(others: Sequence[str], search: Sequence[Path]) -> dict[str, str]:
    """What an experiment's YAML chooses of `model` and `recipe`."""
    defaults: dict[str, str] = {}
    for override in others:
        key, _, name = override.partition("=")
        if key not in ("+experiment", "experiment"):
            continue
        paths = [root / "experiment" / f"{name}.yaml" for root in (*search, CONF_DIR)]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            known = sorted({path.stem for folder in paths for path in folder.parent.glob("*.yaml")})
            raise InputError(f"unknown experiment '{name}'; known are {', '.join(known)}")
        defaults |= _named_defaults(path)
    return defaults


def own_defaults(name: str, search: Sequence[Path]) -> dict[str, str]:
    """The parts and the `recipe` that a user's own configuration, `--config-name`, chooses.

    Raises:
        InputError: there is no such file in the folders.
    """
    file = f"{name.removesuffix('.yaml')}.yaml"
    paths = [root / file for root in (*search, CONF_DIR)]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        looked = ", ".join(str(path.parent) for path in paths[:-1])
        where = f"none in {looked}" if looked else "name its folder, --config-dir FOLDER"
        raise InputError(f"--config-name: {file}: {where}")
    return _named_defaults(path)


def _named_defaults(path: Path) -> dict[str, str]:
    content = read_yaml(path)
    defaults: dict[str, str] = {}
    for entry in (content.get("defaults") if isinstance(content, Mapping) else None) or []:
        if isinstance(entry, Mapping):
            for group, choice in entry.items():
                group = str(group).removeprefix("override ").removeprefix("/")
                if group in (*NAMED, "recipe"):
                    defaults[group] = str(choice)
    return defaults


def _recipe(model: Located, *, trust: bool) -> str:
    """The stem of the YAML in conf/recipe/ for a network, or else for its codec."""
    from posekit.spec import load_spec

    spec = load_spec(model.name, model.search, trust=model.trusted(trust))
    recipe = spec.net.family.recipe or CODEC_RECIPES.get(spec.codec.name)
    if recipe is None:
        known = sorted(path.stem for path in (CONF_DIR / "recipe").glob("*.yaml"))
        raise InputError(
            f"{model.name} cannot be trained: there are recipes only for {', '.join(known)}; "
            "name one with recipe=NAME for a network of your own"
        )
    return recipe
