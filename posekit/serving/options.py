"""Options of a service, and of a single image. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from posekit.declared import Options, option
from posekit.errors import InputError
from posekit.options import DetectOptions, PredictOptions

__all__ = ["IMAGE_OPTIONS", "ServiceOptions", "image_options"]

# Those of `PredictOptions` that mean something for an image by itself whose result is returned.
IMAGE_OPTIONS = (
    *DetectOptions.declared(),
    *("flip_test", "pose_based_nms", "color"),
    *("disable_norm_pose_2d", "disable_rebase_keypoint"),
)


@dataclass(frozen=True, kw_only=True)
class ServiceOptions(Options):
    """A service."""

    max_batch: int | Literal["auto"] = option(
        "auto", "the largest batch; `auto`: 8, or 16 on a GPU", least=1
    )
    max_wait: float = option(
        0.005,
        "the longest that an image waits for others to fill the batch; it waits only if "
        "others arrived just before, so a single caller never waits",
        unit="seconds",
        least=0,
    )
    max_queue: int = option(64, "the most images that may be queued; further callers wait", least=1)
    queue_timeout: float | None = option(
        None,
        "how long a caller waits for a place in a full queue before `BusyError`; 0: not at "
        "all; if unset, as long as `timeout`",
        unit="seconds",
        least=0,
    )
    timeout: float | None = option(
        None,
        "how long a caller waits in all before `TimeoutError`, unless the call sets it; if "
        "unset, without limit",
        unit="seconds",
        above=0,
    )
    max_pixels: int = option(
        50_000_000,
        "the most pixels of an image; larger ones are refused, before decoding where possible",
        least=1,
    )
    workers: int | Literal["auto"] = option(
        "auto",
        "threads that compute batches in parallel; `auto`: as many as there are cores for, "
        "given the threads of the networks; 1 on a GPU",
        least=1,
    )


def image_options(named: dict[str, Any]) -> PredictOptions:
    """The options of one image, checked.

    Raises:
        InputError: an unknown option, a wrong value, or an option that single images do not have.
    """
    for name in named:
        if name in PredictOptions.declared() and name not in IMAGE_OPTIONS:
            raise InputError(
                f"{name} does not apply to a service, which computes single images and returns "
                "their results; leave it out, or use the predictor itself"
            )
    return PredictOptions.from_keywords(named)
