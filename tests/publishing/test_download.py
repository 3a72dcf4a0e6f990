"""`posekit download`: what is there after it, here and on a machine without a network."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from safetensors.torch import save

from posekit import checkpoints
from posekit.build import build_network
from posekit.checkpoints import Checkpoint, Source
from posekit.cli import main
from posekit.locate import locate
from posekit.spec import load_spec
from tests.hub_server import HubServer
from tests.publishing.models import NAME, environment, publish, run

POSE = "rtmpose-t_coco-256x192"
DETECTOR = "rtmdet-nano_person-320"


@functools.cache
def weights_of(model: str) -> bytes:
    """A file in posekit's layout with random numbers."""
    state = build_network(load_spec(model).net, device="cpu").state_dict()
    return save(state, metadata={"model": model})


def row(name: str, url: str) -> Checkpoint:
    return Checkpoint(
        name=name, task="body", config="", sources=(Source(url),), metrics=(),
        license="Apache-2.0", training_data="", parameters=1.0,
    )  # fmt: skip


@pytest.fixture
def table(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pose model and its detector, which the server has."""
    rows = tuple(
        row(name, server.add(f"/{name}.safetensors", weights_of(name), etag='"1"'))
        for name in (POSE, DETECTOR)
    )
    monkeypatch.setattr(checkpoints, "CHECKPOINTS", rows)


def states(printed: str) -> dict[str, str]:
    """The last cell of each row of the table, by the first."""
    rows = [re.split(r"  +", line) for line in printed.splitlines()]
    return {cells[0]: cells[-1] for cells in rows if len(cells) in (3, 4)}


def test_a_model_and_its_detector_come_once(
    table: None, server: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["download", POSE, POSE, DETECTOR, f"detector={DETECTOR}"]) == 0
    found = states(capsys.readouterr().out)
    assert (found[POSE], found[DETECTOR]) == ("fetched", "fetched")
    names = sorted(path.name for path in (tmp_path / "cache" / "models").glob("*.safetensors"))
    assert names == [f"{DETECTOR}.safetensors", f"{POSE}.safetensors"]
    server.exchanges.clear()
    assert main(["download", POSE, f"detector={DETECTOR}"]) == 0
    found = states(capsys.readouterr().out)
    assert (found[POSE], found[DETECTOR]) == ("there", "there")
    assert server.exchanges == []


def test_a_dry_run_asks_nobody(
    table: None, server: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["download", POSE, "--to", f"{tmp_path / 'there'}", "dry_run=true"]) == 0
    printed = capsys.readouterr().out
    assert re.search(rf"{POSE} +{POSE} +4\.0 +missing", printed)
    assert states(printed)["rtmdet-m_person-640"] == "missing"
    assert re.search(
        r"^dry run: nothing was downloaded; 2 networks, \d+\.\d MB, would be$", printed, re.M
    )
    assert server.exchanges == [] and not (tmp_path / "there").exists()


def test_one_that_fails_does_not_stop_the_others(
    table: None, server: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    content = server.files[f"/{POSE}.safetensors"].content
    server.files[f"/{POSE}.safetensors"].drops = [len(content) // 2]
    assert main(["download", POSE, "hf://org/none", f"detector={DETECTOR}"]) == 1
    printed = capsys.readouterr()
    found = states(printed.out)
    assert (found[POSE], found[DETECTOR], found["hf://org/none"]) == ("failed", "fetched", "failed")
    assert f"failed: {POSE}: " in printed.err
    assert "hf://org/none: there is no such repository" in printed.err
    # What had come is not fetched again.
    assert main(["download", POSE, f"detector={DETECTOR}"]) == 0
    assert server.gets(POSE)[-1].range == f"bytes={len(content) // 2}-"


def test_a_name_that_is_none_is_said_before_anything_is_fetched(
    table: None, server: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["download", POSE, "no-such-model"]) == 1
    assert "unknown model 'no-such-model'" in capsys.readouterr().err
    assert server.exchanges == []


def test_the_folder_works_on_a_machine_without_a_network(
    folder: Path, server: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(server, folder, "org/mine")
    there = tmp_path / "there"
    locate("hf://org/mine")  # what lies in the cache here is not there
    assert main(["download", "hf://org/mine", f"to={there}", "dry_run=true"]) == 0
    assert states(capsys.readouterr().out)["hf://org/mine"] == "missing"
    assert main(["download", "hf://org/mine", f"to={there}"]) == 0
    assert f"POSEKIT_CACHE={there} HF_HUB_OFFLINE=1" in capsys.readouterr().out
    sums = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=there, capture_output=True, text=True
    )
    assert sums.returncode == 0, sums.stderr
    assert "model.safetensors: OK" in sums.stdout
    elsewhere = tmp_path / "elsewhere" / "weights"
    shutil.copytree(there, elsewhere, symlinks=True)
    shutil.rmtree(there)
    offline = environment(server, tmp_path / "new", HF_HUB_OFFLINE="1", HF_ENDPOINT="http://x")
    offline["POSEKIT_CACHE"] = str(elsewhere)
    server.exchanges.clear()
    code = (
        "import posekit; net = posekit.create_model('hf://org/mine'); "
        "print(sum(p.numel() for p in net.parameters()))"
    )
    done = run("-c", code, **offline)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1e4
    assert server.exchanges == []


def test_what_is_damaged_there_is_fetched_again(
    table: None, server: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["download", DETECTOR, f"to={tmp_path / 'there'}"]
    assert main(words) == 0
    path = tmp_path / "there" / "models" / f"{DETECTOR}.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-4] + b"\x00\x01\x02\x03")  # of the same length
    assert main(words) == 0
    printed = capsys.readouterr()
    assert f"{path} was damaged and has been removed" in printed.err
    assert path.read_bytes() == whole


def test_a_detector_that_a_model_of_the_hub_names_comes_too(
    folder: Path, table: None, server: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"model/{NAME}.yaml"
    values = yaml.safe_load((folder / name).read_text())
    publish(server, folder, "org/mine", **{name: yaml.safe_dump(
        {**values, "detector": "hf://org/finder"}).encode()})  # fmt: skip
    spec = load_spec(DETECTOR)
    server.commit("org/finder", {
        "model.safetensors": weights_of(DETECTOR),
        "detector/finder.yaml": yaml.safe_dump(spec.to_config()).encode(),
    })  # fmt: skip
    assert main(["download", "hf://org/mine"]) == 0
    found = states(capsys.readouterr().out)
    assert (found["hf://org/mine"], found["hf://org/finder"]) == ("fetched", "fetched")


def test_a_folder_that_cannot_be_made_is_one_line(
    table: None, server: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["download", POSE, f"to={tmp_path / 'file'}"]) == 1
    assert f"cannot make the folder {tmp_path / 'file'}" in capsys.readouterr().err
