"""Every YAML has the values of its official configuration, as the table of these has them."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.audit_configs import TABLE, differences, is_official, posekit_values
from posekit.build import build_network
from posekit.checkpoints import CHECKPOINTS
from posekit.config import find_checkpoint
from posekit.errors import DownloadError
from posekit.files import cache_dir
from posekit.spec import load_spec
from posekit.weights.hub import resolve_weights

OFFICIAL = json.loads(TABLE.read_text(encoding="utf-8"))
SUPERSEDED = [row.name for row in CHECKPOINTS if row.superseded]


def test_every_official_model_is_in_the_table() -> None:
    assert set(OFFICIAL) == {row.name for row in CHECKPOINTS if is_official(row)}
    assert len(OFFICIAL) >= 140


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_model_has_the_official_values(name: str) -> None:
    row = OFFICIAL[name]
    assert differences(row["values"], posekit_values(name), row["exceptions"]) == []


def test_what_differs_on_purpose_does_differ_and_says_why() -> None:
    exceptions = [
        (name, key, why) for name, row in OFFICIAL.items() for key, why in row["exceptions"].items()
    ]
    assert exceptions
    for name, key, why in exceptions:
        assert OFFICIAL[name]["values"].get(key) != posekit_values(name)[key]
        assert why


def test_a_value_that_differs_is_told() -> None:
    found = posekit_values("rtmw-l_cocktail14-256x192")
    official = {**found, "net.neck_blocks": 3}
    assert differences(official, found, {}) == ["net.neck_blocks is 2, official 3"]
    assert differences(official, found, {"net.neck_blocks": "a reason"}) == []


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("rtmw-m_cocktail14-256x192", 32.26),
        ("rtmw-l_cocktail14-256x192", 57.20),
        ("rtmw-l_cocktail14-384x288", 57.20 + 0.15),  # the head's for a larger input
        ("rtmw-x_cocktail14-256x192", 92.04),
        ("rtmw-x_cocktail14-384x288", 92.04 + 0.15),
    ],
)
def test_rtmw_has_the_published_number_of_parameters(name: str, parameters: float) -> None:
    net = build_network(load_spec(name).net)
    found = sum(p.numel() for p in net.parameters()) / 1e6
    assert found == pytest.approx(parameters, abs=0.006)


@pytest.mark.parametrize("name", SUPERSEDED)
def test_cached_weights_of_a_file_that_was_replaced_are_set_aside(
    name: str, tmp_path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    row = find_checkpoint(name)
    net = build_network(load_spec(name).net)
    state = {key: torch.zeros_like(value, device="cpu") for key, value in net.state_dict().items()}
    path = cache_dir() / "models" / f"{name}.safetensors"
    path.parent.mkdir()
    metadata = {"model": name, "source": row.superseded[0], "converter": "1"}
    save_file(state, path, metadata=metadata)
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE"):
        resolve_weights(name)
    aside = path.with_suffix(".superseded")
    assert not path.exists()
    assert f"weights={aside} still loads the old ones" in caplog.text
    assert resolve_weights(name, aside) == aside
    save_file(state, path, metadata={**metadata, "source": "another.pth"})
    assert resolve_weights(name) == path
