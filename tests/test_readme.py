"""The README's commands and snippets run as they stand, beside a photo.jpg and a clip.mp4."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from posekit.video import VideoReader, VideoWriter
from tests.networks import save_seeded_weights

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


COMMANDS = [
    line
    for block in blocks("bash")
    for line in block.splitlines()
    # The package index is not asked in tests; tests/test_packaging.py installs the wheel.
    if line.strip() and not line.startswith("pip install")
]


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder, with seeded weights in the cache where the published ones would be."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copy(shared / "images" / "000000000785.jpg", folder / "photo.jpg")
    # Two frames are enough: an untrained detector finds a hundred people in each.
    with (
        VideoReader(shared / "video" / "demo.mp4") as video,
        VideoWriter(folder / "clip.mp4", fps=video.fps, size=video.size) as clip,
    ):
        for image, time in itertools.islice(video, 2):
            clip.write(image, time)
    models = folder / "cache" / "models"
    models.mkdir(parents=True)
    for group, source, name in (
        ("pose2d", "rtmpose-m_8xb256-420e_body8-256x192", "rtmpose-m_body8-256x192"),
        ("detector", "rtmdet_m_640-8xb32_coco-person", "rtmdet-m_person-640"),
        ("pose3d", "motionbert_dstformer-ft-243frm_8xb32-120e_h36m", "motionbert-ft_h36m"),
    ):
        save_seeded_weights(
            shared / "reference" / group / source, name, models / f"{name}.safetensors"
        )
    return folder


def run(command: list[str] | str, folder: Path) -> subprocess.CompletedProcess[str]:
    scripts = Path(sys.executable).parent
    return subprocess.run(
        command,
        cwd=folder,
        shell=isinstance(command, str),
        env={
            **os.environ,
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "POSEKIT_CACHE": str(folder / "cache"),
            "HF_HUB_OFFLINE": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_there_is_something_to_run() -> None:
    assert len(COMMANDS) >= 5 and len(blocks("python")) >= 2


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, folder: Path) -> None:
    done = run(command, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("snippet", blocks("python"), ids=lambda text: text.splitlines()[-1])
def test_snippet(snippet: str, folder: Path) -> None:
    done = run([sys.executable, "-c", snippet], folder)
    assert done.returncode == 0, done.stderr


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", TEXT)
    assert links and all((ROOT / link).exists() for link in links)
