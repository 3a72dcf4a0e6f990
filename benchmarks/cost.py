"""Hours and money for a number of hours of video, from a measured rate.

    python -m benchmarks.cost --batch out --devices 8 --price 2.5
    python -m benchmarks.cost --rate 6.77 --devices 8 --price 0.10

The rate is frames per second of one device (a GPU, or the cores of a worker): `--rate`, as `posekit
bench` or a clip of your own gives it, or that of a batch, `--batch`, the frames of its manifest by
the seconds that they took. The price is that of one device for an hour, in any currency.

    hours of the cluster = hours of video * 3600 * frames per second of video
                           / (rate * devices * efficiency) / 3600
    money = hours of the cluster * devices * price
"""

from __future__ import annotations

import argparse
from pathlib import Path

from posekit.batching.manifest import latest_entries
from posekit.errors import InputError
from posekit.table import format_table

EFFICIENCY = 0.96  # of two workers beside one, benchmarks/results/batch.txt


def rate_of(folder: Path) -> float:
    """Frames per second of a worker, over all clips of a batch that are done.

    Raises:
        InputError: none is.
    """
    done = [entry for entry in latest_entries(folder).values() if entry.status == "done"]
    seconds = sum(entry.seconds for entry in done)
    if not seconds:
        raise InputError(f"{folder} has no manifest with clips that are done")
    return sum(entry.frames for entry in done) / seconds


def cost(
    rate: float,
    *,
    hours: float,
    video_fps: float,
    devices: int,
    price: float,
    efficiency: float = EFFICIENCY,
) -> tuple[float, float]:
    """Hours that a cluster takes, and what they cost.

    Args:
        rate: frames per second of one device.
        hours: of video.
        video_fps: frames of a second of it.
        devices: how many compute.
        price: of a device for an hour.
        efficiency: what part of its rate each keeps beside the others.
    """
    taken = hours * video_fps / (rate * devices * efficiency)
    return taken, taken * devices * price


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--rate", type=float)
    given.add_argument("--batch", type=Path)
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--price", type=float, required=True)
    parser.add_argument("--hours", type=float, default=1000)
    parser.add_argument("--video-fps", type=float, default=30)
    parser.add_argument("--efficiency", type=float, default=EFFICIENCY)
    found = parser.parse_args()
    rate = found.rate if found.batch is None else rate_of(found.batch)
    taken, money = cost(
        rate,
        hours=found.hours,
        video_fps=found.video_fps,
        devices=found.devices,
        price=found.price,
        efficiency=found.efficiency,
    )
    header = ("hours of video", "frames/s of a device", "devices", "hours", "cost")
    row = (f"{found.hours:g}", f"{rate:.2f}", str(found.devices), f"{taken:.1f}", f"{money:.0f}")
    print(format_table(header, [row]))


if __name__ == "__main__":
    main()
