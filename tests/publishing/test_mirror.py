"""`posekit mirror`: an organisation that POSEKIT_HUB_NAMESPACE can name."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import posekit
from posekit import checkpoints
from posekit.checkpoints import Metric, Source
from posekit.cli import main
from posekit.publishing import mirror
from posekit.weights import hub
from tests.hub_server import HubServer
from tests.publishing.test_download import DETECTOR, POSE, row, weights_of


@pytest.fixture(autouse=True)
def table(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models that the server has, and three that are not to be mirrored."""
    rows = [row(name, server.add(f"/{name}.safetensors", weights_of(name)))
            for name in (POSE, DETECTOR)]  # fmt: skip
    rows[0] = dataclasses.replace(rows[0], metrics=(Metric("COCO", "AP", 0.682),), aliases=("t",))
    closed = dataclasses.replace(row("closed", "https://x/y"), license="CC-BY-NC-4.0")
    stand_in = dataclasses.replace(
        row("other", "https://x/y"), sources=(Source("https://x/y", stands_in="another"),)
    )
    packaged = row("rtmdet-nano_drawn-256", "https://x/y")
    rows += [closed, stand_in, packaged]
    for module in (checkpoints, mirror):
        monkeypatch.setattr(module, "CHECKPOINTS", tuple(rows))


def commits(server: HubServer) -> list[str]:
    return [e.path for e in server.exchanges if "/commit/" in e.path]


def test_without_push_it_is_only_said(
    server: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mirror", "org"]) == 1  # for one is refused
    printed = capsys.readouterr().out
    assert f"{POSE}: would be uploaded: about 4 MB" in printed
    assert "closed: refused: its licence, CC-BY-NC-4.0, is not known to allow" in printed
    assert "other: left out: its own weights cannot be had" in printed
    assert "rtmdet-nano_drawn-256: left out: it comes with the package" in printed
    assert "8-bit files (weights=int8) are not mirrored" in printed
    assert "set push=true to upload" in printed
    assert [e.method for e in server.exchanges if "/api/models" in e.path] == ["GET"]


def test_what_was_mirrored_is_taken_from_there(
    server: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("POSEKIT_HUB_NAMESPACE", "org")  # from the mirror nothing can come yet
    assert main(["mirror", "org", f"only={POSE},{DETECTOR}", "push=true"]) == 0
    assert "2 uploaded" in capsys.readouterr().out
    digest = hashlib.sha256(weights := server.files[f"/{POSE}.safetensors"].content).hexdigest()
    assert server.repositories[f"org/{POSE}", "main"]["model.safetensors"] == digest
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "another"))
    server.exchanges.clear()
    assert hub.resolve_weights(POSE).read_bytes() == weights
    assert not server.gets(f"/{POSE}.safetensors")
    # And by its address, as any other model.
    net = posekit.create_model(f"hf://org/{POSE}")
    assert sum(p.numel() for p in net.parameters()) > 1e6
    card = ModelCard(server.files[
        f"/storage/{server.repositories[f'org/{POSE}', 'main']['README.md']}"].content.decode()
    )  # fmt: skip
    assert card.data.license == "apache-2.0"
    assert [(r.dataset_name, r.metric_value) for r in card.data.eval_results] == [("COCO", 0.682)]
    assert digest in card.content


def test_what_is_there_with_the_same_hash_is_left_out(
    server: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mirror", "org", "only=t", "push=true"]) == 0
    assert len(commits(server)) == 1
    assert main(["mirror", "org", f"only={POSE},{DETECTOR}", "push=true"]) == 0
    assert f"{POSE}: there" in capsys.readouterr().out
    assert len(commits(server)) == 2
    assert main(["mirror", "org", "only=[rtm*]"]) == 0
    assert "2 there" in capsys.readouterr().out


def test_one_that_fails_does_not_stop_the_others(
    server: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.commit_statuses = [500]
    words = ["mirror", "org", f"only={POSE},{DETECTOR}", "push=true"]
    assert main(words) == 1
    printed = capsys.readouterr().out
    assert f"{POSE}: failed: cannot upload to org/{POSE}" in printed
    assert f"{DETECTOR}: uploaded" in printed
    assert main(words) == 0
    assert "1 uploaded, 1 there" in capsys.readouterr().out


def test_who_may_not_write_is_told_once(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert main(["mirror", "org", f"only={POSE},{DETECTOR}", "push=true"]) == 1
    printed = capsys.readouterr().out
    assert "hf auth login" in printed
    assert f"{DETECTOR}: failed: not tried" in printed
    assert not server.gets(f"/{DETECTOR}.safetensors")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["org/name"], "expected the name of an organisation"),
        (["org", "only=rtmpose-z"], "only: no model, task or pattern of models is 'rtmpose-z'"),
        (["org", "push=maybe"], "push must be true or false"),
        (["org", "yes=true"], "unknown option 'yes'"),
    ],
)
def test_a_mistake_is_one_line(
    server: HubServer, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mirror", *words]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert server.exchanges == []
