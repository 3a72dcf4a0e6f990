"""Sends people's keypoints to other programs as they come, as OSC or JSON over UDP.

`python examples/osc_stream.py webcam --model human --port 9000` sends to TouchDesigner, Max, Unity,
... messages /posekit/<track id>/<keypoint> x y score, x and y as fractions of the picture. `--json`
sends an object per person with the same numbers instead, `--realtime` keeps the times of a file.
"""

import argparse
import json
import socket
import sys
import time

import numpy as np

import posekit
from posekit.commands.reporting import report_errors
from posekit.errors import InputError
from posekit.packages import need


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", default="posekit:demo.mp4", help="stream or video")
    parser.add_argument("--model", default="demo", help="human for films of people")
    parser.add_argument("--host", default="127.0.0.1", help="where the other program runs")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--json", action="store_true", help="JSON in place of OSC")
    parser.add_argument("--realtime", action="store_true", help="a file at its own speed")
    args = parser.parse_args()
    address, out = (args.host, args.port), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        out.connect(address)
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot send to {args.host}:{args.port}: {error}") from None
    if not args.json:
        osc = need("pythonosc.udp_client", "python-osc", "OSC").SimpleUDPClient(*address)
    predictor = posekit.load(args.model)
    start, sent = time.monotonic(), 0
    for result in predictor.stream(args.source, track="iou", smooth="one-euro", show=False):
        if args.realtime and result.time is not None:
            time.sleep(max(0.0, start + result.time - time.monotonic()))
        points = np.dstack([result.keypoints / result.image_size, result.keypoint_scores]).tolist()
        for person, rows in zip(result.track_ids.tolist(), points, strict=True):
            found = dict(zip(result.skeleton.names, rows, strict=True))
            if args.json:
                message = {"time": result.time, "person": person, "keypoints": found}
                out.send(json.dumps(message).encode())
            else:
                for name, values in found.items():
                    osc.send_message(f"/posekit/{person}/{name}", values)
            sent += 1
    if not sent:
        raise InputError(f"nobody was seen in {args.source}")
    print(f"sent: {sent} poses to {args.host}:{args.port}")


if __name__ == "__main__":
    sys.exit(report_errors(main))
