"""Clips that a search follows."""

import pytest
import torch

from sds.distillation.clips import Clips
from sds.priors.gaussian import GaussianPrior
from sds.priors.sampling import generate_stepwise

HOP = 32
MEAN = torch.zeros(HOP)
MEAN[3] = 1.0
P = GaussianPrior({"": 0.0, "low": MEAN}, {"": 0.1, "low": 0.1}, hop=HOP)


def noises(count: int) -> torch.Tensor:
    return torch.randn(count, 1, 4096, generator=torch.Generator().manual_seed(0))


def test_generated_clips_are_of_the_prompt_and_yield_an_evaluation_at_a_time():
    draw, seconds = torch.Generator().manual_seed(0), 600 / P.sample_rate
    work = generate_stepwise(P, ["low"] * 3, seconds, steps=12, scale=1.0, generator=draw)
    looks = 0
    try:
        while True:
            next(work)
            looks += 1
    except StopIteration as end:
        clips = end.value
    assert looks == 12
    assert clips.shape == (3, 1, 600)
    assert torch.allclose(P.encode(clips)[..., :18].mean((0, 2)), MEAN, atol=0.06)


def test_a_clip_is_at_no_distance_from_itself_at_any_level():
    clips = Clips(noises(2))
    gaps = clips.gaps(torch.cat([0.1 * noises(2), noises(3)[2:]]))
    assert gaps[:2].tolist() == pytest.approx([0.0, 0.0], abs=1e-4)
    assert float(gaps[2]) > 0.3


def test_without_clips_nothing_is_near_or_far():
    clips = Clips(torch.zeros(0))
    assert len(clips) == 0
    assert clips.gaps(noises(3)).tolist() == [0.0, 0.0, 0.0]


def test_each_clip_in_turn_takes_the_nearest_row_once():
    sounds = noises(4)
    clips = Clips(sounds[[2, 0]])
    assert clips.nearest(sounds, 2).tolist() == [2, 0]
    again = clips.nearest(sounds, 3).tolist()
    assert again[:2] == [2, 0]
    assert again[2] in (1, 3)
    wanted = clips.wanted(3, (256,))[0]
    assert torch.equal(wanted[0], wanted[2])
