"""Label files from disk: JSON in any Unicode encoding, and names for what is no COCO JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from posekit.errors import InputError

__all__ = ["foreign_json", "read_json"]

_SLEAP = (
    "convert it with sleap-io (pip install sleap-io): "
    "import sleap_io as sio; sio.save_coco(sio.{load}({file!r}), 'labels.json')"
)
_CVAT_EXPORT = "convert it with CVAT: export the task as 'COCO Keypoints 1.0'"
_YOLO = (
    "convert it with CVAT: import it as 'Ultralytics YOLO Pose 1.0' and export it as "
    "'COCO Keypoints 1.0'"
)
_OWN = "convert it with a few lines of Python: docs/training.md shows which lists are needed"
_VIA = (
    "VGG Image Annotator's labels",
    "it exports no keypoints as COCO: " + _OWN,
)
_LABEL_STUDIO = (
    "Label Studio's JSON",
    "export the project again as 'COCO', or "
    + _SLEAP.format(load="load_labelstudio", file="FILE.json"),
)
_LABELME = (
    "labelme's JSON of one image",
    "convert its folder with labelme2coco-keypoints (github.com/m5823779/labelme2coco-keypoints)",
)
# How a file begins -> what it is, and what to do.
_MAGIC = (
    (b"\x1f\x8b", "compressed by gzip", "unpack it: gunzip FILE"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it; the JSON of CVAT's export is in 'annotations/'"),
    (
        b"\x89HDF",
        "an HDF5 file (of SLEAP, DeepLabCut)",
        _SLEAP.format(load="load_file", file="FILE"),
    ),
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
    """What a JSON file holds: UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises:
        InputError: it cannot be read or is no JSON; a format that is known is named, with the
            program that converts it.
    """
    try:
        data = Path(path).read_bytes()
    except IsADirectoryError:
        raise InputError(_of_folder(Path(path))) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read: {reason}") from None
    for magic, what, hint in _MAGIC:
        if data.startswith(magic):
            raise InputError(_message(path, what, hint))
    try:
        text = data.decode(json.detect_encoding(data))
    except UnicodeDecodeError:
        _refuse_text(path, data.decode("latin-1"))
        raise InputError(
            f"{path} is not JSON: it is not UTF-8 or UTF-16 text; save it again as UTF-8"
        ) from None
    _refuse_text(path, text)
    return _parse(path, text)


def foreign_json(data: Any) -> tuple[str, str] | None:
    """What a JSON that is not COCO's labels is, and what to do; None where nobody knows."""
    if isinstance(data, list):
        first = next((entry for entry in data if isinstance(entry, Mapping)), {})
        return _of_list(first)
    if not isinstance(data, Mapping):
        return None
    for is_it, what in _JSON_KINDS:
        if is_it(data):
            return what
    return None


def _parse(path: str, text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise InputError(f"{path} is not JSON that can be read: nested too deeply") from None
    except json.JSONDecodeError as error:
        rest = text[error.pos :].lstrip()
        if error.msg == "Extra data" and rest.startswith("{"):
            raise InputError(_message(path, "JSON Lines, an object per line", _OWN)) from None
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
    """Raises InputError for text that is some other format by its looks."""
    start = text[:100_000].lstrip("\ufeff \t\r\n")
    if not start or start[0] in "{[":
        return
    found = _of_text(Path(path), start)
    if found is not None:
        raise InputError(_message(path, *found))


def _of_text(path: Path, start: str) -> tuple[str, str] | None:
    lines = [line for line in start.splitlines()[:20] if line.strip()]
    first = lines[0].lower()
    if start[0] == "<":
        return _of_xml(start)
    if re.search(r"^(kpt_shape|flip_idx|nc|names)\s*:", start, re.MULTILINE):
        return "the data.yaml of a YOLO data set", _YOLO
    if re.search(r"^(bodyparts|multianimalbodyparts)\s*:", start, re.MULTILINE):
        return "DeepLabCut's configuration", _SLEAP.format(
            load="load_dlc", file="CollectedData.csv"
        )
    if path.suffix.lower() in (".yaml", ".yml"):
        return "a YAML", "a data set of posekit's goes into FOLDER/dataset/NAME.yaml: " + (
            "--config-dir FOLDER dataset=NAME"
        )
    if first.startswith("scorer,") or "bodyparts," in start[:2000].lower():
        return "DeepLabCut's CSV", _SLEAP.format(load="load_dlc", file=path.name)
    if "region_shape_attributes" in first:
        return _VIA
    if _is_yolo(lines):
        return "a label file of YOLO", _YOLO
    if path.suffix.lower() in (".csv", ".tsv") or _is_table(lines):
        return "a CSV table", _OWN
    if path.suffix.lower() == ".txt":
        return "a text file", _OWN
    return None


def _of_xml(start: str) -> tuple[str, str]:
    head = start[:5000].lower()
    if re.match(r"<(!doctype )?html", head):
        return "a web page (a download that failed?)", "fetch the file of labels again"
    roots = re.findall(r"<([a-z_]\w*)", head)
    if roots[:1] == ["annotations"]:
        return "CVAT's XML", _CVAT_EXPORT
    if roots[:1] == ["annotation"]:
        what = "the XML of one image (Pascal VOC, LabelMe)"
        return (
            what,
            "convert it with CVAT: import it as 'Pascal VOC 1.1' or 'LabelMe 3.0', and "
            + ("export it as 'COCO Keypoints 1.0', or for a detector as 'COCO 1.0'"),
        )
    return "XML", _OWN


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


def _of_folder(folder: Path) -> str:
    """A sentence on a folder that was given as a file."""
    names = sorted(path.relative_to(folder) for path in _some_files(folder))
    if any(name.name in ("data.yaml", "data.yml") for name in names):
        return _message(str(folder), "the folder of a YOLO data set", _YOLO)
    texts = [name for name in names if name.suffix == ".txt"]
    jsons = [name for name in names if name.suffix == ".json"]
    if texts and not jsons:
        return _message(str(folder), "a folder of YOLO's label files", _YOLO)
    if jsons:
        shown = ", ".join(str(folder / name) for name in jsons[:3])
        return f"{folder}: expected a JSON, found a folder; name the file in it, such as {shown}"
    return f"{folder}: expected a COCO-style JSON, found a folder without any"


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


def _of_list(first: Mapping[str, Any]) -> tuple[str, str] | None:
    if "image_id" in first and "score" in first:
        return (
            "a list of COCO results (detections)",
            "labels are a file of their own; detections go with it as 'boxes'",
        )
    if "image_id" in first:
        return "a list of annotations alone", "give 'images' and 'categories' with it"
    if "joints" in first and "image" in first:
        return "MPII's list of joints", _OWN
    if "shapes" in first:
        return _LABELME
    if "keypointlabels" in str(first)[:20_000] or ("data" in first and "annotations" in first):
        return _LABEL_STUDIO
    return None


def _has(*keys: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda data: all(key in data for key in keys)


def _is_via(data: Mapping[str, Any]) -> bool:
    if "_via_img_metadata" in data or "_via_settings" in data:
        return True
    first = next(iter(data.values()), None)
    return isinstance(first, Mapping) and "regions" in first and "filename" in first


_JSON_KINDS: tuple[tuple[Callable[[Mapping[str, Any]], bool], tuple[str, str]], ...] = (
    (_has("shapes"), _LABELME),
    (_is_via, _VIA),
    (_has("data", "annotations"), _LABEL_STUDIO),
    (
        _has("items", "categories"),
        (
            "Datumaro's JSON",
            "convert it with Datumaro: datum convert -if datumaro -f coco_person_keypoints",
        ),
    ),
    (_has("people"), ("OpenPose's result for one image", _OWN)),
    (_has("meta_info", "instance_info"), ("a file of predictions", "labels are what is needed")),
    (_has("annolist"), ("the JSON of PoseTrack or MPII ('annolist')", _OWN)),
    (
        _has("skeletons", "videos"),
        ("SLEAP's JSON", _SLEAP.format(load="load_slp", file="FILE.slp")),
    ),
    (_has("objects", "size"), ("Supervisely's JSON of one image", "export it as COCO Keypoints")),
)


def _message(path: str, what: str, hint: str) -> str:
    return f"{path}: this is {what}, not COCO JSON; {hint}"
