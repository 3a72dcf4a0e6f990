"""`posekit push`: what lies on the Hub after it, and what loads from there on another machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard

import posekit
from posekit.build import build_network
from posekit.cli import main
from posekit.skeleton import load_skeleton
from posekit.spec import load_spec
from posekit.training.export import export_model
from tests.hub_server import HubServer
from tests.publishing.models import NAME, PICTURE, environment, export, run


def content(server: HubServer, repository: str, file: str, revision: str = "main") -> bytes:
    digest = server.repositories[repository, revision][file]
    return server.files[f"/storage/{digest}"].content


def copied(folder: Path, target: Path) -> Path:
    for path in folder.rglob("*"):
        if path.is_file():
            (target / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (target / path.relative_to(folder)).write_bytes(path.read_bytes())
    return target


def test_the_snippet_of_the_card_loads_it_elsewhere_with_the_same_numbers(
    server: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = export(tmp_path / "drawn", drawn=True)
    words = ["license=apache-2.0", f"picture={PICTURE}"]
    assert main(["push", str(folder), "org/mine", *words]) == 0
    printed = capsys.readouterr().out
    assert 'posekit.load("hf://org/mine")' in printed
    card = content(server, "org/mine", "README.md").decode()
    (snippet,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    # The card's words, with a picture that is there.
    code = snippet.replace('"photo.jpg"', repr(str(PICTURE)))
    code += "\nimport json; print(json.dumps(result['predictions'][0]))"
    done = run("-c", code, **environment(server, tmp_path / "elsewhere"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    (result,) = posekit.load(folder, backend="eager")(PICTURE)
    local = result["predictions"][0]
    assert len(found) == len(local) > 1
    for one, other in zip(found, local, strict=True):
        np.testing.assert_allclose(one["keypoints"], other["keypoints"], atol=0.05)
        np.testing.assert_allclose(one["bbox_score"], other["bbox_score"], atol=1e-4)


def test_the_card_is_one_that_the_hub_reads(folder: Path, server: HubServer) -> None:
    assert main(["push", str(folder), "org/mine", "license=apache-2.0"]) == 0
    card = ModelCard(content(server, "org/mine", "README.md").decode())
    assert card.data.library_name == "posekit"
    assert card.data.pipeline_tag == "keypoint-detection"
    assert card.data.tags == ["pose-estimation", "coco"]
    assert card.data.license == "apache-2.0"
    (result,) = card.data.eval_results  # a figure that is not a number is left out
    assert (result.dataset_name, result.metric_name, result.metric_value) == (
        "val.json", "AP", 0.51234
    )  # fmt: skip
    assert "| 5 | left_shoulder | right_shoulder |" in card.content
    assert "- training data: mine.json, 40 samples" in card.content
    assert "![the skeleton](skeleton.png)" in card.content
    drawing = cv2.imdecode(
        np.frombuffer(content(server, "org/mine", "skeleton.png"), np.uint8), cv2.IMREAD_COLOR
    )
    assert drawing.shape == (480, 480, 3)
    assert len(np.unique(drawing.reshape(-1, 3), axis=0)) > 5


def test_all_comes_in_one_commit_beside_nothing_that_was_not_asked_for(
    folder: Path, server: HubServer, tmp_path: Path
) -> None:
    model = copied(folder, tmp_path / "model")
    (model / ".secret").write_text("x")
    assert main(["push", str(model), "org/mine"]) == 0
    commits = [e for e in server.exchanges if "/commit/" in e.path]
    assert len(commits) == 1
    assert set(server.repositories["org/mine", "main"]) == {
        "README.md", "about.json", "keypoints/coco.yaml", "metrics.json", "model.safetensors",
        f"model/{NAME}.yaml", "skeleton.png",
    }  # fmt: skip
    for name in ("model.safetensors", f"model/{NAME}.yaml", "keypoints/coco.yaml"):
        assert content(server, "org/mine", name) == (folder / name).read_bytes()


def test_what_fails_leaves_nothing_of_it_to_be_seen(
    folder: Path, server: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.commit("org/mine", {})
    server.commit_statuses = [403]
    assert main(["push", str(folder), "org/mine"]) == 1
    assert "cannot upload to org/mine: " in (error := capsys.readouterr().err)
    assert "hf auth login" in error
    assert server.repositories["org/mine", "main"] == {}


def test_a_branch_is_made_and_loads_by_its_name(
    folder: Path, server: HubServer, tmp_path: Path
) -> None:
    assert main(["push", str(folder), "org/mine", "branch=v2", "private=true"]) == 0
    assert server.repositories["org/mine", "main"] == {}
    assert "org/mine" in server.private
    predictor = posekit.load("hf://org/mine@v2", device="cpu")
    assert predictor.models["model"] == NAME


def test_a_model_that_takes_anothers_place_is_the_only_one(
    folder: Path, server: HubServer, tmp_path: Path
) -> None:
    assert main(["push", str(folder), "org/mine"]) == 0
    other = export(tmp_path / "other", "another")
    assert main(["push", str(other), "org/mine"]) == 0
    names = [name for name in server.repositories["org/mine", "main"] if "model/" in name]
    assert names == ["model/another.yaml"]
    assert posekit.load("hf://org/mine", device="cpu").models["model"] == "another"


def test_the_same_again_is_no_new_commit(folder: Path, server: HubServer) -> None:
    for _ in range(2):
        assert main(["push", str(folder), "org/mine"]) == 0
    assert len([e for e in server.exchanges if "/commit/" in e.path]) == 1


@pytest.mark.parametrize("name", ["rtmdet-nano_drawn-256", "simplebaseline3d_h36m"])
def test_detectors_and_lifters_too(
    server: HubServer, folder: Path, tmp_path: Path, name: str
) -> None:
    spec = load_spec(name)
    skeleton = None if name.startswith("rtmdet") else load_skeleton(spec.keypoints)
    net = build_network(spec.net, device="cpu").eval()
    model = tmp_path / "model"
    export_model(model, "other", spec=spec, state=net.state_dict(), skeleton=skeleton,
                 metrics=None, about={})  # fmt: skip
    assert main(["push", str(model), "org/other"]) == 0
    loaded = posekit.create_model("hf://org/other")
    for key, value in net.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    card = ModelCard(content(server, "org/other", "README.md").decode())
    if skeleton is None:
        assert card.data.pipeline_tag == "object-detection"
        assert 'posekit.load("human", detector="hf://org/other")' in card.content
        predictor = posekit.load(folder, detector="hf://org/other", device="cpu")
        assert predictor.models["detector"] == "other"
    else:
        assert card.data.tags == ["pose-estimation", "h36m", "3d"]


@pytest.mark.parametrize("where", ["on the Hub", "in the folder"])
def test_a_card_that_was_written_by_hand_stays(
    folder: Path,
    server: HubServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    where: str,
) -> None:
    card = b"---\nlicense: mit\n---\nMy own words.\n"
    model = copied(folder, tmp_path / "model")
    if where == "on the Hub":
        server.commit("org/mine", {"README.md": card})
    else:
        (model / "README.md").write_bytes(card)
    assert main(["push", str(model), "org/mine"]) == 0
    assert content(server, "org/mine", "README.md") == card
    assert ("written by hand" in caplog.text) == (where == "on the Hub")


def test_a_card_without_words_is_no_loss(folder: Path, server: HubServer) -> None:
    # As the Hub makes one where a repository is made with a licence.
    server.commit("org/mine", {"README.md": b"---\nlicense: mit\n---\n"})
    assert main(["push", str(folder), "org/mine"]) == 0
    assert "library_name: posekit" in content(server, "org/mine", "README.md").decode()


def test_a_dry_run_asks_nobody(
    folder: Path, server: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", str(folder), "org/mine", "dry_run=true", "branch=v2"]) == 0
    printed = capsys.readouterr().out
    size = (folder / "model.safetensors").stat().st_size
    assert re.search(rf"model\.safetensors +{size:,}", printed)
    assert "hf://org/mine@v2" in printed
    assert server.exchanges == []


def test_a_link_out_of_the_folder_is_refused(
    folder: Path, server: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = copied(folder, tmp_path / "model")
    (tmp_path / "key").write_text("secret")
    (model / "notes.txt").symlink_to(tmp_path / "key")
    assert main(["push", str(model), "org/mine"]) == 1
    assert "notes.txt is a link out of the folder" in capsys.readouterr().err
    assert server.exchanges == []


def test_a_model_that_nobody_could_load_is_refused(
    folder: Path, server: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = copied(folder, tmp_path / "model")
    path = model / "model" / f"{NAME}.yaml"
    values = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**values, "detector": str(tmp_path)}))
    assert main(["push", str(model), "org/mine"]) == 1
    assert "detector: expected the name of a model" in capsys.readouterr().err
    path.write_text(yaml.safe_dump({**values, "input_size": [64, 64]}))
    assert main(["push", str(model), "org/mine"]) == 1
    assert "does not fit" in capsys.readouterr().err
    assert server.exchanges == []


def test_nothing_is_uploaded_offline(
    folder: Path,
    server: HubServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["push", str(folder), "org/mine"]) == 1
    assert "HF_HUB_OFFLINE is set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["privat=true"], "unknown option 'privat'; did you mean private?"),
        (["private=perhaps"], "private must be true or false"),
        (["private"], "expected key=value, found 'private'"),
        (["private=true", "private=false"], "private is given twice"),
        (["picture=nowhere.jpg"], "picture: no such file: nowhere.jpg"),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path,
    server: HubServer,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["push", str(folder), "org/mine", *words]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
