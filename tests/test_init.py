"""What `import posekit` lends."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib import import_module

import pytest

import posekit
from tests.conftest import ROOT


@pytest.mark.parametrize("name", posekit._HOMES)
def test_a_name_is_no_module_whose_import_would_replace_it(name: str) -> None:
    assert importlib.util.find_spec(f"posekit.{name}") is None
    import_module(posekit._HOMES[name])
    assert getattr(posekit, name) is getattr(import_module(posekit._HOMES[name]), name)


def test_functions_stay_where_commands_of_their_names_are_imported() -> None:
    for name in ("train", "bench"):
        import_module(f"posekit.commands.{name}")
        assert getattr(posekit, name).__module__ != f"posekit.commands.{name}"
        assert callable(getattr(posekit, name))


def test_functions_are_known_without_torch() -> None:
    code = "import posekit, sys; posekit.train, posekit.bench; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
