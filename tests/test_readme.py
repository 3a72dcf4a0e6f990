"""The README's commands and snippets run as they stand, beside a photo.jpg and a clip.mp4."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from posekit.cli import main
from posekit.io.video import VideoReader, VideoWriter
from tests.networks import save_seeded_weights
from tests.processes import run_python

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
    """Two people of a photograph, as a set of one's own and as COCO's validation set."""
    labels = json.loads((shared / "annotations" / "test_coco.json").read_text(encoding="utf-8"))
    image = labels["images"][0]
    labels["images"] = [image]
    labels["annotations"] = [
        person for person in labels["annotations"] if person["image_id"] == image["id"]
    ][:2]
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


@pytest.fixture
def user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, in it, with its cache and without a network."""
    scripts = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("POSEKIT_CACHE", str(folder / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(folder)
    return folder


def test_there_is_something_to_run() -> None:
    assert len(COMMANDS) >= 5 and len(blocks("python")) >= 2


# To start PyTorch anew takes longer than what most commands do, so only these have processes of
# their own: one that is found as a program, and one that forks others to read images.
IN_A_SHELL = ("doctor", "train")


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, user: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program, *arguments = shlex.split(command)
    if program == "posekit" and arguments[0] not in IN_A_SHELL:
        assert status_of(arguments) == 0
        assert capsys.readouterr().out
        return
    if arguments[0] == "train":
        done = run_python("-m", "posekit", *arguments)
    else:
        done = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def status_of(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as ended:  # as `--help` does
        return int(ended.code or 0)


@pytest.mark.parametrize("snippet", blocks("python"), ids=lambda text: text.splitlines()[-1])
def test_snippet(snippet: str, user: Path) -> None:
    exec(compile(snippet, "README.md", "exec"), {"__name__": "__main__"})


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", TEXT)
    assert links and all((ROOT / link).exists() for link in links)
