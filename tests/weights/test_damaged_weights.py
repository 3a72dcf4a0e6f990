"""Safetensors whose header is damaged or hostile give one error of posekit's."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

import posekit
from posekit.errors import PosekitError

ENTRY = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
META = {"model": "rtmpose-n_drawn-192x128"}


def nested(depth: int, opening: str, closing: str) -> bytes:
    return ('{"a":' + opening * depth + "1" + closing * depth + "}").encode()


def with_entry(**changes: Any) -> bytes:
    return json.dumps({"__metadata__": META, "a": {**ENTRY, **changes}}).encode()


HEADERS = {
    "nested dicts": nested(1000, '{"a":', "}"),
    "nested lists": nested(3000, "[", "]"),
    "nested metadata": b'{"__metadata__":' + nested(1000, '{"a":', "}") + b"}",
    "not closed": nested(1000, '{"a":', ""),
    "another type": with_entry(dtype="Q99"),
    "a number as type": with_entry(dtype=3),
    "beyond the file": with_entry(shape=[400], data_offsets=[0, 1600]),
    "before the file": with_entry(data_offsets=[-16, 0]),
    "one offset": with_entry(data_offsets=[0]),
    "infinite offset": with_entry(data_offsets=[0, 1]).replace(b"[0, 1]", b"[0, 1e400]"),
    "another shape": with_entry(shape=[5]),
    "negative shape": with_entry(shape=[-4]),
    "no entry": b'{"a":null}',
    "twice": b'{"a":%s,"a":%s}' % ((json.dumps(ENTRY).encode(),) * 2),
    "not UTF-8": b'{"\xff":1}',
    "long number": b'{"a":' + b"9" * 5000 + b"}",
}


def safetensors(path: Path, header: bytes, length: int | None = None) -> Path:
    size = len(header) if length is None else length
    path.write_bytes(struct.pack("<Q", size) + header + bytes(16))
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def check_refused(path: Path) -> None:
    detector = {"detector": "rtmdet-nano_drawn-256", "detector_weights": path}
    for arguments in ({"weights": path}, detector):
        with pytest.raises(PosekitError) as caught:
            posekit.load("demo", device="cpu", **arguments)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_damaged(tmp_path: Path, name: str) -> None:
    check_refused(safetensors(tmp_path / "a.safetensors", HEADERS[name]))


@pytest.mark.parametrize("length", [0, 7, 1 << 20, 99_999_999, 100_000_001, 2**63, 2**64 - 1])
def test_a_length_that_is_not_the_headers(tmp_path: Path, length: int) -> None:
    check_refused(safetensors(tmp_path / "a.safetensors", with_entry(), length))


def test_files_that_made_it_fail(shared: Path) -> None:
    for path in sorted((shared / "cases" / "weights").glob("*.safetensors")):
        check_refused(path)


def test_a_damaged_file_of_the_cache_is_made_again(cache: Path, person_detector: Path) -> None:
    options = {"detector": "rtmdet-nano_person-320", "detector_weights": person_detector}
    posekit.load("demo", device="cpu", **options)
    (cached,) = (cache / "models").glob("*.safetensors")
    size = cached.stat().st_size
    safetensors(cached, HEADERS["nested dicts"])
    posekit.load("demo", device="cpu", **options)
    assert cached.stat().st_size == size
