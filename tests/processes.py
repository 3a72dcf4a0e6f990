"""Python processes that need not import PyTorch first: forked from one that has.

Starting Python with PyTorch takes two seconds of a processor, more than most of what tests run in
processes of their own. Only libraries are imported before, of posekit nothing. A test of what is
imported, of threads, of signals or of what a terminal sees starts a process itself.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["run_python"]

LIBRARIES = (
    *("accelerate", "av", "cv2", "hydra", "numpy", "safetensors.torch", "timm", "torch", "yaml"),
)

_lock = threading.Lock()


def run_python(
    *arguments: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: str = "",
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """`python -c PROGRAM ...` or `python -m MODULE ...`, until it ends, with its outputs.

    Any thread may do so. What a library reads of the environment where it is imported is what it
    was for the first process.

    Args:
        arguments: from `-c` or `-m` on.
        cwd, env, input, check: as `subprocess.run` has them.
    """
    if sys.platform != "linux":  # elsewhere libraries may not be used after a fork
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(
            command, cwd=cwd, env=env, input=input, capture_output=True, text=True, check=check
        )
    with tempfile.TemporaryDirectory(prefix="posekit-tests-") as folder:
        files = [Path(folder) / name for name in ("in", "out", "err")]
        files[0].write_text(input, encoding="utf-8")
        order = {
            "arguments": list(map(str, arguments)),
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "files": list(map(str, files)),
        }
        with socket.socket(socket.AF_UNIX) as line:
            with _lock:
                address = _address()
            line.connect(address)
            line.sendall(json.dumps(order).encode() + b"\n")
            status = int(line.makefile().readline())
        out, err = (path.read_text(encoding="utf-8") for path in files[1:])
    if check:
        assert status == 0, err
    return subprocess.CompletedProcess(list(arguments), status, out, err)


@functools.cache
def _address() -> str:
    """Where the process with the libraries listens, which the first call starts."""
    folder = tempfile.mkdtemp(prefix="posekit-tests-")
    command = [sys.executable, "-m", "tests.processes", f"{folder}/line"]
    mother = subprocess.Popen(
        command, cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert mother.stdin is not None and mother.stdout is not None
    mother.stdout.readline()  # it listens now
    tests = os.getpid()

    def end() -> None:
        if os.getpid() != tests:  # forked by a test
            return
        mother.kill()
        mother.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return f"{folder}/line"


def _serve(address: str) -> None:
    """Forks for each order, until nobody is left to give one."""
    for name in LIBRARIES:
        __import__(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who ended is not waited for
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        print(flush=True)
        # Its input ends where the tests do, however these end.
        while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:
            line, _ = listening.accept()
            with line:
                if os.fork() == 0:
                    listening.close()
                    _watch(line)


def _watch(line: socket.socket) -> NoReturn:
    """Forks the process that was ordered, and says how it ended; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    order = json.loads(line.makefile().readline())
    child = os.fork()
    if child == 0:
        line.close()
        _be(order)
    _, status = os.waitpid(child, 0)
    line.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _be(order: Mapping[str, Any]) -> NoReturn:
    """What a new interpreter does, from its arguments on; never returns."""
    for number, path in enumerate(order["files"]):
        mode = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        file = os.open(path, mode, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
        for number, mode in enumerate("rww")
    )
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    # It read the environment, for its address and cache, when it was imported: that happens again.
    for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
        del sys.modules[name]
    del sys.modules["__main__"]
    status = _status_of(order["arguments"])
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _status_of(arguments: Sequence[str]) -> int:
    kind, what, *rest = arguments
    sys.argv = [kind, *rest]
    sys.path[0] = ""
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            module = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(what, "<string>", "exec"), vars(module))
        status = 0
    except SystemExit as ended:
        status = _code_of(ended)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    return status


def _code_of(ended: SystemExit) -> int:
    if ended.code is None or isinstance(ended.code, int):
        return (ended.code or 0) & 0xFF
    print(ended.code, file=sys.stderr)
    return 1


if __name__ == "__main__":
    _serve(sys.argv[1])
