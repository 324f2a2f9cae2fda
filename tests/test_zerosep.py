"""DDIM inversion against the exact flow of a Gaussian, and ZeroSep's three guidances."""

import math

import pytest
import torch

from sds.priors.base import classifier_free_guidance
from sds.priors.gaussian import GaussianPrior
from sds.samplers.inversion import ddim_invert
from sds.samplers.ode import euler
from sds.samplers.schedules import cosine
from sds.separation.zerosep import prompted_latents, zerosep_estimate

STD, RATE, HOP = 0.5, 11025, 128
HZ = (torch.arange(HOP) + 0.5) * RATE / (2 * HOP)
LOW = 0.3 * torch.exp(-HZ / 700) + 0.01
HIGH = 0.2 * torch.exp(-(((HZ - 3000) / 700) ** 2)) + 0.01


def two_bands():
    stds = {"": (LOW**2 + HIGH**2).sqrt(), "low": LOW, "high": HIGH}
    return GaussianPrior(dict.fromkeys(stds, 0.0), stds, sample_rate=RATE, hop=HOP, max_seconds=2.0)


def test_inversion_is_the_exact_flow_as_steps_grow():
    """Upwards x grows as sqrt(s^2 + sigma^2) / s; first order: twice the steps, half the error."""
    p = GaussianPrior({"": 0.0}, {"": STD}, hop=8)
    cond = p.embed([""], 1.0)
    z = torch.randn(2, 8, 20, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0.5, 0.7])
    sigma = torch.tan(t * math.pi / 2)
    exact = z * ((STD**2 + sigma**2).sqrt() / STD)[:, None, None]
    errors = []
    for steps in (100, 200):
        found = ddim_invert(classifier_free_guidance(p, cond, cond, 1.0), z, t, steps=steps)
        errors.append(float((found - exact).norm() / exact.norm()))
    assert errors[0] < 0.05
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.1)


def test_down_again_is_where_it_came_from():
    p = two_bands()
    cond = p.embed([""], 1.0)
    z = p.encode(torch.randn(1, 1, RATE, generator=torch.Generator().manual_seed(0)))
    t, denoise = torch.full((1,), 0.5), classifier_free_guidance(p, cond, cond, 1.0)
    errors = []
    for steps in (200, 400):
        back = euler(denoise, ddim_invert(denoise, z, t, steps=steps), cosine(steps, t))
        errors.append(float((back - z).norm() / z.norm()))
    assert errors[1] < 0.06
    assert errors[1] < 0.6 * errors[0]


def test_guidance_zero_gives_the_mixture_and_one_parts_it():
    p = two_bands()
    audio = 0.1 * torch.randn(1, 1, RATE, generator=torch.Generator().manual_seed(0))
    z = p.encode(audio)
    (same,) = prompted_latents(p, ["low"], audio, t=0.5, steps=200, guidance=0.0)
    assert float((same - z).norm() / z.norm()) < 0.1
    parted = [*prompted_latents(p, ["low", "high"], audio, t=0.9, steps=50, guidance=1.0)]
    power = torch.cat(parted).square().mean(2)  # [2, HOP]
    assert float(power[0, HZ < 500].mean()) > 10 * float(power[0, HZ > 2500].mean())
    assert float(power[1, HZ > 2500].mean()) > 10 * float(power[1, HZ < 500].mean())


def test_a_look_draws_no_random_numbers():
    p, g = two_bands(), torch.Generator().manual_seed(0)
    audio = 0.1 * torch.randn(1, 1, RATE, generator=torch.Generator().manual_seed(1))
    before = g.get_state()
    powers = torch.stack([*zerosep_estimate(p, ["low", "high"], audio, t=0.8, generator=g)])
    assert torch.equal(g.get_state(), before)
    assert powers.shape == (2, 1025, RATE // 512 + 1)
