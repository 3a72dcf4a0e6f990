"""What the processor is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from posekit.backends import machine


@pytest.mark.parametrize(
    ("told", "bfloat16", "float16"),
    [
        ("model name\t: Some CPU\nflags\t\t: fpu avx2 avx512f\n", False, False),
        ("flags\t\t: fpu avx512f avx512_bf16\n", True, False),
        ("flags\t\t: fpu amx_bf16 avx512_fp16\n", True, True),
        ("Features\t: fp asimd asimdhp bf16\n", True, True),
        ("processor\t: 0\n", None, None),
        (None, None, None),  # another system
    ],
)
def test_types_are_those_that_the_system_tells_of(
    told: str | None,
    bfloat16: bool | None,
    float16: bool | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if told is not None:
        (tmp_path / "cpuinfo").write_text(told)
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    assert machine.computes_in("bfloat16") is bfloat16
    assert machine.computes_in("float16") is float16
    assert machine.computes_in("float32") is True
