"""SLEAP's .slp, through sleap-io: user labels, or predictions if there are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posekit.datasets.problems import Findings
from posekit.errors import InputError
from posekit.labelling.label_set import ABSENT, Category, Image, LabelSet, Person, Points
from posekit.packages import need

__all__ = ["read"]


def read(path: Path, keypoints: Sequence[str], found: Findings) -> LabelSet:
    """See `posekit.labelling.readers`.

    Raises:
        InputError: sleap-io is not installed, or cannot read the file.
    """
    sleap_io = need("sleap_io", "posekit[labels]", f"{path} is SLEAP's")
    try:
        data = sleap_io.load_slp(str(path), open_videos=True)
    except Exception as error:  # of many kinds: what sleap-io stumbles over
        raise InputError(f"{path} cannot be read by sleap-io: {error!r:.200}") from None
    labels = LabelSet("SLEAP")
    for skeleton in data.skeletons:
        labels.categories.setdefault(_name(skeleton), _category(skeleton, keypoints, found))
    by_users = any(frame.user_instances for frame in data.labeled_frames)
    if not by_users:
        found.whole("no instance has user labels: using predictions", False)
    for frame in data.labeled_frames:
        image = _image(frame)
        place = f"{path}, {image.name}"
        for instance in frame.user_instances if by_users else frame.predicted_instances:
            image.people.append(_person(instance, labels, data.tracks, place))
        for _ in frame.predicted_instances if by_users else ():
            found.leave_out("predictions beside user labels")
        if by_users and not frame.user_instances:
            found.add("frames without user labels, left out", place, False)
            continue
        labels.images.append(image)
    return labels


def _name(skeleton: Any) -> str:
    return str(skeleton.name or "animal")


def _category(skeleton: Any, keypoints: Sequence[str], found: Findings) -> Category:
    own = [str(node.name) for node in skeleton.nodes]
    names = tuple(keypoints) or tuple(own)
    for name in set(own) - set(names):
        found.whole(f"its keypoint '{name}' is none of keypoints=, left out", False)
    index = {name: i for i, name in enumerate(names)}
    links = [
        (index.get(e.source.name, -1), index.get(e.destination.name, -1)) for e in skeleton.edges
    ]
    flips = list(range(len(names)))
    pairs = [[str(node.name) for node in symmetry.nodes] for symmetry in skeleton.symmetries]
    for first, second in pairs:
        if first in index and second in index:
            flips[index[first]], flips[index[second]] = index[second], index[first]
    kept = tuple(link for link in links if min(link) >= 0)
    return Category(_name(skeleton), names, kept, tuple(flips) if pairs else None)


def _image(frame: Any) -> Image:
    video, at = frame.video, int(frame.frame_idx)
    names = video.filename
    shape = video.shape
    size = None if shape is None else (int(shape[2]), int(shape[1]))
    if isinstance(names, list):  # pictures, each a frame
        return Image(str(names[at]), size)
    stem = Path(str(names).replace("\\", "/")).stem
    image = Image(f"{stem}/{at:06d}.jpg", size, video=Path(names), frame=at)
    if type(video.backend).__name__ == "HDF5Video":
        image.pixels = lambda: video[at]
    return image


def _person(instance: Any, labels: LabelSet, tracks: Sequence[Any], place: str) -> Person:
    category = labels.categories[_name(instance.skeleton)]
    known = {}
    for node, row in zip(instance.skeleton.nodes, instance.points, strict=True):
        x, y = (float(value) for value in row["xy"])
        if not (math.isnan(x) or math.isnan(y)):
            known[str(node.name)] = (x, y, 2 if bool(row["visible"]) else 1)
    points: Points = [known.get(name, ABSENT) for name in category.keypoints]
    track = None if instance.track is None else tracks.index(instance.track)
    return Person(category.name, points, None, place, track)
