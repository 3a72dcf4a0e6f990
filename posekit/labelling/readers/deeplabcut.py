"""DeepLabCut: `CollectedData_*.csv` and `.h5` of one animal or several, a project, or its results.

HDF5 is read as plain tables through h5py. Pickles that pandas may keep in it are not read; no label
file needs them.
"""

from __future__ import annotations

import contextlib
import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from posekit.datasets.image_paths import is_file
from posekit.datasets.problems import Findings
from posekit.errors import InputError
from posekit.labelling.label_set import ABSENT, Category, Image, LabelSet, Person, parse_index
from posekit.packages import need
from posekit.plain_yaml import read_yaml

__all__ = ["read"]

# DeepLabCut's own `pcutoff`: results of a lower likelihood are not drawn.
LIKELY = 0.6
LEVELS = ("scorer", "individuals", "bodyparts", "coords")


class _Table(NamedTuple):
    """Names of columns by level; an index and numbers per row, NaN where a cell is empty."""

    columns: list[dict[str, str]]
    rows: list[tuple[str, str, list[float]]]  # place, picture or frame, numbers


def read(path: Path, keypoints: Sequence[str], found: Findings) -> LabelSet:
    """See `posekit.labelling.readers`; of a project, or its config.yaml, all its labelled data."""
    labels = LabelSet("DeepLabCut")
    config: dict[str, Any] = {}
    files = [path]
    if path.is_dir() or path.suffix in (".yaml", ".yml"):
        folder = path if path.is_dir() else path.parent
        config = _config(path / "config.yaml" if path.is_dir() else path)
        files = _files_of(folder)
    else:
        near = [parent / "config.yaml" for parent in path.resolve().parents[:3]]
        with contextlib.suppress(InputError):  # of another program
            config = next((_config(one) for one in near if one.is_file()), {})
    for file in files:
        table = _read_h5(file) if file.suffix.lower() in (".h5", ".hdf5") else _read_csv(file)
        _add(labels, file, table, keypoints, config, found)
    return labels


def _config(path: Path) -> dict[str, Any]:
    value = read_yaml(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected DeepLabCut's keys, found {value!r:.40}")
    return value


def _files_of(folder: Path) -> list[Path]:
    """The labels of each video: CSV, or H5 where there is no CSV."""
    found = sorted(folder.glob("labeled-data/*/CollectedData_*.csv"))
    have = {path.parent for path in found}
    found += sorted(
        path for path in folder.glob("labeled-data/*/CollectedData_*.h5") if path.parent not in have
    )
    if not found:
        raise InputError(f"{folder}: no labeled-data/*/CollectedData_*.csv or .h5 in this project")
    return found


def _read_csv(path: Path) -> _Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    heads = 0
    while heads < len(lines) and lines[heads] and lines[heads][0].strip().lower() in LEVELS:
        heads += 1
    levels = {lines[i][0].strip().lower(): lines[i] for i in range(heads)}
    if not {"bodyparts", "coords"} <= levels.keys():
        raise InputError(
            f"{path}, line 1: expected lines bodyparts and coords, found {list(levels)}"
        )
    coords = levels["coords"]
    first = next((i for i, word in enumerate(coords) if word.strip() in ("x", "y")), len(coords))
    width = len(coords)
    columns = [
        {level: row[i].strip() if i < len(row) else "" for level, row in levels.items()}
        for i in range(first, width)
    ]
    rows = []
    for number, line in enumerate(lines[heads:], heads + 1):
        place = f"{path}, line {number}"
        if not any(line):
            continue
        if len(line) != width:
            raise InputError(f"{place}: expected {width} cells, found {len(line)}")
        name = "/".join(word.strip() for word in line[:first] if word.strip())
        rows.append((place, name, [_cell(word, place) for word in line[first:]]))
    return _Table(columns, rows)


def _cell(word: str, place: str) -> float:
    if not word.strip():
        return math.nan
    try:
        return float(word)
    except ValueError:
        raise InputError(f"{place}: expected a number or nothing, found {word[:40]!r}") from None


def _read_h5(path: Path) -> _Table:
    h5py = need("h5py", "posekit[labels]", f"{path} is HDF5")
    try:
        with h5py.File(path, "r") as file:
            names = [name for name, one in file.items() if "pandas_type" in one.attrs]
            if len(names) != 1:
                raise InputError(f"{path}: expected one table of pandas, found {names or 'none'}")
            group = file[names[0]]
            if group.attrs["pandas_type"] != b"frame":
                raise InputError(
                    f"{path}: names of its columns are a pickle (pandas' format 'table'), "
                    "which is not read; use the CSV beside it"
                )
            return _table_of(path, group)
    except OSError as error:
        raise InputError(f"{path} is not a readable HDF5 file: {error}") from None
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise InputError(f"{path} is not a table of DeepLabCut's: {error!r}") from None


def _table_of(path: Path, group: Any) -> _Table:
    labels = list(_axis(group, "axis0"))
    names = _level_names(group, "axis0")
    columns = [dict(zip(names, label, strict=True)) for label in labels]
    place_of = {label: i for i, label in enumerate(labels)}
    index = list(_axis(group, "axis1"))
    rows = [[math.nan] * len(labels) for _ in index]
    for block in range(int(group.attrs["nblocks"])):
        values = group[f"block{block}_values"][()]
        for column, label in enumerate(_axis(group, f"block{block}_items")):
            for row, value in enumerate(values[:, column].tolist()):
                rows[row][place_of[label]] = float(value)
    places = [(f"{path}, row {i}", "/".join(name), rows[i]) for i, name in enumerate(index)]
    return _Table(columns, places)


def _axis(group: Any, name: str) -> Iterator[tuple[str, ...]]:
    """The labels of an axis, of one level or several."""
    if name in group:
        yield from ((_text(value),) for value in group[name][()].tolist())
        return
    count = int(group.attrs[f"{name}_nlevels"])
    levels = [[_text(v) for v in group[f"{name}_level{i}"][()].tolist()] for i in range(count)]
    codes = [group[f"{name}_label{i}"][()].tolist() for i in range(count)]
    yield from (
        tuple(level[code] for level, code in zip(levels, row, strict=True))
        for row in zip(*codes, strict=True)
    )


def _level_names(group: Any, name: str) -> list[str]:
    count = int(group.attrs[f"{name}_nlevels"])
    return [_text(group[f"{name}_level{i}"].attrs["name"]) for i in range(count)]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if not isinstance(value, str | int):
        raise TypeError(f"{type(value).__name__} as a name")
    return str(value)


def _add(
    labels: LabelSet,
    path: Path,
    table: _Table,
    keypoints: Sequence[str],
    config: dict[str, Any],
    found: Findings,
) -> None:
    parts: dict[str, list[str]] = {}
    at: dict[tuple[str, str, str], int] = {}
    for number, column in enumerate(table.columns):
        animal, part, coord = (column.get(key, "") for key in LEVELS[1:])
        at[animal, part, coord] = number
        if coord == "x" and part not in parts.setdefault(animal, []):
            parts[animal].append(part)
    if not any(parts.values()):
        raise InputError(f"{path}: no column has the coordinate x")
    animals = _categories(labels, path, parts, keypoints, config, found)
    for place, name, numbers in table.rows:
        image = _image(path, name)
        for track, (animal, category) in enumerate(animals.items()):
            points = [_point(numbers, at, (animal, part), found) for part in category.keypoints]
            if any(v for _, _, v in points):
                who = track if animal else None
                where = f"{place}, {animal}" if animal else place
                image.people.append(Person(category.name, points, None, where, who))
        labels.images.append(image)


def _categories(
    labels: LabelSet,
    path: Path,
    parts: dict[str, list[str]],
    keypoints: Sequence[str],
    config: dict[str, Any],
    found: Findings,
) -> dict[str, Category]:
    """The category of each animal: those of the same parts are of one."""
    animals = {}
    known: dict[tuple[str, ...], Category] = {c.keypoints: c for c in labels.categories.values()}
    for animal, own in parts.items():
        names = tuple(keypoints) or tuple(own)
        if keypoints and set(own) - set(names):
            listed = ", ".join(sorted(set(own) - set(names)))
            found.whole(f"body parts that are none of keypoints=, left out: {listed}", False)
        if names not in known:
            name = animal if known and animal else "animal"
            if name in labels.categories:
                raise InputError(
                    f"{path}: its body parts are not those of the project's other files: "
                    f"{', '.join(own)}; name them with keypoints=[...]"
                )
            links = _links(config.get("skeleton"), names)
            known[names] = labels.categories[name] = Category(name, names, links)
        animals[animal] = known[names]
    return animals


def _links(pairs: Any, names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    listed = pairs if isinstance(pairs, list) else []
    known = [p for p in listed if isinstance(p, list) and len(p) == 2 and set(p) <= set(names)]
    return tuple((names.index(a), names.index(b)) for a, b in known)


def _image(path: Path, name: str) -> Image:
    """A picture; of results, which are numbered, a frame of the video beside them."""
    if (number := parse_index(name)) is not None:
        stem = path.stem.partition("DLC_")[0].partition("DeepCut")[0]
        beside = [p for p in sorted(path.parent.glob(f"{stem}.*")) if p.suffix.lower() in _VIDEOS]
        video = beside[0] if beside else path.with_name(f"{stem}.mp4")
        return Image(f"{stem}/{number:06d}.jpg", video=video, frame=number)
    plain = name.replace("\\", "/")
    candidates = [
        path.parent / Path(plain).name,
        *(up / plain for up in path.resolve().parents[:4]),
    ]
    return Image(plain, path=next((p for p in candidates if is_file(p)), None))


_VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".mpg", ".webm")


def _point(
    numbers: list[float],
    at: dict[tuple[str, str, str], int],
    key: tuple[str, str],
    found: Findings,
) -> tuple[float, float, int]:
    x, y = (numbers[at[(*key, coord)]] if (*key, coord) in at else math.nan for coord in ("x", "y"))
    if not (math.isfinite(x) and math.isfinite(y)):
        return ABSENT
    if (*key, "likelihood") in at and not numbers[at[(*key, "likelihood")]] >= LIKELY:
        found.leave_out(f"predicted points of a likelihood below {LIKELY}")
        return ABSENT
    return (x, y, 2)
