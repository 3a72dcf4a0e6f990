"""`weights=int8`: the published 8-bit file of a model; and graphs behind URLs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import posekit
from posekit import checkpoints
from posekit.backends.files import is_graph
from posekit.backends.graphs import example_images, quantize_onnx, to_onnx
from posekit.checkpoints import Source
from posekit.config import find_checkpoint
from posekit.errors import DownloadError, WeightsError
from posekit.weights import download, hub
from tests.hub_server import HubServer, keep_client_in

MODEL = "rtmpose-n_drawn-192x128"
IMAGE = np.full((192, 128, 3), 90, np.uint8)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    for name in ("HF_HUB_OFFLINE", "HF_ENDPOINT", "POSEKIT_HUB_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    keep_client_in(monkeypatch, tmp_path / "hf")
    monkeypatch.setattr(download, "PAUSES", ())
    with HubServer().running() as running:
        yield running


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The packaged pose model in 8 bits."""
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("int8") / "net.onnx"
    net = posekit.create_model(MODEL, weights="published")
    to_onnx(net, example_images((128, 192)), path, names=["simcc_x", "simcc_y"])
    rng = np.random.default_rng(0)
    quantize_onnx(path, [rng.standard_normal((1, 3, 192, 128), np.float32)])
    return path.read_bytes()


@pytest.fixture
def published(server: HubServer, quantized: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its URL, which the table has."""
    url = server.add("/files/pose-int8.onnx", quantized)
    publish(url, monkeypatch)
    return url


def publish(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = find_checkpoint(MODEL)
    assert row is not None
    rows = [other for other in checkpoints.CHECKPOINTS if other is not row]
    row = dataclasses.replace(row, int8=(Source(url),))
    monkeypatch.setattr(checkpoints, "CHECKPOINTS", (row, *rows))


def test_the_name_int8_runs_the_published_file(
    published: str, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keypoints() -> np.ndarray:
        options = {"detector": "whole_image", "device": "cpu", "backend": "onnxruntime"}
        predictor = posekit.load(MODEL, weights="int8", **options)
        assert list(predictor.licenses) == [MODEL]
        return next(predictor.stream(IMAGE, flip_test=False)).keypoints

    first = keypoints()
    assert first.shape == (1, 17, 2)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # it is kept
    np.testing.assert_array_equal(keypoints(), first)
    assert len(server.gets("pose-int8")) == 1


def test_a_mirror_is_asked_for_it_first(
    server: HubServer, quantized: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("POSEKIT_HUB_NAMESPACE", "mirror")
    server.publish(f"mirror/{MODEL}", "model-int8.onnx", quantized)
    assert hub.resolve_weights(MODEL, "int8").read_bytes() == quantized


def test_where_none_is_published_the_command_is_told_that_makes_one(server: HubServer) -> None:
    with pytest.raises(WeightsError) as raised:
        hub.resolve_weights(MODEL, "int8", key="detector_weights=")
    assert str(raised.value) == (
        f"no 8-bit file of {MODEL} is published: make it with 'posekit export model={MODEL} "
        f"quantize=int8 inputs=PHOTOS output={MODEL}-int8.onnx' and pass "
        f"detector_weights={MODEL}-int8.onnx"
    )


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("gone.onnx", None, "HTTP 404"),
        ("text.onnx", b"some other kind of file", "it is no graph"),
    ],
)
def test_what_is_no_8_bit_file_is_not_kept(
    name: str,
    content: bytes | None,
    reason: str,
    server: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"{server.url}/{name}" if content is None else server.add(f"/{name}", content)
    publish(url, monkeypatch)
    with pytest.raises(DownloadError, match=f"(?s){reason}.*or make it with 'posekit export"):
        hub.resolve_weights(MODEL, "int8")
    assert not list((tmp_path / "cache").rglob("*.onnx"))


def test_a_quantised_graph_behind_a_url_is_taken_as_it_is(
    server: HubServer, quantized: bytes
) -> None:
    url = server.add("/pose.onnx", quantized)
    path = hub.resolve_weights(MODEL, url)
    assert is_graph(path)
    assert hub.resolve_weights(MODEL, url) == path
    assert len(server.gets("pose.onnx")) == 1
