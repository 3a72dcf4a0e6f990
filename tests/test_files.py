"""Files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from posekit.errors import InputError
from posekit.files import make_folder, replacing, write_atomically


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("sole_writer", [False, True])
def test_a_file_takes_its_place_at_the_end(tmp_path: Path, sync: bool, sole_writer: bool) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with replacing(path, sync=sync, sole_writer=sole_writer) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path and path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_written_over_by_a_sole_writer(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    with replacing(path, sole_writer=True) as temporary:
        temporary.write_text("half of a longer file")
        left = temporary.read_text()
        first = temporary
    first.write_text(left)
    with replacing(path, sole_writer=True) as temporary:
        assert temporary == first
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_sole_writers_of_files_with_long_names_stay_apart(tmp_path: Path) -> None:
    names = [f"{'a' * 200}-{number}.safetensors" for number in range(2)]
    with (
        replacing(tmp_path / names[0], sole_writer=True) as one,
        replacing(tmp_path / names[1], sole_writer=True) as other,
    ):
        assert one != other
        one.write_text("0")
        other.write_text("1")
    assert [(tmp_path / name).read_text() for name in names] == ["0", "1"]


def test_bytes_that_are_none_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        write_atomically(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "gone" / "a.json", b"")


def test_a_url_is_no_folder_to_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path has one slash where a URL has two, and would be a folder called `s3:`."""
    monkeypatch.chdir(tmp_path)
    for folder in (Path("s3://bucket/out"), Path("gs://bucket/out").absolute()):
        with pytest.raises(InputError, match=r"a folder of this machine .* a URL of (s3|gs)://: "):
            make_folder(folder)
    assert not list(tmp_path.iterdir())
    Path("s3:").mkdir()  # whoever made it wants it
    make_folder(Path("s3:/out"))
    make_folder(tmp_path / "a: b" / "12:")
