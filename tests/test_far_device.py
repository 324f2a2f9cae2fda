"""A prior on a device of its own: the same answers, nothing on two devices, little that comes back.

The device is `tests.far_device.FarDevice`: this machine has no other. What it cannot show are
kernels of a real one, and their speed.
"""

from dataclasses import replace

import pytest
import torch

from sds.distillation.delta_denoising import EDIT, Pull
from sds.distillation.distill import distill
from sds.distillation.preference import Preference
from sds.distillation.recipes import RECIPES, PatchRecipe, Recipe
from sds.distillation.sds_targets import target
from sds.priors.base import classifier_free_guidance, device_of
from sds.priors.gaussian import GaussianPrior
from sds.priors.sampling import generate
from sds.priors.stable_audio import StableAudioPrior
from sds.separation.audio_sds import Latents, audio_sds_stems
from sds.separation.dgmo import REFERENCES, reference
from sds.separation.mask_settings import MASKS
from sds.separation.prompted_estimates import noised_estimate
from sds.separation.time_frequency_masks import masked_stems
from sds.separation.zerosep import zerosep_estimate
from tests.far_device import FAR, FarDevice
from tests.tiny_stable_audio import RATE, config, noise, random_model

HOP, SAMPLES = 32, 2048
LATENT = 2 * SAMPLES  # numbers of one, [64, 64]
SOUND = 2 * SAMPLES  # numbers of one stereo clip
PAPER = replace(RECIPES["paper"].distillation, steps=3, scales=(256, 512))
SHORT = Recipe(steps=2, lr=0.1, guidance=3.0, refresh=1, peak=0.5, log_weight=0.1, scales=(256,))


def seeded():
    return torch.Generator().manual_seed(0)


class Elsewhere:
    """A `GaussianPrior` that answers on a device of its own, as every prior does: where the
    question was.
    """

    def __init__(self, device):
        low = torch.linspace(1, 0, HOP).repeat(2)
        self._own = own = GaussianPrior(
            dict.fromkeys(("", "bell", "drum"), 0.0),
            {"": 0.1, "bell": 0.1 * low + 0.01, "drum": 0.11 - 0.1 * low},
            sample_rate=RATE, channels=2, hop=HOP, max_seconds=1.0,
        )  # fmt: skip
        self.name, self.sample_rate, self.channels = "elsewhere", RATE, 2
        self.max_seconds, self.sigmas, self.device = own.max_seconds, own.sigmas, device
        own._basis = own._basis.to(device)

    def embed(self, prompts, seconds):
        return {k: v.to(self.device) for k, v in self._own.embed(prompts, seconds).items()}

    def encode(self, audio):
        return self._own.encode(audio.to(self.device)).to(audio.device)

    def decode(self, latent, *, like=None):
        return self._own.decode(latent.to(self.device), like=like).to(latent.device)

    def denoise(self, x, sigma, cond):
        d = self._own.denoise(x.to(self.device), sigma.to(self.device), cond)
        return d.to(x.device)


def both(work):
    """What `work` makes with a prior here and with one on the far device, which is returned."""
    here = work(Elsewhere(torch.device("cpu")))
    with FarDevice() as device:
        prior = Elsewhere(FAR)
        device.up = device.down = device.asked = 0
        there = work(prior)
    assert there.device.type == "cpu"
    assert type(there) is torch.Tensor
    torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-6)
    assert device.ran["bmm"] + device.ran["mm"] > 0
    return device


def separated(prior, method):
    mix = 0.2 * noise(2, SAMPLES)
    work = audio_sds_stems(prior, ["bell", "drum"], mix, RATE, method=method, generator=seeded())
    *_, last = work
    return last.stems


def test_of_a_paper_separation_only_the_stems_come_back():
    method = Latents(PAPER, gamma=0.02, phase=0.5)
    device = both(lambda prior: separated(prior, method))
    assert device.down == 2 * SOUND
    assert device.ran["_fft_r2c"] > 0  # spectra are taken there
    drawn = 3 * 2 * PAPER.samples * (LATENT + 1)  # noise and times of three steps
    assert device.up < drawn + SOUND + 600  # and the mixture and the prompts, once


def render(u):
    """Two sines of u [B, 2]."""
    t = torch.arange(SAMPLES) / RATE
    tones = torch.sin(2 * torch.pi * 300 * t) * u[:, :1] + torch.sin(5000 * t) * u[:, 1:]
    return 0.3 * tones[:, None]


def test_of_a_paper_patch_one_gradient_a_step_comes_back():
    recipe = PatchRecipe(replace(PAPER, look=1000))

    def searched(prior):
        steps = distill(
            render, prior, "bell", torch.tensor([[0.2, 0.7]]), recipe=recipe,
            generator=seeded(), score=lambda x: -x.square().mean((1, 2)),
        )  # fmt: skip
        return torch.stack([step.best_u for step in steps])

    device = both(searched)
    assert device.down < (3 + 1) * SOUND + 100  # and one latent before; there were 10 clips a step


def test_of_a_target_for_a_sound_here_only_the_means_come_back():
    audio = 0.2 * noise(1, 2, SAMPLES)

    def wanted(prior):
        guided = classifier_free_guidance(
            prior, prior.embed(["bell"], 0.25), prior.embed([""], 0.25), 60.0
        )
        t = torch.linspace(0.1, 0.8, PAPER.samples)
        recipe = replace(PAPER, peak=0.5, roll=True)
        (first, _) = target(prior, guided, audio, t=t, recipe=recipe, generator=seeded())
        return first

    device = both(wanted)
    bins = sum(2 * (n // 2 + 1) * (SAMPLES // (n // 4) + 1) for n in PAPER.scales)
    assert device.down == bins


WORKS = {
    "preference": lambda prior: Preference(
        prior, prior.embed(["bell"], 0.25), prior.embed([""], 0.25), noise(64, 64)
    )(0.2 * noise(3, 1, SAMPLES)),
    "one step estimate": lambda prior: next(
        noised_estimate(prior, ["bell"], 0.2 * noise(1, 2, SAMPLES), t=0.5, generator=seeded())
    ),
    "ZeroSep": lambda prior: next(
        zerosep_estimate(prior, ["bell"], 0.2 * noise(1, 2, SAMPLES), t=0.5, generator=seeded())
    ),
    "DGMO": lambda prior: reference(
        prior, "bell", 0.2 * noise(1, 2, SAMPLES), replace(REFERENCES.recipe, inversion=2)
    ),
    "masks": lambda prior: list(
        masked_stems(
            prior, ["bell", "drum"], 0.2 * noise(2, 4 * SAMPLES), RATE, generator=seeded(),
            method=replace(MASKS, recipe=SHORT, draws=1, rounds=2, components=0),
        )
    )[-1].stems,
    "generate": lambda prior: generate(
        prior, ["bell", "drum"], 0.25, steps=3, scale=3.0, generator=seeded(),
        sampler="dpmpp_3m_sde",
    ),
    "delta denoising": lambda prior: Pull(
        prior, "bell", "drum", 0.2 * noise(1, 2, SAMPLES), replace(EDIT, scales=(256,))
    ).target(0.1 * noise(1, 2, SAMPLES), noise(2, 64, 64), torch.tensor([0.3, 0.6]))[0].cpu(),
}  # fmt: skip


@pytest.mark.parametrize("work", WORKS)
def test_whatever_asks_a_prior_elsewhere_gets_the_same_answer(work):
    both(WORKS[work])


def test_the_adapter_itself_answers_from_there():
    """Network, codec, conditioner and a gradient through recomputed pieces."""
    settings = config()
    model = random_model(settings)

    def answers(device):
        prior = StableAudioPrior(model, settings, name="tiny", device=device)
        x = noise(1, 8, 100).to(device).requires_grad_(True)
        decoded = prior.decode(x)
        decoded.square().sum().backward()
        d = prior.denoise(noise(2, 8, 24), torch.ones(2), prior.embed(["bell"], 1.0))
        z = prior.encode(decoded.detach())
        return prior, [d, z, decoded.detach(), x.grad]

    _, here = answers("cpu")
    with FarDevice() as device:
        prior, there = answers(FAR)
        assert device_of(prior) == FAR
        assert [a.device.type for a in there] == ["cpu", "meta", "meta", "meta"]
        assert device.down == there[0].numel()
        for a, b in zip(there, here, strict=True):
            assert (a.cpu() - b).abs().max() < 1e-4 * b.abs().max()
