"""What this machine is, and which packages it has."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["package_version", "processor_kind", "processor_name"]


def processor_name() -> str:
    """The processor's model where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = next((line for line in lines if line.startswith("model name")), "")
    except OSError:
        named = ""
    return named.partition(":")[2].strip() or platform.processor() or platform.machine()


def processor_kind() -> str:
    """The processor's instruction set: "x86-64", "arm64", or as the system calls another one."""
    machine = platform.machine().lower()
    known = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "arm64"}
    return known.get(machine, machine)


def package_version(package: str) -> str | None:
    """Of an installed distribution; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
