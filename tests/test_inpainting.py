"""Filling in: what is kept stays, what is filled in has the distribution that theory gives it."""

import math

import pytest
import torch

from sds.priors.families import FAMILIES
from sds.priors.gaussian import GaussianPrior
from sds.priors.inpainting import (
    LEVELS,
    inpaint_stepwise,
    inpainting_of,
    join,
    keeping,
    kept_frames,
)
from sds.priors.sampling import sampling_of
from sds.samplers.schedules import karras
from sds.samplers.solvers import sampler_of

RATE, HOP = 8000, 32
CHANNELS = torch.arange(HOP)
STDS = {"": 0.05, "low": 0.02 + 0.2 * torch.exp(-CHANNELS / 8)}


def gaussian():
    means = {"": 0.0, "low": 0.1}
    return GaussianPrior(means, STDS, sample_rate=RATE, hop=HOP, sigmas=(1e-3, 20.0))


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def filled(prior, audio, keep, seed=0, **asked):
    """The audio that is filled in, and the levels that were told."""
    how = inpainting_of(prior, **asked)
    work = inpaint_stepwise(prior, "low", audio, keep, how=how, generator=noise(seed))
    told = []
    try:
        while True:
            told.append(next(work))
    except StopIteration as end:
        return end.value, told


def recording(frames, tail=0):
    return 0.3 * torch.randn(1, 1, frames * HOP + tail, generator=noise(9))


@pytest.mark.parametrize("asked", [{}, {"sampler": "ping_pong"}, {"sampler": "dpmpp_3m_sde"}])
def test_kept_frames_stay_and_the_rest_is_the_priors(asked):
    """Frames of a `GaussianPrior` know nothing of one another: the conditional is the prior."""
    prior, frames = gaussian(), 400
    audio = recording(frames, tail=5)
    keep = torch.arange(audio.shape[-1]) < 100 * HOP + 7
    out, told = filled(prior, audio, keep, guidance=1.0, steps=30, **asked)
    assert out.shape == audio.shape
    assert told == sorted(told)
    assert told[-1] == 30
    torch.testing.assert_close(out[..., : 100 * HOP], audio[..., : 100 * HOP], rtol=0, atol=1e-5)
    new = prior.encode(out)[0, :, 100:frames]
    near = 1.0 / (2 * new.shape[1]) ** 0.5
    if asked.get("sampler") != "ping_pong":  # of a D that is a mean it makes too little
        error = new.std(1) / prior.stds["low"][:, 0] - 1
        assert float(error.square().mean().sqrt()) < 2 * near
    level = (new.mean(1) - 0.1) / prior.stds["low"][:, 0]
    assert float(level.square().mean().sqrt()) < 3 * near


def test_the_same_seed_fills_in_the_same_and_another_something_else():
    audio = recording(20)
    keep = torch.arange(audio.shape[-1]) >= 10 * HOP  # the attack is what changes
    first, again = (filled(gaussian(), audio, keep, 3)[0] for _ in range(2))
    other = filled(gaussian(), audio, keep, 4)[0]
    assert torch.equal(first, again)
    assert float((first - other)[..., : 10 * HOP].abs().mean()) > 0.01


# A Gaussian whose frames correlate: what is kept says something of the rest

FRAMES, KEPT, RHO, STD = 24, 12, 0.9, 0.5
WHERE = torch.arange(FRAMES)
COVARIANCE = STD**2 * RHO ** (WHERE[:, None] - WHERE[None]).abs().double()
VALUES, VECTORS = torch.linalg.eigh(COVARIANCE)


def correlated(x, sigma):
    """The posterior mean under N(0, COVARIANCE) over the frames of x [B, 1, L]."""
    gain = VALUES / (VALUES + sigma[:, None] ** 2)
    return (((x[:, 0] @ VECTORS) * gain) @ VECTORS.T)[:, None]


def conditional():
    """Of the frames that are not kept: what multiplies the kept ones to their mean, and their
    covariance.
    """
    weights = COVARIANCE[KEPT:, :KEPT] @ torch.linalg.inv(COVARIANCE[:KEPT, :KEPT])
    return weights, COVARIANCE[KEPT:, KEPT:] - weights @ COVARIANCE[:KEPT, KEPT:]


def errors(sampler, steps):
    """Relative errors of mean and covariance of 512 fillings of each of 8 recordings."""
    g = noise(0)
    root = torch.linalg.cholesky(COVARIANCE)
    recordings = torch.randn(8, FRAMES, generator=g).double() @ root.T
    given = recordings[:, None].repeat_interleave(512, 0)
    kept, sigmas = WHERE < KEPT, karras(steps, 0.01, 100.0).double()
    x = torch.randn(given.shape, generator=g).double() * sigmas[0]
    x = torch.where(kept, given + x, x)
    out = sampler_of(sampler, g)(keeping(correlated, given, kept), x, sigmas)
    assert torch.allclose(out[..., :KEPT], given[..., :KEPT], atol=1e-9)
    weights, covariance = conditional()
    mean, new = recordings[:, :KEPT] @ weights.T, out[:, 0, KEPT:].reshape(8, 512, -1)
    found = torch.stack([torch.cov(each.T) for each in new]).mean(0)
    return (
        float((new.mean(1) - mean).norm() / mean.norm()),
        float((found - covariance).norm() / covariance.norm()),
    )


def test_repeated_steps_come_nearer_to_the_conditional_than_plain_replacement():
    mean, covariance = errors("repaint", LEVELS)
    assert mean < 0.5
    assert covariance < 0.15
    mean, covariance = errors("tab3", 20)
    assert mean > 0.65
    assert covariance > 0.3


# Shapes, seams, choices


def test_kept_frames_are_those_of_which_every_sample_is_kept():
    keep = torch.ones(100, dtype=torch.bool)
    keep[35:50] = False
    assert kept_frames(keep, 4, 128).tolist() == [True, False, True, True]
    keep[-1] = False
    assert kept_frames(keep, 4, 128).tolist() == [True, False, True, False]


def test_join_keeps_the_numbers_and_fades_beside_them():
    keep = torch.zeros(20, dtype=torch.bool)
    keep[5:9] = True
    ones, zeros = torch.ones(2, 20), torch.zeros(2, 20)
    out = join(ones, zeros, keep, 3)
    shares = [0.5 + 0.5 * math.cos(math.pi * d / 4) for d in (1, 2, 3)]
    expected = [0, 0, *reversed(shares), 1, 1, 1, 1, *shares, *[0] * 8]
    assert out[0].tolist() == pytest.approx(expected, abs=1e-6)
    sound = torch.randn(2, 20, generator=noise())
    assert torch.equal(join(sound, zeros, keep, 3)[:, keep], sound[:, keep])


def test_a_prior_that_was_trained_to_fill_in_is_told_and_has_its_own_sampler():
    class Native(GaussianPrior):
        def inpaint_cond(self, cond, latent, keep):
            told.append(keep)
            return {**cond, "mean": latent.mean().expand_as(cond["mean"])}

    told: list[torch.Tensor] = []
    prior = Native({"": 0.0, "low": 5.0}, STDS, sample_rate=RATE, hop=HOP, sigmas=(1e-3, 20.0))
    assert inpainting_of(prior) == sampling_of(prior)
    audio = recording(40) + 0.5
    out, _ = filled(prior, audio, torch.arange(audio.shape[-1]) < 20 * HOP, guidance=1.0)
    assert [int(keep.sum()) for keep in told] == [20, 20]
    mean = float(prior.encode(audio).mean())
    assert float(prior.encode(out)[..., 20:].mean()) == pytest.approx(mean, abs=0.02)


def test_levels_are_at_most_so_many_where_each_is_repeated():
    prior = gaussian()
    assert (inpainting_of(prior).sampler, inpainting_of(prior).steps) == ("repaint", 12)
    prior.family = FAMILIES["stable-audio-open-1.0"]
    how = inpainting_of(prior)
    assert (how.sampler, how.steps, how.guidance, how.bounds) == ("repaint", 12, 7.0, (0.3, 500.0))
    assert inpainting_of(prior, steps=60).steps == 60
    assert inpainting_of(prior, sampler="tab3").steps == 100
    prior.family = FAMILIES["stable-audio-open-small"]
    assert inpainting_of(prior) == sampling_of(prior)


@pytest.mark.parametrize(("kept", "said"), [(20, "too little"), (20 * HOP, "too much")])
def test_less_than_a_frame_is_refused(kept, said):
    audio = recording(20)
    keep = torch.arange(audio.shape[-1]) < kept
    with pytest.raises(ValueError, match=rf"keep leaves {said}: at least one frame .* 0\.004 sec"):
        filled(gaussian(), audio, keep)
