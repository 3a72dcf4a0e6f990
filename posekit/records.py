"""Results as rows of a table: one per person and frame, and one for a frame without people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from posekit.skeleton import Skeleton

if TYPE_CHECKING:
    import pandas

    from posekit.result import PoseResult

__all__ = [
    "COLUMNS",
    "LAST_COLUMNS",
    "dataframe",
    "error_record",
    "flat_columns",
    "flat_row",
    "records",
]

# What says which person of which frame a row is about.
COLUMNS = (
    "source", "name", "index", "frame_id", "time", "width", "height", "instance", "track_id",
)  # fmt: skip
LAST_COLUMNS = ("interpolated", "error")
NOBODY = -1


def records(result: PoseResult) -> Iterator[dict[str, Any]]:
    """A row per instance, with lists and arrays as values; one of instance -1 if there is none.

    Yields:
        `COLUMNS`, `box_xyxy` (4,), `box_score`, `keypoints` (K, 2), `keypoint_scores` (K,), with 3D
        keypoints `keypoints_3d` (K3, 3) and `keypoint_scores_3d` (K3,), then `LAST_COLUMNS`; None
        for what is unknown.
    """
    frame = {
        "source": _as_text(result.source),
        "name": _as_text(result.name),
        "index": result.index,
        "frame_id": result.frame_id,
        "time": result.time,
        "width": result.image_size[0],
        "height": result.image_size[1],
    }
    if not len(result):
        yield {**frame, **_nobody()}
    for number in range(len(result)):
        pose3d = result.pose3d
        yield {
            **frame,
            "instance": number,
            "track_id": None if result.track_ids is None else int(result.track_ids[number]),
            "box_xyxy": result.boxes_xyxy[number],
            "box_score": float(result.box_scores[number]),
            "keypoints": result.keypoints[number],
            "keypoint_scores": result.keypoint_scores[number],
            "keypoints_3d": None if pose3d is None else pose3d.keypoints[number],
            "keypoint_scores_3d": None if pose3d is None else pose3d.keypoint_scores[number],
            "interpolated": (
                None if result.interpolated is None else bool(result.interpolated[number])
            ),
            "error": None,
        }


def error_record(source: str, error: str) -> dict[str, Any]:
    """The row, of index -1, of an input that could not be read, or of the rest of a clip."""
    frame = dict.fromkeys(("frame_id", "time", "width", "height"))
    return {
        "source": _as_text(source),
        "name": None,
        "index": -1,
        **frame,
        **_nobody(),
        "error": _as_text(error),
    }


def _as_text(name: str | None) -> str | None:
    """The name of a file, in which bytes that are no UTF-8 are written out: no table takes them."""
    return None if name is None else name.encode("utf-8", "backslashreplace").decode()


def _nobody() -> dict[str, Any]:
    names = (
        "track_id", "box_xyxy", "box_score", "keypoints", "keypoint_scores", "keypoints_3d",
        "keypoint_scores_3d", *LAST_COLUMNS,
    )  # fmt: skip
    return {"instance": NOBODY, **dict.fromkeys(names)}


def flat_columns(skeleton: Skeleton, skeleton_3d: Skeleton | None = None) -> list[str]:
    """Names of columns that hold a number each: `nose_x`, `nose_y`, `nose_score`, ..."""
    names = [*COLUMNS, "box_x1", "box_y1", "box_x2", "box_y2", "box_score"]
    names += [f"{name}_{what}" for name in skeleton.names for what in ("x", "y", "score")]
    if skeleton_3d is not None:
        parts = ("x_3d", "y_3d", "z_3d", "score_3d")
        names += [f"{name}_{what}" for name in skeleton_3d.names for what in parts]
    return [*names, *LAST_COLUMNS]


def flat_row(
    record: dict[str, Any], skeleton: Skeleton, skeleton_3d: Skeleton | None = None
) -> list[Any]:
    """The values of a record in the order of `flat_columns`."""
    row = [record[name] for name in COLUMNS]
    row += _numbers(record["box_xyxy"], 4) + [record["box_score"]]
    row += _points(record["keypoints"], record["keypoint_scores"], 2, skeleton)
    if skeleton_3d is not None:
        row += _points(record["keypoints_3d"], record["keypoint_scores_3d"], 3, skeleton_3d)
    return [*row, *(record[name] for name in LAST_COLUMNS)]


def dataframe(result: PoseResult) -> pandas.DataFrame:
    """A row per instance, with `flat_columns`; no rows without instances.

    Raises:
        ImportError: pandas is not installed.
    """
    import pandas

    skeleton_3d = None if result.pose3d is None else result.pose3d.skeleton
    rows = [
        flat_row(record, result.skeleton, skeleton_3d)
        for record in records(result)
        if record["instance"] != NOBODY
    ]
    columns = flat_columns(result.skeleton, skeleton_3d)
    types = dict.fromkeys(columns, "float32")
    types.update(dict.fromkeys(COLUMNS, "Int64"), source="string", name="string", time="Float64")
    types.update(interpolated="boolean", error="string")
    return pandas.DataFrame(rows, columns=columns).astype(types)


def _numbers(values: Any, count: int) -> list[Any]:
    return [None] * count if values is None else list(values)


def _points(points: Any, scores: Any, dimensions: int, skeleton: Skeleton) -> list[Any]:
    if points is None:
        return [None] * ((dimensions + 1) * skeleton.num_keypoints)
    return [value for point, score in zip(points, scores, strict=True) for value in (*point, score)]
