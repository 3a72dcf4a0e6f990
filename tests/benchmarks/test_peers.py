"""The comparison with other programs: what needs none of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.peers import __main__ as peers
from benchmarks.peers.inputs import clip_of, folder_of
from benchmarks.peers.turns import by_turns, print_comparison
from posekit.io.video import VideoReader


def test_programs_take_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    times = by_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b"] * 3
    assert {name: len(taken) for name, taken in times.items()} == {"a": 2, "b": 2}


def test_a_table_has_ratios_and_the_people_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison(
        "Two programs", {"one": lambda: 8, "two": lambda: 6}, base="one", images=4, rounds=3
    )
    title, header, _, one, two = capsys.readouterr().out.strip().splitlines()
    assert title == "Two programs; 4 frames, 3 rounds"
    assert "to one" in header and header.endswith("people a frame")
    assert one.split()[3] == "1.00" and one.split()[-1] == "2.0"
    assert two.split()[-1] == "1.5"


def test_inputs_are_drawn(tmp_path: Path) -> None:
    with VideoReader(clip_of(None, 3, tmp_path / "clip.mp4", (320, 240))) as clip:
        assert [image.shape for image, _ in clip] == [(240, 320, 3)] * 3
    pictures = sorted(folder_of(None, 2, tmp_path / "pictures").iterdir())
    assert [path.name for path in pictures] == ["000.jpg", "001.jpg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clips"], "no section 'clips': choose among clip, published"),
        (["--detector=a.pth"], "give --clip too"),
        (["--rounds=0"], "--rounds must be at least 1"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        peers.main(arguments)
    assert message in capsys.readouterr().err


def test_a_program_that_is_missing_fails_its_section_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[bool] = []

    def missing(setup: object) -> None:
        raise ImportError("No module named 'rtmlib'")

    monkeypatch.setattr(
        peers, "SECTIONS", {"clip": missing, "vitpose": lambda setup: ran.append(setup.fast)}
    )
    assert peers.main(["--fast"]) == 1
    assert "clip: No module named 'rtmlib'" in capsys.readouterr().out
    assert ran == [True]


def test_rtmlib_and_posekit_see_the_same_people(tmp_path: Path) -> None:
    pytest.importorskip("rtmlib")
    from benchmarks.peers.pairs import Pair, posekit_programs, rtmlib_programs

    clip = clip_of(None, 2, tmp_path / "clip.mp4", (320, 240))
    names = ("rtmdet-nano_drawn-256", "rtmpose-n_drawn-192x128")
    pair = Pair(*names, "Custom", clip, 3, tmp_path)
    programs = rtmlib_programs(pair, tracker=False) | posekit_programs(pair, [], interval=False)
    assert {name: program() for name, program in programs.items()} == {
        "rtmlib": 6, "posekit as installed": 6,
    }  # fmt: skip
