"""docs/labelling.md: each of its commands runs, one after the other, beside a clip and pictures."""

from __future__ import annotations

import copy
import json
import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from posekit.cli import main
from posekit.files import PACKAGED
from posekit.io.video import VideoWriter
from tests.conftest import ROOT
from tests.labelling import test_yolo as yolo
from tests.page_folders import at_home
from tests.pages import Reader

pytest.importorskip("pyarrow")
MOVED = "left_wrist"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    picture = cv2.imread(str(PACKAGED / "demo.jpg"))
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    picture = picture[:height, :width]
    with VideoWriter(folder / "clip.mp4", fps=Fraction(10), size=(width, height)) as clip:
        for number in range(6):
            clip.write(np.roll(picture, 2 * number, axis=1), number / 10)
    (folder / "photos").mkdir()
    shutil.copy(PACKAGED / "demo.jpg", folder / "photos")
    people = tuple(
        person._replace(points=(*person.points, *(((0, 0, 0),) * 12))) for person in yolo.PEOPLE
    )
    config = yolo.CONFIG.rpartition("flip_idx")[0].replace("[5, 3]", "[17, 3]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yolo, "PEOPLE", people)
        yolo.data_set(folder / "yolo", f"{config}names: {{0: person}}\n")
    return folder


def correct(folder: Path) -> None:
    """What a person does in Label Studio: takes each prediction and moves one point."""
    tasks = json.loads((folder / "to_label" / "predictions.label_studio.json").read_text())
    for number, task in enumerate(tasks, 1):
        (prediction,) = task["predictions"]
        result = copy.deepcopy(prediction["result"])
        for region in result:
            region.pop("score", None)
            if region["value"].get("keypointlabels") == [MOVED]:
                region["value"] |= {"x": 50.0, "y": 25.0}
        task["id"] = number
        task["annotations"] = [{"id": number, "was_cancelled": False, "result": result}]
    (folder / "export.json").write_text(json.dumps(tasks))


def test_the_page_leads_from_a_clip_to_a_model(folder: Path) -> None:
    reader = Reader(folder, before={"posekit labels export.json": correct}, own_process=())
    with at_home(folder / "home", folder / "cache"):
        reader.follow(ROOT / "docs" / "labelling.md")
    commands = [line.split()[1] for line in reader.ran if line.startswith("posekit ")]
    assert commands == [
        "predict",
        "convert",
        "predict",
        "labels",
        "train",
        "predict",
        "convert",
        "labels",
    ]
    names = [path.name for path in sorted((folder / "to_label" / "clip").iterdir())]
    assert names == ["000000.jpg", "000002.jpg", "000004.jpg"]
    labels = json.loads((folder / "labels.json").read_text())
    before = json.loads((folder / "to_label" / "predictions.coco.json").read_text())
    assert len(labels["annotations"]) == len(before["annotations"]) >= 6
    at = 3 * before["categories"][0]["keypoints"].index(MOVED)
    moved = 0
    for one, other in zip(labels["annotations"], before["annotations"], strict=True):
        image = labels["images"][one["image_id"] - 1]
        values, wanted = np.array(one["keypoints"]), np.array(other["keypoints"])
        if wanted[at + 2]:
            place = (image["width"] / 2, image["height"] / 4)
            np.testing.assert_allclose(values[at : at + 2], place, atol=2e-3)
            moved += 1
        keep = np.delete(np.arange(len(values)), slice(at, at + 2))
        np.testing.assert_allclose(values[keep], wanted[keep], atol=2e-3)
    assert moved >= 3
    assert (folder / "runs" / "mine" / "export" / "model.safetensors").is_file()
    assert len(list((folder / "to_label_2" / "clip").iterdir())) == 3


def test_coco_labels_of_pictures_train_as_they_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The way without a tool's own format: predict, correct the COCO file, train."""
    monkeypatch.chdir(folder)
    words = ["model=demo", "inputs=photos", "out_dir=direct", "formats=[coco]"]
    assert main(["predict", *words]) == 0
    path = "direct/predictions/predictions.coco.json"
    source = f"dataset.train={{annotations: {path}, images: photos}}"
    words = ["model=demo", source, "epochs=1", "batch_size=2", "dry_run=true"]
    capfd.readouterr()
    assert main(["train", *words]) == 0
    assert capfd.readouterr().out.startswith(
        "dry run: nothing was written; the run would be in runs/"
    )
