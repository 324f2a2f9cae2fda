"""Clips of any prior: the Gaussian's have its spectrum, and stepwise is the same sampling."""

import threading

import pytest
import torch

from sds.priors.base import classifier_free_guidance
from sds.priors.gaussian import GaussianPrior
from sds.priors.sampling import generate, generate_stepwise
from sds.samplers.exponential import tab3
from sds.samplers.schedules import karras

RATE, HOP = 8000, 32
CHANNELS = torch.arange(HOP)
STDS = {"": 0.05, "low": 0.02 + 0.2 * torch.exp(-CHANNELS / 8), "high": 0.02 + 0.005 * CHANNELS}


def gaussian(means: dict[str, float] | None = None) -> GaussianPrior:
    return GaussianPrior(
        means or dict.fromkeys(STDS, 0.0), STDS, sample_rate=RATE, hop=HOP, sigmas=(1e-3, 20.0)
    )


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_spectrum_of_clips_is_the_gaussians() -> None:
    """DCT channel d of many frames has the prompt's std: with N frames it is off by 1/sqrt(2 N)."""
    prior, seconds = gaussian(), 8.0
    clips = generate(prior, ["low", "high"], seconds, steps=20, scale=1.0, generator=noise())
    assert clips.shape == (2, 1, round(seconds * RATE))
    latents = prior.encode(clips)
    frames = latents.shape[-1]
    for z, prompt in zip(latents, ("low", "high"), strict=True):
        error = z.std(1) / prior.stds[prompt][:, 0] - 1
        assert float(error.square().mean().sqrt()) < 1.5 / (2 * frames) ** 0.5
        assert float(error.abs().max()) < 4.5 / (2 * frames) ** 0.5


def test_guidance_zero_ignores_the_prompt() -> None:
    prior = gaussian({"": 0.1, "low": -1.0, "high": 1.0})
    for scale, mean in ((0.0, 0.1), (1.0, -1.0)):
        clips = generate(prior, ["low"], 1.0, steps=20, scale=scale, generator=noise())
        assert float(prior.encode(clips).mean()) == pytest.approx(mean, abs=0.01)


def test_the_numbers_are_those_of_noise_guidance_and_sampler() -> None:
    prior = gaussian()
    clips = generate(prior, ["low", "high"], 0.5, steps=6, scale=3.0, generator=noise(4))
    sigmas = karras(6, *prior.sigmas)
    x = torch.randn(2, HOP, round(0.5 * RATE / HOP), generator=noise(4)) * sigmas[0]
    cond, uncond = prior.embed(["low", "high"], 0.5), prior.embed([""], 0.5)
    latent = tab3(classifier_free_guidance(prior, cond, uncond, 3.0), x, sigmas)
    torch.testing.assert_close(clips, prior.decode(latent), rtol=0, atol=0)


def test_a_length_between_two_frames_is_cut_to_the_sample() -> None:
    clips = generate(gaussian(), ["low"], 0.10119, steps=2, scale=1.0, generator=noise())
    assert clips.shape == (1, 1, 810)


@pytest.mark.parametrize(
    ("sampler", "evaluations"),
    [
        ("tab3", 5),
        ("dpmpp_2m", 5),
        ("euler", 5),
        ("heun", 9),
        ("ping_pong", 5),
        ("dpmpp_3m_sde", 5),
    ],
)
def test_stepwise_is_the_same_sampling_and_counts_up(sampler: str, evaluations: int) -> None:
    options = {"steps": 5, "scale": 2.0, "sampler": sampler}
    whole = generate(gaussian(), ["low"], 0.2, generator=noise(1), **options)
    pieces = generate_stepwise(gaussian(), ["low"], 0.2, generator=noise(1), **options)
    seen = []
    while True:
        try:
            seen.append(next(pieces))
        except StopIteration as end:
            torch.testing.assert_close(end.value, whole, rtol=0, atol=0)
            break
    assert len(seen) == evaluations
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (1, 5)


def test_closed_between_two_evaluations_it_asks_no_further() -> None:
    prior, asked = gaussian(), []
    inner = prior.denoise
    prior.denoise = lambda *args: (asked.append(1), inner(*args))[1]  # type: ignore[method-assign]
    before = threading.active_count()
    pieces = generate_stepwise(prior, ["low"], 0.2, steps=50, scale=1.0, generator=noise())
    assert [next(pieces), next(pieces), next(pieces)] == [1, 2, 3]
    pieces.close()
    assert len(asked) == 3
    assert threading.active_count() == before


def test_what_the_model_says_wrong_comes_out_as_it_is() -> None:
    prior = gaussian()
    prior.denoise = lambda x, sigma, cond: x * float("nan")  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"the model gaussian answered with .* not finite"):
        list(generate_stepwise(prior, ["low"], 0.2, steps=3, scale=1.0, generator=noise()))


@pytest.mark.parametrize("steps", [0, -3])
def test_no_steps_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=f"steps must be at least 1, got {steps}"):
        generate(gaussian(), ["low"], 0.2, steps=steps, scale=1.0, generator=noise())
