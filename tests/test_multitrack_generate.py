"""Total generation: what comes of a Gaussian of correlated tracks is from that Gaussian."""

import math
from itertools import pairwise

import pytest
import torch

from sds.multitrack.generate import generate_stepwise
from sds.samplers.schedules import karras

C = torch.tensor([[1.0, 0.8], [0.8, 2.0]], dtype=torch.float64)
LIKE = torch.zeros(0, dtype=torch.float64)


def denoise(x, sigma):
    return C @ torch.linalg.inv(C + torch.diag_embed(sigma.square())) @ x


def generated(shape=(1, 2, 40000), *, steps=150, **settings):
    run = generate_stepwise(
        denoise, shape, karras(steps, 1e-4, 20.0), like=LIKE,
        generator=torch.Generator().manual_seed(1), **settings,
    )  # fmt: skip
    done = []
    while True:
        try:
            done.append(next(run)[0])
        except StopIteration as end:
            return done, end.value


def euler_covariance(steps):
    """Each variance v of the principal axes is (sigma_0 prod (1 + a (b - a) / (v + a^2)))^2."""
    values, axes = torch.linalg.eigh(C)
    levels = karras(steps, 1e-4, 20.0).double()
    factor = levels[0] * torch.ones(2, dtype=torch.float64)
    for a, b in pairwise(levels):
        factor = factor * (1 + a * (b - a) / (values + a**2))
    return axes @ torch.diag(factor**2) @ axes.T


def test_generated_tracks_have_the_covariance_of_the_prior():
    """Without churn that of Euler's steps, whose error is of first order and here 7 % of it."""
    torch.testing.assert_close(
        torch.cov(generated()[1][0]), euler_covariance(150), atol=0.04, rtol=0
    )
    exact = C @ torch.linalg.inv(C / 20**2 + torch.eye(2))  # of the ODE from noise of 20
    errors = [float((exact - euler_covariance(steps)).norm()) for steps in (150, 300, 600)]
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("settings", [{"churn": 20.0}, {"churn": 20.0, "resamples": 2}])
def test_churn_and_correctors_keep_the_covariance(settings):
    _, x = generated((1, 2, 10000), steps=600, **settings)
    torch.testing.assert_close(torch.cov(x[0]), C, atol=0.12, rtol=0)


def test_one_gaussian_track_by_hand():
    """With D = x / (1 + sigma^2) a step multiplies x by 1 + sigma (after - sigma)/(1 + sigma^2)."""
    sigmas = karras(7, 0.01, 5.0)
    run = generate_stepwise(
        lambda x, sigma: x / (1 + sigma.square()[..., None]), (1, 1, 4), sigmas, like=LIKE,
        generator=torch.Generator().manual_seed(4),
    )  # fmt: skip
    factor = math.prod(1 + a * (b - a) / (1 + a**2) for a, b in pairwise(sigmas.tolist()))
    noise = torch.randn(1, 1, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    while True:
        try:
            next(run)
        except StopIteration as end:
            torch.testing.assert_close(end.value, noise * float(sigmas[0]) * factor)
            break


def test_it_says_how_far_it_is_and_can_be_stopped():
    done, x = generated((2, 2, 3), steps=5, resamples=2)
    assert done == list(range(1, 11))
    assert x.shape == (2, 2, 3)
    asked = []
    run = generate_stepwise(
        lambda x, sigma: asked.append(1) or x, (1, 2, 3), karras(5, 0.1, 1.0),
        generator=torch.Generator(),
    )  # fmt: skip
    next(run)
    run.close()
    assert len(asked) == 1
