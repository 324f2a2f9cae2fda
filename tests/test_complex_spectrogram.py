"""The complex-spectrogram prior: exact codec, long clips, prompts, and what it refuses."""

import math

import pytest
import torch

from sds.metrics.separation import si_sdr
from sds.priors import complex_spectrogram
from sds.priors.base import classifier_free_guidance
from sds.priors.checkpoints import ModelUnavailable, find
from sds.priors.complex_network import ComplexSpectrogramNetwork
from sds.priors.complex_spectrogram import (
    GUIDE,
    ComplexSpectrogramPrior,
    build_network,
    expected_levels,
    to_channels,
    to_complex,
    to_latents,
    to_parts,
)
from sds.priors.loading import load_prior
from sds.signal.compressed_stft import BINS, HOP, stft

RATE = 44100
CHANNELS = 2 * BINS + 16


@pytest.fixture(scope="module")
def shipped():
    return load_prior("edm", device="cpu")


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def clicks(samples, places):
    audio = torch.zeros(1, 1, samples)
    audio[..., places] = 1.0
    return audio


def test_parts_are_complex_numbers():
    c = torch.complex(noise(2, BINS, 3), noise(2, BINS, 3, seed=1))
    assert to_parts(c).shape == (2, 2 * BINS, 3)
    assert torch.equal(to_complex(to_parts(c)), c)


def test_sound_comes_back_as_it_was(shipped):
    audio = 0.1 * noise(2, 1, 50000)
    z = shipped.encode(audio)
    assert z.shape == (2, CHANNELS, 8 * math.ceil(50000 / (8 * HOP)))
    back = shipped.decode(z, like=audio)
    assert back.shape == audio.shape
    assert float(si_sdr(back[:, 0], audio[:, 0]).min()) > 60
    longer = shipped.decode(z, like=torch.zeros(1, 1, 60000))
    assert longer.shape[-1] == 60000
    assert not longer[..., 53249:].any()  # 13 times 8 frames


def test_sound_has_the_level_that_the_guide_means(shipped):
    audio = 0.03 * noise(1, 1, RATE)
    soft, loud = (shipped.encode(gain * audio) for gain in (1.0, 2.0))
    both = torch.cat([soft[:, : 2 * BINS], loud[:, 2 * BINS :]], dim=1)
    back = shipped.decode(both, like=audio)
    assert float(si_sdr(back[:, 0], audio[:, 0])) > 20
    assert float(back.norm() / audio.norm()) == pytest.approx(2.0, rel=0.02)


def test_attacks_stay_where_they_are(shipped):
    places = [3000, 11111, 20001]
    back = shipped.decode(shipped.encode(clicks(24000, places)))[0, 0, :24000]
    assert back.abs().topk(3).indices.sort().values.tolist() == places


def test_the_data_has_deviation_half(shipped):
    z = shipped.encode(0.03 * noise(1, 1, RATE))
    assert 0.2 < float(z.std()) < 3


def test_long_clips_are_one_denoising(shipped, monkeypatch):
    """With variance 1 in every bin, windows cannot differ: D of the whole is known."""
    prior = ComplexSpectrogramPrior(
        ComplexSpectrogramNetwork(), shipped.guide, find("edm").config, name="known", window=32
    )
    level = torch.tensor(20 * math.log10(2))
    monkeypatch.setattr(
        complex_spectrogram,
        "expected_levels",
        lambda guide, z: level.expand(len(z), BINS, 4 * z.shape[-1]),
    )
    x, sigma = noise(2, CHANNELS, 88), torch.tensor([0.5, 2.0])
    d = prior.denoise(x, sigma, prior.embed(["bell"], 1.0))
    known = x / (1 + sigma**2)[:, None, None]
    torch.testing.assert_close(d[:, : 2 * BINS], known[:, : 2 * BINS], rtol=1e-4, atol=1e-5)


def test_expected_levels_are_those_of_the_sound(shipped):
    """Of noise: decibels are averaged, which is 2.5 dB below the mean power of noise."""
    audio = 0.03 * noise(1, 1, 4 * RATE)
    levels = expected_levels(shipped.guide, shipped.guide.encode(audio))[0, :, 20:200].mean(1)
    power = 10 * stft(audio[:, 0, : 300 * HOP]).abs().square().mean((0, 2)).log10()
    assert float((levels - power)[3:350].abs().max()) < 5
    assert float((levels - power)[3:350].mean().abs()) < 4


def test_the_guide_is_the_default_prior_at_a_fraction_of_the_noise(shipped):
    z, sigma = noise(1, 64, 8), torch.tensor([2.0])
    x = torch.cat([noise(1, 2 * BINS, 32), to_channels(z)], dim=1)
    assert torch.equal(to_latents(to_channels(z)), z)
    cond = shipped.embed(["rain"], 0.4)
    theirs = load_prior("default", device="cpu").denoise(z, sigma / GUIDE, cond)
    torch.testing.assert_close(to_latents(shipped.denoise(x, sigma, cond)[:, 2 * BINS :]), theirs)


def test_windows_hear_only_what_is_near(shipped):
    x = noise(1, CHANNELS, 512)
    cond = shipped.embed(["rain"], 5.9)
    other = x.clone()
    other[..., 400:] = noise(1, CHANNELS, 112, seed=2)
    sigma = torch.tensor([1.0])
    far = (shipped.denoise(x, sigma, cond) - shipped.denoise(other, sigma, cond)).abs()
    assert float(far[..., :192].max()) == 0.0
    assert float(far[..., 400:].max()) > 0.0


def test_a_prompt_changes_what_is_expected(shipped):
    x, sigma = 5 * noise(1, CHANNELS, 64), torch.tensor([5.0])
    with torch.no_grad():
        rain, kick, none = (
            shipped.denoise(x, sigma, shipped.embed([prompt], 0.7))
            for prompt in ("rain", "kick drum", "")
        )
    assert float((rain - kick).norm() / rain.norm()) > 0.05
    guided = classifier_free_guidance(
        shipped, shipped.embed(["rain"], 0.7), shipped.embed([""], 0.7), 3.0
    )(x, sigma)
    torch.testing.assert_close(guided, none + 3 * (rain - none), rtol=1e-3, atol=1e-4)


def test_less_noise_is_nearer_to_the_sound(shipped):
    audio = 0.3 * torch.sin(2 * math.pi * 440 * torch.arange(RATE) / RATE)[None, None]
    z = shipped.encode(audio)
    cond, far = shipped.embed(["sine tone"], 1.0), []
    for level in (0.05, 0.3, 2.0):
        d = shipped.denoise(z + level * noise(*z.shape), torch.tensor([level]), cond)
        far.append(float((d - z)[:, : 2 * BINS].square().mean()) / level**2)
    assert all(error < 0.5 for error in far)  # of the noise's power, most is gone


@pytest.mark.parametrize("shape", [(1, 2, 100), (1, 1, 0), (1, 100)])
def test_what_is_no_mono_audio_is_refused(shipped, shape):
    with pytest.raises(ValueError, match="audio must be"):
        shipped.encode(torch.zeros(shape))


def test_bad_conditions_and_frames_are_refused(shipped):
    cond = shipped.embed(["rain", "kick drum"], 1.0)
    with pytest.raises(ValueError, match="batch 1 or 3, got 2"):
        shipped.denoise(torch.zeros(3, CHANNELS, 8), torch.ones(3), cond)
    with pytest.raises(ValueError, match="multiple of 8 frames, got 9"):
        shipped.denoise(torch.zeros(2, CHANNELS, 9), torch.ones(2), cond)
    with pytest.raises(ValueError, match="seconds must be finite"):
        shipped.embed(["rain"], math.inf)


def test_a_config_that_is_none_is_one_sentence():
    with pytest.raises(ModelUnavailable, match="does not describe a complex-spectrogram model"):
        build_network({"model": {"network": {"width": "wide"}}})
