"""One run at a time for the same clips of a folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from posekit.batching.holding import holding
from posekit.batching.options import Shard
from posekit.errors import InputError, OutputError

HOLD = (
    "import sys; from pathlib import Path; from posekit.batching.holding import holding\n"
    "with holding(Path(sys.argv[1]), None):\n"
    "    print('held', flush=True); sys.stdin.read()"
)


@contextmanager
def another_run(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def refuses(folder: Path, shard: Shard | None, message: str) -> None:
    with pytest.raises(InputError, match=message), holding(folder, shard):
        pass


def pretend(folder: Path, part: str = "all", **known: Any) -> None:
    about = {"host": "another-machine", "pid": 7, "since": "1999-01-01", "shard": None, "job": None}
    (folder / f"_running-{part}.json").write_text(json.dumps({**about, **known}))


def test_a_second_run_is_told_of_the_first_one(tmp_path: Path) -> None:
    with another_run(tmp_path) as other:
        for shard in (None, Shard(1, 3)):
            refuses(tmp_path, shard, rf"{os.uname().nodename}, process {other.pid}, since ")


def test_what_a_killed_run_held_is_taken_over(tmp_path: Path) -> None:
    with another_run(tmp_path) as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert (tmp_path / "_running-all.json").exists()
        with holding(tmp_path, Shard(1, 2)):
            assert not (tmp_path / "_running-all.json").exists()
    assert not list(tmp_path.glob("_running*"))


def test_shards_of_one_count_do_not_hold_each_other_up(tmp_path: Path) -> None:
    with holding(tmp_path, Shard(1, 2)), holding(tmp_path, Shard(2, 2)):
        for other in (Shard(1, 2), Shard(1, 3), None):
            refuses(tmp_path, other, "another run is using")
    with holding(tmp_path, None):
        pass


def test_a_run_of_another_machine_counts_whatever_its_clock_says(tmp_path: Path) -> None:
    pretend(tmp_path)
    refuses(tmp_path, None, "another-machine, process 7, .* if it is gone, remove")
    (tmp_path / "_running-all.json").unlink()
    with holding(tmp_path, None):
        pass


@pytest.mark.parametrize(("restarts", "taken"), [("1", True), ("0", False)])
def test_a_job_that_slurm_began_again_takes_over_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarts: str, taken: bool
) -> None:
    for name, value in (("ARRAY_JOB_ID", "5"), ("ARRAY_TASK_ID", "2"), ("RESTART_COUNT", restarts)):
        monkeypatch.setenv(f"SLURM_{name}", value)
    pretend(tmp_path, "2-of-4", shard="2/4", job="5_2", restart=0)
    if taken:
        with holding(tmp_path, Shard(2, 4)):
            pass
    else:
        refuses(tmp_path, Shard(2, 4), "another-machine")


def test_errors_inside_stay_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), holding(tmp_path, None):
        (tmp_path / "none").read_text()
    assert not list(tmp_path.glob("_running*"))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write to"), holding(tmp_path / "file", None):
        pass
