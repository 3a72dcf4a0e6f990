"""Models by their address on the Hub: what is fetched, and everything that is refused."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import posekit
from posekit import build, hub_models
from posekit.cli import main
from posekit.compose import compose_command
from posekit.config import PACKAGED
from posekit.errors import DownloadError, InputError, PosekitError, WeightsError
from posekit.locate import locate
from tests.conftest import ROOT
from tests.hub_server import HubServer
from tests.publishing.conftest import folder, server  # noqa: F401  (fixtures)
from tests.publishing.models import NAME, environment, export, publish, run

CONFIG = f"model/{NAME}.yaml"


@pytest.fixture
def commit(server: HubServer, folder: Path) -> str:  # noqa: F811
    """Of `hf://org/mine`, which holds a model."""
    return publish(server, folder, "org/mine")


def asked(server: HubServer) -> list[str]:  # noqa: F811
    """What the Hub was asked for models, without the client's other matters."""
    return [e.path for e in server.exchanges if "/org/" in e.path]


def changed(server: HubServer, folder: Path, **values: Any) -> None:  # noqa: F811
    """Publishes the model with other values in its YAML."""
    config = yaml.safe_load((folder / CONFIG).read_text()) | values
    publish(server, folder, "org/mine", **{CONFIG: yaml.safe_dump(config).encode()})


def test_only_what_a_model_is_made_of_is_fetched(server: HubServer, folder: Path) -> None:  # noqa: F811
    publish(server, folder, "org/mine", **{
        "evil.py": b"1/0", "pytorch_model.bin": b"x", "../out.yaml": b"x: 1", "model/.x.yaml": b"",
        "model/../../keypoints/y.yaml": b"", "keypoints/a/b.yaml": b"", "hubconf.yaml": b"",
        "keypoints/h36m.yaml": b"",
    })  # fmt: skip
    found = hub_models.fetch_model("hf://org/mine")
    names = {path.relative_to(found.root).as_posix() for path in found.root.rglob("*.*")}
    assert names == {"model.safetensors", CONFIG, "keypoints/coco.yaml"}
    assert locate("hf://org/mine").name == NAME


def test_the_second_load_asks_which_commit_it_is_and_a_commit_nothing(
    server: HubServer, commit: str  # noqa: F811
) -> None:  # fmt: skip
    hub_models.fetch_model("hf://org/mine")
    server.exchanges.clear()
    found = hub_models.fetch_model("hf://org/mine")
    assert asked(server) == ["/api/models/org/mine?blobs=true"]
    server.exchanges.clear()
    assert hub_models.fetch_model(f"hf://org/mine@{commit}") == found
    assert found.commit == commit
    assert server.exchanges == []


def test_a_branch_that_moved_is_fetched_anew(
    server: HubServer, commit: str, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    hub_models.fetch_model("hf://org/mine")
    other = export(tmp_path / "other", "other")
    server.repositories["org/mine", "main"] = {}
    newer = publish(server, other, "org/mine")
    assert hub_models.fetch_model("hf://org/mine").commit == newer
    assert locate("hf://org/mine").name == "other"
    assert locate(f"hf://org/mine@{commit}").name == NAME


def test_a_run_that_was_uploaded_as_it_is(server: HubServer, folder: Path) -> None:  # noqa: F811
    files = {f"export/{p.relative_to(folder).as_posix()}": p.read_bytes()
             for p in folder.rglob("*") if p.is_file()}  # fmt: skip
    server.commit("org/run", {**files, "last.ckpt": b"x", "config.yaml": b"x"})
    assert locate("hf://org/run").name == NAME
    assert not any("last.ckpt" in path for path in asked(server))


def test_offline_there_is_what_came_before(
    server: HubServer, commit: str, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"HF_HUB_OFFLINE is set; fetch it where there is"):
        locate("hf://org/mine")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    locate("hf://org/mine")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    server.exchanges.clear()
    assert locate("hf://org/mine").name == NAME
    assert server.exchanges == []


@pytest.mark.parametrize("how", ["nobody listens", "an error of the server"])
def test_a_hub_that_does_not_answer(
    server: HubServer,  # noqa: F811
    commit: str,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def break_it() -> None:
        if how == "an error of the server":
            server.statuses = [503] * 10
        else:
            monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    break_it()
    with pytest.raises(DownloadError, match=r"the Hub cannot be reached: .*HTTPS_PROXY") as raised:
        locate("hf://org/mine")
    assert "\n" not in str(raised.value)
    server.statuses = []
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    locate("hf://org/mine")
    break_it()
    assert locate("hf://org/mine").name == NAME
    assert f"taking commit {commit[:12]}, which is in the cache" in caplog.text


@pytest.mark.parametrize("listens", [True, False])
def test_a_proxy_is_asked(
    server: HubServer,  # noqa: F811
    commit: str,
    tmp_path: Path,
    listens: bool,
) -> None:
    proxy = server.url if listens else "http://127.0.0.1:9"
    home = environment(server, tmp_path, HF_ENDPOINT="http://hub.example", HTTP_PROXY=proxy)
    code = "from posekit.hub_models import fetch_model; print(fetch_model('hf://org/mine').commit)"
    done = run("-c", code, **home, http_proxy=proxy)
    if listens:
        assert done.stdout.strip() == commit, done.stderr
    else:
        assert "the Hub cannot be reached: [Errno 111] Connection refused" in done.stderr


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://org/none", "no such repository, or it is private: check the name, or log in with"),
        ("hf://org/private", "no such repository, or it is private: check the name, or log in"),
        ("hf://org/gated", "it is gated: accept its conditions at http.*/org/gated, and log in"),
        ("hf://org/mine@v9", "there is no such revision: expected a branch, a tag or a commit"),
        (f"hf://org/mine@{'a' * 40}", "there is no such revision"),
    ],
)
def test_what_may_not_be_had_is_explained(
    server: HubServer,  # noqa: F811
    folder: Path,  # noqa: F811
    commit: str,
    address: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for repository, which in (("org/private", server.private), ("org/gated", server.gated)):
        publish(server, folder, repository)
        which.add(repository)
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(DownloadError, match=message) as raised:
        locate(address)
    assert "\n" not in str(raised.value)


def test_a_token_opens_what_is_private(server: HubServer, commit: str) -> None:  # noqa: F811
    server.private.add("org/mine")
    assert locate("hf://org/mine").name == NAME


@pytest.mark.parametrize(
    "address",
    [
        "hf://", "hf://org", "hf://org/", "hf:///name", "hf://org/../name", "hf://org/..",
        "hf://org/name@", "hf://org/name@../x", "hf://org/name@a b", "hf://org/na me",
        "hf://org/name@/etc/passwd", "hf://org/name#sha256=1", "hf://org\\name", "hf://o/n@v\n",
    ],
)  # fmt: skip
def test_an_address_that_is_none(server: HubServer, address: str) -> None:  # noqa: F811
    with pytest.raises(InputError, match=r"expected .*hf://organisation/name"):
        locate(address)
    assert server.exchanges == []


def test_a_file_is_given_as_weights(server: HubServer) -> None:  # noqa: F811
    with pytest.raises(InputError, match=r'weights="hf://org/name/model\.safetensors"'):
        locate("hf://org/name/model.safetensors")


VITPOSE = {"model_type": "vitpose", "backbone_config": {"hidden_size": 768}}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "found nothing"),
        ({"README.md": b""}, "found README.md$"),
        ({"pytorch_model.bin": b"x"}, r"is a pickle, .*weights=.hf://org/other/pytorch_model\.bin"),
        ({"last.pth": b"x"}, r"last\.pth is a pickle"),
        ({"end2end.onnx": b"x"}, r"end2end\.onnx is a graph, .*weights="),
        ({"rtmpose.zip": b"x"}, r"rtmpose\.zip is a graph"),
        ({"model.safetensors": b"x"}, r"model\.safetensors is not loaded without a description"),
        (
            {"model.safetensors": b"x", "config.json": json.dumps(VITPOSE).encode()},
            r'VitPose of transformers: posekit\.load\("vitpose-b-simple_coco-256x192", weights=',
        ),
        ({"model.safetensors": b"x", "config.json": b"[1"}, "not loaded without a description"),
        (
            {"model.safetensors": b"x", "model/a.yaml": b"", "model/b.yaml": b""},
            "expected model.safetensors and one model/NAME.yaml",
        ),
    ],
)
def test_a_repository_of_another_kind(
    server: HubServer,  # noqa: F811
    files: dict[str, bytes | str],
    message: str,
) -> None:
    server.commit("org/other", files)
    with pytest.raises(InputError, match=message) as raised:
        locate("hf://org/other")
    assert "hf://org/other is not a posekit model" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_repository_of_the_table_is_had_by_name(server: HubServer) -> None:  # noqa: F811
    server.commit("usyd-community/vitpose-base", {"model.safetensors": b"x"})
    with pytest.raises(InputError, match=r'posekit has it by name, posekit\.load\("vitpose-b'):
        locate("hf://usyd-community/vitpose-base")


def test_the_example_of_the_page_runs(server: HubServer, folder: Path) -> None:  # noqa: F811
    publish(server, folder, "organisation/name")
    server.commit("organisation/name", dict(server.repositories["organisation/name", "main"]), "v2")
    page = (ROOT / "docs" / "hub.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["predictor"].models["model"] == NAME
    assert any("/revision/v2" in e.path for e in server.exchanges)


# --- what a stranger may write


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"net": {"_target_": "os.system"}}, "is not one of posekit's networks"),
        ({"codec": {"_target_": "subprocess.Popen"}}, "is not one of posekit's networks"),
        ({"detector": "/etc"}, "detector: expected the name of a model of posekit"),
        ({"detector": "../detector"}, "detector: expected the name of a model of posekit"),
        ({"detector": "rtmdet_m_8xb32-300e_coco.py"}, "detector: expected the name of a model"),
        ({"detector": "hf://org/../x"}, "expected hf://organisation/name"),
        ({"keypoints": "../../secret"}, "unknown skeleton"),
        ({"input_size": [10**9, 10**9]}, "does not fit the model"),
        ({"sample": "/etc/passwd"}, "sample: expected the name of a file, without folders"),
        ({"note": ["x"]}, "note"),
    ],
)
def test_nothing_that_a_description_names_runs_or_leads_out(
    server: HubServer,  # noqa: F811
    folder: Path,  # noqa: F811
    values: dict[str, Any],
    message: str,
) -> None:
    changed(server, folder, **values)
    with pytest.raises(PosekitError, match=message):
        posekit.load("hf://org/mine", device="cpu")
    with pytest.raises(PosekitError, match=message):
        posekit.create_model("hf://org/mine")


@pytest.mark.parametrize("text", [
    b"net: !!python/object/apply:os.system [touch ran]", b"&a [*a]", b"\xff\xfe", b"[" * 1000,
])  # fmt: skip
def test_a_description_that_is_no_plain_yaml(
    server: HubServer,  # noqa: F811
    folder: Path,  # noqa: F811
    text: bytes,
) -> None:
    publish(server, folder, "org/mine", **{CONFIG: text})
    with pytest.raises(InputError):
        locate("hf://org/mine")
    # The weights of it were not even fetched.
    assert not any("resolve/main/model.safetensors" in path for path in asked(server))


def test_interpolations_are_not_evaluated(server: HubServer, folder: Path) -> None:  # noqa: F811
    changed(server, folder, note="${oc.env:HOME}")
    with pytest.raises(InputError, match="interpolations such as"):
        compose_command("predict", ["model=hf://org/mine"])
    spec = posekit.load("hf://org/mine", device="cpu")
    assert spec.models["model"] == NAME


def test_trust_is_not_for_the_hub(
    server: HubServer,  # noqa: F811
    commit: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for load in (posekit.load, posekit.create_model):
        with pytest.raises(InputError, match="trust does not apply to hf://org/mine"):
            load("hf://org/mine", trust=True)
    assert main(["predict", "model=hf://org/mine", "inputs=x.jpg", "trust=true"]) == 1
    assert "trust does not apply to hf://org/mine" in capsys.readouterr().err


def test_what_is_too_large_is_not_fetched(
    server: HubServer,  # noqa: F811
    folder: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(server, folder, "org/mine", **{"keypoints/x.yaml": b"#" * (hub_models.MAX_YAML + 1)})
    with pytest.raises(InputError, match=r"keypoints/x\.yaml has 1,048,577 bytes, expected at mos"):
        locate("hf://org/mine")
    monkeypatch.setattr(hub_models, "MAX_WEIGHTS", 1000)
    publish(server, folder, "org/large")
    with pytest.raises(InputError, match=r"model\.safetensors has .* bytes, expected at most 1,0"):
        locate("hf://org/large")
    assert not any("/resolve/" in path for path in asked(server))


def test_a_network_without_end_is_refused_soon(
    server: HubServer,  # noqa: F811
    folder: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build, "MOST_CALLS", 1000)  # for the test's own sake
    net = {"_target_": "posekit.models.vitpose.ViTPose", "depth": 100_000, "embed_dim": 16,
           "num_heads": 2, "simple_head": True}  # fmt: skip
    config = yaml.safe_load((folder / CONFIG).read_text())
    config = {"net": net, "input_size": config["input_size"], "keypoints": "coco"}
    publish(server, folder, "org/mine", **{CONFIG: yaml.safe_dump(config).encode()})
    with pytest.raises(InputError, match="ask for more layers than any network has"):
        posekit.load("hf://org/mine", device="cpu")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04\x95cposix\nsystem\n", "is not a safetensors file, whatever its name"),
        (b"PK\x03\x04" + b"\0" * 100, "is not a safetensors file, whatever its name"),
        (b"", "is not a safetensors file"),
        (b'{"weight_map": {}}', "is not a safetensors file"),
        ((10**15).to_bytes(8, "little") + b"{", "is not a safetensors file"),
        ((2).to_bytes(8, "little") + b"{" + b"}x", "is damaged"),
    ],
    ids=["pickle", "zip", "empty", "index", "header", "longer"],
)
def test_weights_that_are_none(
    server: HubServer,  # noqa: F811
    folder: Path,  # noqa: F811
    content: bytes,
    message: str,
) -> None:
    publish(server, folder, "org/mine", **{"model.safetensors": content})
    with pytest.raises(WeightsError, match=message):
        locate("hf://org/mine")


# --- on the way


def test_a_download_that_breaks_off_leaves_no_half(server: HubServer, commit: str) -> None:  # noqa: F811
    digest = server.repositories["org/mine", "main"]["model.safetensors"]
    file = server.files[f"/storage/{digest}"]
    file.drops = [10_000] * 50
    with pytest.raises(DownloadError, match=r"model\.safetensors: .*; run this again"):
        locate("hf://org/mine")
    file.drops = []
    weights = locate("hf://org/mine").weights
    assert weights is not None
    assert weights.read_bytes() == file.content


def test_a_file_with_another_hash_is_removed(server: HubServer, commit: str) -> None:  # noqa: F811
    digest = server.repositories["org/mine", "main"]["model.safetensors"]
    file = server.files[f"/storage/{digest}"]
    whole, file.content = file.content, file.content[:-4] + b"\x01\x02\x03\x04"
    with pytest.raises(DownloadError, match=r"was removed: expected a SHA-256 of .*run this again"):
        locate("hf://org/mine")
    file.content = whole
    assert locate("hf://org/mine").weights is not None


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_a_full_disk_is_named(server: HubServer, commit: str) -> None:  # noqa: F811
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(DownloadError, match=r"own cache: .*free some space or set HF_HOME"):
            locate("hf://org/mine")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_that_was_made_for_it_has_all(
    server: HubServer,  # noqa: F811
    commit: str,
    tmp_path: Path,
) -> None:
    hub_models.fetch_model("hf://org/mine")  # the client's own cache is not what is copied
    (tmp_path / "cache" / "hub").mkdir(parents=True)
    found = hub_models.fetch_model("hf://org/mine")
    assert found.root.is_relative_to(tmp_path / "cache" / "hub")


def test_results_name_the_repository_and_its_commit_not_a_path_here(
    server: HubServer, commit: str, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    predictor = posekit.load("hf://org/mine", detector="whole_image", device="cpu")
    assert predictor.weights == {"model": f"hf://org/mine@{commit}"}
    image = PACKAGED / "demo.jpg"
    list(predictor(image, formats="csv", pred_out_dir=tmp_path / "out"))
    (written,) = (tmp_path / "out").glob("*.meta.json")
    assert json.loads(written.read_text())["weights"] == predictor.weights


def test_it_is_a_model_for_every_command(server: HubServer, commit: str) -> None:  # noqa: F811
    for command in ("predict", "evaluate", "bench", "export"):
        config = compose_command(command, [f"model=hf://org/mine@{commit}", "detector=none"])
        assert config["names"]["model"] == NAME
        assert config["weights"].endswith("model.safetensors")
    config = compose_command("train", ["model=hf://org/mine", "dataset.train=a.json"])
    assert config["weights"].endswith("model.safetensors")
