"""No folder of reference numbers lies unused."""

from __future__ import annotations

from pathlib import Path

LATER = {
    "rtmw3d-": "3D whole-body models, which have no network here",
    "vitpose-plus-": "mixtures of experts, which have no network here",
}


def test_each_folder_of_numbers_is_compared_with_a_network(shared: Path) -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    folders = {path.parent.name for path in (shared / "reference").glob("**/raw*.npz")}
    # A folder `name@frames` is named by what it is a part of.
    waiting = {name for name in folders if name.partition("@")[0] not in tests}
    assert {name for name in waiting if not name.startswith(tuple(LATER))} == set()
