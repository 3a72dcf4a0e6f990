"""Which OpenCV is installed, and what to do if it is broken or lacks windows.

`opencv-python` (with windows; its library needs libGL and more of a desktop) and
`opencv-python-headless` (without) write the same folder, `cv2`, and pip does not know: whichever
was installed last is the one that runs, whatever else is said to be installed, and the files go
when either is uninstalled.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

__all__ = [
    "HEADLESS",
    "PACKAGES",
    "WITH_WINDOWS",
    "cure_for_windows",
    "describe",
    "gui",
    "problem_of",
]

WITH_WINDOWS, HEADLESS = "opencv-python", "opencv-python-headless"
# All that write the folder `cv2`.
PACKAGES = (HEADLESS, WITH_WINDOWS, "opencv-contrib-python-headless", "opencv-contrib-python")
# Writes the package's files again, over what is there.
WRITE = "pip install --force-reinstall --no-deps"


def problem_of(error: BaseException) -> str | None:
    """A line for users if OpenCV cannot be imported or is incomplete; None for other errors."""
    if isinstance(error, AttributeError):
        broken = getattr(error.obj, "__name__", None) == "cv2" and not getattr(
            error.obj, "__file__", None
        )
        return f"OpenCV's files are gone: {_write_headless()}" if broken else None
    if not isinstance(error, ImportError) or (error.name or "").partition(".")[0] != "cv2":
        return None
    library = re.search(r"\blib[^\s/:]+\.so[.\d]*", str(error))
    if library is not None:
        return (
            f"OpenCV needs {library[0]}, which this machine lacks; the package without windows "
            f"does not: {_write_headless()}"
        )
    if isinstance(error, ModuleNotFoundError):
        return f"OpenCV is not installed: {_write_headless()}"
    return f"OpenCV cannot be imported ({error}): {_write_headless()}"


def gui() -> str | None:
    """What draws OpenCV's windows, such as `QT5`; None if it has no windows."""
    import cv2

    found = re.search(r"^\s*GUI:\s*(\S+)", cv2.getBuildInformation(), re.MULTILINE)
    return None if found is None or found[1].upper() in ("NONE", "NO") else found[1]


def cure_for_windows() -> str:
    """The command that brings windows."""
    # Where pip believes that it is there, it would do nothing.
    if _installed(WITH_WINDOWS):
        return f"{WRITE} {WITH_WINDOWS}"
    return 'pip install "posekit[gui]"'


def describe() -> list[tuple[str, str]]:
    """For `posekit doctor`: which OpenCV runs, and what is wrong with it."""
    try:
        import cv2

        drawn = gui()
        rows = [("used", f"{cv2.__version__}, {f'windows by {drawn}' if drawn else 'no windows'}")]
    except (ImportError, AttributeError) as error:
        return [("problem", problem_of(error) or str(error))]
    if drawn is None:
        rows.append(("windows", cure_for_windows()))
    if _installed(WITH_WINDOWS) and _installed(HEADLESS):
        used = WITH_WINDOWS if drawn else HEADLESS
        rows.append(
            ("both packages", f"share a folder: {used} was the last to be installed, and is used")
        )
    return rows


def _write_headless() -> str:
    # Left there, the other package would come back with its next upgrade.
    remove = f"pip uninstall -y {WITH_WINDOWS} && " if _installed(WITH_WINDOWS) else ""
    return f"{remove}{WRITE} {HEADLESS}"


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
