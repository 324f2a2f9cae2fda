"""AudioLDM 2's adapter against diffusers' own pipeline, on a tiny model."""

import pytest
import torch
from transformers import audio_utils

from sds.priors.base import classifier_free_guidance
from sds.priors.checkpoints import ModelUnavailable
from sds.priors.diffusers_audioldm2 import AudioLDM2Prior
from sds.samplers.ode import euler
from tests.tiny_diffusers import audioldm2

SECONDS = 0.32


def relative(a, b):
    return float((a - b).norm() / b.norm())


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=["epsilon", "v_prediction"])
def both(request):
    pipe = audioldm2(request.param)
    pipe.set_progress_bar_config(disable=True)
    return pipe, AudioLDM2Prior(pipe, name="tiny")


def run(pipe, steps=5, **given):
    """(x before each step and after the last, their sigmas), divided by sqrt(abar)."""
    start, seen = noise(1, 4, 8, 4), []
    pipe(
        audio_length_in_s=SECONDS, num_inference_steps=steps, latents=start.clone(),
        output_type="latent", callback=lambda i, t, z: seen.append(z.clone()), **given,
    )  # fmt: skip
    times = [int(t) for t in pipe.scheduler.timesteps]
    abar = [pipe.scheduler.alphas_cumprod[t] for t in times]
    abar = torch.stack([*abar, pipe.scheduler.final_alpha_cumprod]).double()
    zs = torch.cat([start, *seen]).double() / abar.sqrt()[:, None, None, None]
    return zs, ((1 - abar) / abar).sqrt()


def check(prior, denoise, xs, sigmas):
    """DDIM is an Euler step on dx = eps dsigma: D = x - sigma eps."""
    for i in range(len(xs) - 1):
        eps = (xs[i + 1] - xs[i]) / (sigmas[i + 1] - sigmas[i])
        theirs = prior._flat((xs[i] - sigmas[i] * eps)[None])
        ours = denoise(prior._flat(xs[i][None].float()), sigmas[i : i + 1].float())
        # by differences of float32 z: at the top sigma eps is known to 1e-6, times sigma
        assert relative(ours.double(), theirs) < 1e-4, float(sigmas[i])


def test_d_is_what_the_pipeline_makes_of_a_step(both):
    pipe, prior = both
    xs, sigmas = run(pipe, prompt="loud bell", guidance_scale=1.0)
    cond = prior.embed(["loud bell"], SECONDS)
    check(prior, lambda x, s: prior.denoise(x, s, cond), xs, sigmas)


def test_the_networks_answer_is_the_pipelines_to_the_last_digits(both):
    """D from the same call of the network: no differences of rounded latents between."""
    pipe, prior = both
    cond = prior.embed(["kick"], SECONDS)
    text, valid, context = pipe.encode_prompt(["kick"], torch.device("cpu"), 1, False)
    z = noise(1, 4, 8, 4)
    for t in (1, 401, 981):
        with torch.no_grad():
            answer = pipe.unet(
                z, t, encoder_hidden_states=context, encoder_hidden_states_1=text,
                encoder_attention_mask_1=valid, return_dict=False,
            )[0]  # fmt: skip
        theirs = pipe.scheduler.step(answer, t, z).pred_original_sample
        abar = pipe.scheduler.alphas_cumprod[t].double()
        sigma = ((1 - abar) / abar).sqrt()[None].float()
        x = (z.double() / abar.sqrt()).float()
        ours = prior.denoise(prior._flat(x), sigma, cond)
        assert relative(ours, prior._flat(theirs)) < 1e-5, t


def test_guidance_is_the_pipelines(both):
    pipe, prior = both
    cond, uncond = prior.embed(["loud bell"], SECONDS), prior.embed([""], SECONDS)
    xs, sigmas = run(
        pipe, guidance_scale=3.5, prompt_embeds=cond["text"], attention_mask=cond["valid"],
        generated_prompt_embeds=cond["context"], negative_prompt_embeds=uncond["text"],
        negative_attention_mask=uncond["valid"],
        negative_generated_prompt_embeds=uncond["context"],
    )  # fmt: skip
    check(prior, classifier_free_guidance(prior, cond, uncond, 3.5), xs, sigmas)


def test_a_chain_of_euler_steps_ends_where_the_pipeline_does(both):
    pipe, prior = both
    xs, sigmas = run(pipe, prompt="rain", guidance_scale=1.0)
    cond = prior.embed(["rain"], SECONDS)
    start = prior._flat(xs[:1])
    ours = euler(lambda x, s: prior.denoise(x, s, cond), start, sigmas)
    assert relative(ours, prior._flat(xs[-1:])) < 1e-5


def test_codec_is_the_autoencoder_and_the_vocoder(both):
    pipe, prior = both
    sound = 0.3 * noise(2, 1, 640 * 8)
    with torch.no_grad():
        mel = prior.mel(sound)
        z = prior.encode(sound)
        deep = pipe.vae.encode(mel[:, None]).latent_dist.mode() * pipe.vae.config.scaling_factor
        assert relative(z, prior._flat(deep)) < 1e-5
        assert z.shape == (2, 16, 8)
        back = pipe.vae.decode(deep / pipe.vae.config.scaling_factor).sample
        theirs = pipe.mel_spectrogram_to_waveform(back)[:, : 640 * 8]
        assert relative(prior.decode(z)[:, 0], theirs) < 1e-5
        assert prior.decode(z, like=sound[..., :5000]).shape == (2, 1, 5000)


def test_mels_are_slaneys_of_magnitudes(both):
    _, prior = both
    sound = 0.3 * noise(1, 1, 6400)
    theirs = audio_utils.spectrogram(
        sound[0, 0].numpy(), audio_utils.window_function(1024, "hann"), 1024, 160, power=1.0,
        mel_filters=audio_utils.mel_filter_bank(513, 16, 0.0, 8000.0, 16000, "slaney", "slaney"),
        mel_floor=1e-5, log_mel="log",
    )  # fmt: skip
    assert float((prior.mel(sound)[0].T - torch.from_numpy(theirs)[:, :40]).abs().max()) < 1e-4


def test_what_it_says_of_itself(both):
    _, prior = both
    assert (prior.sample_rate, prior.channels, prior.ratio) == (16000, 1, 640)
    assert prior.max_seconds == pytest.approx(8 * 640 / 16000)
    assert prior.sigmas[1] == pytest.approx(83.8, abs=0.1)  # MT-MusicLDM's and AudioLDM's betas
    cond = prior.embed(["", "loud loud loud kick"], SECONDS)
    assert cond["text"].shape == (2, 128, 16)
    assert cond["valid"].sum(1)[0] < cond["valid"].sum(1)[1]


def test_an_unknown_prediction_is_refused():
    with pytest.raises(ModelUnavailable, match="prediction_type of tiny is 'sample'"):
        AudioLDM2Prior(audioldm2("sample"), name="tiny")
