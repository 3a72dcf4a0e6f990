"""Labels that lie in tar shards beside their images, of this machine and of a server."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

import posekit
from posekit.cli import main
from posekit.datasets.batches import batches, collate, init_worker
from posekit.datasets.label_files import read_json
from posekit.datasets.pose_samples import PoseDataset
from posekit.datasets.sampler import ResumableSampler
from posekit.datasets.shards import are_shards, label_name
from posekit.datasets.sources import parse_sources
from posekit.errors import InputError
from posekit.skeleton import load_skeleton
from tests.training import runs
from tests.training.test_loop import assert_same_state


@pytest.fixture
def made(tmp_path: Path) -> tuple[list[str], Path, str]:
    """A run's overrides, labels, and the pattern of three shards of them."""
    options = runs.workshop(tmp_path)
    labels = tmp_path / "data" / "discs.json"
    content = json.loads(labels.read_text())
    content["annotations"].reverse()  # an order of its own
    labels.write_text(json.dumps(content))
    pattern = str(tmp_path / "shards" / "{000..002}.tar")
    assert main(["labels", str(labels), f"out={pattern}"]) == 0
    return options, labels, pattern


def test_shards_are_webdatasets_samples(made: tuple[list[str], Path, str]) -> None:
    _, labels, pattern = made
    names: list[str] = []
    for number in range(3):
        with tarfile.open(pattern.replace("{000..002}", f"{number:03}")) as archive:
            names += archive.getnames()
            assert all(entry.isreg() for entry in archive)
    stems = [name.partition(".")[0] for name in names]
    assert stems[::2] == stems[1::2] and len(names) == 16
    assert {name.partition(".")[2] for name in names} == {"png", "json"}
    before, after = json.loads(labels.read_text()), read_json(pattern)
    assert [row["id"] for row in after["annotations"]] == [r["id"] for r in before["annotations"]]
    assert [row["id"] for row in after["images"]] == [row["id"] for row in before["images"]]
    assert [row["name"] for row in after["categories"]] == ["person"]
    assert (Path(pattern).parent / "{000..002}.json").exists() is False


@pytest.mark.parametrize(("wanted", "name"), [
    ("shards/{000..012}.tar", "shards"), ("a/coco-{00..9}.tar", "coco"), ("b/train*.tar", "train"),
    ("b/x.json", "x"), ("*.tar", "shards"),
])  # fmt: skip
def test_what_labels_are_called(wanted: str, name: str) -> None:
    assert label_name(wanted) == name and are_shards(wanted) == wanted.endswith(".tar")


def test_training_from_shards_is_training_from_the_files(
    made: tuple[list[str], Path, str], tmp_path: Path
) -> None:
    options, labels, pattern = made
    runs_of = {}
    for name, source in (("plain", str(labels)), ("sharded", pattern)):
        given = [text for text in options if not text.startswith("dataset.train")]
        data = [f"dataset.train='{source}'", f"dataset.val='{source}'", "val_every=1", "epochs=2"]
        runs_of[name] = runs.train(tmp_path, *given, *data, f"out_dir={tmp_path / name}")
    plain, sharded = runs_of["plain"], runs_of["sharded"]
    assert_same_state(runs.weights(sharded), runs.weights(plain))
    assert runs.losses(sharded) == runs.losses(plain)  # of each step, bit for bit
    assert (sharded / "val.csv").read_text() == (plain / "val.csv").read_text()
    posekit.load(sharded / "export", device="cpu")


def test_workers_and_processes_share_an_epoch(made: tuple[list[str], Path, str]) -> None:
    """Two processes of two workers each: every sample once, also where one resumes."""
    _, labels, pattern = made
    skeleton = load_skeleton("coco")
    samples = {
        where: PoseDataset(parse_sources(where), skeleton, input_size=(32, 32))
        for where in (pattern, str(labels))
    }
    assert len(samples[pattern]) == len(samples[str(labels)]) > 6
    seen: list[int] = []
    for rank in range(2):
        whole: list[int] = []
        for start in (0, 4):  # samples of all processes
            sampler = ResumableSampler(len(samples[pattern]), rank=rank, ranks=2, even=False)
            sampler.advance(start)
            loader = torch.utils.data.DataLoader(
                samples[pattern], 1, sampler=sampler, collate_fn=collate, num_workers=2,
                worker_init_fn=init_worker,
            )  # fmt: skip
            ids = [int(batch["annotation_id"][0]) for batch in batches(loader)]
            assert not start or ids == whole[2:]
            whole = whole or ids
        seen += whole
    assert sorted(seen) == sorted(
        row["id"] for row in json.loads(labels.read_text())["annotations"]
    )
    for index in range(len(samples[pattern])):
        one, other = (samples[where][index] for where in samples)
        assert all(np.array_equal(one[key], other[key]) for key in one)


def test_shards_of_a_store(made: tuple[list[str], Path, str], tmp_path: Path,
                           monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    _, labels, pattern = made
    for path in Path(pattern).parent.glob("*.tar"):
        fsspec.filesystem("memory").pipe(f"/bucket/{path.name}", path.read_bytes())
    before = json.loads(labels.read_text())
    for where in ("memory://bucket/*.tar", "memory://bucket/{000..002}.tar"):
        content = read_json(where)
        assert len(content["annotations"]) == len(before["annotations"])
        (source,) = parse_sources(where, root="/elsewhere")
        samples = PoseDataset([source], load_skeleton("coco"), input_size=(32, 32))
        assert samples[0]["crop"].any()
    with pytest.raises(InputError, match=r"no such file: memory://bucket/003\.tar"):
        read_json("memory://bucket/{000..003}.tar")


def test_shards_that_are_written_again_are_read_again(
    made: tuple[list[str], Path, str], tmp_path: Path
) -> None:
    _, labels, _ = made
    one = tmp_path / "one.tar"
    with pytest.raises(InputError, match="no such file"):
        read_json(str(one))
    content = json.loads(labels.read_text())
    for count in (8, 3):
        content["annotations"] = content["annotations"][:count]
        labels.write_text(json.dumps(content))
        assert main(["labels", str(labels), f"out={one}"]) == 0
        assert len(read_json(str(one))["annotations"]) == count
        one.unlink()


def damage(pattern: str, how: str) -> str:
    path = Path(pattern.replace("{000..002}", "001"))
    data = path.read_bytes()
    if how == "cut":
        data = data[: len(data) // 2]
    elif how == "header":
        with tarfile.open(path) as archive:
            offset = archive.getmembers()[1].offset
        data = data[:offset] + b"\xff" * 512 + data[offset + 512 :]
    elif how == "json":
        data = data.replace(b'"annotations": [', b'"annotations": {')
    elif how == "empty":
        data = b""
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("how", ["cut", "header", "json", "empty", "gone"])
def test_a_damaged_shard_is_named(
    made: tuple[list[str], Path, str], how: str, tmp_path: Path
) -> None:
    options, _, pattern = made
    shard = damage(pattern, how)
    if how == "gone":
        Path(shard).unlink()
    given = [text for text in options if not text.startswith("dataset.train")]
    with pytest.raises(InputError, match=shard.replace(".", r"\.")):
        runs.train(tmp_path, *given, f"dataset.train='{pattern}'", f"out_dir={tmp_path / 'run'}")


def test_a_tar_without_labels_says_what_is_missing(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(__file__, "a.jpg")
    with pytest.raises(InputError, match="no labels in it: expected a JSON beside each image"):
        read_json(str(tmp_path / "x.tar"))
    with pytest.raises(InputError, match=r"y\.tar cannot be read: no such file"):
        read_json(str(tmp_path / "y.tar"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["out=a/{0..99}.tar"], "8 images are too few for 100 shards"),
        (["out=a/{9..1}.tar"], "expected a range such as"),
        (["out=a.tar", "keypoints=coco"], "keypoints does not apply"),
        (["out=a.zip"], r"out must end in \.json or \.tar"),
    ],
)
def test_what_is_refused(
    made: tuple[list[str], Path, str], tmp_path: Path, words: list[str], message: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    _, labels, _ = made
    assert main(["labels", str(labels), *words]) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "a").exists() and not (tmp_path / "a.tar").exists()
