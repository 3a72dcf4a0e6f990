"""Clips that several tests read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.batching.clips import batch, write_clips
from tests.io.test_write import small_disk

__all__ = ["small_disk"]

pytest.importorskip("pyarrow")


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five clips, of which one is broken."""
    return write_clips(tmp_path_factory.mktemp("clips"), 5, broken=[3])


@pytest.fixture(scope="session")
def undisturbed(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their results, of a run in one process that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    batch(clips, folder)
    return folder
