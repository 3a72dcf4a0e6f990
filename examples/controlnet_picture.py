"""Makes of a photo what ControlNet's openpose models take: `controlnet_picture.py photo.jpg`.

The folder `controlnet` gets the photo, scaled and cut to sides that 64 divides (photo.png), its
people on black in OpenPose's colours (pose.png), and their keypoints for editors of poses
(photo.controlnet.json).
"""

import argparse
import sys
from pathlib import Path

import cv2

import posekit
from posekit.commands.reporting import report_errors
from posekit.errors import InputError
from posekit.io import read_frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", nargs="?", default="posekit:demo.jpg")
    parser.add_argument("--model", default="demo", help="human, or wholebody with face and hands")
    parser.add_argument("--side", type=int, default=768, help="pixels of the longer side, about")
    parser.add_argument("--out", type=Path, default="controlnet", help="the folder")
    args = parser.parse_args()
    with read_frames(args.photo) as frames:
        photo = next(frames).image
    height, width = photo.shape[:2]
    scale = args.side / max(height, width)
    canvas = [max(64, round(side * scale / 64) * 64) for side in (width, height)]
    scale = max(canvas[0] / width, canvas[1] / height)  # so that it covers the canvas
    photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = (photo.shape[0] - canvas[1]) // 2, (photo.shape[1] - canvas[0]) // 2
    photo = photo[top : top + canvas[1], left : left + canvas[0]]
    args.out.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(args.out / "photo.png"), photo)
    thick = max(2, max(canvas) // 128)  # of its training pictures: 4 for 512 pixels
    (result,) = posekit.load(args.model).stream(
        args.out / "photo.png",
        skeleton_style="openpose",
        black_background=True,
        radius=thick,
        thickness=thick,
        vis_out_dir=args.out / "pose.png",
        pred_out_dir=args.out,
        formats="controlnet",
    )
    if not len(result):
        raise InputError(f"nobody was found in {args.photo}")
    print(f"{len(result)} people on {canvas[0]}x{canvas[1]} in {args.out / 'pose.png'}")


if __name__ == "__main__":
    sys.exit(report_errors(main))
