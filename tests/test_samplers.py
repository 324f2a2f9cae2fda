"""Solvers against the exact solution for a Gaussian: their measured order is the theory's."""

import math
from itertools import pairwise

import pytest
import torch

from sds.priors.base import classifier_free_guidance
from sds.priors.gaussian import GaussianPrior
from sds.samplers.exponential import _lagrange, dpmpp_2m, tab3
from sds.samplers.ode import euler, heun
from sds.samplers.schedules import cosine, karras, sigma_of, t_of

MEAN, STD = 0.4, 0.5


def denoiser():
    p = GaussianPrior({"": MEAN}, {"": STD}, hop=8)
    cond = p.embed([""], 1.0)

    def denoise(x, sigma):
        # GaussianPrior in double: its cond is float32 but 0.4 and 0.5 are given again here
        cond64 = {"mean": cond["mean"].double() * 0 + MEAN, "std": cond["std"].double() * 0 + STD}
        return p.denoise(x, sigma, cond64)

    return denoise


def exact(x, start: float, end: float):
    """dx/dsigma = sigma (x - m) / (s^2 + sigma^2), so x - m grows as sqrt(s^2 + sigma^2)."""
    return MEAN + (x - MEAN) * math.sqrt((STD**2 + end**2) / (STD**2 + start**2))


@pytest.mark.parametrize(
    ("sampler", "order"),
    [(euler, 1), (heun, 2), (dpmpp_2m, 2), (tab3, 2)],
)
def test_order_of_convergence(sampler, order):
    x = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5
    errors = []
    for n in (320, 640):
        ramp = torch.linspace(5 ** (1 / 7), 0.05 ** (1 / 7), n + 1, dtype=torch.float64) ** 7
        errors.append(float((sampler(denoiser(), x, ramp) - exact(x, 5.0, 0.05)).abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.1)


def test_tab3_starts_as_euler_but_is_far_more_exact():
    """Its order is 2 because of the first two steps; its error is what it is chosen for."""
    x = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5
    ramp = torch.linspace(5 ** (1 / 7), 0.05 ** (1 / 7), 41, dtype=torch.float64) ** 7
    errors = [
        float((s(denoiser(), x, ramp) - exact(x, 5.0, 0.05)).abs().max()) for s in (tab3, dpmpp_2m)
    ]
    assert errors[0] < errors[1] / 15


def test_tab3_coefficients_integrate_quadratics_in_the_seventh_root():
    known, after = [2.0, 3.0, 5.0], 1.2
    c = _lagrange(known, after)
    for k in range(3):
        exact_integral = (after ** (1 + k / 7) - 2.0 ** (1 + k / 7)) / (1 + k / 7)
        ours = sum(a * sigma ** (k / 7) for a, sigma in zip(c, known, strict=True))
        assert ours == pytest.approx(exact_integral, rel=1e-9)


@pytest.mark.parametrize(
    ("sampler", "error"), [(euler, 0.08), (heun, 0.03), (dpmpp_2m, 0.02), (tab3, 0.02)]
)
def test_zero_at_the_end_gives_samples_of_the_gaussian(sampler, error):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(64, 8, 64, generator=g, dtype=torch.float64) * 50
    out = sampler(denoiser(), x, karras(40, 1e-3, 50.0))
    assert float(out.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(out.std()) == pytest.approx(STD, rel=error)


@pytest.mark.parametrize("sampler", [euler, heun, dpmpp_2m])
def test_each_item_may_have_its_own_schedule(sampler):
    x = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.tensor([0.3, 0.8], dtype=torch.float64)
    together = sampler(denoiser(), x, cosine(4, t))
    for i in range(2):
        alone = sampler(denoiser(), x[i : i + 1], cosine(4, t[i : i + 1])[:, 0])
        assert torch.allclose(together[i : i + 1], alone)


def test_euler_on_cosine_levels_is_ddim():
    """The paper's z-form, step by step: z' = alpha' x0 + sigma' eps."""
    n, t = 5, 0.875
    g = torch.Generator().manual_seed(0)
    h, eps = torch.randn(2, 1, 8, 3, generator=g, dtype=torch.float64)
    levels = [t * (1 - j / n) * math.pi / 2 for j in range(n + 1)]
    z, x0 = math.cos(levels[0]) * h + math.sin(levels[0]) * eps, h
    for now, after in pairwise(levels):
        alpha, sigma = math.cos(now), math.sin(now)
        x0 = denoiser()(z / alpha, torch.tensor([sigma / alpha], dtype=torch.float64))
        z = math.cos(after) * x0 + math.sin(after) * (z - alpha * x0) / sigma
    sigmas = cosine(n, torch.tensor([t], dtype=torch.float64))
    assert torch.allclose(euler(denoiser(), h + sigmas[0, 0] * eps, sigmas), x0)


def test_karras_runs_from_high_to_low_then_zero():
    sigmas = karras(10, 0.01, 80.0)
    assert len(sigmas) == 11
    assert sigmas[0] == pytest.approx(80.0)
    assert sigmas[-2] == pytest.approx(0.01)
    assert sigmas[-1] == 0
    assert sigmas[3] == pytest.approx((80 ** (1 / 7) + (0.01 ** (1 / 7) - 80 ** (1 / 7)) / 3) ** 7)


def test_time_and_noise_level_are_inverse():
    t = torch.linspace(0, 0.99, 50)
    assert torch.allclose(t_of(sigma_of(t)), t, atol=1e-6)
    assert sigma_of(torch.tensor(0.5)) == pytest.approx(1.0)


def test_tab3_refuses_a_schedule_for_each_item():
    with pytest.raises(ValueError, match="one schedule"):
        tab3(denoiser(), torch.zeros(2, 8, 3), torch.ones(3, 2))


def test_heun_beats_euler_under_guidance():
    p = GaussianPrior({"": 0.0, "on": 1.0}, {"": 0.5, "on": 0.5}, hop=8)
    denoise = classifier_free_guidance(p, p.embed(["on"], 1.0), p.embed([""], 1.0), 3.0)
    x = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0)) * 20
    # equal deviations: guidance is again a Gaussian, with mean 3
    truth = 3.0 + (x - 3.0) * math.sqrt(0.25 / (0.25 + 400))
    gaps = [
        float((s(denoise, x, karras(20, 1e-3, 20.0)) - truth).abs().max()) for s in (euler, heun)
    ]
    assert gaps[1] < gaps[0] / 4
