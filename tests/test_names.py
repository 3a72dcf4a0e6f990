from __future__ import annotations

import json
from pathlib import Path

import pytest

from posekit.names import all_tokens, flip_indices, match_names, side_note
from posekit.skeleton import load_skeleton, skeleton_names

COCO = load_skeleton("coco").names


@pytest.mark.parametrize(
    ("names", "mirrored"),
    [
        ("head eyeL eyeR legL1 legR1 legL2 legR2", (0, 2, 1, 4, 3, 6, 5)),
        ("L1_leg R1_leg handLeft2 handRight2 handLeft1 handRight1", (1, 0, 3, 2, 5, 4)),
        ("leg1L leg1R left2 right2", (1, 0, 3, 2)),
        ("eyel eyer front_lpaw front_rpaw lfpaw rfpaw", (1, 0, 3, 2, 5, 4)),
        ("LEFT_EYE RIGHT_EYE eye.l.2 eye.r.2", (1, 0, 3, 2)),
        ("œil_gauche 左眼 右眼 tail", (0, 1, 2, 3)),
        # Two names that are one in other spellings have no partner that is sure.
        ("left_eye eye_l right_eye left_hip right_hip", (0, 1, 2, 4, 3)),
    ],
)
def test_pairs_are_told_by_names(names: str, mirrored: tuple[int, ...]) -> None:
    assert flip_indices(names.split()) == mirrored


@pytest.mark.parametrize("name", skeleton_names())
def test_no_packaged_skeleton_is_paired_wrongly(name: str) -> None:
    skeleton = load_skeleton(name)
    found = flip_indices(skeleton.names)
    for i, mirror in enumerate(found):  # outlines are numbered, and pair by their YAML alone
        assert mirror in (i, skeleton.flip_indices[i])
    assert side_note(skeleton.names) is None
    assert len(set(all_tokens(skeleton.names))) == skeleton.num_keypoints


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        ("nose lfet_eye right_eye", "lfet_eye, right_eye (or is lfet_eye its partner?)"),
        ("nose eyeL earL earR", "eyeL"),
        ("legL1 legR2 nose", "legL1, legR2"),
        ("left_sholder right_shoulder nose", None),
        ("rihgt_eye lfet_eye", "rihgt_eye, lfet_eye"),
        ("hip_l left_eye right_eye tail_r", "hip_l, tail_r"),
        ("tail_l l_tail tail", "tail_l, l_tail"),
        ("lefteye nose", "lefteye"),
    ],
)
def test_every_side_without_a_partner_is_listed(names: str, listed: str | None) -> None:
    note = side_note(names.split())
    if listed is None:  # each is the other's hint
        assert note is not None
        assert "left_sholder (or is right_shoulder its partner?)" in note
        assert "right_shoulder (or is left_sholder its partner?)" in note
    else:
        assert note is not None
        assert f"where it is: {listed};" in note


@pytest.mark.parametrize("names", ["nose tail", "left_eye right_eye leg lip rear", "a b c l_a r_a"])
def test_pairs_and_middles_are_not_listed(names: str) -> None:
    assert side_note(names.split()) is None


@pytest.mark.parametrize(
    "spelling",
    [
        *("left_shoulder", "Left Shoulder", "left-shoulder", "LeftShoulder", "leftShoulder"),
        *("L_Shoulder", "LShoulder", "shoulder_l", "lshoulder", "LSHOULDER", "leftshoulder"),
        *("Shoulder (left)", "shoulderL", "Shoulder.L", "LEFT_SHOULDER", " left  shoulder "),
    ],
)
def test_a_name_is_found_in_any_spelling(spelling: str) -> None:
    assert match_names([spelling], COCO) == ([5], [])


@pytest.mark.parametrize("spelling", ["shoulder", "leg", "left_shoulder_2", "left", "neck", "---"])
def test_another_name_is_not(spelling: str) -> None:
    assert match_names([spelling], COCO) == ([-1], [])


def test_numbers_are_not_joined() -> None:
    assert match_names(["kpt-1-12", "kpt1_1"], ["kpt-11-2", "kpt-1-1"]).indices == [-1, 1]


def test_what_is_ambiguous_matches_nothing() -> None:
    assert match_names(["Left Eye", "left-eye", "nose"], COCO) == (
        [-1, -1, 0],
        ["Left Eye", "left-eye"],
    )
    assert match_names(["left_eye", "Left Eye"], COCO) == ([1, -1], ["Left Eye"])
    assert match_names(["left_eye"], ["L_Eye", "eye_l"]) == ([-1], ["left_eye"])


def test_names_of_another_alphabet_are_not_mixed_up() -> None:
    assert match_names(["右眼", "左眼"], ["左眼", "右眼"]).indices == [1, 0]
    assert match_names(["鼻"], ["左眼"]).indices == [-1]


def test_labels_with_numbers_behind_their_sides_mirror(shared: Path) -> None:
    content = json.loads((shared / "cases/labels/sides_with_numbers.json").read_text())
    names = content["categories"][0]["keypoints"]
    assert flip_indices(names) == (0, 2, 1, 4, 3, 6, 5)
    assert side_note(names) is None
