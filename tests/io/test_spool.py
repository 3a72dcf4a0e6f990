"""Results that wait on the disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from posekit.errors import OutputError
from posekit.io import spool
from posekit.io.held import Held, share
from posekit.io.spool import Spool
from posekit.result import PoseResult
from posekit.stages.packet import Packet
from tests.io.test_formats import CLIP, frame, image, run_of


def same(one: PoseResult, other: PoseResult) -> None:
    for name, value in dataclasses.asdict(one).items():
        found = dataclasses.asdict(other)[name]
        if name == "pose3d" and value is not None:
            for key in ("keypoints", "keypoint_scores"):
                np.testing.assert_array_equal(found[key], value[key])
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(found, value)
            assert found.dtype == value.dtype
        elif name not in ("skeleton", "pose3d"):
            assert found == value, name


@pytest.mark.parametrize("lifted", [False, True])
def test_results_come_back_as_they_were(
    lifted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "BLOCK", 3)
    results = [frame(i, (2, 0, 1, 3)[i % 4], lifted=lifted) for i in range(8)]
    results[2] = dataclasses.replace(results[2], track_ids=None)
    results[4] = dataclasses.replace(results[4], interpolated=np.array([True, False]))
    kept = Spool(tmp_path / "a", run_of(results[0]))
    for result in results:
        kept.add(result)
        kept.add(result)  # another format of the same results
    assert len(kept) == 8
    for one, other in zip(results, kept.results(), strict=True):
        same(one, other)
        assert other.skeleton is one.skeleton
    assert kept.tracks() == [5, 6, 7]
    alone = [result for result in results if result.track_ids is not None and len(result) > 1]
    assert kept.count_of(6) == len(alone)
    for one, other in zip(alone, kept.of_track(6), strict=True):
        same(one[[1]], other)
    assert not list(tmp_path.iterdir())  # the files have no name
    kept.close()


def test_images_keep_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "BLOCK", 2)
    names = ["a.jpg", "a.jpg", "b.jpg", "c.jpg", "a.jpg"]
    kept = Spool(tmp_path / "a", run_of(frame(0)))
    for index, name in enumerate(names):
        kept.add(image(name, index))
    found = list(kept.results())
    assert [one.name for one in found] == names
    assert [one.source for one in found] == names
    assert [(one.frame_id, one.time, one.track_ids) for one in found] == [(None,) * 3] * 5


def test_an_empty_one_has_no_results(tmp_path: Path) -> None:
    assert list(Spool(tmp_path / "a", run_of(frame(0))).results()) == []


def test_formats_share_one(tmp_path: Path) -> None:
    class Counted(Held):
        def finish(self, complete: bool) -> None:
            found.append(len(list(self.spool.results())))

    found: list[int] = []
    sinks = [Counted(tmp_path / name, run_of(frame(0)), tracked=False) for name in "abc"]
    share(sinks)
    assert len({id(sink.spool) for sink in sinks}) == 1
    for number in range(5):
        packet = Packet(frame(number), CLIP)
        for sink in sinks:
            sink.write(packet, None)
    for sink in sinks:
        sink.close(complete=True)
    assert found == [5, 5, 5]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*no/a\.nwb: No such file"):
        Spool(tmp_path / "no" / "a.nwb", run_of(frame(0)))
