"""Separation as in the Audio-SDS paper (arXiv 2505.04621, section 4): one latent a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sds.distillation.recipes import AUDIO_SDS, Recipe
from sds.distillation.sds_targets import target
from sds.priors.base import Prior, classifier_free_guidance, device_of, repeat
from sds.separation.base import WindowProgress
from sds.signal.adam import Adam
from sds.signal.audio_files import resample, with_channels
from sds.signal.spectrogram import complex_distance, magnitudes, squared_distance


@dataclass(frozen=True, slots=True)
class Latents:
    """Settings of separation by latents: L_rec + gamma * sum over sources of Decoder-SDS, by Adam.

    - `recipe`: of it `steps`, `lr`, `guidance`, `t_range`, `samples`, `denoise_steps`, `scales` and
      `phi` are read. No default.
    - `gamma`: weight of Decoder-SDS beside the reconstruction, >= 0. No default.
    - `phase`: weight of the distance of complex spectra (`complex_distance`) in the reconstruction
      beside that of magnitudes, >= 0; 0 compares magnitudes alone, as the paper writes it.
    - `window`: seconds separated at once, at most what the prior takes; 10, the length of the
      paper's sounds. What a window needs of memory grows with it.
    """

    recipe: Recipe
    gamma: float
    phase: float = 0.0
    window: float = 10.0


LATENTS = Latents(recipe=AUDIO_SDS, gamma=0.02)
"""The paper's values as far as digests of it give them."""


def audio_sds_stems(
    prior: Prior,
    prompts: Sequence[str],
    mix: Tensor,
    rate: int,
    *,
    method: Latents,
    generator: torch.Generator,
) -> Iterator[WindowProgress]:
    """Separate one window mix [C, T] at `rate` Hz into stems [K, C, T], one latent a source.

    Stems are decoded latents as they are, not projected on the mixture. With a mono prior each
    channel has its own latents, R = C rows; a stereo prior takes one row. The latents start at the
    mixture's own: the prompts separate them.

    All of it but mix and stems is on the device of the prior. Of its codec, if it is one that makes
    waveforms, the graph of one piece of one source is in memory at a time
    (`sds.priors.chunked_codec.recomputed`).
    """
    recipe, k = method.recipe, len(prompts)
    audio = resample(mix, rate, prior.sample_rate).to(device_of(prior))
    rows = audio[:, None] if prior.channels == 1 else with_channels(audio[None], 2)  # [R, C', T']
    r, seconds = len(rows), rows.shape[-1] / prior.sample_rate
    cond, uncond = prior.embed(prompts, seconds), prior.embed([""], seconds)
    rows_of = repeat(cond, r * recipe.samples)  # [K * R * samples]
    denoise = classifier_free_guidance(prior, rows_of, uncond, recipe.guidance, phi=recipe.phi)
    like = rows.repeat(k, 1, 1)  # [K * R, C', T']
    wanted_mix = magnitudes(rows, recipe.scales)
    with torch.no_grad():
        h = prior.encode(like)
    h.requires_grad_(True)
    adam = Adam(h, lr=recipe.lr)
    low, high = recipe.t_range
    for i in range(recipe.steps):
        x = prior.decode(h, like=like)
        t = low + (high - low) * torch.rand(len(like) * recipe.samples, generator=generator)
        wanted = target(prior, denoise, x.detach(), t=t, recipe=recipe, generator=generator)
        total = x.reshape(k, r, *x.shape[1:]).sum(0)
        l_rec = squared_distance(magnitudes(total, recipe.scales), wanted_mix).sum()
        if method.phase:
            l_rec = l_rec + method.phase * complex_distance(total, rows, recipe.scales).sum()
        l_sds = squared_distance(magnitudes(x, recipe.scales), wanted).sum()
        adam.zero_grad()
        torch.autograd.backward([l_rec + method.gamma * l_sds], inputs=[h])
        adam.step()
        figures = {"reconstruction": float(l_rec.detach()), "sds": float(l_sds.detach())}
        yield WindowProgress((i + 1) / (recipe.steps + 1), "latents", figures)
    with torch.no_grad():
        x = prior.decode(h, like=like)
    out = x.reshape(k, -1, x.shape[-1])  # [K, R * C', T']: the channels of the prior's side
    if out.shape[1] != len(mix):
        out = out.mean(1, keepdim=True)  # a stereo prior on a mono file
    out = out.to(mix.device)
    yield WindowProgress(
        1.0, "stems", {}, resample(out, prior.sample_rate, rate, frames=mix.shape[-1])
    )
