"""Weights found, downloaded, verified, converted and cached, with a server on the loopback."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import huggingface_hub
import pytest
import torch
import yaml
from huggingface_hub import file_download
from packaging.version import Version
from safetensors.torch import load, load_file, safe_open, save

from posekit import checkpoints, hub_client
from posekit.build import build_network
from posekit.checkpoints import Checkpoint, Source
from posekit.config import find_checkpoint, read_config
from posekit.errors import DownloadError, InputError, OutputError, PosekitError, WeightsError
from posekit.files import cache_dir
from posekit.spec import load_spec
from posekit.weights import download, hub
from posekit.weights.load import load_network
from posekit.weights.tensors import load_weights
from tests.hub_server import COMMIT, HubServer, keep_client_in
from tests.networks import reference_state
from tests.processes import run_python

ROOT = Path(__file__).resolve().parents[2]
MODEL = "rtmdet-nano_person-320"
SEEDED = ROOT / "tests" / "data" / "detector" / "rtmdet_nano_320-8xb32_coco-person"


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer().running() as running:
        yield running


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of posekit, and one of the Hub's client; none of the user's settings."""
    for name in ("HF_HUB_OFFLINE", "HF_ENDPOINT", "POSEKIT_HUB_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    keep_client_in(monkeypatch, tmp_path / "hf")
    monkeypatch.setattr(download, "PAUSES", (0, 0, 0))
    return tmp_path / "cache"


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the table's sources of MODEL."""

    def publish(*sources: str | Source) -> None:
        row = Checkpoint(
            name=MODEL,
            task="detection",
            config="",
            sources=tuple(s if isinstance(s, Source) else Source(s) for s in sources),
            metrics=(),
            license="Apache-2.0",
            training_data="",
        )
        monkeypatch.setattr(checkpoints, "CHECKPOINTS", (row,))

    return publish


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A seeded checkpoint of MODEL in OpenMMLab's layout."""
    path = tmp_path_factory.mktemp("foreign") / "checkpoint.pth"
    torch.save({"meta": {"epoch": 300}, "state_dict": reference_state(SEEDED)}, path)
    return path.read_bytes()


@functools.cache
def posekit_file(value: float = 1.0, model: str = MODEL) -> bytes:
    """A file in posekit's own layout, which is not converted again: that of MODEL's network."""
    net = build_network(load_spec(MODEL).net)
    state = {
        key: torch.full(tensor.shape, value, dtype=tensor.dtype)
        for key, tensor in net.state_dict().items()
    }
    return save(state, metadata={"model": model})


def digits(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]


def files_below(folder: Path) -> list[str]:
    """Names of all files but locks, sorted."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")


# --- an official URL


def test_official_checkpoint_is_downloaded_converted_and_cached(
    server: HubServer, publish: Callable[..., None], cache: Path, foreign: bytes
) -> None:
    name = f"rtmdet_nano-{digits(foreign)}_20230504.pth"
    publish(server.add(f"/detection/{name}", foreign))
    path = hub.resolve_weights(MODEL)
    assert path == cache / "models" / f"{MODEL}.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["model"] == MODEL
    assert metadata["source"] == name
    assert metadata["source_sha256"] == hashlib.sha256(foreign).hexdigest()
    load_weights(build_network(load_spec(MODEL).net), path)
    assert files_below(cache) == [path.name]  # the original is not kept


def test_second_call_asks_nobody(
    server: HubServer, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(server.add("/a.pth", posekit_file()))
    first = hub.resolve_weights(MODEL)
    server.exchanges.clear()
    assert hub.resolve_weights(MODEL) == first
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.resolve_weights(MODEL) == first
    assert server.exchanges == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504.pth", "e48f03d0"),
        ("rtmdet_m_8xb32-300e_coco_20220719_112220_13274d7c.pth", "13274d7c"),
        ("rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e.pth", "05d8511e"),
        ("rtmpose-x_simcc-ucoco_270e-384x288-74fb594_20230320.pth", "74fb594"),
        ("dekr_hrnet-w32_8xb10-140e_coco-512x512_ac7c17bf-20221228.pth", "ac7c17bf"),
        ("rtmw-dw-l-m_simcc-cocktail14_270e-256x192-20231122.pth", None),
        ("td-hm_hrnet-w48_8xb32-210e_humanart-256x192-05178983_20230614.pth", "05178983"),
        ("edpose_res50_coco_3rdparty.pth", None),
        ("iter_1000000.pth", None),
        ("best_20240115_1234567.pth", None),
        ("model.safetensors", None),
    ],
)
def test_digits_in_official_names(name: str, expected: str | None) -> None:
    assert hub._digits_in_name(name) == expected


def test_digits_are_known_of_all_but_a_few_published_files() -> None:
    names = [
        source.location.rpartition("/")[2]
        for row in checkpoints.CHECKPOINTS
        for source in row.sources
        if source.location.startswith(checkpoints.OPENMMLAB)
        and source.location.endswith(".pth")
        and source.sha256 is None
    ]
    without = {name for name in names if hub._digits_in_name(name) is None}
    nameless = ("rtmw-dw-", "td-hm_hrnet-w32_8xb64-210e_exlpose-")
    assert all(name.startswith(nameless) for name in without), without


# --- broken connections


def test_dropped_connection_goes_on_where_it_broke(
    server: HubServer, publish: Callable[..., None]
) -> None:
    content = posekit_file()
    publish(server.add("/a.pth", content, etag='"one"', drops=[7000, 4000]))
    assert hub.resolve_weights(MODEL).read_bytes() == content
    gets = server.gets()
    assert [get.range for get in gets] == [None, "bytes=7000-", "bytes=11000-"]
    assert [get.if_range for get in gets] == [None, '"one"', '"one"']
    assert sum(get.sent for get in gets) == len(content)  # no byte twice


def test_download_given_up_goes_on_at_the_next_call(
    server: HubServer, publish: Callable[..., None]
) -> None:
    content = posekit_file()
    publish(server.add("/a.pth", content, etag='"one"', drops=[4000, 0, 0, 0]))
    with pytest.raises(DownloadError, match=r"broke after 4000 of \d+ bytes, 4 times") as raised:
        hub.resolve_weights(MODEL)
    assert "Run this again to continue where the download broke off." in str(raised.value)
    assert hub.resolve_weights(MODEL).read_bytes() == content
    assert server.gets()[-1].range == "bytes=4000-"
    assert sum(get.sent for get in server.gets()) == len(content)


def test_server_without_ranges_starts_again(
    server: HubServer, publish: Callable[..., None]
) -> None:
    content = posekit_file()
    publish(server.add("/a.pth", content, ranges=False, drops=[7000]))
    assert hub.resolve_weights(MODEL).read_bytes() == content
    assert [get.status for get in server.gets()] == [200, 200]


def test_file_that_changed_meanwhile_starts_again(
    server: HubServer, publish: Callable[..., None]
) -> None:
    publish(server.add("/a.pth", posekit_file(1), etag='"one"', drops=[1000, 0, 0, 0]))
    with pytest.raises(DownloadError):
        hub.resolve_weights(MODEL)
    server.add("/a.pth", posekit_file(2), etag='"two"')
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file(2)


def test_partial_file_that_is_too_long_starts_again(
    server: HubServer, publish: Callable[..., None]
) -> None:
    longer = posekit_file() + bytes(9000)
    drops = [len(longer) - 1000, 0, 0, 0]
    publish(server.add("/a.pth", longer, etag='"one"', drops=drops))
    with pytest.raises(DownloadError):
        hub.resolve_weights(MODEL)
    server.add("/a.pth", posekit_file(), etag='"one"')
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file()
    assert [get.status for get in server.gets()[-2:]] == [416, 200]


def test_a_part_whose_file_cannot_be_told_from_another_starts_again(
    server: HubServer, publish: Callable[..., None]
) -> None:
    publish(server.add("/a.pth", posekit_file(1), drops=[1000] * 4))
    with pytest.raises(DownloadError) as raised:
        hub.resolve_weights(MODEL)
    assert "Run this again" not in str(raised.value)
    server.add("/a.pth", posekit_file(2))
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file(2)
    assert {get.range for get in server.gets()} == {None}


def test_a_download_stays_where_only_writing_fails(server: HubServer, cache: Path) -> None:
    def convert(path: Path, output: Path) -> None:
        raise OutputError(f"cannot write {output}: No space left on device")

    source = Source(server.add("/a.pth", posekit_file()))
    for _ in range(2):
        with pytest.raises(OutputError):
            hub._fetch(source, cache / "out", cache / "downloads", convert, lambda path: None)
    assert len(server.gets()) == 1


def test_server_that_is_busy_is_asked_again(
    server: HubServer, publish: Callable[..., None]
) -> None:
    publish(server.add("/a.pth", posekit_file(), statuses=[503, 429]))
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file()


def test_server_that_falls_silent_is_given_up(
    server: HubServer, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.02)
    silent = threading.Event()
    publish(server.add("/a.pth", posekit_file(), hold=silent))
    with pytest.raises(DownloadError, match="timed out, 4 times"):
        hub.resolve_weights(MODEL)
    silent.set()


# --- files that are not what they should be


def test_wrong_hash_is_removed_and_named(
    server: HubServer, publish: Callable[..., None], cache: Path
) -> None:
    publish(Source(server.add("/net.pth", posekit_file()), "0badc0de"))
    with pytest.raises(DownloadError) as raised:
        hub.resolve_weights(MODEL)
    found = hashlib.sha256(posekit_file()).hexdigest()
    expected = f"net.pth was removed: expected a SHA-256 of 0badc0de..., found {found}"
    assert expected in str(raised.value)
    assert not [name for name in files_below(cache) if name.endswith((".pth", ".safetensors"))]


def test_hash_of_the_table_is_checked(server: HubServer, publish: Callable[..., None]) -> None:
    url = server.add("/net.pth", posekit_file())
    publish(Source(url, "f" * 64))
    with pytest.raises(DownloadError, match="was removed: expected a SHA-256 of ffff"):
        hub.resolve_weights(MODEL)
    publish(Source(url, hashlib.sha256(posekit_file()).hexdigest().upper()))
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file()


@pytest.mark.parametrize("broken", ["half a checkpoint", "half of posekit's", "nothing"])
def test_broken_download_is_removed_and_named(
    server: HubServer, publish: Callable[..., None], cache: Path, foreign: bytes, broken: str
) -> None:
    content = {
        "half a checkpoint": foreign[: len(foreign) // 2],
        "half of posekit's": posekit_file()[:9000],
        "nothing": b"",
    }[broken]
    publish(server.add("/net.pth", content))
    with pytest.raises(DownloadError, match=r"net\.pth was removed: "):
        hub.resolve_weights(MODEL)
    assert "net.pth" not in files_below(cache)


def test_next_source_is_tried(server: HubServer, publish: Callable[..., None]) -> None:
    publish(
        server.url + "/missing.pth",
        server.add("/damaged.pth", posekit_file(1)[:9000]),
        server.add("/good.pth", posekit_file(2)),
    )
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file(2)
    assert [get.path for get in server.gets()] == ["/missing.pth", "/damaged.pth", "/good.pth"]


def test_error_lists_every_source_and_what_to_do(
    server: HubServer, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    closed = "http://127.0.0.1:1/net.pth"
    server.publish("org/there", "other.pth", b"x")
    sources = [
        server.url + "/missing.pth",
        closed,
        "hf://org/nothing/net.pth",
        "hf://org/there/net.pth",
        "hf://org/there/other.pth@no-such-revision",
    ]
    publish(*sources)
    with pytest.raises(DownloadError) as raised:
        hub.resolve_weights(MODEL)
    first, *lines, last = str(raised.value).splitlines()
    assert first == f"no weights for {MODEL}. Tried:"
    assert [line.split(": ")[0].strip() for line in lines] == sources
    reasons = ["HTTP 404", "refused", "Repository Not Found", "Entry Not Found", "Revision Not Fou"]
    assert all(reason in line for reason, line in zip(reasons, lines, strict=True)), lines
    assert "weights=FILE" in last
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


def test_model_without_a_published_checkpoint(publish: Callable[..., None]) -> None:
    publish()
    with pytest.raises(DownloadError, match=r"no source is known[^$]*weights=FILE"):
        hub.resolve_weights(MODEL)


# --- the Hub


def test_hub_source_is_fetched_at_its_revision(
    server: HubServer, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch, foreign: bytes
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url + "/")
    server.publish("org/nets", "sub/net.pth", b"what is on main now")
    server.publish("org/nets", "sub/net.pth", foreign, revision=COMMIT)
    publish(f"hf://org/nets/sub/net.pth@{COMMIT}")
    path = hub.resolve_weights(MODEL)
    load_weights(build_network(load_spec(MODEL).net), path)
    assert server.exchanges[0].path == f"/org/nets/resolve/{COMMIT}/sub/net.pth"


def test_mirror_comes_first(
    server: HubServer, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("POSEKIT_HUB_NAMESPACE", "mirror")
    server.publish(f"mirror/{MODEL}", "model.safetensors", posekit_file(2))
    publish(server.add("/official.pth", posekit_file(1)))
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file(2)
    assert server.gets("official") == []


def test_model_that_the_mirror_lacks_comes_from_the_table(
    server: HubServer, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("POSEKIT_HUB_NAMESPACE", "mirror")
    publish(server.add("/official.pth", posekit_file(1)))
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file(1)
    assert server.exchanges[0].path == f"/mirror/{MODEL}/resolve/main/model.safetensors"


@pytest.mark.skipif(
    Version(huggingface_hub.__version__) < Version("1.20"), reason="older clients give up"
)
def test_hub_download_survives_a_dropped_connection(
    server: HubServer, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
    location, file = server.publish("org/nets", "net.safetensors", posekit_file())
    file.drops.append(7000)
    publish(location)
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file()
    assert len(server.gets("storage")) == 2


def test_hub_file_with_a_wrong_hash_is_removed_named_and_fetched_anew(
    server: HubServer, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    location, file = server.publish("org/nets", "net.safetensors", posekit_file(1))
    publish(location)
    file.content = posekit_file(2)  # as long, and not what the Hub announced
    with pytest.raises(DownloadError, match=r"net\.safetensors was removed: expected a SHA-256"):
        hub.resolve_weights(MODEL)
    assert not list((tmp_path / "hf").rglob("blobs/*"))
    file.content = posekit_file(1)
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file(1)


def test_original_stays_in_the_cache_of_the_hub(
    server: HubServer, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    publish(server.publish("org/nets", "net.safetensors", posekit_file())[0])
    hub.resolve_weights(MODEL).unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file()
    assert len(server.gets("storage")) == 1


def test_hub_that_is_not_there(
    publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
    publish("hf://org/nets/net.safetensors")
    with pytest.raises(DownloadError, match=r"hf://org/nets/net\.safetensors: .*refused"):
        hub.resolve_weights(MODEL)


# --- offline


def test_offline_asks_nobody_and_says_why(
    server: HubServer, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    publish(
        server.publish("org/nets", "net.safetensors", posekit_file())[0],
        server.add("/net.pth", posekit_file()),
    )
    with pytest.raises(DownloadError) as raised:
        hub.resolve_weights(MODEL)
    sources = str(raised.value).splitlines()[1:3]
    assert all("HF_HUB_OFFLINE is set" in line for line in sources)
    assert server.exchanges == []


# --- the cache


@pytest.mark.parametrize("route", ["url", "mirror"])
def test_two_processes_download_once(server: HubServer, tmp_path: Path, route: str) -> None:
    content, held = posekit_file(), threading.Event()
    url = server.add("/net.pth", content, hold=held)
    _, file = server.publish(f"mirror/{MODEL}", "model.safetensors", content)
    file.hold = held
    environment = os.environ | {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "home"),
        "POSEKIT_HUB_NAMESPACE": "mirror",
    }
    program = (
        "import socket, sys; from posekit.weights.hub import resolve_weights; "
        "socket.create_connection(('127.0.0.1', int(sys.argv[1]))).close(); "
        f"print(resolve_weights({MODEL!r}, {url if route == 'url' else None!r}))"
    )
    with ThreadPoolExecutor(2) as pool, socket.create_server(("127.0.0.1", 0)) as ready:
        port = str(ready.getsockname()[1])
        ready.settimeout(300)
        runs = [pool.submit(run_python, "-c", program, port, env=environment) for _ in range(2)]
        for _ in runs:
            ready.accept()[0].close()
        assert server.asked.wait(300)
        held.set()
        results = [run.result() for run in runs]
    assert [done.returncode for done in results] == [0, 0], results
    paths = {Path(done.stdout.strip()) for done in results}
    assert [path.read_bytes() for path in paths] == [content]
    assert len([get for get in server.gets() if get.status == 200]) == 1


def test_damaged_cache_entry_is_fetched_again(
    server: HubServer, publish: Callable[..., None]
) -> None:
    publish(server.add("/a.pth", posekit_file()))
    path = hub.resolve_weights(MODEL)
    for damage in (posekit_file()[:9000], posekit_file()[:20], b"", b"\0" * 20000):
        path.write_bytes(damage)
        assert hub.resolve_weights(MODEL).read_bytes() == posekit_file()


def test_a_conversion_of_another_version_is_made_anew(
    server: HubServer,
    publish: Callable[..., None],
    foreign: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish(server.add("/detection/rtmdet_nano.pth", foreign))
    path = hub.resolve_weights(MODEL)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"converter":"1"', b'"converter":"0"'))
    outdated = path.read_bytes()
    assert outdated != content
    with monkeypatch.context() as offline:
        offline.setenv("HF_HUB_OFFLINE", "1")
        assert hub.resolve_weights(MODEL).read_bytes() == outdated
    assert "was converted by another version of posekit and cannot be made again" in caplog.text
    with safe_open(hub.resolve_weights(MODEL), "pt") as file:
        assert file.metadata()["converter"] == "1"


def test_damaged_cache_entry_is_named_offline(
    server: HubServer, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(server.add("/a.pth", posekit_file()))
    path = hub.resolve_weights(MODEL)
    path.write_bytes(posekit_file()[:9000])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError) as raised:
        hub.resolve_weights(MODEL)
    assert str(raised.value).startswith(f"{path} was damaged and has been removed; no weights for")
    assert not path.exists()


def test_cache_that_cannot_be_written(
    server: HubServer,
    publish: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    publish(server.add("/a.pth", posekit_file()))
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "cache"
    monkeypatch.setenv("POSEKIT_CACHE", str(folder))
    with pytest.raises(InputError) as raised:
        hub.resolve_weights(MODEL)
    assert f"cannot write to the cache {folder}: Not a directory" in str(raised.value)
    assert "POSEKIT_CACHE" in str(raised.value)
    assert server.exchanges == []


@pytest.mark.parametrize("step", ["download", "conversion"])
@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_full_disk_leaves_nothing_half_written(
    server: HubServer, tmp_path: Path, cache: Path, foreign: bytes, step: str
) -> None:
    import resource

    path = tmp_path / "mine.pth"
    path.write_bytes(foreign)
    weights = server.add("/a.pth", foreign) if step == "download" else path
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(PosekitError, match=f"cannot write .*{cache}.*File too large"):
            hub.resolve_weights(MODEL, weights)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files_below(cache / "models") == []
    hub.resolve_weights(MODEL, weights)  # now that there is room


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", "~/elsewhere")
    assert cache_dir() == Path.home() / "elsewhere"
    monkeypatch.delenv("POSEKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_dir() == Path("/xdg/posekit")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "posekit"


# --- weights that the user names


def test_posekit_file_is_returned_as_it_is(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(posekit_file())
    assert hub.resolve_weights(MODEL, path) == path
    assert hub.resolve_weights(MODEL, str(path)) == path
    assert not cache.exists()


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.safetensors").write_bytes(posekit_file())
    assert hub.resolve_weights(MODEL, "~/mine.safetensors") == tmp_path / "mine.safetensors"


def test_foreign_file_is_converted_once_for_its_content(
    tmp_path: Path, cache: Path, foreign: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(foreign)
    first = hub.resolve_weights(MODEL, path)
    assert first.parent == cache / "models"
    assert first.name.startswith(MODEL)
    load_weights(build_network(load_spec(MODEL).net), first)
    made = first.stat().st_mtime_ns
    path.rename(tmp_path / "renamed.pth")
    assert hub.resolve_weights(MODEL, tmp_path / "renamed.pth") == first
    assert first.stat().st_mtime_ns == made

    state = reference_state(SEEDED)
    state["bbox_head.rtm_cls.0.bias"] += 1
    torch.save(state, path)
    second = hub.resolve_weights(MODEL, path)
    assert second != first
    assert path.exists()
    bias = "head.cls_preds.0.bias"
    assert torch.equal(load_file(second)[bias], load_file(first)[bias] + 1)


def test_users_file_does_not_become_the_published_one(
    tmp_path: Path, foreign: bytes, publish: Callable[..., None]
) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(foreign)
    hub.resolve_weights(MODEL, path)
    publish()
    with pytest.raises(DownloadError):
        hub.resolve_weights(MODEL)


@pytest.mark.parametrize("layout", ["foreign", "posekit"])
def test_truncated_file_of_the_user_is_named_and_kept(
    tmp_path: Path, cache: Path, foreign: bytes, layout: str
) -> None:
    path = tmp_path / "mine.weights"
    path.write_bytes(foreign[:2_000_000] if layout == "foreign" else posekit_file()[:9000])
    with pytest.raises(WeightsError) as raised:
        hub.resolve_weights(MODEL, path)
    assert str(path) in str(raised.value)
    assert "damaged" in str(raised.value) or "truncated" in str(raised.value)
    assert path.exists()
    assert files_below(cache) == []


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"mine\.pth: no such file"):
        hub.resolve_weights(MODEL, tmp_path / "mine.pth")
    with pytest.raises(WeightsError, match=r"weights such as model\.safetensors in .* nothing"):
        hub.resolve_weights(MODEL, tmp_path)


def test_url_of_the_user(server: HubServer, cache: Path) -> None:
    content = posekit_file()
    url = server.add(f"/my net-{digits(content)}.pth", content).replace(" ", "%20")
    path = hub.resolve_weights(MODEL, url + "?download=true")
    assert path.read_bytes() == content
    assert path != cache / "models" / f"{MODEL}.safetensors"
    assert hub.resolve_weights(MODEL, url + "?download=true") == path
    assert len(server.gets()) == 1
    assert files_below(cache) == [path.name]


def test_url_of_the_user_is_verified(server: HubServer) -> None:
    url = server.add("/net.pth", posekit_file())
    with pytest.raises(DownloadError, match="was removed: expected a SHA-256 of 0badc0de"):
        hub.resolve_weights(MODEL, f"{url}#sha256=0badc0de")
    digest = hashlib.sha256(posekit_file()).hexdigest()
    assert hub.resolve_weights(MODEL, f"{url}#sha256={digest}").read_bytes() == posekit_file()


def test_hub_location_of_the_user(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    location, _ = server.publish("me/nets", "a/net.safetensors", posekit_file(), revision="v1")
    assert hub.resolve_weights(MODEL, location).read_bytes() == posekit_file()
    assert server.exchanges[0].path == "/me/nets/resolve/v1/a/net.safetensors"


@pytest.mark.parametrize("location", ["ftp://host/net.pth", "file:///etc/passwd", "hf://me/nets"])
def test_location_of_another_kind(location: str) -> None:
    with pytest.raises(InputError, match=r"expected .* found"):
        hub.resolve_weights(MODEL, location)


def test_download_is_silent_where_nobody_watches(
    server: HubServer, publish: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    publish(server.add("/a.pth", posekit_file()))
    hub.resolve_weights(MODEL)
    assert capfd.readouterr() == ("", "")


def test_real_checkpoint(
    server: HubServer, publish: Callable[..., None], person_detector: Path
) -> None:
    content = person_detector.read_bytes()
    publish(server.add(f"/person-{digits(content)}.pth", content, drops=[3_000_000]))
    path = hub.resolve_weights(MODEL)
    load_weights(build_network(load_spec(MODEL).net), path)


# --- the table's own Hub repositories


def as_onnx(shared: Path, path: Path) -> None:
    path.write_bytes((shared / "weights" / "rtmdet-nano.onnx").read_bytes())


def as_transformers(shared: Path, path: Path) -> None:
    folder = shared / "reference" / "layouts" / "transformers" / "vitpose-base-simple"
    path.write_bytes(save(reference_state(folder), metadata={"format": "pt"}))


def as_motionbert(shared: Path, path: Path) -> None:
    state = reference_state(shared / "reference" / "layouts" / "motionbert" / "MB_ft_h36m")
    torch.save({"model_pos": {f"module.{key}": value for key, value in state.items()}}, path)


@pytest.mark.parametrize(
    "model, write",
    [
        ("rtmdet-nano_person-320", as_onnx),
        # Of 340 MB; tests/weights_convert/test_layouts.py converts the same.
        pytest.param("vitpose-b-simple_coco-256x192", as_transformers, marks=pytest.mark.slow),
        ("motionbert-ft_h36m", as_motionbert),
    ],
)
def test_repository_of_the_table_stands_in_for_the_official_host(
    server: HubServer,
    monkeypatch: pytest.MonkeyPatch,
    shared: Path,
    tmp_path: Path,
    model: str,
    write: Callable[[Path, Path], None],
) -> None:
    row = find_checkpoint(model)
    assert row is not None
    official, from_hub = row.sources
    assert official.location.startswith("https://")
    repository, file, revision = hub_client.parse_hub(from_hub.location)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    write(shared, tmp_path / "file")
    server.publish(repository, file, (tmp_path / "file").read_bytes(), revision or "main")
    from_hub = dataclasses.replace(from_hub, sha256=None)  # the weights are seeded ones
    gone = Source(f"{server.url}/gone.pth")  # answered with 404, as the host that is unreachable
    row = dataclasses.replace(row, sources=(gone, from_hub))
    monkeypatch.setattr(checkpoints, "CHECKPOINTS", (row,))
    load_weights(build_network(load_spec(model).net), hub.resolve_weights(model))


# --- other weights than the published ones


@pytest.fixture
def standing_in(
    server: HubServer, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch, foreign: bytes
) -> Source:
    """The second source of MODEL, whose first one is gone."""
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    location, _ = server.publish("authors/nets", "net.pth", foreign)
    source = Source(location, stands_in="trained by its authors")
    publish(f"{server.url}/gone.pth", source)
    return source


def test_a_stand_in_is_named_at_every_load(
    standing_in: Source, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = f"{MODEL}: the weights are a stand-in, trained by its authors, from hf://authors/nets"
    for _ in range(2):
        path = hub.resolve_weights(MODEL)
        assert said in caplog.text
        assert "the published figures are not theirs" in caplog.text
        assert str(path) in caplog.text
        caplog.clear()
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    load_weights(build_network(load_spec(MODEL).net), path)
    told = hub.stand_in(MODEL)
    assert told is not None
    assert told.startswith("trained by its authors, from hf://authors/nets/net.pth")


def test_the_published_weights_are_no_stand_in(
    server: HubServer, publish: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    publish(server.add("/a.pth", posekit_file()))
    hub.resolve_weights(MODEL)
    assert hub.stand_in(MODEL) is None
    assert caplog.text == ""


def test_published_ones_replace_a_stand_in_that_was_removed(
    server: HubServer, standing_in: Source, publish: Callable[..., None]
) -> None:
    hub.resolve_weights(MODEL).unlink()
    publish(server.add("/gone.pth", posekit_file()), standing_in)
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file()
    assert hub.stand_in(MODEL) is None


def test_sources_of_the_hub_are_pinned_where_a_revision_is_known() -> None:
    sources = {s.location: s for row in checkpoints.CHECKPOINTS for s in row.sources}
    on_hub = [location for location in sources if location.startswith("hf://")]
    unpinned = [place for place in on_hub if not re.search(r"@[0-9a-f]{40}$", place)]
    unknown = ("hf://michele-xilo/rtmpose-rs/", "hf://usyd-community/vitpose-plus-")
    unknown += ("hf://usyd-community/vitpose-base-coco-aic-mpii/",)
    assert all(place.startswith(unknown) for place in unpinned)
    authors = [
        source
        for place, source in sources.items()
        if "usyd-community" in place and place not in unpinned
    ]
    assert len(authors) == 2
    assert all(source.stands_in and source.sha256 for source in authors)


# --- the SHA-256 in a name, of the table and of the user


def test_other_digits_in_a_name_are_a_warning(
    server: HubServer,
    publish: Callable[..., None],
    foreign: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish(server.add("/net-0badc0de_20230504.pth", foreign))
    load_weights(build_network(load_spec(MODEL).net), hub.resolve_weights(MODEL))
    found = hashlib.sha256(foreign).hexdigest()
    assert f"says SHA-256 0badc0de..., found {found}" in caplog.text


def damaged_files(foreign: bytes, shared: Path, folder: Path) -> dict[str, bytes]:
    state = reference_state(SEEDED)
    torch.save({"state_dict": state}, folder / "old", _use_new_zipfile_serialization=False)
    old, onnx = folder / "old", shared / "weights" / "rtmdet-nano.onnx"
    flipped = bytearray(foreign)
    flipped[len(flipped) // 2] ^= 1  # in the middle of a storage
    whole = {
        "zip": foreign,
        "legacy": old.read_bytes(),
        "safetensors": save(state),
        "onnx": onnx.read_bytes(),
    }
    cut = {kind: content[: len(content) * 2 // 3] for kind, content in whole.items()}
    end = {f"{kind} without its end": content[:-100] for kind, content in whole.items()}
    del end["onnx without its end"]  # what stands there is no weight
    return {**cut, **end, "zip with another bit": bytes(flipped)}


def test_damaged_files_of_all_layouts_are_refused(
    server: HubServer, foreign: bytes, shared: Path, tmp_path: Path, cache: Path
) -> None:
    for kind, content in damaged_files(foreign, shared, tmp_path).items():
        # No hash says so, and that of the name is wrong for the whole file too.
        url = server.add(f"/{kind.replace(' ', '_')}-0badc0de.pth", content)
        with pytest.raises(DownloadError, match=r"0badc0de\.pth was removed: "):
            hub.resolve_weights(MODEL, url)
        assert files_below(cache / "models") == [], kind


@pytest.mark.parametrize("digits", ["", "123", "not hexadecimal", "0" * 65])
def test_hash_of_the_user_that_is_none(digits: str) -> None:
    with pytest.raises(InputError, match="8 to 64 hexadecimal digits after #sha256="):
        hub.resolve_weights(MODEL, f"https://example.org/net.pth#sha256={digits}")


def test_hash_of_the_user_for_a_file_of_the_hub(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    location, _ = server.publish("me/nets", "net.safetensors", posekit_file())
    with pytest.raises(DownloadError, match="expected a SHA-256 of 0badc0de"):
        hub.resolve_weights(MODEL, f"{location}#sha256=0badc0de")
    text = f"{location}#sha256={digits(posekit_file()).upper()}"
    assert hub.resolve_weights(MODEL, text).read_bytes() == posekit_file()
    assert len(server.gets("storage")) == 1  # the file is not at fault and stayed in its cache


# --- files of another model, or of another network


OTHER = "rtmdet-m_person-640"


def misfit() -> bytes:
    return save({"weight": torch.ones(3)}, metadata={"model": MODEL})


def integers() -> bytes:
    state = {key: value.int() for key, value in load(posekit_file()).items()}
    return save(state, metadata={"model": MODEL})


@pytest.mark.parametrize(
    "wrong", ["another model", "an unknown model", "another network", "numbers of another kind"]
)
def test_mirror_with_a_wrong_file_is_refused(
    server: HubServer,
    publish: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    cache: Path,
    wrong: str,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("POSEKIT_HUB_NAMESPACE", "mirror")
    content, reason = {
        "another model": (
            posekit_file(2, OTHER),
            f"it holds the weights of {OTHER}, expected those of {MODEL}",
        ),
        "an unknown model": (
            posekit_file(2, "mine"),
            f"it holds the weights of mine, expected those of {MODEL}",
        ),
        "another network": (misfit(), "does not fit the model"),
        "numbers of another kind": (integers(), r"is torch\.int32, expected torch\.float32"),
    }[wrong]
    server.publish(f"mirror/{MODEL}", "model.safetensors", content)
    publish()
    with pytest.raises(DownloadError, match=reason):
        hub.resolve_weights(MODEL)
    assert files_below(cache / "models") == []
    publish(server.add("/official.pth", posekit_file(1)))
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file(1)
    assert f"{MODEL}: not from hf://mirror/{MODEL}/model.safetensors: " in caplog.text
    assert re.search(reason, caplog.text)


def test_source_of_the_table_with_another_models_file_is_refused(
    server: HubServer, publish: Callable[..., None]
) -> None:
    publish(server.add("/other.pth", posekit_file(1, OTHER)), server.add("/a.pth", posekit_file(2)))
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file(2)


def test_a_file_that_names_the_model_by_an_alias_is_taken(
    server: HubServer, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(server.add("/a.pth", posekit_file(1, "nano")))
    (row,) = checkpoints.CHECKPOINTS
    monkeypatch.setattr(checkpoints, "CHECKPOINTS", (dataclasses.replace(row, aliases=("nano",)),))
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file(1, "nano")


@pytest.mark.parametrize("wrong", ["another model", "another network"])
def test_cached_file_that_does_not_fit_is_set_aside_and_fetched_again(
    server: HubServer,
    publish: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    wrong: str,
) -> None:
    publish(server.add("/a.pth", posekit_file(1)))
    path = hub.resolve_weights(MODEL)
    content = posekit_file(2, OTHER) if wrong == "another model" else misfit()
    path.write_bytes(content)
    with monkeypatch.context() as offline:
        offline.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(DownloadError, match=r"is set aside as [\s\S]*HF_HUB_OFFLINE") as raised:
            hub.resolve_weights(MODEL)
        assert str(raised.value).startswith(str(path))
    path.write_bytes(content)
    assert hub.resolve_weights(MODEL).read_bytes() == posekit_file(1)
    assert path.with_suffix(".unfit").read_bytes() == content
    assert f"{path} is set aside as {path.stem}.unfit: " in caplog.text
    load_network(load_spec(MODEL))


def test_conversion_of_the_users_file_that_does_not_fit_any_more_is_made_anew(
    tmp_path: Path, foreign: bytes, server: HubServer
) -> None:
    (tmp_path / "mine.pth").write_bytes(foreign)
    for weights in (tmp_path / "mine.pth", server.add("/mine.pth", foreign)):
        path = hub.resolve_weights(MODEL, weights)
        metadata = {"model": MODEL, "converter": "1"}
        path.write_bytes(save({"weight": torch.ones(3)}, metadata=metadata))
        assert hub.resolve_weights(MODEL, weights) == path
        load_weights(build_network(load_spec(MODEL).net), path)


def test_published_weights_that_do_not_fit_a_users_network_stay_in_the_cache(
    server: HubServer, publish: Callable[..., None]
) -> None:
    publish(server.add("/a.pth", posekit_file(1)))
    path = hub.resolve_weights(MODEL)
    wider = load_spec(MODEL).net.having(num_classes=2)
    assert hub.resolve_weights(MODEL, net=wider) == path
    assert path.read_bytes() == posekit_file(1)


def test_weights_are_converted_for_the_network_that_is_given(tmp_path: Path) -> None:
    smaller = load_spec("rtmpose-t_body8-256x192").net.having(num_keypoints=3)
    state = build_network(smaller, device="cpu").state_dict()
    torch.save(state, tmp_path / "mine.pth")
    path = hub.resolve_weights("rtmpose-t_body8-256x192", tmp_path / "mine.pth", net=smaller)
    load_weights(build_network(smaller), path)


def test_no_class_of_a_foreign_folder_runs_where_the_user_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rtmpose_t: Path
) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "theirs.py").write_text(
        f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n"
        "from posekit.models.rtmpose import RTMPose\nclass Network(RTMPose): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = read_config("rtmpose-t_body8-256x192")
    theirs = {**config, "net": {**config["net"], "_target_": "theirs.Network"}}
    (tmp_path / "folder" / "model").mkdir(parents=True)
    (tmp_path / "folder" / "model" / "tiny.yaml").write_text(yaml.safe_dump(theirs))
    (tmp_path / "folder" / "model.safetensors").write_bytes(rtmpose_t.read_bytes())
    torch.save(load(rtmpose_t.read_bytes()), tmp_path / "mine.pth")  # which has to be converted
    # As of `model=FOLDER model.net._target_=posekit.models.rtmpose.RTMPose`.
    spec = dataclasses.replace(load_spec("rtmpose-t_body8-256x192"), name="tiny")
    load_network(spec, tmp_path / "mine.pth", search=[tmp_path / "folder"])
    assert not marker.exists()


def test_users_weights_of_another_model_are_used_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(posekit_file(1, OTHER))
    load_network(load_spec(MODEL), path)
    assert f"{path} are weights of {OTHER}; they fit {MODEL}" in caplog.text


# --- servers that are busy, broken or not what they seem


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited, which takes no time here."""
    waited: list[float] = []
    monkeypatch.setattr(download, "sleep", waited.append)
    monkeypatch.setattr(file_download.time, "sleep", waited.append)
    return waited


def in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(timezone.utc) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        ("86400", 60, 60),
        (in_seconds(3600), 60, 60),
        (in_seconds(-3600), 0, 0),
        ("soon", 0, 0),
        ("-5", 0, 0),
        ("\u0665", 0, 0),  # a digit elsewhere
    ],
    # Dates would be others in each process that runs tests.
    ids=["seconds", "now", "a_day", "date", "date_before", "text", "negative", "arabic_digit"],
)
def test_a_server_is_given_the_time_that_it_asks_for(
    server: HubServer, waits: list[float], status: int, asked: str, least: float, most: float
) -> None:
    headers = {"Retry-After": asked.encode("utf-8").decode("latin-1")}
    url = server.add("/a.pth", posekit_file(), statuses=[status], headers=headers)
    assert hub.resolve_weights(MODEL, url).read_bytes() == posekit_file()
    (waited,) = waits
    assert least <= waited <= most


def test_the_date_that_a_server_asks_for_is_kept(server: HubServer, waits: list[float]) -> None:
    headers = {"Retry-After": in_seconds(40)}
    url = server.add("/a.pth", posekit_file(), statuses=[503], headers=headers)
    hub.resolve_weights(MODEL, url)
    assert 20 < waits[0] <= 40  # the date has whole seconds, and this machine may be slow


@pytest.mark.skipif(huggingface_hub.__version__.startswith("0."), reason="old clients give up")
def test_the_hub_is_not_waited_for_longer_either(
    server: HubServer, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    location, file = server.publish("me/nets", "net.safetensors", posekit_file())
    server.statuses, server.headers = [429], {"Retry-After": "86400"}
    file.statuses, file.headers = [429], {"Retry-After": "86400"}
    assert hub.resolve_weights(MODEL, location).read_bytes() == posekit_file()
    assert waits
    assert max(waits) <= 62


def test_attempts_count_only_where_nothing_arrived(server: HubServer) -> None:
    content = posekit_file()
    steps = [1, 10_000, 0, 5000, 0, 0, 300_000, 0, 0, 0]
    url = server.add("/a.pth", content, etag='"one"', drops=steps)
    with pytest.raises(DownloadError, match=r"broke after 315001 of \d+ bytes, 4 times"):
        hub.resolve_weights(MODEL, url)
    server.files["/a.pth"].drops += [1000] * 20
    assert hub.resolve_weights(MODEL, url).read_bytes() == content
    assert sum(get.sent for get in server.gets()) == len(content)


def test_a_server_that_starts_again_and_again_is_given_up(server: HubServer) -> None:
    url = server.add("/a.pth", posekit_file(), ranges=False, drops=[5000] * 100)
    with pytest.raises(DownloadError, match=r"broke after 5000 of \d+ bytes, 4 times"):
        hub.resolve_weights(MODEL, url)


def test_a_web_page_is_called_one(server: HubServer, cache: Path) -> None:
    page = b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><body>Log in to Cafe Wi-Fi</body></html>"
    url = server.add("/net.pth", page)
    with pytest.raises(DownloadError, match=r"net\.pth: the server sent a web page \(HTML\)"):
        hub.resolve_weights(MODEL, url)
    assert files_below(cache) == []


def test_a_web_page_in_between_leaves_what_has_come(server: HubServer) -> None:
    content = posekit_file()
    url = server.add("/net.pth", content, etag='"one"', drops=[5000, 0, 0, 0])
    with pytest.raises(DownloadError):
        hub.resolve_weights(MODEL, url)
    server.add("/net.pth", b"<html>Log in</html>")
    with pytest.raises(DownloadError, match=r"web page [\s\S]*Run this again to continue"):
        hub.resolve_weights(MODEL, url)
    server.add("/net.pth", content, etag='"one"')
    assert hub.resolve_weights(MODEL, url).read_bytes() == content
    assert server.gets()[-1].range == "bytes=5000-"


def test_a_web_page_in_the_place_of_the_hub_is_an_error_of_a_line(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    server.add("/me/nets/resolve/main/net.pth", b"<html>Log in</html>")
    monkeypatch.setattr(server, "hides_hub", True)
    with pytest.raises(
        DownloadError, match=r"hf://me/nets/net\.pth: .*(Hub|metadata|header|huggingface\.co)"
    ):
        hub.resolve_weights(MODEL, "hf://me/nets/net.pth")


def test_a_server_that_redirects_in_a_circle(server: HubServer) -> None:
    url = server.add("/a.pth", b"", redirect=f"{server.url}/b.pth")
    server.add("/b.pth", b"", redirect=url)
    with pytest.raises(DownloadError, match="HTTP 302: the server redirects in a circle"):
        hub.resolve_weights(MODEL, url)


@pytest.mark.parametrize("trusted", [True, False])
def test_a_certificate_that_is_not_accepted_is_named(
    monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    certificate = ROOT / "tests" / "data" / "expired_certificate.pem"
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.setenv("no_proxy", "localhost")
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    else:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    server = HubServer()
    server.use_tls(certificate)
    with server.running():
        url = server.add("/net.pth", posekit_file())
        assert url.startswith("https://localhost:")
        reason = "certificate has expired" if trusted else "self.signed certificate"
        with pytest.raises(DownloadError, match=f"TLS certificate is not accepted: {reason}"):
            hub.resolve_weights(MODEL, url)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_full_disk_of_the_hubs_cache_is_named(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    monkeypatch.setenv("HF_ENDPOINT", server.url)
    location, _ = server.publish("me/nets", "net.safetensors", posekit_file())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(PosekitError, match="cannot write to the Hub's own cache"):
            hub.resolve_weights(MODEL, location)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(huggingface_hub.__version__.startswith("0."), reason="old clients give up")
def test_lines_of_the_hubs_client_come_once(publish: Callable[..., None], tmp_path: Path) -> None:
    program = (
        "import logging, sys; logging.basicConfig(stream=sys.stderr, level=logging.INFO); "
        "import huggingface_hub.file_download as f; f.time.sleep = lambda seconds: None; "
        "from posekit.weights import hub; from posekit.checkpoints import Source; "
        "sources = [Source('hf://a/b/c.pth'), Source('hf://d/e/f.pth')]; "
        f"hub._fetch_first({MODEL!r}, sources, hub._cache_path('x'), None, None, 'weights=')"
    )
    environment = os.environ | {
        "HF_ENDPOINT": "http://127.0.0.1:1",
        "HF_HOME": str(tmp_path / "home"),
    }
    done = run_python("-c", program, env=environment)
    assert "DownloadError" in done.stderr
    lines = [line for line in done.stderr.splitlines() if "thrown while requesting" in line]
    assert len(lines) == 1, lines
    assert sum("Retrying in" in line for line in done.stderr.splitlines()) == 1


def test_a_missing_package_does_not_hide_the_other_sources(
    server: HubServer,
    publish: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    shared: Path,
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    content = (shared / "weights" / "rtmdet-nano.onnx").read_bytes()
    publish(f"{server.url}/gone.pth", server.add("/net.onnx", content))
    with pytest.raises(DownloadError) as raised:
        hub.resolve_weights(MODEL)
    _, first, second, _ = str(raised.value).splitlines()
    assert "gone.pth: HTTP 404" in first
    assert "net.onnx: " in second
    assert "posekit[onnx]" in second
