"""What a service can be told, when it is made and of an image. Light: no torch."""

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
        "auto", "images that go through the networks at once; `auto`: 8, or 16 on a GPU", least=1
    )
    max_wait: float = option(
        0.005,
        "the longest that an image waits for others to come along; it does only where others came "
        "just before, so that who is alone never waits",
        unit="seconds",
        least=0,
    )
    max_queue: int = option(
        64, "images that may be there without being computed; further callers wait", least=1
    )
    queue_timeout: float | None = option(
        None,
        "how long a caller waits for a place in a full queue before there is a `BusyError`; 0 not "
        "at all; left out, as long as `timeout`",
        unit="seconds",
        least=0,
    )
    timeout: float | None = option(
        None,
        "how long a caller waits in all before there is a `TimeoutError`, where a call does not "
        "say it itself; left out, until there is a result",
        unit="seconds",
        above=0,
    )
    max_pixels: int = option(
        50_000_000, "of an image; larger ones are refused, where possible unread", least=1
    )
    workers: int | Literal["auto"] = option(
        "auto",
        "threads that compute batches, each its own, at the same time; `auto`: as many as the "
        "threads of the networks leave cores for, 1 on a GPU",
        least=1,
    )


def image_options(named: dict[str, Any]) -> PredictOptions:
    """The options of one image, checked.

    Raises:
        InputError: one that does not exist, has another value, or is not of single images.
    """
    for name in named:
        if name in PredictOptions.declared() and name not in IMAGE_OPTIONS:
            raise InputError(
                f"{name} does not apply to a service, which computes single images and returns "
                "their results; leave it out, or use the predictor itself"
            )
    return PredictOptions.from_keywords(named)
