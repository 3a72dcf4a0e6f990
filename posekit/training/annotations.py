"""COCO-style JSON -> arrays, with every problem named by file and id.

Reading and validation are one pass, so that what is trained on is what was checked. Keypoints of a
source are brought to the skeleton that is trained: by name, or by a mapping that is written down.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from posekit.config import CONF_DIR, nearest
from posekit.errors import InputError
from posekit.names import all_tokens, flip_indices, match_names, side_color
from posekit.skeleton import Skeleton, load_skeleton, read_skeleton

__all__ = [
    "Dataset",
    "DetectionLabels",
    "PoseLabels",
    "Problem",
    "Source",
    "dataset_skeleton",
    "parse_dataset",
    "parse_sources",
    "read_detection_labels",
    "read_pose_labels",
    "source_skeleton",
]

Mapped = str | int | Sequence[str | int] | None


@dataclass(frozen=True, kw_only=True)
class Source:
    """One annotation file and how to use it.

    Attributes:
        annotations: COCO-style JSON.
        images: the folder that its file names start from; None looks beside the JSON, in
            `images/` there, and one level up.
        skeleton: name or YAML of what its keypoints are called; None reads the `categories`.
        fields: the keys of an annotation whose keypoints are joined, in order; COCO-WholeBody has
            `[keypoints, foot_kpts, face_kpts, lefthand_kpts, righthand_kpts]`.
        mapping: keypoint of the trained skeleton -> keypoint of the source (name or index), a list
            of several to average, or null for none; those not mentioned go by name.
        boxes: a COCO result file of a detector, whose boxes replace the labelled ones; such
            samples have no keypoints and serve for evaluation only.
        box_threshold: detections of a lower score are left out.
        categories: names of the categories to use; None for all.
        repeat: how often each sample comes per epoch; 0.5 takes the one half in one epoch and the
            other in the next.
        skip_bad: leave out what is broken (missing images, wrong counts, boxes without area)
            with a warning instead of an error.
    """

    annotations: str
    images: str | None = None
    skeleton: str | None = None
    fields: tuple[str, ...] = ("keypoints",)
    mapping: Mapping[str, Mapped] | None = None
    boxes: str | None = None
    box_threshold: float = 0.0
    categories: tuple[str, ...] | None = None
    repeat: float = 1.0
    skip_bad: bool = False


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A configuration of the group `dataset`.

    Attributes:
        skeleton: the skeleton to train, by name or YAML; None takes the first source's.
        train: sources of the training samples.
        val: sources of the evaluation samples; may be empty.
        metrics: what is measured on them; empty takes what is published for such keypoints.
    """

    skeleton: str | None
    train: tuple[Source, ...]
    val: tuple[Source, ...]
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a file of annotations.

    Attributes:
        file: the JSON.
        what: the problem, for one or more places.
        places: each place, such as "annotation 12 (image 5)"; empty where it is the whole file.
        fatal: an error; else a warning.
    """

    file: str
    what: str
    places: tuple[str, ...] = ()
    fatal: bool = True

    def __str__(self) -> str:
        if not self.places:
            return f"{self.file}: {self.what}"
        shown = ", ".join(self.places[:5])
        more = f" and {len(self.places) - 5} more" if len(self.places) > 5 else ""
        return f"{self.file}: {len(self.places)} x {self.what}: {shown}{more}"


@dataclass(frozen=True, kw_only=True)
class PoseLabels:
    """n instances on m images; arrays, so that worker processes share the memory.

    Attributes:
        image_paths: (m,), strings.
        image_ids: (m,), int64.
        image_sizes: (m, 2), (w, h) as the JSON has them, 0 where it does not say.
        image_rows: (n,), the row of the instance's image.
        keypoints: (n, K, 2), float32, in pixels of the image.
        visible: (n, K), float32: 1 for labelled keypoints.
        boxes_xyxy: (n, 4), float32, clipped to the image as MMPose does.
        areas: (n,), float32, of the segment or else of the box.
        scores: (n,), float32: of the detector; 1 for labelled boxes.
        annotation_ids: (n,), int64; of detections the row in their file.
        category_ids: (n,), int64.
    """

    image_paths: np.ndarray
    image_ids: np.ndarray
    image_sizes: np.ndarray
    image_rows: np.ndarray
    keypoints: np.ndarray
    visible: np.ndarray
    boxes_xyxy: np.ndarray
    areas: np.ndarray
    scores: np.ndarray
    annotation_ids: np.ndarray
    category_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.image_rows)


@dataclass(frozen=True, kw_only=True)
class DetectionLabels:
    """m images with their boxes.

    Attributes:
        image_paths: (m,), strings.
        image_ids: (m,), int64.
        image_sizes: (m, 2), (w, h) as the JSON has them, 0 where it does not say.
        boxes_xyxy: (n, 4), float32, sorted by image.
        labels: (n,), int64: index into the classes.
        starts: (m + 1,): boxes of image i are `starts[i]:starts[i + 1]`.
    """

    image_paths: np.ndarray
    image_ids: np.ndarray
    image_sizes: np.ndarray
    boxes_xyxy: np.ndarray
    labels: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.image_ids)


def parse_dataset(config: Any, search: Sequence[Path] = ()) -> Dataset:
    """A `dataset` configuration: `skeleton`, `root`, `train`, `val` and `metrics`.

    Args:
        config: a mapping; relative paths start from its `root`. Or the path of one JSON.
        search: configuration folders to look for skeletons in, before the packaged one.

    Raises:
        InputError: an unknown key, or no `train`.
    """
    if isinstance(config, str):
        config = {"train": config}
    if not isinstance(config, Mapping):
        raise InputError(f"dataset: expected a mapping with 'train', found {config!r}")
    _refuse_unknown("dataset", config, ("skeleton", "root", "train", "val", "metrics"))
    if not config.get("train"):
        raise InputError("dataset.train is missing: name a COCO-style JSON, dataset.train=FILE")
    root = config.get("root")
    metrics = config.get("metrics") or ()
    return Dataset(
        skeleton=_searched_skeleton(config.get("skeleton"), search),
        train=parse_sources(config["train"], "dataset.train", root, search),
        val=parse_sources(config.get("val") or [], "dataset.val", root, search),
        metrics=(metrics,) if isinstance(metrics, str) else tuple(metrics),
    )


def parse_sources(
    value: Any, at: str = "dataset.train", root: Any = None, search: Sequence[Path] = ()
) -> tuple[Source, ...]:
    """One source or several: a JSON's path, a mapping of `Source`'s fields, or a list of these.

    Raises:
        InputError: something else; names the place.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(
            source
            for i, item in enumerate(value)
            for source in parse_sources(item, f"{at}[{i}]", root, search)
        )
    if isinstance(value, Source):
        return (value,)
    if isinstance(value, str | Path):
        value = {"annotations": str(value)}
    if not isinstance(value, Mapping) or not isinstance(value.get("annotations"), str):
        raise InputError(f"{at}: expected the path of a JSON as 'annotations', found {value!r}")
    _refuse_unknown(at, value, [entry.name for entry in dataclasses.fields(Source)])
    chosen = {key: item for key, item in value.items() if item is not None}
    for key in ("annotations", "images", "boxes"):
        if root is not None and key in chosen:
            chosen[key] = str(Path(root, chosen[key]))
    for key in ("fields", "categories"):
        if key in chosen:
            names = chosen[key]
            chosen[key] = (names,) if isinstance(names, str) else tuple(names)
    if "skeleton" in chosen:
        chosen["skeleton"] = _searched_skeleton(chosen["skeleton"], search)
    source = Source(**chosen)
    if not isinstance(source.skip_bad, bool):
        raise InputError(f"{at}.skip_bad must be true or false, found {source.skip_bad!r}")
    if isinstance(source.repeat, bool) or not 0 < source.repeat < 1e6:
        raise InputError(f"{at}.repeat: expected a positive number, found {source.repeat!r}")
    return (source,)


def dataset_skeleton(dataset: Dataset) -> Skeleton:
    """The skeleton that a data set trains.

    Raises:
        InputError: neither it nor its first source says what the keypoints are called.
    """
    if dataset.skeleton is not None:
        return _named_skeleton(dataset.skeleton)
    source = dataset.train[0]
    return source_skeleton(source, _read_coco(source))


def source_skeleton(
    source: Source, coco: Mapping[str, Any], unnamed: Skeleton | None = None
) -> Skeleton:
    """What the keypoints of a source are called: as `source.skeleton` says, or its categories.

    Left and right are told by names, as `posekit.names` describes; links are COCO's, from 1.

    Args:
        source: the file.
        coco: its content.
        unnamed: what they are where the categories name none; None makes that an error.

    Raises:
        InputError: the categories name no keypoints, or differ.
    """
    if source.skeleton is not None:
        return _named_skeleton(source.skeleton)
    named = [
        category
        for category in coco["categories"]
        if category.get("keypoints") and _is_used(source, category)
    ]
    if not named and unnamed is not None:
        return unnamed
    if not named:
        raise InputError(
            f"{source.annotations}: its categories name no keypoints; say what they are called "
            "with 'skeleton', such as skeleton: cofw"
        )
    names = tuple(str(name) for name in named[0]["keypoints"])
    for category in named[1:]:
        if tuple(category["keypoints"]) != names:
            raise InputError(
                f"{source.annotations}: categories '{named[0].get('name')}' and "
                f"'{category.get('name')}' have different keypoints; choose one with 'categories'"
            )
    pairs = named[0].get("skeleton") or []
    if not isinstance(pairs, list) or not all(_is_link(pair, len(names)) for pair in pairs):
        raise InputError(
            f"{source.annotations}: categories, 'skeleton': expected pairs of 1..{len(names)}, "
            f"found {pairs}"
        )
    name = Path(source.annotations).stem
    if (CONF_DIR / "keypoints" / f"{name}.yaml").is_file() and load_skeleton(name).names != names:
        name = f"{name}-own"  # published sets are known by their skeletons' names
    colors = tuple(side_color(tokens) for tokens in all_tokens(names))
    links = tuple((int(start) - 1, int(end) - 1) for start, end in pairs)
    return Skeleton(
        name=name,
        names=names,
        flip_indices=flip_indices(names),
        links=links,
        link_colors=tuple(colors[start] for start, _ in links),
        keypoint_colors=colors,
    )


def read_pose_labels(source: Source, target: Skeleton) -> tuple[PoseLabels, list[Problem]]:
    """The instances of a source that can be trained on, and what is wrong with the others.

    As in MMPose, crowds and instances without a labelled keypoint are left out. Images are not
    looked for here.

    Raises:
        InputError: the file cannot be read, or none of its keypoints is in `target`.
    """
    coco = _read_coco(source)
    skeleton = source_skeleton(source, coco, target)
    mapping = _mapping(source, skeleton, target)
    found = _Findings(source)
    if source.skeleton is None and skeleton is target:
        found.whole(f"its categories name no keypoints: taken for those of '{target.name}'", False)
    images = _Images(source, coco, found)
    if source.boxes is not None:
        return _detected(source, coco, images, target), found.problems()

    rows: list[list[float]] = []
    boxes, areas, image_rows, ids, categories = [], [], [], [], []
    for annotation, place in _annotations(source, coco, images, found):
        if annotation.get("iscrowd"):
            continue
        values = _joined(annotation, source.fields, 3 * skeleton.num_keypoints, place, found)
        if values is None:
            continue
        if not any(values[2::3]):
            found.add("instances without a labelled keypoint, left out", place, fatal=False)
            continue
        image_row = images.rows[annotation["image_id"]]
        box = _box(annotation, images.stated_sizes[image_row], place, found)
        if box is None:
            continue
        rows.append(values)
        boxes.append(box)
        area = annotation.get("area")
        areas.append(area if _is_positive(area) else (box[2] - box[0]) * (box[3] - box[1]))
        image_rows.append(image_row)
        ids.append(annotation["id"])
        categories.append(annotation["category_id"])

    points = np.array(rows, np.float32).reshape(-1, skeleton.num_keypoints, 3)
    keypoints, visible = _mapped(points[..., :2], points[..., 2] > 0, mapping)
    kept = visible.any(axis=1)
    for row in np.flatnonzero(~kept):
        place = f"annotation {ids[row]}"
        found.add("instances without a keypoint of the trained skeleton, left out", place, False)
    labels = PoseLabels(
        image_paths=images.paths,
        image_ids=images.ids,
        image_sizes=images.sizes,
        image_rows=np.array(image_rows, np.int64)[kept],
        keypoints=keypoints[kept],
        visible=visible[kept],
        boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4)[kept],
        areas=np.array(areas, np.float32)[kept],
        scores=np.ones(int(kept.sum()), np.float32),
        annotation_ids=np.array(ids, np.int64)[kept],
        category_ids=np.array(categories, np.int64)[kept],
    )
    _check_inside(labels, found)
    images.report_unused(labels.image_rows, found)
    if len(labels) == 0:
        found.whole("no labelled instance to train on")
    absent = [name for name, indices in zip(target.names, mapping, strict=True) if not indices]
    if absent:
        shown = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        found.whole(f"{len(absent)} keypoints of '{target.name}' have no label: {shown}", False)
    return labels, found.problems()


def read_detection_labels(
    source: Source, classes: Sequence[str], *, keep_empty: bool = False
) -> tuple[DetectionLabels, list[Problem]]:
    """The boxes of a source; crowds are left out, and boxes of less than a pixel.

    Args:
        source: the file.
        classes: category names; a box's label is the index of its category's name. Where the file
            has one category and there is one class, the names may differ.
        keep_empty: keep images without boxes, as evaluation needs them.

    Raises:
        InputError: the file cannot be read, or has none of the classes.
    """
    coco = _read_coco(source)
    found = _Findings(source)
    images = _Images(source, coco, found)
    names = {category["id"]: category.get("name") for category in coco["categories"]}
    if len(names) == len(classes) == 1:
        names = dict.fromkeys(names, classes[0])
    if not set(names.values()) & set(classes):
        raise InputError(
            f"{source.annotations}: has the categories {', '.join(map(str, names.values()))}; "
            f"expected {', '.join(classes)}"
        )
    index = {name: i for i, name in enumerate(classes)}
    boxes, labels, rows = [], [], []
    for annotation, place in _annotations(source, coco, images, found):
        name = names[annotation["category_id"]]
        if annotation.get("iscrowd") or name not in index:
            continue
        row = images.rows[annotation["image_id"]]
        # Published sets have a few boxes without area: a warning, unlike for keypoints.
        box = _box(annotation, images.stated_sizes[row], place, found, fatal=False)
        if box is None:
            continue
        boxes.append(box)
        labels.append(index[name])
        rows.append(row)
    order = np.argsort(np.array(rows, np.int64), kind="stable")
    counts = np.bincount(np.array(rows, np.int64), minlength=len(images.ids))
    images.report_unused(np.array(rows, np.int64), found)
    if not boxes:
        found.whole("no box to train on")
    present = np.isin(np.arange(len(counts)), list(images.rows.values()))
    kept = present if keep_empty else counts > 0
    starts = np.concatenate([[0], np.cumsum(counts[kept])])
    return (
        DetectionLabels(
            image_paths=images.paths[kept],
            image_ids=images.ids[kept],
            image_sizes=images.sizes[kept],
            boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4)[order],
            labels=np.array(labels, np.int64)[order],
            starts=starts.astype(np.int64),
        ),
        found.problems(),
    )


@dataclass
class _Findings:
    """Collects places per problem, in the order in which problems turn up."""

    source: Source
    places: dict[tuple[str, bool], list[str]] = field(default_factory=dict)

    def add(self, what: str, place: str, fatal: bool = True) -> None:
        self.places.setdefault((what, fatal and not self.source.skip_bad), []).append(place)

    def whole(self, what: str, fatal: bool = True) -> None:
        self.places.setdefault((what, fatal), [])

    def problems(self) -> list[Problem]:
        return [
            Problem(self.source.annotations, what, tuple(places), fatal)
            for (what, fatal), places in self.places.items()
        ]


class _Images:
    """The images of a file: `rows` leads from an id to the row of the arrays."""

    def __init__(self, source: Source, coco: Mapping[str, Any], found: _Findings) -> None:
        self.rows: dict[int, int] = {}
        names: list[str] = []
        self.stated_sizes: list[tuple[float, float]] = []
        for i, image in enumerate(coco["images"]):
            if not isinstance(image, Mapping) or not _is_integer(image.get("id")):
                found.add("images without an integer 'id'", f"images[{i}]")
                continue
            number = image["id"]
            name = image.get("file_name")
            if not isinstance(name, str) or not name:
                found.add("images without 'file_name'", f"image {number}")
                continue
            if number in self.rows:
                found.add("duplicate image ids", f"image {number}")
                continue
            self.rows[number] = len(names)
            names.append(name)
            width, height = image.get("width", 0), image.get("height", 0)
            known = _is_positive(width) and _is_positive(height)
            self.stated_sizes.append((width, height) if known else (0, 0))
        folder = _image_folder(source, names)
        self.ids = np.array(list(self.rows), np.int64)
        self.paths = np.array([str(folder / name) for name in names], np.str_)
        self.sizes = np.array(self.stated_sizes, np.float32).reshape(-1, 2)
        if source.skip_bad:
            self._leave_out_missing(found)

    def _leave_out_missing(self, found: _Findings) -> None:
        """Missing images keep their row, but no annotation finds it."""
        for number, row in list(self.rows.items()):
            path = Path(self.paths[row])
            if not path.is_file() or not path.stat().st_size:
                found.add("missing or empty image files", f"{self.paths[row]} (image {number})")
                self.rows[number] = -1

    def report_unused(self, used: np.ndarray, found: _Findings) -> None:
        unused = np.setdiff1d(np.arange(len(self.ids)), used)
        for number in self.ids[unused]:
            found.add("images without a usable annotation", f"image {number}", fatal=False)


def _annotations(
    source: Source, coco: Mapping[str, Any], images: _Images, found: _Findings
) -> Iterable[tuple[Mapping[str, Any], str]]:
    """The annotations whose id, image and category are right, each with its name in messages."""
    categories = {category["id"]: category for category in coco["categories"]}
    seen: set[int] = set()
    for i, annotation in enumerate(coco["annotations"]):
        if not isinstance(annotation, Mapping) or not _is_integer(annotation.get("id")):
            found.add("annotations without an integer 'id'", f"annotations[{i}]")
            continue
        number, image = annotation["id"], annotation.get("image_id")
        category = annotation.get("category_id")
        place = f"annotation {number} (image {image})"
        if number in seen:
            found.add("duplicate annotation ids", place)
            continue
        seen.add(number)
        if not _is_integer(image) or image not in images.rows:
            found.add("annotations of an image that 'images' does not have", place)
        elif not _is_integer(category) or category not in categories:
            what = "annotations of a category that 'categories' does not have"
            found.add(what, f"{place}, category {category}")
        elif images.rows[image] >= 0 and _is_used(source, categories[category]):
            yield annotation, place


def _joined(
    annotation: Mapping[str, Any],
    fields: Sequence[str],
    count: int,
    place: str,
    found: _Findings,
) -> list[float] | None:
    """The keypoints of all fields as one list x, y, v, ...; None where they are wrong."""
    values: list[float] = []
    for name in fields:
        part = annotation.get(name)
        if part is None:
            if name == "keypoints" and not annotation.get("num_keypoints"):
                what = "instances without a labelled keypoint, left out"
                found.add(what, place, fatal=False)
            else:
                found.add(f"annotations without '{name}'", place)
            return None
        if not isinstance(part, list):
            found.add(f"annotations whose '{name}' is not a list", place)
            return None
        values += part
    if len(values) != count:
        what = f"wrong keypoint counts, expected {count // 3} x (x, y, visibility)"
        found.add(what, f"{place} has {len(values)} values")
        return None
    try:
        finite = math.isfinite(sum(values))  # NaN and infinity survive a sum
    except (TypeError, OverflowError):
        finite = False
    if not finite:
        found.add("keypoints that are not finite numbers", place)
        return None
    return values


def _box(
    annotation: Mapping[str, Any],
    size_wh: Sequence[float],
    place: str,
    found: _Findings,
    fatal: bool = True,
) -> tuple[float, float, float, float] | None:
    """xyxy, clipped to the image; None where there is nothing of it."""
    bbox = annotation.get("bbox")
    try:
        x, y, w, h = (float(value) for value in bbox or ())
    except (TypeError, ValueError):
        found.add("boxes that are not [x, y, width, height]", f"{place} has {bbox}")
        return None
    if not math.isfinite(x + y + w + h):
        found.add("boxes that are not [x, y, width, height]", f"{place} has {bbox}")
        return None
    if w <= 0 or h <= 0:
        found.add("boxes without area", f"{place} has {bbox}", fatal)
        return None
    width, height = size_wh
    if not width:
        return x, y, x + w, y + h
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        found.add(
            "boxes outside of the image", f"{place} has {bbox} of {width:.0f}x{height:.0f}", fatal
        )
        return None
    if x < -1 or y < -1 or x + w > width + 1 or y + h > height + 1:
        found.add("boxes partly outside of the image, clipped", place, fatal=False)
    # To the last pixel's centre, as MMPose clips.
    x1, x2 = (min(max(side, 0.0), width - 1) for side in (x, x + w))
    y1, y2 = (min(max(side, 0.0), height - 1) for side in (y, y + h))
    if x2 <= x1 or y2 <= y1:
        found.add("boxes without area", f"{place} has {bbox}", fatal)
        return None
    return x1, y1, x2, y2


def _check_inside(labels: PoseLabels, found: _Findings) -> None:
    sizes = labels.image_sizes[labels.image_rows][:, None]  # (n, 1, 2)
    outside = ((labels.keypoints < -1) | (labels.keypoints > sizes + 1)).any(axis=-1)
    outside &= (labels.visible > 0) & (sizes[..., 0] > 0)
    for row in np.flatnonzero(outside.any(axis=1)):
        place = f"annotation {labels.annotation_ids[row]}"
        found.add("instances with labelled keypoints outside of the image", place, fatal=False)


def _detected(
    source: Source, coco: Mapping[str, Any], images: _Images, target: Skeleton
) -> PoseLabels:
    """A detector's boxes as instances without keypoints."""
    assert source.boxes is not None
    detections = _read_json(source.boxes)
    if not isinstance(detections, list):
        raise InputError(f"{source.boxes}: expected a list of COCO results, found another JSON")
    used = {category["id"] for category in coco["categories"] if _is_used(source, category)}
    boxes, scores, rows, ids, categories = [], [], [], [], []
    for i, detection in enumerate(detections):
        try:
            x, y, w, h = (float(value) for value in detection["bbox"])
            image, score = int(detection["image_id"]), float(detection["score"])
            category = int(detection.get("category_id", min(used, default=1)))
        except (TypeError, KeyError, ValueError, AttributeError):
            raise InputError(
                f"{source.boxes}, entry {i}: expected image_id, bbox [x, y, width, height] and "
                f"score, found {str(detection)[:120]}"
            ) from None
        if image not in images.rows:
            raise InputError(
                f"{source.boxes}, entry {i}: image {image} is not in {source.annotations}"
            )
        if category not in used or score < source.box_threshold or images.rows[image] < 0:
            continue
        if w <= 0 or h <= 0:
            continue
        boxes.append((x, y, x + w, y + h))
        scores.append(score)
        rows.append(images.rows[image])
        ids.append(i)
        categories.append(category)
    if not boxes:
        raise InputError(f"{source.boxes}: no detection of score {source.box_threshold} or more")
    corners = np.array(boxes, np.float32)
    count = len(boxes)
    return PoseLabels(
        image_paths=images.paths,
        image_ids=images.ids,
        image_sizes=images.sizes,
        image_rows=np.array(rows, np.int64),
        keypoints=np.zeros((count, target.num_keypoints, 2), np.float32),
        visible=np.zeros((count, target.num_keypoints), np.float32),
        boxes_xyxy=corners,
        areas=np.prod(corners[:, 2:] - corners[:, :2], axis=1),
        scores=np.array(scores, np.float32),
        annotation_ids=np.array(ids, np.int64),
        category_ids=np.array(categories, np.int64),
    )


def _mapping(source: Source, skeleton: Skeleton, target: Skeleton) -> list[list[int]]:
    """For each keypoint of the target, the source's keypoints to average; none, one or several."""
    matched = match_names(target.names, skeleton.names).indices
    chosen: dict[str, list[int]] = {
        name: [] if index < 0 else [index]
        for name, index in zip(target.names, matched, strict=True)
    }
    at = f"{source.annotations}, mapping"
    for name, origin in (source.mapping or {}).items():
        if name not in target.names:
            close = nearest(name, target.names)
            hint = f"; did you mean {', '.join(close)}?" if close else ""
            raise InputError(f"{at}: the skeleton '{target.name}' has no '{name}'{hint}")
        several = [origin] if isinstance(origin, str | int) else list(origin or ())
        chosen[name] = [_source_index(value, skeleton, at) for value in several]
    if not any(chosen.values()):
        raise InputError(
            f"{source.annotations}: no keypoint has a name of the skeleton '{target.name}': "
            f"found {', '.join(skeleton.names[:4])}, ...; expected "
            f"{', '.join(target.names[:4])}, ...; say which is which "
            "with 'mapping', or train its own skeleton"
        )
    return list(chosen.values())


def _source_index(value: str | int, skeleton: Skeleton, at: str) -> int:
    if _is_integer(value) and 0 <= int(value) < skeleton.num_keypoints:
        return int(value)
    if value in skeleton.names:
        return skeleton.names.index(str(value))
    close = nearest(str(value), skeleton.names)
    hint = f"; did you mean {', '.join(close)}?" if close else ""
    raise InputError(f"{at}: the source's '{skeleton.name}' has no keypoint {value!r}{hint}")


def _mapped(
    keypoints: np.ndarray, visible: np.ndarray, mapping: Sequence[Sequence[int]]
) -> tuple[np.ndarray, np.ndarray]:
    """(n, J, 2), (n, J) -> (n, K, 2), (n, K) float32; an average needs all its parts visible."""
    out = np.zeros((len(keypoints), len(mapping), 2), np.float32)
    shown = np.zeros((len(keypoints), len(mapping)), np.float32)
    for i, indices in enumerate(mapping):
        if indices:
            out[:, i] = keypoints[:, list(indices)].mean(axis=1)
            shown[:, i] = visible[:, list(indices)].all(axis=1)
    return out, shown


def _is_link(pair: Any, count: int) -> bool:
    if not isinstance(pair, list) or len(pair) != 2:
        return False
    return all(_is_integer(end) and 1 <= end <= count for end in pair)


def _searched_skeleton(name: Any, search: Sequence[Path]) -> Any:
    """The YAML of a skeleton in one of these folders; else the name as it is."""
    paths = (folder / "keypoints" / f"{name}.yaml" for folder in search)
    return next((str(path) for path in paths if path.is_file()), name)


def _named_skeleton(name: str) -> Skeleton:
    """By name, or the path of a YAML."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        return load_skeleton(name)
    return read_skeleton(path)


def _image_folder(source: Source, names: Sequence[str]) -> Path:
    """Where the images lie: as told, or the first place near the JSON that has one of them."""
    if not names:
        raise InputError(f"{source.annotations}: no image in its list 'images' can be used")
    if source.images is not None:
        if not Path(source.images).is_dir():
            raise InputError(f"{source.annotations}: no such folder of images: {source.images}")
        return Path(source.images)
    here = Path(source.annotations).resolve().parent
    folders = [here, here / "images", here.parent / "images", here.parent]
    for folder in folders:
        if any((folder / name).is_file() for name in names[:50]):
            return folder
    raise InputError(
        f"{source.annotations}: none of its images ({', '.join(names[:2])}, ...) lies in "
        f"{', '.join(map(str, folders))}; name their folder with 'images'"
    )


def _read_coco(source: Source) -> dict[str, Any]:
    data = _read_json(source.annotations)
    for key in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            raise InputError(
                f"{source.annotations}: expected COCO's lists 'images', 'annotations' and "
                f"'categories'; '{key}' is missing"
            )
    for i, category in enumerate(data["categories"]):
        if not isinstance(category, Mapping) or not _is_integer(category.get("id")):
            raise InputError(f"{source.annotations}: categories[{i}] has no integer 'id'")
        if not isinstance(category.get("name", ""), str):
            raise InputError(f"{source.annotations}: categories[{i}], 'name' is not a text")
        if not isinstance(category.get("keypoints") or [], list):
            raise InputError(f"{source.annotations}: categories[{i}], 'keypoints' is not a list")
    unknown = set(source.categories or ()) - {entry.get("name") for entry in data["categories"]}
    if unknown:
        raise InputError(f"{source.annotations}: no category is called '{unknown.pop()}'")
    return dict(data)


def _read_json(path: str) -> Any:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not JSON: it is not UTF-8 text") from None
    try:
        return json.loads(text)
    except RecursionError:
        raise InputError(f"{path} is not JSON that can be read: nested too deeply") from None
    except json.JSONDecodeError as error:
        # An unterminated string is reported where it starts, so the file's own end decides.
        cut = text.strip() and text.strip()[-1] not in "}]"
        if cut or error.pos >= len(text.rstrip()):
            raise InputError(f"{path} is cut off: it ends after {len(text)} characters") from None
        raise InputError(
            f"{path} is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None


def _is_used(source: Source, category: Mapping[str, Any]) -> bool:
    return source.categories is None or category.get("name") in source.categories


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < float("inf")


def _refuse_unknown(at: str, config: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in config:
        if key not in known:
            close = nearest(str(key), known)
            hint = f"; did you mean {', '.join(close)}?" if close else ""
            raise InputError(f"{at}: unknown key '{key}'{hint} known are {', '.join(known)}")
