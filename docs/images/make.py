"""Makes the pictures of the pages, of the packaged clip, with the packaged model.

make pictures
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import posekit

CLIP = "posekit:demo.mp4"
FOLDER = Path(__file__).parent
STILL = 2.9  # seconds: where single pictures are taken from; somebody squats
STRIDE = 2
DRAWN = {"radius": 4, "thickness": 2}

# Still pictures: name, options of the call.
STILLS: dict[str, dict[str, Any]] = {
    "draw-boxes-scores": {"draw": ["boxes", "scores"]},
    "draw-ids-trail": {"track": "iou", "draw": ["ids", "trail"]},
    "draw-angles": {"draw": ["angles"]},
    "draw-names": {"draw": ["names"]},
    "palette-mmpose": {"draw": []},
    "palette-colorblind": {"draw": [], "palette": "colorblind"},
    "style-openpose": {"skeleton_style": "openpose", "black_background": True, "draw": []},
}


def main(argv: Sequence[str] | None = None) -> int:
    """Writes all pictures; returns the exit status."""
    parser = argparse.ArgumentParser(prog="docs/images/make.py")
    parser.add_argument("--clip", default=CLIP)
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args(argv)
    predictor = posekit.load("demo", device="cpu")
    written = [moving(predictor, arguments.clip, arguments.out / "start.webp")]
    for name, options in STILLS.items():
        written.append(still(predictor, arguments.clip, arguments.out / f"{name}.webp", options))
    written.append(chart(predictor, arguments.clip, arguments.out / "angles.svg"))
    for path in written:
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    return 0


def frames_of(predictor: posekit.Predictor, clip: str, **options: Any) -> list[np.ndarray]:
    """The drawings of a clip's frames, (H, W, 3), RGB."""
    results = predictor(clip, return_vis=True, stride=STRIDE, **DRAWN, **options)
    return [np.ascontiguousarray(drawing(result)[..., ::-1]) for result in results]


def drawing(result: dict[str, Any]) -> np.ndarray:
    image: np.ndarray = result["visualization"][0]
    return image


def moving(predictor: posekit.Predictor, clip: str, path: Path) -> Path:
    """Every second frame, with ids and trails."""
    images = frames_of(predictor, clip, track="iou", draw=["ids", "trail"])
    first, *rest = (Image.fromarray(image) for image in images)
    first.save(path, save_all=True, append_images=rest, duration=80, loop=0, quality=45)
    return path


def still(predictor: posekit.Predictor, clip: str, path: Path, options: dict[str, Any]) -> Path:
    """One frame, of a clip that was followed up to there."""
    images = frames_of(predictor, clip, end=STILL, **options)
    Image.fromarray(images[-1]).save(path, quality=75, method=6)
    return path


def chart(predictor: posekit.Predictor, clip: str, path: Path) -> Path:
    """The angle of a knee over time, out of the table that `pred_format=angles` writes."""
    with tempfile.TemporaryDirectory() as folder:
        options = {"pred_format": "angles", "track": "iou", "smooth": "butterworth"}
        for _ in predictor(clip, pred_out_dir=folder, stride=STRIDE, **options):
            pass
        (table,) = Path(folder).glob("*.csv")
        rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    people: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row["track_id"] and row["left_knee"] not in ("", "nan"):
            point = (float(row["time"]), float(row["left_knee"]))
            people.setdefault(row["track_id"], []).append(point)
    longest = sorted(people, key=lambda person: -len(people[person]))[:PEOPLE]
    lines = {person: people[person] for person in sorted(longest)}
    path.write_text(_chart(lines), encoding="utf-8")
    return path


WIDTH, HEIGHT, LEFT, BOTTOM = 640, 240, 52, 36
COLORS = ("#0072b2", "#d55e00")
PEOPLE = len(COLORS)


def _chart(lines: dict[str, list[tuple[float, float]]]) -> str:
    """An SVG that is read on light and dark pages."""
    points = [point for line in lines.values() for point in line]
    end = max(time for time, _ in points)
    top = 30 * -(-max(angle for _, angle in points) // 30)
    low = 30 * (min(angle for _, angle in points) // 30)

    def place(time: float, angle: float) -> str:
        x = LEFT + (WIDTH - LEFT - 12) * time / end
        y = 12 + (HEIGHT - BOTTOM - 12) * (top - angle) / (top - low)
        return f"{x:.1f},{y:.1f}"

    grey = "#808080"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{grey}">'
    ]
    for angle in range(int(low), int(top) + 1, 30):
        x, y = place(0, angle).split(",")
        parts.append(
            f'<path d="M{x} {y}H{WIDTH - 12}" stroke="{grey}" stroke-opacity=".3"/>'
            f'<text x="{LEFT - 6}" y="{float(y) + 4:.0f}" text-anchor="end">{angle}°</text>'
        )
    for second in range(int(end) + 1):
        x = place(second, low).split(",")[0]
        parts.append(f'<text x="{x}" y="{HEIGHT - 14}" text-anchor="middle">{second} s</text>')
    for number, (person, line) in enumerate(lines.items()):
        color = COLORS[number]
        through = " ".join(place(*point) for point in line)
        parts.append(
            f'<polyline points="{through}" fill="none" stroke="{color}" stroke-width="2.5"/>'
        )
        parts.append(
            f'<text x="{WIDTH - 90}" y="{30 + 18 * number}" fill="{color}">person {person}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    sys.exit(main())
