"""Whether `posekit doctor` tells a network from none: real servers on the loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest

from posekit.commands import network
from posekit.commands.faults import Fault, Seen, _network
from posekit.commands.network import NO_NETWORK, ask_hosts

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No proxy, no endpoint, and clients that have not read them earlier."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("HF_ENDPOINT", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    _forget_clients()
    yield
    for thread in threading.enumerate():  # one that came too late would make a client again
        if thread.name == network.THREAD:
            thread.join()
    _forget_clients()


def _forget_clients() -> None:
    getattr(huggingface_hub, "close_session", lambda: None)()


@contextmanager
def serving(status: int = 200, kind: str = "application/json") -> Iterator[str]:
    """A server that answers everything, CONNECT too, with a status and a page."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", "2")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"[]")

        do_GET = do_HEAD = do_CONNECT = answer

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port() -> int:
    """A port of the loopback that refuses."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port


@pytest.mark.parametrize("status", [200, 401, 404])
def test_hosts_that_answer(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(status) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        monkeypatch.setattr(network, "OPENMMLAB", url)
        assert list(_network()) == [Seen("network", "127.0.0.1 answers; 127.0.0.1 answers")]


def test_no_network_is_no_fault_of_posekits(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setattr(network, "HUB", refusing)
    monkeypatch.setattr(network, "OPENMMLAB", refusing)
    (fault,) = _network()
    assert isinstance(fault, Fault)
    assert fault.what.count("127.0.0.1 cannot be reached: ") == 2 and "refused" in fault.what
    assert (fault.cure, fault.broken) == (NO_NETWORK, False)


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (503, "application/json", "HTTP 503"),
        (200, "text/html", "a web page answers instead; does the network require a login?"),
    ],
)
def test_a_wrong_endpoint(
    status: int, kind: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(status, kind) as url, serving() as other:
        monkeypatch.setenv("HF_ENDPOINT", url)
        monkeypatch.setattr(network, "OPENMMLAB", other)
        seen, fault = _network()
    assert seen == Seen("network", "127.0.0.1 answers")
    assert isinstance(fault, Fault) and fault.broken
    assert fault.what == f"HF_ENDPOINT={url}: 127.0.0.1 cannot be reached: {reason}"
    assert fault.cure == "unset HF_ENDPOINT, or correct it"


def test_an_endpoint_that_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "hub.example")
    with serving() as other:
        monkeypatch.setattr(network, "OPENMMLAB", other)
        _, fault = _network()
    assert isinstance(fault, Fault) and fault.broken
    assert fault.what.startswith("HF_ENDPOINT=hub.example is not an address")


def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, serving() as other:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(network, "OPENMMLAB", other)
        hub, _ = ask_hosts()
    assert hub.reason is not None
    assert "timed out" in hub.reason or "no answer within" in hub.reason


@pytest.mark.parametrize("answers", [True, False])
def test_a_wrong_proxy(answers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that wants to be logged in to, and one that is not there."""
    with serving(407) as url:
        address = url.removeprefix("http://") if answers else f"127.0.0.1:{closed_port()}"
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@{address}")
        found = list(_network())
    assert [type(one) for one in found] == [Fault, Fault]
    for fault, host in zip(found, ("huggingface.co", "download.openmmlab.com"), strict=True):
        assert isinstance(fault, Fault) and fault.broken
        way = f"through the proxy http://***@{address} (HTTPS_PROXY): "
        assert fault.what.startswith(f"{host} cannot be reached {way}")
        assert ("407" if answers else "refused") in fault.what
        assert "secret" not in fault.what
        assert fault.cure == f"unset HTTPS_PROXY, or correct it; NO_PROXY={host} bypasses it"


def test_a_proxy_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as url:
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
        monkeypatch.setattr(network, "OPENMMLAB", "http://files.example/")
        (seen,) = _network()
    way = f"answers through the proxy {url} (http_proxy)"
    assert seen == Seen("network", f"hub.example {way}; files.example {way}")


def test_nobody_is_asked_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(network, "_together", None)
    assert list(_network()) == [Seen("network", "not tested, HF_HUB_OFFLINE is set")]
