"""COCO-style JSON -> arrays, with every problem named by file and id.

Reading and validation are one pass, so that what is trained on is what was checked. Keypoints of a
source are brought to the skeleton that is trained: by name, or by a mapping that is written down.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posekit.config import CONF_DIR, nearest
from posekit.datasets.image_paths import find_images
from posekit.datasets.label_files import read_json
from posekit.datasets.label_values import box_values, flag, number, usable_links
from posekit.datasets.plain_coco import Coco, named_content, plain_coco
from posekit.datasets.problems import Findings, Problem
from posekit.datasets.sources import (
    Dataset,
    Source,
    is_used,
    named_skeleton,
    parse_dataset,
    parse_sources,
)
from posekit.errors import InputError
from posekit.names import all_tokens, flip_indices, match_names, side_color
from posekit.skeleton import Skeleton, load_skeleton

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


def dataset_skeleton(dataset: Dataset) -> Skeleton:
    """The skeleton that a data set trains.

    Raises:
        InputError: neither it nor its first source says what the keypoints are called.
    """
    if dataset.skeleton is not None:
        return named_skeleton(dataset.skeleton)
    source = dataset.train[0]
    return source_skeleton(source, named_content(source))


def source_skeleton(
    source: Source,
    coco: Mapping[str, Any],
    unnamed: Skeleton | None = None,
    found: Findings | None = None,
) -> Skeleton:
    """What the keypoints of a source are called: as `source.skeleton` says, or its categories.

    Left and right are told by names, as `posekit.names` describes; links are COCO's, from 1. Links
    that lead nowhere are left out.

    Args:
        source: the file.
        coco: its content.
        unnamed: what they are where the categories name none; None makes that an error.
        found: takes what was changed.

    Raises:
        InputError: the categories name no keypoints, or differ.
    """
    if source.skeleton is not None:
        return named_skeleton(source.skeleton)
    named = [
        category
        for category in coco["categories"]
        if category.get("keypoints") and is_used(source, category)
    ]
    if not named and unnamed is not None:
        return unnamed
    if not named:
        raise InputError(_unnamed(source, coco))
    names = tuple(str(name) for name in named[0]["keypoints"])
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(
            f"{source.annotations}: category '{named[0].get('name')}' has several keypoints called "
            f"'{repeated[0]}'; give each its own name"
        )
    _check_agreement(source, named, found)
    links, note = usable_links(named[0].get("skeleton"), names)
    if note is not None and found is not None:
        found.whole(f"category '{named[0].get('name')}': its {note}", False)
    name = Path(source.annotations).stem
    if (CONF_DIR / "keypoints" / f"{name}.yaml").is_file() and load_skeleton(name).names != names:
        name = f"{name}-own"  # published sets are known by their skeletons' names
    colors = tuple(side_color(tokens) for tokens in all_tokens(names))
    return Skeleton(
        name=name,
        names=names,
        flip_indices=flip_indices(names),
        links=links,
        link_colors=tuple(colors[start] for start, _ in links),
        keypoint_colors=colors,
    )


def _check_agreement(
    source: Source, named: Sequence[Mapping[str, Any]], found: Findings | None
) -> None:
    """Raises InputError where two categories have different keypoints."""
    names = named[0]["keypoints"]
    for category in named[1:]:
        others = category["keypoints"]
        both = f"categories '{named[0].get('name')}' and '{category.get('name')}'"
        if all_tokens(others) != all_tokens(names):
            chosen = category.get("name")
            raise InputError(
                f"{source.annotations}: {both} have different keypoints; choose one with "
                f"'categories', as 'dataset.train={{annotations: FILE, categories: [{chosen}]}}'"
            )
        if others != names and found is not None:
            found.whole(f"{both} spell the same keypoints differently: the first is taken", False)


def _unnamed(source: Source, coco: Mapping[str, Any]) -> str:
    """Why nothing says what the keypoints are called, and what to do."""
    said = f"{source.annotations}: its categories name no keypoints"
    names = [category["name"] for category in coco["categories"] if "name" in category]
    if not names:
        said += " ('categories' is missing or empty)"
    elif not any(
        isinstance(annotation, Mapping) and annotation.get("keypoints")
        for annotation in coco["annotations"]
    ):
        return (
            f"{said}, and no annotation has any: these are boxes, outlines or single points "
            f"({', '.join(names[:4])}). In CVAT draw skeletons (labels of the kind 'Skeleton', not "
            "'Points') and export them as 'COCO Keypoints 1.0'"
        )
    return f"{said}; say what they are called with 'skeleton', such as skeleton: cofw"


def read_pose_labels(source: Source, target: Skeleton) -> tuple[PoseLabels, list[Problem]]:
    """The instances of a source that can be trained on, and what is wrong with the others.

    As in MMPose, crowds and instances without a labelled keypoint are left out. Images are not
    looked for here.

    Raises:
        InputError: the file cannot be read, or none of its keypoints is in `target`.
    """
    found = Findings(source)
    coco = plain_coco(source, found)
    skeleton = source_skeleton(source, coco.content(), target, found)
    mapping = _mapping(source, skeleton, target)
    if source.skeleton is None and skeleton is target:
        found.whole(f"its categories name no keypoints: taken for those of '{target.name}'", False)
    images = _Images(source, coco, found)
    if source.boxes is not None:
        return _detected(source, coco, images, target), found.problems()

    rows: list[list[float]] = []
    boxes, areas, image_rows, ids, categories = [], [], [], [], []
    for annotation, place in _annotations(source, coco, images):
        if annotation["iscrowd"]:
            found.leave_out("crowds")
            continue
        values = _joined(annotation, source.fields, 3 * skeleton.num_keypoints, place, found)
        if values is None:
            continue
        if max(values[2::3], default=0) <= 0:
            found.add("instances without a labelled keypoint, left out", place, fatal=False)
            continue
        image_row = images.rows[annotation["image_id"]]
        box = _box(annotation, images.stated_sizes[image_row], place, found)
        if box is None:
            continue
        rows.append(values)
        boxes.append(box)
        areas.append(annotation.get("area", (box[2] - box[0]) * (box[3] - box[1])))
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
    if len(labels) == 0:
        found.whole(f"no labelled instance to train on: {found.reasons(len(coco.annotations))}")
    images.report_unused(labels.image_rows, found)
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
    found = Findings(source)
    coco = plain_coco(source, found)
    images = _Images(source, coco, found)
    names = {category["id"]: category.get("name") for category in coco.categories}
    if len(names) == len(classes) == 1:
        names = dict.fromkeys(names, classes[0])
    if not set(names.values()) & set(classes):
        raise InputError(
            f"{source.annotations}: has the categories {', '.join(map(str, names.values()))}; "
            f"expected {', '.join(classes)}"
        )
    index = {name: i for i, name in enumerate(classes)}
    boxes, labels, rows = [], [], []
    for annotation, place in _annotations(source, coco, images):
        name = names[annotation["category_id"]]
        if annotation["iscrowd"] or name not in index:
            found.leave_out("crowds" if annotation["iscrowd"] else "of other classes")
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
    if not boxes:
        found.whole(f"no box to train on: {found.reasons(len(coco.annotations))}")
    images.report_unused(np.array(rows, np.int64), found)
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


class _Images:
    """The images of a file: `rows` leads from an id to the row of the arrays."""

    def __init__(self, source: Source, coco: Coco, found: Findings) -> None:
        try:
            paths = find_images(source, coco.images, found)
        except InputError as error:
            raise found.explained(error) from None
        named = [(i, p) for i, p in zip(coco.images, paths, strict=True) if p is not None]
        if not named:
            what = f"{source.annotations}: no image in its list 'images' can be used"
            raise found.explained(InputError(what))
        self.rows = {image["id"]: row for row, (image, _) in enumerate(named)}
        self.stated_sizes = [
            (image["width"], image["height"]) if "width" in image and "height" in image else (0, 0)
            for image, _ in named
        ]
        self.ids = np.array(list(self.rows), np.int64)
        self.paths = np.array([path for _, path in named], np.str_)
        self.sizes = np.array(self.stated_sizes, np.float32).reshape(-1, 2)
        if source.skip_bad:
            self._leave_out_missing(found)

    def _leave_out_missing(self, found: Findings) -> None:
        """Missing images keep their row, but no annotation finds it."""
        for image, row in list(self.rows.items()):
            path = Path(self.paths[row])
            if not path.is_file() or not path.stat().st_size:
                found.add("missing or empty image files", f"{self.paths[row]} (image {image})")
                self.rows[image] = -1

    def report_unused(self, used: np.ndarray, found: Findings) -> None:
        unused = np.setdiff1d(np.arange(len(self.ids)), used)
        for image in self.ids[unused]:
            found.add("images without a usable annotation", f"image {image}", fatal=False)


def _annotations(
    source: Source, coco: Coco, images: _Images
) -> Iterable[tuple[Mapping[str, Any], str]]:
    """Those of a category and an image that are used, each with its name in messages."""
    used = {category["id"] for category in coco.categories if is_used(source, category)}
    for annotation, place in zip(coco.annotations, coco.places, strict=True):
        row = images.rows.get(annotation["image_id"], -1)
        if row >= 0 and annotation["category_id"] in used:
            yield annotation, place


def _joined(
    annotation: Mapping[str, Any],
    fields: Sequence[str],
    count: int,
    place: str,
    found: Findings,
) -> list[float] | None:
    """The keypoints of all fields as one list x, y, v, ...; None where they are wrong."""
    values: list[float] = []
    for name in fields:
        part = annotation.get(name)
        if part is None or part == []:
            if name == "keypoints" and not flag(annotation.get("num_keypoints")):
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
    found: Findings,
    fatal: bool = True,
) -> tuple[float, float, float, float] | None:
    """xyxy, clipped to the image; None where there is nothing of it."""
    bbox = annotation.get("bbox")
    try:
        x, y, w, h = (float(value) for value in bbox or ())
    except (TypeError, ValueError):
        x = y = w = h = math.nan
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


def _check_inside(labels: PoseLabels, found: Findings) -> None:
    sizes = labels.image_sizes[labels.image_rows][:, None]  # (n, 1, 2)
    outside = ((labels.keypoints < -1) | (labels.keypoints > sizes + 1)).any(axis=-1)
    outside &= (labels.visible > 0) & (sizes[..., 0] > 0)
    for row in np.flatnonzero(outside.any(axis=1)):
        place = f"annotation {labels.annotation_ids[row]}"
        found.add("instances with labelled keypoints outside of the image", place, fatal=False)


def _detected(source: Source, coco: Coco, images: _Images, target: Skeleton) -> PoseLabels:
    """A detector's boxes as instances without keypoints."""
    assert source.boxes is not None
    detections = read_json(source.boxes)
    if not isinstance(detections, list):
        raise InputError(f"{source.boxes}: expected a list of COCO results, found another JSON")
    used = {category["id"] for category in coco.categories if is_used(source, category)}
    boxes, scores, rows, ids, categories = [], [], [], [], []
    for i, detection in enumerate(detections):
        try:
            x, y, w, h = box_values(detection["bbox"]) or (0.0, 0.0, 0.0, 0.0)
            image, score = coco.image_ids.get(detection["image_id"]), number(detection["score"])
            category = min(used, default=1)
            if "category_id" in detection:
                category = coco.category_ids.get(detection["category_id"]) or 0
            if image is None or math.isnan(score):
                raise ValueError("not found")
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
    if type(value) is int and 0 <= value < skeleton.num_keypoints:
        return value
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
