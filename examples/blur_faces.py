"""Blurs the faces in a video: `python examples/blur_faces.py clip.mp4 --model wholebody`.

Faces are where a model of bodies (human, wholebody) finds nose, eyes and ears, or one of faces its
keypoints; a lost one stays blurred for half a second. One that is never found is not blurred: look
before you publish. Sound, which tells who speaks, is left out; README.md says how to bring it back.
"""

import argparse
import sys
from collections.abc import Iterator

import cv2
import numpy as np

import posekit
from posekit.commands.reporting import report_errors
from posekit.errors import InputError
from posekit.io import VideoWriter


def find_faces(result: posekit.PoseResult) -> Iterator[tuple[int, tuple[float, list[int], int]]]:
    """Track id, and time, middle and radius, rather too large, of each face that is seen."""
    parts = ("nose", "eye", "ear", "face", "kpt-")  # the last of models of faces, which number them
    face = [any(part in name for part in parts) for name in result.skeleton.names]
    for person, box in enumerate(result.boxes_xyxy):
        points = result.keypoints[person][face & (result.keypoint_scores[person] > 0.2)]
        if len(points) > 1:
            radius = max(0.8 * np.ptp(points, axis=0).max(), 0.1 * max(box[2:] - box[:2]))
            middle = points.mean(axis=0).astype(int).tolist()
            yield int(result.track_ids[person]), (result.time, middle, int(radius))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", nargs="?", default="posekit:demo.mp4", help="a video")
    parser.add_argument("--model", default="demo", help="human, wholebody or face")
    parser.add_argument("--out", default="blurred.mp4", help="the video that is written")
    args = parser.parse_args()
    faces, options = {}, {"track": "iou", "bbox_thr": 0.2, "return_image": True}
    with VideoWriter(args.out, source=args.clip) as video:
        for result in posekit.load(args.model).stream(args.clip, **options):
            if result.time is None:
                raise InputError(f"{result.name} is a picture: name a video")
            faces |= find_faces(result)
            for seen, middle, radius in faces.values():
                if result.time - seen <= 0.5:
                    disc = cv2.circle(np.zeros_like(result.image), middle, radius, (1, 1, 1), -1)
                    blurred = cv2.blur(result.image, (radius, radius))
                    np.copyto(result.image, blurred, where=disc > 0)
            video.write(result.image, result.time)
    if not faces:
        raise InputError(f"no face was found in {args.clip}")
    print(f"{len(faces)} faces are blurred in {args.out}, which has no sound")


if __name__ == "__main__":
    sys.exit(report_errors(main))
