"""The stages that take packets, for tests that only look at the results in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

from posekit.result import PoseResult
from posekit.stages.lift import Lifter
from posekit.stages.packet import Clip, Packet
from posekit.stages.smooth import smooth_one_euro, smooth_savgol
from posekit.stages.windows import lift_stream

__all__ = ["lift_results", "one_euro_results", "savgol_results"]


def lift_results(
    results: Iterable[PoseResult],
    lifter: Lifter,
    *,
    live: bool | Callable[[PoseResult], bool] = False,
    **options: Any,
) -> Iterator[PoseResult]:
    """`live`: they come from a camera, or a function that says so."""

    def packet(result: PoseResult) -> Packet:
        is_live = live(result) if callable(live) else live
        clip = Clip(result.name, str(result.source), result.image_size, Fraction(25), live=is_live)
        return Packet(result, None if result.frame_id is None else clip)

    return results_of(lift_stream(map(packet, results), lifter, **options))


def one_euro_results(
    results: Iterable[PoseResult],
    *,
    time_of: Callable[[PoseResult], float] | None = None,
    **options: Any,
) -> Iterator[PoseResult]:
    """`time_of`: says when each frame was."""
    packets = (Packet(result, time=time_of and time_of(result)) for result in results)
    return results_of(smooth_one_euro(packets, **options))


def savgol_results(results: Iterable[PoseResult], **options: Any) -> Iterator[PoseResult]:
    return results_of(smooth_savgol(map(Packet, results), **options))


def results_of(packets: Iterable[Packet]) -> Iterator[PoseResult]:
    return (packet.result for packet in packets)
