"""The wheel works by itself, from another folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_predicts_without_the_checkout(tmp_path: Path, rtmpose_t: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    offline = ("--no-deps", "--no-index")
    run(*pip, "wheel", *offline, "--no-build-isolation", "-w", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("posekit-*.whl")
    site = tmp_path / "site"
    run(*pip, "install", *offline, "--target", site, wheel, cwd=tmp_path)
    assert not (site / "tests").exists()
    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 48, 3), 128, np.uint8))
    text = run(
        sys.executable,
        "-c",
        "import sys, posekit, posekit.cli; print(posekit.__file__); sys.exit(posekit.cli.main())",
        "predict",
        "model=rtmpose-t_body8-256x192",
        f"weights={rtmpose_t}",
        "detector=whole_image",
        "inputs=a.png",
        "out_dir=out",
        cwd=tmp_path,
        PYTHONPATH=str(site),
        POSEKIT_CACHE=str(tmp_path / "cache"),
    )
    assert text.startswith(str(site))
    assert (tmp_path / "out" / "predictions" / "a.json").stat().st_size > 500
    assert "rtmpose-m_body8-256x192" in run(
        sys.executable, "-m", "posekit", "models", cwd=tmp_path, PYTHONPATH=str(site)
    )
    assert "--model" in run(
        sys.executable, "-m", "weights_convert", "--help", cwd=tmp_path, PYTHONPATH=str(site)
    )
