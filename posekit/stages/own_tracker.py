"""Trackers that users bring: what they must have, and checks of what they return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from posekit.errors import InputError

__all__ = ["ClipTracker", "check_own_tracker", "checked_ids", "maker_of"]

# What `det_interval` needs beside `update`.
CARRYING = ("carry", "follow", "still_there", "is_missing", "boxes_of")


class ClipTracker(Protocol):
    """A tracker for one clip, such as `posekit.stages.track.Tracker`.

    With `det_interval` it also has that class's `carry`, `follow`, `still_there`, `is_missing` and
    `boxes_of`.
    """

    def update(
        self,
        boxes_xyxy: npt.NDArray[Any],
        box_scores: npt.NDArray[Any],
        keypoints: npt.NDArray[Any],
        keypoint_scores: npt.NDArray[Any],
    ) -> npt.ArrayLike:
        """Takes the n people of the next frame, who may be none.

        Args:
            boxes_xyxy: (n, 4), in pixels.
            box_scores: (n,).
            keypoints: (n, K, 2), in pixels.
            keypoint_scores: (n, K).

        Returns:
            (n,), the id of each, a whole number; below 0 for people who are not to be reported.
        """


def check_own_tracker(given: Any) -> None:
    """Refuses a value of `track` that gives no trackers.

    Raises:
        InputError: it is neither a function that makes trackers nor a tracker with `reset()`.
    """
    if callable(given) or (hasattr(given, "update") and hasattr(given, "reset")):
        return
    if hasattr(given, "update"):
        raise InputError(
            f"track needs a new tracker for each video, found one {type(given).__name__} "
            "without reset(): give a function that makes one, such as track=lambda: "
            "MyTracker()"
        )
    raise InputError(
        "track must be one of none, iou, oks, or in Python a function that makes a tracker "
        f"for each video, found {given!r}"
    )


def maker_of(given: Any, *, carrying: bool) -> Callable[[], Any]:
    """A function that returns the tracker for a new clip.

    Args:
        given: as `check_own_tracker` lets it through.
        carrying: whether it has to carry boxes to frames where no detector runs.
    """

    def new() -> Any:
        # A class has a reset as well, but is called.
        if callable(given):
            tracker = given()
        else:
            tracker = given
            tracker.reset()
        lacking = [
            name
            for name in ("update", *(CARRYING if carrying else ()))
            if not callable(getattr(tracker, name, None))
        ]
        if lacking:
            name = type(tracker).__name__
            if "update" in lacking:
                raise InputError(f"track must make trackers that have update(), found a {name}")
            raise InputError(
                f"det_interval needs a tracker that carries boxes, but {name} lacks "
                f"{', '.join(lacking)}: leave det_interval out, or use track='iou'"
            )
        return tracker

    return new


def checked_ids(found: npt.ArrayLike, people: int, tracker: Any) -> npt.NDArray[np.int64]:
    """The ids that a tracker returned, (n,), checked.

    Raises:
        InputError: other shapes or types, or an id that two people have.
    """
    ids = np.asarray(found)
    ids = ids.astype(np.int64) if not ids.size else ids
    whole = ids.shape == (people,) and np.issubdtype(ids.dtype, np.integer)
    known = ids[ids >= 0] if whole else ids
    if not whole or len(np.unique(known)) < len(known):
        raise InputError(
            f"expected {people} whole numbers from {type(tracker).__name__}.update, one per person "
            f"and none twice except below 0, found {np.array2string(ids, threshold=20)}"
        )
    return ids.astype(np.int64)
