"""Images that stay in tar and ZIP files."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from posekit.cli import main
from posekit.datasets.archives import file_size, is_folder, names_in, read_file
from posekit.errors import InputError
from tests.training import runs
from tests.training.test_loop import assert_same_state

CONTENT = {"a/one.txt": b"1" * 3000, "a/two.txt": b"", "three.txt": b"3"}


def make(path: Path, content: dict[str, bytes], packed: bool = False) -> Path:
    """A tar or a ZIP."""
    source = path.parent / "member"
    if path.suffix == ".tar":
        with tarfile.open(path, "w") as tar:
            for name, data in content.items():
                source.write_bytes(data)
                tar.add(source, name)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else 0) as archive:
            for name, data in content.items():
                archive.writestr(name, data)
    return path


@pytest.mark.parametrize(("name", "packed"), [("x.tar", False), ("x.zip", False), ("x.zip", True)])
def test_members_are_files(tmp_path: Path, name: str, packed: bool) -> None:
    archive = make(tmp_path / name, CONTENT, packed)
    for member, data in CONTENT.items():
        assert read_file(archive / member).tobytes() == data
        assert file_size(archive / member) == len(data)
    assert names_in(archive) == {"a", "three.txt"}
    assert names_in(archive / "a") == {"one.txt", "two.txt"}
    assert is_folder(archive) and is_folder(archive / "a") and not is_folder(archive / "b")
    assert file_size(archive / "none.txt") == file_size(tmp_path / "none.tar" / "x") == -1
    assert file_size(archive / "a") == -1
    with pytest.raises(OSError, match="Not a directory"):
        read_file(archive / "none.txt")


def test_shards_are_one_folder(tmp_path: Path) -> None:
    for i in range(3):
        make(tmp_path / f"{i:03}.tar", {f"{i}.txt": b"%d" % i})
    for pattern in ("{000..002}.tar", "*.tar"):
        shards = tmp_path / pattern
        assert names_in(shards) == {"0.txt", "1.txt", "2.txt"}
        assert read_file(shards / "2.txt").tobytes() == b"2"
    with pytest.raises(InputError, match=r"1 shards are missing, such as .*003\.tar"):
        is_folder(tmp_path / "{000..003}.tar")
    make(tmp_path / "003.tar", {"0.txt": b"again"})
    with pytest.raises(InputError, match=r"0\.txt is in .*000\.tar and in .*003\.tar"):
        is_folder(tmp_path / "{000..003}.tar")


def test_damage_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"not a tar" * 100)
    with pytest.raises(InputError, match=r"x\.tar cannot be read as an archive"):
        file_size(tmp_path / "x.tar" / "a")
    for packed in (False, True):
        archive = make(tmp_path / f"{packed}.zip", {"a": bytes(range(200))}, packed)
        data = bytearray(archive.read_bytes())
        data[60] ^= 255
        (tmp_path / f"again-{packed}.zip").write_bytes(data)
        with pytest.raises(OSError, match="damaged"):
            read_file(tmp_path / f"again-{packed}.zip" / "a")


def test_an_archive_that_changes_is_not_read_at_the_old_places(tmp_path: Path) -> None:
    archive = make(tmp_path / "x.tar", CONTENT)
    assert read_file(archive / "three.txt").tobytes() == b"3"
    make(archive, {"other.txt": b"x" * 9000, "three.txt": b"4"})
    os.utime(archive, ns=(0, 0))  # whatever the clock's steps are
    with pytest.raises(OSError, match="has changed since it was listed"):
        read_file(archive / "three.txt")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_training_from_archives_is_training_from_the_folder(tmp_path: Path, kind: str) -> None:
    options = [*runs.workshop(tmp_path), "epochs=2", "val_every=1"]
    data = tmp_path / "data"
    labels = data / "discs.json"
    plain = [f"dataset.val={labels}", f"out_dir={tmp_path / 'plain'}"]
    expected = runs.train(tmp_path, *options, *plain)
    pictures = sorted(data.glob("*.png"))
    inner = "inner/" if kind == "zip" else ""
    for i in range(2):
        content = {f"{inner}{path.name}": path.read_bytes() for path in pictures[i::2]}
        make(tmp_path / f"{i:03}.{kind}", content)
    for path in pictures:
        path.unlink()
    source = f"{{annotations: {labels}, images: '{tmp_path}/{{000..001}}.{kind}/{inner}'}}"
    sharded = [f"dataset.train={source}", f"dataset.val={source}"]
    del options[1]  # the folder's
    found = runs.train(tmp_path, *options, *sharded, f"out_dir={tmp_path / 'sharded'}")
    assert_same_state(runs.weights(found), runs.weights(expected))
    assert (found / "val.csv").read_text() == (expected / "val.csv").read_text()
    arguments = [f"model={found}", "dataset=custom", f"dataset.val={source}", "device=cpu"]
    assert main(["evaluate", *arguments]) == 0


def test_a_picture_that_is_missing_from_shards_is_named(tmp_path: Path) -> None:
    options = runs.workshop(tmp_path)
    del options[1]  # the folder's
    pictures = sorted((tmp_path / "data").glob("*.png"))
    content = {path.name: path.read_bytes() for path in pictures[1:]}
    content[pictures[2].name] = np.zeros(10, np.uint8).tobytes()
    archive = make(tmp_path / "x.tar", content)
    source = f"dataset.train={{annotations: {tmp_path / 'data' / 'discs.json'}, images: {archive}}}"
    with pytest.raises(InputError) as error:
        runs.train(tmp_path, *options, source, "dry_run=true")
    assert f"missing image files: {archive}/0.png (image 10)" in str(error.value)
    assert f"not readable images: {archive}/2.png (image 12)" in str(error.value)
