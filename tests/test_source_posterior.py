"""Separation samplers on Gaussian sources, whose exact posterior is the Wiener filter.

The table is that of a study of four independent sources at 150 steps from 1 to 1e-4. Deviations
0.2, 0.1, 0.05 and 0.05 give all of its figures (0.04 / 0.055 = 0.727 is the exact answer).
"""

import pytest
import torch

from sds.samplers.schedules import karras
from sds.separation.source_posterior import (
    Dirac,
    Gaussian,
    Projection,
    energy_variances,
    gaussian_variances,
    project,
    source_posterior_stepwise,
)

STD = torch.tensor([0.2, 0.1, 0.05, 0.05], dtype=torch.float64)
WIENER = STD.square() / STD.square().sum()
TWEEDIE = Projection(gaussian_variances(STD))
EQUAL = Projection(lambda x0, sigma: torch.ones_like(x0))


def denoise(x, sigma):
    variance = STD.square()[None, :, None]
    return variance / (variance + sigma.square()[..., None]) * x


def separated(y, likelihood, *, steps=150, seed=3, sources=4, model=denoise, **settings):
    """The last estimate and the answer."""
    run = source_posterior_stepwise(
        model, y, sources, karras(steps, 1e-4, 1.0),
        likelihood=likelihood, generator=torch.Generator().manual_seed(seed), **settings,
    )  # fmt: skip
    estimate = None
    while True:
        try:
            _, estimate = next(run)
        except StopIteration as end:
            return estimate, end.value


def response(likelihood, **settings):
    """d mean(x) / dy, exactly: the sampler is linear in y and its noise, and the noise is equal."""
    y = torch.ones(1, 1, dtype=torch.float64)
    with_y, _ = separated(y, likelihood, **settings)
    without, _ = separated(0 * y, likelihood, **settings)
    return (with_y - without)[0, :, 0]


@pytest.mark.parametrize(
    ("likelihood", "settings", "loudest"),
    [
        (Dirac(0), {}, 0.571),
        (Dirac(0), {"churn": 20}, 0.669),
        (Dirac(0), {"churn": 40}, 0.689),
        (Dirac(0), {"churn": 20, "resamples": 3}, 0.706),
        (Dirac(1), {"churn": 20}, 0.522),
        (Gaussian(0.75), {"churn": 40}, 0.554),
        (TWEEDIE, {"churn": 20}, 0.728),
        (EQUAL, {"churn": 20}, 0.53),
    ],
)
def test_share_of_the_loudest_source(likelihood, settings, loudest):
    assert float(response(likelihood, **settings)[0]) == pytest.approx(loudest, abs=0.0025)


def test_projection_by_posterior_variances_is_the_wiener_filter():
    torch.testing.assert_close(response(TWEEDIE, churn=20), WIENER, atol=1e-3, rtol=0)


def test_a_narrow_gaussian_diverges():
    assert response(Gaussian(0.25), churn=40).abs().max() > 1e100


def mixture(count):
    g = torch.Generator().manual_seed(1)
    x = STD[None, :, None] * torch.randn(1, 4, count, generator=g, dtype=torch.float64)
    return x, x.sum(1)


def share(estimate, y):
    return float(estimate[0, 0] @ y[0] / y[0].square().sum())


def test_energies_instead_of_deviations_favour_the_loud():
    """0.83 in the study, at 20 steps as at 150."""
    _, y = mixture(10000)
    for settings in ({"churn": 20}, {"steps": 20}):
        _, estimate = separated(y, Projection(energy_variances), **settings)
        assert share(estimate, y) == pytest.approx(0.83, abs=0.02)


def test_the_loudest_source_is_found():
    """By the latest estimate, without being told: as `Dirac(0)`, for each item."""
    _, y = mixture(2000)
    both = torch.cat([y, y])
    quiet_first = torch.tensor([[3, 2, 1, 0], [0, 1, 2, 3]])

    def either(x, sigma):
        order = quiet_first[:, :, None].expand(x.shape)
        return denoise(x.gather(1, order), sigma).gather(1, order)

    _, estimate = separated(both, Dirac(), model=either, churn=20)
    assert float(estimate[0, 3] @ y[0] / y[0].square().sum()) == pytest.approx(0.669, abs=0.02)
    assert share(estimate[1:], y) == pytest.approx(0.669, abs=0.02)


@pytest.mark.parametrize(
    "likelihood", [Dirac(), Dirac(2), Gaussian(), TWEEDIE, Projection(energy_variances)]
)
@pytest.mark.parametrize("samples", [1, 3])
def test_sources_sum_to_the_mixture(likelihood, samples):
    _, y = mixture(100)
    _, estimate = separated(y, likelihood, steps=20, churn=5, resamples=2, samples=samples)
    assert (y - estimate.sum(1)).abs().max() < 1e-12


def test_projected_estimates_sum_to_the_mixture_at_every_step():
    _, y = mixture(100)
    for _, x0 in source_posterior_stepwise(
        denoise, y, 4, karras(20, 1e-4, 1.0), likelihood=TWEEDIE, churn=5,
        generator=torch.Generator().manual_seed(1),
    ):  # fmt: skip
        assert (y - x0.sum(1)).abs().max() < 1e-12


def decibels(x, estimate):
    """SDR of each source, [N]."""
    return 10 * torch.log10(x.square().sum(-1) / (x - estimate).square().sum(-1))[0]


def test_the_mean_of_eight_samples_is_nearer_than_one():
    """1.7 to 2.3 dB in the study; 2.5 if samples were exact, 0.51 below the Wiener filter."""
    x, y = mixture(4000)
    _, one = separated(y, TWEEDIE, churn=20)
    _, eight = separated(y, TWEEDIE, churn=20, samples=8)
    gain = decibels(x, eight) - decibels(x, one)
    assert gain.min() > 1.7
    assert gain.max() < 2.5
    bound = decibels(x, WIENER[None, :, None] * y[:, None])
    torch.testing.assert_close(
        bound - decibels(x, eight), torch.full_like(bound, 0.51), atol=0.15, rtol=0
    )


def test_diffusion_refines_a_fast_separator():
    """From an estimate with errors of -20 dB, started at their level, one gets nearer."""
    wrong = torch.randn(1, 4, 4000, generator=torch.Generator().manual_seed(5)).double()
    x, y = mixture(4000)
    fast = WIENER[None, :, None] * y[:, None]  # what has no more to win
    run = source_posterior_stepwise(
        denoise, y, 4, karras(10, 1e-4, 0.01), likelihood=TWEEDIE, initial=fast + 0.01 * wrong,
        generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    steps = []
    while True:
        try:
            steps.append(next(run)[0])
        except StopIteration as end:
            refined = end.value
            break
    assert steps == list(range(1, 11))
    assert (decibels(x, refined) > decibels(x, fast + 0.01 * wrong)).all()


def test_silence_is_shared_equally():
    y = torch.full((1, 3), 0.4, dtype=torch.float64)
    x0 = torch.zeros(1, 4, 3, dtype=torch.float64)
    torch.testing.assert_close(project(x0, y, x0), torch.full_like(x0, 0.1))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"likelihood": Dirac(4)}, "source must be from 0 to 3, got 4"),
        ({"likelihood": Gaussian(0.0)}, "gamma must be above 0, got 0.0"),
        ({"likelihood": TWEEDIE, "samples": 0}, "sources and samples must be at least 1"),
        ({"likelihood": TWEEDIE, "initial": torch.zeros(1, 3, 10)}, "initial must be"),
        ({"likelihood": TWEEDIE, "churn": -1.0}, "churn must be at least 0"),
        ({"likelihood": TWEEDIE, "resamples": 0}, "resamples must be at least 1"),
    ],
)
def test_what_is_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        separated(torch.zeros(1, 10).double(), **settings)


def test_sigmas_end_in_zero():
    with pytest.raises(ValueError, match="end in 0"):
        next(
            source_posterior_stepwise(
                denoise, torch.zeros(1, 10).double(), 4, torch.tensor([1.0, 0.5]),
                likelihood=TWEEDIE, generator=torch.Generator(),
            )
        )  # fmt: skip
