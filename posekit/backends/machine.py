"""What this machine is, and which packages it has."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["computes_in", "package_version", "processor_kind", "processor_name"]

CPUINFO = Path("/proc/cpuinfo")

# Flags of Linux, of x86 and of Arm, each of which tells of instructions for the type.
_FLAGS = {
    "bfloat16": {"avx512_bf16", "amx_bf16", "bf16"},
    "float16": {"avx512_fp16", "amx_fp16", "asimdhp"},
}


def processor_name() -> str:
    """The processor's model, if the system tells it."""
    return _told("model name") or platform.processor() or platform.machine()


def computes_in(dtype: str) -> bool | None:
    """Whether the processor has instructions for a type's products; None if the system does not
    tell.

    Args:
        dtype: "float32", "float16" or "bfloat16".
    """
    if dtype not in _FLAGS:
        return True
    flags = set((_told("flags") or _told("Features")).split())
    return bool(flags & _FLAGS[dtype]) if flags else None


def _told(key: str) -> str:
    """What Linux says about the first core; empty if it says nothing, or on another system."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(key)), "").partition(":")[2].strip()


def processor_kind() -> str:
    """The processor's instruction set: "x86-64", "arm64", or as the system calls another one."""
    machine = platform.machine().lower()
    known = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "arm64"}
    return known.get(machine, machine)


def package_version(package: str) -> str | None:
    """The version of a distribution; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
