"""`posekit doctor`: what this machine has, which engines can run on it, and what is wrong."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posekit import opencv
from posekit.commands.faults import Fault, Seen, find_faults, version_of
from posekit.cores import usable_cores
from posekit.errors import PosekitError, first_line
from posekit.files import cache_dir
from posekit.opencv import HEADLESS, WITH_WINDOWS
from posekit.table import format_table
from posekit.version import __version__

if TYPE_CHECKING:
    import torch

__all__ = ["doctor"]

PACKAGES = (
    "torch", "timm", "numpy", HEADLESS, WITH_WINDOWS, "av", "safetensors", "huggingface_hub",
    "onnx",
)  # fmt: skip
MEASURED = "human"
MATRIX_SIZE = 1536
ROUNDS = 5


def doctor(*, device: str | None = None, measure: bool = False) -> int:
    """Prints what this machine has, which engines run on it, and at the end what is wrong.

    Args:
        device: the one to report on; None for the one that posekit would take.
        measure: first measure the engines on the networks of `human`, as `auto` does, unless that
            was done before; prediction without a backend uses the result from then on.

    Returns:
        The exit status: 1 if something is broken.

    Raises:
        InputError: no such device on this machine.
    """
    findings = find_faults()
    faults = [found for found in findings if isinstance(found, Fault)]
    broken = any(fault.broken for fault in faults)
    python = f"{platform.python_version()}, {sys.executable}"
    _section("versions", [("posekit", __version__), ("python", python), *_packages()])
    try:
        _tell_engines(device, measure)
    except PosekitError:
        _tell_faults(faults)
        raise
    except Exception as error:
        if not broken:
            raise
        _print(f"fix this first to see engines and speed ({first_line(error)})\n")
    _section("checked", [(seen.name, seen.text) for seen in findings if isinstance(seen, Seen)])
    _tell_faults(faults)
    return 1 if broken else 0


def _tell_faults(faults: Sequence[Fault]) -> None:
    """What is wrong, the worst last, where it is read first; each with what mends it."""
    lines = ["what is wrong", *([] if faults else ["  nothing"])]
    for fault in sorted(faults, key=lambda fault: fault.broken):
        lines.append(f"  {'BROKEN' if fault.broken else 'note  '}  {fault.what}")
        lines.append(f"    mend  {fault.cure}")
    _print("\n".join(lines))


def _tell_engines(device: str | None, measure: bool) -> None:
    """OpenCV, devices, threads, engines, what runs networks and the machine's speed."""
    import torch

    from posekit.backends import KINDS, why_unavailable
    from posekit.backends.auto import read_choices
    from posekit.backends.default import describe_default
    from posekit.build import select_device

    place = select_device(device)
    if measure:
        _measure(place)
    _section("OpenCV", opencv.describe())
    _section(
        "device",
        [
            ("used", f"{place}{'' if device else ', the default'}"),
            ("cpu", f"{_processor()}, {torch.backends.cpu.get_cpu_capability()}"),
            ("cuda", _cuda()),
            ("mps", "available" if torch.backends.mps.is_available() else "no"),
            ("threads", f"{torch.get_num_threads()} of {len(usable_cores())} processors"),
            ("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "not set")),
        ],
    )
    reasons = [(kind, why_unavailable(kind, place) or "available") for kind in KINDS]
    _section(f"backends on {place.type}", reasons)
    _section(f"default on {place.type}, where no backend= is given", describe_default(place))
    path = cache_dir() / "backends" / "auto.json"
    choices = [
        (
            _measured(choice),
            f"{choice.get('kind')} {_milliseconds(choice.get('milliseconds'))}",
        )
        for choice in read_choices(path).values()
    ]
    _section(f"chosen by auto ({path})", choices or [("nothing yet", "")])
    if not choices and place.type in ("cpu", "cuda"):
        _print("posekit doctor measure=true measures the engines on the networks of `human`\n")
    _section("speed", [("float32 matrix product", f"{_matmul_rate(place):.0f} GFLOP/s")])


def _measure(place: torch.device) -> None:
    """Has `auto` choose for the networks of a default model, of random weights."""
    import torch

    from posekit.backends.auto import AutoBackend
    from posekit.backends.default import network_dtype
    from posekit.build import build_network
    from posekit.parts import find_parts

    parts = find_parts(MEASURED)
    dtype = network_dtype(None, place, None)
    # Nobody can use engines of random weights again.
    with tempfile.TemporaryDirectory(prefix="posekit-") as folder, torch.inference_mode():
        for part, batches in ((parts.detector, (1,)), (parts.model, (1, 8))):
            assert part is not None
            torch.manual_seed(0)
            net = build_network(part.spec.net, device="cpu").eval().requires_grad_(False)
            size: tuple[int, int] = part.spec.input_size  # type: ignore[union-attr]
            backend = AutoBackend(
                net.to(place, dtype),
                input_size=size,
                device=place,
                dtype=dtype,
                folder=cache_dir() / "backends",
                cache_dir=Path(folder),
            )
            for count in batches:
                print(f"measuring {part.spec.name}, batch {count}", file=sys.stderr, flush=True)
                backend(torch.zeros(count, 3, *reversed(size), device=place, dtype=dtype))


def _section(title: str, rows: Sequence[tuple[str, str]]) -> None:
    table = format_table(("", ""), rows).splitlines()[2:]
    _print("\n".join([title, *(f"  {line}" for line in table), ""]))


def _print(text: str) -> None:
    """Prints, in escapes what this terminal's encoding lacks: that may be what is wrong."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def _packages() -> list[tuple[str, str]]:
    try:
        from posekit.backends.kinds import ENGINES, find_engine

        of_engines = [name for kind in ENGINES for name in find_engine(kind).packages]
    except ImportError:  # what is missing is among the faults
        of_engines = []
    names = dict.fromkeys((*PACKAGES, *of_engines))
    return [(name, version_of(name) or "not installed") for name in names]


def _cuda() -> str:
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda
        return f"no GPU is usable (torch is built for CUDA {built})" if built else "not in torch"
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return f"{', '.join(names)} (CUDA {torch.version.cuda})"


def _processor() -> str:
    from posekit.backends.machine import processor_name

    return processor_name()


def _measured(choice: Mapping[str, Any]) -> str:
    """What `auto` has measured, in words. Earlier versions kept the network and the batch only."""
    network = str(choice.get("network"))
    if parameters := choice.get("parameters"):
        network += f" of {parameters / 1e6:.1f} M"
    words = [network]
    if "input_size" in choice:
        width, height = choice["input_size"]
        words.append(f"{height}x{width}")
    words.append(f"batch of {choice.get('batch')}")
    if "device" in choice:
        words += [
            f"{choice.get('dtype')} on {choice['device']}",
            f"{choice.get('threads')} threads",
        ]
    return ", ".join(words)


def _milliseconds(times: object) -> str:
    if not isinstance(times, dict):
        return ""
    return "(" + ", ".join(f"{kind} {value} ms" for kind, value in times.items()) + ")"


def _matmul_rate(device: object) -> float:
    """Median rate of a large product, in GFLOP/s."""
    import torch

    place = torch.device(str(device))
    a, b = torch.rand(2, MATRIX_SIZE, MATRIX_SIZE, device=place)
    taken = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        (a @ b)[0, 0].item()  # waits for a GPU
        taken.append(time.perf_counter() - start)
    return 2 * MATRIX_SIZE**3 / statistics.median(taken[1:]) / 1e9
