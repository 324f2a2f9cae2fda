"""Schedules against those of k-diffusion and stable-audio-tools."""

import math

import pytest
import torch

from sds.priors.quiet_import import importing, quiet
from sds.samplers.schedules import SCHEDULES, polyexponential, rf_logsnr
from tests.k_samplers import k_sampling

with importing():
    from stable_audio_tools.inference import sampling

TOP = 1e4


@pytest.mark.parametrize("rho", [1.0, 2.0])
@pytest.mark.parametrize("n", [1, 2, 100])
def test_polyexponential_is_k_diffusions(n, rho):
    theirs = k_sampling().get_sigmas_polyexponential(n, 0.3, 500.0, rho)
    torch.testing.assert_close(polyexponential(n, 0.3, 500.0, rho=rho), theirs, rtol=2e-6, atol=0)


@pytest.mark.parametrize("sigma_max", [1, 0.6])
@pytest.mark.parametrize("steps", [1, 8, 100])
def test_rf_logsnr_is_the_grid_of_the_library(steps, sigma_max, monkeypatch):
    """What `sample_rf` of stable-audio-tools 0.0.19 hands to its samplers, as t."""
    seen = []

    def catch(model, x, sigmas, **_):
        seen.append(sigmas)

    monkeypatch.setattr(sampling, "sample_flow_pingpong", catch)
    with quiet():
        sampling.sample_rf(
            None, torch.zeros(1, 1, 1), steps=steps, sampler_type="pingpong", sigma_max=sigma_max
        )
    high = TOP if sigma_max == 1 else sigma_max / (1 - sigma_max)
    sigmas = rf_logsnr(steps, math.exp(-2), high).double()
    t = sigmas / (1 + sigmas)
    assert float(t[0]) == pytest.approx(sigma_max, abs=1.1 / TOP)
    torch.testing.assert_close(t[1:], seen[0][1:].double(), rtol=3e-6, atol=0)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("bounds", [(0.01, 100.0), (math.exp(-2), TOP), (0.3, 500.0)])
def test_levels_fall_from_the_highest_to_zero(name, bounds):
    sigmas = SCHEDULES[name](20, *bounds)
    assert len(sigmas) == 21
    assert float(sigmas[0]) == pytest.approx(bounds[1], rel=1e-6)
    assert float(sigmas[-1]) == 0.0
    assert bool((sigmas.diff() < 0).all())


def test_the_grid_of_stable_audio_3_is_that_of_diffusers():
    """`logsnr_sigma_schedule`, as written there: its last level, zero, the scheduler adds."""
    theirs = torch.sigmoid(-(2.0 - torch.linspace(1.0, 0.0, 9).double() * (2.0 + 6.2)))[:-1]
    sigmas = SCHEDULES["sa3_logsnr"](8, math.exp(-2), TOP).double()
    torch.testing.assert_close((sigmas / (1 + sigmas))[1:-1], theirs[1:], rtol=3e-6, atol=0)
