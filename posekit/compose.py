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
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from posekit.config import CONF_DIR, GROUPS, NO_DETECTOR, config_path, nearest_keys, read_config
from posekit.errors import InputError, first_line
from posekit.locate import Located, choose_parts, locate
from posekit.plain_yaml import read_yaml

if TYPE_CHECKING:
    from posekit.spec import DetectorSpec, LifterSpec, OneStageSpec, PoseSpec, Spec

__all__ = ["Specs", "compose_command", "print_config", "read_part", "read_specs"]

LITERAL_KEYS = frozenset(
    (
        "inputs",
        "include",
        "output",
        "weights",
        "detector_weights",
        "out_dir",
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
# The recipe in conf/recipe/ for networks whose `FAMILY` names none, by what their outputs mean.
CODEC_RECIPES = {
    "SimCC": "rtmpose",
    "MSRAHeatmap": "heatmap",
    "UDPHeatmap": "heatmap",
    "DistanceBoxes": "rtmdet",
    "MotionBERTLift": "motionbert",
}
# Configurations beside these that are chosen as a whole.
OTHER_GROUPS = ("augment", "dataset", "experiment", "recipe")
TRAINED_BY_DEFAULT = "rtmpose-m_body8-256x192"


def compose_command(
    command: str,
    overrides: Sequence[str],
    *,
    config_dir: Path | None = None,
    paths: Collection[str] = (),
    values: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The configuration of a command.

    Args:
        command: stem of a YAML in conf/, e.g. "predict".
        overrides: what the user typed, `key=value` each.
        config_dir: a folder with configurations of the user's own.
        paths: keys whose values are paths, beside the known ones.
        values: plain values by key, dotted, which need no grammar.

    Returns:
        The composed values; under `names` the public names chosen for `model`, `detector` and
        `lifter` (None for none), under `search` the folders of configurations to look into first.

    Raises:
        InputError: something is not `key=value`, or a key or value that does not fit.
        UnknownModelError: no such model.
    """
    search = _search_path(config_dir)
    literal_keys = LITERAL_KEYS.union(paths)
    groups, literals, others = _sorted_out(overrides, literal_keys)
    given = values or {}
    literals |= {key: value for key, value in given.items() if key in literal_keys}
    settings = {key: value for key, value in given.items() if key not in literal_keys}
    choose = CHOOSERS.get(command, _choose_for_prediction)
    chosen = choose(groups, others, search)
    _refuse_ineffective(others, chosen, command)
    for part in chosen.parts.values():
        read_config(part.name, part.search)  # says in one line what Hydra would stumble over
    trust = _asks_for_trust(others)
    composed = _composed(command, chosen, others, settings, trust=trust)
    for key, value in literals.items():
        _set_literal(composed, key, value, command)
    for key in _missing_keys(composed):
        raise InputError(f"{key} is missing: add {key}=... to the command")
    # Training from null starts at random.
    unset = ("published",) if command == "train" else (None, "published")
    for group, part in chosen.parts.items():
        key = chosen.weights[group]
        if part.weights is not None and composed.get(key, "") in unset:
            composed[key] = str(part.weights)
    composed["names"] = chosen.names
    if chosen.dataset is not None or command == "evaluate":
        composed["names"]["dataset"] = chosen.dataset
    composed["search"] = [str(folder) for folder in chosen.search]
    composed["trusted"] = [g for g, part in chosen.parts.items() if trust or not part.is_foreign]
    return composed


def _set_literal(composed: dict[str, Any], key: str, value: Any, command: str) -> None:
    *parents, last = key.split(".")
    inside: Any = composed
    for parent in parents:
        inside = inside.get(parent, {})
    if last not in inside:
        raise InputError(_unknown_key(key, composed, command))
    inside[last] = value


def _composed(
    command: str,
    chosen: _Chosen,
    others: Sequence[str],
    settings: Mapping[str, Any],
    *,
    trust: bool,
) -> dict[str, Any]:
    """What Hydra makes of the overrides and of values by key, as plain values."""
    settable = [_settable(override) for override in others]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_looking_into(chosen, stack, trust=trust))
        # Restores a global Hydra state that was there before.
        stack.enter_context(initialize_config_dir(str(CONF_DIR), version_base="1.3"))
        try:
            config = compose(command, [*chosen.overrides, *settable])
            before: Any = OmegaConf.to_container(config)
            known = set(_flat_keys(before))
            for key, value in settings.items():
                if key not in known:
                    raise InputError(_unknown_key(key, _valid(command, chosen), command))
                # Before interpolations are resolved, so that these see it.
                OmegaConf.update(config, key, value, force_add=True)
            values: Any = OmegaConf.to_container(config, resolve=True)
        except _HYDRAS as error:
            _refuse_unparsable(others)
            raise InputError(_explain(error, others, _valid(command, chosen), command)) from None
        if any(override.startswith("+") for override in others):
            valid = _valid(command, chosen)
            for key in values:
                if key not in valid:  # Hydra lets "+" add it, but nothing reads it
                    raise InputError(_unknown_key(str(key), valid, command))
    for group, part in chosen.parts.items():
        if group not in values:
            path = config_path(part.name, part.search)
            raise InputError(f"{path}: nothing stands under {group}: leave out '# @package'")
    if not isinstance(values.get("trust", False), bool):
        raise InputError(f"trust: expected true or false, found {values['trust']}")
    return dict(values)


def _valid(command: str, chosen: _Chosen) -> Any:
    """The command's configuration without what was typed: its keys are those that there are."""
    try:
        return OmegaConf.to_container(compose(command, list(chosen.overrides)))
    except _HYDRAS as error:
        raise InputError(_one_line(error)) from None


# What Hydra, OmegaConf and their reader of YAML raise; ValueError and RecursionError among them
# for overrides and files of kinds that they do not expect.
_HYDRAS = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, RecursionError)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) if isinstance(error, yaml.YAMLError) else first_line(error)


def _refuse_ineffective(others: Sequence[str], chosen: _Chosen, command: str) -> None:
    """Refuses overrides of parts that are not there, or that name a part where none is chosen."""
    for override in others:
        key = override.partition("=")[0].lstrip("+~").replace("/", ".")
        group, _, inside = key.partition("@")[0].partition(".")
        if group in GROUPS and not inside:
            raise InputError(f"cannot read '{override}': name a model as model=NAME, detector=NAME")
        if group in GROUPS and group not in chosen.parts:
            there = " and ".join(chosen.parts)
            raise InputError(f"{key} does not apply: of this command's parts there is only {there}")
        if command != "train" and key in ("model.detector", "lifter.pose2d"):
            raise InputError(f"{key} chooses nothing here: say {inside}=NAME")
        if group == "hydra":
            raise InputError(f"unknown key '{key}': Hydra's own settings have no effect here")


class Specs(NamedTuple):
    """The parts of a composed configuration; None for one that is not there."""

    model: PoseSpec | OneStageSpec | None
    detector: DetectorSpec | None
    lifter: LifterSpec | None


def read_specs(config: Mapping[str, Any]) -> Specs:
    """The parts of a composed configuration as descriptions. Imports PyTorch.

    Raises:
        InputError: values that do not describe a model; see `posekit.spec.read_spec`.
    """
    from posekit.spec import DetectorSpec, LifterSpec, OneStageSpec, PoseSpec

    kinds = {"model": PoseSpec | OneStageSpec, "detector": DetectorSpec, "lifter": LifterSpec}
    found: dict[str, Any] = {group: read_part(config, group) for group in kinds}
    for group, kind in kinds.items():
        if found[group] is not None and not isinstance(found[group], kind):
            raise InputError(
                f"{group}={found[group].name} is not a {group}: move its YAML to another folder"
            )
    return Specs(**found)


def read_part(config: Mapping[str, Any], group: str) -> Spec | None:
    """What stands under `model`, `detector` or `lifter`, of whatever kind it is.

    Raises:
        InputError: as `read_specs`.
    """
    from posekit.spec import read_spec

    name = config["names"][group]
    if name is None:
        return None
    return read_spec(
        config[group],
        name,
        search=[Path(folder) for folder in config["search"]],
        trust=group in config["trusted"],
        where=f"{group}.",
    )


def print_config(config: Mapping[str, Any]) -> None:
    """Prints a composed configuration, each part with all that its YAML leaves open."""
    shown = {key: value for key, value in config.items() if key != "trusted"}
    for group in GROUPS:
        if (part := read_part(config, group)) is not None:
            shown[group] = part.to_config()
    print(yaml.safe_dump(shown, sort_keys=False, default_flow_style=None), end="")


_folders: ContextVar[tuple[Path, ...]] = ContextVar("_folders", default=())


class _OwnFolders(SearchPathPlugin):
    """Lets a user's YAML win over a packaged one of its name, as `hydra.searchpath` does not."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in reversed(_folders.get()):
            search_path.prepend("posekit", f"file://{folder}")


Plugins.instance().register(_OwnFolders)


@contextlib.contextmanager
def _looking_into(chosen: _Chosen, stack: contextlib.ExitStack, *, trust: bool) -> Iterator[None]:
    """Lets Hydra see the user's own folders.

    Of a folder that somebody else may have written it sees a copy of the one YAML that was asked
    for: no other file of it can take part, and nothing in that one is evaluated.
    """
    folders = list(chosen.search)
    if not trust:
        foreign = {root for part in chosen.parts.values() for root in part.foreign}
        copies = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="posekit-")))
        folders = [copies, *(root for root in folders if root not in foreign)]
        for part in chosen.parts.values():
            if part.is_foreign:
                _copy_as_data(config_path(part.name, part.search), copies)
    token = _folders.set(tuple(folders))
    try:
        yield
    finally:
        _folders.reset(token)


def _copy_as_data(path: Path, folder: Path) -> None:
    values = read_yaml(path)
    for key, value in _leaves(values):
        if "${" in f"{key}{value}":
            raise InputError(
                f"{path}: {key}: interpolations such as {value} are not evaluated in a model's "
                "folder; if you know who wrote it, pass trust=true"
            )
    if "defaults" in values:
        raise InputError(f"{path}: unknown key defaults: a model's YAML stands by itself")
    target = folder / path.parent.name / path.name
    target.parent.mkdir(exist_ok=True)
    target.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, key)
    else:
        yield key, value


def _settable(override: str) -> str:
    """`model.x=y` may set what the YAML leaves open; whether there is such a key, `Spec` knows."""
    key, equals, _ = override.partition("=")
    return f"++{override}" if equals and key.partition(".")[0] in GROUPS else override


def _asks_for_trust(overrides: Sequence[str]) -> bool:
    values = [o.partition("=")[2] for o in overrides if o.lstrip("+").startswith("trust=")]
    return bool(values) and values[-1].lower() == "true"


class _Chosen(NamedTuple):
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
        """Public names, None for a part that is not there."""
        names = {group: part.name for group, part in self.parts.items()}
        return {group: names.get(group) for group in GROUPS}

    @property
    def search(self) -> tuple[Path, ...]:
        """All folders of configurations that come before the packaged ones."""
        return tuple(dict.fromkeys(root for part in self.parts.values() for root in part.search))


def _choose_for_prediction(
    groups: Mapping[str, str], others: Sequence[str], search: Sequence[Path]
) -> _Chosen:
    """The model that sees the image, the lifter above it where one was named, the detector."""
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
    return _Chosen(tuple(overrides), found, weights)


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
        overrides.append(f"recipe={_recipe(model, trust=_asks_for_trust(others))}")
    return _Chosen(tuple(overrides), {"model": model}, {"model": "weights"})


def _choose_for_evaluation(
    groups: Mapping[str, str], others: Sequence[str], search: Sequence[Path]
) -> _Chosen:
    """The one network that is evaluated, of any kind, and a detector where one was named."""
    if "pose2d" in groups:
        raise InputError("pose2d does not apply: lifters are evaluated on 2D poses of a file")
    model = locate(groups.get("model", "human"), search)
    group = config_path(model.name, model.search).parent.name
    chosen = _Chosen((f"model={model.name}",), {group: model}, {group: "weights"}, "coco")
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
        chosen = chosen._replace(dataset=_unquoted(dataset.partition("=")[2]))
    return chosen


def _choose_network(
    groups: Mapping[str, str], others: Sequence[str], search: Sequence[Path]
) -> _Chosen:
    """As for prediction, or a detector alone."""
    found = locate(groups.get("model", "human"), search)
    if config_path(found.name, found.search).parent.name != "detector":
        return _choose_for_prediction(groups, others, search)
    if len(groups) > 1:
        raise InputError(f"{found.name} is a detector and goes alone: name nothing else")
    overrides = ("~model", f"detector={found.name}")
    return _Chosen(overrides, {"detector": found}, {"detector": "weights"})


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
        content = read_yaml(path)
        for entry in (content.get("defaults") if isinstance(content, Mapping) else None) or []:
            if isinstance(entry, Mapping):
                for group, choice in entry.items():
                    group = str(group).removeprefix("override ").removeprefix("/")
                    if group in ("model", "recipe"):
                        defaults[group] = str(choice)
    return defaults


def _recipe(model: Located, *, trust: bool) -> str:
    """The stem of the YAML in conf/recipe/ for a network, or else for its codec."""
    from posekit.spec import load_spec

    spec = load_spec(model.name, model.search, trust=trust or not model.is_foreign)
    recipe = spec.net.family.recipe or CODEC_RECIPES.get(spec.codec.name)
    if recipe is None:
        known = sorted(path.stem for path in (CONF_DIR / "recipe").glob("*.yaml"))
        raise InputError(
            f"{model.name} cannot be trained: there are recipes for {', '.join(known)}; name one "
            "with recipe=NAME for a network of your own"
        )
    return recipe


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


def _sorted_out(
    overrides: Sequence[str], literal: Collection[str]
) -> tuple[dict[str, str], dict[str, Any], list[str]]:
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
        elif key in literal and not _is_mapping(key, value):
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
        if key.startswith(("+", "~", "hydra")) or "@" in key or key in (*known, *OTHER_GROUPS):
            continue
        return _unknown_key(key, valid, command)
    return _one_line(error)


def _unknown_key(key: str, valid: Mapping[Any, Any], command: str) -> str:
    close = nearest_keys(key, _flat_keys(valid))
    hint = f"; did you mean {' or '.join(close)}?" if close else "."
    return f"unknown key '{key}'{hint} `posekit {command} --cfg` prints all of them"


def _flat_keys(values: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat_keys(value, f"{prefix}{key}.")
