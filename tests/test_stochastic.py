"""Ping-pong and DPM-Solver++(3M) SDE: the library's for the same noise, and right on a Gaussian."""

import math
from itertools import pairwise

import pytest
import torch

from sds.priors.quiet_import import importing, quiet
from sds.samplers.dpm_solver import exponential_rk2s
from sds.samplers.gaussian_mixture import gaussian_mixture
from sds.samplers.schedules import polyexponential, rf_logsnr
from sds.samplers.solvers import STOCHASTIC, sampler_of
from sds.samplers.stochastic import dpmpp_3m_sde, ping_pong, repaint
from sds.samplers.unipc import unipc
from tests.k_samplers import k_sampling

with importing():
    from stable_audio_tools.inference.sampling import sample_flow_pingpong

MEAN, STD = 0.4, 0.5
TOP = 1e4


def mixture():
    g = torch.Generator().manual_seed(1)
    return gaussian_mixture(torch.randn(4, 8, generator=g, dtype=torch.float64), 0.5)


def gaussian(x, sigma):
    """D of N(MEAN, STD^2)."""
    noise = (sigma**2)[:, None, None]
    return (STD**2 * x + noise * MEAN) / (STD**2 + noise)


def start(sigma, *shape):
    return sigma * torch.randn(shape, generator=torch.Generator().manual_seed(2)).double()


def draws(seed, x):
    """The noise that a sampler of this seed draws for x, one tensor after another."""
    g = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(x.shape, generator=g).to(x)


def flow(denoise):
    """The velocity v(z; t) of a rectified flow whose denoiser is D; t = 1 stands for TOP."""

    def velocity(z, t):
        sigma = torch.where(t < 1, t / (1 - t), TOP).clamp(max=TOP)
        return (z - denoise(z * (1 + sigma)[:, None, None], sigma)) / t[:, None, None]

    return velocity


def library_grid(steps):
    """The times of `sample_rf` of stable-audio-tools 0.0.19, as written there."""
    t = torch.sigmoid(-torch.linspace(-6, 2, steps + 1)).double()
    t[0], t[-1] = 1, 0
    return t


def test_ping_pong_is_the_librarys_for_the_same_noise(monkeypatch):
    n, t = start(1.0, 2, 8, 6), library_grid(8)
    sigmas = rf_logsnr(8, math.exp(-2), TOP)
    ours = ping_pong(torch.Generator().manual_seed(7))(mixture(), n * TOP, sigmas)
    given = draws(7, n)
    monkeypatch.setattr(torch, "randn_like", lambda x: next(given))
    with quiet():
        theirs = sample_flow_pingpong(flow(mixture()), n, sigmas=t)
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-5


def test_ping_pong_of_a_gaussian_has_the_variance_of_its_last_step():
    """x <- D + sigma' n forgets x by s^2 / (s^2 + sigma^2): a D that is a mean makes too little."""
    levels = torch.tensor([20.0, 2.0, 0.6, 0.0], dtype=torch.float64)
    x = start(20.0, 64, 8, 256) + MEAN
    out = ping_pong(torch.Generator().manual_seed(3))(gaussian, x, levels)
    variance = 20.0**2  # about MEAN
    for sigma, after in pairwise(levels.tolist()):
        variance = variance * (STD**2 / (STD**2 + sigma**2)) ** 2 + after**2
    assert float(out.mean()) == pytest.approx(MEAN, abs=4 * math.sqrt(variance / x.numel()))
    assert float(out.var()) == pytest.approx(variance, rel=0.02)
    assert variance < 0.26 * STD**2


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_dpmpp_3m_sde_is_k_diffusions_for_the_same_noise(eta):
    sigmas = polyexponential(12, 0.3, 500.0).double()
    x = start(500.0, 2, 8, 6)
    ours = dpmpp_3m_sde(torch.Generator().manual_seed(5), eta=eta)(mixture(), x, sigmas)
    given = draws(5, x)
    with quiet():
        theirs = k_sampling().sample_dpmpp_3m_sde(
            mixture(), x, sigmas, eta=eta, disable=True, noise_sampler=lambda *_: next(given)
        )
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-10


def test_dpmpp_3m_sde_samples_a_gaussian_and_eta_does_not_change_its_distribution():
    sigmas = polyexponential(100, 0.01, 50.0).double()
    x = start(50.0, 64, 8, 64)
    for eta in (0.0, 1.0):
        out = dpmpp_3m_sde(torch.Generator().manual_seed(0), eta=eta)(gaussian, x, sigmas)
        assert float(out.mean()) == pytest.approx(MEAN, abs=0.02)
        assert float(out.std()) == pytest.approx(STD, rel=0.02)


def falling(n):
    """n steps from 5 to 0.2, even in log sigma."""
    return torch.exp(torch.linspace(math.log(5.0), math.log(0.2), n + 1, dtype=torch.float64))


def test_without_noise_it_is_of_order_two():
    """The last term is half the parabola's (docs/samplers.md)."""
    x = start(5.0, 2, 8, 6)
    errors = []
    truth = unipc(mixture(), x, falling(400))
    for n in (60, 120):
        out = dpmpp_3m_sde(torch.Generator(), eta=0.0)(mixture(), x, falling(n))
        errors.append(float((out - truth).norm()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.3)


def test_repaint_of_one_repetition_is_the_solver_and_others_repeat_between_the_bounds():
    sigmas, asked = polyexponential(7, 0.02, 20.0).double(), []

    def counted(x, sigma):
        asked.append(float(sigma[0]))
        return gaussian(x, sigma)

    x = start(20.0, 64, 8, 64) + MEAN
    still = repaint(torch.Generator(), repeats=1)(gaussian, x, sigmas)
    assert torch.equal(still, exponential_rk2s(gaussian, x, sigmas))
    out = repaint(torch.Generator().manual_seed(0), repeats=5)(counted, x, sigmas)
    within = [level for level in sigmas[:-2].tolist() if 0.1 <= level <= 3.0]
    assert len(within) == 3
    assert [asked.count(level) for level in within] == [5, 5, 5]
    assert len(asked) == 2 * (3 * 5 + 3) + 1
    assert float(out.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(out.std()) == pytest.approx(STD, rel=0.08)  # of few, long steps


def test_repaint_refuses_no_repetition():
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        repaint(torch.Generator(), repeats=0)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_seed_means_the_same_numbers_and_another_seed_others(name):
    sigmas = polyexponential(6, 0.2, 5.0).double()
    x = start(5.0, 2, 8, 6)

    def draw(seed):
        return sampler_of(name, torch.Generator().manual_seed(seed))(mixture(), x, sigmas)

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


@pytest.mark.parametrize("name", ["ping_pong", "dpmpp_3m_sde"])
def test_each_item_may_have_its_own_schedule(name):
    """The same noise in each item: then an item is what it is alone."""
    levels = torch.stack([polyexponential(4, 0.2, 5.0), polyexponential(4, 0.1, 9.0)], 1).double()
    x = start(5.0, 1, 8, 6)

    def noise(seed):
        return torch.Generator().manual_seed(seed)

    alone = sampler_of(name, noise(0))(mixture(), x, levels[:, 0])
    first = sampler_of(name, noise(0))(mixture(), x, levels[:, :1])
    assert torch.equal(alone, first)
    both = sampler_of(name, noise(0))(mixture(), x.expand(2, -1, -1), levels)
    assert torch.isfinite(both).all()
    assert not torch.equal(both[0], both[1])


def test_another_name_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"sampler must be one of euler, .*, repaint, got 'ddim'"):
        sampler_of("ddim", torch.Generator())
