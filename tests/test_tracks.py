"""Denoisers of tracks made of others."""

import pytest
import torch

from sds.priors.gaussian import GaussianPrior
from sds.samplers.schedules import karras
from sds.samplers.tracks import independent, one_level
from sds.separation.source_posterior import Dirac, source_posterior_stepwise

STDS = (0.2, 0.1, 0.05, 0.05)


def single(std):
    """A prior of one source, D(x [B, D, L]; sigma [B])."""
    prior = GaussianPrior({"": 0.0}, {"": std}, hop=8)
    cond = {name: value.double() for name, value in prior.embed([""], 1.0).items()}
    return lambda x, sigma: prior.denoise(x, sigma, cond)


def joint(x, sigma):
    variance = torch.tensor(STDS).double().square().reshape(1, 4, 1, 1)
    return variance / (variance + sigma.square()[..., None, None]) * x


def last(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_four_single_priors_are_one_of_independent_sources():
    g = torch.Generator().manual_seed(1)
    x = torch.randn(3, 4, 8, 5, generator=g, dtype=torch.float64)
    sigma = torch.rand(3, 4, generator=g, dtype=torch.float64) + 0.01
    weak = independent([single(std) for std in STDS])
    torch.testing.assert_close(weak(x, sigma), joint(x, sigma), atol=1e-7, rtol=1e-6)
    for n, std in enumerate(STDS):
        torch.testing.assert_close(weak(x, sigma)[:, n], single(std)(x[:, n], sigma[:, n]))


def test_the_weak_variant_separates_as_the_joint_one():
    g = torch.Generator().manual_seed(2)
    y = torch.randn(1, 8, 5, generator=g, dtype=torch.float64) * 0.3
    answers = [
        last(
            source_posterior_stepwise(
                denoise, y, 4, karras(20, 1e-3, 1.0), likelihood=Dirac(0), churn=5.0,
                resamples=2, generator=torch.Generator().manual_seed(3),
            )
        )
        for denoise in (independent([single(std) for std in STDS]), joint)
    ]  # fmt: skip
    torch.testing.assert_close(*answers, atol=1e-6, rtol=1e-5)


def test_one_level_for_all_tracks():
    denoise = one_level(lambda x, sigma: x * sigma[:, None, None])
    x = torch.ones(2, 4, 3)
    assert denoise(x, torch.tensor([[2.0] * 4, [3.0] * 4]))[:, 0, 0].tolist() == [2.0, 3.0]
    with pytest.raises(ValueError, match="same for all tracks"):
        denoise(x, torch.tensor([[2.0, 2.0, 2.0, 0.0]] * 2))


def test_as_many_denoisers_as_tracks():
    with pytest.raises(ValueError, match="x must have 1 tracks, got 4"):
        independent([single(0.1)])(torch.ones(1, 4, 8, 5), torch.ones(1, 4))
