"""Command-line overrides -> a composed configuration, as plain Python values.

Hydra composes; three things are ours. Names after `model=`, `pose2d=` and `detector=` are resolved
to YAML stems, and what a model builds on follows it unless it is named. Values that are literal
(paths, URLs) never pass through Hydra's grammar, so that `clip(1).jpg`, `a,b.jpg` and `x=1.jpg`
need no quoting. Mistakes become one line with the nearest valid key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from posekit.config import CONF_DIR, nearest, read_config, resolve_name
from posekit.errors import InputError

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
        "detections",
        "sequences",
        "out",
        "out_predictions",
    )
)
NAMED = ("model", "pose2d", "detector")
NO_DETECTOR = ("whole_image", "none", "null")


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
        `lifter` (None for none).

    Raises:
        InputError: something is not `key=value`, or a key or value that does not fit.
        UnknownModelError: no such model.
    """
    search = _search_path(config_dir)
    groups, literals, others = _sorted_out(overrides)
    # Restores a global Hydra state that was there before.
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        if command == "evaluate":
            names, base = _evaluated(groups, others, search)
        else:
            model, lifter = _chosen_model(groups, search)
            detector = _chosen_detector(groups.get("detector"), model, search)
            names = {"model": model, "detector": detector, "lifter": lifter}
            base = [f"model={model}", f"detector={detector}" if detector else "~detector"]
            if lifter is not None:
                base.append(f"lifter={lifter}")
        if search:
            base.append(
                "hydra.searchpath=[" + ",".join(f"'file://{folder}'" for folder in search) + "]"
            )
        try:
            config = compose(command, [*base, *others])
        except (HydraException, OmegaConfBaseException) as error:
            _refuse_unparsable(others)
            valid = OmegaConf.to_container(compose(command, base))
            raise InputError(_explain(error, others, valid)) from None
        try:
            values: Any = OmegaConf.to_container(config, resolve=True)
        except OmegaConfBaseException as error:
            raise InputError(_first_line(error)) from None
    for key, value in literals.items():
        if key not in values:
            raise InputError(_unknown_key(key, values))
        values[key] = value
    for key, value in values.items():
        if value == "???":
            raise InputError(f"{key} is missing: add {key}=... to the command")
    values["names"] = names
    return values


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
        elif key in LITERAL_KEYS:
            literals[key] = _literal(key, value)
        else:
            others.append(override)
    return groups, literals, others


def _literal(key: str, value: str) -> Any:
    """The text itself, a list of texts, or None for null."""
    if value in ("null", ""):
        return None
    if value.startswith("[") and value.endswith("]") and not Path(value).exists():
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


def _chosen_model(groups: Mapping[str, str], search: Sequence[Path]) -> tuple[str, str | None]:
    """The model that sees the image, and the lifter above it where one was named."""
    model = resolve_name(groups.get("model", "human"), search)
    config = read_config(model, search)
    if "pose2d" in config:
        return resolve_name(groups.get("pose2d", config["pose2d"]), search), model
    if "pose2d" in groups:
        raise InputError(f"pose2d applies to models that lift 2D poses; {model} does not")
    return model, None


def _chosen_detector(named: str | None, model: str, search: Sequence[Path]) -> str | None:
    name = read_config(model, search).get("detector") if named is None else named
    if name is None or name in NO_DETECTOR:
        return None
    return resolve_name(name, search, detector=True)


def _evaluated(
    groups: Mapping[str, str], others: Sequence[str], search: Sequence[Path]
) -> tuple[dict[str, str | None], list[str]]:
    """The one network that is evaluated, of any kind, and a detector where one was named."""
    if "pose2d" in groups:
        raise InputError("pose2d does not apply: lifters are evaluated on 2D poses of a file")
    name = resolve_name(groups.get("model", "human"), search)
    config = read_config(name, search)
    chosen = next((override for override in others if override.startswith("dataset=")), None)
    names = {"model": None, "detector": None, "lifter": None, "dataset": "coco"}
    if "classes" in config or "pose2d" in config:
        group = "detector" if "classes" in config else "lifter"
        if groups.get("detector", "none") not in NO_DETECTOR:
            raise InputError(f"detector gives boxes to pose models; {name} is a {group}")
        names |= {group: name, "dataset": "coco_boxes" if group == "detector" else None}
        base = ["~model", f"{group}={name}"]
        if group == "lifter":
            base.append("~dataset")
        elif chosen is None:
            base.append("dataset=coco_boxes")
    else:
        detector = groups.get("detector", "none")
        names["model"] = name
        base = [f"model={name}"]
        if detector not in NO_DETECTOR:
            names["detector"] = resolve_name(detector, search, detector=True)
            base.append(f"detector={names['detector']}")
    if chosen is not None:
        names["dataset"] = _unquoted(chosen.partition("=")[2])
    return names, base


def _refuse_unparsable(overrides: Sequence[str]) -> None:
    """Names the override that Hydra's grammar chokes on, if one is to blame."""
    parser = OverridesParser.create()
    for override in overrides:
        try:
            parser.parse_override(override)
        except HydraException as error:
            raise InputError(
                f"cannot read '{override}': {_first_line(error)}; quote a text as key='\"text\"'"
            ) from None


def _explain(error: Exception, overrides: Sequence[str], valid: Any) -> str:
    """One line for the mistake, with the nearest keys where a key is unknown."""
    known = set(_flat_keys(valid))
    for override in overrides:
        key = override.partition("=")[0]
        if key.startswith(("+", "~", "hydra")) or key in known:
            continue
        return _unknown_key(key, valid)
    return _first_line(error)


def _unknown_key(key: str, valid: Mapping[Any, Any]) -> str:
    close = nearest(key, sorted(_flat_keys(valid)))
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"unknown key '{key}'{hint} `--cfg` prints all of them"


def _flat_keys(values: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat_keys(value, f"{prefix}{key}.")


def _first_line(error: Exception) -> str:
    return next(line for line in str(error).splitlines() if line.strip())
