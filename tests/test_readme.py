"""The README's commands and snippets run as they stand, beside a photo.jpg and a clip.mp4."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from posekit.io.video import VideoReader, VideoWriter
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
    make_choosy(models / "rtmdet-m_person-640.safetensors")
    label(folder, shared)
    return folder


def make_choosy(path: Path) -> None:
    """A few people per image, where an untrained detector finds a hundred."""
    state = load_file(path)
    for key in state:
        if ".cls_preds." in key and key.endswith(".bias"):
            state[key] -= 1.25
    save_file(state, path, metadata={"model": path.stem})


def label(folder: Path, shared: Path) -> None:
    """The labels of a photograph, as a set of one's own and as COCO's validation set."""
    labels = json.loads((shared / "annotations" / "test_coco.json").read_text(encoding="utf-8"))
    image = labels["images"][0]
    labels["images"] = [image]
    labels["annotations"] = [
        person for person in labels["annotations"] if person["image_id"] == image["id"]
    ]
    coco = folder / "data" / "coco"
    for path in (
        folder / "my.json",
        folder / "val.json",
        coco / "annotations" / "person_keypoints_val2017.json",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(labels), encoding="utf-8")
    for images in (folder / "images", coco / "val2017"):
        images.mkdir()
        shutil.copy(shared / "images" / image["file_name"], images)


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
