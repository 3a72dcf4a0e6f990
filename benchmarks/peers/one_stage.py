"""RTMO beside RTMDet and RTMPose: one pays once for an image, the other for each person too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import posekit
from benchmarks.common import write_random_weights
from benchmarks.made_up import have_people
from benchmarks.peers.inputs import frames_of
from benchmarks.peers.turns import print_comparison

__all__ = ["compare_one_stage"]

PEOPLE = (1, 6, 20)
DETECTOR, POSE, ONE_STAGE = "rtmdet-m_person-640", "rtmpose-m_body8-256x192", "rtmo-s_body7-640x640"


def compare_one_stage(
    source: str | None, count: int, rounds: int, files: Path, backends: Sequence[str]
) -> None:
    """A table for each number of people; all weights are random and all people made up."""
    images = frames_of(source, count, (960, 540))

    def weights(model: str) -> Path:
        path = files / f"{model}.safetensors"
        return path if path.exists() else write_random_weights(path, model)

    for people in PEOPLE:
        predictors = {}
        for kind in backends:
            top_down = posekit.load(
                POSE,
                weights=weights(POSE),
                detector=DETECTOR,
                detector_weights=weights(DETECTOR),
                device="cpu",
                backend=kind,
            )
            one_stage = posekit.load(
                ONE_STAGE, weights=weights(ONE_STAGE), device="cpu", backend=kind
            )
            predictors[f"RTMDet-m + RTMPose-m, {kind}"] = have_people(top_down, people), False
            predictors[f"RTMO-s, {kind}"] = have_people(one_stage, people), None

        def run(name: str, predictors: dict = predictors) -> int:
            predictor, flip_test = predictors[name]
            options = {} if flip_test is None else {"flip_test": flip_test}
            return sum(len(result) for result in predictor.stream(images, **options))

        print_comparison(
            f"{people} people in 960x540, one frame after the other",
            {name: lambda n=name: run(n) for name in predictors},  # type: ignore[misc]
            base=f"RTMDet-m + RTMPose-m, {backends[0]}",
            images=count,
            rounds=rounds,
        )
