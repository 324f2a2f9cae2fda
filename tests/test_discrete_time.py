"""A network of noise at discrete times is the same denoiser as any other."""

import pytest
import torch

from sds.samplers.discrete_time import (
    eps_denoiser,
    scaled_linear_betas,
    sigmas_of_betas,
    time_of,
)
from sds.samplers.ode import euler
from sds.samplers.schedules import karras

SIGMAS = sigmas_of_betas(scaled_linear_betas(0.0015, 0.0195))
STD = 0.7


def test_noise_levels_of_mt_musicldm():
    assert float(SIGMAS[999]) == pytest.approx(83.8, abs=0.05)
    assert float(SIGMAS[99]) == pytest.approx(0.46, abs=0.005)
    assert float(time_of(torch.ones(1), SIGMAS)) == pytest.approx(255, abs=1)


def test_times_and_levels_are_inverses():
    times = torch.tensor([0, 1, 500, 998, 999])
    torch.testing.assert_close(time_of(SIGMAS[times], SIGMAS), times.double())
    between = (SIGMAS[300] * SIGMAS[301]).sqrt()
    assert float(time_of(between[None], SIGMAS)) == pytest.approx(300.5)
    assert float(time_of(torch.tensor([1e-4]), SIGMAS)) == 0


def network(z, t):
    """Exact noise of x0 ~ N(0, STD^2): E[n | z] = sqrt(1 - abar) z / (abar s^2 + 1 - abar)."""
    low = t.long().clamp(max=998)
    share = t - low
    sigma = torch.exp(SIGMAS[low].log() * (1 - share) + SIGMAS[low + 1].log() * share)
    abar = (1 / (1 + sigma**2))[:, None, None]
    return (1 - abar).sqrt() * z / (abar * STD**2 + 1 - abar)


def test_it_is_the_denoiser_of_the_same_gaussian():
    g = torch.Generator().manual_seed(1)
    sigma = torch.tensor([0.05, 0.4, 1.0, 7.3, 80.0], dtype=torch.float64)
    x = torch.randn(5, 4, 6, generator=g, dtype=torch.float64) * (1 + sigma)[:, None, None]
    exact = STD**2 / (STD**2 + sigma**2)[:, None, None] * x
    torch.testing.assert_close(eps_denoiser(network, SIGMAS)(x, sigma), exact)


def test_ddim_of_the_network_is_euler_on_its_denoiser():
    """z' = sqrt(abar') x0 + sqrt(1 - abar') eps, down 20 times (Song et al. 2021, eq. 12)."""
    g = torch.Generator().manual_seed(2)
    times = torch.linspace(999, 0, 20).round().long()
    abar = 1 / (1 + SIGMAS[times] ** 2)
    z = torch.randn(3, 4, 6, generator=g, dtype=torch.float64)
    x = z / abar[0].sqrt()
    for i in range(19):
        eps = network(z, times[i].double().expand(3))
        x0 = (z - (1 - abar[i]).sqrt() * eps) / abar[i].sqrt()
        z = abar[i + 1].sqrt() * x0 + (1 - abar[i + 1]).sqrt() * eps
    ours = euler(eps_denoiser(network, SIGMAS), x, SIGMAS[times])
    torch.testing.assert_close(ours, z / abar[-1].sqrt())


def test_levels_above_the_last_are_refused():
    with pytest.raises(ValueError, match=r"sigma must be at most 83\.8"):
        time_of(karras(3, 0.1, 100.0)[:1], SIGMAS)
