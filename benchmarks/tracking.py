"""Who is who over synthetic clips: posekit's tracker beside those of Roboflow's `trackers`.

    pip install trackers trackeval
    python -m benchmarks.tracking [--seeds 600 601 602 ...] [--only "3 px"]

Every tracker gets the same boxes (`benchmarks/walkers.py`), posekit's also the keypoints, all with
their defaults. HOTA, IDF1, MOTA and switches are TrackEval's (tests hold them to motmetrics'); a
report belongs to the person whose it is, not to the nearest, so that only who is called what
counts. What is not reported (gaps, people hidden by others) is nobody's mistake and is not in the
truth.

The tracker was made with seeds from 0 to 19, 100 to 103, 200 to 203, 300 to 331 and 500 to 515 in
view, while the people stayed as they are; the figures are of seeds from 600 on, looked at once, of
700 to 731, and of 900 to 931, looked at once.

Those of `trackers` give no id to people in their first frames, and OC-SORT none to boxes with
scores below 0.6, as all of nobody's have. What has no id cannot switch, but costs MOTA and IDF1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from benchmarks.common import machine
from benchmarks.walkers import Seen, Walk, walk
from posekit.skeleton import load_skeleton
from posekit.stages.track import Tracker
from posekit.table import format_table

SEEDS = tuple(range(600, 608))
ROWS: dict[str, Walk] = {
    **{
        f"{people} people, {noise} px": Walk(people=people, noise=noise)
        for noise in (1, 3, 8)
        for people in (2, 6, 12)
    },
    **{f"6 people, 3 px, gaps of {gap}": Walk(gap=gap) for gap in (5, 20)},
    "6 people, 3 px, 10 % missed, 0.3 false": Walk(missed=0.1, false=0.3),
    "6 people, 3 px, coming and going": Walk(leaving=True),
    "6 people, 3 px, camera sways": Walk(pan=150),
    "12 people, 3 px, builds differ": Walk(people=12, alike=False),
    "12 people, 8 px, gaps of 20, sways, coming and going": Walk(
        people=12, noise=8, gap=20, pan=150, leaving=True
    ),
}
SIGMAS = load_skeleton("coco").sigmas
Update = Callable[[Seen], np.ndarray]


@dataclass
class Counts:
    """Of some clips: switches and person-frames; metrics are means over the clips."""

    person_frames: int = 0
    switches: int = 0
    hota: float = 0.0
    idf1: float = 0.0
    mota: float = 0.0
    milliseconds: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--only", default="", help="of the rows, those with this text")
    parser.add_argument("--own", action="store_true", help="posekit's alone")
    arguments = parser.parse_args()
    print(machine())
    trackers = own_trackers() | ({} if arguments.own else peers())
    print(f"\nSeeds {arguments.seeds}, {Walk().frames} frames each")
    table = []
    for name, how in ROWS.items():
        if arguments.only not in name:
            continue
        clips = [list(walk(how, seed)) for seed in arguments.seeds]
        for tracker, new in trackers.items():
            total = sum((measure(clip, new()) for clip in clips), Counts())
            table.append((name, tracker, *_row(total, len(clips))))
            print(*table[-1], sep="; ", file=sys.stderr, flush=True)
            name = ""
    header = ("clips", "tracker", "switches / 1,000", "HOTA", "IDF1", "MOTA", "ms / frame")
    print(format_table(header, table))


def own_trackers() -> dict[str, Callable[[], Update]]:
    def new(similarity: Any) -> Update:
        tracker = Tracker(similarity=similarity, sigmas=SIGMAS)
        return lambda seen: tracker.update(
            seen.boxes, seen.scores, seen.keypoints, seen.keypoint_scores
        )

    return {"posekit iou": lambda: new("iou"), "posekit oks": lambda: new("oks")}


def peers() -> dict[str, Callable[[], Update]]:
    """Those of `trackers` that need no picture, with their defaults."""
    import supervision as sv
    import trackers

    def new(kind: Any) -> Update:
        tracker = kind()

        def update(seen: Seen) -> np.ndarray:
            rows = np.arange(len(seen.boxes))
            found = tracker.update(
                sv.Detections(seen.boxes, confidence=seen.scores, data={"row": rows})
            )
            ids = np.full(len(rows), -1)
            if len(found):
                ids[found.data["row"]] = found.tracker_id
            return ids

        return update

    kinds = ("ByteTrackTracker", "OCSORTTracker", "SORTTracker", "CBIoUTracker")
    return {
        kind.removesuffix("Tracker"): lambda kind=kind: new(getattr(trackers, kind))
        for kind in kinds
    }


def measure(clip: Sequence[Seen], update: Update) -> Counts:
    """Of one clip."""
    start = time.perf_counter()
    ids = [update(seen) for seen in clip]
    taken = (time.perf_counter() - start) / len(clip) * 1e3
    truth = [seen.people for seen in clip]
    return score(truth, ids, taken)


def score(
    truth: Iterable[np.ndarray], ids: Iterable[np.ndarray], milliseconds: float = 0.0
) -> Counts:
    """Of ids (n,) of each frame, -1 for none, for people (n,), -1 for nobody.

    TrackEval wants ids that count from 0, and boxes' similarity: 1 where a report is that person's.
    """
    from trackeval.metrics import CLEAR, HOTA, Identity

    known: tuple[dict[int, int], dict[int, int]] = ({}, {})
    data: dict[str, Any] = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    for people, names in zip(truth, ids, strict=True):
        true, named = np.flatnonzero(people >= 0), np.flatnonzero(names >= 0)
        for key, rows, values, numbers in zip(
            ("gt_ids", "tracker_ids"), (true, named), (people, names), known, strict=True
        ):
            counted = [numbers.setdefault(int(value), len(numbers)) for value in values[rows]]
            data[key].append(np.array(counted, int))
        data["similarity_scores"].append((true[:, None] == named[None]).astype(float))
    data["num_timesteps"] = len(data["gt_ids"])
    for side, numbers in zip(("gt", "tracker"), known, strict=True):
        data[f"num_{side}_ids"] = len(numbers)
        data[f"num_{side}_dets"] = sum(map(len, data[f"{side}_ids"]))
    with contextlib.redirect_stdout(io.StringIO()):  # they print their settings
        quiet = {"PRINT_CONFIG": False}
        clear, identity = CLEAR(quiet).eval_sequence(data), Identity(quiet).eval_sequence(data)
        hota = HOTA().eval_sequence(data)
    return Counts(
        data["num_gt_dets"],
        int(clear["IDSW"]),
        100 * float(np.mean(hota["HOTA"])),
        100 * float(identity["IDF1"]),
        100 * float(clear["MOTA"]),
        milliseconds,
    )


def _row(total: Counts, clips: int) -> tuple[str, ...]:
    return (
        f"{1000 * total.switches / total.person_frames:.2f}",
        *(f"{value / clips:.1f}" for value in (total.hota, total.idf1, total.mota)),
        f"{total.milliseconds / clips:.2f}",
    )


if __name__ == "__main__":
    main()
