"""DGMO's masks: on Gaussian bands, where the prior's references are right."""

from dataclasses import replace

import pytest
import torch

from sds.metrics.separation import null_db, sdr
from sds.priors.gaussian import GaussianPrior
from sds.separation.dgmo import MELS, REFERENCES, fit_masks, mel_bands
from sds.separation.separate import separate

RATE, HOP = 11025, 128
HZ = (torch.arange(HOP) + 0.5) * RATE / (2 * HOP)
LOW = 0.3 * torch.exp(-HZ / 700) + 0.01
HIGH = 0.2 * torch.exp(-(((HZ - 3000) / 700) ** 2)) + 0.01
STDS = {"": (LOW**2 + HIGH**2).sqrt(), "low": LOW, "high": HIGH}
P = GaussianPrior(dict.fromkeys(STDS, 0.0), STDS, sample_rate=RATE, hop=HOP, max_seconds=2.0)
# guidance above 1 would extrapolate a linear denoiser below zero
METHOD = replace(REFERENCES, recipe=replace(REFERENCES.recipe, guidance=1.0, peak=0.5))


def draw(std, seed):
    z = torch.randn(1, HOP, RATE // HOP, generator=torch.Generator().manual_seed(seed))
    return P.decode(z * std[:, None])[:, 0]


@pytest.mark.parametrize("prompts", [("low",), ("low", "high"), ("low", "high", "low")])
def test_stems_and_residual_null(prompts):
    mix = draw(LOW, 1) + draw(HIGH, 2)
    g = torch.Generator().manual_seed(0)
    *_, last = separate(P, prompts, mix, RATE, method=METHOD, generator=g)
    assert last.stems.shape == (len(prompts), *mix.shape)
    assert null_db(mix, torch.cat([last.stems, last.residual[None]])) < -120


def test_two_bands_are_parted():
    a, b = draw(LOW, 1), draw(HIGH, 2)
    g = torch.Generator().manual_seed(0)
    *_, last = separate(P, ("low", "high"), a + b, RATE, method=METHOD, generator=g)
    for stem, truth, other in zip(last.stems, (a, b), (b, a), strict=True):
        assert float(sdr(stem, truth)) > float(sdr(truth + other, truth)) + 6


def test_masks_become_the_reference_s_share():
    """Where the reference is half of what is heard in every band, so is the mask, near enough."""
    mel = mel_bands(RATE)
    heard = 1 + torch.rand(1, 1025, 20, generator=torch.Generator().manual_seed(0))
    recipe = replace(REFERENCES.recipe, steps=200)
    logits, loss = fit_masks(
        torch.full((1, 1025, 20), 3.0), heard, mel @ (0.5 * heard), mel, recipe
    )
    assert loss < 1e-3
    inside = mel.sum(0) > 0
    assert float((logits.sigmoid()[0, inside] - 0.5).abs().mean()) < 0.05


def test_mel_bands_cover_the_spectrum():
    mel = mel_bands(44100)
    assert mel.shape == (MELS, 1025)
    assert torch.allclose(mel.sum(0)[4:900], torch.ones(896), atol=1e-4)
