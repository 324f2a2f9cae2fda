"""Stable Audio Open's adapter against diffusers' own pipeline, on a tiny model."""

import pytest
import torch

from sds.priors.base import classifier_free_guidance
from sds.priors.diffusers_stable_audio import DiffusersStableAudioPrior
from sds.priors.quiet_import import quiet
from sds.samplers.ode import euler
from tests.tiny_diffusers import stable_audio

SECONDS, FRAMES = 2.0, 500


def relative(a, b):
    return float((a - b).norm() / b.norm())


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def run(pipe, scale, steps=4):
    """[(sigma, x before the step, D of the scheduler)], and the latents at the end."""
    seen = []

    def keep(i, _, latents):
        made_of_it = pipe.scheduler.model_outputs[-1]
        seen.append((float(pipe.scheduler.sigmas[i]), latents.clone(), made_of_it.clone()))

    pipe.set_progress_bar_config(disable=True)
    start = noise(1, 8, FRAMES)
    with quiet():  # torchsde's: 500.00006 is above 500
        pipe(
            "loud bell", audio_end_in_s=SECONDS, num_inference_steps=steps, guidance_scale=scale,
            latents=start, output_type="latent", callback=keep,
            generator=torch.Generator().manual_seed(1),
        )  # fmt: skip
    before = [start * pipe.scheduler.init_noise_sigma] + [after for _, after, _ in seen]
    return [(sigma, x, d) for (sigma, _, d), x in zip(seen, before, strict=False)]


@pytest.mark.parametrize("scheduler", ["Cosine", "EDM"])
@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_d_and_guidance_are_the_pipelines(scheduler, scale):
    pipe = stable_audio(f"{scheduler}DPMSolverMultistepScheduler")
    prior = DiffusersStableAudioPrior(pipe, name="tiny")
    cond, uncond = prior.embed(["loud bell"], SECONDS), prior.embed([""], SECONDS)
    denoise = classifier_free_guidance(prior, cond, uncond, scale)
    steps = run(pipe, scale)
    assert len(steps) == 4
    for sigma, x, theirs in steps:
        assert relative(denoise(x, torch.tensor([sigma])), theirs) < 1e-5, sigma


def test_a_chain_of_euler_steps_ends_where_the_pipeline_does():
    pipe = stable_audio("EDMEulerScheduler")
    pipe.set_progress_bar_config(disable=True)
    prior = DiffusersStableAudioPrior(pipe, name="tiny")
    start = noise(1, 8, FRAMES)
    theirs = pipe(
        "kick", audio_end_in_s=1.0, num_inference_steps=6, guidance_scale=1.0, latents=start,
        output_type="latent",
    ).audios  # fmt: skip
    cond = prior.embed(["kick"], 1.0)
    x = start * pipe.scheduler.init_noise_sigma
    ours = euler(lambda x, s: prior.denoise(x, s, cond), x.double(), pipe.scheduler.sigmas)
    assert relative(ours.float(), theirs) < 1e-5


def test_codec_is_the_autoencoder_in_one_piece_and_in_several():
    pipe = stable_audio()
    prior = DiffusersStableAudioPrior(pipe, name="tiny")
    sound = 0.3 * noise(1, 2, 32 * 300)
    assert prior.chunk == 256
    with torch.no_grad():
        z = prior.encode(sound)
        whole = pipe.vae.encode(sound).latent_dist.mode()
        assert relative(z, whole) < 1e-5
        assert torch.equal(z, prior.encode(sound))
        assert relative(prior.decode(z), pipe.vae.decode(z).sample) < 1e-5


def test_what_it_says_of_itself():
    prior = DiffusersStableAudioPrior(stable_audio(), name="tiny")
    assert (prior.sample_rate, prior.channels, prior.ratio, prior.max_seconds) == (8000, 2, 32, 2.0)
    assert prior.sigmas == (0.3, 500.0)
    assert prior.family.name == "stable-audio-open-1.0"
    cond = prior.embed(["", "bell"], 1.0)
    assert float(cond["context"][0].abs().max()) == 0 < float(cond["context"][1].abs().max())
    assert torch.equal(cond["ends"][0], cond["ends"][1])
