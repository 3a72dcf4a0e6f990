"""The SHA-256 of weights that were loaded."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from posekit.weights.digests import WeightDigests


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_the_file_that_was_named_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.pth").write_bytes(b"as it came")
    (tmp_path / "cached").write_bytes(b"converted")
    (tmp_path / "published").write_bytes(b"a file that is only called so")
    for named, content in (
        ("mine.pth", b"as it came"),
        (tmp_path / "mine.pth", b"as it came"),
        ("published", b"converted"),
        ("int8", b"converted"),
        (None, b"converted"),
        (tmp_path, b"converted"),
        ("https://example.org/mine.pth", b"converted"),
    ):
        digests = WeightDigests()
        digests.add("model", named, tmp_path / "cached")
        assert dict(digests) == {"model": sha256(content)}, named


def test_a_graph_is_taken_with_the_weights_beside_it(tmp_path: Path) -> None:
    graph, weights = tmp_path / "a.xml", tmp_path / "a.bin"
    graph.write_text('<?xml version="1.0"?><net/>')
    found = []
    for content in (b"one", b"two"):
        weights.write_bytes(content)
        digests = WeightDigests()
        digests.add("model", graph, graph)
        found.append(digests["model"])
    assert found[0] != found[1] and len(found[0]) == 64


def test_a_file_that_changed_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    digests = WeightDigests()
    for kind in ("model", "detector", "lifter"):
        (tmp_path / kind).write_bytes(b"before")
        digests.add(kind, None, tmp_path / kind)
    os.utime(tmp_path / "model", ns=(1, 1))
    (tmp_path / "lifter").unlink()
    assert dict(digests) == {"detector": sha256(b"before")}
    assert len(digests) == 1 and "model" not in digests
    assert caplog.text.count("has changed since it was loaded") == 2


def test_nothing_is_read_before_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    monkeypatch.setattr("posekit.weights.digests.sha256_of", lambda path: read.append(path) or "0")
    (tmp_path / "a").write_bytes(b"weights")
    digests = WeightDigests()
    digests.add("model", None, tmp_path / "a")
    assert not read
    assert (digests["model"], digests["model"], len(read)) == ("0", "0", 1)
