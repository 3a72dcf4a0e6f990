"""Rows of people kept in a file until a clip has ended, and gaps in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posekit.errors import OutputError
from posekit.io import person_rows
from posekit.io.person_rows import PersonRows, filled

NAN = float("nan")


def reference(values: np.ndarray, longest: int | None) -> np.ndarray:
    """Gaps filled number by number, gap by gap."""
    found = values.copy()
    for column in range(values.shape[1]):
        known = np.flatnonzero(np.isfinite(values[:, column]))
        if not len(known):
            continue
        line = np.interp(np.arange(len(values)), known, values[known, column])
        for frame in np.flatnonzero(np.isnan(values[:, column])):
            before, after = known[known < frame], known[known > frame]
            inside = len(before) and len(after)
            if longest is None or (inside and after[0] - before[-1] - 1 <= longest):
                found[frame, column] = line[frame]
    return found


@pytest.mark.parametrize("group", [2, 5, 2048])
@pytest.mark.parametrize("longest", [0, 1, 3, None])
def test_people_come_back_with_their_gaps_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int, longest: int | None
) -> None:
    monkeypatch.setattr(person_rows, "GROUP", group)
    rng = np.random.default_rng(group)
    kept = {track: np.full((40, 3), NAN) for track in (4, 9)}
    with PersonRows(tmp_path / "a.trc", 3) as rows:
        for frame in range(40):
            here = [track for track in kept if rng.random() < 0.6]
            for track in here:
                values = rng.normal(size=3).astype(np.float32)
                kept[track][frame] = np.where(rng.random(3) < 0.4, NAN, values)
            given = np.array([kept[track][frame] for track in here]).reshape(-1, 3)
            rows.add(2 * frame, frame / 10, here, given)
        for track, person in rows.people.items():
            blocks = list(filled(rows.blocks(person), person, longest=longest))
            frames = np.concatenate([block.frame_ids for block in blocks])
            times = np.concatenate([block.times for block in blocks])
            assert frames.tolist() == list(range(2 * person.first, 2 * person.last + 1, 2))
            np.testing.assert_allclose(times, frames / 20)
            np.testing.assert_allclose(
                np.concatenate([block.values for block in blocks]),
                reference(kept[track][person.first : person.last + 1], longest),
                atol=1e-6,
            )
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_when_something_fails_is_a_part(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of the test"), PersonRows(tmp_path / "a.trc", 3) as rows:
        rows.add(0, 0.0, [1], np.zeros((1, 3)))
        raise ValueError("of the test")
    assert [path.name for path in tmp_path.iterdir()] == ["a.trc.part"]


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        PersonRows(tmp_path / "nowhere" / "a.trc", 3)


def test_little_waits_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person_rows, "GROUP", 16)
    with PersonRows(tmp_path / "a.trc", 3) as rows:
        for frame in range(400):
            # Also where each person is there for a moment only.
            rows.add(frame, frame / 30, [frame // 3], np.zeros((1, 3)))
            assert sum(len(person.waiting) for person in rows.people.values()) < 16
        assert (tmp_path / "a.trc.part").stat().st_size > 380 * 20
