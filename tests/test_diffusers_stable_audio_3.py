"""Stable Audio 3's adapter against diffusers' own pipelines, on a tiny model with random weights.

The pipelines are run as they are; a callback keeps what the scheduler made of each step, so that D
follows from it: a step of Euler is z + (t' - t) v, and x0 = z - t v.
"""

import math
from itertools import pairwise

import pytest
import torch

from sds.priors.base import classifier_free_guidance
from sds.priors.diffusers_stable_audio_3 import LOG_SNR, StableAudio3Prior
from sds.priors.inpainting import InpaintingPrior, inpaint_stepwise, inpainting_of
from sds.priors.shuffled import shuffled
from sds.samplers.ode import euler
from tests.tiny_diffusers import library, stable_audio_3

SECONDS, FRAMES = 1.0, 32


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pipe():
    pipe = stable_audio_3()
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def prior(pipe):
    return StableAudio3Prior(pipe, name="tiny")


@pytest.fixture(scope="module")
def filling(pipe):
    """The pipeline that keeps a part of a sound, of the same parts."""
    filling = library().d.StableAudio3InpaintPipeline(**pipe.components)
    filling.set_progress_bar_config(disable=True)
    return filling


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def grid(steps):
    """The pipeline's t, and noise levels sigma = t / (1 - t); 1e9 stands for infinity at t = 1."""
    low, high = LOG_SNR
    t = torch.sigmoid(-(high - torch.linspace(1, 0, steps + 1, dtype=torch.float64) * (high - low)))
    t = t[:-1]
    t[0] = 1 - 1e-9
    return t, torch.cat([t / (1 - t), t.new_zeros(1)])


def steps_of(pipe, **given):
    """[(t, z before, z after)] of each step of a pipeline, and its latents at the end."""
    seen = []

    def keep(_, __, t, values):
        seen.append((float(t), values["latents"].clone()))
        return {}

    z = given["latents"]
    out = pipe(output_type="latent", callback_on_step_end=keep, **given).audios
    before = [z] + [after for _, after in seen[:-1]]
    return [(t, a, b) for (t, b), a in zip(seen, before, strict=True)], out


def relative(a, b):
    return float((a - b).norm() / b.norm())


def x0_of(steps, i):
    """What one Euler step of the pipeline implies for x0."""
    (t, z, after), following = steps[i], steps[i + 1][0] if i + 1 < len(steps) else 0.0
    return z - t * (after - z) / (following - t)


def test_d_is_what_the_pipeline_makes_of_a_step_with_nothing_kept(prior, filling):
    sound = torch.zeros(1, 2, 8000)
    steps, _ = steps_of(
        filling, prompt="loud bell", duration=SECONDS, audio=sound, mask=torch.zeros(1, 1, FRAMES),
        num_inference_steps=6, latents=noise(1, 12, FRAMES),
    )  # fmt: skip
    cond = prior.embed(["loud bell"], SECONDS)
    for i in range(1, 6):  # at t = 1 sigma is infinite
        t, z, _ = steps[i]
        sigma = torch.tensor([t / (1 - t)])
        d = prior.denoise(z * (1 + sigma), sigma, cond)
        assert relative(d, x0_of(steps, i)) < 1e-5, t


def test_text_alone_is_the_text_pipeline_while_the_projection_says_nothing_of_zeros(pipe, prior):
    """diffusers' text pipeline leaves the second input out; a fresh projection answers 0 to it."""
    last = [block.to_local_embed[-1] for block in pipe.transformer.transformer_blocks]
    kept = [(layer.weight.clone(), layer.bias.clone()) for layer in last]
    start = noise(2, 12, FRAMES)
    given = dict(
        prompt=["loud bell", "kick"], duration=SECONDS, num_inference_steps=4, latents=start
    )
    sigmas = grid(4)[1]
    cond = prior.embed(["loud bell", "kick"], SECONDS)

    def ours():
        return euler(lambda x, s: prior.denoise(x, s, cond), start.double() * sigmas[0], sigmas)

    _, other = steps_of(pipe, **given)
    with torch.no_grad():
        trained = relative(ours().float(), other)
        for layer in last:
            layer.weight.zero_()
            layer.bias.zero_()
        _, theirs = steps_of(pipe, **given)
        fresh = relative(ours().float(), theirs)
        for layer, (weight, bias) in zip(last, kept, strict=True):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
    assert fresh < 1e-5
    assert trained > 1e-3


@pytest.mark.parametrize("scale", [3.0, 7.0])
def test_guidance_is_the_pipelines(pipe, prior, scale):
    cond, uncond = prior.embed(["loud bell"], SECONDS), prior.embed([""], SECONDS)
    zeros = [block.to_local_embed for block in pipe.transformer.transformer_blocks]
    for block in pipe.transformer.transformer_blocks:
        block.to_local_embed = torch.nn.Sequential(*zeros[0][:2], _Nothing())
    steps, _ = steps_of(
        pipe, prompt="loud bell", duration=SECONDS, num_inference_steps=4,
        guidance_scale=scale, latents=noise(1, 12, FRAMES),
    )  # fmt: skip
    denoise = classifier_free_guidance(prior, cond, uncond, scale)
    t, z, _ = steps[2]
    sigma = torch.tensor([t / (1 - t)])
    d = denoise(z * (1 + sigma), sigma)
    for block, own in zip(pipe.transformer.transformer_blocks, zeros, strict=True):
        block.to_local_embed = own
    assert relative(d, x0_of(steps, 2)) < 1e-5


class _Nothing(torch.nn.Module):
    def forward(self, x):
        return torch.zeros_like(x)


def test_a_chain_of_euler_steps_ends_where_the_pipeline_does(prior, filling):
    start, sound = noise(2, 12, FRAMES), 0.3 * noise(1, 2, 8000, seed=1)
    _, theirs = steps_of(
        filling, prompt=["loud bell", "kick drum"], duration=SECONDS, audio=sound,
        mask=torch.zeros(2, 1, FRAMES), num_inference_steps=8, latents=start,
    )  # fmt: skip
    cond = prior.embed(["loud bell", "kick drum"], SECONDS)
    sigmas = grid(8)[1]
    ours = euler(lambda x, s: prior.denoise(x, s, cond), start.double() * sigmas[0], sigmas)
    assert relative(ours.float(), theirs) < 1e-5


def test_a_sound_that_is_kept_is_what_the_inpainting_pipeline_gives_its_network(prior, filling):
    start, sound = noise(1, 12, FRAMES), 0.3 * noise(1, 2, 8192, seed=1)
    steps, theirs = steps_of(
        filling, prompt="snare", duration=SECONDS, audio=sound, mask_start_seconds=0.25,
        mask_end_seconds=1.0, num_inference_steps=6, latents=start,
    )  # fmt: skip
    keep = torch.ones(FRAMES)
    keep[int(0.25 * 8000 / 256) : int(8000 / 256)] = 0
    cond = prior.inpaint_cond(prior.embed(["snare"], SECONDS), prior.encode(sound), keep)
    sigmas = grid(6)[1]
    ours = euler(lambda x, s: prior.denoise(x, s, cond), start.double() * sigmas[0], sigmas)
    assert relative(ours.float(), theirs) < 1e-5
    t, z, _ = steps[3]
    sigma = torch.tensor([t / (1 - t)])
    assert relative(prior.denoise(z * (1 + sigma), sigma, cond), x0_of(steps, 3)) < 1e-5


def test_what_is_kept_must_fit(prior):
    cond, z = prior.embed(["snare"], SECONDS), torch.zeros(1, 12, FRAMES)
    with pytest.raises(ValueError, match=r"keep must be \[32\] or"):
        prior.inpaint_cond(cond, z, torch.ones(31))
    with pytest.raises(ValueError, match=r"latent must be \[1 or B, 12, L\]"):
        prior.inpaint_cond(cond, torch.zeros(1, 3, FRAMES), torch.ones(FRAMES))


def test_ping_pong_is_the_scheduler_of_post_trained_models():
    """Each D is noised anew: x = D + sigma' n, with the numbers that the scheduler drew."""
    pipe = stable_audio_3(post_trained=True)
    pipe.set_progress_bar_config(disable=True)
    filling = library().d.StableAudio3InpaintPipeline(**pipe.components)
    filling.set_progress_bar_config(disable=True)
    prior = StableAudio3Prior(pipe, name="tiny")
    assert prior.family.post_trained
    start = noise(1, 12, FRAMES)
    steps, theirs = steps_of(
        filling, prompt="rain", duration=SECONDS, audio=torch.zeros(1, 2, 8000),
        mask=torch.zeros(1, 1, FRAMES), latents=start, generator=torch.Generator().manual_seed(3),
    )  # fmt: skip
    assert len(steps) == 8 == prior.family.steps
    cond, sigmas = prior.embed(["rain"], SECONDS), grid(8)[1]
    generator = torch.Generator().manual_seed(3)
    x = start.double() * sigmas[0]
    for sigma, after in pairwise(sigmas):
        d = prior.denoise(x, sigma[None].float(), cond)
        x = d + after * torch.randn(x.shape, generator=generator)
    assert relative(x.float(), theirs) < 1e-5


def test_encode_and_decode_are_the_autoencoders(pipe, prior):
    sound = 0.3 * noise(2, 2, 8000)
    padded = torch.nn.functional.pad(sound, (0, 192))
    with torch.no_grad():
        z = prior.encode(sound)
        assert relative(z, pipe.vae.encode(padded).latents) < 1e-5
        assert torch.equal(z, prior.encode(sound))
        assert relative(prior.decode(z), pipe.vae.decode(z).sample) < 1e-5
        assert prior.decode(z, like=sound).shape == sound.shape


def test_pieces_of_a_long_sound_are_the_whole(pipe):
    """The attention of the codec reaches as many frames as it has layers: pieces have no seams."""
    short = StableAudio3Prior(pipe, name="tiny", chunk=20, overlap=9)
    whole = StableAudio3Prior(pipe, name="tiny", chunk=0)
    sound = 0.3 * noise(1, 2, 256 * 70)
    with torch.no_grad():
        z = whole.encode(sound)
        assert relative(short.encode(sound), z) < 1e-5
        assert relative(short.decode(z), whole.decode(z)) < 1e-5
    slopes = []
    for each in (short, whole):
        latent = z.clone().requires_grad_()
        each.decode(latent).square().mean().backward()
        slopes.append(latent.grad)
    assert relative(*slopes) < 1e-5


def test_prompts_are_embedded_once_and_the_empty_one_is_the_pipelines(pipe, prior, monkeypatch):
    fresh = StableAudio3Prior(pipe, name="tiny")
    cond = fresh.embed(["", "loud drum"], SECONDS)
    text, valid = pipe.encode_prompt(["", "loud drum"], torch.device("cpu"), 1)
    assert relative(cond["context"][:, :-1], text) < 1e-5
    assert torch.equal(cond["valid"][:, :-1], valid)
    assert cond["context"].shape[1] == 9  # 8 tokens and the duration
    other = prior.embed(["bell"], 0.5)["duration"], prior.embed(["bell"], 0.7)["duration"]
    assert not torch.equal(*other)
    monkeypatch.setattr(pipe, "encode_prompt", None)
    assert torch.equal(fresh.embed(["loud drum"], SECONDS)["context"], cond["context"][1:])
    with pytest.raises(ValueError, match="seconds must be finite"):
        fresh.embed(["bell"], math.inf)


def test_gradients_pass_through_codec_and_network_and_weights_are_frozen(prior):
    assert not any(weight.requires_grad for weight in prior.network.parameters())
    sound = (0.3 * noise(1, 2, 2048)).requires_grad_()
    cond = prior.embed(["bell"], 0.256)
    z = prior.encode(sound)
    d = prior.denoise(z + noise(*z.shape), torch.tensor([0.5]), cond)
    prior.decode(d).square().mean().backward()
    assert float(sound.grad.abs().max()) > 0


def test_what_it_says_of_itself(prior):
    assert (prior.sample_rate, prior.channels, prior.ratio) == (8000, 2, 256)
    assert prior.max_seconds == 120.0  # SAME-S: a small model
    assert prior.family.name == "stable-audio-3-base"
    assert prior.sigmas == pytest.approx((math.exp(-2.0), math.exp(6.2)))
    assert prior.latent_frames(1.0) == prior.encode(torch.zeros(1, 2, 8000)).shape[-1] == FRAMES


def test_its_control_has_the_same_codec_and_weights_in_other_places(prior):
    control = shuffled(prior)
    own, other = prior.network.proj_in.weight, control.network.proj_in.weight
    assert torch.equal(own.flatten().sort().values, other.flatten().sort().values)
    assert not torch.equal(own, other)
    sound = 0.3 * noise(1, 2, 2048)
    assert torch.equal(prior.encode(sound), control.encode(sound))


def result(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_a_tail_is_filled_in_by_the_way_of_any_prior(prior):
    """`inpaint_cond` is what `sds.priors.inpainting` looks for."""
    assert isinstance(prior, InpaintingPrior)
    sound, keep = 0.3 * noise(1, 2, 4096), torch.arange(4096) < 1024
    how = inpainting_of(prior, steps=3)
    assert how.sampler == "euler"
    steps = inpaint_stepwise(
        prior, "loud bell", sound, keep, how=how, generator=torch.Generator().manual_seed(0)
    )
    filled = result(steps)
    assert filled.shape == sound.shape
    with torch.no_grad():
        change = (filled - prior.decode(prior.encode(sound)))[0].abs().amax(0)
    assert float(change[2048:].min()) > 0
