"""Label files from disk: JSON in any Unicode encoding; other formats are recognised."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from posekit.datasets.shards import are_shards, read_shards
from posekit.errors import InputError

__all__ = ["Foreign", "find_foreign", "foreign_json", "parse_json", "read_json", "refuse_foreign"]


class Foreign(NamedTuple):
    """A format that is not COCO's.

    Attributes:
        what: its name in messages.
        hint: what to do; empty if `posekit labels` reads it.
        reader: the module of `posekit/labelling/readers` that reads it; empty if none does.
    """

    what: str
    hint: str
    reader: str = ""


_OWN = "convert it with a few lines of Python: docs/training.md shows which lists are needed"
_YOLO = Foreign("the data.yaml of a YOLO data set", "", "yolo")
_YOLO_TEXT = "name its data.yaml, which says what the numbers are: posekit labels data.yaml " + (
    "out=labels.json"
)
_DEEPLABCUT = Foreign("DeepLabCut's CSV", "", "deeplabcut")
_VIA = Foreign("VGG Image Annotator's labels", "", "via")
_LABEL_STUDIO = Foreign("Label Studio's JSON", "", "label_studio")
_LABELME = Foreign("labelme's JSON of one image", "", "labelme")
_CVAT = Foreign("CVAT's XML", "", "cvat")
# How a file begins -> what it is, and what to do.
_MAGIC = (
    (b"\x1f\x8b", "compressed by gzip", "unpack it: gunzip FILE"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it; the JSON of CVAT's export is in 'annotations/'"),
    (b"\x89HDF", "an HDF5 file (of SLEAP, DeepLabCut)", ""),
    (b"MATLAB", "a MATLAB file", _OWN),
    (b"\x93NUMPY", "a NumPy array", _OWN),
    (b"\x80\x04", "a pickle", _OWN),
    (b"\x80\x03", "a pickle", _OWN),
    (b"\x80\x05", "a pickle", _OWN),
    (b"SQLite format 3", "an SQLite data base", _OWN),
    (b"PAR1", "a Parquet table", _OWN),
    (b"\x89PNG", "an image", "name the file of its labels"),
    (b"\xff\xd8\xff", "an image", "name the file of its labels"),
    (b"version https://git-lfs", "a pointer of Git LFS to the file", "fetch it: git lfs pull"),
)


def read_json(path: str) -> Any:
    """The content of a JSON file: UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    For shards it is the content of all their JSONs together.

    Raises:
        InputError: it cannot be read or is no JSON; the message names a known format, and the
            program that converts it.
    """
    if are_shards(path):
        return read_shards(path)
    try:
        data = Path(path).read_bytes()
    except IsADirectoryError:
        _refuse_folder(Path(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read: {reason}") from None
    foreign = _of_bytes(data)
    if foreign is not None:
        refuse_foreign(path, foreign)
    try:
        text = data.decode(json.detect_encoding(data))
    except UnicodeDecodeError:
        _refuse_text(path, data.decode("latin-1"))
        raise InputError(
            f"{path} is not JSON: it is not UTF-8 or UTF-16 text; save it again as UTF-8"
        ) from None
    _refuse_text(path, text)
    return parse_json(path, text)


def find_foreign(path: Path) -> Foreign | None:
    """The known format of a file or folder, by its content; None for COCO's JSON and unknown ones.

    Raises:
        InputError: it cannot be read, or begins like JSON and is none.
    """
    if path.is_dir():
        return _of_folder(path)
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from None
    foreign = _of_bytes(data)
    if foreign is not None:
        return foreign
    try:
        text = data.decode(json.detect_encoding(data)).lstrip("\ufeff \t\r\n")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if text[:1] in ("{", "["):
        return foreign_json(parse_json(str(path), text))
    return _of_text(path, text[:100_000]) if text else None


def refuse_foreign(path: str, foreign: Foreign) -> NoReturn:
    """Raises an InputError that says what a file is and what converts it."""
    hint = foreign.hint
    if not hint:
        source = Path(path)
        if foreign.reader == "labelme" and not source.is_dir():
            source = source.parent  # the labels of all its images
        hint = f"convert it: posekit labels {shlex.quote(str(source))} out=labels.json"
    raise InputError(f"{path}: this is {foreign.what}, not COCO JSON; {hint}")


def foreign_json(data: Any) -> Foreign | None:
    """What a JSON other than COCO's labels is, and what to do; None if that is unknown."""
    if isinstance(data, list):
        first = next((entry for entry in data if isinstance(entry, Mapping)), {})
        return _of_list(first)
    if not isinstance(data, Mapping):
        return None
    for is_it, what in _JSON_KINDS:
        if is_it(data):
            return what
    return None


def _of_bytes(data: bytes) -> Foreign | None:
    for magic, what, hint in _MAGIC:
        if data.startswith(magic):
            return Foreign(what, hint, "" if hint else "hdf5")
    return None


def parse_json(path: str, text: str) -> Any:
    """The content of a JSON's text.

    Raises:
        InputError: it is not JSON; the message names the line.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise InputError(f"{path} is not JSON that can be read: nested too deeply") from None
    except json.JSONDecodeError as error:
        rest = text[error.pos :].lstrip()
        if error.msg == "Extra data" and rest.startswith("{"):
            refuse_foreign(path, Foreign("JSON Lines, an object per line", _OWN))
        # An unterminated string is reported where it starts, so the file's own end decides.
        cut = text.strip() and text.strip()[-1] not in "}]"
        if cut or error.pos >= len(text.rstrip()):
            raise InputError(f"{path} is cut off: it ends after {len(text)} characters") from None
        raise InputError(
            f"{path} is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except ValueError:  # a number of more digits than Python converts
        raise InputError(f"{path} is not JSON that can be read: a number is too long") from None


def _refuse_text(path: str, text: str) -> None:
    """Raises InputError for text that looks like another format."""
    start = text[:100_000].lstrip("\ufeff \t\r\n")
    if not start or start[0] in "{[":
        return
    found = _of_text(Path(path), start)
    if found is not None:
        refuse_foreign(path, found)


def _of_text(path: Path, start: str) -> Foreign | None:
    lines = [line for line in start.splitlines()[:20] if line.strip()]
    first = lines[0].lower()
    if start[0] == "<":
        return _of_xml(start)
    if re.search(r"^(kpt_shape|flip_idx|nc|names)\s*:", start, re.MULTILINE):
        return _YOLO
    if re.search(r"^(bodyparts|multianimalbodyparts)\s*:", start, re.MULTILINE):
        return Foreign("DeepLabCut's configuration", "", "deeplabcut")
    if path.suffix.lower() in (".yaml", ".yml"):
        return Foreign(
            "a YAML",
            "a data set of posekit's goes into FOLDER/dataset/NAME.yaml: --config-dir FOLDER "
            "dataset=NAME",
        )
    if first.startswith("scorer,") or "bodyparts," in start[:2000].lower():
        return _DEEPLABCUT
    if "region_shape_attributes" in first or first.startswith("# exported using vgg image anno"):
        return _VIA
    if _is_yolo(lines):
        return Foreign("a label file of YOLO", _YOLO_TEXT)
    if path.suffix.lower() in (".csv", ".tsv") or _is_table(lines):
        return Foreign("a CSV table", _OWN)
    if path.suffix.lower() == ".txt":
        return Foreign("a text file", _OWN)
    return None


def _of_xml(start: str) -> Foreign:
    head = start[:5000].lower()
    if re.match(r"<(!doctype )?html", head):
        what = "a web page (a download that failed?)"
        return Foreign(what, "fetch the file of labels again")
    roots = re.findall(r"<([a-z_]\w*)", head)
    if roots[:1] == ["annotations"]:
        return _CVAT
    if roots[:1] == ["annotation"]:
        what = "the XML of one image (Pascal VOC, LabelMe)"
        return Foreign(
            what,
            "convert it with CVAT: import it as 'Pascal VOC 1.1' or 'LabelMe 3.0', and export it "
            "as 'COCO Keypoints 1.0', or for a detector as 'COCO 1.0'",
        )
    return Foreign("XML", _OWN)


def _is_yolo(lines: list[str]) -> bool:
    """A class and at least four numbers of 0..1 per line."""
    try:
        rows = [[float(word) for word in line.split()] for line in lines]
    except ValueError:
        return False
    return all(len(row) >= 5 and row[0] == int(row[0]) for row in rows)


def _is_table(lines: list[str]) -> bool:
    counts = {tuple(line.count(mark) for mark in ",;\t") for line in lines}
    return len(lines) > 1 and len(counts) == 1 and any(next(iter(counts)))


def _of_folder(folder: Path) -> Foreign | None:
    """What a folder holds, by its files' names or, if these say little, by a file's content."""
    names = sorted(path.relative_to(folder) for path in _some_files(folder))
    plain = ("data.yaml", "data.yml")
    if any(name.name in plain or _holds(folder / name, "kpt_shape") for name in names):
        return _YOLO._replace(what="the folder of a YOLO data set")
    if any(_holds(folder / name, "bodyparts", "multianimalbodyparts") for name in names):
        return Foreign("the folder of a DeepLabCut project", "", "deeplabcut")
    if any(name.name == "annotations.xml" for name in names):
        return _CVAT._replace(what="the folder of CVAT's XML")
    jsons = [name for name in names if name.suffix == ".json"]
    for name in jsons[:20]:
        try:
            found = foreign_json(parse_json(str(name), (folder / name).read_text("utf-8-sig")))
        except (InputError, OSError, ValueError):
            continue
        if found is not None and found.reader in ("labelme", "datumaro"):
            return found._replace(what=f"a folder of {found.what}")
    if not jsons and any(name.suffix == ".txt" for name in names):
        return Foreign("a folder of YOLO's label files", _YOLO_TEXT)
    return None


def _refuse_folder(folder: Path) -> NoReturn:
    """Raises an InputError on a folder that was given as a file."""
    foreign = _of_folder(folder)
    if foreign is not None:
        refuse_foreign(str(folder), foreign)
    jsons = sorted(path for path in _some_files(folder) if path.suffix == ".json")
    if jsons:
        shown = ", ".join(map(str, jsons[:3]))
        raise InputError(
            f"{folder}: expected a JSON, found a folder; name the file in it, such as {shown}"
        )
    raise InputError(f"{folder}: expected a COCO-style JSON, found a folder without any")


def _holds(path: Path, *keys: str) -> bool:
    """Whether a YAML has one of these keys at its top."""
    if path.suffix.lower() not in (".yaml", ".yml"):
        return False
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(100_000)
    except OSError:
        return False
    return re.search(rf"^({'|'.join(keys)})\s*:", text, re.MULTILINE) is not None


def _some_files(folder: Path) -> list[Path]:
    found: list[Path] = []
    try:
        for pattern in ("*", "*/*"):
            for path in folder.glob(pattern):
                found.append(path)
                if len(found) >= 2000:
                    return found
    except OSError:
        pass  # what could be listed has to do
    return found


def _of_list(first: Mapping[str, Any]) -> Foreign | None:
    if "image_id" in first and "score" in first:
        return Foreign(
            "a list of COCO results (detections)",
            "labels are a file of their own; detections go with it as 'boxes'",
        )
    if "image_id" in first:
        return Foreign("a list of annotations alone", "give 'images' and 'categories' with it")
    if "joints" in first and "image" in first:
        return Foreign("MPII's list of joints", _OWN)
    if "shapes" in first:
        return _LABELME
    if re.search("'(keypointlabels|original_width)'", str(first)[:20_000]) or (
        "data" in first and first.keys() & {"annotations", "predictions"}
    ):
        return _LABEL_STUDIO
    return None


def _has(*keys: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda data: all(key in data for key in keys)


def _is_via(data: Mapping[str, Any]) -> bool:
    if "_via_img_metadata" in data or "_via_settings" in data:
        return True
    if {"project", "attribute", "file", "metadata", "view"} <= data.keys():  # VIA 3
        return True
    first = next(iter(data.values()), None)
    return isinstance(first, Mapping) and "regions" in first and "filename" in first


_JSON_KINDS: tuple[tuple[Callable[[Mapping[str, Any]], bool], Foreign], ...] = (
    (_has("shapes"), _LABELME),
    (_is_via, _VIA),
    (_has("data", "annotations"), _LABEL_STUDIO),
    (_has("items", "categories"), Foreign("Datumaro's JSON", "", "datumaro")),
    (_has("people"), Foreign("OpenPose's result for one image", _OWN)),
    (
        _has("meta_info", "instance_info"),
        Foreign("a file of predictions", "labels are what is needed"),
    ),
    (_has("annolist"), Foreign("the JSON of PoseTrack or MPII ('annolist')", _OWN)),
    (
        _has("skeletons", "videos"),
        Foreign("SLEAP's JSON", "save it as .slp in SLEAP: posekit labels A.slp out=labels.json"),
    ),
    (
        _has("objects", "size"),
        Foreign("Supervisely's JSON of one image", "export it as COCO Keypoints"),
    ),
)
