"""Cuts an upright window that follows one person out of a video, steadily, as phones show it.

`python examples/follow_person.py clip.mp4 --model human --who central` reads the clip twice: to
find the person and to cut, so that the window can turn before the person does. Sound is left out.
"""

import argparse
import sys

import numpy as np
from scipy.ndimage import gaussian_filter1d

import posekit
from posekit.commands.reporting import report_errors
from posekit.errors import InputError
from posekit.io import VideoWriter, read_frames


def windows(boxes: np.ndarray, size: np.ndarray, shape: float, smooth: float) -> np.ndarray:
    """Windows xyxy (T, 4) around boxes (T, 4), NaN where unseen; smooth over so many frames."""
    known = np.flatnonzero(np.isfinite(boxes[:, 0]))
    rows = [np.interp(np.arange(len(boxes)), known, side[known]) for side in boxes.T]
    low, high = np.clip(rows[:2], 0, size[:, None]).T, np.clip(rows[2:], 0, size[:, None]).T
    height = 1.3 * ((high - low) / (shape, 1)).max()
    window = np.array([shape, 1]) * min(height, size[1], size[0] / shape) // 2 * 2
    beyond = int(4 * smooth) + 1  # frames at both ends, as if the person went on as before
    middle = np.pad((low + high) / 2, ((beyond,) * 2, (0, 0)), "reflect", reflect_type="odd")
    middle = gaussian_filter1d(middle, smooth, axis=0)[beyond:-beyond]
    first, last = high - window / 2, low + window / 2  # between them the person is inside
    middle = middle.clip(np.minimum(first, last), np.maximum(first, last))
    corner = (middle - window / 2).round().clip(0, size - window)
    return np.hstack([corner, corner + window]).astype(int)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", nargs="?", default="posekit:demo.mp4", help="a video's file")
    parser.add_argument("--model", default="demo", help="human for films of people")
    parser.add_argument("--who", default="largest", choices=("largest", "central", "score"))
    parser.add_argument("--shape", type=float, default=9 / 16, help="width through height")
    parser.add_argument("--out", default="followed.mp4", help="the video that is written")
    args = parser.parse_args()
    boxes = []
    for result in posekit.load(args.model).stream(args.clip, track="iou", select=args.who):
        if result.time is None:
            raise InputError(f"{result.name} is a picture: name a video")
        boxes.append(result.boxes_xyxy[0] if len(result) else [np.nan] * 4)
    if not np.isfinite(boxes).any():
        raise InputError(f"nobody was found in {args.clip}")
    half_second = 0.5 * len(boxes) / (result.time or 1)
    found = windows(np.array(boxes), np.array(result.image_size), args.shape, half_second)
    with VideoWriter(args.out, source=args.clip) as video:
        for frame, (x1, y1, x2, y2) in zip(read_frames(args.clip), found, strict=True):
            video.write(frame.image[y1:y2, x1:x2], frame.time)
    print(f"{len(found)} frames of {x2 - x1}x{y2 - y1} pixels are in {args.out}")


if __name__ == "__main__":
    sys.exit(report_errors(main))
