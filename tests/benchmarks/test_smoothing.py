"""What smoothing costs and brings by default."""

from __future__ import annotations

import pytest

from benchmarks.smoothing import measure
from posekit.stages.smooth import smooth_one_euro, smooth_savgol


@pytest.mark.parametrize(("fps", "noise"), [(30, 0.62), (60, 0.52)])
def test_one_euro_takes_noise_away_without_waiting(fps: int, noise: float) -> None:
    found = measure(smooth_one_euro, fps)
    assert found["noise"] < noise and found["wait"] == 0
    assert 0 < found["lag"] < 0.015  # seconds
    assert found["swing"] > 0.95 and found["overshoot"] < 0.1


@pytest.mark.parametrize("fps", [30, 60])
def test_savgol_halves_noise_and_lags_nowhere(fps: int) -> None:
    found = measure(smooth_savgol, fps)
    assert found["noise"] < 0.6 and found["wait"] == 4 / fps
    assert abs(found["lag"]) < 1e-3
    assert found["swing"] > 0.98 and found["overshoot"] < 0.3
