"""Rows -> their largest values."""

from __future__ import annotations

import pytest
import torch

from posekit.codecs.largest import largest


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_first_of_equal_values_is_the_largest(dtype: torch.dtype) -> None:
    values = torch.tensor([[[0.0, 2.0, 2.0], [-1.0, -3.0, -1.0]]], dtype=dtype)
    best, places = largest(values)
    assert best.dtype == dtype
    assert best.tolist() == [[2.0, -1.0]]
    assert places.tolist() == [[1, 0]]


def test_nan_is_not_passed_over() -> None:
    best, places = largest(torch.tensor([[5.0, torch.nan, 6.0]]))
    assert best.isnan().all()
    assert places.tolist() == [1]
