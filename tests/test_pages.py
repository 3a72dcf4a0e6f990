"""Every block of code in README.md and docs/ runs as it stands, in order, or says why it cannot."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from posekit.cli import _parse
from posekit.io.video import VideoWriter
from tests.conftest import ROOT
from tests.hub_server import HubServer
from tests.page_folders import MIRROR, at_home, networks_of, write_folder, write_weights
from tests.pages import RUN, Reader, commands_of, read_page, split_command
from tests.publishing import models

DOCS = ROOT / "docs"
PAGES = {
    "README.md": ROOT / "README.md",
    **{path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))},
}
# The other pages take more than a few seconds: `make slow` runs them.
QUICK = {"README.md", "licences.md", "tutorials/first-picture.md", "tutorials/notebooks.md"}
# Tests of their own run these, with what somebody does by hand between two commands.
ELSEWHERE = {"labelling.md": "test_labelling_page.py"}


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("stock"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def hub(tmp_path: Path, cache: Path) -> Iterator[HubServer]:
    with at_home(tmp_path / "home", cache) as server:
        yield server


def write_sequences(folder: Path) -> None:
    """What a lifter is measured on, as docs/evaluation.md calls it."""
    random = np.random.default_rng(0)
    np.savez(
        folder / "h36m_test.npz",
        keypoints_2d=random.uniform(200, 800, (2, 30, 17, 2)).astype(np.float32),
        keypoints_3d=random.normal(0, 300, (2, 30, 17, 3)).astype(np.float32),
        image_size=np.array([1000, 1000]),
        factor=np.array([3.0, 3.0]),
    )


def write_long_clip(folder: Path) -> None:
    """Two minutes, a frame a second, for the page that cuts a part out of its middle."""
    with VideoWriter(folder / "clip.mp4", fps=Fraction(1), size=(64, 48)) as clip:
        for number in range(125):
            clip.write(np.full((48, 64, 3), number, np.uint8), float(number))


def write_pth(folder: Path) -> None:
    """Weights in files of one's own, of the two models that docs/migrating.md names."""
    for name, path in (
        ("rtmdet-nano_person-320", "detector.pth"),
        ("rtmpose-m_coco-256x192", "pose.pth"),
    ):
        write_weights(name, folder / "weights.safetensors")
        torch.save(load_file(folder / "weights.safetensors"), folder / path)


def write_table(folder: Path) -> None:
    """Labels in a table, as docs/training.md reads them."""
    columns = [f"{name}_{axis}" for name in ("nose", "left_hand", "right_hand") for axis in "xy"]
    rows = ["image," + ",".join(columns), "a.png,12,15,17,22,22,29", "b.png,52,15,,,62.5,29"]
    (folder / "points.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_yolo(folder: Path) -> None:
    """Pictures and labels as Ultralytics has them; the page shows the third part, data.yaml."""
    labels = json.loads((folder / "my.json").read_text())
    for image in labels["images"]:
        path = folder / "yolo" / "images" / "train" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "images" / image["file_name"], path)
        size = np.array([image["width"], image["height"]])
        lines = []
        for person in labels["annotations"]:
            if person["image_id"] == image["id"]:
                x, y, w, h = person["bbox"]
                points = np.array(person["keypoints"], float).reshape(-1, 3)
                points[:, :2] /= size
                box = [(x + w / 2) / size[0], (y + h / 2) / size[1], w / size[0], h / size[1]]
                lines.append(" ".join(map(str, [0, *np.clip(box, 0, 1), *points.ravel()])))
        text = folder / "yolo" / "labels" / "train" / path.with_suffix(".txt").name
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("\n".join(lines))


def write_hub(folder: Path, server: HubServer, cache: Path) -> None:
    """A model of one's own, one that somebody has put on the Hub, and a mirror."""
    mine = models.export(folder / "runs" / "mine", drawn=True)
    models.publish(server, mine, "organisation/name")
    server.commit("organisation/name", dict(server.repositories["organisation/name", "main"]), "v2")
    for path in (cache / "models").glob("*.safetensors"):
        server.commit(f"{MIRROR}/{path.stem}", {"model.safetensors": path.read_bytes()})


def keep_own_files(folder: Path) -> None:
    """Who follows a tutorial has a picture and a clip; the rest the page makes."""
    for path in folder.iterdir():
        if path.is_dir() and path.name != "yolo":
            shutil.rmtree(path)
        elif path.is_file() and path.name not in ("photo.jpg", "clip.mp4"):
            path.unlink()


# What a page's reader has beyond the common folder.
PREPARE = {
    "evaluation.md": write_sequences,
    "migrating.md": write_pth,
    "predict.md": write_long_clip,
    "training.md": write_table,
    "tutorials/from-ultralytics.md": write_yolo,
}


# Why a block is not run, and words of its code that show it.
REASONS = {
    "asks a server that runs until it is stopped": "curl",
    "Ultralytics is not installed where these pages are run": "ultralytics",
    "MMPose is not installed where these pages are run": "mmpose",
    "rtmlib is not installed where these pages are run": "rtmlib",
    "bpy is Blender's own Python": "bpy",
    "gigabytes are downloaded": "wheel",
    "gigabytes are downloaded and sent": "push=true",
    "needs Docker": "docker",
    "needs SLURM": "slurm",
    "needs SLURM and two machines with GPUs": "srun",
    "needs a GPU, and a checkout": "make gpu",
    "needs a GPU, and wheels that were brought along": r"benchmarks\.gpu",
    "needs a Ray cluster": "address=auto",
    "needs SLURM and a Ray cluster": "runner=ray",
    "needs a camera": "webcam",
    "needs a server of CVAT": "server-host",
    "needs a store of yours": "s3://",
    "needs checkouts of MMPose and MMDetection": "MMDETECTION",
    "needs eight GPUs": "nproc-per-node 8",
    "needs conda": "conda",
    "needs the files of a training of yours": r"my_config\.py",
    "needs the published weights": "push=true",
    "removes what is installed": "uninstall",
    "runs until it is stopped": "serve|posekit app",
    "takes hours without a GPU": "posekit train",
    "the address is made up": r"example\.org",
    "these are the tests, and what they check": "make test",
    "three dots stand for a model of yours": r"model=\.\.\.",
}


def runs_something(path: Path) -> bool:
    return any(block.runs for block in read_page(path))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name, path in PAGES.items()
        if runs_something(path) and name not in ELSEWHERE
    ],
)
def test_a_page_runs(name: str, stock: Path, cache: Path, hub: HubServer, tmp_path: Path) -> None:
    for model in networks_of(read_page(PAGES[name])):
        if not (weights := cache / "models" / f"{model}.safetensors").exists():
            write_weights(model, weights)
    folder = tmp_path / "reader"
    shutil.copytree(stock, folder)
    if name == "hub.md":
        write_hub(folder, hub, cache)
    if prepare := PREPARE.get(name):
        prepare(folder)
    if name.startswith("tutorials/"):
        keep_own_files(folder)
    reader = Reader(folder)
    reader.follow(PAGES[name])
    if reader.missing:
        pytest.skip(f"the rest ran; not installed: {', '.join(reader.missing)}")


@pytest.mark.parametrize("name", [name for name in PAGES if name not in QUICK])
def test_a_page_that_is_run_later_is_well_formed(name: str) -> None:
    """What can be said at once: Python compiles, commands and their flags are there."""
    for block in read_page(PAGES[name]):
        if block.language == "python":
            compile(block.code, f"{name}:{block.line}", "exec")
        for command in commands_of(block.code) if block.language in ("bash", "sh") else ():
            _, words = split_command(command)
            if words[:1] == ["posekit"] and "--help" not in words:
                try:
                    _parse(words[1:])
                except SystemExit:
                    pytest.fail(f"{name}:{block.line}: {command}")


def test_what_is_not_run_is_little_and_says_why() -> None:
    blocks = [(name, block) for name, path in PAGES.items() for block in read_page(path)]
    skipped = [(name, block) for name, block in blocks if block.mark == "not run"]
    for name, block in skipped:
        print(f"{name}:{block.line}: {block.text}")
        assert block.language in RUN, f"{name}:{block.line} would not be run anyway"
        known = REASONS.get(block.text)
        assert known and re.search(known, block.code), f"{name}:{block.line}: {block.text}"
    assert len(skipped) < sum(block.runs for _, block in blocks) / 3


def test_no_command_hides_from_being_run() -> None:
    """All commands are in blocks, and all blocks of commands are of a language that is run."""
    for name, path in PAGES.items():
        blocks = read_page(path)
        assert not {block.language for block in blocks} & {"console", "py", "shell", "zsh"}, name
        text = re.sub(r"^( *)```.*?^\1```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
        hidden = re.findall(r"^ {4}(?:posekit|python -m|pip|torchrun) .*", text, re.MULTILINE)
        assert not hidden, f"{name}: {hidden[0].strip()}: put it into a block"


def test_links_between_pages_lead_somewhere() -> None:
    for name, path in PAGES.items():
        text = re.sub(r"^( *)```.*?^\1```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
        for link, part in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
            target = path.parent / link if link else path
            assert target.exists(), f"{name}: {link}"
            if part and target.suffix == ".md":
                heads = re.findall(r"^#+ (.*)", target.read_text(encoding="utf-8"), re.MULTILINE)
                assert part in {slug(head) for head in heads}, f"{name}: {link}#{part}"


def slug(heading: str) -> str:
    """What a heading is called in links."""
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")
