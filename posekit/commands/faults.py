"""What `posekit doctor` checks: each check says what it saw, what is wrong, and how to mend it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from posekit import opencv
from posekit.commands.network import NO_NETWORK, ask_hosts
from posekit.cores import usable_cores
from posekit.errors import first_line
from posekit.files import cache_dir
from posekit.packages import import_package
from posekit.version import __version__

if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = ["Fault", "Seen", "find_faults", "version_of"]

ROOM = 0.5  # GB that the weights of a model and their download may need
MEMORY = 2.0  # GB that `human` needs, PyTorch and an engine included
SHARED_MEMORY = 0.25  # GB; what containers have by default is less

# Where the name in Python is not that of the package.
MODULES = {"hydra-core": "hydra", "pyyaml": "yaml", **dict.fromkeys(opencv.PACKAGES, "cv2")}
# What posekit does without, slower.
FOR_SPEED = ("openvino",)
# What an extra is for: whoever has that package wants the extra's others too.
OF_EXTRAS = {
    "cvat": "cvat-sdk",
    "labels": "sleap-io",
    "onnxruntime": "onnxruntime",
    "ray": "ray",
    "slurm": "submitit",
    "sweep": "hydra-joblib-launcher",
    "train": "accelerate",
}


@dataclass(frozen=True)
class Seen:
    """Something that was checked, and what was found."""

    name: str
    text: str


@dataclass(frozen=True)
class Fault:
    """Something that is wrong.

    Attributes:
        what: in a line.
        cure: the command that mends it, or what to do.
        broken: whether posekit cannot work; otherwise it may be slow, or fail later.
    """

    what: str
    cure: str
    broken: bool = True


Findings = Iterator[Seen | Fault]


def find_faults() -> list[Seen | Fault]:
    """What every check saw, and what is wrong."""
    return [finding for check in CHECKS for finding in check()]


# --- packages


def _copies() -> Findings:
    """Whether this is the only posekit that Python could find."""
    here = Path(__file__).resolve().parent.parent
    folders = {(Path(entry or ".") / "posekit").resolve() for entry in sys.path}
    others = sorted(
        str(path) for path in folders if path != here and (path / "__init__.py").exists()
    )
    if others:
        yield Fault(
            f"{here} is in use and hides {', '.join(others)}",
            "pip uninstall posekit; or remove the other's folder from PYTHONPATH",
            broken=False,
        )
        return
    recorded = version_of("posekit")
    if recorded is not None and recorded != __version__:
        yield Fault(
            f"pip has a record of version {recorded}, but the files are of {__version__}",
            "pip install --force-reinstall --no-deps posekit",
            broken=False,
        )


def _commands() -> Findings:
    """Whether several installations have put a command `posekit` on the path."""
    name = "posekit.exe" if os.name == "nt" else "posekit"
    paths = (Path(folder, name) for folder in os.environ.get("PATH", "").split(os.pathsep))
    # pipx and uv put links there.
    found = list(dict.fromkeys(path.resolve() for path in paths if shutil.which(path)))
    if len(found) > 1:
        first, second = found[:2]
        yield Fault(
            f"the command posekit is {first} and hides {second}",
            f"{_remover(second)}; or, to keep that one, {_remover(first)}",
            broken=False,
        )


def _remover(command: Path) -> str:
    """What removes the installation that a command belongs to."""
    for tool, remove in (("pipx", "pipx uninstall"), ("uv", "uv tool uninstall")):
        if tool in command.parts:
            return f"{remove} posekit"
    python = command.with_name("python")
    if os.name != "nt" and not python.exists():  # pip's --user: the script names it
        python = Path(_read(command).partition("\n")[0].removeprefix("#!").strip())
    return f"{python} -m pip uninstall posekit"


def _packages() -> Findings:
    """Whether what posekit needs is there, new enough, and can be imported."""
    try:
        from packaging.requirements import Requirement

        needs = [Requirement(line) for line in requires("posekit") or ()]
    except PackageNotFoundError:
        yield Seen("packages", "pip has no record of posekit's requirements here")
        return
    except ImportError:
        yield Fault("packaging is not installed", "pip install packaging")
        return
    for need in needs:
        if _goes_with(need, ""):
            yield from _package(need)
    for extra, main in OF_EXTRAS.items():
        if _version(main) is None:
            continue
        for need in needs:
            if _goes_with(need, extra) and not _goes_with(need, ""):
                yield from _part_of_extra(need, main, f'pip install "posekit[{extra}]"')


def _goes_with(need: Requirement, extra: str) -> bool:
    return need.marker is None or need.marker.evaluate({"extra": extra})


def _package(need: Requirement) -> Findings:
    name, bounds = need.name, need.specifier
    cure = f'pip install "{name}{bounds}"'
    module = MODULES.get(name, name.replace("-", "_"))
    try:
        import_package(module)
    except Exception as error:
        problem = opencv.problem_of(error) if module == "cv2" else None
        if problem is not None:
            what, _, cure = problem.rpartition(": ")
            yield Fault(what, cure)
        elif _version(name) is None:
            slower = "; networks run slower without it" if name in FOR_SPEED else ""
            yield Fault(f"{name} is not installed{slower}", cure, name not in FOR_SPEED)
        else:
            yield _broken_import(name, error)
        return
    found = _version(name)
    if found is not None and found not in bounds:
        yield Fault(f"{name} {found} is installed, but posekit needs {bounds}", cure)


def _broken_import(name: str, error: Exception) -> Fault:
    what = f"{name} cannot be imported: {first_line(error)}"
    if isinstance(error, ModuleNotFoundError):
        return Fault(what, f"pip install {(error.name or name).partition('.')[0]}")
    if "torchvision" in what:  # whose operators are of one version of torch
        return Fault(
            f"{what}; this torchvision was built for another torch",
            "pip install --force-reinstall torch torchvision",
        )
    return Fault(what, f"pip install --force-reinstall {name}")


def _part_of_extra(need: Requirement, main: str, cure: str) -> Findings:
    name, bounds = need.name, need.specifier
    found = _version(name)
    if found is None:
        yield Fault(f"{main} is installed without {name}, which it needs", cure, False)
    elif found not in bounds:
        yield Fault(f"{name} {found} is installed, but {main} needs {bounds}", cure, False)


def _version(name: str) -> str | None:
    """As `version_of`. Four packages are OpenCV."""
    names = (name, *opencv.PACKAGES) if name in opencv.PACKAGES else (name,)
    return next(filter(None, map(version_of, names)), None)


def version_of(package: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _windows() -> Findings:
    """Whether a package with windows lost its files to the one without."""
    try:
        lost = opencv.gui() is None
    except Exception:  # `_packages` has said why
        return
    if lost and version_of(opencv.WITH_WINDOWS):
        yield Fault(
            f"{opencv.WITH_WINDOWS} is installed, but {opencv.HEADLESS} overwrote its files: "
            "show=true cannot open windows",
            opencv.cure_for_windows(),
            broken=False,
        )


def _video() -> Findings:
    """FFmpeg's libraries, which no program of that name has to bring."""
    try:
        import av

        av.codec.Codec("libx264", "w")
    except ImportError:  # `_packages` has said so
        return
    except Exception:
        yield Fault(
            "PyAV was built without libx264: no videos can be written",
            "pip install --force-reinstall --no-deps av",
        )
        return
    number = ".".join(map(str, av.library_versions["libavcodec"]))
    yield Seen("video", f"libavcodec {number} in PyAV; no ffmpeg program is needed")


# --- the machine


def _gpu() -> Findings:
    """Whether a GPU of NVIDIA that is here can be used."""
    try:
        import torch
    except Exception:
        return
    cards = _nvidia_cards()
    if torch.cuda.is_available():
        try:
            (torch.ones(1, device="cuda") + 1).item()
        except RuntimeError as error:
            yield Fault(
                f"the GPU does not work with this PyTorch: {first_line(error)}",
                "install a PyTorch that supports this GPU (pytorch.org/get-started); device=cpu "
                "works until then",
            )
    elif not cards or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        if cards:
            yield Fault(
                "CUDA_VISIBLE_DEVICES hides the GPU", "unset CUDA_VISIBLE_DEVICES", broken=False
            )
    elif torch.version.cuda is None:
        yield Fault(
            f"{cards} is present, but this PyTorch ({torch.__version__}) is a CPU-only build",
            "pip uninstall -y torch torchvision, then install a build for CUDA "
            "(pytorch.org/get-started)",
        )
    else:
        try:
            torch.cuda.init()
            reason = "PyTorch does not say why"
        except Exception as error:
            reason = first_line(error).partition(" Please update")[0].rstrip(".")
        yield Fault(
            f"{cards} is present, but PyTorch for CUDA {torch.version.cuda} cannot use it: "
            f"{reason}",
            "update the NVIDIA driver, or install a PyTorch build for this driver (nvidia-smi "
            "shows its CUDA version; builds are at pytorch.org/get-started)",
        )


def _nvidia_cards() -> str:
    """The GPUs that NVIDIA's own program lists; empty for none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        told = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ", ".join(re.findall(r"^GPU \d+: (.*?) \(UUID", told, re.MULTILINE))


def _threads() -> Findings:
    """Whether OpenMP was told of fewer or more threads than this process may use."""
    usable, told = len(usable_cores()), os.environ.get("OMP_NUM_THREADS", "")
    quota = processor_quota()
    if told.isdecimal():
        if int(told) < min(usable, quota or usable):
            yield Fault(
                f"OMP_NUM_THREADS={told}: networks use {told} of {usable} processors",
                "unset OMP_NUM_THREADS",
                broken=False,
            )
    elif quota is not None and quota < usable:
        yield Fault(
            f"this container may use {quota:g} processors, but PyTorch starts threads for {usable}",
            f"export OMP_NUM_THREADS={max(1, int(quota))}",
            broken=False,
        )


def processor_quota(cgroup: Path = Path("/sys/fs/cgroup")) -> float | None:
    """How many processors' time a container may use; None for no limit."""
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else None


def _memory() -> Findings:
    free = free_memory()
    if free is None:
        return
    yield Seen("memory", f"{free:.1f} GB free")
    if free < MEMORY:
        yield Fault(
            f"{free:.1f} GB of memory is free, but model=human needs up to {MEMORY:g}",
            "close other programs or raise the container's limit; a smaller model is "
            "detector=rtmdet-nano_person-320 model=rtmpose-t_body8-256x192",
            broken=False,
        )


def free_memory(
    meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")
) -> float | None:
    """GB that this process may still take: of the machine's, of a container's; None if unknown."""
    found = re.search(r"^MemAvailable:\s*(\d+) kB", _read(meminfo), re.MULTILINE)
    free = [int(found[1]) * 1024] if found else []
    limit, used = _read(cgroup / "memory.max"), _read(cgroup / "memory.current")
    if limit.isdecimal() and used.isdecimal():
        # What files keep there is given up when memory is asked for.
        files = re.search(r"^inactive_file (\d+)", _read(cgroup / "memory.stat"), re.MULTILINE)
        free.append(int(limit) - int(used) + (int(files[1]) if files else 0))
    return max(min(free), 0) / 1e9 if free else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _shared_memory(folder: Path = Path("/dev/shm")) -> Findings:
    if folder.is_dir() and (size := shutil.disk_usage(folder).total / 1e9) < SHARED_MEMORY:
        yield Fault(
            f"{folder} has {size * 1000:.0f} MB: training with num_workers needs more",
            "docker run --shm-size=1g; num_workers=0 trains without it",
            broken=False,
        )


def _folders() -> Findings:
    """Whether weights can be kept, and have room."""
    try:
        cache = cache_dir()
    except RuntimeError:
        yield Fault(
            "this user has no home folder, so there is no cache", "export POSEKIT_CACHE=FOLDER"
        )
        return
    yield from _folder("cache", cache, "POSEKIT_CACHE")
    hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HF_HOME")
    yield from _folder("Hub's cache", Path(hub or "~/.cache/huggingface").expanduser(), "HF_HOME")


def _folder(name: str, folder: Path, variable: str) -> Findings:
    # Not `Path.exists`, to which a folder that may not be looked into is an error.
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))  # noqa: PTH110
    reason = _why_not_written(there)
    if reason is not None:
        # A folder of `posekit download --to` may well be read only.
        filled = name == "cache" and any(folder.glob("models/*.safetensors"))
        yield Fault(
            f"the {name} {folder} cannot be written{'' if there == folder else f' ({there})'}: "
            f"{reason}{'; only the models in it work' if filled else ''}",
            f"export {variable}=FOLDER, with a folder of your own; or sudo chown -R $USER {there}",
            broken=not filled,
        )
        return
    free = shutil.disk_usage(there).free / 1e9
    yield Seen(name, f"{folder}, {free:.1f} GB free")
    if free < ROOM:
        yield Fault(
            f"the {name} {folder} has {free * 1000:.0f} MB free, but weights need up to "
            f"{ROOM * 1000:.0f}",
            f"export {variable}=FOLDER, with a folder on a disk with more space; or free some "
            "space",
        )


def _why_not_written(folder: Path) -> str | None:
    if not folder.is_dir():
        return "it is a file"
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _encoding() -> Findings:
    """Whether names of files in any language can be read and printed."""
    used = {
        "file names": sys.getfilesystemencoding(),
        "output": getattr(sys.stdout, "encoding", None) or "utf-8",
    }
    for name, encoding in used.items():
        if encoding.lower().replace("-", "") != "utf8":
            yield Fault(
                f"{name} {'are' if name.endswith('s') else 'is'} in {encoding}: letters that it "
                "lacks come out wrong",
                "export PYTHONUTF8=1",
                broken=False,
            )


def _network() -> Findings:
    """Whether the hosts that weights come from answer."""
    asked = ask_hosts()
    if well := [one.said for one in asked if one.reason is None]:
        yield Seen("network", "; ".join(well))
    for one in asked:
        if one.reason is not None and one.cure:
            yield Fault(one.said, one.cure, broken=True)
    # A machine may well have none.
    if silent := [one.said for one in asked if one.reason is not None and not one.cure]:
        yield Fault("; ".join(silent), NO_NETWORK, broken=False)


CHECKS: tuple[Callable[[], Findings], ...] = (
    _copies, _commands, _packages, _windows, _video, _gpu, _threads, _memory, _shared_memory,
    _folders, _encoding, _network,
)  # fmt: skip
