"""What hours of video cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cost import cost, rate_of
from posekit.batching.manifest import Entry, Manifest
from posekit.errors import InputError


def test_hours_and_money() -> None:
    taken, money = cost(30, hours=1000, video_fps=30, devices=8, price=2, efficiency=1)
    assert (taken, money) == (125, 2000)
    assert cost(60, hours=1000, video_fps=30, devices=8, price=2, efficiency=0.5) == (125, 2000)


def test_the_rate_of_a_batch_is_of_what_is_done(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no manifest with clips that are done"):
        rate_of(tmp_path)
    with Manifest(tmp_path / "_manifest.jsonl") as manifest:
        for name, status, frames in (("a", "done", 90), ("b", "failed", 0), ("c", "done", 30)):
            manifest.append(Entry(path=name, name=name, status=status, frames=frames, seconds=2.0))  # type: ignore[arg-type]
    assert rate_of(tmp_path) == 30
