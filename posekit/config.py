"""Where configurations lie, and which model a name means. Light: imports nothing heavy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
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
    "find_checkpoint",
    "list_models",
    "model_names",
    "nearest",
    "nearest_keys",
    "read_config",
    "resolve_name",
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
    return sorted({path.stem for path in _config_files(search)})


def list_models(task: str | None = None) -> list[str]:
    """Public names of the published models.

    Args:
        task: only those of a task, such as "body", "wholebody", "face", "hand", "animal",
            "fashion" or "detection".

    Raises:
        InputError: no model has that task.
    """
    rows = checkpoints.CHECKPOINTS
    tasks = sorted({row.task for row in rows})
    if task is not None and task not in tasks:
        raise InputError(f"no model has the task '{task}'; tasks are {', '.join(tasks)}")
    return sorted(row.name for row in rows if task in (None, row.task))


def _config_files(search: Sequence[Path]) -> Iterator[Path]:
    for root in (*search, CONF_DIR):
        for group in GROUPS:
            yield from (root / group).glob("*.yaml")


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
        if candidate in model_names(search):
            return candidate
    raise _unknown(stem, search, detector=detector)


def _config_stem(path: str) -> str:
    """`configs/a/b.py`, with slashes of either kind -> `b`."""
    return PureWindowsPath(path).stem


def find_checkpoint(name: str) -> Checkpoint | None:
    """The table's row of a public name, None for a model that was never published."""
    return next((row for row in checkpoints.CHECKPOINTS if row.name == name), None)


def _official_names() -> dict[str, str]:
    """Aliases and official config names -> public names."""
    names = {config: row.name for row in checkpoints.CHECKPOINTS for config in row.configs}
    names |= {alias: row.name for row in checkpoints.CHECKPOINTS for alias in row.aliases}
    return names


def _unknown(name: str, search: Sequence[Path], *, detector: bool = False) -> UnknownModelError:
    for missing in checkpoints.not_here():
        if name in missing.configs:
            return UnknownModelError(
                f"'{name}' is a model of OpenMMLab that posekit does not have ({missing.family}); "
                f"the nearest that it has is {missing.nearest}"
            )
    if detector:
        return _unknown_detector(name, search)
    candidates = nearest(name, [*model_names(search), *_official_names()])
    hint = f"; did you mean {', '.join(candidates)}?" if candidates else "."
    return UnknownModelError(f"unknown model '{name}'{hint} `posekit models` lists all of them")


def _unknown_detector(name: str, search: Sequence[Path]) -> UnknownModelError:
    """Says which detector comes nearest, also to one of another kind."""
    own = [path.stem for path in _config_files(search) if path.parent.name == "detector"]
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
    likeness = [difflib.SequenceMatcher(None, last.lower(), end).ratio() for end in ends]
    best = max(likeness, default=0.0)
    if best < 0.62:
        return []
    return [name for name, ratio in zip(names, likeness, strict=True) if ratio >= best - 0.05][:2]


def nearest(name: str, choices: Sequence[str], limit: int = 3) -> list[str]:
    """The choices most like `name`, best first."""
    lowered = {choice.lower(): choice for choice in reversed(choices)}
    close = difflib.get_close_matches(name.lower(), lowered, n=limit, cutoff=0.5)
    return [lowered[match] for match in close]
