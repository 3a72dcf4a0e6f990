"""The excerpts of docs/outputs.md are what is written for one small result."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from posekit.files import prediction_formats
from posekit.io import Clip
from posekit.io.sinks import Run, load_format
from posekit.io.write import ResultWriter
from posekit.result import PoseResult
from posekit.skeleton import load_skeleton
from posekit.stages.packet import Packet
from tests.animation.walker import Walk

PAGE = Path(__file__).parents[1] / "docs" / "outputs.md"
EXCERPTS = dict(
    re.findall(r"<!-- excerpt: (\S+) -->\n+```\w*\n(.*?)```", PAGE.read_text(), re.DOTALL)
)
SHAPES = {"parquet", "npz"}
# Of libraries, which bridges.md shows.
CLIP = Clip("clip.mp4", "clip.mp4", (640, 480), Fraction(25), 2)
OTHERS = {"nwb", "pose", "rrd", "slp"}


def packet(number: int) -> Packet:
    """A frame with one person, whose right leg swings."""
    halpe = load_skeleton("halpe26")
    at = np.arange(halpe.num_keypoints, dtype=np.float32)
    points = np.stack([300 + 4 * (at % 5), 60 + 12 * at], axis=1)
    points[halpe.names.index("right_ankle")] += (8 * number, 0)
    result = PoseResult(
        keypoints=points[None],
        keypoint_scores=np.full((1, len(at)), 0.875, np.float32),
        boxes_xyxy=np.float32([[280, 40, 340, 380]]),
        box_scores=np.float32([0.75]),
        skeleton=halpe,
        image_size=(640, 480),
        name="clip.mp4",
        index=number,
        source="clip.mp4",
        frame_id=number,
        time=number / 25,
        track_ids=np.array([3]),
    )
    return Packet(result, CLIP, result.time)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    texts = [load_format(name) for name in EXCERPTS if name not in (*SHAPES, "bvh", "json")]
    run = Run(skeleton=load_skeleton("halpe26"), models={"model": "rtmpose-m"})
    for formats in (texts, [load_format("json")]):
        target = folder / ("json" if len(formats) == 1 else "")
        with ResultWriter(target, None, formats=formats, run=run) as writer:
            for number in range(2):
                writer.write(packet(number))
    walk = Walk(frames=30).packets()
    pose3d = walk[0].result.pose3d
    assert pose3d is not None
    solid = Run(skeleton=walk[0].result.skeleton, skeleton_3d=pose3d.skeleton)
    animations = [load_format("bvh"), load_format("npz")]
    with ResultWriter(folder, None, formats=animations, run=solid) as writer:
        for one in walk:
            writer.write(one)
    return folder


def file_of(folder: Path, name: str) -> Path:
    names = {
        "angles": "clip.angles.csv",
        "bvh": "walk_person3.bvh",
        "coco": "predictions.coco.json",
        "coco_results": "predictions.coco_results.json",
        "controlnet": "clip.controlnet.json",
        "csv": "clip.csv",
        "json": "json/clip.json",
        "jsonl": "clip.jsonl",
        "label_studio": "predictions.label_studio.json",
        "mot": "clip_person03.mot",
        "openpose": "clip_openpose/clip_000000000001_keypoints.json",
        "posekit": "clip.json",
        "trc": "clip_person03.trc",
    }
    return folder / names[name]


def test_every_format_is_shown() -> None:
    assert {*EXCERPTS, *OTHERS} == {*prediction_formats()}


@pytest.mark.parametrize("name", sorted({*EXCERPTS} - SHAPES))
def test_an_excerpt_is_what_is_written(name: str, folder: Path) -> None:
    # Three dots stand for what is left out, blanks and ends of lines are the page's own.
    found, shown = (
        " ".join(text.split()) for text in (file_of(folder, name).read_text(), EXCERPTS[name])
    )
    parts = [re.escape(part.strip()) for part in shown.split("...")]
    assert re.match(r".*?".join(parts), found), found[:3000]


def test_the_arrays_of_an_animation(folder: Path) -> None:
    with np.load(folder / "walk_person3.npz") as file:
        lines = [f"{name} {file[name].shape}" for name in file.files]
    for line in EXCERPTS["npz"].strip().splitlines():
        name, _, shape = line.partition(" ")
        assert f"{name} {shape.strip()}" in lines


def test_the_columns_of_a_table(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    run = Run(skeleton=load_skeleton("halpe26"))
    with ResultWriter(tmp_path, None, formats=[load_format("parquet")], run=run) as writer:
        writer.write(packet(1))
    (row,) = pq.read_table(tmp_path / "clip.parquet").to_pylist()
    for line in EXCERPTS["parquet"].strip().splitlines():
        name, _, value = line.partition(" ")
        start, dots, _ = value.strip().partition("...")
        shown = str(row[name])
        assert shown.startswith(start.strip()) if dots else shown == value.strip()
