"""Each room imports only from those below it, and no modules import each other in a circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

# From the lowest up: a module or a package imports from lines above its own, and from its own.
ROOMS = (
    (
        "posekit.cores",
        "posekit.errors",
        "posekit.version",
        "posekit.files",
        "posekit.finite",
        "posekit.packages",
        "posekit.table",
    ),
    ("posekit.opencv",),
    ("posekit.timeline", "posekit.hub_client"),
    (
        "posekit.plain_yaml",
        "posekit.checkpoints",
        "posekit.config",
        "posekit.skeleton",
        "posekit.metainfo",
    ),
    ("posekit.declared", "posekit.loading", "posekit.names"),
    ("posekit.transforms",),
    ("posekit.codecs",),
    ("posekit.models",),
    ("posekit.spec", "posekit.spec_reader", "posekit.spec_values", "posekit.component"),
    ("posekit.build",),
    ("posekit.angles",),
    ("posekit.result", "posekit.records", "posekit.coco_form", "posekit.openpose_form"),
    ("posekit.animation",),
    ("posekit.angle_tracks",),
    ("posekit.counting",),
    ("posekit.biomechanics",),
    ("weights_convert",),
    ("posekit.foreign",),
    ("posekit.hub_models",),
    ("posekit.locate",),
    ("posekit.compose", "posekit.choices", "posekit.overrides", "posekit.calls"),
    ("posekit.backends",),
    ("posekit.weights",),
    ("posekit.stages",),
    ("posekit.io", "posekit.bridges"),  # formats are written by bridges, which read tables
    ("posekit.converting",),
    ("posekit.drawing",),
    ("posekit.parts",),
    ("posekit.options",),
    ("posekit.finding",),
    ("posekit.predictor", "posekit.bridges.cvat"),
    ("posekit.serving",),
    ("posekit.batching",),
    ("posekit.benchmarking",),
    ("posekit.datasets",),
    ("posekit.labelling",),
    ("posekit.evaluation",),
    ("posekit.training",),
    ("posekit.exporting",),
    ("posekit.publishing",),
    ("posekit.app",),
    ("posekit.mmpose", "posekit.apis", "posekit.structures"),
    ("posekit.commands", "posekit.cli", "posekit.__main__"),
    ("posekit",),  # names what it lends when it is asked
)


def source_files() -> dict[str, Path]:
    files = {}
    for package in ("posekit", "weights_convert"):
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


FILES = source_files()
PAGE = ROOT / "docs" / "architecture.md"


def imports_of(module: str) -> Iterator[str]:
    """Modules of this project that it imports, wherever in the file, but not for types alone."""
    pending: list[ast.AST] = [ast.parse(FILES[module].read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in FILES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        pending.extend(ast.iter_child_nodes(node))


@pytest.fixture(scope="module")
def imports() -> dict[str, list[str]]:
    """What each module imports of the others."""
    return {
        module: sorted({name for name in imports_of(module) if name in FILES and name != module})
        for module in FILES
    }


def floor_of(module: str) -> int:
    """The line of `ROOMS` in which a module is, by the longest name that it begins with."""
    found = [
        (len(room), number)
        for number, rooms in enumerate(ROOMS)
        for room in rooms
        if module == room or (module.startswith(f"{room}.") and room != "posekit")
    ]
    assert found, f"{module} is in no room: put it into one, or name its room here"
    return max(found)[1]


def test_rooms_import_from_below(imports: dict[str, list[str]]) -> None:
    floors = {module: floor_of(module) for module in FILES}
    above = [
        f"{module} imports {name}"
        for module, names in imports.items()
        for name in names
        if floors[name] > floors[module]
    ]
    assert not above, f"from rooms above their own: {'; '.join(above)}"


def test_the_page_has_the_rooms_in_their_order() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)/?`", row)]
    rooms = [room.removeprefix("posekit.") for floor in ROOMS for room in floor]
    assert set(named) == {room for room in rooms if "." not in room} - {"posekit", "__main__"}
    floors = [floor_of(name if name in FILES else f"posekit.{name}") for name in named]
    assert floors == sorted(floors)


def test_no_modules_import_each_other(imports: dict[str, list[str]]) -> None:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"imports go in a circle: {' -> '.join(error.args[1])}")
