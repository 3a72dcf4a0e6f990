"""A Hub on the loopback that this process may write to, and a folder of a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants, file_download

from posekit.weights import download
from tests.hub_server import HubServer, keep_client_in
from tests.publishing import models


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the model that `models.export` makes; no test changes it."""
    return models.export(tmp_path_factory.mktemp("model") / "export")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer().running() as running:
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.delenv("POSEKIT_HUB_NAMESPACE", raising=False)
        here = models.environment(running, tmp_path, HF_TOKEN=running.token)
        for key, value in here.items():
            monkeypatch.setenv(key, value)
        keep_client_in(monkeypatch, tmp_path / "hf" / "hub")
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
        monkeypatch.setattr(download, "PAUSES", ())
        monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
        yield running
