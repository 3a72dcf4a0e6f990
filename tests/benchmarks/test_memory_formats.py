"""Memory while all formats are written at once, of a short clip here and of a long one, slowly."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks import memory_formats


def test_formats_that_a_model_cannot_fill_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    run = memory_formats.run_of("halpe26", None)
    assert memory_formats.fillable(["csv", "bvh"], run) == ["csv"]
    assert "left out: bvh: format bvh: expected a model that gives 3D" in capsys.readouterr().out


@pytest.mark.slow
def test_a_long_clip_stays_within_the_limit() -> None:
    # In a process of its own: what other tests left free would hide what is taken.
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory_formats", "--only", "2D"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.rstrip().endswith("within 50 MB: yes"), done.stdout
