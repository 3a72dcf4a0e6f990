"""A server of S3 on loopback, which clients find as those of MinIO find theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from posekit.datasets import archives, remote_shards
from posekit.io import remote_parts

SETTINGS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="session")
def moto() -> Iterator[Any]:
    """The server."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def s3(moto: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The file system of a store with an empty `bucket`."""
    import s3fs

    host, port = moto.get_host_and_port()
    settings = {**SETTINGS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(remote_parts, "WAITS", (0.0,) * 5)
    s3fs.S3FileSystem.clear_instance_cache()
    forget()
    system = s3fs.S3FileSystem(use_listings_cache=False)
    system.mkdir("bucket")
    yield system
    system.rm("bucket", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()
    forget()


def forget() -> None:
    """What a process knows of archives."""
    for cached in (archives._shards, archives._index, archives._folders, remote_shards.about_of):
        cached.cache_clear()
