"""Runs of several processes, which torchrun starts again after one of them died."""

from __future__ import annotations

import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch.distributed as dist

from posekit.errors import InputError
from posekit.training.checkpoint import load_checkpoint
from posekit.training.processes import attempt_store, launch_id
from tests.training import runs
from tests.training.runs import free_port, losses, weights
from tests.training.test_loop import assert_same_state

KILLED = "from tests.training.runs import killed_once_after; killed_once_after({words!r})"


def options_of(folder: Path) -> list[str]:
    """A run of 8 steps, with what has to go on as it was."""
    return [
        *runs.workshop(folder),
        *("epochs=4", "batch_size=2", "ema=0.9", "train_net.drop_path_rate=0.5"),
        *("checkpoint_every=3", "val_every=2"),
    ]


def test_a_launch_that_starts_its_run_again_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    options = options_of(tmp_path)
    whole = runs.train(tmp_path, *options, f"out_dir={tmp_path / 'whole'}")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-7")
    options += [f"out_dir={tmp_path / 'cut'}"]
    with runs.interrupted_after("step 5/16"), pytest.raises(KeyboardInterrupt):
        runs.train(tmp_path, *options)
    cut = runs.train(tmp_path, *options)
    warnings = [entry.message for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert warnings == [f"restarted by torchrun: resuming the run in {cut}"]
    assert_same_state(weights(cut), weights(whole))
    assert losses(cut) == losses(whole)


def test_another_launch_does_not_go_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [*runs.workshop(tmp_path), "epochs=1", f"out_dir={tmp_path / 'run'}"]
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-7")
    runs.train(tmp_path, *options)
    with pytest.raises(InputError, match="already holds a run"):  # other values
        runs.train(tmp_path, *options, "lr=1e-3")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-8")
    with pytest.raises(InputError, match="already holds a run"):
        runs.train(tmp_path, *options)
    (tmp_path / "run" / "run.json").write_text("[")
    with pytest.raises(InputError, match="already holds a run"):
        runs.train(tmp_path, *options)


def test_a_launch_without_a_name_is_told_by_the_process_that_starts_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert launch_id() is None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    found = launch_id()
    assert found is not None
    assert f":{os.getppid()}:" in found
    assert launch_id() == found


def test_processes_that_are_started_again_find_nothing_of_those_before() -> None:
    """They come in any order; what the last attempt left in the store is there already."""
    store = dist.HashStore()

    def come(rank: int, word: str) -> list[str]:
        part = attempt_store(store, rank, 3)
        assert not part.check([f"address {rank}"])
        part.set(f"address {rank}", word)
        return [part.get(f"address {other}").decode() for other in range(3)]

    with ThreadPoolExecutor(3) as pool:
        for word, order in (("one", (2, 0, 1)), ("two", (0, 1, 2)), ("three", (1, 2, 0))):
            coming = [pool.submit(come, rank, word) for rank in order]
            assert [one.result(60) for one in coming] == [[word] * 3] * 3
            store.set("posekit/came/1", f"died early in attempt {word}")


def torchrun(*arguments: str, words: str = "") -> tuple[str, ...]:
    """Launches two processes in all; the first one dies after its line with `words`.

    One restart has to be enough: what is left of the first attempt must not disturb the second.
    """
    launcher = ("-m", "torch.distributed.run", "--max-restarts=1", "--local-addr=127.0.0.1")
    if not words:
        return (*launcher, *arguments)
    code = KILLED.format(words=words)
    return (*launcher, *arguments, "--no-python", sys.executable, "-c", code)


def undisturbed(folder: Path, options: list[str]) -> Path:
    """Two processes that are left alone, cut at step 5, and resumed as a user asks for it."""
    meet = ("--nproc-per-node=2", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0")
    out = f"out_dir={folder / 'resumed'}"
    dies = ("-m", "torch.distributed.run", "--max-restarts=0", "--local-addr=127.0.0.1", *meet)
    dies += ("--no-python", sys.executable, "-c", KILLED.format(words="step 5/8"))
    process = runs.start(folder, *options, out, launcher=dies)
    _, log = process.communicate(timeout=600)
    assert process.returncode != 0, log
    process = runs.start(folder, *options, out, "resume=true", launcher=torchrun(*meet))
    _, log = process.communicate(timeout=600)
    assert process.returncode == 0, log
    assert "resuming at step 4, epoch 2" in log
    return folder / "resumed"


@pytest.mark.slow
def test_a_run_survives_the_death_of_a_process(tmp_path: Path) -> None:
    options = options_of(tmp_path)
    expected = undisturbed(tmp_path, options)
    launcher = torchrun("--nproc-per-node=2", f"--master-port={free_port()}", words="step 5/8")
    out = f"out_dir={tmp_path / 'elastic'}"
    process = runs.start(tmp_path, *options, out, launcher=launcher)
    _, log = process.communicate(timeout=600)
    assert process.returncode == 0, log
    assert log.count("restarted by torchrun") == 1
    assert_same_runs(tmp_path / "elastic", expected)


@pytest.mark.slow
def test_two_machines_survive_the_death_of_a_process(tmp_path: Path) -> None:
    options = options_of(tmp_path)
    expected = undisturbed(tmp_path, options)
    meet = f"--rdzv-endpoint=127.0.0.1:{free_port()}"
    arguments = ("--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", meet, "--rdzv-id=job")
    launcher = torchrun(*arguments, words="step 5/8")
    out = f"out_dir={tmp_path / 'elastic'}"
    agents = [runs.start(tmp_path, *options, out, launcher=launcher) for _ in range(2)]
    found = [agent.communicate(timeout=600)[1] for agent in agents]
    log = "\n".join(found)
    assert [agent.returncode for agent in agents] == [0, 0], log
    assert log.count("restarted by torchrun") == 1
    assert log.count("error: another process of this run has ended or cannot be reached: ") == 1
    assert "Traceback" not in log
    assert_same_runs(tmp_path / "elastic", expected)


def assert_same_runs(found: Path, expected: Path) -> None:
    assert_same_state(weights(found), weights(expected))
    states = [load_checkpoint(run / "last.ckpt") for run in (found, expected)]
    assert_same_state(*states)
    assert losses(found) == losses(expected)
