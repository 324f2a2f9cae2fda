"""Partial generation on a Gaussian of correlated tracks, whose conditionals are exact."""

import pytest
import torch

from sds.multitrack.impute import replace_stepwise, track_noise_stepwise
from sds.samplers.schedules import karras

C = torch.tensor([[1.0, 0.7, 0.5], [0.7, 1.0, 0.6], [0.5, 0.6, 1.0]], dtype=torch.float64)
KNOWN = torch.tensor([True, True, False])[None, :, None]
SHARES = C[2, :2] @ torch.linalg.inv(C[:2, :2])  # E[x_2 | x_0, x_1]
VARIANCE = float(C[2, 2] - SHARES @ C[:2, 2])


def denoise(x, sigma):
    """E[x0 | x] for x0 ~ N(0, C) across tracks: C (C + diag sigma^2)^-1 x."""
    gain = C @ torch.linalg.inv(C + torch.diag_embed(sigma.square()))
    return gain @ x


# The start has mean 0, not that of the given tracks: a share s / sigma_0 of the mean is lost.


def imputed(method, given, *, known=KNOWN, steps=200, seed=1, **settings):
    run = method(
        denoise, given, known, karras(steps, 1e-4, 500.0),
        generator=torch.Generator().manual_seed(seed), **settings,
    )  # fmt: skip
    while True:
        try:
            next(run)
        except StopIteration as end:
            return end.value


def shares(method, **settings):
    """d mean(x_2) / d given, exactly: the sampler is linear and its noise is the same."""
    given = torch.zeros(3, 3, 1, dtype=torch.float64)
    given[0, 0], given[1, 1] = 1.0, 1.0
    noise_only = imputed(method, 0 * given, **settings)
    return (imputed(method, given, **settings) - noise_only)[:2, 2, 0]


def test_noise_levels_of_each_track_give_the_conditional_mean():
    torch.testing.assert_close(shares(track_noise_stepwise), SHARES, atol=0.005, rtol=0)
    with_churn = shares(track_noise_stepwise, churn=10.0, resamples=2)
    torch.testing.assert_close(with_churn, SHARES, atol=0.005, rtol=0)


def test_noise_levels_of_each_track_give_the_conditional_variance():
    given = torch.zeros(1, 3, 20000, dtype=torch.float64)
    x = imputed(track_noise_stepwise, given, steps=400)  # Euler steps lose 2 % of it
    assert float(x[0, 2].var()) == pytest.approx(VARIANCE, rel=0.04)
    assert float(x[0, 2].mean()) == pytest.approx(0, abs=0.02)


def test_replacement_is_biased_and_correctors_make_it_less():
    """What the given tracks say is heard too late: their shares come out too small."""
    exact, bias = SHARES.sum(), []
    for resamples in (1, 3):
        bias.append(float(exact - shares(replace_stepwise, resamples=resamples).sum()))
    assert bias[0] > 0.1
    assert abs(bias[1]) < 0.6 * bias[0]


@pytest.mark.parametrize("method", [replace_stepwise, track_noise_stepwise])
def test_given_tracks_come_back_as_they_are(method):
    given = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(2)).double()
    x = imputed(method, given, steps=10)
    assert torch.equal(x[:, :2], given[:, :2])
    assert not torch.equal(x[:, 2], given[:, 2])


@pytest.mark.parametrize("method", [replace_stepwise, track_noise_stepwise])
def test_what_is_not_known_is_not_heard(method):
    given = torch.randn(1, 3, 50, generator=torch.Generator().manual_seed(2)).double()
    other = given.clone()
    other[:, 2] = 1e6
    assert torch.equal(imputed(method, given, steps=10), imputed(method, other, steps=10))


def test_a_track_known_in_parts_keeps_them_and_is_noisy():
    """The overlap with what came before: its level is that of the unknown tracks."""
    levels = []

    def spy(x, sigma):
        levels.append(sigma[0])
        return denoise(x, sigma)

    given = torch.randn(1, 3, 50, generator=torch.Generator().manual_seed(2)).double()
    known = KNOWN.expand(1, 3, 50).clone()
    known[:, 2, :10] = True
    run = track_noise_stepwise(
        spy, given, known, karras(5, 1e-2, 1.0), generator=torch.Generator().manual_seed(3)
    )
    estimates = [x0 for _, x0 in run]
    assert all(torch.equal(x0[:, 2, :10], given[:, 2, :10]) for x0 in estimates)
    assert [level[:2].tolist() for level in levels] == [[0.0, 0.0]] * 5
    assert float(levels[0][2]) == pytest.approx(1.0)


def test_the_noise_on_given_tracks_is_one_a_level():
    heard = []

    def spy(x, sigma):
        heard.append(((x - given) / sigma[..., None])[:, 0])
        return denoise(x, sigma)

    given = torch.randn(1, 3, 50, generator=torch.Generator().manual_seed(2)).double()
    run = replace_stepwise(
        spy, given, KNOWN, karras(2, 1e-2, 1.0), churn=0.5, resamples=2,
        generator=torch.Generator().manual_seed(3),
    )  # fmt: skip
    assert [done for done, _ in run] == [1, 2, 3, 4]
    torch.testing.assert_close(heard[0], heard[1])
    torch.testing.assert_close(heard[2], heard[3])
    assert (heard[1] - heard[2]).abs().max() > 0.1
