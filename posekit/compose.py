"""Command-line overrides -> a composed configuration, as plain Python values.

Hydra composes. Two things are done here: names after `model=`, `pose2d=` and `detector=` are
resolved to YAML stems, and what a model builds on follows it unless it is named (`choices`);
literal values and mistakes never reach Hydra's grammar (`overrides`).
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from posekit.choices import CHOOSERS, Chosen, choose_for_prediction, own_defaults
from posekit.config import CONF_DIR, GROUPS, config_path, read_config
from posekit.errors import InputError
from posekit.overrides import (
    LITERAL_KEYS,
    NAMED,
    asks_for_trust,
    explain,
    flat_keys,
    one_line,
    refuse_unparsable,
    settable,
    sort_overrides,
    unknown_key,
)
from posekit.plain_yaml import read_yaml

if TYPE_CHECKING:
    from posekit.spec import DetectorSpec, LifterSpec, OneStageSpec, PoseSpec, Spec

__all__ = [
    "Specs",
    "compose_command",
    "print_hydra_info",
    "read_part",
    "read_specs",
    "shown_config",
]


def compose_command(
    command: str,
    overrides: Sequence[str],
    *,
    config_dir: Path | None = None,
    config_name: str | None = None,
    paths: Collection[str] = (),
    values: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The configuration of a command.

    Args:
        command: stem of a YAML in conf/, e.g. "predict".
        overrides: what the user typed, `key=value` each.
        config_dir: a folder with configurations of the user's own.
        config_name: stem of a YAML in it that is composed instead of the command's, which it may
            name among its `defaults`.
        paths: further keys whose values are paths.
        values: plain values by key, dotted, which need no grammar.

    Returns:
        The composed values; under `names` the public names chosen for `model`, `detector` and
        `lifter` (None for none), under `search` the folders of configurations to look into first.

    Raises:
        InputError: a word that is not `key=value`, or a key or value that does not fit.
        UnknownModelError: no such model.
    """
    words = _read_words(command, overrides, config_dir, config_name, paths)
    chosen, others, literals = words.chosen, words.others, dict(words.literals)
    given = values or {}
    literal_keys = LITERAL_KEYS.union(paths)
    literals |= {key: value for key, value in given.items() if key in literal_keys}
    settings = {key: value for key, value in given.items() if key not in literal_keys}
    trust = asks_for_trust(others)
    trusted = [group for group, part in chosen.parts.items() if part.trusted(trust)]
    composed = _compose_with_hydra(config_name or command, chosen, others, settings, trust=trust)
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
    composed["trusted"] = trusted
    return composed


class _Words(NamedTuple):
    """What a user typed: the parts, values of literal keys, and overrides for Hydra."""

    chosen: Chosen
    literals: Mapping[str, Any]
    others: list[str]


def _read_words(
    command: str,
    overrides: Sequence[str],
    config_dir: Path | None,
    config_name: str | None,
    paths: Collection[str],
) -> _Words:
    search = _search_path(config_dir)
    groups, literals, others = sort_overrides(overrides, LITERAL_KEYS.union(paths))
    if config_name is not None:
        defaults = own_defaults(config_name, search)
        groups = {key: defaults[key] for key in NAMED if key in defaults} | groups
        if "recipe" in defaults:
            others = [f"recipe={defaults['recipe']}", *others]
    chosen = CHOOSERS.get(command, choose_for_prediction)(groups, others, search)
    _refuse_ineffective(others, chosen, command)
    for part in chosen.parts.values():
        read_config(part.name, part.search)  # says in one line what Hydra would stumble over
    return _Words(chosen, literals, others)


def print_hydra_info(
    topic: str,
    command: str,
    overrides: Sequence[str],
    *,
    config_dir: Path | None = None,
    config_name: str | None = None,
    paths: Collection[str] = (),
) -> None:
    """Prints what Hydra says of itself and of a command: its `--info`.

    Args:
        topic: `all`, `config`, `defaults`, `defaults-tree`, `plugins` or `searchpath`.
        command, overrides, config_dir, config_name, paths: as in `compose_command`.

    Raises:
        InputError: as `compose_command`.
    """
    words = _read_words(command, overrides, config_dir, config_name, paths)
    with contextlib.ExitStack() as stack:
        trust = asks_for_trust(words.others)
        stack.enter_context(_looking_into(words.chosen, stack, trust=trust))
        stack.enter_context(initialize_config_dir(str(CONF_DIR), version_base="1.3"))
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        overrides = [*words.chosen.overrides, *map(settable, words.others)]
        stack.enter_context(_without_handlers())
        try:
            hydra.show_info(topic, config_name or command, list(overrides))
        except _HYDRAS as error:
            raise InputError(one_line(error)) from None


@contextlib.contextmanager
def _without_handlers() -> Iterator[None]:
    """Hydra logs what it is asked for, and adds a handler that prints it."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        yield
    finally:
        root.handlers[:] = before
        root.setLevel(level)


def _set_literal(composed: dict[str, Any], key: str, value: Any, command: str) -> None:
    *parents, last = key.split(".")
    inside: Any = composed
    for parent in parents:
        inside = inside.get(parent, {})
    if last not in inside:
        raise InputError(unknown_key(key, composed, command))
    inside[last] = value


def _compose_with_hydra(
    command: str,
    chosen: Chosen,
    others: Sequence[str],
    settings: Mapping[str, Any],
    *,
    trust: bool,
) -> dict[str, Any]:
    """What Hydra makes of the overrides and of values by key, as plain values."""
    overrides = [*chosen.overrides, *map(settable, others)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_looking_into(chosen, stack, trust=trust))
        # Restores a global Hydra state that was there before.
        stack.enter_context(initialize_config_dir(str(CONF_DIR), version_base="1.3"))
        try:
            config = compose(command, overrides)
            before: Any = OmegaConf.to_container(config)
            known = set(flat_keys(before))
            for key, value in settings.items():
                if key not in known:
                    raise InputError(unknown_key(key, _valid_keys(command, chosen), command))
                # Before interpolations are resolved, so that these see it.
                OmegaConf.update(config, key, value, force_add=True)
            values: Any = OmegaConf.to_container(config, resolve=True)
        except _HYDRAS as error:
            refuse_unparsable(others)
            raise InputError(
                explain(error, others, _valid_keys(command, chosen), command)
            ) from None
        if any(override.startswith("+") for override in others):
            valid = _valid_keys(command, chosen)
            for key in values:
                if key not in valid:  # Hydra lets "+" add it, but nothing reads it
                    raise InputError(unknown_key(str(key), valid, command))
    for group, part in chosen.parts.items():
        if group not in values:
            path = config_path(part.name, part.search)
            raise InputError(
                f"{path}: expected values under '{group}', found none: leave out '# @package'"
            )
    if not isinstance(values.get("trust", False), bool):
        raise InputError(f"trust: expected true or false, found {values['trust']}")
    return dict(values)


def _valid_keys(command: str, chosen: Chosen) -> Any:
    """The command's configuration without what was typed: its keys are those that there are."""
    try:
        return OmegaConf.to_container(compose(command, list(chosen.overrides)))
    except _HYDRAS as error:
        raise InputError(one_line(error)) from None


# What Hydra, OmegaConf and their reader of YAML raise; ValueError and RecursionError among them
# for overrides and files of kinds that they do not expect.
_HYDRAS = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, RecursionError)


def _refuse_ineffective(others: Sequence[str], chosen: Chosen, command: str) -> None:
    """Refuses overrides of parts that are not there, or that name a part where none is chosen."""
    for override in others:
        key = override.partition("=")[0].lstrip("+~").replace("/", ".")
        group, _, inside = key.partition("@")[0].partition(".")
        if group in GROUPS and not inside:
            raise InputError(f"cannot read '{override}': name a model as model=NAME, detector=NAME")
        if group in GROUPS and group not in chosen.parts:
            there = " and ".join(chosen.parts)
            raise InputError(f"{key} does not apply: this command takes only {there}")
        if command != "train" and key in ("model.detector", "lifter.pose2d"):
            raise InputError(f"{key} has no effect here: use {inside}=NAME")
        if group == "hydra":
            raise InputError(f"unknown key '{key}': Hydra's own settings need -m")


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


def shown_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A composed configuration to show, including what the YAML of each part leaves open."""
    shown = {key: value for key, value in config.items() if key != "trusted"}
    for group in GROUPS:
        if (part := read_part(config, group)) is not None:
            shown[group] = part.to_config()
    return shown


_folders: ContextVar[tuple[Path, ...]] = ContextVar("_folders", default=())


class _OwnFolders(SearchPathPlugin):
    """Lets a user's YAML win over a packaged one of its name, as `hydra.searchpath` does not."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in reversed(_folders.get()):
            search_path.prepend("posekit", f"file://{folder}")


@contextlib.contextmanager
def _looking_into(chosen: Chosen, stack: contextlib.ExitStack, *, trust: bool) -> Iterator[None]:
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
    # Each time: what launches a sweep's jobs makes a fresh register in their processes.
    Plugins.instance().register(_OwnFolders)
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
