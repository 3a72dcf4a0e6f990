"""No folder of reference numbers lies unused."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_each_folder_of_numbers_is_compared_with_a_network(shared: Path) -> None:
    folders = ("models", "weights_convert")
    tests = "".join(path.read_text() for name in folders for path in (TESTS / name).glob("*.py"))
    found = {path.parent.name for path in (shared / "reference").glob("**/raw*.npz")}
    # A folder `name@frames` is named by what it is a part of.
    assert {name for name in found if name.partition("@")[0] not in tests} == set()
