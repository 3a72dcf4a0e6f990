"""OpenCV comes without windows, and what is wrong with it is said in a line."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import cv2
import pytest

from posekit import opencv
from posekit.commands.reporting import report_errors
from posekit.drawing.window import check_display
from posekit.errors import InputError
from posekit.opencv import describe, gui, problem_of

PREDICTS = """
import sys
from pathlib import Path
from posekit.cli import main
words = ["model=demo", "device=cpu", "detector=none", f"pred_out_dir={sys.argv[1]}"]
status = main(["predict", *words])
maps = Path("/proc/self/maps").read_text()
print("loaded", [line for line in maps.splitlines() if "libGL" in line])
sys.exit(status)
"""
MISSING_LIBGL = "libGL.so.1: cannot open shared object file: No such file or directory"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about Linux's libraries")
def test_a_machine_without_libgl_predicts_or_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "libGL.so.1").touch()  # comes before the system's, and cannot be loaded
    done = subprocess.run(
        [sys.executable, "-c", PREDICTS, str(tmp_path / "out")],
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    if gui() is None:
        assert done.returncode == 0, done.stderr
        assert "loaded []" in done.stdout
        assert list((tmp_path / "out").glob("*.json"))
    else:  # this environment has the other package
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("posekit: error: OpenCV needs libGL.so.1, which this machine lacks")
        assert line.endswith("pip install --force-reinstall --no-deps opencv-python-headless")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ImportError(MISSING_LIBGL, name="cv2"), "OpenCV needs libGL.so.1, which this machine"),
        (
            ImportError("libgthread-2.0.so.0: cannot open shared object file", name="cv2"),
            "OpenCV needs libgthread-2.0.so.0, which",
        ),
        (ModuleNotFoundError("No module named 'cv2'", name="cv2"), "OpenCV is not installed: "),
        (ImportError("DLL load failed", name="cv2"), "OpenCV cannot be imported (DLL load failed)"),
    ],
)
def test_an_opencv_that_cannot_be_imported_is_a_line_with_its_cure(
    error: ImportError, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> int:
        raise error

    assert report_errors(run) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"posekit: error: {expected}")
    assert line.endswith("pip install --force-reinstall --no-deps opencv-python-headless")


def test_what_is_left_of_opencv_is_not_taken_for_it() -> None:
    # Uninstalling one of the two packages leaves a folder without a module in it.
    with pytest.raises(AttributeError) as caught:
        types.ModuleType("cv2").INTER_LINEAR  # noqa: B018
    assert str(problem_of(caught.value)).startswith("OpenCV's files are gone: ")


@pytest.mark.parametrize(
    "error", [ImportError(MISSING_LIBGL, name="other"), ValueError("cv2"), ImportError("cv2")]
)
def test_other_errors_are_not_opencvs(error: Exception) -> None:
    assert problem_of(error) is None


def test_an_attribute_that_opencv_never_had_is_another_error() -> None:
    with pytest.raises(AttributeError) as caught:
        cv2.no_such_thing  # noqa: B018
    assert problem_of(caught.value) is None


@pytest.mark.parametrize(
    ("installed", "cure"),
    [
        ((), 'pip install "posekit[gui]"'),
        # pip would see that it is there, and do nothing.
        (("opencv-python",), "pip install --force-reinstall --no-deps opencv-python"),
    ],
)
def test_without_windows_the_error_and_doctor_say_what_brings_them(
    installed: tuple[str, ...], cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "\n  GUI:                 NONE\n")
    monkeypatch.setattr(opencv, "_installed", lambda package: package in installed)
    with pytest.raises(InputError) as caught:
        check_display()
    assert f"this OpenCV cannot open windows, run {cure}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert describe() == [("used", f"{cv2.__version__}, no windows"), ("windows", cure)]


@pytest.mark.parametrize(
    ("build", "used"), [("QT5", "opencv-python"), ("NONE", "opencv-python-headless")]
)
def test_of_two_packages_doctor_names_the_one_that_is_used(
    build: str, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: f"\n  GUI:      {build}\n")
    monkeypatch.setattr(opencv, "_installed", lambda package: True)
    rows = dict(describe())
    assert rows["both packages"].startswith(f"share a folder: {used} was the last")
