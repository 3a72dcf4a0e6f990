"""Shards of a server that are read in parts, as they are needed."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from posekit.cli import main
from posekit.datasets import archives, remote_shards
from posekit.datasets.batches import batches, collate, init_worker
from posekit.datasets.label_files import read_json
from posekit.datasets.pose_samples import PoseDataset
from posekit.datasets.sampler import ResumableSampler
from posekit.datasets.sources import parse_sources
from posekit.errors import InputError
from posekit.io import remote_parts
from posekit.skeleton import load_skeleton
from tests.datasets.shard_server import ShardServer, serving
from tests.training import runs
from tests.training.test_loop import assert_same_state

pytest.importorskip("aiohttp")


def forget() -> None:
    """As in a new process."""
    listings = (archives._shards, archives._remote_shards, archives._index, archives._folders)
    for cached in (*listings, remote_shards.about_of):
        cached.cache_clear()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShardServer]:
    """A server of three shards, `shards/{000..002}.tar`; `data/discs.json` is what is in them."""
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote_parts, "WAITS", (0.0,) * 5)
    forget()
    runs.workshop(tmp_path)
    pattern = tmp_path / "shards" / "{000..002}.tar"
    assert main(["labels", str(tmp_path / "data" / "discs.json"), f"out={pattern}"]) == 0
    with serving(tmp_path) as found:
        yield found
    forget()


def url(server: ShardServer) -> str:
    return f"{server.address}/shards/{{000..002}}.tar"


def dataset(where: str, **more: bool) -> PoseDataset:
    (source,) = parse_sources({"annotations": where, **more})
    return PoseDataset([source], load_skeleton("coco"), input_size=(32, 32))


def assert_same_samples(one: PoseDataset, other: PoseDataset) -> None:
    keys = range(len(other))
    assert len(one) == len(other)
    for a, b in zip(one.__getitems__(keys), other.__getitems__(keys), strict=True):
        assert all(np.array_equal(a[key], b[key]) for key in b)


def test_a_run_from_a_server_is_the_run_from_files(server: ShardServer, tmp_path: Path) -> None:
    """Also where it stops in an epoch and goes on, with other loading processes."""
    options = [text for text in runs.OPTIONS if "epochs" not in text]
    found = {}
    for name, where in (
        ("here", str(tmp_path / "shards" / "{000..002}.tar")),
        ("there", url(server)),
    ):
        given = [
            *options, f"dataset.train='{where}'", f"dataset.val='{where}'", "epochs=2",
            "val_every=1", "checkpoint_every=1", f"out_dir={tmp_path / name}",
        ]  # fmt: skip
        if name == "there":
            with runs.interrupted_after("step 1/4"), pytest.raises(KeyboardInterrupt):
                runs.train(tmp_path, *given)
            given += ["resume=true", "num_workers=2"]
        found[name] = runs.train(tmp_path, *given)
    assert_same_state(runs.weights(found["there"]), runs.weights(found["here"]))
    assert (found["there"] / "val.csv").read_text() == (found["here"] / "val.csv").read_text()
    kept = sum(path.stat().st_size for path in (tmp_path / "cache" / "shards").iterdir())
    assert not list((tmp_path / "cache" / "shards").glob("*.tar"))
    assert kept < 0.5 * sum(p.stat().st_size for p in (tmp_path / "shards").iterdir())


@pytest.mark.parametrize("fault", ["none", "cut", "busy", "whole"])
def test_a_server_with_faults_gives_the_same_samples(
    server: ShardServer, fault: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.most = {"cut": 700}.get(fault)
    server.busy = {"busy": 3}.get(fault, 0)
    server.ranges = fault != "whole"
    found = dataset(url(server))
    assert_same_samples(found, dataset(str(tmp_path / "shards" / "{000..002}.tar")))
    assert ("sends no parts of files: 3 of 3 shards are copied" in caplog.text) == (
        fault == "whole"
    )
    assert ("in each epoch again; keep: true" in caplog.text) == (fault != "whole")
    assert len(list((tmp_path / "cache" / "shards").glob("*.tar"))) == 3 * (fault == "whole")


def test_workers_request_each_image_once_in_an_epoch(server: ShardServer, tmp_path: Path) -> None:
    samples = dataset(url(server))
    before = len(server.asked)
    loader = torch.utils.data.DataLoader(
        samples, 2, sampler=ResumableSampler(len(samples)), collate_fn=collate, num_workers=2,
        worker_init_fn=init_worker,
    )  # fmt: skip
    ids = [int(number) for batch in batches(loader) for number in batch["annotation_id"]]
    here = dataset(str(tmp_path / "shards" / "{000..002}.tar"))
    order = ResumableSampler(len(here))
    assert ids == [int(here[key]["annotation_id"]) for key in order]
    assert len(server.asked) - before == len(ids)  # of one person each


def test_the_next_process_does_not_list_again(server: ShardServer) -> None:
    read_json(url(server))
    first = server.sent
    forget()
    again = read_json(url(server))
    assert len(again["images"]) == 8
    assert server.sent - first == 3  # a byte of each, to see that it is the same


def test_what_is_kept_is_fetched_once_also_after_a_stop(
    server: ShardServer, tmp_path: Path
) -> None:
    server.most = 700
    samples = dataset(url(server), keep=True)
    sizes = sum(path.stat().st_size for path in (tmp_path / "shards").iterdir())
    assert server.sent == sizes + 3
    assert_same_samples(samples, dataset(str(tmp_path / "shards" / "{000..002}.tar")))
    copies = sorted((tmp_path / "cache" / "shards").glob("*.tar"))
    content = copies[0].read_bytes()
    copies[0].rename(part := copies[0].with_name(f"{copies[0].name}.part"))
    os.truncate(part, 1000)
    forget()
    dataset(url(server), keep=True)
    assert copies[0].read_bytes() == content
    assert server.sent == 2 * 3 + 2 * sizes - sizes + len(content) - 1000


@pytest.mark.parametrize("keep", [False, True])
def test_a_server_that_stays_away_is_named_with_its_shard(server: ShardServer, keep: bool) -> None:
    if not keep:
        samples = dataset(url(server))
    server.busy = 10**6
    with pytest.raises(InputError) as error:
        if keep:
            dataset(url(server), keep=True)
        else:
            samples.__getitems__([7])
    assert f"{server.address}/shards/00" in str(error.value)
    assert "503 Service Unavailable" in str(error.value)
    assert keep or "6 times in a row" in str(error.value)


def test_a_missing_shard_is_named(server: ShardServer) -> None:
    with pytest.raises(InputError, match=r"no such file: http.*/shards/003\.tar"):
        read_json(f"{server.address}/shards/{{000..003}}.tar")


@pytest.mark.parametrize("tags", [True, False])  # without them, by the headers in the tar
def test_a_shard_that_changes_between_epochs_is_refused(
    server: ShardServer, tags: bool, tmp_path: Path
) -> None:
    server.tags = tags
    samples = dataset(url(server))
    samples._images.budget = 0
    samples.__getitems__([(0, 0)])
    labels = tmp_path / "data" / "discs.json"
    content = json.loads(labels.read_text())
    content["images"].reverse()
    labels.write_text(json.dumps(content))
    pattern = tmp_path / "shards" / "{000..002}.tar"
    for path in pattern.parent.iterdir():
        path.unlink()
    assert main(["labels", str(labels), f"out={pattern}"]) == 0
    with pytest.raises(InputError, match=r"shards/00\d\.tar has changed since it was listed"):
        for index in range(len(samples)):
            samples.__getitems__([(1, index)])


@pytest.mark.parametrize("damage", ["cut", "header"])
def test_a_damaged_shard_is_named(server: ShardServer, damage: str) -> None:
    path = server.folder / "shards" / "001.tar"
    data = path.read_bytes()
    data = data[: len(data) // 2] if damage == "cut" else data[:2048] + b"\xff" * 512 + data[2560:]
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"http.*/shards/001\.tar cannot be read as an archive"):
        read_json(url(server))


@pytest.mark.parametrize("packed", [False, True])
def test_images_in_a_zip_of_a_server(server: ShardServer, packed: bool, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED if packed else 0) as file:
        for path in data.glob("*.png"):
            file.write(path, f"train/{path.name}")
    where = {"annotations": str(data / "discs.json"), "images": f"{server.address}/all.zip/train"}
    there, here = (
        PoseDataset(parse_sources(source), load_skeleton("coco"), input_size=(32, 32))
        for source in (where, str(data / "discs.json"))
    )
    assert_same_samples(there, here)


def test_keep_is_for_urls(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dataset\.train\.keep is for archives that are URLs"):
        parse_sources({"annotations": str(tmp_path / "x.tar"), "keep": True})
    with pytest.raises(InputError, match=r"keep must be true or false, found 'yes'"):
        parse_sources({"annotations": "https://example.org/x.tar", "keep": "yes"})
