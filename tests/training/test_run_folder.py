from __future__ import annotations

import io
import json
import math
import signal
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from posekit.errors import InputError, OutputError
from posekit.skeleton import load_skeleton, skeleton_names
from posekit.training.checkpoint import load_checkpoint, save_checkpoint, written_whole
from posekit.training.export import model_name, skeleton_yaml
from posekit.training.metric_log import MetricLog
from posekit.training.run_folder import RunFolder, changed_values
from tests.conftest import ROOT

CASES = ROOT / "tests" / "data" / "checkpoints"


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    state = {"net": {"w": torch.arange(3.0)}, "step": 7, "best": None}
    save_checkpoint(tmp_path / "last.ckpt", state)
    found = load_checkpoint(tmp_path / "last.ckpt")
    assert torch.equal(found["net"]["w"], state["net"]["w"])  # type: ignore[index]
    assert (found["step"], found["best"]) == (7, None)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), written_whole(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_a_write_that_is_interrupted_is_no_write_that_fails(
    tmp_path: Path, kind: type[BaseException]
) -> None:
    def handle(*_: object) -> None:  # as that of Ctrl-C, or of a job that is queued again
        raise kind

    class Interrupted(io.BytesIO):
        def write(self, data: Any) -> int:
            if len(data) > 1000:
                signal.raise_signal(signal.SIGINT)
            return super().write(data)

    before = signal.signal(signal.SIGINT, handle)
    try:
        with pytest.raises(kind), written_whole(tmp_path / "file"):
            torch.save({"w": torch.zeros(1000)}, Interrupted())
    finally:
        signal.signal(signal.SIGINT, before)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_gone_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        save_checkpoint(tmp_path / "gone" / "last.ckpt", {})


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut"])
def test_a_damaged_checkpoint_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a checkpoint"):
        load_checkpoint(path)


def test_a_checkpoint_runs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"net": Path("anything")}, path)  # a class that is no tensor
    with pytest.raises(InputError, match="is not a checkpoint"):
        load_checkpoint(path)


STATE: dict[str, Any] = {
    "net": {"w": torch.arange(3.0)},
    "ema": None,
    "optimizer": {},
    "scaler": None,
    "sampler": {"epoch": 1, "position": 4, "seed": 0, "length": 9},
    "plan": [4, 2],
    "step": 3,
    "best": 0.5,
}


def test_a_state_is_loaded_from_its_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, resume=True)
    torch.save(STATE, folder.checkpoint)  # as it was before it had a format
    assert folder.load()["step"] == 3
    folder.save(STATE)
    assert folder.load()["sampler"] == STATE["sampler"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *(({key: ...}, f"'{key}' is missing") for key in STATE),
        *(({key: "text"}, f"'{key}' is str") for key in STATE),
        ({"plan": [4]}, "'plan' is [4], expected two whole numbers"),
        ({"plan": [0, 2]}, "'plan' is [0, 2]"),
        ({"plan": [4, True]}, "'plan' is [4, True]"),
        ({"step": True}, "'step' is bool"),
        ({"step": 10**9}, "step 1000000000 is not where epoch 1, sample 4 is"),
        ({"sampler": {"epoch": 1}}, "'sampler.position' is None"),
        ({"sampler": {**STATE["sampler"], "epoch": -1}}, "'sampler.epoch' is -1"),
        ({"net": {"w": 5}}, "'net' has 'w', which is not a tensor"),
        ({"net": {5: torch.zeros(1)}}, "'net' has '5'"),
        ({"ema": {"w": [1.0]}}, "'ema' has 'w'"),
        ({"net": {"w": torch.zeros(1).to_sparse()}}, "'net' has 'w', which is not a tensor"),
        ({"net": {"w": torch.zeros(1, device="meta")}}, "'net' has 'w', which is not a tensor"),
        ({"net": {"w": torch.zeros(1, dtype=torch.complex64)}}, "'w', which is not a tensor"),
        ({"net": {"w": torch.tensor([1.0, math.nan])}}, "numbers in 'w' that are not finite"),
        ({"format": 2}, "found 2; a newer posekit wrote it"),
        ({"format": "x"}, "found 'x'"),
    ],
)
def test_what_is_not_the_state_of_a_run_is_said_in_a_line(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    folder = RunFolder(tmp_path, resume=True)
    state = {key: value for key, value in {**STATE, **change}.items() if value is not ...}
    torch.save(state, folder.checkpoint)
    with pytest.raises(InputError) as raised:
        folder.load()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", sorted(path.name for path in CASES.glob("*.ckpt")))
def test_foreign_checkpoints_are_refused_in_a_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes((CASES / name).read_bytes())
    with pytest.raises(InputError, match="is not a checkpoint that can be read") as raised:
        RunFolder(tmp_path, resume=True).load()
    assert "\n" not in str(raised.value)


def test_no_damage_goes_unseen(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, resume=True)
    folder.save(STATE)
    whole = folder.checkpoint.read_bytes()
    rng = np.random.default_rng(0)
    places = rng.choice(len(whole), 300, replace=False).tolist()
    damaged = [whole[:place] for place in places[:100]]
    damaged += [whole[:p] + bytes([whole[p] ^ 255]) + whole[p + 1 :] for p in places]
    refused = 0
    for content in damaged:
        folder.checkpoint.write_bytes(content)
        try:
            state = folder.load()
        except InputError as error:
            refused += 1
            assert "\n" not in str(error)
        else:  # the byte was padding
            assert torch.equal(state["net"]["w"], STATE["net"]["w"])
            assert {key: state[key] for key in ("step", "plan", "best", "sampler")} == {
                key: STATE[key] for key in ("step", "plan", "best", "sampler")
            }
    assert refused > 200


class Runs:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "ran"))


@pytest.mark.parametrize("legacy", [False, True])
def test_what_would_run_is_refused(tmp_path: Path, legacy: bool) -> None:
    folder = RunFolder(tmp_path, resume=True)
    state = {**STATE, "best": Runs(tmp_path / "trace")}
    torch.save(state, folder.checkpoint, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match="is not a checkpoint that can be read") as raised:
        folder.load()
    assert ("nothing that it holds is run" in str(raised.value)) != legacy
    assert "weights_only" not in str(raised.value)
    assert not (tmp_path / "trace").exists()


def test_a_compressed_archive_is_not_unpacked(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, resume=True)
    with zipfile.ZipFile(folder.checkpoint, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1000))
    with pytest.raises(InputError, match="it is compressed"):
        folder.load()


def test_a_folder_in_the_place_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").mkdir()
    with pytest.raises(InputError, match=r"last\.ckpt is not a file"):
        RunFolder(tmp_path, resume=True)


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe\xff", b"!!python/name:os.system"])
def test_a_damaged_configuration_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"config\.yaml cannot be read: .*; delete it") as raised:
        RunFolder(tmp_path, resume=True).saved_config()
    assert "\n" not in str(raised.value)


def test_rows_that_are_no_text_go(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(b"step,loss\n1,0.5\n\xff\xfe,3\n")
    with MetricLog(tmp_path, step=3):
        pass
    assert (tmp_path / "train.csv").read_text() == "step,loss\n1,0.5\n"


def test_tables_that_are_not_the_runs_are_left_alone(tmp_path: Path) -> None:
    for name in ("labels.csv", "train.csv"):
        (tmp_path / name).write_text("step,loss\n9,1.0\n")
    with MetricLog(tmp_path, step=3) as log:
        log.add("val", 4, {"AP": 0.5})
    assert (tmp_path / "labels.csv").read_text() == "step,loss\n9,1.0\n"
    assert (tmp_path / "train.csv").read_text() == "step,loss\n"


def test_a_run_writes_down_what_it_is(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", resume=False)
    folder.open({"lr": 1e-3, "names": {"model": "x"}})
    assert folder.saved_config() == {"lr": 1e-3, "names": {"model": "x"}}
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert {"command", "commit", "uncommitted_changes", "posekit", "torch"} <= set(facts)


def test_measurements_after_the_checkpoint_are_cut_on_resuming(tmp_path: Path) -> None:
    with MetricLog(tmp_path, step=0) as log:
        for step in (1, 2, 3):
            log.add("train", step, {"epoch": 0, "loss": 0.5 / step})
    path = tmp_path / "train.csv"
    path.write_text(path.read_text() + "4,0,0.1")  # a row that a crash cut short
    with MetricLog(tmp_path, step=2) as log:
        log.add("train", 3, {"epoch": 0, "loss": 0.25})
    assert path.read_text().splitlines() == ["step,epoch,loss", "1,0,0.5", "2,0,0.25", "3,0,0.25"]


def test_measurements_of_a_run_that_starts_anew_are_gone(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("step,loss\n1,2.0\n")
    with MetricLog(tmp_path, step=0) as log:
        log.add("train", 1, {"loss": 1.0})
    assert (tmp_path / "train.csv").read_text().splitlines() == ["step,loss", "1,1.0"]
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_values_that_differ_are_named_by_their_path() -> None:
    before = {"lr": 1, "model": {"net": {"depth": 1}, "flip_test": True}}
    now = {"lr": 1, "model": {"net": {"depth": 2}, "flip_test": True}, "new": 0}
    assert changed_values(before, now) == ["model.net.depth", "new"]


@pytest.mark.parametrize("name", skeleton_names())
def test_a_skeleton_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    skeleton = load_skeleton(name)
    (tmp_path / "keypoints").mkdir()
    (tmp_path / "keypoints" / f"{name}.yaml").write_text(skeleton_yaml(skeleton), encoding="utf-8")
    assert load_skeleton(name, [tmp_path]) == skeleton
    assert yaml.safe_load(skeleton_yaml(skeleton))["keypoints"][0][0] == skeleton.names[0]


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ("data/My Dogs.json", "rtmpose-t_my-dogs-256x192"),
        ([{"annotations": "a/b.json"}], "rtmpose-t_b-256x192"),
        (["数据.json"], "rtmpose-t_own-256x192"),
    ],
)
def test_a_trained_model_is_called_by_network_data_and_size(train: object, expected: str) -> None:
    names = {"model": "rtmpose-t_coco-256x192"}
    assert model_name({"name": None, "names": names, "dataset": {"train": train}}) == expected
