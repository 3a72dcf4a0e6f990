"""Says when somebody falls: `python examples/fall_alarm.py rtsp://camera/stream --model human`.

Somebody falls whose hips go down by a fifth of their height within a second, and whose trunk is far
from upright then for `--hold` seconds. Each event is a line, at once. Of a camera or a stream
(webcam, rtsp://, http://) the newest frame is taken; it ends with the stream. No medical device.
"""

import argparse
import sys

import posekit
from posekit.angles import vertex_positions
from posekit.commands.reporting import report_errors
from posekit.errors import InputError

LYING, UPRIGHT, DROP = 50, 30, 0.2  # degrees from the vertical; a share of the height


class Person:
    """Somebody who is watched. Between the two angles nothing changes."""

    def __init__(self) -> None:
        self.hips: list[tuple[float, float]] = []  # when and where, of the last second
        self.height, self.since, self.down = 0.0, None, False

    def update(self, time: float, tilt: float, hip: float, height: float, hold: float) -> str:
        event, self.hips = "", [(t, y) for t, y in self.hips if time - t < 1] + [(time, hip)]
        if tilt < UPRIGHT:
            event = "is up again" if self.down else ""
            self.height, self.since, self.down = height, None, False
        elif tilt > LYING and hip - min(y for _, y in self.hips) > DROP * self.height > 0:
            self.since = self.since or time
        if self.since and not self.down and time - self.since >= hold:
            event, self.down = "fell", True
        return event


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", default="posekit:demo.mp4", help="stream or video")
    parser.add_argument("--model", default="demo", help="human for films of people")
    parser.add_argument("--hold", type=float, default=0.3, help="seconds")
    args = parser.parse_args()
    people, options = {}, {"track": "iou", "smooth": "one-euro", "show": False}
    for result in posekit.load(args.model).stream(args.source, **options):
        if result.time is None:
            raise InputError(f"{result.name} is a picture: name a stream or a video")
        tilts = 180 - abs(abs(result.angles("trunk")[:, 0] - 90) - 180)
        hips = vertex_positions(result.keypoints, result.skeleton, ["trunk"])[:, 0, 1]
        for row, (_, top, _, bottom) in enumerate(result.boxes_xyxy):
            person = people.setdefault(track := result.track_ids[row], Person())
            if event := person.update(result.time, tilts[row], hips[row], bottom - top, args.hold):
                print(f"{result.time:.1f} s: person {track} {event}", flush=True)
    if not people:
        raise InputError(f"nobody was seen in {args.source}")


if __name__ == "__main__":
    sys.exit(report_errors(main))
