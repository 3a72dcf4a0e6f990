"""A clip from end to end: frames per second, and where the time of a frame goes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu.rows import Rows, Settings
from posekit.datasets.synthetic import generate_scene

__all__ = ["HEADER", "add_clip"]

HEADER = ("models", "type", "what", "frames/s", "ms a frame", "people a frame")
SIZE = (960, 540)
PEOPLE = 6
DRAWN = 12  # pictures, which come again and again


class Case(NamedTuple):
    """Models that work together; `detector` is None for a one-stage one.

    The packaged pair finds the drawn people; others have random weights, and people are made up.
    """

    model: str
    detector: str | None
    types: tuple[str, ...]
    packaged: bool = False


DEMO = Case("rtmpose-n_drawn-192x128", "rtmdet-nano_drawn-256", ("float16",), packaged=True)
FULL = (
    Case("rtmpose-m_body8-256x192", "rtmdet-m_person-640", ("float32", "float16")),
    Case("rtmo-s_body7-640x640", None, ("float16",)),
    DEMO,
)
FAST = (DEMO, Case("rtmo-t_body7-416x416", None, ("float16",)))


def add_clip(settings: Settings, rows: Rows) -> None:
    """Rows of each pipeline: the poses alone, with drawings and JSON written, and the stages."""
    from posekit.io.video import VideoWriter

    frames = 12 if settings.fast else 150
    with tempfile.TemporaryDirectory() as folder:
        clips = {Path(folder, "clip.mp4"): frames, Path(folder, "short.mp4"): DRAWN}
        images = [generate_scene(seed, size_wh=SIZE).image for seed in range(DRAWN)]
        for path, count in clips.items():
            with VideoWriter(path, fps=25, size=SIZE) as writer:
                for number in range(count):
                    writer.write(images[number % DRAWN])
        for case in FAST if settings.fast else FULL:
            for name in ("float32",) if settings.device == "cpu" else case.types:
                rows.attempt(
                    case.model,
                    lambda case=case, name=name: _add_case(  # type: ignore[misc]
                        case, name, list(clips), frames, settings, Path(folder), rows
                    ),
                )


def _add_case(
    case: Case,
    name: str,
    clips: Sequence[Path],
    frames: int,
    settings: Settings,
    folder: Path,
    rows: Rows,
) -> None:
    import posekit
    from benchmarks.common import write_random_weights
    from benchmarks.made_up import have_people

    files = {
        model: None if case.packaged else folder / f"{model}.safetensors"
        for model in filter(None, (case.model, case.detector))
    }
    for model, file in files.items():
        if file is not None and not file.exists():
            write_random_weights(file, model)
    of_detector = {}
    if case.detector is not None:
        of_detector = {"detector": case.detector, "detector_weights": files[case.detector]}
    predictor = posekit.load(
        case.model,
        weights=files[case.model],
        device=settings.device,
        dtype=name,
        backend="torch",
        **of_detector,
    )
    if not case.packaged:
        have_people(predictor, PEOPLE)
    models = " + ".join(filter(None, (case.detector, case.model)))
    options = {} if case.detector is None else {"flip_test": False}
    for what, more in (
        ("warming up", {"batch_size": 8}),
        ("poses", {"batch_size": 1}),
        ("poses, 8 frames at once", {"batch_size": 8}),
        ("poses, drawn and written, 8 at once", {"batch_size": 8, "out_dir": folder / "out"}),
    ):
        start = time.perf_counter()
        source = str(clips[1 if what == "warming up" else 0])
        people = sum(len(result) for result in predictor.stream(source, **options, **more))
        taken = time.perf_counter() - start
        if what != "warming up":
            rows.add(
                models, name, what, f"{frames / taken:.1f}", f"{1e3 * taken / frames:.2f}",
                f"{people / frames:.1f}",
            )  # fmt: skip
    _add_stages(case, models, name, files, settings, clips[0], rows)


def _add_stages(
    case: Case,
    models: str,
    name: str,
    files: dict[str, Path | None],
    settings: Settings,
    clip: Path,
    rows: Rows,
) -> None:
    """As `posekit bench` has them, of one frame after the other."""
    import torch

    from posekit.benchmarking.networks import MeasuredPart
    from posekit.benchmarking.options import BenchOptions
    from posekit.benchmarking.stages import measure_stages, read_some_frames
    from posekit.spec import load_spec
    from posekit.weights.load import load_network

    device, dtype = torch.device(settings.device), getattr(torch, name)
    groups = {"model": case.model, "detector": case.detector}
    parts = {
        group: MeasuredPart(
            load_spec(model),
            load_network(load_spec(model), files[model], device=device, dtype=dtype),
            [1],
            None,
        )
        for group, model in groups.items()
        if model is not None
    }
    options = BenchOptions(
        backends=["torch"], direct=False, rounds=3 if settings.fast else 15, people=PEOPLE
    )
    images, decoding = read_some_frames(str(clip))
    for table in measure_stages(parts, (), options, (), images, decoding):
        for stage, milliseconds in table.milliseconds.items():
            rows.add(models, name, f"stage: {stage}", "", f"{milliseconds:.2f}", str(PEOPLE))
