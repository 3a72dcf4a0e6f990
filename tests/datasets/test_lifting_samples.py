"""Windows of sequences, and the files that they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posekit.datasets.lifting_samples import LiftingDataset
from posekit.errors import InputError
from posekit.skeleton import Skeleton
from tests.datasets.pose_sets import skeleton_of
from tests.datasets.sets import coco, save


def lifting_file(folder: Path, **changes: Any) -> str:
    rng = np.random.default_rng(0)
    arrays = {
        "keypoints_2d": rng.uniform(0, 100, (2, 10, 5, 2)),
        "keypoints_3d": rng.normal(size=(2, 10, 5, 3)),
        "image_size": np.array([100, 80]),
        "lengths": np.array([10, 3]),
    } | changes
    path = folder / "poses.npz"
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return str(path)


@pytest.fixture
def five(tmp_path: Path) -> Skeleton:
    return skeleton_of(save(tmp_path / "five", coco()))


def test_sequences_are_cut_into_windows(tmp_path: Path, five: Skeleton) -> None:
    dataset = LiftingDataset([lifting_file(tmp_path)], five, window=4, stride=3)
    starts = [(int(dataset[i]["sequence"]), int(dataset[i]["start"])) for i in range(len(dataset))]
    assert starts == [(0, 0), (0, 3), (0, 6), (1, 0)]
    last = dataset[3]
    assert last["valid"].tolist() == [1, 1, 1, 0]
    assert np.array_equal(last["keypoints_2d"][3], last["keypoints_2d"][2])
    assert last["keypoints_2d"].shape == (4, 5, 2)
    assert last["scores"].tolist() == np.ones((4, 5)).tolist()


def test_a_mirrored_sequence_swaps_sides(tmp_path: Path, five: Skeleton) -> None:
    path = lifting_file(tmp_path)
    plain = LiftingDataset([path], five, window=4)[0]
    mirrored = LiftingDataset([path], five, window=4, flip=1)[0]
    np.testing.assert_allclose(
        mirrored["keypoints_2d"][:, 1, 0], 100 - plain["keypoints_2d"][:, 2, 0], rtol=1e-6
    )
    np.testing.assert_allclose(mirrored["keypoints_3d"][:, 1, 0], -plain["keypoints_3d"][:, 2, 0])
    np.testing.assert_allclose(mirrored["keypoints_3d"][:, 1, 1:], plain["keypoints_3d"][:, 2, 1:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints_3d": None}, "'keypoints_3d' is missing"),
        ({"image_size": np.array([0, 80])}, r"image_size: expected .* above 0, .*sequence 0"),
        ({"image_size": np.array([[9, 8], [np.nan, 8]])}, r"image_size: .*sequence 1"),
        ({"factor": np.zeros(2)}, "factor: expected positive numbers"),
        ({"keypoints_2d": np.zeros((2, 10, 4, 2))}, r"shape \(N, T, 5, 2 or 3\), found"),
        ({"keypoints_3d": np.zeros((2, 9, 5, 3))}, r"keypoints_3d: expected"),
        ({"keypoints_3d": np.full((2, 10, 5, 3), np.nan)}, "not finite in 2 sequences: 0, 1"),
        ({"lengths": np.array([10, 11])}, r"lengths: expected 2 numbers 1\.\.10"),
        ({"image_size": np.zeros(3)}, "image_size"),
    ],
)
def test_wrong_sequences_are_errors(
    tmp_path: Path, five: Skeleton, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        LiftingDataset([lifting_file(tmp_path, **changes)], five)


def test_a_factor_brings_3d_keypoints_to_half_widths(
    tmp_path: Path, five: Skeleton, caplog: pytest.LogCaptureFixture
) -> None:
    path = lifting_file(tmp_path, factor=np.array([4.0, 2.0]))
    plain = LiftingDataset([path], five, scaled=False)[1]["keypoints_3d"]
    scaled = LiftingDataset([path], five)[1]["keypoints_3d"]
    np.testing.assert_allclose(scaled, plain / (2 * 100 / 2), rtol=1e-6)
    assert not caplog.records


def test_millimetres_are_a_warning(
    tmp_path: Path, five: Skeleton, caplog: pytest.LogCaptureFixture
) -> None:
    poses = np.random.default_rng(0).normal(size=(2, 10, 5, 3)) * 500
    LiftingDataset([lifting_file(tmp_path, keypoints_3d=poses)], five)
    assert "are they in millimetres? Give 'factor'" in caplog.text


def test_a_damaged_npz_is_an_error(tmp_path: Path, five: Skeleton) -> None:
    path = Path(lifting_file(tmp_path))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"poses\.npz"):
        LiftingDataset([str(path)], five)
