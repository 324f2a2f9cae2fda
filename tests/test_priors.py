"""Guidance and the Gaussian prior, against closed forms."""

import pytest
import torch

from sds.priors.base import classifier_free_guidance, repeat
from sds.priors.gaussian import GaussianPrior
from sds.samplers.dpm_solver import dpmpp_2m
from sds.samplers.exponential import tab3
from sds.samplers.ode import euler, heun
from sds.samplers.schedules import karras

HOP = 16


def prior() -> GaussianPrior:
    means = {"": 0.0, "bright": torch.linspace(-1, 1, HOP), "dark": 0.5}
    return GaussianPrior(means, {"": 1.0, "bright": 0.5, "dark": 0.5}, hop=HOP)


class Counting:
    """The Gaussian prior, with its calls written down."""

    def __init__(self) -> None:
        self.inner, self.batches = prior(), []

    def denoise(self, x, sigma, cond):
        self.batches.append(len(x))
        return self.inner.denoise(x, sigma, cond)


def noisy(batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(batch, HOP, 5, generator=g), torch.tensor([0.3, 1.0, 4.0])[:batch]


class Broken(GaussianPrior):
    """One number of each answer is none."""

    def denoise(self, x, sigma, cond):
        d = super().denoise(x, sigma, cond).clone()
        d[0, 0, 0] = torch.nan
        return d


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("sampler", [euler, heun, dpmpp_2m, tab3])
def test_a_step_whose_answer_is_not_finite_is_the_last(scale, sampler):
    p = Broken({"": 0.0, "on": 1.0}, {"": 1.0, "on": 1.0})
    denoise = classifier_free_guidance(p, p.embed(["on"], 1.0), p.embed([""], 1.0), scale)
    x = torch.ones(2, p.hop, 3)
    count = 2 * x.numel() if scale == 3.0 else x.numel()  # with and without the prompt
    wanted = f"^the model gaussian answered with 1 of {count} numbers that are not finite at noise "
    with pytest.raises(ValueError, match=wanted + "level 100: it is broken"):
        sampler(denoise, x, karras(4, *p.sigmas))


def test_denoiser_is_the_posterior_mean():
    """E[x0 | x] of samples that fall near x, by brute force in one dimension."""
    p, g = prior(), torch.Generator().manual_seed(1)
    x0 = 0.5 + 0.5 * torch.randn(4_000_000, generator=g)
    x = x0 + 0.7 * torch.randn(4_000_000, generator=g)
    brute = x0[(x - 1.3).abs() < 0.02].mean()
    at = torch.full((1, HOP, 1), 1.3)
    exact = p.denoise(at, torch.tensor([0.7]), p.embed(["dark"], 1.0))
    assert exact[0, 0, 0] == pytest.approx(float(brute), abs=0.01)
    assert exact[0, 0, 0] == pytest.approx((0.25 * 1.3 + 0.49 * 0.5) / 0.74)


def test_denoiser_is_the_mean_in_noise_and_x_without():
    p = prior()
    x, _ = noisy(1)
    cond = p.embed(["bright"], 1.0)
    far = p.denoise(x, torch.tensor([1e4]), cond)
    assert torch.allclose(far, torch.linspace(-1, 1, HOP)[None, :, None].expand_as(x), atol=1e-6)
    assert torch.allclose(p.denoise(x, torch.tensor([1e-4]), cond), x, atol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0, 60.0])
def test_guidance_extrapolates_from_unconditional_to_conditional(scale):
    p = prior()
    x, sigma = noisy()
    cond, uncond = p.embed(["bright"], 1.0), p.embed([""], 1.0)
    d_c, d_u = p.denoise(x, sigma, cond), p.denoise(x, sigma, uncond)
    expected = (1 - scale) * d_u + scale * d_c
    assert torch.allclose(
        classifier_free_guidance(p, cond, uncond, scale)(x, sigma), expected, atol=1e-4
    )


def test_guidance_moves_the_mean_in_proportion():
    p = GaussianPrior({"": 0.25, "on": 1.0}, {"": 0.5, "on": 0.5}, hop=HOP)
    x, _ = noisy(1)
    denoise = classifier_free_guidance(p, p.embed(["on"], 1.0), p.embed([""], 1.0), 3.0)
    assert torch.allclose(
        denoise(x, torch.tensor([1e4])), torch.full_like(x, 0.25 + 3 * 0.75), atol=1e-5
    )


@pytest.mark.parametrize(("scale", "batches"), [(0.0, [3]), (1.0, [3]), (2.0, [6])])
def test_guidance_asks_the_model_once(scale, batches):
    p = Counting()
    x, sigma = noisy()
    cond, uncond = p.inner.embed(["bright"], 1.0), p.inner.embed([""], 1.0)
    classifier_free_guidance(p, cond, uncond, scale)(x, sigma)
    assert p.batches == batches


def test_each_row_has_its_own_prompt():
    p = prior()
    x, sigma = noisy()
    cond, uncond = p.embed(["bright", "dark", "bright"], 1.0), p.embed([""], 1.0)
    together = classifier_free_guidance(p, cond, uncond, 2.0)(x, sigma)
    for i, prompt in enumerate(["bright", "dark", "bright"]):
        alone = classifier_free_guidance(p, p.embed([prompt], 1.0), uncond, 2.0)(
            x[i : i + 1], sigma[i : i + 1]
        )
        assert torch.allclose(together[i : i + 1], alone, atol=1e-6)


def test_phi_restores_the_conditional_deviation():
    p = prior()
    x, sigma = noisy()
    cond, uncond = p.embed(["bright"], 1.0), p.embed([""], 1.0)
    wide = classifier_free_guidance(p, cond, uncond, 20.0)(x, sigma).std(1)
    kept = classifier_free_guidance(p, cond, uncond, 20.0, phi=1.0)(x, sigma).std(1)
    assert torch.allclose(kept, p.denoise(x, sigma, cond).std(1), atol=1e-5)
    half = classifier_free_guidance(p, cond, uncond, 20.0, phi=0.5)(x, sigma).std(1)
    assert torch.allclose(half, (wide + kept) / 2, atol=1e-4)
    with pytest.raises(ValueError, match=r"phi must be in 0..1, got 1.5"):
        classifier_free_guidance(p, cond, uncond, 1.0, phi=1.5)


@pytest.mark.parametrize("channels", [1, 2])
def test_codec_is_orthogonal(channels):
    p = GaussianPrior({"": 0.0}, {"": 1.0}, channels=channels, hop=32)
    audio = torch.randn(2, channels, 100, generator=torch.Generator().manual_seed(0))
    z = p.encode(audio)
    assert z.shape == (2, channels * 32, 4)
    assert float(z.square().sum()) == pytest.approx(float(audio.square().sum()), rel=1e-5)
    assert torch.allclose(p.decode(z, like=audio), audio, atol=1e-5)
    assert p.decode(z).shape == (2, channels, 128)


def test_latent_channels_are_frequencies():
    p = GaussianPrior({"": 0.0}, {"": 1.0}, sample_rate=8000, hop=64)
    hz = (20 + 0.5) * 8000 / (2 * 64)
    tone = torch.sin(2 * torch.pi * hz * torch.arange(6400) / 8000)[None, None]
    power = p.encode(tone).square().mean((0, 2))
    assert int(power.argmax()) in (20, 21)
    assert float(power[18:24].sum() / power.sum()) > 0.9


def test_unknown_prompts_and_missing_unconditional_are_refused():
    with pytest.raises(ValueError, match="prompt must be one of '', 'bright', 'dark', got 'x'"):
        prior().embed(["x"], 1.0)
    with pytest.raises(ValueError, match="among them"):
        GaussianPrior({"a": 0.0}, {"a": 1.0})
    with pytest.raises(ValueError, match="audio must have 1 channels, got 2"):
        prior().encode(torch.zeros(1, 2, 64))


def test_repeat_keeps_rows_together():
    cond = {"a": torch.tensor([[1.0], [2.0]])}
    assert repeat(cond, 2)["a"].flatten().tolist() == [1, 1, 2, 2]
