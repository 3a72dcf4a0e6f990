"""Counts squats, or another exercise, of everybody in a video that was filmed from the side.

`python examples/count_squats.py clip.mp4 --model human --exercise push-up` prints each repetition
when it ends and each person's sum, and writes the video with skeletons and counters. Without
arguments it takes the clip and the model that are in the package.
"""

import argparse
import sys

import cv2

import posekit
from posekit.commands.reporting import report_errors
from posekit.counting import EXERCISES, RepetitionCounter
from posekit.errors import InputError
from posekit.io import VideoWriter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", nargs="?", default="posekit:demo.mp4", help="a video, or webcam")
    parser.add_argument("--model", default="demo", help="human for films of people")
    parser.add_argument("--exercise", default="squat", choices=EXERCISES)
    parser.add_argument("--out", default="repetitions.mp4", help="the video that is written")
    args = parser.parse_args()
    counter = RepetitionCounter(args.exercise)
    options = {"track": "iou", "smooth": "one-euro", "return_vis": True}
    with VideoWriter(args.out, source=args.clip) as video:
        for result in posekit.load(args.model).stream(args.clip, **options):
            if result.time is None:
                raise InputError(f"{result.name} is a picture: name a video")
            for one in counter(result):
                print(f"{one.end:.1f} s: person {one.track_id}, number {one.number}", flush=True)
            for row, (person, count) in enumerate(counter.counts.items(), 1):
                text, y, white = f"person {person}: {count}", 28 * row, (255, 255, 255)
                cv2.rectangle(result.visualization, (0, y - 28), (170, y), (0, 0, 0), -1)
                cv2.putText(result.visualization, text, (8, y - 8), 0, 0.7, white, 1, cv2.LINE_AA)
            video.write(result.visualization, result.time)
    if not counter.counts:
        raise InputError(f"nobody was found in {args.clip}")
    for person, count in counter.counts.items():
        print(f"person {person}: {count} x {args.exercise}")
    print(f"the video with counters is {args.out}")


if __name__ == "__main__":
    sys.exit(report_errors(main))
