"""`python -m weights_convert`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.networks import reference_state
from tests.processes import run_python
from weights_convert.__main__ import main

ROOT = Path(__file__).parent.parent.parent
RTMPOSE = ROOT / "tests" / "data" / "pose2d" / "rtmpose-t_8xb256-420e_body8-256x192"
MODEL = "rtmpose-t_body8-256x192"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "rtmpose-t.pth"
    torch.save({"state_dict": reference_state(RTMPOSE)}, path)
    return path


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run_python(*arguments, cwd=cwd)


def test_a_file_is_converted_from_the_shell(tmp_path: Path, source: Path) -> None:
    output = tmp_path / "new.safetensors"
    done = run("-m", "weights_convert", source, "--model", MODEL, "-o", output, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    count = len(load_file(output))
    size = output.stat().st_size / 1e6
    assert done.stdout == f"{output}: {count} tensors, {size:.1f} MB\n"


def test_an_error_is_one_line_from_the_shell(tmp_path: Path) -> None:
    done = run("-m", "weights_convert", "a.pth", "--model", "human", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: cannot read a.pth: No such file or directory\n"
    assert not list(tmp_path.iterdir())


def test_help_does_not_import_pytorch() -> None:
    script = (
        "import sys, weights_convert.__main__ as cli\n"
        "try: cli.main(['--help'])\n"
        "finally: print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: python -m weights_convert")
    assert done.stderr == "False\n"


def test_the_output_is_named_after_the_model(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(source), "--model", RTMPOSE.name]) == 0
    assert [path.name for path in tmp_path.iterdir()] == [f"{MODEL}.safetensors"]


def test_the_output_may_be_a_folder(tmp_path: Path, source: Path) -> None:
    assert main([str(source), "--model", MODEL, "-o", str(tmp_path)]) == 0
    assert (tmp_path / f"{MODEL}.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "rtmpose-t_body8"), "unknown model 'rtmpose-t_body8'"),
        (("--model", "rtmdet-nano_person-320"), "does not fit RTMDet"),
        (("--model", MODEL, "-o", "missing/"), f"cannot write missing/{MODEL}.safetensors"),
        (("--model", MODEL, "-o", "{source}"), "is the source"),
    ],
)
def test_a_failure_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    source: Path,
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    filled = [argument.format(source=source) for argument in arguments]
    assert main([str(source), *filled]) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("error: ") and errors.count("\n") == 1
    assert message in errors
    assert not list(tmp_path.iterdir())
