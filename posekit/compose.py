"""Command-line overrides -> a composed configuration, as plain Python values.

Hydra composes; three things are ours. Names after `model=`, `pose2d=` and `detector=` are resolved
to YAML stems, and what a model builds on follows it unless it is named; a trained model's folder is
a name too. Values that are literal
(paths, URLs) never pass through Hydra's grammar, so that `clip(1).jpg`, `a,b.jpg` and `x=1.jpg`
need no quoting. Mistakes become one line with the nearest valid key.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from posekit.config import CONF_DIR, config_path, locate, nearest, read_config
from posekit.errors import InputError, first_line

__all__ = ["compose_command"]

LITERAL_KEYS = frozenset(
    (
        "inputs",
        "include",
        "output",
        "weights",
        "pose2d_weights",
        "detector_weights",
        "out_dir",
        "vis_out_dir",
        "pred_out_dir",
        "dataset.root",
        "dataset.train",
        "dataset.val",
        "detections",
        "sequences",
        "out",
        "out_predictions",
    )
)
# Of these, the ones that may be several.
SEVERAL = frozenset(("inputs", "include", "dataset.train", "dataset.val", "sequences"))
NAMED = ("model", "pose2d", "detector")
NO_DETECTOR = ("whole_image", "none", "null")
# How each kind of network is trained: `conf/recipe/`.
RECIPES = {
    "rtmpose.RTMPose": "rtmpose",
    "rtmw.RTMW": "rtmw",
    "vitpose.ViTPose": "vitpose",
    "hrnet.HRNetPose": "heatmap",
    "resnet.ResNetPose": "heatmap",
    "rtmdet.RTMDet": "rtmdet",
    "motionbert.MotionBERT": "motionbert",
    # Networks of the user's own, by what their outputs mean.
    "simcc.SimCC": "rtmpose",
    "heatmap.MSRAHeatmap": "heatmap",
    "heatmap.UDPHeatmap": "heatmap",
    "boxes.DistanceBoxes": "rtmdet",
    "lifting.MotionBERTLift": "motionbert",
}
# Configurations that are chosen as a whole.
GROUPS = ("augment", "dataset", "experiment", "recipe")
TRAINED_BY_DEFAULT = "rtmpose-m_body8-256x192"


def compose_command(
    command: str, overrides: Sequence[str], *, config_dir: Path | None = None
) -> dict[str, Any]:
    """The configuration of a command.

    Args:
        command: stem of a YAML in conf/, e.g. "predict".
        overrides: what the user typed, `key=value` each.
        config_dir: a folder with configurations of the user's own.

    Returns:
        The composed values; under `names` the public names chosen for `model`, `detector` and
        `lifter` (None for none), under `search` the folders of configurations to look into first.

    Raises:
        InputError: something is not `key=value`, or a key or value that does not fit.
        UnknownModelError: no such model.
    """
    search = _search_path(config_dir)
    groups, literals, others = _sorted_out(overrides)
    choose = CHOOSERS.get(command, _choose_for_prediction)
    chosen = choose(groups, others, search)
    # Restores a global Hydra state that was there before.
    with _looking_into(chosen.search), initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        base = list(chosen.overrides)
        try:
            config = compose(command, [*base, *others])
        except (HydraException, OmegaConfBaseException) as error:
            _refuse_unparsable(others)
            valid = OmegaConf.to_container(compose(command, base))
            raise InputError(_explain(error, others, valid, command)) from None
        try:
            values: Any = OmegaConf.to_container(config, resolve=True)
        except OmegaConfBaseException as error:
            raise InputError(first_line(error)) from None
    for key, value in literals.items():
        *parents, last = key.split(".")
        inside: Any = values
        for parent in parents:
            inside = inside.get(parent, {})
        if last not in inside:
            raise InputError(_unknown_key(key, values, command))
        inside[last] = value
    for key in _missing_keys(values):
        raise InputError(f"{key} is missing: add {key}=... to the command")
    # Training from null starts at random.
    unset = ("published",) if command == "train" else (None, "published")
    for key, weights in chosen.weights.items():
        if weights is not None and values.get(key, "") in unset:
            values[key] = str(weights)
    values["names"] = chosen.names
    values["search"] = [str(folder) for folder in chosen.search]
    return values


_folders: ContextVar[tuple[Path, ...]] = ContextVar("_folders", default=())


class _OwnFolders(SearchPathPlugin):
    """Lets a user's YAML win over a packaged one of its name, as `hydra.searchpath` does not."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in reversed(_folders.get()):
            search_path.prepend("posekit", f"file://{folder}")


Plugins.instance().register(_OwnFolders)


@contextlib.contextmanager
def _looking_into(folders: tuple[Path, ...]) -> Iterator[None]:
    token = _folders.set(folders)
    try:
        yield
    finally:
        _folders.reset(token)


class _Chosen(NamedTuple):
    """What `model=` and its like mean.

    Attributes:
        overrides: for Hydra.
        names: public names of `model`, `detector` and `lifter`, None for none.
        search: folders of configurations that come before the packaged ones.
        weights: those that lie in a trained model's folder, by their key.
    """

    overrides: tuple[str, ...]
    names: dict[str, str | None]
    search: tuple[Path, ...]
    weights: dict[str, Path | None]


def _choose_for_prediction(
    groups: Mapping[str, str], others: Sequence[str], search: Sequence[Path]
) -> _Chosen:
    """The model that sees the image, the lifter above it where one was named, the detector."""
    model = locate(groups.get("model", "human"), search)
    config = read_config(model.name, model.search)
    weights = {"weights": model.weights}
    lifter = None
    if "pose2d" in config:
        lifter = model.name
        model = locate(groups.get("pose2d", config["pose2d"]), model.search)
        weights["pose2d_weights"] = model.weights
        config = read_config(model.name, model.search)
    elif "pose2d" in groups:
        raise InputError(f"pose2d applies to models that lift 2D poses; {model.name} does not")
    found = groups.get("detector", config.get("detector"))
    detector = None
    search = model.search
    if found is not None and found not in NO_DETECTOR:
        detector = locate(found, search, detector=True)
        weights["detector_weights"] = detector.weights
        search = detector.search
    overrides = [f"model={model.name}"]
    overrides.append(f"detector={detector.name}" if detector else "~detector")
    if lifter is not None:
        overrides.append(f"lifter={lifter}")
    names = {"model": model.name, "detector": detector and detector.name, "lifter": lifter}
    return _Chosen(tuple(overrides), names, tuple(search), weights)


def _choose_for_training(
    groups: Mapping[str, str], others: Sequence[str], search: Sequence[Path]
) -> _Chosen:
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
        overrides.append(f"recipe={_recipe(model.name, read_config(model.name, model.search))}")
    names = {"model": model.name, "detector": None, "lifter": None}
    return _Chosen(tuple(overrides), names, model.search, {"weights": model.weights})


def _choose_for_evaluation(
    groups: Mapping[str, str], others: Sequence[str], search: Sequence[Path]
) -> _Chosen:
    """The one network that is evaluated, of any kind, and a detector where one was named."""
    if "pose2d" in groups:
        raise InputError("pose2d does not apply: lifters are evaluated on 2D poses of a file")
    model = locate(groups.get("model", "human"), search)
    config = read_config(model.name, model.search)
    weights = {"weights": model.weights}
    search = model.search
    dataset = next((override for override in others if override.startswith("dataset=")), None)
    names: dict[str, str | None] = dict.fromkeys(("model", "detector", "lifter"))
    names["dataset"] = "coco"
    named = groups.get("detector", "none")
    if "classes" in config or "pose2d" in config:
        group = "detector" if "classes" in config else "lifter"
        if named not in NO_DETECTOR:
            raise InputError(f"detector gives boxes to pose models; {model.name} is a {group}")
        names |= {group: model.name, "dataset": "coco_boxes" if group == "detector" else None}
        overrides = ["~model", f"{group}={model.name}"]
        if group == "lifter":
            overrides.append("~dataset")
        elif dataset is None:
            overrides.append("dataset=coco_boxes")
    else:
        names["model"] = model.name
        overrides = [f"model={model.name}"]
        if named not in NO_DETECTOR:
            detector = locate(named, search, detector=True)
            names["detector"], search = detector.name, detector.search
            weights["detector_weights"] = detector.weights
            overrides.append(f"detector={detector.name}")
    if dataset is not None:
        names["dataset"] = _unquoted(dataset.partition("=")[2])
    return _Chosen(tuple(overrides), names, tuple(search), weights)


def _choose_network(
    groups: Mapping[str, str], others: Sequence[str], search: Sequence[Path]
) -> _Chosen:
    """As for prediction, or a detector alone."""
    found = locate(groups.get("model", "human"), search)
    if "classes" not in read_config(found.name, found.search):
        return _choose_for_prediction(groups, others, search)
    if len(groups) > 1:
        raise InputError(f"{found.name} is a detector and goes alone: name nothing else")
    names = {"model": None, "detector": found.name, "lifter": None}
    overrides = ("~model", f"detector={found.name}")
    return _Chosen(overrides, names, found.search, {"weights": found.weights})


def _choose_for_export(
    groups: Mapping[str, str], others: Sequence[str], search: Sequence[Path]
) -> _Chosen:
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
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise InputError(f"{path} is not valid YAML: {error}") from None
        for entry in (content or {}).get("defaults", []):
            if isinstance(entry, Mapping):
                for group, choice in entry.items():
                    group = str(group).removeprefix("override ").removeprefix("/")
                    if group in ("model", "recipe"):
                        defaults[group] = str(choice)
    return defaults


def _recipe(model: str, config: Mapping[str, Any]) -> str:
    """The stem of the YAML in conf/recipe/ for a network, or else for its codec."""
    for target in (config["net"].get("_target_"), config.get("codec", {}).get("_target_")):
        if (kind := ".".join(str(target).split(".")[-2:])) in RECIPES:
            return RECIPES[kind]
    raise InputError(
        f"{model} cannot be trained: there are recipes for {', '.join(sorted(set(RECIPES)))}; "
        "name one of conf/recipe/ with recipe=NAME for a network of your own"
    )


def _missing_keys(values: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if value == "???":
            yield f"{prefix}{key}"
        elif isinstance(value, Mapping):
            yield from _missing_keys(value, f"{prefix}{key}.")


def _search_path(config_dir: Path | None) -> list[Path]:
    if config_dir is None:
        return []
    if not config_dir.is_dir():
        raise InputError(f"--config-dir: no such folder: {config_dir}")
    return [config_dir.resolve()]


def _sorted_out(overrides: Sequence[str]) -> tuple[dict[str, str], dict[str, Any], list[str]]:
    """Choices of models, literal values, and what goes to Hydra as it is."""
    groups: dict[str, str] = {}
    literals: dict[str, Any] = {}
    others = []
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals and not key.startswith("~"):
            hint = f"; did you mean inputs={override}?" if Path(override).exists() else ""
            raise InputError(f"expected key=value, found '{override}'{hint}")
        if key in NAMED:
            groups[key] = _unquoted(value)
        elif key == "lifter":
            raise InputError(f"name a lifter as the model: model={value}")
        elif key == "~detector":
            groups["detector"] = "none"
        elif key in LITERAL_KEYS and not _is_mapping(key, value):
            literals[key] = _literal(key, value)
        else:
            others.append(override)
    return groups, literals, others


def _is_mapping(key: str, value: str) -> bool:
    """A source of a data set may be a mapping, which Hydra reads."""
    return key.startswith("dataset.") and re.match(r"\s*(\[\s*)?\{", value) is not None


def _literal(key: str, value: str) -> Any:
    """The text itself, a list of texts, or None for null."""
    if value in ("null", ""):
        return None
    if value.startswith("[") and value.endswith("]") and not Path(value).exists():
        if key not in SEVERAL:
            raise InputError(f"{key}: expected one file or folder, found a list: {value}")
        try:
            parsed: Any = OverridesParser.create().parse_override(f"{key}={value}").value()
            return [str(item) for item in parsed] if isinstance(parsed, list) else _unquoted(value)
        except HydraException:
            return [_unquoted(item.strip()) for item in value[1:-1].split(",") if item.strip()]
    return _unquoted(value)


def _unquoted(value: str) -> str:
    """Without the quotes that Hydra would have needed."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value


def _refuse_unparsable(overrides: Sequence[str]) -> None:
    """Names the override that Hydra's grammar chokes on, if one is to blame."""
    parser = OverridesParser.create()
    for override in overrides:
        try:
            parser.parse_override(override)
        except HydraException as error:
            raise InputError(
                f"cannot read '{override}': {first_line(error)}; quote a text as key='\"text\"'"
            ) from None


def _explain(error: Exception, overrides: Sequence[str], valid: Any, command: str) -> str:
    """One line for the mistake, with the nearest keys where a key is unknown."""
    known = set(_flat_keys(valid))
    for override in overrides:
        key = override.partition("=")[0]
        if key.startswith(("+", "~", "hydra")) or "@" in key or key in (*known, *GROUPS):
            continue
        return _unknown_key(key, valid, command)
    return first_line(error)


def _unknown_key(key: str, valid: Mapping[Any, Any], command: str) -> str:
    close = nearest(key, sorted(_flat_keys(valid)))
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"unknown key '{key}'{hint} `posekit {command} --cfg` prints all of them"


def _flat_keys(values: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat_keys(value, f"{prefix}{key}.")
