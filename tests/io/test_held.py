"""Formats that other libraries write: of clips and images, whole, marked partial, or refused."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from posekit.converting import convert
from posekit.errors import InputError, OutputError
from posekit.io.sinks import load_format
from posekit.io.write import ResultWriter
from posekit.result import PoseResult
from posekit.skeleton import load_skeleton
from posekit.stages.packet import Packet
from tests.io.test_formats import CLIP, frame, image, run_of, write
from tests.io.test_write import small_disk  # noqa: F401

# What each needs.
LIBRARIES = {"nwb": "ndx_pose", "pose": "pose_format", "rrd": "rerun", "slp": "sleap_io"}
FEW = "deepfashion_upper"  # 6 keypoints, for HDF5 takes its time over each
RESULTS = [frame(i, n, skeleton=FEW) for i, n in enumerate((2, 0, 1))]

every = pytest.mark.parametrize(
    "name",
    [
        "nwb",
        "pose",
        # Their libraries take hundreds of megabytes.
        pytest.param("rrd", marks=pytest.mark.slow),
        pytest.param("slp", marks=pytest.mark.slow),
    ],
)


def there(name: str) -> str:
    pytest.importorskip(LIBRARIES[name])
    return name


def firsts(path: Path) -> np.ndarray:
    """Where the first keypoints of the first frame are, (2, 2)."""
    if path.suffix == ".nwb":
        import pynwb

        with pynwb.NWBHDF5IO(path, "r") as io:
            poses = io.read().processing["behavior"]
            return np.stack(
                [poses[f"track_{one}"][load_skeleton(FEW).names[0]].data[0] for one in (5, 6)]
            )
    if path.suffix == ".pose":
        from pose_format import Pose

        return np.asarray(Pose.read(path.read_bytes()).body.data.data[0, :, 0])
    if path.suffix == ".slp":
        import sleap_io

        found = sleap_io.load_slp(str(path))
        return np.stack([one.numpy()[0] for one in found[0].instances])
    from tests.bridges.test_bridges import chunks

    found = chunks(path)
    return np.array([found[f"/image/{one}/keypoints Points2D:positions"][0][0] for one in (5, 6)])


@every
def test_a_clip_is_written_and_converted(name: str, tmp_path: Path) -> None:
    there(name)
    pytest.importorskip("pyarrow")
    sure = [
        dataclasses.replace(one, keypoint_scores=one.keypoint_scores + np.float32(0.3))
        for one in RESULTS
    ]
    write(tmp_path / "at_once", sure, (name, "parquet"))
    assert (
        convert(tmp_path / "at_once" / "walk.parquet", formats=name, out_dir=tmp_path / "later")
        == []
    )
    for folder in ("at_once", "later"):
        found = firsts(tmp_path / folder / f"walk.{name}")
        np.testing.assert_array_equal(found.astype(np.float32), sure[0].keypoints[:, 0])
    assert [path.name for path in (tmp_path / "later").iterdir()] == [f"walk.{name}"]


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_that_is_missing_is_said_before_anything_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, LIBRARIES[name], None)
    with pytest.raises(InputError, match=r'halted.*; pip install "'):
        ResultWriter(tmp_path, None, formats=[load_format(name)], run=run_of(frame(0)))
    assert not list(tmp_path.iterdir())


@every
def test_a_clip_that_breaks_off_is_marked(name: str, tmp_path: Path) -> None:
    there(name)
    with ResultWriter(tmp_path, None, formats=[load_format(name)], run=run_of(frame(0))) as writer:
        writer.skip(CLIP.source, "the file ends too early")
        writer.write(Packet(frame(0), CLIP))
    assert [path.name for path in tmp_path.iterdir()] == [f"walk.{name}.part"]


@every
def test_nobody_and_someone_once(name: str, tmp_path: Path) -> None:
    there(name)
    for folder, results in (
        ("nobody", [frame(i, 0, skeleton=FEW) for i in range(2)]),
        ("once", [frame(i, int(i == 1), skeleton=FEW) for i in range(3)]),
        ("one", [frame(0, 1, skeleton=FEW)]),
    ):
        write(tmp_path / folder, results, (name,))
        assert (tmp_path / folder / f"walk.{name}").stat().st_size


@pytest.mark.parametrize("name", ["nwb", "pose"])
def test_people_need_to_be_known(name: str, tmp_path: Path) -> None:
    there(name)
    alone = dataclasses.replace(frame(0, 1, skeleton=FEW), track_ids=None)
    write(tmp_path, [alone], (name,))
    assert (tmp_path / f"walk.{name}").exists()
    with pytest.raises(InputError, match="turn tracking on, such as by track='iou'"):
        write(tmp_path / "two", [dataclasses.replace(frame(0), track_ids=None)], (name,))


@pytest.mark.parametrize("name", ["nwb", "pose"])
def test_images_are_no_clip(name: str, tmp_path: Path) -> None:
    there(name)
    with pytest.raises(InputError, match=f"format {name} is for videos"):
        write(tmp_path, [image("a.jpg")], (name,))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rrd", "slp"])
def test_images_of_a_run_are_in_one_file(name: str, tmp_path: Path) -> None:
    there(name)
    write(tmp_path, [image("a.jpg"), image("b.jpg", 1)], (name,))
    assert [path.name for path in tmp_path.iterdir()] == [f"images.{name}"]


@every
def test_a_full_disk_leaves_no_half_file(small_disk: Path, name: str) -> None:  # noqa: F811
    there(name)
    results: list[PoseResult] = [frame(number, 4, skeleton=FEW) for number in range(1200)]
    with pytest.raises(OutputError, match=f"cannot write .*walk.{name}"):
        write(small_disk, results, (name,))
    assert not (small_disk / f"walk.{name}").exists()
