"""What `posekit doctor` finds wrong: each trouble is made, as far as a test can make it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import packaging
import pytest

from posekit.commands import faults
from posekit.commands.faults import Fault, Seen, free_memory, processor_quota
from posekit.cores import usable_cores
from posekit.opencv import gui

ROOT = Path(__file__).resolve().parent.parent
# Prints what some checks find, after a line of a test's own.
CHECKS = """
import json, os, sys
from posekit.commands import faults
{}
found = [one for check in sys.argv[1].split(",") for one in getattr(faults, check)()]
print(json.dumps([vars(one) for one in found]))
"""


def found_by(
    checks: str,
    *,
    start: Sequence[str] = (),
    python: Sequence[str] = (),
    first: str = "",
    **environment: str,
) -> list[dict[str, object]]:
    """What checks find in a process of their own, which `start` may start."""
    done = subprocess.run(
        [*start, sys.executable, *python, "-c", CHECKS.format(first), checks],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout.splitlines()[-1])
    return found


def faults_in(found: list[dict[str, object]]) -> list[dict[str, object]]:
    return [one for one in found if "what" in one]


# --- folders


def mounts(*options: str) -> tuple[str, ...]:
    """What starts a command that sees a small disk; skips where no user may mount one."""
    start = ("unshare", "-rm", "sh", "-c", f'mount -t tmpfs {" ".join(options)} && exec "$@"', "sh")
    if shutil.which("unshare") is None or subprocess.run([*start, "true"]).returncode:
        pytest.skip("no file system can be mounted here")
    return start


def test_a_disk_without_room(tmp_path: Path) -> None:
    start = mounts("-o", "size=3m", "none", str(tmp_path))
    found = found_by("_folders", start=start, POSEKIT_CACHE=str(tmp_path / "cache"))
    (fault,) = (one for one in faults_in(found) if "the cache" in str(one["what"]))
    assert fault["what"] == (
        f"the cache {tmp_path / 'cache'} has 3 MB free, but weights need up to 500"
    )
    assert fault["broken"] and "export POSEKIT_CACHE=FOLDER" in str(fault["cure"])


def test_a_container_with_little_shared_memory() -> None:
    start = mounts("-o", "size=64m", "none", "/dev/shm")
    (fault,) = found_by("_shared_memory", start=start)
    assert str(fault["what"]).startswith("/dev/shm has 67 MB")
    assert "--shm-size" in str(fault["cure"]) and not fault["broken"]


AS_NOBODY = "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)"


@pytest.mark.skipif(os.name == "nt", reason="about permissions of Unix")
@pytest.mark.parametrize("models", [False, True])
def test_a_cache_that_cannot_be_written(models: bool, request: pytest.FixtureRequest) -> None:
    # Not `tmp_path`, whose parents only their owner may look into.
    own = tempfile.TemporaryDirectory()
    request.addfinalizer(own.cleanup)
    cache = Path(own.name) / "cache"
    (cache / "models").mkdir(parents=True)
    if models:
        (cache / "models" / "human.safetensors").touch()
    for folder in Path(own.name), cache, cache / "models":
        folder.chmod(0o755)
    cache.chmod(0o555)
    found = found_by("_folders", first=AS_NOBODY, POSEKIT_CACHE=str(cache), HF_HOME="/tmp")
    (fault,) = faults_in(found)
    assert str(fault["what"]).startswith(f"the cache {cache} cannot be written: Permission denied")
    assert ("only the models in it work" in str(fault["what"])) == models
    assert fault["broken"] != models
    assert "export POSEKIT_CACHE=FOLDER" in str(fault["cure"])


def test_a_file_where_the_cache_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "file" / "cache"))
    found = [one for one in faults._folders() if isinstance(one, Fault)]
    assert found[0].what.endswith(f"cannot be written ({tmp_path / 'file'}): it is a file")


def test_a_good_cache_is_told_with_its_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "not" / "there"))
    seen = next(faults._folders())
    assert isinstance(seen, Seen)
    assert seen.text.startswith(f"{tmp_path / 'not' / 'there'}, ") and "GB free" in seen.text
    assert not (tmp_path / "not").exists()


# --- packages


def install(folder: Path, name: str, version: str, *lines: str) -> None:
    """pip's record of a package, and a module that is empty."""
    about = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    text = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines]
    (about / "METADATA").write_text("\n".join(text) + "\n")
    (folder / f"{name.replace('-', '_')}.py").touch()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of packages for a Python without any: only `packaging` is in it."""
    (tmp_path / "packaging").symlink_to(Path(packaging.__file__).parent)
    about = tmp_path / "posekit-9.dist-info"
    about.mkdir()
    needs = ["numpy>=1.24", "tqdm>=4", "openvino>=2024.4", "onnx>=1.16; extra == 'onnxruntime'",
             "onnxruntime>=1.17; extra == 'onnxruntime'"]  # fmt: skip
    lines = ["Metadata-Version: 2.1", "Name: posekit", "Version: 9"]
    lines += [f"Requires-Dist: {need}" for need in needs]
    (about / "METADATA").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_what_is_missing_or_too_old(bare: Path) -> None:
    install(bare, "numpy", "1.20.0")
    found = found_by("_packages", python=["-S"], PYTHONPATH=f"{ROOT}{os.pathsep}{bare}")
    assert [(one["what"], one["cure"], one["broken"]) for one in found] == [
        ("numpy 1.20.0 is installed, but posekit needs >=1.24", 'pip install "numpy>=1.24"', True),
        ("tqdm is not installed", 'pip install "tqdm>=4"', True),
        (
            "openvino is not installed; networks run slower without it",
            'pip install "openvino>=2024.4"',
            False,
        ),
    ]


@pytest.mark.parametrize("onnx", ["", "1.15.0", "1.17.0"])
def test_half_of_an_extra(bare: Path, onnx: str) -> None:
    for name in ("numpy", "tqdm", "openvino"):
        install(bare, name, "9999")
    install(bare, "onnxruntime", "1.20.0")
    if onnx:
        install(bare, "onnx", onnx)
    found = found_by("_packages", python=["-S"], PYTHONPATH=f"{ROOT}{os.pathsep}{bare}")
    expected = {
        "1.17.0": [],
        "": ["onnxruntime is installed without onnx, which it needs"],
        "1.15.0": ["onnx 1.15.0 is installed, but onnxruntime needs >=1.16"],
    }
    assert [one["what"] for one in found] == expected[onnx]
    assert all(one["cure"] == 'pip install "posekit[onnxruntime]"' for one in found)
    assert not any(one["broken"] for one in found)


@pytest.mark.parametrize(
    ("code", "what", "cure"),
    [
        (
            "raise RuntimeError('operator torchvision::nms does not exist')",
            "operator torchvision::nms does not exist; "
            "this torchvision was built for another torch",
            "pip install --force-reinstall torch torchvision",
        ),
        ("import absent", "No module named 'absent'", "pip install absent"),
        ("raise OSError('no libc10.so')", "no libc10.so", "pip install --force-reinstall tqdm"),
    ],
)
def test_a_package_that_fails(bare: Path, code: str, what: str, cure: str) -> None:
    install(bare, "tqdm", "9999")
    (bare / "tqdm.py").write_text(code)
    found = found_by("_packages", python=["-S"], PYTHONPATH=f"{ROOT}{os.pathsep}{bare}")
    (fault,) = (one for one in found if "tqdm" in str(one["what"]))
    assert fault["what"] == f"tqdm cannot be imported: {what}"
    assert (fault["cure"], fault["broken"]) == (cure, True)


def test_what_posekit_needs_is_found_here(tmp_path: Path) -> None:
    """By the names of this checkout's pyproject.toml; and OpenVINO's use is reported to nobody."""
    about = tmp_path / "posekit-9.dist-info"
    about.mkdir()
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    needs = re.findall(r'^    "(.*)",$', listed, re.MULTILINE)
    assert len(needs) > 10
    lines = ["Metadata-Version: 2.1", "Name: posekit", "Version: 9"]
    lines += [f"Requires-Dist: {need}" for need in needs]
    (about / "METADATA").write_text("\n".join(lines) + "\n")
    reporter = "str(sys.modules['openvino_telemetry'])"
    first = f"faults.reporter = lambda: [faults.Seen('reporter', {reporter})]"
    found = found_by("_packages,reporter", first=first, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert found == [{"name": "reporter", "text": "None"}]


def test_doctor_itself_needs_nothing(bare: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "posekit", "doctor"],
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{bare}",
            "HF_HUB_OFFLINE": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "fix this first to see engines and speed (No module named 'torch')" in done.stdout
    assert '  BROKEN  numpy is not installed\n    mend  pip install "numpy>=1.24"' in done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about Linux's libraries")
def test_a_machine_without_libgl(tmp_path: Path) -> None:
    if gui() is None:
        pytest.skip("this OpenCV has no windows and needs no libGL")
    (tmp_path / "libGL.so.1").touch()  # comes before the system's, and cannot be loaded
    first = (
        "from packaging.requirements import Requirement\n"
        "faults.of_opencv = lambda: faults._package(Requirement('opencv-python-headless>=4.8'))"
    )
    (fault,) = found_by("of_opencv", first=first, LD_LIBRARY_PATH=str(tmp_path))
    assert fault["what"] == (
        "OpenCV needs libGL.so.1, which this machine lacks; the package without windows does not"
    )
    assert str(fault["cure"]).startswith("pip uninstall -y opencv-python && pip install")
    assert fault["broken"]


def test_two_posekits(tmp_path: Path) -> None:
    (tmp_path / "posekit").mkdir()
    (tmp_path / "posekit" / "__init__.py").touch()
    found = found_by("_copies", PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    (fault,) = found
    what = str(fault["what"])
    assert what.startswith(f"{ROOT / 'posekit'} is in use and hides ")
    assert str(tmp_path / "posekit") in what and not fault["broken"]


@pytest.mark.skipif(os.name == "nt", reason="commands are scripts of sh")
def test_two_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a virtual environment, of pip's --user, and of pipx, by a link."""
    commands = {
        "venv/bin": "#!/bin/sh",
        "user": "#!/usr/bin/python3",
        "pipx/venvs/posekit/bin": "#!/pipx/python",
    }
    for folder, first in commands.items():
        command = tmp_path / folder / "posekit"
        command.parent.mkdir(parents=True)
        command.write_text(f"{first}\n")
        command.chmod(0o755)
    (tmp_path / "venv" / "bin" / "python").touch()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "posekit").symlink_to(tmp_path / "pipx/venvs/posekit/bin/posekit")

    def told(*folders: str) -> list[Seen | Fault]:
        path = os.pathsep.join(str(tmp_path / folder) for folder in (*folders, "nothing"))
        monkeypatch.setenv("PATH", path)
        return list(faults._commands())

    assert told() == told("venv/bin") == told("links", "pipx/venvs/posekit/bin") == []
    (fault,) = told("links", "user")
    assert isinstance(fault, Fault) and not fault.broken
    assert fault.what == (
        f"the command posekit is {tmp_path / 'pipx/venvs/posekit/bin/posekit'} and hides "
        f"{tmp_path / 'user' / 'posekit'}"
    )
    assert fault.cure == (
        "/usr/bin/python3 -m pip uninstall posekit; or, to keep that one, pipx uninstall posekit"
    )
    (fault,) = told("user", "venv/bin")
    assert isinstance(fault, Fault)
    assert fault.cure.startswith(f"{tmp_path / 'venv/bin/python'} -m pip uninstall posekit;")


def test_a_record_of_another_version(bare: Path) -> None:
    found = found_by("_copies", python=["-S"], PYTHONPATH=f"{ROOT}{os.pathsep}{bare}")
    assert [str(one["what"]).startswith("pip has a record of version 9") for one in found] == [True]


def test_no_ffmpeg_is_needed() -> None:
    (seen,) = faults._video()
    assert isinstance(seen, Seen) and seen.text.endswith("in PyAV; no ffmpeg program is needed")


# --- the machine


@pytest.mark.skipif(os.name == "nt", reason="the program is a script of sh")
def test_a_gpu_that_pytorch_cannot_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("it can")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-1a2b)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (fault,) = faults._gpu()
    assert isinstance(fault, Fault) and fault.broken
    if torch.version.cuda is None:
        assert "NVIDIA H200 is present, but this PyTorch" in fault.what
    else:
        assert f"but PyTorch for CUDA {torch.version.cuda} cannot use it" in fault.what
        assert fault.cure.startswith("update the NVIDIA driver")
    monkeypatch.setattr(torch.version, "cuda", None)
    (fault,) = faults._gpu()
    assert isinstance(fault, Fault)
    assert fault.what.endswith("is a CPU-only build")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (fault,) = faults._gpu()
    assert isinstance(fault, Fault)
    assert (fault.cure, fault.broken) == ("unset CUDA_VISIBLE_DEVICES", False)


def test_a_forgotten_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    if len(usable_cores()) == 1:
        pytest.skip("one processor has one thread")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (fault,) = faults._threads()
    assert isinstance(fault, Fault)
    assert fault.what == f"OMP_NUM_THREADS=1: networks use 1 of {len(usable_cores())} processors"
    assert (fault.cure, fault.broken) == ("unset OMP_NUM_THREADS", False)
    monkeypatch.setenv("OMP_NUM_THREADS", str(len(usable_cores())))
    assert not list(faults._threads())


def test_limits_of_a_container(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert processor_quota(tmp_path) == 1.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert processor_quota(tmp_path) is None
    assert processor_quota(tmp_path / "absent") is None

    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 32000000 kB\nMemAvailable:   8000000 kB\n")
    assert free_memory(meminfo, tmp_path / "absent") == pytest.approx(8.192)
    (tmp_path / "memory.max").write_text("2000000000\n")
    (tmp_path / "memory.current").write_text("1500000000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 400000000\n")
    assert free_memory(meminfo, tmp_path) == pytest.approx(0.9)
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(meminfo, tmp_path) == pytest.approx(8.192)
    assert free_memory(tmp_path / "absent", tmp_path / "absent") is None


def test_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "MEMORY", 1e6)
    seen, fault = faults._memory()
    assert isinstance(seen, Seen) and seen.text.endswith("GB free")
    assert isinstance(fault, Fault) and "model=human needs up to" in fault.what


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have UTF-8 in any locale")
def test_a_locale_without_letters(tmp_path: Path) -> None:
    old = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    found = found_by("_encoding", **old)
    assert [str(one["what"]).partition(" in ascii")[0] for one in found] == [
        "file names are",
        "output is",
    ]
    assert {one["cure"] for one in found} == {"export PYTHONUTF8=1"}
    assert not found_by("_encoding", LC_ALL="C", PYTHONUTF8="1")
    # Such a terminal is told as well, not crashed at.
    code = "from posekit.commands.doctor import _print; _print('Zo\\u00eb')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **old}, capture_output=True, check=True
    )
    assert done.stdout == b"Zo\\xeb\n"
