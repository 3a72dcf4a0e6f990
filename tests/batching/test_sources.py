"""Which clips inputs name, and what their results are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posekit.batching.options import Shard
from posekit.batching.sources import find_sources, in_shard, name_sources
from posekit.errors import InputError
from posekit.io.listing import Listing

ALL = Listing.of(True, None)


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def names(inputs: Any, *, folder: Path = Path("/nowhere"), root: str | None = None, **options: Any
          ) -> list[str]:  # fmt: skip
    _, sources = name_sources(
        find_sources(inputs, Listing.of(True, options.get("include")), folder=folder), root
    )
    return [source.name for source in sources]


def test_a_folder_stands_for_the_clips_below_it(tmp_path: Path) -> None:
    touched(tmp_path, "b.mp4", "cam1/a.mp4", "cam1/x.txt", ".hidden/c.mp4", "cam1/.d.mp4")
    assert names(tmp_path) == ["b.mp4", "cam1/a.mp4"]
    assert names(tmp_path, include="b*") == ["b.mp4"]


def test_names_do_not_depend_on_what_is_found(tmp_path: Path) -> None:
    touched(tmp_path, "cam1/a.mp4")
    assert names(tmp_path) == ["cam1/a.mp4"]
    assert names(f"{tmp_path}/**/*.mp4") == ["cam1/a.mp4"]
    assert names(f"{tmp_path}/cam*/a.mp4") == ["cam1/a.mp4"]
    assert names(tmp_path / "cam1" / "a.mp4") == ["a.mp4"]


def test_two_roots_with_the_same_names(tmp_path: Path) -> None:
    touched(tmp_path, "one/a.mp4", "two/a.mp4", "one/a.avi")
    both = [tmp_path / "one", tmp_path / "two"]
    assert names(both) == ["one/a.avi", "one/a.mp4", "two/a.mp4"]
    assert names(both[1], root=str(tmp_path)) == ["two/a.mp4"]
    with pytest.raises(InputError, match=r"two/a\.mp4 does not lie below base="):
        names(both, root=str(both[0]))


def test_a_clip_that_is_named_twice_is_done_once(tmp_path: Path) -> None:
    touched(tmp_path, "a.mp4")
    assert names([tmp_path, tmp_path / "a.mp4", f"{tmp_path}/./*.mp4"]) == ["a.mp4"]


@pytest.mark.parametrize("name", ["[1] a,b.mp4", "ü ñ #1.mp4", "webcam", "a\nb.mp4", "x=1;y.mp4"])
def test_odd_names(tmp_path: Path, name: str) -> None:
    touched(tmp_path, name)
    assert names([tmp_path / name]) == [name]


def test_links_count_by_their_own_names(tmp_path: Path) -> None:
    touched(tmp_path, "real/a.mp4")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.mp4").symlink_to(tmp_path / "real" / "a.mp4")
    (tmp_path / "in" / "c.mp4").symlink_to(tmp_path / "real" / "a.mp4")
    assert names(tmp_path / "in") == ["b.mp4", "c.mp4"]
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    assert names(tmp_path / "linked") == ["a.mp4"]


def test_results_below_the_inputs_are_no_clips(tmp_path: Path) -> None:
    touched(tmp_path, "a.mp4", "out/a.mp4.drawn.mp4")
    assert names(tmp_path, folder=tmp_path / "out") == ["a.mp4"]
    assert names(tmp_path / "out", folder=tmp_path) == ["a.mp4.drawn.mp4"]


def test_lists(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touched(tmp_path, "clips/a.mp4", "clips/b, c.mp4")
    (tmp_path / "list.txt").write_text("\ufeff# comment\r\nclips/a.mp4\r\n\r\nclips/gone.mp4\n")
    (tmp_path / "list.csv").write_text('id;path\n1;clips/a.mp4\n2;"clips/b, c.mp4"\n')
    (tmp_path / "bare.csv").write_text("clips/a.mp4,left\n")
    assert names(tmp_path / "list.csv") == ["a.mp4", "b, c.mp4"]
    assert names(tmp_path / "bare.csv") == ["a.mp4"]
    assert names(tmp_path / "list.txt") == ["a.mp4", "gone.mp4"]
    assert "list.txt, line 4: no such file" in caplog.text
    (tmp_path / "powershell.txt").write_text("clips/a.mp4\r\n", encoding="utf-16", newline="")
    assert names(tmp_path / "powershell.txt") == ["a.mp4"]
    touched(tmp_path, odd := "clips/a\u2028b\x0bc.mp4")  # signs at which Python splits lines
    (tmp_path / "odd.txt").write_text(f"{odd}\n", encoding="utf-8")
    assert names(tmp_path / "odd.txt") == [Path(odd).name]
    touched(tmp_path, "clips/'x'", "clips/it's.mp4")
    lines = ['"clips/b, c.mp4"', "'clips/a.mp4'", "file 'clips/a.mp4'", '"clips/it\'s.mp4"', "'x'"]
    (tmp_path / "clips" / "quoted.txt").write_text("\n".join(lines).replace("clips/", ""))
    assert names(tmp_path / "clips" / "quoted.txt") == ["b, c.mp4", "a.mp4", "it's.mp4", "'x'"]
    (tmp_path / "outer.txt").write_text("list.csv\nlist.csv\n")
    assert names(tmp_path / "outer.txt") == ["a.mp4", "b, c.mp4"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("gone.mp4", "no such file"),
        ("*.mp4", "matches the pattern"),
        ([], "inputs is empty"),
        ("empty", "no images or videos in the folder"),
        ("empty.txt", "the list .* is empty"),
        ("binary.txt", "binary.txt is not text in UTF-8: save it as such"),
        ("one.txt", "one.txt names itself: expected clips and folders in it"),
        ("webcam:0", "found the camera"),
        ("rtsp://host/a", "found the stream"),
        ("tape://a", "must be a path or a URL"),
        ([3], "found int"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("\n# nothing\n")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)))
    (tmp_path / "one.txt").write_text("two.txt\n")
    (tmp_path / "two.txt").write_text("./one.txt\n")
    with pytest.raises(InputError, match=message):
        names(inputs)


def test_one_of_several_that_is_gone_fails_alone(tmp_path: Path) -> None:
    touched(tmp_path, "a.mp4")
    _, sources = name_sources(
        find_sources([tmp_path / "a.mp4", tmp_path / "b.mp4"], ALL, folder=Path("/nowhere"))
    )
    assert [(one.name, one.size) for one in sources] == [("a.mp4", 1), ("b.mp4", None)]


def test_shards_are_disjoint_and_whole_and_do_not_move(tmp_path: Path) -> None:
    touched(tmp_path, *(f"{number}.mp4" for number in range(40)))
    _, sources = name_sources(find_sources(tmp_path, ALL, folder=Path("/nowhere")))
    parts = [in_shard(sources, Shard(number, 3)) for number in (1, 2, 3)]
    assert sorted(one.name for part in parts for one in part) == sorted(s.name for s in sources)
    assert all(5 < len(part) < 25 for part in parts)
    (tmp_path / "0.mp4").unlink()
    _, fewer = name_sources(find_sources(tmp_path, ALL, folder=Path("/nowhere")))
    assert set(in_shard(fewer, Shard(1, 3))) <= set(parts[0])


def test_files_of_a_store(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for name in ("/bucket/cam1/a.mp4", "/bucket/cam1/notes.md", "/bucket/b?.mp4"):
        store.pipe(name, b"x")
    assert sorted(names("memory://bucket")) == ["b?.mp4", "cam1/a.mp4"]
    assert names("memory://bucket/**/a.mp4") == ["cam1/a.mp4"]
    assert names("memory://bucket/cam1/a.mp4") == ["a.mp4"]
    touched(tmp_path, "clips/c.mp4")
    assert names(f"file://{tmp_path}/clips") == ["c.mp4"]
    for url, message in (("memory://bucket/none", "no such file"), ("s3://a/b", "cannot open")):
        with pytest.raises(InputError, match=message):
            names(url)
    with pytest.raises(InputError, match="no folder in common"):
        names(["memory://bucket", tmp_path])


def test_the_clip_of_the_package_is_named_like_any_other() -> None:
    assert names("posekit:demo.mp4") == ["demo.mp4"]
    with pytest.raises(InputError, match="not in the package"):
        names("posekit:other.mp4")
