"""Labels of other tools -> files that training and evaluation read: `posekit.labels`."""

from __future__ import annotations

import importlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posekit.datasets.label_files import find_foreign
from posekit.datasets.plain_coco import Coco, plain_coco
from posekit.datasets.problems import Findings, Problem
from posekit.datasets.shards import are_shards, label_name, write_shards
from posekit.datasets.sources import Source, is_used
from posekit.datasets.usable_entries import UsableImages, usable_annotations
from posekit.declared import function_takes
from posekit.errors import InputError, OutputError
from posekit.files import make_folder, write_whole
from posekit.labelling.coco_file import coco_content
from posekit.labelling.label_set import Category, Image, LabelSet
from posekit.labelling.options import LabelsOptions
from posekit.labelling.pictures import find_pictures, write_jpeg
from posekit.labelling.sheet import draw_sheet
from posekit.names import flip_indices
from posekit.packages import need
from posekit.skeleton import load_skeleton
from posekit.table import format_table

__all__ = ["LabelsResult", "labels"]

TOOLS = (
    "Ultralytics-YOLO's data.yaml, labelme's JSON or a folder of these, Label Studio's JSON, VGG "
    "Image Annotator's JSON or CSV, CVAT's XML, DeepLabCut's CSV, H5 or project, SLEAP's .slp, "
    "Datumaro's JSON"
)
COUNTS = ("images", "without labels", "people", "seen", "hidden", "absent")


@dataclass(frozen=True)
class LabelsResult:
    """The result of a conversion of labels.

    Attributes:
        tool: the tool that the labels come from.
        files: the COCO file of each split; "" for a source without splits.
        sheet: an image of the first labels; None if nobody is labelled.
        counts: of each split, by the names in the table: images, images without labels, people,
            and their keypoints that are seen, hidden and absent.
        categories: keypoint names of each category.
        flip_pairs: names of the mirror pairs in the source, for each category; None if the source
            has none, so that the names decide.
        notes: warnings: what was left out, replaced or guessed.
    """

    tool: str
    files: Mapping[str, Path]
    sheet: Path | None
    counts: Mapping[str, Mapping[str, int]]
    categories: Mapping[str, tuple[str, ...]]
    flip_pairs: Mapping[str, list[tuple[str, str]] | None]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        rows = [
            [str(path), *(str(self.counts[split][key]) for key in COUNTS)]
            for split, path in self.files.items()
        ]
        lines = [f"labels of {self.tool}", format_table(["file", *COUNTS], rows)]
        for name, keypoints in self.categories.items():
            lines.append(f"{name}: {len(keypoints)} keypoints: {', '.join(keypoints)}")
            pairs = self.flip_pairs[name]
            if pairs is not None:
                listed = ", ".join("/".join(pair) for pair in pairs) or "none"
                lines.append(f"{name}: mirror images, by the source: {listed}")
        lines += [f"note: {note}" for note in self.notes]
        if self.sheet is not None:
            lines.append(f"look at {self.sheet}: are left, right and the order right?")
        return "\n".join(lines)


@function_takes(LabelsOptions)
def labels(source: str | os.PathLike[str], options: LabelsOptions) -> LabelsResult:
    """Converts labels of another tool to COCO keypoints, and draws the first of them.

    The format is detected from the content. Files are written whole or not at all. Images stay
    where they are; frames of a video are written to `<out>_frames/`.

    Args:
        source: a file or folder of Ultralytics YOLO, labelme, Label Studio, VGG Image Annotator,
            CVAT, DeepLabCut, SLEAP or Datumaro.
        {options}

    Returns:
        The files written, with counts and warnings.

    Raises:
        InputError: another format, a broken file or entry, or no images; nothing is written then
            but frames.
        OutputError: a file cannot be written.
    """
    path, out = Path(source), Path(options.out or "")
    if are_shards(str(out)) and path.is_file() and find_foreign(path) is None:
        return _shards_of_coco(path, out, options)
    folder = None if options.images is None else Path(options.images)
    found = Findings(
        Source(
            annotations=str(path),
            images=str(folder) if folder is not None and folder.is_dir() else None,
            skip_bad=options.skip_bad,
        )
    )
    read = _read(path, options, found)
    _choose(read, options, found)
    if not any(category.keypoints for category in read.categories.values()):
        _raise_errors(found)
        raise InputError(f"{path}: no keypoints in it, only boxes or nothing: {found.reasons(0)}")
    find_pictures(read, folder, out.with_name(f"{out.stem}_frames"), found)
    splits: dict[str, list[Image]] = {}
    for image in read.images:
        splits.setdefault(image.split, []).append(image)
    files = {split: _path_of(out, split, len(splits)) for split in splits}
    sheet = out.with_name(f"{label_name(str(out))}.jpg")
    _check_outputs([*files.values(), sheet], path, read)
    contents = {s: coco_content(read, splits[s], out.parent, found) for s in splits}
    _raise_errors(found)
    if not any(content["annotations"] for content in contents.values()):
        reasons = found.reasons(0) if found.places or found.left_out else "no label in it"
        raise InputError(f"{path}: nothing to write: {reasons}")
    drawn = draw_sheet(read)
    if drawn is not None:
        write_jpeg(sheet, drawn)
    for split, content in contents.items():
        _write(files[split], content, _places(content, out.parent))
    return LabelsResult(
        tool=read.tool,
        files=files,
        sheet=None if drawn is None else sheet,
        counts={split: _counts(content) for split, content in contents.items()},
        categories={c.name: c.keypoints for c in read.categories.values()},
        flip_pairs={c["name"]: _pairs(c) for c in next(iter(contents.values()))["categories"]},
        notes=tuple(_notes(found)),
    )


def _shards_of_coco(path: Path, out: Path, options: LabelsOptions) -> LabelsResult:
    """Labels that are COCO's already, with their pictures."""
    for name in ("keypoints", "split"):
        if getattr(options, name) is not None:
            raise InputError(f"{name} does not apply to COCO's JSON: leave it out")
    folder = None if options.images is None else str(options.images)
    chosen = options.category_names or None
    source = Source(
        annotations=str(path), images=folder, categories=chosen, skip_bad=options.skip_bad
    )
    found = Findings(source)
    coco = plain_coco(source, found)
    images = UsableImages(source, coco, found)
    _raise_errors(found)
    used = {row["id"]: str(images.paths[place]) for place, row in _usable(coco, images)}
    content: dict[str, Any] = {
        "images": [row for row in coco.images if row["id"] in used],
        "annotations": [row for row, _ in usable_annotations(source, coco, images)],
        "categories": [row for row in coco.categories if is_used(source, row)],
    }
    _write(out, content, list(used.values()))
    named = [row for row in content["categories"] if row.get("keypoints")]
    return LabelsResult(
        tool="COCO's JSON",
        files={"": out},
        sheet=None,
        counts={"": _counts(content)},
        categories={str(row.get("name")): tuple(row["keypoints"]) for row in named},
        flip_pairs={str(row.get("name")): _pairs(row) for row in named},
        notes=tuple(_notes(found)),
    )


def _usable(coco: Coco, images: UsableImages) -> list[tuple[int, dict[str, Any]]]:
    """The images that are there, each with its row among the paths."""
    rows = ((images.rows.get(row["id"], -1), row) for row in coco.images)
    return [(place, row) for place, row in rows if place >= 0]


def _places(content: Mapping[str, Any], folder: Path) -> list[str]:
    """Where the pictures of a file lie."""
    return [str(folder / image["file_name"]) for image in content["images"]]


def _read(path: Path, options: LabelsOptions, found: Findings) -> LabelSet:
    if not path.exists():
        raise InputError(f"no such file or folder: {path}")
    foreign = find_foreign(path)
    if foreign is None:
        what = "a folder" if path.is_dir() else "a file"
        if path.is_file() and path.suffix.lower() == ".json":
            hint = "COCO's JSON needs no conversion: posekit train dataset.train=FILE"
            raise InputError(f"{path}: not in a supported format ({TOOLS}). {hint}")
        raise InputError(f"{path}: {what} not in a supported format: {TOOLS}")
    reader = foreign.reader
    if reader == "hdf5":
        reader = "sleap" if path.suffix.lower() == ".slp" else _kind_of_hdf5(path)
    if not reader:
        raise InputError(
            f"{path}: this is {foreign.what}, which cannot be converted; {foreign.hint}"
        )
    module = importlib.import_module(f"posekit.labelling.readers.{reader}")
    read: LabelSet = module.read(path, options.keypoint_names, found)
    for category in read.categories.values():
        known = load_skeleton("coco")
        if category.keypoints == known.names and not category.links:
            category.links = known.links
        _compare_sides(category, found)
    return read


def _compare_sides(category: Category, found: Findings) -> None:
    """Notes where mirror images of the source are not those that names tell."""
    flips, told = category.flip_indices, flip_indices(category.keypoints)
    if flips is None or flips == told:
        return
    names = category.keypoints
    at = next(i for i, (one, other) in enumerate(zip(flips, told, strict=True)) if one != other)
    if flips == tuple(range(len(names))):
        category.flip_indices = None
        what = (
            f"category '{category.name}': its source has no mirror pairs, but names tell sides "
            f"({names[at]}, {names[told[at]]}): using the names"
        )
    elif told == tuple(range(len(names))):
        return  # names tell nothing
    else:
        what = (
            f"category '{category.name}': its source mirrors {names[at]} to {names[flips[at]]}, "
            f"its name says {names[told[at]]}: using the source"
        )
    found.whole(what, False)


def _kind_of_hdf5(path: Path) -> str:
    """Of SLEAP's the one that has its metadata, whatever it is called."""
    h5py = need("h5py", "posekit[labels]", f"{path} is HDF5")
    try:
        with h5py.File(path, "r") as file:
            return "sleap" if "metadata" in file and "frames" in file else "deeplabcut"
    except OSError as error:
        raise InputError(f"{path} is not a readable HDF5 file: {error}") from None


def _choose(read: LabelSet, options: LabelsOptions, found: Findings) -> None:
    """Keeps the categories and the split that are wanted."""
    if options.split is not None:
        splits = {image.split for image in read.images}
        if options.split not in splits:
            known = ", ".join(sorted(filter(None, splits))) or "none"
            raise InputError(f"split: there is no '{options.split}'; there are {known}")
        read.images = [image for image in read.images if image.split == options.split]
    wanted = options.category_names
    for name in wanted:
        if name not in read.categories:
            known = ", ".join(read.categories) or "none"
            raise InputError(f"categories: none is called '{name}'; there are {known}")
    if wanted:
        for image in read.images:
            for person in image.people:
                if person.category not in wanted:
                    found.leave_out("people of other categories")
            image.people = [person for person in image.people if person.category in wanted]
        read.categories = {name: c for name, c in read.categories.items() if name in wanted}
    if not read.images:
        _raise_errors(found)
        raise InputError(f"{found.source.annotations}: no image in it: {found.reasons(0)}")


def _path_of(out: Path, split: str, count: int) -> Path:
    """`coco_train.json` of `coco.json`, where there are several splits."""
    return out if count == 1 else out.with_name(f"{out.stem}_{split or 'rest'}{out.suffix}")


def _check_outputs(outputs: Sequence[Path], source: Path, read: LabelSet) -> None:
    """Raises OutputError where a file would be written over labels or pictures that are read."""
    pictures = {image.path.resolve() for image in read.images if image.path is not None}
    for path in outputs:
        if not path.exists():
            continue
        if source.is_file() and path.samefile(source):
            raise OutputError(f"cannot write {path}: it is the input itself; name another file")
        if path.resolve() in pictures or (source.is_dir() and path.resolve() in read.files):
            raise OutputError(
                f"cannot write {path}: it is one of the files that are read; name another one"
            )


def _raise_errors(found: Findings) -> None:
    errors = [problem for problem in found.problems() if problem.fatal]
    if errors:
        hint = "; leave the broken entries out with skip_bad=true"
        raise InputError("; ".join(_text(problem, found) for problem in errors) + hint)


def _notes(found: Findings) -> list[str]:
    notes = [_text(problem, found) for problem in found.problems() if not problem.fatal]
    return notes + [f"{count} x {what}" for what, count in found.left_out.items()]


def _text(problem: Problem, found: Findings) -> str:
    """A problem; the source is not named again where its places do."""
    text = str(problem)
    start = f"{problem.file}: "
    return text if not problem.places else text.removeprefix(start)


def _counts(content: Mapping[str, Any]) -> dict[str, int]:
    people = content["annotations"]
    seen = Counter(v for person in people for v in (person.get("keypoints") or [])[2::3])
    labelled = {person["image_id"] for person in people}
    images = len(content["images"])
    numbers = (images, images - len(labelled), len(people), seen[2], seen[1], seen[0])
    return dict(zip(COUNTS, numbers, strict=True))


def _pairs(category: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    pairs = category.get("flip_pairs")
    return None if pairs is None else [(first, second) for first, second in pairs]


def _write(path: Path, content: Mapping[str, Any], pictures: Sequence[str]) -> None:
    """A COCO file, or shards that have its pictures too."""
    if are_shards(str(path)):
        write_shards(str(path), content, pictures)
        return
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    make_folder(path.parent)
    write_whole(path, text.encode("utf-8"))
