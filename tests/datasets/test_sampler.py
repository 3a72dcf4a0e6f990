"""The order of an epoch: shared out, resumed, refused."""

from __future__ import annotations

import json

import pytest

from posekit.datasets.sampler import ResumableSampler
from posekit.errors import InputError


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_share_an_epoch_without_overlap(ranks: int) -> None:
    samplers = [ResumableSampler(20, seed=7, rank=rank, ranks=ranks) for rank in range(ranks)]
    taken = [list(sampler) for sampler in samplers]
    assert [len(part) for part in taken] == [len(sampler) for sampler in samplers]
    assert {len(part) for part in taken} == {20 // ranks}
    assert len({key for part in taken for key in part}) == 20 // ranks * ranks


def test_evaluation_leaves_no_sample_out() -> None:
    samplers = [
        ResumableSampler(7, shuffle=False, rank=rank, ranks=3, even=False) for rank in range(3)
    ]
    assert sorted(index for sampler in samplers for _, index in sampler) == list(range(7))


def test_a_sampler_resumes_in_the_middle_on_other_ranks() -> None:
    whole = list(ResumableSampler(24, seed=5))
    sampler = ResumableSampler(24, seed=5)
    sampler.advance(8)
    state = json.loads(json.dumps(sampler.state_dict()))
    rest = []
    for rank in range(2):
        resumed = ResumableSampler(24, seed=5, rank=rank, ranks=2)
        resumed.load_state_dict(state)
        assert len(resumed) == 8
        rest.append(list(resumed))
    interleaved = [key for pair in zip(*rest, strict=True) for key in pair]
    assert interleaved == whole[8:]


def test_each_epoch_has_an_order_of_its_own() -> None:
    sampler = ResumableSampler(30, seed=5)
    first = [index for _, index in sampler]
    sampler.start_epoch(1)
    assert {epoch for epoch, _ in sampler} == {1}
    assert [index for _, index in sampler] != first


def test_a_sampler_refuses_the_state_of_other_data() -> None:
    state = ResumableSampler(30, seed=5).state_dict()
    with pytest.raises(InputError, match="started with length 30, now it is 31"):
        ResumableSampler(31, seed=5).load_state_dict(state)
    with pytest.raises(InputError, match="seed"):
        ResumableSampler(30, seed=6).load_state_dict(state)
    with pytest.raises(InputError, match="too few"):
        ResumableSampler(1, ranks=2)
