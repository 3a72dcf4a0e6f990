"""What smoothing takes away and what it costs: noise that is left at rest, delay, overshoot.

    python -m benchmarks.smoothing

One point of a figure 200 pixels tall. *At rest* it stands still under noise of 3 pixels: the share
of the noise that is left. *Moving* it walks at 1.2 sizes of the figure per second, under no noise:
how far behind it is, as time. The *swing* is to and fro by 0.15 sizes, 1.5 times a second: the
share of its way that is left. *Overshoot* is how far it goes past where it stops at once, in frames
of its speed. Savitzky-Golay waits for half a window: the wait is its delay.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from posekit.result import PoseResult
from posekit.skeleton import load_skeleton
from posekit.stages.packet import Clip, Packet
from posekit.stages.smooth import smooth_one_euro, smooth_savgol
from posekit.table import format_table

__all__ = ["measure", "run"]

Floats = npt.NDArray[np.float64]
SIZE, NOISE, SPEED = 200.0, 3.0, 1.2  # pixels, pixels, sizes per second
SWING, BEAT = 0.15, 1.5  # sizes, Hz
SETTINGS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "one-euro, the default": (smooth_one_euro, {}),
    "one-euro, beta 5": (smooth_one_euro, {"beta": 5.0}),
    "one-euro, beta 30, d_cutoff 2": (smooth_one_euro, {"beta": 30.0, "d_cutoff": 2.0}),
    "one-euro, beta 5, d_cutoff 0.5": (smooth_one_euro, {"beta": 5.0, "d_cutoff": 0.5}),
    "savgol, the default": (smooth_savgol, {}),
    "savgol, window 5": (smooth_savgol, {"window": 5}),
    "savgol, window 15": (smooth_savgol, {"window": 15}),
}


def main() -> None:
    rows = []
    for name, (smooth, settings) in SETTINGS.items():
        for fps in (30, 60):
            found = measure(smooth, fps, **settings)
            rows.append(
                (
                    name,
                    str(fps),
                    f"{100 * found['noise']:.0f} %",
                    f"{1000 * abs(found['lag']):.0f} ms",
                    f"{1000 * found['wait']:.0f} ms",
                    f"{100 * found['swing']:.0f} %",
                    f"{max(found['overshoot'], 0):.1f} frames",
                )
            )
    header = (
        *("filter", "fps", "noise left at rest", "lag when moving", "wait"),
        *("swing left", "overshoot"),
    )
    print(format_table(header, rows))


def measure(smooth: Callable[..., Any], fps: int, **settings: Any) -> dict[str, float]:
    """Noise left, lag and wait in seconds, swing left, overshoot in frames of the movement."""
    if smooth is smooth_one_euro:
        settings = {"fps": fps, **settings}
    times = np.arange(6 * fps) / fps
    later = times >= 2  # has settled
    still = np.random.default_rng(0).normal(0, NOISE, len(times))
    noise = run(smooth, still, fps, **settings)[later].std() / still[later].std()
    ramp = SPEED * SIZE * times
    inner = later & (times < 5)  # Savitzky and Golay's window is cut off at the end
    lag = (ramp - run(smooth, ramp, fps, **settings))[inner].mean() / (SPEED * SIZE)
    swing = SWING * SIZE * np.sin(2 * np.pi * BEAT * times)
    swung = run(smooth, swing, fps, **settings)[inner]
    stop = np.minimum(ramp, 3 * SPEED * SIZE)
    past = run(smooth, stop, fps, **settings).max() - stop.max()
    window = settings.get("window", 9) // 2 if smooth is smooth_savgol else 0
    return {
        "noise": float(noise),
        "lag": float(lag),
        "wait": window / fps,
        "swing": float(np.ptp(swung) / np.ptp(swing[inner])),
        "overshoot": float(past / (SPEED * SIZE / fps)),
    }


def run(smooth: Callable[..., Any], path: Floats, rate: int, **settings: Any) -> Floats:
    """A path (T,) along x, smoothed as a keypoint of a clip's only person."""
    skeleton = load_skeleton("coco")
    clip = Clip("a.mp4", "a.mp4", (4000, 1000), Fraction(rate))
    packets = []
    for i, x in enumerate(path):
        result = PoseResult(
            keypoints=np.full((1, 17, 2), (x, 500.0)),
            keypoint_scores=np.ones((1, 17), np.float32),
            boxes_xyxy=np.array([[x - 40, 400, x + 40, 400 + SIZE]], np.float32),
            box_scores=np.ones(1, np.float32),
            skeleton=skeleton,
            image_size=clip.size,
            name=clip.name,
            index=i,
            source=clip.source,
            frame_id=i,
            time=i / rate,
            track_ids=np.zeros(1, np.int64),
        )
        packets.append(Packet(result, clip, i / rate, None, None))
    return np.array([packet.result.keypoints[0, 0, 0] for packet in smooth(packets, **settings)])


if __name__ == "__main__":
    main()
