"""Where configurations lie, and which model a name means. Light: imports nothing heavy."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from posekit import checkpoints
from posekit.checkpoints import Checkpoint
from posekit.errors import InputError, UnknownModelError
from posekit.files import CONF_DIR, PACKAGED
from posekit.plain_yaml import read_yaml

__all__ = [
    "CONF_DIR",
    "DETECTOR_ALIASES",
    "NO_DETECTOR",
    "PACKAGED",
    "config_path",
    "elsewhere_error",
    "find_checkpoint",
    "input_size",
    "list_models",
    "model_names",
    "nearest",
    "nearest_keys",
    "read_config",
    "resolve_name",
    "select_models",
]

GROUPS = ("model", "detector", "lifter")

# Said in place of a detector's name: each image is one box.
NO_DETECTOR = ("whole_image", "none", "null")

# What a detector's subject is called where a detector is asked for.
DETECTOR_ALIASES = {
    "human": "rtmdet-m_person-640",
    "body": "rtmdet-m_person-640",
    "person": "rtmdet-m_person-640",
    "face": "yolox-s_face-640",
    "hand": "rtmdet-nano_hand-320",
    "animal": "rtmdet-m_coco-640",
    "demo": "rtmdet-nano_drawn-256",
}


def model_names(search: Sequence[Path] = ()) -> list[str]:
    """Every public model name that has a YAML: packaged ones and those of the folders given."""
    return sorted(_stems(search))


def list_models(
    task: str | None = None,
    *,
    keypoints: str | None = None,
    size: str | None = None,
    max_params: float | None = None,
    license: str | None = None,
) -> list[str]:
    """Names of the published models that match all filters.

    Args:
        task: such as "body", "wholebody", "face", "hand", "animal", "fashion" or "detection".
        keypoints: the skeleton, a name of `conf/keypoints/` such as "coco" or "halpe26".
        size: height x width of the input, such as "256x192" or "640x640".
        max_params: the most parameters, in millions.
        license: licence of the weights, such as "Apache-2.0".

    Raises:
        InputError: no model has that task, skeleton, size or licence.
    """
    return sorted(
        row.name
        for row in select_models(
            task, keypoints=keypoints, size=size, max_params=max_params, license=license
        )
    )


def select_models(
    task: str | None = None,
    *,
    keypoints: str | None = None,
    size: str | None = None,
    max_params: float | None = None,
    license: str | None = None,
) -> list[Checkpoint]:
    """As `list_models`, the rows in the table's order."""

    rows = list(checkpoints.CHECKPOINTS)
    chosen = rows
    filters: tuple[tuple[str, str | None, Callable[[Checkpoint], str]], ...] = (
        ("task", task, lambda row: row.task),
        ("skeleton", keypoints, lambda row: read_config(row.name).get("keypoints", "")),
        ("input size", size, lambda row: input_size(row.name)),
        ("licence", license, lambda row: row.license),
    )
    for what, wanted, of_row in filters:
        if wanted is None:
            continue
        values = {row.name: of_row(row) for row in rows}
        if _plain(wanted) not in map(_plain, values.values()):
            known = ", ".join(sorted(set(filter(None, values.values()))))
            raise InputError(f"no model has the {what} '{wanted}'; there are {known}")
        chosen = [row for row in chosen if _plain(values[row.name]) == _plain(wanted)]
    if max_params is not None:
        chosen = [row for row in chosen if (row.parameters or 0.0) <= max_params]
    return chosen


def _plain(text: str) -> str:
    """`256X192`, `256 x 192` and `256x192` are one, and `640` is 640x640."""
    plain = re.sub(r"[\s_]+", "-", text.strip().lower().replace(" x ", "x"))
    return f"{plain}x{plain}" if plain.isdigit() else plain


def input_size(name: str) -> str:
    """Height x width of a model's input, or the frames that it takes.

    Taken from the name if it says so: reading every YAML would take longer than all the rest.
    """
    if found := re.search(r"-(\d+)(?:x(\d+))?$", name):
        return f"{found[1]}x{found[2] or found[1]}"
    config = read_config(name)
    if "input_size" not in config:
        return f"{config['net']['max_frames']} frames"
    width, height = config["input_size"]
    return f"{height}x{width}"


def _stems(search: Sequence[Path], groups: Sequence[str] = GROUPS) -> set[str]:
    """Names of the YAMLs: of hundreds, so that no `Path` is made of each."""
    try:
        return {
            entry.name.removesuffix(".yaml")
            for root in (*search, CONF_DIR)
            for group in groups
            if (root / group).is_dir()
            for entry in os.scandir(root / group)
            if entry.name.endswith(".yaml")
        }
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from None


def config_path(name: str, search: Sequence[Path] = ()) -> Path:
    """The YAML of a public model name.

    Raises:
        UnknownModelError: there is none.
    """
    if PurePath(name).name == name:
        for root in (*search, CONF_DIR):
            for group in GROUPS:
                path = root / group / f"{name}.yaml"
                if path.is_file():
                    return path
    raise _unknown(name, search)


def read_config(name: str, search: Sequence[Path] = ()) -> dict[str, Any]:
    """A model's or a detector's YAML as plain Python values.

    Args:
        name: a public name, an alias, an official config name or path.
        search: folders that hold `model/` and `detector/` of their own.

    Raises:
        UnknownModelError: no such model.
        InputError: the file is not YAML of plain values, or not a mapping with `net`.
    """
    path = config_path(resolve_name(name, search), search)
    config = deepcopy(_read_yaml(path, path.stat().st_mtime_ns))  # the caller's to change
    if not isinstance(config, dict) or "net" not in config:
        raise InputError(f"{path} does not describe a model: expected a mapping with the key 'net'")
    return config


@lru_cache(maxsize=256)
def _read_yaml(path: Path, mtime_ns: int) -> Any:
    return read_yaml(path)


def resolve_name(name: str, search: Sequence[Path] = (), *, detector: bool = False) -> str:
    """The public name that a user's name for a model means.

    Args:
        name: a public name, an alias (`human`), an official config name, or the path of an
            official config file, which is looked up by its stem and never read.
        search: folders that hold `model/` and `detector/` of their own.
        detector: read aliases as those of detectors: `human` is a person detector then.

    Raises:
        UnknownModelError: nothing has that name; the message has the nearest names.
    """
    if not isinstance(name, str) or not name.strip():
        raise UnknownModelError(f"expected the name of a model, found {name!r}")
    stem = _config_stem(name) if name.endswith(".py") else name
    if detector and stem in DETECTOR_ALIASES:
        return DETECTOR_ALIASES[stem]
    official = _official_names()
    for candidate in (stem, stem.lower()):
        if candidate in official:
            return official[candidate]
        if candidate in _stems(search):
            return candidate
    error = _unknown(stem, search, detector=detector)
    if stem == name:
        raise error
    raise UnknownModelError(
        f"{error}. There is no such file either, which could be a model of your own "
        "(docs/migrating.md)"
    )


def _config_stem(path: str) -> str:
    """`configs/a/b.py`, with slashes of either kind -> `b`."""
    return PureWindowsPath(path).stem


def find_checkpoint(name: str) -> Checkpoint | None:
    """The table's row of a public name, None for a model that was never published."""
    return next((row for row in checkpoints.CHECKPOINTS if row.name == name), None)


def _official_names() -> Mapping[str, str]:
    """Aliases and official config names -> public names."""
    global _names
    rows = checkpoints.CHECKPOINTS
    if _names[0] is not rows:
        names = {config: row.name for row in rows for config in row.configs}
        _names = rows, names | {alias: row.name for row in rows for alias in row.aliases}
    return _names[1]


_names: tuple[tuple[Checkpoint, ...], Mapping[str, str]] = ((), {})  # of those rows


def _unknown(name: str, search: Sequence[Path], *, detector: bool = False) -> UnknownModelError:
    for missing in checkpoints.not_here():
        if name in missing.configs:
            return UnknownModelError(
                f"'{name}' is a model of OpenMMLab that posekit does not have ({missing.family}); "
                f"the nearest that it has is {missing.nearest}"
            )
    if error := elsewhere_error(name, detector=detector):
        return error
    if detector:
        return _unknown_detector(name, search)
    candidates = nearest(name, [*model_names(search), *_official_names()])
    hint = f"; did you mean {', '.join(candidates)}?" if candidates else "."
    shown = f"'{name}'" if name.isprintable() else ascii(name)  # one line, whatever it is
    return UnknownModelError(f"unknown model {shown}{hint} `posekit models` lists all of them")


# What programs write behind a model's name.
_SUFFIX = re.compile(r"\.(pt|pth|py|ya?ml|onnx|engine|torchscript|tflite|task|safetensors)$")


def elsewhere_error(name: str, *, detector: bool) -> UnknownModelError | None:
    """Says what comes nearest to a model of another program; None for any other name."""
    plain = _SUFFIX.sub("", PureWindowsPath(name.strip().lower()).name)
    plain = re.sub(r"[\s_]+", "-", plain)
    tables = checkpoints.elsewhere()
    kinds = ("detection", "pose") if detector else ("pose", "detection")
    for other in (other for kind in kinds for other in tables[kind]):
        if fnmatchcase(plain, other.pattern):
            return UnknownModelError(
                f"unknown {'detector' if detector else 'model'} '{name}' ({other.program}); "
                f"use {other.nearest}, the nearest one here. `posekit models` lists all of them"
            )
    return None


def _unknown_detector(name: str, search: Sequence[Path]) -> UnknownModelError:
    """Says which detector comes nearest, also to one of another kind."""
    own = sorted(_stems(search, ["detector"]))
    names = [*own, *DETECTOR_ALIASES]
    names += [official for official, public in _official_names().items() if public in own]
    candidates = nearest(name, names)
    hint = f"; did you mean {', '.join(candidates)}?" if candidates else "."
    return UnknownModelError(
        f"unknown detector '{name}'{hint} There are RTMDet, YOLOX and SSDLite: "
        f"{DETECTOR_ALIASES['person']} for people, {DETECTOR_ALIASES['animal']} for COCO's "
        "classes; `posekit models detection` lists all of them"
    )


def nearest_keys(key: str, known: Iterable[str]) -> list[str]:
    """The keys that a mistyped one may stand for, at most two: a good guess or none.

    The same last part elsewhere, or else one that is spelt much like it, of the same group first.
    """
    group, _, last = key.rpartition(".")
    names = sorted(known, key=lambda name: (name.rpartition(".")[0] != group, name))
    ends = [name.rpartition(".")[2].lower() for name in names]
    likeness = [
        # `out` stands for `out_dir` rather than for `count`.
        0.9
        if end.startswith(f"{last.lower()}_")
        else difflib.SequenceMatcher(None, last.lower(), end).ratio()
        for end in ends
    ]
    best = max(likeness, default=0.0)
    if best < 0.62:
        return []
    return [name for name, ratio in zip(names, likeness, strict=True) if ratio >= best - 0.05][:2]


def nearest(name: str, choices: Sequence[str], limit: int = 3) -> list[str]:
    """The choices most like `name`, best first."""
    lowered = {choice.lower(): choice for choice in reversed(choices)}
    close = difflib.get_close_matches(name.lower(), lowered, n=limit, cutoff=0.5)
    return [lowered[match] for match in close]
